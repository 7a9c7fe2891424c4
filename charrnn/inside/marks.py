"""Marks: what a unit may follow, a number or a truth for each character of a text.

Each is a pure function of the text. Entry ``i`` describes character ``i``, which the
network has just read. Where a text has nothing to mark (no bracket, no digit), its
mark is left out: a constant has no correlation.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

Mark = npt.NDArray[np.float64]  # (length,)

_OPENING: Final = "([{（「『【〔［｛"
_CLOSING: Final = ")]}）」』】〕］｝"
_ENDS: Final = ".!?。！？"
_VOWELS: Final = "aeiou"
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_SPEAKER: Final = re.compile(r"^(?=\S)[^:：\n]{1,40}[:：][ \t]*$", re.MULTILINE)
_COMMENT: Final = re.compile(r"(?:#|//)[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED: Final = re.compile(r'"[^"\n]*"|“[^”\n]*”|«[^»\n]*»|「[^」\n]*」|『[^』\n]*』')


def _each(text: str, rule: Callable[[str], object]) -> Mark:
    """A rule of the character alone, asked once for each distinct one."""
    answers = {character: float(bool(rule(character))) for character in set(text)}
    return np.array([answers[character] for character in text])


def _spans(length: int, spans: Iterable[tuple[int, int]]) -> Mark:
    """1 from each start up to its end."""
    found = np.zeros(length)
    for start, end in spans:
        found[start:end] = 1
    return found


def _since(resets: npt.NDArray[np.bool_]) -> Mark:
    """Places since the last reset, which has 0; the text's start counts as one."""
    places = np.arange(len(resets))
    last = np.maximum.accumulate(np.where(resets, places, -1))
    return np.asarray(places - last, np.float64)


def line_position(text: str) -> Mark:
    r"""Characters read of the line; its line break has 0.

    Example:
        >>> line_position("ab\nc").tolist()
        [1.0, 2.0, 0.0, 1.0]
    """
    return _since(_each(text, "\n".__eq__) > 0)


def word_position(text: str) -> Mark:
    """Letters read of the word, 0 outside words."""
    return _since(_each(text, str.isalpha) == 0)


def previous_line_length(text: str) -> Mark:
    """Characters of the line before, without its line break; 0 in the first line."""
    lines = text.split("\n")
    before = [0, *map(len, lines[:-1])]
    sizes = [len(line) + 1 for line in lines]
    return np.repeat(np.array(before, np.float64), sizes)[: len(text)]


def indentation(text: str) -> Mark:
    """Blanks at the start of the line, known from its first other character on."""
    found = np.zeros(len(text))
    for match in re.finditer(r"^([ \t]+)(?=[^\s])[^\n]*", text, re.MULTILINE):
        found[match.end(1) : match.end()] = len(match[1])
    return found


def bracket_depth(text: str) -> Mark:
    """Brackets that are open after the character; a closing one too many is none."""
    depth, found = 0, []
    for character in text:
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        found.append(depth)
    return np.array(found, np.float64)


def in_brackets(text: str) -> Mark:
    """Whether any bracket is open."""
    return np.asarray(bracket_depth(text) > 0, np.float64)


def in_quotes(text: str) -> Mark:
    """From an opening quotation mark up to its closing one in the same line.

    Example:
        >>> in_quotes('a "b" c').tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    spans = ((m.start(), m.end() - 1) for m in _QUOTED.finditer(text))
    return _spans(len(text), spans)


def in_comment(text: str) -> Mark:
    """Inside a comment of Python, C or their like; a heuristic, blind to strings."""
    return _spans(len(text), (m.span() for m in _COMMENT.finditer(text)))


def speaker(text: str) -> Mark:
    """In a line that is a name and a colon and nothing else, as plays have it."""
    return _spans(len(text), (m.span() for m in _SPEAKER.finditer(text)))


def in_number(text: str) -> Mark:
    """Within a number of two characters or more, separators included."""
    found = (m.span() for m in _NUMBER.finditer(text))
    return _spans(len(text), (span for span in found if span[1] - span[0] > 1))


def after_colon(text: str) -> Mark:
    """In the line of a colon, behind it."""
    spans = (
        (match.start() + 1, match.end()) for match in re.finditer(r"[:：][^\n]+", text)
    )
    return _spans(len(text), spans)


def blank_line_before(text: str) -> Mark:
    """In a line that follows an empty one."""
    spans = (
        (match.start(1), match.end(1))
        for match in re.finditer(r"(?<=\n)\n([^\n]+)", text)
    )
    return _spans(len(text), spans)


def sentence_start(text: str) -> Mark:
    """The first letter after the end of a sentence, or of the text."""
    waiting, found = True, []
    for character in text:
        letter = character.isalpha()
        found.append(float(waiting and letter))
        if letter:
            waiting = False
        if character in _ENDS:
            waiting = True
    return np.array(found)


def word_end(text: str) -> Mark:
    """The last letter of a word."""
    letters = np.append(_each(text, str.isalpha) > 0, False)
    return np.asarray(letters[:-1] & ~letters[1:], np.float64)


def capital(text: str) -> Mark:
    """A capital letter."""
    return _each(text, str.isupper)


def digit(text: str) -> Mark:
    """A digit."""
    return _each(text, str.isdigit)


def vowel(text: str) -> Mark:
    """A Latin vowel, with or without accents."""
    return _each(text, lambda c: unicodedata.normalize("NFD", c)[0].lower() in _VOWELS)


def punctuation(text: str) -> Mark:
    """A punctuation mark, by Unicode's categories."""
    return _each(text, lambda c: unicodedata.category(c).startswith("P"))


def repeated(text: str) -> Mark:
    """The same character as the one before."""
    same = [0.0, *(a == b for a, b in itertools.pairwise(text))]
    return np.array(same[: len(text)], np.float64)


def _script(prefix: str) -> Callable[[str], Mark]:
    def mark(text: str) -> Mark:
        return _each(text, lambda c: unicodedata.name(c, "").startswith(prefix))

    return mark


def kana(text: str) -> Mark:
    """Hiragana or katakana."""
    return _script("HIRAGANA")(text) + _script("KATAKANA")(text)


def kanji(text: str) -> Mark:
    """A Chinese character."""
    return _script("CJK UNIFIED")(text)


def latin(text: str) -> Mark:
    """A Latin letter."""
    return _script("LATIN")(text)


MARKS: Final[dict[str, Callable[[str], Mark]]] = {
    "line_position": line_position,
    "word_position": word_position,
    "previous_line_length": previous_line_length,
    "indentation": indentation,
    "bracket_depth": bracket_depth,
    "in_brackets": in_brackets,
    "in_quotes": in_quotes,
    "in_comment": in_comment,
    "speaker": speaker,
    "in_number": in_number,
    "after_colon": after_colon,
    "blank_line_before": blank_line_before,
    "sentence_start": sentence_start,
    "word_end": word_end,
    "capital": capital,
    "digit": digit,
    "vowel": vowel,
    "punctuation": punctuation,
    "repeated": repeated,
    "kana": kana,
    "kanji": kanji,
    "latin": latin,
}


def marks_of(text: str) -> dict[str, Mark]:
    """The marks that a text has: those that differ between characters of each half.

    What only one half has cannot be chosen on one and tried on the other.
    """
    middle = len(text) // 2
    found = {name: mark(text) for name, mark in MARKS.items()}
    return {
        name: values
        for name, values in found.items()
        if np.ptp(values[:middle]) > 0 and np.ptp(values[middle:]) > 0
    }
