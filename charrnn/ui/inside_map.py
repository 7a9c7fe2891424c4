"""The map of the Inside tab as HTML: a text by surprise, by two models, by a unit.

Every text comes from a stranger: it stands in the HTML escaped, one element a
character. Colours are the page's six steps, `p0` to `p5`; from the fourth on they are
underlined as well. The numbers stand in tables, line by line.
"""

import html
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from charrnn.inside import surprise
from charrnn.ui.cards import legend, probability_legend
from charrnn.ui.inside_links import MAX_LINK_TEXT
from charrnn.ui.looking import Reading
from charrnn.ui.texts import translate

COUNT: Final = len(surprise.STEPS) + 1  # steps of a colour
WORST: Final = 10  # characters that are listed as the most surprising
CONTEXT: Final = 20  # characters before one that are listed with it
LINE: Final = 60  # characters of a line that its row of a table begins with
DIFFERENCES: Final = (0.5, 1.5, 3.0)  # bits that part the steps of a difference
BOTH: Final = ("first", "second", "difference")  # columns of a table of two models
SIGNS: Final = {"\n": "⏎", " ": "␣", "\t": "⇥"}
Doubles = npt.NDArray[np.float64]


def sign(character: str) -> str:
    """A character as it is shown where it stands alone, escaped."""
    return html.escape(SIGNS.get(character, character))


def spans(text: str, kinds: Sequence[str], *, focus: int | None = None) -> str:
    """The text as one element a character.

    Args:
        text: Any.
        kinds: Style class of each character; empty of one that has none.
        focus: Place of the one that takes the keyboard's focus first.
    """
    return "".join(
        _span(character, kind, focused=place == focus)
        for place, (character, kind) in enumerate(zip(text, kinds, strict=True))
    )


def _span(character: str, kind: str, *, focused: bool) -> str:
    classes = " ".join(filter(None, ["ch", kind, "nl" if character == "\n" else ""]))
    focus = ' tabindex="0" role="button"' if focused else ""
    return f'<span class="{classes}"{focus}>{html.escape(character)}</span>'


def step_kinds(steps: Iterable[int]) -> list[str]:
    """Style classes of steps."""
    return [f"p{step}" for step in steps]


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
    return (
        f'<table class="figures"><caption>{name}</caption>{header}'
        f"<tbody>{body}</tbody></table>"
    )


def folded(name: str, inside: str) -> str:
    """What is out of sight until it is opened."""
    title = html.escape(name)
    return (
        f'<details class="folded"><summary>{title}</summary>'
        f'<div class="wide-table" role="region" tabindex="0" '
        f'aria-label="{title}">{inside}</div></details>'
    )


def said(inside: str) -> str:
    """HTML that a screen reader says when it changes."""
    return f'<div aria-live="polite">{inside}</div>'


def lines_of(text: str) -> list[tuple[int, int]]:
    r"""Where each line of a text begins and where the next one does.

    Example:
        >>> lines_of("ab\nc")
        [(0, 3), (3, 4)]
    """
    ends = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    return list(itertools.pairwise(ends))


def by_line(
    lang: str, text: str, head: Sequence[str], columns: Sequence[Sequence[str]]
) -> str:
    """The numbers of a map, a row for each line of the text.

    Args:
        lang: Language code.
        text: The map's.
        head: What stands above the columns, by the ends of the keys.
        columns: Their cells.
    """
    starts = [sign_all(text[a:b].rstrip("\n")[:LINE]) for a, b in lines_of(text)]
    names = [html.escape(translate(lang, "inside.line")), *_line_names(lang, head)]
    title = translate(lang, "inside.by_line")
    return folded(title, table(title, names, zip(starts, *columns, strict=True)))


def _line_names(lang: str, head: Sequence[str]) -> list[str]:
    return [html.escape(translate(lang, f"inside.line.{name}")) for name in head]


def sign_all(text: str) -> str:
    """A text in one line, escaped; blanks stay blanks."""
    return html.escape(text.replace("\n", "⏎").replace("\t", "⇥"))


