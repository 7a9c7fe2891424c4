import dataclasses
import math

import pytest

from charrnn import config
from charrnn.presets import PRESETS, from_preset
from charrnn.ui import form
from charrnn.ui.duration_form import UNITS


def test_every_setting_has_its_place_once():
    placed = [name for names in form.GROUPS.values() for name in names]
    assert sorted([*placed, *form.DURATION]) == sorted(form.SETTINGS)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("unit", UNITS)
def test_a_form_left_alone_is_the_preset_but_for_its_length(preset, unit):
    values = list(form.start_values(preset, 1_115_394).values())
    given = form.by_name(values, unit)
    assert form.changed(preset, given).keys() <= {"epochs", "minutes"}
    assert form.problems("en", given) == {}
    model, training = form.configs(preset, given, 66)
    plain_model, plain = from_preset(preset, {}, vocab_size=66)
    asked = {"epochs": None, "minutes": None, unit: given[unit]}
    assert (model, training) == (plain_model, dataclasses.replace(plain, **asked))


def test_only_what_was_changed_is_a_setting():
    given = form.preset_values("quick") | {"rnn_units": 128}
    assert form.changed("quick", given) == {"rnn_units": 128}


def test_epochs_and_minutes_are_changed_together():
    given = form.preset_values("quick") | {"minutes": 5.0}
    assert form.changed("quick", given) == {"epochs": 40, "minutes": 5.0}
    model, training = form.configs("quick", given, 66)
    assert (training.epochs, training.minutes) == (40, 5.0)
    given |= {"epochs": None}
    _, training = form.configs("quick", given, 66)
    assert (training.epochs, training.minutes) == (None, 5.0)
    assert model.vocab_size == 66


def test_an_emptied_optional_number_is_none():
    values = form.preset_values("quick")
    for empty in (0, None):
        values |= {"minutes": empty, "validate_every": empty}
        given = form.by_name(list(values.values()), "minutes")
        assert given["minutes"] is given["validate_every"] is None
    assert given["early_stopping"] == 0  # not optional: 0 is a value


@pytest.mark.parametrize("name", form.SETTINGS)
def test_each_number_is_bounded_as_the_settings_are(name):
    metadata = config.setting_field(name).metadata
    if metadata["low"] is None:
        assert metadata["choices"]
        return
    for value in (metadata["low"], metadata["high"]):
        assert name not in form.problems(
            "en", {**form.preset_values("quick"), name: value}
        )
    for value in (metadata["low"] - 1, metadata["high"] * 2 + 1, math.nan):
        found = form.problems("en", {**form.preset_values("quick"), name: value})
        assert found[name].startswith("expected a number from")


def test_the_limit_of_a_hosted_page_is_the_most_minutes(monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    for minutes, problem in ((30, {}), (31, {"minutes"})):
        given = form.preset_values("quick") | {"epochs": None, "minutes": minutes}
        assert form.problems("en", given).keys() == set(problem)


def test_wrong_values_are_named_on_their_fields_all_at_once():
    given = form.preset_values("quick") | {
        "rnn_units": 0,
        "dropout": None,
        "epochs": None,
        "minutes": None,
    }
    assert form.problems("en", given) == {
        "rnn_units": "expected a number from 1 to 2,048",
        "dropout": "a value is needed",
        "epochs": "give epochs or minutes: one of them ends the run",
        "minutes": "give epochs or minutes: one of them ends the run",
    }
    assert form.configs("quick", given, 66) is None
