"""What stands beside the map of the Inside tab: one character, the reach, the units."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from charrnn.inside.memory import SHARES, Look, Reach
from charrnn.inside.units import Found
from charrnn.ui.inside_map import (
    SIGNS,
    folded,
    said,
    sign,
    spans,
    step_kinds,
    steps_between,
    table,
)
from charrnn.ui.looking import Reading
from charrnn.ui.shared import note
from charrnn.ui.texts import translate

NEAREST: Final = 10  # characters whose share of the gradient is listed
DISTANCES: Final = (1, 2, 5, 10, 20, 50, 100, 200)  # of the reach's table and axis
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = (
    370,
    130,
    34,
    12,
    20,
)  # of the curve, in its own units


def percent(share: float) -> str:
    """A probability with three digits at most, without the sign of per cent."""
    return f"{100 * share:.3g}" if share >= 0.0001 else "< 0.01"


def _told(share: float) -> str:
    """A probability as a cell of a table."""
    return html.escape(f"{percent(share)} %")


def _figures(lang: str, read: Reading, index: int) -> str:
    return translate(
        lang,
        "inside.figures",
        probability=percent(float(read.found.probability[index])),
        rank=f"{int(read.found.rank[index]):,}",
        bits=f"{read.found.bits[index]:.2f}",
    )


def panel(lang: str, read: Reading, look: Look, other: Reading | None) -> str:
    """One character: what else was likely, and what the model looked at.

    Args:
        lang: Language code.
        read: The text, read by the model.
        look: What the model looked at.
        other: The text, read by the model that it is compared with.
    """
    index, text = look.place - 1, read.found.text
    title = translate(
        lang,
        "inside.at",
        character=SIGNS.get(text[look.place], text[look.place]),
        place=f"{look.place:,}",
    )
    lines = [_figures(lang, read, index)]
    if other is not None:
        reads = (read, other)
        lines = [f"{r.model.record.title}: {_figures(lang, r, index)}" for r in reads]
    figures = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return (
        said(f"<h3>{html.escape(title)}</h3>{figures}")
        + _looked(lang, text, look)
        + _likeliest(lang, read, index)
    )


def _likeliest(lang: str, read: Reading, index: int) -> str:
    rows = [
        (sign(read.model.vocabulary.entries[entry]), _told(share))
        for entry, share in zip(
            read.found.likeliest[index].tolist(),
            read.found.likeliest_probability[index].tolist(),
            strict=True,
        )
    ]
    return table(translate(lang, "inside.likeliest"), (), rows)


def _looked(lang: str, text: str, look: Look) -> str:
    """The characters before one, shaded by their shares of the gradient's norm."""
    name = html.escape(translate(lang, "inside.looked"))
    before = text[look.place - len(look.norms) : look.place]
    steps = steps_between(look.norms, 0.0, float(look.norms.max()))
    return (
        f'<h4>{name}</h4><p class="looked">{html.escape(shares(lang, look))}</p>'
        f'<div class="reading shaded back" tabindex="0" role="region" '
        f'aria-label="{name}"><div dir="auto">{spans(before, step_kinds(steps))}</div>'
        f"</div>{_nearest(lang, before, look)}"
    )


def _nearest(lang: str, before: str, look: Look) -> str:
    """The shares of the last characters as numbers."""
    total = float(look.norms.sum()) or 1.0
    rows = [
        (
            sign(before[-back]),
            str(back),
            f"{percent(float(look.norms[-back]) / total)} %",
        )
        for back in range(1, min(NEAREST, len(before)) + 1)
    ]
    head = [
        html.escape(translate(lang, f"inside.nearest.{name}"))
        for name in ("character", "back", "share")
    ]
    name = translate(lang, "inside.nearest")
    return folded(name, table(name, head, rows))


def shares(lang: str, look: Look) -> str:
    """What the last characters hold, in words."""
    parts = [look.share(last) for last in SHARES]
    if None in parts:
        return translate(lang, "inside.nothing")
    first, second, third = (f"{100 * (part or 0):.0f}" for part in parts)
    return translate(lang, "inside.shares", first=first, second=second, third=third)