@dataclass(frozen=True)
class _Map:
    """What a map's element says of itself to `inside.js`."""

    model: str
    weights_hash: str
    against: str = ""
    unit: str = ""

    def html(self, lang: str, text: str, kinds: Sequence[str]) -> str:
        values = {
            "model": self.model,
            "hash": self.weights_hash,
            "against": self.against,
            "unit": self.unit,
            "linked": str(MAX_LINK_TEXT),
        }
        data = "".join(f' data-{k}="{html.escape(v)}"' for k, v in values.items())
        label = html.escape(translate(lang, "inside.map"))
        copied = html.escape(translate(lang, "generate.copied"))
        part = len(text) > MAX_LINK_TEXT
        copy = html.escape(
            translate(lang, "inside.copy_link_part", characters=f"{MAX_LINK_TEXT:,}")
            if part
            else translate(lang, "inside.copy_link")
        )
        return (
            f'<div id="inside-map" class="reading shaded" role="group" dir="auto" '
            f'aria-label="{label}"{data}>{spans(text, kinds, focus=1)}</div>'
            f'<p class="map-tools"><button class="tool" type="button" '
            f'id="inside-link" data-act="link" data-href="" data-done="{copied}">'
            f"{copy}</button></p>"
        )


def surprise_map(lang: str, model: str, read: Reading) -> str:
    """The text coloured by the probability of each character, with its totals."""
    found = read.found
    figures = {
        "bits": f"{found.bits_per_char:.3f}",
        "perplexity": f"{found.perplexity:.2f}",
        "characters": f"{len(found.bits):,}",
        "unknown": f"{found.unknown:,}",
    }
    kinds = ["", *step_kinds(found.steps.tolist())]
    bits = _sums(found.text, np.array([0.0, *found.bits]))
    return (
        totals(lang, figures)
        + probability_legend(lang, translate(lang, "inside.legend"))
        + _Map(model, read.model.weights_hash).html(lang, found.text, kinds)
        + _worst(lang, read)
        + by_line(lang, found.text, ["bits"], [[f"{n:.2f}" for n in bits]])
    )


def _sums(text: str, values: Doubles) -> list[float]:
    return [float(values[a:b].sum()) for a, b in lines_of(text)]


def totals(lang: str, figures: dict[str, str]) -> str:
    """The figures of a whole text in a line, by the ends of their keys."""
    cells = "".join(
        f'<tr><th scope="row">{html.escape(translate(lang, f"inside.total.{name}"))}'
        f"</th><td>{html.escape(value)}</td></tr>"
        for name, value in figures.items()
    )
    caption = html.escape(translate(lang, "inside.totals"))
    return (
        f'<table class="totals"><caption class="unseen">{caption}</caption>'
        f"<tbody>{cells}</tbody></table>"
    )


def _listed(text: str, place: int) -> str:
    """A character after its text, as a button that chooses it."""
    before = "".join(map(sign, text[max(0, place - CONTEXT) : place]))
    return (
        f'<button type="button" class="tool" data-place="{place}">{before}'
        f"<b>{sign(text[place])}</b></button>"
    )


def _worst(lang: str, read: Reading) -> str:
    """The most surprising characters; each can be chosen from here."""
    found, entries = read.found, read.model.vocabulary.entries
    rows = []
    for index in found.bits.argsort(kind="stable")[::-1][:WORST].tolist():
        expected = entries[int(found.likeliest[index, 0])]
        bits = f"{found.bits[index]:.2f}"
        rows.append((_listed(found.text, index + 1), bits, sign(expected)))
    head = [
        html.escape(translate(lang, f"inside.worst.{name}"))
        for name in ("character", "bits", "expected")
    ]
    name = translate(lang, "inside.worst")
    return folded(name, table(name, head, rows))


def difference_kinds(bits: Doubles) -> list[str]:
    """Style classes of differences: `w1` to `w3` up, `b1` to `b3` down.

    Example:
        >>> difference_kinds(np.array([0.4, 0.5, -9.0]))
        ['', 'w1', 'b3']
    """
    steps = np.searchsorted(DIFFERENCES, abs(bits), side="right")
    return [
        f"{'w' if value > 0 else 'b'}{step}" if step else ""
        for value, step in zip(bits.tolist(), steps.tolist(), strict=True)
    ]


