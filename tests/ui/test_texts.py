"""The locale files: complete, used, and chosen by the request."""

import ast
import json
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.config import setting_field
from charrnn.inside.holding import statistic_of
from charrnn.inside.marks import MARKS
from charrnn.presets import PRESETS
from charrnn.runs.figures import TextFigures
from charrnn.runs.states import RunState
from charrnn.text import sources
from charrnn.text.parts import PARTS
from charrnn.ui import chart, curve_panel, labels, sharing, texts
from charrnn.ui.form import GROUPS
from charrnn.ui.labels import PAGE_WORDS, TEMPERATURE_NAMES
from charrnn.ui.links import COMPARED, MAX_COLUMNS
from charrnn.ui.settings import CHIPS, SETTINGS
from charrnn.ui.texts import TABLES
from charrnn.ui.verdict import Standing
from charrnn.ui.writing_request import NUMBERS
from tests.builders import PageRequest

UI = Path(texts.__file__).parent
TRANSLATING = {"translate": 1, "i18n": 0}  # function: which argument is the key
COLUMN_LABELS = {f"column.{by}.{i}" for by in COMPARED for i in range(MAX_COLUMNS)}
COMPOSED = {  # made of other texts in `labels`, in no locale file
    *("masthead", "welcome"),
    "inside.rest",
    *("card", "examples", "temperature.names", "next.strip", "colours", "page.words"),
    *COLUMN_LABELS,
    *(f"train.chip.{number}" for number in CHIPS),
}
# keys that the code puts together: what stands before the part that varies, and
# all that the part can be
DYNAMIC = {
    "temperature.": set(TEMPERATURE_NAMES),
    "column.temperature.": {str(index) for index in range(MAX_COLUMNS)},
    "column.": {label.removeprefix("column.") for label in COLUMN_LABELS},
    **{key: set(COMPARED) for key in ("by.", "column_of.", "written.", "two.")},
    "compared.": {"step", "top_p"},
    "curve.": set(curve_panel.COLOURS),
    "generate.": {
        *NUMBERS,
        "temperature",
        *(f"{name}_info" for name in NUMBERS if name != "length"),
    },
    "page.": set(PAGE_WORDS),
    "help.": set(SETTINGS),
    "figure.": {
        name + ending
        for name in TextFigures.__annotations__
        for ending in ("", "_help")
    },
    "setting.": set(SETTINGS),
    "train.advanced.": set(GROUPS),
    "train.chip.": {str(number) for number in CHIPS},
    "train.preset.": set(PRESETS),
    "train.about.": set(PRESETS),
    "text.": set(sources.NAMED),
    "state.": set(RunState),
    "sweep.": {"ended", "mean", "spread", "seeds"},
    "hub.kind.": set(sharing.KINDS),
    "series.": set(chart.COLOURS),
    "mark.": set(MARKS),
    "inside.total.": {
        *("bits", "perplexity", "characters", "unknown"),
        *("first", "second", "difference"),
    },
    "inside.line.": {"bits", "first", "second", "difference", "low", "high"},
    "inside.nearest.": {"character", "back", "share"},
    "inside.reach.": {"half", "half_only", "none", "table", "last", "share"},
    "inside.difference.": {"more", "less", "least"},
    "hand.statistic.": {statistic_of(name).kind for name in MARKS},
    "inside.worst.": {"character", "bits", "expected"},
    "inside.units.": {
        *("mark", "unit", "correlation", "control", "r2", "r2_control"),
        *("colour", "hint", "none", "rest", "comma"),
    },
    "loss.": set(chart.UNITS),
    "film.": {"play", "pause", "slider"},
    "part.": set(PARTS),
    "parts.": {"part", "nats", "of_loss", "of_text"},
    "reliability.": {"said", "right", "characters"},
    "standing.": set(Standing),
    "runs.": {"title", "text", "settings", "loss", "state"},
}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def keys_of(node: ast.expr) -> Iterator[str]:
    """The keys that an argument can be: literals, and prefixes with a star."""
    match node:
        case ast.Constant(value=str(key)):
            yield key
        case ast.IfExp(body=body, orelse=orelse):
            yield from keys_of(body)
            yield from keys_of(orelse)
        case ast.JoinedStr(values=[ast.Constant(value=prefix), *_]):
            yield f"{prefix}*"
        case _:
            raise AssertionError(f"a key that cannot be found: {ast.unparse(node)}")


