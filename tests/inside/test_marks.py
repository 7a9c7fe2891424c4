"""Each mark on a text that shows it, character by character."""

import numpy as np
import pytest

from charrnn.inside.marks import MARKS, marks_of

EXAMPLES = [
    ("line_position", "ab\ncd", [1, 2, 0, 1, 2]),
    ("word_position", "a bé, c", [1, 0, 1, 2, 0, 0, 1]),
    ("previous_line_length", "abc\nd\ne", [0, 0, 0, 0, 3, 3, 1]),
    ("previous_line_length", "a\n", [0, 0]),
    ("indentation", "a\n  b\n\n c", [0, 0, 0, 0, 2, 0, 0, 0, 1]),
    ("bracket_depth", ")(a[b])」c", [0, 1, 1, 2, 2, 1, 0, 0, 0]),
    ("in_brackets", "a(b)「c」", [0, 1, 1, 0, 1, 1, 0]),
    ("in_quotes", 'a "b" c', [0, 0, 1, 1, 0, 0, 0]),
    ("in_quotes", 'a "b\n"', [0, 0, 0, 0, 0, 0]),
    ("in_quotes", "「日」x", [1, 1, 0, 0]),
    ("in_comment", "a # b\nc/*\n*/d", [0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0]),
    ("speaker", "A B:\nx: y\n", [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]),
    ("speaker", "王\uff1a\n「は」", [1, 1, 0, 0, 0, 0]),
    ("in_number", "1 23 4.5", [0, 0, 1, 1, 0, 1, 1, 1]),
    ("after_colon", "a: b\nc", [0, 0, 1, 1, 0, 0]),
    ("blank_line_before", "a\nb\n\ncd\ne", [0, 0, 0, 0, 0, 1, 1, 0, 0]),
    ("sentence_start", "ab. c d? 日本", [1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]),
    ("word_end", "ab c. d", [0, 1, 0, 1, 0, 0, 1]),
    ("capital", "aBÉ1", [0, 1, 1, 0]),
    ("digit", "a1٣", [0, 1, 1]),
    ("vowel", "aÉby", [1, 1, 0, 0]),
    ("punctuation", "a,b。c+", [0, 1, 0, 1, 0, 0]),
    ("repeated", "aab", [0, 1, 0]),
    ("kana", "あア日a", [1, 1, 0, 0]),
    ("kanji", "あア日a", [0, 0, 1, 0]),
    ("latin", "あ日aé1", [0, 0, 1, 1, 0]),
]


@pytest.mark.parametrize(("name", "text", "expected"), EXAMPLES)
def test_a_mark_says_of_each_character(name, text, expected):
    assert MARKS[name](text).tolist() == expected


def test_every_mark_has_an_example():
    assert {name for name, _, _ in EXAMPLES} == set(MARKS)


@pytest.mark.parametrize("name", MARKS)
def test_a_mark_has_as_many_entries_as_the_text_has_characters(name):
    for text in ("", "a", "\n", '(a\n\nB: "c" 12 # 日あ', "\n\n", " "):
        assert MARKS[name](text).shape == (len(text),), text


def test_what_a_text_has_not_in_both_halves_is_left_out():
    plain = "abc de\n" * 40
    found = marks_of(plain)
    assert {"line_position", "word_position", "word_end", "vowel"} <= set(found)
    absent = {"bracket_depth", "digit", "kanji", "in_comment", "capital", "indentation"}
    assert not absent & set(found)
    assert "digit" not in marks_of(plain + "123")
    assert "digit" in marks_of("123" + plain + "123")
    assert all(np.isfinite(values).all() for values in found.values())