def _difference_legend(lang: str, titles: Sequence[str]) -> str:
    edges = [f"{edge:g}" for edge in DIFFERENCES]
    items = []
    for key, kind, title in (("more", "w", titles[0]), ("less", "b", titles[1])):
        for number, edge in enumerate(edges, 1):
            words = translate(lang, "inside.difference.least", bits=edge)
            if number == 1:
                words = translate(
                    lang, f"inside.difference.{key}", bits=edge, model=title
                )
            items.append((f"{kind}{number}", words))
    return legend(translate(lang, "inside.difference"), items)


def difference_map(
    lang: str, models: tuple[str, str], reads: tuple[Reading, Reading]
) -> str:
    """The text by how many bits more the first of two models needs than the second.

    Args:
        lang: Language code.
        models: Their ids.
        reads: What each made of the text.
    """
    first, second = (read.found for read in reads)
    bits = surprise.difference(first, second)
    titles = [read.model.record.title for read in reads]
    text = first.text
    figures = {
        "first": f"{first.bits_per_char:.3f}",
        "second": f"{second.bits_per_char:.3f}",
        "difference": f"{bits.mean():+.3f}",
    }
    kinds = ["", *difference_kinds(bits)]
    shown = _Map(models[0], reads[0].model.weights_hash, models[1])
    columns = [
        [f"{n:.2f}" for n in _sums(text, np.array([0.0, *found.bits]))]
        for found in (first, second)
    ]
    differences = _sums(text, np.array([0.0, *bits]))
    columns.append([f"{n:+.2f}" for n in differences])
    return (
        totals(lang, figures)
        + _difference_legend(lang, titles)
        + shown.html(lang, text, kinds)
        + _largest(lang, text, bits, (first.bits, second.bits))
        + by_line(lang, text, BOTH, columns)
    )


def _largest(lang: str, text: str, bits: Doubles, both: tuple[Doubles, Doubles]) -> str:
    """Where two models differ most."""
    rows = [
        (
            _listed(text, index + 1),
            *(f"{each[index]:.2f}" for each in both),
            f"{bits[index]:+.2f}",
        )
        for index in abs(bits).argsort(kind="stable")[::-1][:WORST].tolist()
    ]
    head = [html.escape(translate(lang, "inside.worst.character"))]
    head += _line_names(lang, BOTH)
    name = translate(lang, "inside.largest")
    return folded(name, table(name, head, rows))


def steps_between(values: Doubles, low: float, high: float) -> list[int]:
    """Steps of equal width from the lowest value to the highest.

    Example:
        >>> steps_between(np.array([-1.0, 0.0, 0.99, 1.0]), -1, 1)
        [0, 3, 5, 5]
    """
    parts = (values - low) / max(high - low, 1e-12) * COUNT
    steps: list[int] = np.clip(parts.astype(int), 0, COUNT - 1).tolist()
    return steps


def scale(label: str, low: float, high: float) -> str:
    """The legend of `steps_between`: between which values each step lies."""
    edges = np.linspace(low, high, COUNT + 1)
    words = [f"{a:+.2f} … {b:+.2f}" for a, b in itertools.pairwise(edges)]
    return legend(label, zip(step_kinds(range(COUNT)), words, strict=True))


def unit_map(
    lang: str, models: tuple[str, str], read: Reading, unit: str, values: Doubles
) -> str:
    """The text coloured by a unit's output after each character.

    Args:
        lang: Language code.
        models: Id of the model, and of the one that it is compared with, if any.
        read: The text, read by the first.
        unit: The unit's name, ``layer.unit``.
        values: Its outputs, shape ``(length,)``.
    """
    low, high = float(values.min()), float(values.max())
    label = translate(lang, "inside.unit_legend", unit=unit)
    back = html.escape(translate(lang, "inside.back"))
    text = read.found.text
    kinds = step_kinds(steps_between(values, low, high))
    shown = _Map(models[0], read.model.weights_hash, models[1], unit)
    parts = [values[a:b] for a, b in lines_of(text)]
    columns = [[f"{part.min():+.2f}" for part in parts]]
    columns.append([f"{part.max():+.2f}" for part in parts])
    return (
        f'<p class="unit-head"><strong>{html.escape(label)}</strong> '
        f'<button type="button" class="tool" data-unit="">{back}</button></p>'
        + scale(label, low, high)
        + shown.html(lang, text, kinds)
        + by_line(lang, text, ["low", "high"], columns)
    )
