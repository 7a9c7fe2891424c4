"""Characters to ids and back.

Id 0 is `[UNK]`, as in TensorFlow's tutorial: it stands for every character
that the text did not hold. The others are the text's distinct code points in
ascending order, so the same text always gives the same ids.
"""

import itertools
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from charrnn.config import MAX_VOCAB_SIZE
from charrnn.errors import ConfigError

UNKNOWN = "[UNK]"
UNKNOWN_ID = 0
CHUNK = 1 << 20  # characters turned into numbers at once: 4 MB of UTF-32


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    # surrogatepass: a lone surrogate in a prompt is an unknown character, no crash
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def count_characters(text: str) -> dict[str, int]:
    """How often each distinct character occurs, in ascending code points."""
    counts = np.zeros(sys.maxunicode + 1, np.int64)
    for start in range(0, len(text), CHUNK):
        points = _code_points(text[start : start + CHUNK])
        counts += np.bincount(points, minlength=len(counts))
    return {chr(point): int(counts[point]) for point in np.flatnonzero(counts)}


def by_frequency(text: str, *, without: "Vocabulary | None" = None) -> list[str]:
    """The distinct characters of a text, the most frequent first.

    Among equally frequent ones those with lower code points come first.

    Args:
        text: The text.
        without: Leave out the characters that this vocabulary holds.
    """
    counts = count_characters(text)
    left_out = frozenset(without.entries[1:] if without else ())
    return sorted(
        counts.keys() - left_out, key=lambda character: (-counts[character], character)
    )


@dataclass(frozen=True)
class Vocabulary:
    """The characters a model knows.

    Args:
        entries: `[UNK]` and then distinct single characters in ascending code
            point order, ``vocab_size`` in all.

    Raises:
        ConfigError: If the entries are not of that form.
    """

    entries: tuple[str, ...]

    def __post_init__(self) -> None:
        characters = self.entries[1:]
        if not characters or self.entries[0] != UNKNOWN:
            raise ConfigError(
                f"A vocabulary begins with {UNKNOWN} and holds at least one character."
            )
        if len(self.entries) > MAX_VOCAB_SIZE:
            raise ConfigError(
                f"The vocabulary has {len(self.entries):,} entries: "
                f"at most {MAX_VOCAB_SIZE:,} are supported."
            )
        if any(len(character) != 1 for character in characters):
            raise ConfigError("Every entry but the first must be one character.")
        if any("\ud800" <= character <= "\udfff" for character in characters):
            raise ConfigError("A lone surrogate is no character.")
        if any(a >= b for a, b in itertools.pairwise(characters)):
            raise ConfigError("The characters must be distinct and in ascending order.")

    @classmethod
    def of(cls, characters: Iterable[str]) -> "Vocabulary":
        """The vocabulary of some characters, in any order, repeats allowed."""
        return cls((UNKNOWN, *sorted(set(characters))))

    def grown(self, characters: Iterable[str]) -> "Vocabulary":
        """The same with more characters: a vocabulary of its own, sorted anew."""
        return self.of((*self.entries[1:], *characters))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        """The smallest integer type that holds every id."""
        return np.uint8 if len(self) <= 256 else np.uint16

    @cached_property
    def _table(self) -> npt.NDArray[np.integer]:
        """Id of every code point, `UNKNOWN_ID` where there is none."""
        table = np.zeros(sys.maxunicode + 1, self.dtype)
        for index, character in enumerate(self.entries[1:], start=1):
            table[ord(character)] = index
        return table

    def encode(self, text: str) -> npt.NDArray[np.integer]:
        """Ids of a text, shape ``(len(text),)``, of type `dtype`.

        Works through the text in chunks: beside the result it never holds
        more than a few megabytes.
        """
        ids = np.empty(len(text), self.dtype)
        for start in range(0, len(text), CHUNK):
            points = _code_points(text[start : start + CHUNK])
            np.take(self._table, points, out=ids[start : start + len(points)])
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; `[UNK]` is written out as such."""
        return "".join(self.entries[index] for index in ids)

    def unknown(self, text: str) -> str:
        """The distinct characters of a text that map to `[UNK]`, in order."""
        seen = dict.fromkeys(text)
        return "".join(c for c in seen if self._table[ord(c)] == UNKNOWN_ID)
