"""The data of the live plot: a few hundred rows, however long the run.

Vega fixes the colours of the series when it draws the first frame, and a series that
comes later has none. So each series, those of runs that are laid over included, is
there from the beginning with a row that has no number, and names and colours never
change. All marks are data too: a reference line is two points, the best point a line
of one, which the style sheet draws as a dot.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.runs.quality import BestLoss
from charrnn.runs.view import RunView

UNITS: Final = ("nats", "bits", "characters")
MOST_NATS: Final = 50.0  # beyond them a perplexity is no number any more
MAX_POINTS: Final = 240  # a series; Vega keeps a hidden mark for each point
SMOOTHING: Final = 0.04  # share of the curve that is averaged into a point
COLUMNS: Final = ("step", "loss", "series")
SERIES: Final = ("train", "smooth", "validation", "best", "guessing", "baseline")
OVERLAYS: Final = ("other_a", "other_b", "other_c")  # runs laid over
COLOURS: Final = {  # at least 3:1 on the grounds of both themes; page.css has widths
    "train": "#588f8a",
    "smooth": "#16877c",
    "validation": "#d95f26",
    "best": "#a07a10",
    "guessing": "#76849a",
    "baseline": "#7f72cf",
    "other_a": "#4f86c6",
    "other_b": "#b6538f",
    "other_c": "#6f8f2f",
}
Row = tuple[int | float, float, str]
Frame = dict[str, object]


def thin(
    steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """At most ``count`` points of a curve, its highs and lows among them.

    The curve is cut into ``count // 2`` equal parts, and the lowest and the
    highest point of each are kept, so that a spike is never lost.
    """
    if len(steps) <= count:
        return steps, values
    edges = np.linspace(0, len(steps), count // 2 + 1).astype(int)
    kept: set[int] = set()
    for start, end in itertools.pairwise(edges):
        part = values[start:end]
        kept |= {start + int(part.argmin()), start + int(part.argmax())}
    index = np.array(sorted(kept))
    return steps[index], values[index]


def smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of each value's neighbourhood, as wide as the curve is long.

    Centred, so that it does not lag behind; at the ends it narrows.
    """
    count = len(values)
    half_width = int(count * SMOOTHING / 2)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(count)
    half = np.minimum(half_width, np.minimum(index, count - 1 - index))
    start, end = index - half, index + half + 1
    result: npt.NDArray[np.float64] = (total[end] - total[start]) / (end - start)
    return result


def _curve(
    name: str,
    at: npt.NDArray[np.int64],
    losses: npt.NDArray[np.float64],
    *,
    smoothed: bool = False,
) -> list[Row]:
    if smoothed and len(losses):
        losses = smooth(losses)
        if len(at) > MAX_POINTS:  # already smooth: evenly spaced points do
            index = np.linspace(0, len(at) - 1, MAX_POINTS).astype(int)
            at, losses = at[index], losses[index]
    at, losses = thin(at, losses, MAX_POINTS)
    return [
        (s, round(v, 4), name)
        for s, v in zip(at.tolist(), losses.tolist(), strict=True)
    ]


def _validation_curve(name: str, view: RunView) -> list[Row]:
    points = view.validations
    at = np.array([point.step for point in points], np.int64)
    return _curve(name, at, np.array([point.val_loss for point in points], float))


def rows(
    view: RunView,
    vocab_size: int,
    names: Mapping[str, str],
    best: BestLoss | None = None,
) -> list[Row]:
    """All rows of a run's plot: step, loss in nats per character, series.

    Args:
        view: The run so far.
        vocab_size: Ids of the vocabulary: guessing among them costs its
            logarithm.
        names: What a reader sees for each of `SERIES` and `OVERLAYS`.
        best: What the mark of the kept weights shows.
    """
    last = max(view.planned_steps or 0, view.step, 1)
    result: list[Row] = [(0, math.nan, names[name]) for name in COLOURS]
    result += _curve(names["train"], view.steps, view.losses)
    result += _curve(names["smooth"], view.steps, view.losses, smoothed=True)
    result += _validation_curve(names["validation"], view)
    guessing = math.log(max(2, vocab_size))
    if best is not None:
        result.append((best.step, round(best.loss, 4), names["best"]))
    begun = view.steps.size or view.validations  # a level alone gives the axis no scale
    for name, level in (("guessing", guessing), ("baseline", view.baseline)):
        if level is not None and begun:
            result += [(s, round(level, 4), names[name]) for s in (0, last)]
    return result


