import pytest

from charrnn.presets import PRESETS
from charrnn.ui import form, init_form, preset_choice
from charrnn.ui.preset_choice import Filled
from charrnn.ui.settings import SETTINGS
from charrnn.ui.wiring import SKIP
from tests.builders import ENGLISH

SIZE = {"characters": 1_115_394, "vocab_size": 66}


def after(value, update):
    """What a field holds then."""
    if isinstance(update, dict) and "interactive" in update:
        return {"value": value, **update}
    return value if update == SKIP else update


def fill(preset, before, what=preset_choice.fill, size=SIZE, init="", **own):
    values = Filled.of(before).values() | own
    filled, kept, button, *settings = what(
        ENGLISH, size, preset, init, before, *values.values()
    )
    updates = zip(SETTINGS, settings, strict=True)
    form_then = {name: after(values[name], update) for name, update in updates}
    return filled, kept, button, form_then


def test_a_preset_fills_the_form():
    filled, kept, button, settings = fill("balanced", Filled.of(None).store())
    assert settings == form.start_values("balanced", 1_115_394)
    assert filled == {"preset": "balanced", "characters": 1_115_394, "init": ""}
    assert (kept, button["visible"]) == ("", False)


def test_ones_own_settings_stay_and_are_named():
    before = Filled("quick", 1_115_394).store()
    _, kept, button, settings = fill("balanced", before, rnn_units=99, epochs=3)
    assert "stay as they are: Units, Epochs." in kept
    assert button["visible"] is True
    assert (settings["rnn_units"], settings["epochs"]) == (99, 3)
    assert settings["num_layers"] == 2
    *_, settings = fill("balanced", before, preset_choice.take_preset, rnn_units=99)
    assert settings == form.start_values("balanced", 1_115_394)


def test_another_text_changes_the_epochs_alone():
    before = Filled("quick", 1_115_394).store()
    size = {"characters": 200_000, "vocab_size": 30}
    *_, settings = fill("quick", before, size=size)
    assert settings == form.preset_values("quick") | {"epochs": 39, "minutes": 2.0}
    values = Filled.of(before).values()
    _, _, _, *updates = preset_choice.fill(
        ENGLISH, size, "quick", "", before, *values.values()
    )
    named = dict(zip(SETTINGS, updates, strict=True))
    # the others may be edited before the answer comes
    assert [name for name, update in named.items() if update != SKIP] == ["epochs"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_form_that_was_filled_has_nothing_of_ones_own(preset):
    filled = Filled(preset, 30_000)
    assert preset_choice.own_settings(filled.values(), filled) == []
    empty = {name: value or 0 for name, value in filled.values().items()}
    assert preset_choice.own_settings(empty, filled) == []


@pytest.mark.parametrize("odd", [None, 3, [], {"preset": "x"}, {"characters": -1}])
def test_what_a_browser_sends_may_be_anything(odd):
    assert Filled.of(odd) == Filled.of(None)


def test_the_sizes_of_a_model_to_begin_from_hold(model):
    before = Filled("quick", 1_115_394).store()
    filled, kept, _, settings = fill(
        "quick", before, init="m", rnn_units=99, dropout=0.5
    )
    assert "stay as they are: Dropout." in kept
    sizes = {"cell": "gru", "embedding_dim": 6, "rnn_units": 16, "num_layers": 1}
    for name, value in sizes.items():
        assert settings[name]["value"] == value
        assert settings[name]["interactive"] is False
    # and with a new network again they are the preset's, to be changed
    filled, kept, _, settings = fill("quick", filled)
    assert kept == ""
    assert settings["rnn_units"]["value"] == 256
    assert settings["rnn_units"]["interactive"] is True


def test_a_visitor_may_begin_from_what_the_lists_show(model):
    update = init_form.refresh(ENGLISH, None, {})
    names = {value: label for label, value in update["choices"]}
    assert names[""] == "a new network"
    assert "m" in names
    assert update["value"] == ""
    assert "value" not in init_form.refresh(ENGLISH, "m", {})  # it stays
    assert init_form.refresh(ENGLISH, "gone", {})["value"] == ""