def reach(lang: str, found: Reach | None) -> str:
    """How far back a model looks: a sentence, the curve, and its table."""
    if found is None:
        return note(translate(lang, "inside.reach.none"))
    half, rest = found.within(0.5), found.within(0.99)
    far = rest < len(found.shares)
    sentence = translate(
        lang,
        "inside.reach.half" if far else "inside.reach.half_only",
        half=half,
        rest=rest,
    )
    held = np.cumsum(found.shares)
    distances = [d for d in DISTANCES if d <= len(held)]
    rows = [(str(d), f"{100 * held[d - 1]:.1f} %") for d in distances]
    head = [
        html.escape(translate(lang, f"inside.reach.{name}"))
        for name in ("last", "share")
    ]
    name = translate(lang, "inside.reach.table")
    title = html.escape(translate(lang, "inside.reach"))
    return (
        f'<section aria-label="{title}"><h4>{title}</h4>'
        f"<p>{html.escape(sentence)}</p>{curve(found, sentence)}"
        f"{folded(name, table(name, head, rows))}</section>"
    )


def curve(found: Reach, label: str) -> str:
    """The share that the last characters hold, over how many these are, as a picture.

    The horizontal axis is logarithmic: most lies within the last few characters.
    """
    held, count = np.cumsum(found.shares), len(found.shares)
    scale = (WIDTH - LEFT - RIGHT) / max(math.log(count), 1e-9)

    def x(distance: float) -> float:
        return LEFT + scale * math.log(distance)

    def y(share: float) -> float:
        return 8 + (HEIGHT - BOTTOM - 8) * (1 - share)

    line = " ".join(f"{x(d + 1):.1f},{y(float(s)):.1f}" for d, s in enumerate(held))
    rules = "".join(
        f'<path d="M{LEFT} {y(share):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 5}" y="{y(share) + 4:.1f}" text-anchor="end">'
        f"{100 * share:.0f}</text>"
        for share in (0.0, 0.5, 1.0)
    )
    ticks = "".join(
        f'<text x="{x(d):.1f}" y="{HEIGHT - 5}" text-anchor="middle">{d}</text>'
        for d in DISTANCES
        if d <= count
    )
    points = "".join(
        f'<circle r="3.5" cx="{x(found.within(share)):.1f}" '
        f'cy="{y(float(held[found.within(share) - 1])):.1f}"/>'
        for share in (0.5, 0.99)
    )
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(label)}">{rules}{ticks}'
        f'<polyline points="{line}"/>{points}</svg>'
    )


@dataclass(frozen=True)
class _Row:
    """A mark of the table of units."""

    name: str
    found: Found


def unit_table(lang: str, found: Sequence[Found]) -> str:
    """Which unit follows which mark; what the controls also find is only named."""
    named = [_Row(translate(lang, f"mark.{one.mark}"), one) for one in found]
    shown = [row for row in named if row.found.unit_shown or row.found.probe_shown]
    rest = [row.name for row in named if row not in shown]
    parts = []
    if shown:
        head = [
            html.escape(translate(lang, f"inside.units.{name}"))
            for name in ("mark", "unit", "correlation", "control", "r2", "r2_control")
        ]
        rows = [_unit_row(lang, row) for row in shown]
        parts.append(table(translate(lang, "inside.units"), head, rows))
        parts.append(note(translate(lang, "inside.units.hint")))
    else:
        parts.append(f"<p>{html.escape(translate(lang, 'inside.units.none'))}</p>")
    if rest:
        sentence = translate(
            lang,
            "inside.units.rest",
            marks=translate(lang, "inside.units.comma").join(rest),
        )
        parts.append(f'<p class="rest">{html.escape(sentence)}</p>')
    return "".join(parts)


def _unit_row(lang: str, row: _Row) -> tuple[str, ...]:
    one = row.found
    unit, probe = ("",) * 3, ("",) * 2
    if one.unit_shown:
        name = f"{one.layer}.{one.unit}"
        label = html.escape(translate(lang, "inside.units.colour", unit=name))
        button = (
            f'<button type="button" class="tool" data-unit="{name}" '
            f'data-mark="{one.mark}" aria-label="{label}" title="{label}">{name}'
            "</button>"
        )
        unit = (button, f"{one.correlation:+.2f}", f"{one.control:.2f}")
    if one.probe_shown:
        probe = (f"{one.r2:.2f}", f"{one.r2_control:.2f}")
    return (html.escape(row.name), *unit, *probe)
