"""Units that name themselves: which single unit follows which mark of a text.

For every mark the unit with the largest correlation is chosen on the first half of
the text, and its correlation on the second half is reported, with the sign of the
first. A probe, ridge regression from all units at once, says how much of the mark
the states hold together. Both are held against controls: the same mark, shifted
against the text in a circle, with unit and probe chosen anew for every shift. A text
is alike over long stretches, so that a chance correlation is larger than for
independent characters; the shifted marks have the same stretches.

Reference:
    Karpathy, Johnson & Fei-Fei (2015), section 4.2. https://arxiv.org/abs/1506.02078
    Radford et al. (2017). https://arxiv.org/abs/1704.01444
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.config import NUM_STATES, ModelConfig
from charrnn.errors import ConfigError
from charrnn.inside.marks import Mark

Doubles = npt.NDArray[np.float64]
MIN_CHARACTERS: Final = 2000  # fewer: a chance correlation is as large as a true one
MIN_SHIFT: Final = 1000
CONTROLS: Final = 20
MARGIN: Final = 0.05  # above the largest control
# correlation and R² below it come by chance: without it random networks would show
# something in 40 to 60 of 200 trials, as few controls do not reach the largest chance
MIN_SHOWN: Final = 0.25
RIDGE: Final = 0.01  # of a unit's variance, added to each


@dataclass(frozen=True)
class Found:
    """What follows one mark.

    Args:
        mark: Its name.
        layer: Of the best unit, from 0.
        unit: The best unit in that layer, from 0.
        correlation: On the second half; negative where the unit falls as the mark
            rises.
        control: The largest of its controls, without sign.
        r2: Of the probe on the second half; at most 1, negative where it is worse
            than the mean.
        r2_control: The largest of its controls.
    """

    mark: str
    layer: int
    unit: int
    correlation: float
    control: float
    r2: float
    r2_control: float

    @property
    def unit_shown(self) -> bool:
        """Whether the unit clears its controls by the margin, and is no trifle."""
        return abs(self.correlation) > max(self.control + MARGIN, MIN_SHOWN)

    @property
    def probe_shown(self) -> bool:
        """Whether the probe clears its controls by the margin, and is no trifle."""
        return self.r2 > max(self.r2_control + MARGIN, MIN_SHOWN)


def activations(config: ModelConfig, states: Sequence[npt.NDArray[Any]]) -> Doubles:
    """Outputs of all units after each character.

    Args:
        config: The network.
        states: From `Network.trace`.

    Returns:
        Shape ``(length, num_layers * rnn_units)``, layer after layer.
    """
    outputs = states[:: NUM_STATES[config.cell]]
    return np.concatenate([array[1:] for array in outputs], axis=1).astype(np.float64)


def check_count(characters: int) -> None:
    """Refuse a text that is too short to search.

    Raises:
        ConfigError: If it has fewer than `MIN_CHARACTERS`.
    """
    if characters < MIN_CHARACTERS:
        raise ConfigError(
            f"The text has {characters:,} characters: expected at least "
            f"{MIN_CHARACTERS:,}. In a shorter one some unit seems to follow "
            "anything by chance, so none is searched for.",
            field="text",
        )


def search(
    config: ModelConfig,
    states: Sequence[npt.NDArray[Any]],
    marks: Mapping[str, Mark],
) -> list[Found]:
    """Find the best unit and the probe of every mark, with their controls.

    Args:
        config: The network.
        states: From `Network.trace` of the text.
        marks: From `marks_of`, each ``(length,)``.

    Returns:
        One for each mark, in their order, shown or not.

    Raises:
        ConfigError: If the text is too short to tell anything.
    """
    length = len(states[0]) - 1
    check_count(length)
    if not marks:
        return []
    shifts = np.linspace(MIN_SHIFT, length - MIN_SHIFT, CONTROLS).round().astype(int)
    shifts = np.array([0, *shifts])
    shifted = np.stack(
        [np.roll(mark, n) for mark in marks.values() for n in shifts], axis=1
    )  # (length, marks * (1 + controls))
    units = activations(config, states)
    best, correlations = _best_units(units, shifted)
    r2 = _probes(units, shifted)
    shape = (len(marks), len(shifts))
    return [
        Found(
            name,
            *divmod(int(chosen[0]), config.rnn_units),
            correlation=float(found[0]),
            control=float(abs(found[1:]).max()),
            r2=float(probes[0]),
            r2_control=float(probes[1:].max()),
        )
        for name, chosen, found, probes in zip(
            marks, *(a.reshape(shape) for a in (best, correlations, r2)), strict=True
        )
    ]


def _standardised(values: Doubles) -> Doubles:
    """Columns with mean 0 and norm 1; constant ones all zero."""
    centred = values - values.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    floor = 1e-9 * np.sqrt(len(values))  # what rounding leaves of a constant
    scaled: Doubles = centred / np.where(norms > floor, norms, np.inf)
    return scaled


def _best_units(units: Doubles, marks: Doubles) -> tuple[npt.NDArray[np.intp], Doubles]:
    """The best unit of each mark by the first half, its correlation in the second.

    Args:
        units: Shape ``(length, units)``.
        marks: Shape ``(length, marks)``.

    Returns:
        Units and correlations, each ``(marks,)``.
    """
    middle = len(units) // 2
    first = _standardised(units[:middle]).T @ _standardised(marks[:middle])
    best = abs(first).argmax(axis=0)
    theirs = _standardised(units[middle:, best])
    return best, (theirs * _standardised(marks[middle:])).sum(axis=0)


def _probes(units: Doubles, marks: Doubles) -> Doubles:
    """R² of ridge regressions fitted on the first half and tried on the second.

    Shapes as in `_best_units`; all marks share one matrix to solve with.
    """
    middle = len(units) // 2
    means, level = units[:middle].mean(axis=0), marks[:middle].mean(axis=0)
    spreads = np.maximum(units[:middle].std(axis=0), 1e-6)
    known = (units[:middle] - means) / spreads
    gram = known.T @ known
    gram[np.diag_indices_from(gram)] += RIDGE * middle
    weights = np.linalg.solve(gram, known.T @ (marks[:middle] - level))
    rest = marks[middle:]
    errors = rest - level - (units[middle:] - means) / spreads @ weights
    spread = ((rest - rest.mean(axis=0)) ** 2).sum(axis=0)
    r2: Doubles = 1 - (errors**2).sum(axis=0) / np.maximum(spread, 1e-12)
    return r2


def least_correlated(
    config: ModelConfig,
    states: Sequence[npt.NDArray[Any]],
    mark: Mark,
    layer: int,
    count: int = 2,
) -> list[int]:
    """Units of a layer that follow a mark least: the controls of a unit that is held.

    Args:
        config: The network.
        states: From `Network.trace` of the text.
        mark: Shape ``(length,)``.
        layer: From 0.
        count: Units wanted.

    Returns:
        Units from 0, the least correlated first.
    """
    units = activations(config, states)
    own = units[:, config.rnn_units * layer : config.rnn_units * (layer + 1)]
    correlations = _standardised(own).T @ _standardised(mark[:, None])[:, 0]
    return [int(unit) for unit in abs(correlations).argsort(kind="stable")[:count]]


def output(
    config: ModelConfig, states: Sequence[npt.NDArray[Any]], place: tuple[int, int]
) -> Doubles:
    """A unit's output after each character, shape ``(length,)``.

    Args:
        config: The network.
        states: From `Network.trace` of the text.
        place: Layer and unit, from 0.
    """
    layer, unit = place
    own = states[NUM_STATES[config.cell] * layer][1:, unit]
    return np.asarray(own, np.float64)


def correlation(values: Doubles, mark: Mark) -> float:
    """How a unit follows a mark on the second half of a text, as `search` tells it.

    Args:
        values: Its output, from `output`, ``(length,)``.
        mark: Shape ``(length,)``.
    """
    middle = len(mark) // 2
    both = _standardised(np.stack([values[middle:], mark[middle:]], axis=1))
    return float(both[:, 0] @ both[:, 1])