def overlay_rows(name: str, view: RunView) -> list[Row]:
    """Another run laid over the plot: its validation losses alone."""
    return _validation_curve(name, view)


def in_unit(loss: float, unit: str) -> float:
    """A loss in another unit.

    Args:
        loss: Nats per character.
        unit: One of `UNITS`; ``characters`` is the perplexity, among how many equally
            likely characters choosing would be as hard.
    """
    if unit == "bits":
        return loss / math.log(2)
    if unit == "characters":
        return math.exp(min(loss, MOST_NATS))
    return loss


@dataclass(frozen=True)
class Hover:
    """What a tooltip tells of the followed run at a step, beside the loss there.

    Args:
        names: Of the columns: time, training and validation loss.
        view: The run so far.
        clock: Makes a time of seconds.
    """

    names: tuple[str, str, str]
    view: RunView
    clock: Callable[[float], str]

    def columns(self, steps: Sequence[float], unit: str) -> list[list[object]]:
        """Time, smoothed training loss and last validation at each step.

        Args:
            steps: Of the rows.
            unit: Of the losses, one of `UNITS`.
        """
        view = self.view
        validated = [point.step for point in view.validations]
        val_losses = np.array([point.val_loss for point in view.validations])
        train = _at(steps, view.steps, smooth(view.losses), unit)
        validation = _at(steps, np.array(validated), val_losses, unit)
        pace = view.seconds / max(1, view.step)
        times = [self.clock(step * pace) for step in steps]
        return [
            [time, *losses]
            for time, *losses in zip(times, train, validation, strict=True)
        ]


def _at(
    steps: Sequence[float],
    known: npt.NDArray[Any],
    losses: npt.NDArray[np.float64],
    unit: str,
) -> list[float | None]:
    """The last known loss at each step, None before the first."""
    places = np.searchsorted(known, np.asarray(steps), side="right")
    return [
        round(in_unit(float(losses[place - 1]), unit), 3) if place else None
        for place in places.tolist()
    ]


def frame(
    result: Sequence[Row], unit: str = "nats", hover: Hover | None = None
) -> Frame:
    """The rows as the plot's component sends them to the browser.

    A data frame would be turned into the same, a hundred times slower.

    Args:
        result: The rows, in nats.
        unit: What they are shown in, one of `UNITS`.
        hover: What tooltips tell besides.
    """
    steps = [step for step, _, _ in result]
    more = [[] for _ in steps] if hover is None else hover.columns(steps, unit)
    names = () if hover is None else hover.names
    time_name = names[:1]
    return {
        "columns": [*COLUMNS, *names],
        "data": [
            (step, _shown(loss, unit), name, *others)
            for (step, loss, name), others in zip(result, more, strict=True)
        ],
        "datatypes": {
            "step": "quantitative",
            "loss": "quantitative",
            "series": "nominal",
            **dict.fromkeys(names, "quantitative"),
            **dict.fromkeys(time_name, "nominal"),
        },
        "mark": "line",
    }


def _shown(loss: float, unit: str) -> float | None:
    return None if math.isnan(loss) else round(in_unit(loss, unit), 4)


def colour_map(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Colour of each series under the names of every language.

    All languages lie in one map, set once: a changed map redraws the plot.
    """
    return {names[key]: COLOURS[key] for names in tables for key in COLOURS}
