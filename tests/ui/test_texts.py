import string

import pytest

from charrnn.presets import PRESETS
from charrnn.runs.states import RunState
from charrnn.ui import texts
from charrnn.ui.form import SETTINGS
from charrnn.ui.texts import TABLES


class Asked:
    """A request as far as its headers go."""

    def __init__(self, header):
        self.headers = {"accept-language": header} if header else {}


def placeholders(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same_things_with_the_same_values():
    english, japanese = TABLES["en"], TABLES["ja"]
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert placeholders(text) == placeholders(japanese[key]), key
        assert japanese[key].strip(), key


def test_every_setting_preset_and_state_has_words():
    for name in SETTINGS:
        assert {f"setting.{name}", f"help.{name}"} <= TABLES["en"].keys()
    for name in PRESETS:
        assert {f"train.preset.{name}", f"train.about.{name}"} <= TABLES["en"].keys()
    assert {f"state.{state}" for state in RunState} <= TABLES["en"].keys()


def test_presets_are_told_as_their_own_summaries():
    for name, preset in PRESETS.items():
        assert TABLES["en"][f"train.about.{name}"] == preset.summary


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en-US;q=0.8", "ja"),
        ("en-US,en;q=0.9,ja;q=0.8", "en"),
        ("de-DE,de;q=0.9", "en"),
        ("de,ja;q=0.5", "ja"),
        ("", "en"),
        ("*", "en"),
    ],
)
def test_the_language_is_the_first_one_known(header, lang):
    assert texts.language(Asked(header)) == lang


def test_a_code_from_the_browser_is_checked():
    assert texts.known("ja") == "ja"
    assert texts.known("__class__") == "en"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (120, "2 min"),
        (125, "2 min 5 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(seconds, told):
    assert texts.duration("en", seconds) == told


def test_bounds_are_written_as_people_write_them():
    assert texts.shorten(1e-6) == "0.000001"
    assert texts.shorten(0.99999) == "0.99999"
    assert texts.shorten(10_000) == "10,000"
    assert texts.shorten(2**63 - 1) == "2^63"
    assert texts.shorten(0) == "0"


def test_fixed_html_holds_no_script_and_escapes_its_words():
    for table in TABLES.values():
        for key in ("masthead", "welcome", "card.0"):
            assert "<script" not in table[key]
    assert texts.resting_card("<b>") == (
        '<article class="card"><p class="resting">&lt;b&gt;</p></article>'
    )
