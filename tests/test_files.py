"""Which characters are replaced in lines and lists, and which stay."""

import dataclasses
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn import card
from charrnn.cli.output import emit
from charrnn.files import is_safe, one_line, quoted, replace_unsafe
from charrnn.model import checkpoint
from charrnn.runs import control
from charrnn.runs.listing import models
from tests.builders import make_folder, make_record

ORDINARY = {
    "French": "\u00ab\u00a0O\u00f9\u202f?\u00a0\u00bb dit-il\u00a0!",
    "Chinese": "\u4ece\u524d\u3000\u6709\u5ea7\u5c71",
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
    "marks": "\u05d0\u200f \u200eabc\u00ad e\u0301",
    "new": "\U0001fae9 \U0001fac8",  # of a Unicode version that Python may not know
}
ACTING = "\x00\x07\x1b\x7f\x85\x9b\u2028\u2029\u202a\u202e\u2066\u2069\ud83d"


@given(st.text(st.characters()))
def test_only_what_acts_is_replaced(text):
    kept = replace_unsafe(text, keep="\n\t")
    assert len(kept) == len(text)
    for before, after in zip(text, kept, strict=True):
        acts = (
            unicodedata.category(before) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(before)
            in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        ) and before not in "\n\t"
        assert after == ("\ufffd" if acts else before)


@pytest.mark.parametrize("character", ACTING)
def test_what_acts_on_a_terminal_or_the_order_of_a_line(character):
    assert not is_safe(character)
    assert replace_unsafe(f"a{character}b") == "a\ufffdb"
    assert one_line(f"a{character}b") == "a b"
    assert quoted(f"a{character}b") == f"'a{ascii(character)[1:-1]}b'"


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_texts_stay_as_they_are(text, isolated, capfd):
    assert is_safe(text)
    assert one_line(f" {text}\n") == text
    assert quoted(text) == f"'{text}'"
    path = make_folder(isolated / "mine", make_record(title=text))
    assert checkpoint.read_record(path).title == text
    (entry,) = [entry for entry in models() if not entry.shipped]
    assert entry.record.title == text
    control.rename("mine", f"{text} 2")
    assert checkpoint.read_record(path).title == f"{text} 2"
    record = dataclasses.replace(make_record(), title=text)
    written = card.card(record, samples={0.8: text})
    assert f"```text\n{text}\n```" in written
    emit(text)
    assert capfd.readouterr().err == f"{text}\n"


@pytest.mark.parametrize("text", ["", " \n", "\u00a0\u3000", "\u200b\u200d", "\x1b"])
def test_a_line_of_nothing_to_be_seen_is_empty(text):
    assert one_line(text) == ""


def test_a_line_has_at_most_so_many_characters():
    assert one_line("a  b" * 100, 5) == "a ba"
    assert one_line("x" * 300) == "x" * 200
    assert one_line("x" * 300, None) == "x" * 300
