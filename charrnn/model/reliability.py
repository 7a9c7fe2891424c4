"""Whether a model's probabilities mean what they say.

Predictions are put into bins by the probability of their likeliest character. In each
bin stands what was said, that probability on average, beside how often that character
did follow. A model whose probabilities mean what they say has both equal.

Reference:
    Guo et al. 2017, On Calibration of Modern Neural Networks, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

BINS: Final = 10  # of equal width, from 0 to 1

_Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Bin:
    """Predictions whose likeliest character had about the same probability.

    Args:
        said: That probability, their mean.
        right: The share of them in which that character followed.
        characters: How many there are.
    """

    said: _Share
    right: _Share
    characters: Annotated[int, Field(ge=1, lt=2**53)]


Bins = Annotated[tuple[Bin, ...], Field(max_length=BINS)]


class Counts:
    """Predictions gathered by bin.

    Example:
        >>> counts = Counts()
        >>> counts.add(np.array([0.75, 0.75]), np.array([True, False]))
        >>> counts.bins()
        (Bin(said=0.75, right=0.5, characters=2),)
    """

    def __init__(self) -> None:
        self._said = np.zeros(BINS)
        self._right = np.zeros(BINS)
        self._counts = np.zeros(BINS, np.int64)

    def add(self, said: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> None:
        """Add predictions.

        Args:
            said: The probability of each one's likeliest character, shape ``(count,)``.
            right: Whether that character followed, shape ``(count,)``.
        """
        bins = np.minimum((said * BINS).astype(np.intp), BINS - 1)
        self._said += np.bincount(bins, said, BINS)
        self._right += np.bincount(bins, right, BINS)
        self._counts += np.bincount(bins, minlength=BINS)

    def bins(self) -> tuple[Bin, ...]:
        """The bins that have predictions, the least sure first."""
        return tuple(
            Bin(min(1.0, float(said / count)), float(right / count), int(count))
            for said, right, count in zip(
                self._said, self._right, self._counts, strict=True
            )
            if count
        )


def overall(bins: Sequence[Bin]) -> Bin:
    """All predictions as one bin.

    Args:
        bins: At least one.
    """
    characters = sum(each.characters for each in bins)
    said = sum(each.said * each.characters for each in bins) / characters
    right = sum(each.right * each.characters for each in bins) / characters
    return Bin(min(1.0, said), min(1.0, right), characters)
