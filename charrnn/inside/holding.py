"""What holding a unit does to what is written: the statistic that its mark stands for.

Texts are written with the unit held low, free, and held at another value, and alike
with two controls. Each statistic is a ratio of two sums over the characters, as mean
line = characters / ends of lines: no line is left out for being cut off at the end.
Its interval is that of a ratio estimator over blocks of a hundred characters, which
depend on each other much less than characters do.

Reference:
    Cochran (1977), Sampling Techniques, section 6.3: the variance of a ratio.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from charrnn.config import Hold, SamplingConfig
from charrnn.inside import marks
from charrnn.inside.marks import Mark

BLOCK: Final = 100  # characters that are one observation
SAMPLES: Final = 5  # texts of each setting, with seeds 0, 1, ...
CHARACTERS: Final = 400  # of each text
TEMPERATURE: Final = 0.8
NORMAL: Final = 1.959964  # the normal distribution's 97.5 % quantile
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistic:
    """A number that a text has, as a ratio of two sums over its characters.

    Args:
        kind: ``line`` and ``word``: a mean length in characters; ``share``: of the
            characters; ``mean``: of the mark.
        top: What is added up above.
        bottom: And below.
    """

    kind: str
    top: Callable[[str], Mark]
    bottom: Callable[[str], Mark]


@dataclass(frozen=True)
class Measured:
    """A statistic's value and half of the width of its 95 % interval."""

    value: float
    half: float


def _line_text(text: str) -> Mark:
    return np.array([float(character != "\n") for character in text])


def _line_ends(text: str) -> Mark:
    """Line breaks that end a line which is not empty."""
    pairs = zip("\n" + text, text, strict=False)
    return np.array([float(b == "\n" and a != "\n") for a, b in pairs])


def _letters(text: str) -> Mark:
    return np.asarray(marks.word_position(text) > 0, np.float64)


def _ones(text: str) -> Mark:
    return np.ones(len(text))


_LINE: Final = Statistic("line", _line_text, _line_ends)
_WORD: Final = Statistic("word", _letters, marks.word_end)
_OWN: Final = {
    "line_position": _LINE,
    "previous_line_length": _LINE,
    "word_position": _WORD,
    "word_end": _WORD,
    "indentation": Statistic("mean", marks.indentation, _ones),
    "bracket_depth": Statistic("mean", marks.bracket_depth, _ones),
}


def statistic_of(mark: str) -> Statistic:
    """What a mark stands for in a text that is written: for most its share."""
    return _OWN.get(mark) or Statistic("share", marks.MARKS[mark], _ones)


def measure(statistic: Statistic, texts: Sequence[str]) -> Measured | None:
    r"""The statistic over some texts, with its 95 % interval.

    Args:
        statistic: From `statistic_of`.
        texts: Written alike, with seeds of their own.

    Returns:
        None where the texts have nothing to divide by (no line ends, say), or too few
        blocks to tell how they vary.

    Example:
        >>> measure(statistic_of("line_position"), ["abcd\n" * 20] * 2)
        Measured(value=4.0, half=0.0)
    """
    top = _block_sums(statistic.top, texts)
    bottom = _block_sums(statistic.bottom, texts)
    if not bottom.any() or len(top) < 2:
        return None
    value = float(top.sum() / bottom.sum())
    left = top - value * bottom
    spread = math.sqrt((left @ left) * len(top) / (len(top) - 1))
    return Measured(value, _student(len(top) - 1) * spread / float(bottom.sum()))


def _block_sums(part: Callable[[str], Mark], texts: Sequence[str]) -> Doubles:
    """Sums over the blocks of each text; what is left over joins the last one."""
    sums: list[float] = []
    for text in texts:
        count = max(1, len(text) // BLOCK)
        starts = np.arange(count) * BLOCK
        if text:
            sums += np.add.reduceat(part(text), starts).tolist()
    return np.array(sums)


def _student(freedom: int) -> float:
    """The t distribution's 97.5 % quantile, to 2 % from 4 degrees of freedom on.

    Reference:
        Abramowitz & Stegun (1964), 26.7.5.
    """
    z = NORMAL
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def rows_of(settings: Sequence[Hold | None]) -> list[SamplingConfig]:
    """How the texts of some settings are drawn, setting after setting.

    Args:
        settings: What is held in each; None: nothing.
    """
    return [
        SamplingConfig(
            temperature=TEMPERATURE, seed=seed, hold=() if held is None else (held,)
        )
        for held in settings
        for seed in range(SAMPLES)
    ]
