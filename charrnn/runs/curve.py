"""A model's texts from temperature 0 to 2: where they repeat, and where they invent.

One text a temperature, all with one seed. Low temperatures repeat, high ones invent
words; `region` is what lies between, where both are rare.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from charrnn.config import SamplingConfig
from charrnn.model.generation import Written
from charrnn.model.record import Record
from charrnn.runs import figures
from charrnn.runs.figures import TextFigures

# evenly spaced, at the marks of a slider that moves by 0.05
TEMPERATURES: Final = (0.0, 0.3, 0.55, 0.85, 1.15, 1.45, 1.7, 2.0)
MAX_REPEATS: Final = 0.10
MAX_INVENTED: Final = 0.05
Interval: TypeAlias = tuple[float, float]  # of temperatures, the lower one first


class Point(NamedTuple):
    """One text of the curve."""

    temperature: float
    text: str
    figures: TextFigures


def rows(seed: int) -> list[SamplingConfig]:
    """How the texts of a curve are drawn."""
    return [SamplingConfig(temperature=t, seed=seed) for t in TEMPERATURES]


def points(
    path: Path, record: Record, prompt: str, written: Sequence[Written]
) -> list[Point]:
    """The texts of a curve with their figures.

    Args:
        path: The folder of the model that wrote them.
        record: Its record.
        prompt: What stood before each of them.
        written: A text for each of `TEMPERATURES`.
    """
    counted = figures.count(path, record, prompt, written).figures
    return [
        Point(temperature, one.text, found)
        for temperature, one, found in zip(TEMPERATURES, written, counted, strict=True)
    ]


def below(line: Sequence[tuple[float, float]], limit: float) -> list[Interval]:
    """Where a line through points stays under a limit.

    Args:
        line: Points (place, value), by place; straight between two of them.
        limit: Of the values.

    Example:
        >>> below([(0, 3), (1, 1), (2, 1), (4, 5)], 2)
        [(0.5, 2.5)]
    """
    found: list[Interval] = []
    for (start, first), (end, last) in itertools.pairwise(line):
        if min(first, last) >= limit:
            continue
        if max(first, last) >= limit:
            crossing = start + (limit - first) / (last - first) * (end - start)
            start, end = (start, crossing) if first < limit else (crossing, end)
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found


def region(curve: Sequence[Point]) -> list[Interval]:
    """The temperatures at which repeats and invented words are rare.

    Both are taken as straight between two temperatures. A text that has no figure
    (of no words, say) is left out of its line. Where no invented words can be told,
    repeats decide alone.

    Args:
        curve: By temperature.

    Returns:
        Intervals that do not touch, in order; none where no temperature will do or
        nothing is known.
    """
    repeats = [(p.temperature, p.figures.repeats) for p in curve]
    calm = below([(t, share) for t, share in repeats if share is not None], MAX_REPEATS)
    if not knows_words(curve):
        return calm
    invented = [(p.temperature, p.figures.invented) for p in curve]
    sane = below(
        [(t, share) for t, share in invented if share is not None], MAX_INVENTED
    )
    return [
        (max(a[0], b[0]), min(a[1], b[1]))
        for a in calm
        for b in sane
        if max(a[0], b[0]) < min(a[1], b[1])
    ]


def knows_words(curve: Sequence[Point]) -> bool:
    """Whether invented words can be told from others in any of the texts."""
    return any(point.figures.invented is not None for point in curve)


def report(prompt: str, seed: int, curve: Sequence[Point]) -> dict[str, Any]:
    """A curve as JSON carries it."""
    return {
        "prompt": prompt,
        "seed": seed,
        "points": [
            {"temperature": temperature, "text": text, "figures": asdict(found)}
            for temperature, text, found in curve
        ],
        "region": region(curve),
    }