def used_in(source: str) -> Iterator[str]:
    """The keys of all calls of `translate` and `i18n`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = TRANSLATING.get(node.func.id)
            if place is not None:
                yield from keys_of(node.args[place])


def used_keys() -> set[str]:
    found: set[str] = set()
    for path in UI.glob("*.py"):
        for key in used_in(path.read_text(encoding="utf-8")):
            prefix = key.removesuffix("*")
            found |= (
                {prefix + rest for rest in DYNAMIC[prefix]} if prefix != key else {key}
            )
    return found


def test_every_language_says_the_same_things_with_the_same_values():
    english = TABLES[texts.FALLBACK]
    for lang, table in TABLES.items():
        assert table.keys() == english.keys(), lang
        for key, text in table.items():
            assert placeholders(text) == placeholders(english[key]), (lang, key)
            assert text.strip(), (lang, key)


def test_every_text_is_used_and_every_used_text_is_there():
    assert used_keys() == TABLES[texts.FALLBACK].keys() | COMPOSED


def test_the_scan_finds_each_way_of_naming_a_text():
    source = """
translate(lang, "a.literal", count=1)
translate(lang, "one" if wrong else "two")
i18n(f"prefix.{name}")
"""
    assert set(used_in(source)) == {"a.literal", "one", "two", "prefix.*"}
    with pytest.raises(AssertionError, match="cannot be found: key"):
        list(used_in("translate(lang, key)"))


def test_explanations_are_those_of_the_settings():
    english = TABLES["en"]
    for name in SETTINGS:
        assert english[f"help.{name}"] == setting_field(name).metadata["help"]


def test_a_language_is_one_file(tmp_path):
    (tmp_path / "de.json").write_text('{"title": "x"}', encoding="utf-8")
    assert texts.load(tmp_path) == {"de": {"title": "x"}}
    assert set(TABLES) == {path.stem for path in texts.LOCALES.iterdir()}


def test_a_locale_file_names_no_key_twice():
    def no_duplicates(pairs: list[tuple[str, str]]) -> dict[str, str]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    for path in texts.LOCALES.iterdir():
        json.loads(path.read_text("utf-8"), object_pairs_hook=no_duplicates)


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
    assert texts.language(PageRequest(lang=header)) == lang


@pytest.mark.parametrize(
    ("headers", "lang"),
    [
        ({"cookie": "charrnn_lang=ja"}, "ja"),
        ({"cookie": "a=b; charrnn_lang=ja-JP; get=x"}, "ja"),
        ({"x-charrnn-lang": "ja"}, "ja"),
        ({"x-charrnn-lang": "ja", "cookie": "charrnn_lang=en"}, "ja"),
        ({"x-charrnn-lang": "xx", "cookie": "charrnn_lang=ja"}, "ja"),
        ({"cookie": "charrnn_lang=__class__"}, "en"),
        ({"cookie": "charrnn_lang"}, "en"),
    ],
)
def test_a_language_chosen_in_the_page_comes_before_the_browsers(headers, lang):
    assert texts.language(PageRequest(lang="en-US", **headers)) == lang


def test_no_header_at_all_is_english():
    request = PageRequest()
    request.headers = {}
    assert texts.language(request) == "en"


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


def test_the_browser_is_given_every_label_in_every_language():
    for lang, table in labels.i18n.translations_dict.items():
        assert table.keys() == TABLES[lang].keys() | COMPOSED
        for key in COMPOSED:
            assert "<script" not in table[key]
