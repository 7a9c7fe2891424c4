"""What the Inside tab shows, as HTML: the map of a text, one character, the units.

Every text comes from a stranger: it stands in the HTML escaped, one element a
character. Colours are the page's six steps, `p0` to `p5`; from the fourth on they are
underlined as well.
"""

import html
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from charrnn.inside import surprise
from charrnn.inside.memory import Look
from charrnn.inside.surprise import Surprise
from charrnn.inside.units import Found
from charrnn.text.vocabulary import Vocabulary
from charrnn.ui.texts import translate

COUNT: Final = len(surprise.STEPS) + 1  # steps of a colour
WORST: Final = 10  # characters that are listed as the most surprising
CONTEXT: Final = 20  # characters before one that are listed with it
TOLD: Final = (5, 20)  # last characters whose share is told
SIGNS: Final = {"\n": "⏎", " ": "␣", "\t": "⇥"}


def sign(character: str) -> str:
    """A character as it is shown where it stands alone, escaped."""
    return html.escape(SIGNS.get(character, character))


def percent(share: float) -> str:
    """A probability with three digits at most, without the sign of per cent."""
    return f"{100 * share:.3g}" if share >= 0.0001 else "< 0.01"


def spans(text: str, steps: Sequence[int | None], *, focus: int | None = None) -> str:
    """The text as one element a character.

    Args:
        text: Any.
        steps: Of each character; None of one that has none.
        focus: Place of the one that takes the keyboard's focus first.
    """
    return "".join(
        _span(character, step, focused=place == focus)
        for place, (character, step) in enumerate(zip(text, steps, strict=True))
    )


def _span(character: str, step: int | None, *, focused: bool) -> str:
    kind = "" if step is None else f" p{step}"
    line = " nl" if character == "\n" else ""
    focus = ' tabindex="0" role="button"' if focused else ""
    return f'<span class="ch{kind}{line}"{focus}>{html.escape(character)}</span>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names its rows; cells are HTML already."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td>{cell}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    header = f"<thead><tr>{top}</tr></thead>" if head else ""
    name = html.escape(caption)
    return f"<table><caption>{name}</caption>{header}<tbody>{body}</tbody></table>"


def legend(label: str, words: Sequence[str]) -> str:
    """What the six steps mean."""
    items = "".join(
        f'<li><i class="ch p{step}">a</i>{html.escape(word)}</li>'
        for step, word in enumerate(words)
    )
    name = html.escape(label)
    return f'<ul class="legend shaded" aria-label="{name}">{items}</ul>'


def _reading(
    lang: str, model: str, text: str, steps: Sequence[int | None], unit: str = ""
) -> str:
    label = html.escape(translate(lang, "inside.map"))
    return (
        f'<div id="inside-map" class="reading shaded" role="group" dir="auto" '
        f'aria-label="{label}" data-model="{html.escape(model)}" '
        f'data-unit="{html.escape(unit)}">{spans(text, steps, focus=1)}</div>'
    )


def surprise_map(lang: str, model: str, found: Surprise, vocabulary: Vocabulary) -> str:
    """The text coloured by the probability of each character, with its totals."""
    percents = [f"{100 * share:g}" for share in surprise.STEPS]
    words = [translate(lang, "colour.least", percent=p) for p in percents]
    words.append(translate(lang, "colour.less", percent=percents[-1]))
    return (
        _totals(lang, found)
        + legend(translate(lang, "inside.legend"), words)
        + _reading(lang, model, found.text, [None, *found.steps.tolist()])
        + _worst(lang, found, vocabulary)
    )


def _totals(lang: str, found: Surprise) -> str:
    figures = {
        "bits": f"{found.bits_per_char:.3f}",
        "perplexity": f"{found.perplexity:.2f}",
        "characters": f"{len(found.bits):,}",
        "unknown": f"{found.unknown:,}",
    }
    cells = "".join(
        f'<tr><th scope="row">{html.escape(translate(lang, f"inside.total.{name}"))}'
        f"</th><td>{value}</td></tr>"
        for name, value in figures.items()
    )
    caption = html.escape(translate(lang, "inside.totals"))
    return (
        f'<table class="totals"><caption class="unseen">{caption}</caption>'
        f"<tbody>{cells}</tbody></table>"
    )


def _worst(lang: str, found: Surprise, vocabulary: Vocabulary) -> str:
    """The most surprising characters; each can be chosen from here."""
    rows = []
    for index in found.bits.argsort(kind="stable")[::-1][:WORST].tolist():
        place = index + 1
        before = "".join(map(sign, found.text[max(0, place - CONTEXT) : place]))
        expected = vocabulary.entries[int(found.likeliest[index, 0])]
        button = (
            f'<button type="button" class="tool" data-place="{place}">{before}'
            f"<b>{sign(found.text[place])}</b></button>"
        )
        rows.append((button, f"{found.bits[index]:.2f}", sign(expected)))
    head = [
        html.escape(translate(lang, f"inside.worst.{name}"))
        for name in ("character", "bits", "expected")
    ]
    name = translate(lang, "inside.worst")
    summary = html.escape(name)
    return (
        f'<details class="worst"><summary>{summary}</summary>'
        f"{table(name, head, rows)}</details>"
    )


