"""The parts of a text that a loss is made of: each character belongs to one.

A word is as in `words`: a run of letters, marks and inner apostrophes. The letters of
scripts that are written without spaces between words are parts of their own.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from charrnn.text import words

PARTS: Final = (
    "word_starts",  # the first letters of words
    "word_insides",  # the letters after them
    "capitals",  # words of two letters or more, all of them capitals: names in a play
    "digits",
    "ideographs",  # Chinese characters
    "spaceless",  # letters of the other scripts without spaces: kana, Thai, Khmer
    "signs",  # spaces, punctuation and all else
    "line_breaks",
)
START, INSIDE, CAPITALS, DIGITS, IDEOGRAPHS, SPACELESS, SIGNS, BREAKS = range(8)
MAX_PARTS: Final = 32  # that a file may name: another version may have others
Codes = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Part:
    """What a part has in a loss.

    Args:
        characters: How many of the predicted characters belong to it.
        loss: Their nats, divided by the number of all predicted characters, so that
            the parts of a loss sum to it.
    """

    characters: Annotated[int, Field(ge=0, lt=2**53)]
    loss: Annotated[float, Field(ge=0, le=1e39)]


Parts = Annotated[Mapping[str, Part], Field(max_length=MAX_PARTS)]


def _alone(character: str) -> int:
    """The part of a character as far as it tells it itself."""
    if character == "\n":
        return BREAKS
    category = unicodedata.category(character)[0]
    if category == "N":
        return DIGITS
    if category not in "LM":
        return SIGNS
    if words.SPACELESS.match(character):
        named = "IDEOGRAPH" in unicodedata.name(character, "")
        return IDEOGRAPHS if named else SPACELESS
    return INSIDE


def codes(text: str) -> Codes:
    r"""The part of each character, an index into `PARTS`; shape ``(length,)``.

    Example:
        >>> codes("KING: I don't,\n7").tolist()
        [2, 2, 2, 2, 6, 6, 0, 6, 0, 1, 1, 1, 1, 6, 7, 3]
    """
    alone = {character: _alone(character) for character in set(text)}
    found = np.fromiter((alone[c] for c in text), np.uint8, len(text))
    letters = words.letters_alone(text).translate(
        {ord(c): " " for c, part in alone.items() if part in (IDEOGRAPHS, SPACELESS)}
    )
    for match in words.WORD.finditer(letters):
        start, end = match.span()
        if match[0].isupper() and sum(map(str.isalpha, match[0])) > 1:
            found[start:end] = CAPITALS
        else:
            found[start] = START
            found[start + 1 : end] = INSIDE  # an apostrophe among them
    return found


class Sums:
    """Nats gathered by part.

    Example:
        >>> sums = Sums()
        >>> sums.add(np.array([0, 6], np.uint8), np.array([2.0, 1.0]))
        >>> sums.parts()["word_starts"]
        Part(characters=1, loss=1.0)
    """

    def __init__(self) -> None:
        self._nats = np.zeros(len(PARTS))
        self._counts = np.zeros(len(PARTS), np.int64)

    def add(self, part: Codes, nats: npt.NDArray[np.floating]) -> None:
        """Add characters.

        Args:
            part: Of each character, shape ``(count,)``.
            nats: What each costs, shape ``(count,)``.
        """
        self._nats += np.bincount(part, nats, len(PARTS))
        self._counts += np.bincount(part, minlength=len(PARTS))

    def parts(self) -> dict[str, Part]:
        """The parts that have characters, by name in the order of `PARTS`."""
        total = int(self._counts.sum())
        return {
            name: Part(int(count), float(nats) / total)
            for name, count, nats in zip(PARTS, self._counts, self._nats, strict=True)
            if count
        }
