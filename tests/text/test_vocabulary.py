"""Characters to ids and back, for any text there is."""

import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.config import MAX_VOCAB_SIZE
from charrnn.errors import ConfigError
from charrnn.text import vocabulary
from charrnn.text.vocabulary import UNKNOWN, UNKNOWN_ID, Vocabulary, count_characters

SENTENCE = "to be, or not to be"


def test_ids_are_in_the_order_of_code_points_after_unknown():
    found = Vocabulary.of("🍰ba\nあb é")
    assert found.entries == (UNKNOWN, "\n", " ", "a", "b", "é", "あ", "🍰")
    assert len(found) == 8
    ids = found.encode("a🍰\nz")
    np.testing.assert_array_equal(ids, [3, 7, 1, UNKNOWN_ID])
    assert ids.dtype == np.uint8


@given(st.text(min_size=1))
def test_any_text_comes_back(text):
    known = Vocabulary.of(text)
    ids = known.encode(text)
    assert ids.shape == (len(text),)
    assert UNKNOWN_ID not in ids
    assert known.decode(ids) == text
    assert known == Vocabulary.of(reversed(text))
    assert known.unknown(text) == ""
    assert list(known.entries[1:]) == sorted(set(text))


@given(st.text(), st.text(min_size=1))
def test_unknown_characters_are_reported_once_in_order(prompt, text):
    known = Vocabulary.of(text)
    ids = known.encode(prompt)
    missing = [c for c in dict.fromkeys(prompt) if c not in text]
    assert known.unknown(prompt) == "".join(missing)
    assert [c for c, i in zip(prompt, ids, strict=True) if i == UNKNOWN_ID] == [
        c for c in prompt if c in missing
    ]


def test_unknown_is_written_out():
    assert Vocabulary.of("ab").decode([1, 0, 2]) == "a[UNK]b"


def test_half_a_character_in_a_prompt_is_unknown():
    known = Vocabulary.of(SENTENCE)
    np.testing.assert_array_equal(known.encode("\ud83d"), [UNKNOWN_ID])
    assert known.unknown("o\ud83d") == "\ud83d"


@pytest.mark.parametrize("size", [255, 256])
def test_the_smallest_type_that_holds_every_id(size):
    characters = [chr(0x4E00 + i) for i in range(size)]
    known = Vocabulary.of(characters)
    ids = known.encode(characters[-1])
    assert ids.dtype == known.dtype == (np.uint8 if size == 255 else np.uint16)
    assert ids[0] == size


def test_an_empty_text_has_no_ids():
    assert Vocabulary.of("a").encode("").shape == (0,)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), "begins with"),
        ((UNKNOWN,), "at least one character"),
        (("a", "b"), "begins with"),
        (("[unk]", "a"), "begins with"),
        ((UNKNOWN, "b", "a"), "ascending"),
        ((UNKNOWN, "a", "a"), "distinct"),
        ((UNKNOWN, "ab"), "one character"),
        ((UNKNOWN, ""), "one character"),
        ((UNKNOWN, "a", "\ud800"), "lone surrogate"),
        ((UNKNOWN, "\udfff"), "lone surrogate"),
    ],
)
def test_entries_of_another_form_are_refused(entries, message):
    with pytest.raises(ConfigError, match=message):
        Vocabulary(entries)


def test_at_most_so_many_entries():
    characters = [chr(0x4E00 + i) for i in range(MAX_VOCAB_SIZE)]
    assert len(Vocabulary.of(characters[1:])) == MAX_VOCAB_SIZE
    with pytest.raises(ConfigError, match="8,193 entries: at most 8,192"):
        Vocabulary.of(characters)


def test_counts():
    assert list(count_characters("b🍰aab\n").items()) == [
        ("\n", 1),
        ("a", 2),
        ("b", 2),
        ("🍰", 1),
    ]
    assert count_characters("") == {}
    assert count_characters(chr(sys.maxunicode)) == {chr(sys.maxunicode): 1}


def test_chunks_make_no_difference(monkeypatch):
    text = SENTENCE * 5 + "🍰あ"
    known, counts = Vocabulary.of(text), count_characters(text)
    whole = known.encode(text)
    for chunk in (1, 7, len(text) - 1, len(text)):
        monkeypatch.setattr(vocabulary, "CHUNK", chunk)
        np.testing.assert_array_equal(known.encode(text), whole)
        assert count_characters(text) == counts


def test_encoding_takes_a_byte_a_character_and_a_little():
    text = SENTENCE * 500_000  # 9.5 million characters
    known = Vocabulary.of(SENTENCE)
    tracemalloc.start()
    ids = known.encode(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ids.nbytes == len(text)
    assert peak < len(text) + 20e6
