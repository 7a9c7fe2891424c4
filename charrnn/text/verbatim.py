"""Which passages of a text stand word for word in another.

Every window of 40 characters of either text becomes one 64-bit number, and
the numbers are looked up in each other: a polynomial over the code points,
modulo 2**64. Two different windows share a number once in 10**19, so a match
is a match. The long text is read in pieces and never held whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

WINDOW: Final = 40  # characters: by chance alone nothing this long recurs
PIECE: Final = 500_000  # characters of the long text at once: some 10 MB of numbers
MAX_CHARACTERS: Final = 20_000_000  # of the long text: a few seconds of work
Hashes = npt.NDArray[np.uint64]
Span = tuple[int, int]  # start and end
_BASE: Final = np.uint64(6364136223846793005)  # odd, from Knuth's MMIX generator


def _window_hashes(text: str) -> Hashes:
    """One number for each window, shape ``(max(0, len(text) - WINDOW + 1),)``.

    A window of 40 is put together by doubling: 1, 2, 4, ... 32, and 32 + 8. Integer
    arithmetic of arrays wraps around, as the polynomial wants it.
    """
    if len(text) < WINDOW:
        return np.empty(0, np.uint64)
    data = text.encode("utf-32-le", "surrogatepass")
    width, hashes = 1, np.frombuffer(data, "<u4").astype(np.uint64) + np.uint64(1)
    power = _BASE
    kept = hashes
    while width < 32:
        if width == 8:
            kept, kept_power = hashes, power
        hashes = hashes[:-width] * power + hashes[width:]
        with np.errstate(over="ignore"):
            width, power = 2 * width, power * power
    return hashes[:-8] * kept_power + kept[32:]


def pieces(path: Path) -> Iterator[str]:
    """The start of a UTF-8 file, piece by piece."""
    left = MAX_CHARACTERS
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece


def window_hashes(source: Iterable[str]) -> Iterator[Hashes]:
    """The numbers of all windows of a long text.

    Args:
        source: The text in pieces, in order.
    """
    tail = ""
    for piece in source:
        joined = tail + piece
        if len(joined) >= WINDOW:
            yield _window_hashes(joined)
        tail = joined[-(WINDOW - 1) :]


def index(source: Iterable[str]) -> Hashes:
    """The numbers of all windows of a text, sorted: to look many texts up in.

    Args:
        source: The text in pieces, in order; 8 bytes are kept for each character.
    """
    known = np.concatenate([np.empty(0, np.uint64), *window_hashes(source)])
    known.sort()
    return known


def look_up(texts: Sequence[str], known: Hashes) -> list[list[Span]]:
    """Where each text repeats at least 40 characters of a text with this `index`.

    Returns:
        For each text start and end of each passage, ascending, none touching another.
    """
    own = [_window_hashes(text) for text in texts]
    return [_merge(np.flatnonzero(_among(known, hashes))) for hashes in own]


def passages(texts: Sequence[str], source: Iterable[str]) -> list[list[Span]]:
    """The same for a source that is read once and not kept.

    Args:
        texts: What was written.
        source: The long text in pieces, in order.
    """
    own = [_window_hashes(text) for text in texts]
    wanted = np.unique(np.concatenate([np.empty(0, np.uint64), *own]))
    found = np.zeros(len(wanted), bool)
    for hashes in window_hashes(source):
        if len(wanted):
            at = np.searchsorted(wanted, hashes)
            at[at == len(wanted)] = 0
            found[at[wanted[at] == hashes]] = True
    return look_up(texts, wanted[found])


def _among(known: Hashes, hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Which of the hashes are among the known, sorted ones."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    at = np.searchsorted(known, hashes)
    at[at == len(known)] = 0
    matching: npt.NDArray[np.bool_] = known[at] == hashes
    return matching


def _merge(starts: npt.NDArray[np.intp]) -> list[Span]:
    merged: list[Span] = []
    for start in starts.tolist():
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], start + WINDOW)
        else:
            merged.append((start, start + WINDOW))
    return merged
