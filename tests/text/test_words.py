"""What a word is, and what is counted of a text."""

import pytest

from charrnn.text import words as module
from charrnn.text.words import (
    complete_words,
    has_words,
    invented,
    listed,
    repeats,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("12 3.4 -- ''", []),
        ("Don't don\u2019t DON'T", ["don't", "don't", "don't"]),
        ("'tis rock'n'roll dogs' it''s", ["tis", "rock'n'roll", "dogs", "it", "s"]),
        ("well-known_name2be", ["well", "known", "name", "be"]),
        ("Ünï İstanbul ЁЖ", ["ünï", "i̇stanbul", "ёж"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # marks are part of a word
        ("שָׁלוֹם مَرْحَبًا", ["שָׁלוֹם", "مَرْحَبًا"]),
        ("e\u0301cole", ["e\u0301cole"]),
        ("a\ud800b", ["a", "b"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("", "one two thr", ["one", "two"]),  # the last one may be cut
        ("", "one two ", ["one", "two"]),
        ("RO", "MEO: who", ["romeo"]),  # begun by the prompt, ended here
        ("all mine", " end ", ["end"]),
        ("all mine", "d end ", ["mined", "end"]),
        ("do", "n't ", ["don't"]),
        ("one", "", []),
    ],
)
def test_words_that_end_in_the_text(prompt, text, expected):
    assert complete_words(prompt, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Shall I compare thee", True),
        ("Привет мир", True),
        ("안녕 세상", True),
        ("春はあけぼの。やうやう白くなりゆく", False),
        ("床前明月光", False),
        ("สวัสดีชาวโลก", False),
        ("彼はDNAと言った", False),
        ("a text with one 漢字", True),
        ("123 --", False),
        ("", False),
    ],
)
def test_where_there_are_words(text, expected):
    assert has_words(text) is expected


def test_the_list_is_sorted_and_has_each_word_once():
    assert listed("The sea. the Sand! a 1") == "a\nsand\nsea\nthe\n"
    assert listed("") == ""


def test_invented_words():
    assert invented(["the", "sae", "the", "sea"], frozenset({"the", "sea"})) == 0.25
    assert invented([], frozenset({"the"})) is None


def test_repeated_runs_of_words():
    assert repeats("a b c") is None
    assert repeats("a b c d") == 0
    # runs: abcd bcda cdab dabc abcd
    assert repeats("A b c, d! a b c d") == 1 / 5
    assert repeats("no " * 100) == 96 / 97


def test_repeated_runs_of_characters_where_there_are_no_spaces():
    assert repeats("春" * 19) is None
    assert repeats("春" * 29) == 9 / 10
    # 26 characters, 7 runs of 20, each another one
    assert repeats("あいうえおかきくけこさしすせそたちつてとなにぬねのは") == 0
    assert module.RUN_CHARACTERS == 20
