"""Which passages of a text stand word for word in another.

Every window of 40 characters of either text becomes one 64-bit number, and
the numbers are looked up in each other: a polynomial over the code points,
modulo 2**64. Two different windows share a number once in 10**19, so a match
is a match. The long text is read in pieces and never held whole.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

WINDOW: Final = 40  # characters: by chance alone nothing this long recurs
PIECE: Final = 500_000  # characters of the long text at once: some 10 MB of numbers
MAX_CHARACTERS: Final = 20_000_000  # of the long text: a few seconds of work
_BASE: Final = np.uint64(6364136223846793005)  # odd, from Knuth's MMIX generator


def _window_hashes(text: str) -> npt.NDArray[np.uint64]:
    """One number for each window, shape ``(len(text) - WINDOW + 1,)``.

    A window of 40 is put together by doubling: 1, 2, 4, ... 32, and 32 + 8.
    """
    data = text.encode("utf-32-le", "surrogatepass")
    width, hashes = 1, np.frombuffer(data, "<u4").astype(np.uint64) + np.uint64(1)
    power = _BASE
    kept = hashes
    while width < 32:
        if width == 8:
            kept, kept_power = hashes, power
        hashes = hashes[:-width] * power + hashes[width:]
        width, power = 2 * width, power * power
    return hashes[:-8] * kept_power + kept[32:]


def pieces(path: Path) -> Iterator[str]:
    """The start of a UTF-8 file, piece by piece."""
    left = MAX_CHARACTERS
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece


def passages(text: str, source: Iterable[str]) -> list[tuple[int, int]]:
    """Where a text repeats at least 40 characters of a source.

    Args:
        text: What was written.
        source: The long text in pieces, in order.

    Returns:
        Start and end of each passage, ascending, none touching another.
    """
    if len(text) < WINDOW:
        return []
    with np.errstate(over="ignore"):
        wanted = np.unique(_window_hashes(text))
        found = np.zeros(len(wanted), bool)
        tail = ""
        for piece in source:
            joined = tail + piece
            if len(joined) >= WINDOW:
                hashes = _window_hashes(joined)
                at = np.searchsorted(wanted, hashes)
                at[at == len(wanted)] = 0
                found[at[wanted[at] == hashes]] = True
            tail = joined[-(WINDOW - 1) :]
        hits = found[np.searchsorted(wanted, _window_hashes(text))]
    return _merge(np.flatnonzero(hits))


def _merge(starts: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start in starts.tolist():
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], start + WINDOW)
        else:
            merged.append((start, start + WINDOW))
    return merged