def steps_between(
    values: npt.NDArray[np.float64], low: float, high: float
) -> list[int]:
    """Steps of equal width from the lowest value to the highest.

    Example:
        >>> steps_between(np.array([-1.0, 0.0, 0.99, 1.0]), -1, 1)
        [0, 3, 5, 5]
    """
    parts = (values - low) / max(high - low, 1e-12) * COUNT
    steps: list[int] = np.clip(parts.astype(int), 0, COUNT - 1).tolist()
    return steps


def unit_map(
    lang: str, model: str, text: str, unit: str, values: npt.NDArray[np.float64]
) -> str:
    """The text coloured by a unit's output after each character.

    Args:
        lang: Language code.
        model: Id of the model.
        text: What it has read.
        unit: The unit's name, ``layer.unit``.
        values: Its outputs, shape ``(length,)``.
    """
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, COUNT + 1)
    words = [f"{a:+.2f} … {b:+.2f}" for a, b in itertools.pairwise(edges)]
    label = translate(lang, "inside.unit_legend", unit=unit)
    back = html.escape(translate(lang, "inside.back"))
    return (
        f'<p class="unit-head"><strong>{html.escape(label)}</strong> '
        f'<button type="button" class="tool" data-unit="">{back}</button></p>'
        + legend(label, words)
        + _reading(lang, model, text, steps_between(values, low, high), unit)
    )


def said(inside: str) -> str:
    """HTML that a screen reader says when it changes."""
    return f'<div aria-live="polite">{inside}</div>'


def panel(lang: str, found: Surprise, look: Look, vocabulary: Vocabulary) -> str:
    """One character: what else was likely, and what the model looked at."""
    index = look.place - 1
    title = translate(
        lang,
        "inside.at",
        character=SIGNS.get(found.text[look.place], found.text[look.place]),
        place=f"{look.place:,}",
    )
    figures = translate(
        lang,
        "inside.figures",
        probability=percent(float(found.probability[index])),
        rank=f"{int(found.rank[index]):,}",
        bits=f"{found.bits[index]:.2f}",
    )
    return (
        said(f"<h3>{html.escape(title)}</h3><p>{html.escape(figures)}</p>")
        + _looked(lang, found, look)
        + _likeliest(lang, found, index, vocabulary)
    )


def _likeliest(lang: str, found: Surprise, index: int, vocabulary: Vocabulary) -> str:
    rows = [
        (sign(vocabulary.entries[entry]), f"{percent(share)} %")
        for entry, share in zip(
            found.likeliest[index].tolist(),
            found.likeliest_probability[index].tolist(),
            strict=True,
        )
    ]
    return table(translate(lang, "inside.likeliest"), (), rows)


def _looked(lang: str, found: Surprise, look: Look) -> str:
    """The characters before one, shaded by their shares of the gradient's norm."""
    name = html.escape(translate(lang, "inside.looked"))
    before = found.text[look.place - len(look.norms) : look.place]
    steps = steps_between(look.norms, 0.0, float(look.norms.max()))
    return (
        f'<h4>{name}</h4><p class="looked">{html.escape(shares(lang, look))}</p>'
        f'<div class="reading shaded back" dir="auto">{spans(before, steps)}</div>'
    )


def shares(lang: str, look: Look) -> str:
    """What the last characters hold, in words."""
    parts = [look.share(last) for last in TOLD]
    if None in parts:
        return translate(lang, "inside.nothing")
    first, second = (f"{100 * (part or 0):.0f}" for part in parts)
    return translate(lang, "inside.shares", first=first, second=second)


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
    else:
        parts.append(f"<p>{html.escape(translate(lang, 'inside.units.none'))}</p>")
    if rest:
        said = translate(
            lang,
            "inside.units.rest",
            marks=translate(lang, "inside.units.comma").join(rest),
        )
        parts.append(f'<p class="rest">{html.escape(said)}</p>')
    return "".join(parts)


def _unit_row(lang: str, row: _Row) -> tuple[str, ...]:
    one = row.found
    unit, probe = ("",) * 3, ("",) * 2
    if one.unit_shown:
        name = f"{one.layer}.{one.unit}"
        label = html.escape(translate(lang, "inside.units.colour", unit=name))
        button = (
            f'<button type="button" class="tool" data-unit="{name}" '
            f'aria-label="{label}" title="{label}">{name}</button>'
        )
        unit = (button, f"{one.correlation:+.2f}", f"{one.control:.2f}")
    if one.probe_shown:
        probe = (f"{one.r2:.2f}", f"{one.r2_control:.2f}")
    return (html.escape(row.name), *unit, *probe)
