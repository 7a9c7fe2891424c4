"""A unit turned by hand on the Inside tab: held low, free, and held at a value.

Five texts a setting go on from the text that was looked at; the first of each stands
in its column, and the statistic that the unit's mark stands for is taken over all of
them, beside two units of the same layer that follow the mark least. The seeds are
always the same: whoever opens a link to it sees the same texts.
"""

import contextlib
import html
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import gradio as gr
import numpy as np
import numpy.typing as npt
from gradio.blocks import Block

from charrnn.config import Hold
from charrnn.hosting import Visitor, policy
from charrnn.inside import holding
from charrnn.inside.holding import CHARACTERS, SAMPLES, Measured, Statistic
from charrnn.ui import inside_course, inside_map, looking
from charrnn.ui.cards import progress_line, written_class
from charrnn.ui.inside_course import Steps
from charrnn.ui.labels import i18n
from charrnn.ui.looking import Reading
from charrnn.ui.shared import model_folder
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Html, Update
from charrnn.ui.writing_request import engine

COLUMNS: Final = 3  # low, free, high
BEFORE: Final = 200  # characters of the text that the model reads before it writes
DIGITS: Final = 2  # of a value, on the slider and in a link
NO_VALUE: Final = "-"
SAME: Final = (SKIP,) * (COLUMNS + 5)  # the outputs of `choose`, unchanged


class HandUpdate(NamedTuple):
    """What a moment of writing changes; the components in their order."""

    status: Html = SKIP
    cards: tuple[Html, ...] = (SKIP,) * COLUMNS
    table: Html = SKIP


@dataclass(frozen=True)
class Hand:
    """The components."""

    box: gr.Column
    head: gr.HTML
    value: gr.Slider
    write: gr.Button
    status: gr.HTML
    cards: tuple[gr.HTML, ...]
    table: gr.HTML
    steps: Steps

    def chosen(self) -> list[Block]:
        """The outputs of `choose`."""
        return [self.box, self.head, self.value, *self.written()]

    def written(self) -> list[Block]:
        """The outputs of `hold`."""
        return [self.status, *self.cards, self.table]


def build() -> Hand:
    """Lay the part out; it is hidden until a unit is chosen."""
    with gr.Column(visible=False, elem_id="hand") as box:
        head = gr.HTML(elem_id="hand-head", apply_default_css=False)
        with gr.Row(equal_height=True):
            value = gr.Slider(
                -1,
                1,
                1,
                step=10**-DIGITS,
                label=i18n("hand.value"),
                elem_id="hand-value",
                scale=3,
                min_width=220,
                buttons=[],
            )
            write = gr.Button(
                i18n("hand.write"),
                variant="primary",
                min_width=140,
                elem_id="hand-write",
            )
        status = gr.HTML(elem_id="hand-status", apply_default_css=False)
        with gr.Row(elem_id="hand-columns"):
            cards = []
            for index in range(COLUMNS):
                with gr.Column(min_width=230):
                    cards.append(
                        gr.HTML(elem_id=f"held-{index}", apply_default_css=False)
                    )
        table = gr.HTML(elem_id="hand-table", apply_default_css=False)
        steps = inside_course.build()
    return Hand(box, head, value, write, status, tuple(cards), table, steps)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be held. It is kept while texts are written, the states are not.

    Args:
        layer: Of the unit.
        unit: In the layer.
        mark: What the unit follows.
        prompt: What the texts go on from.
        style: The style classes of what the model writes.
        lows: Lowest output of each unit of the layer over the text, ``(units,)``.
        highs: The highest ones.
    """

    layer: int
    unit: int
    mark: str
    prompt: str
    style: str
    lows: npt.NDArray[np.floating]
    highs: npt.NDArray[np.floating]

    def ends(self, unit: int) -> tuple[float, float]:
        """The lowest and the highest output of a unit of the layer over the text."""
        low, high = (
            round(float(values[unit]), DIGITS) for values in (self.lows, self.highs)
        )
        return max(-1.0, low), min(1.0, high)

    def held(self, unit: int, share: float) -> Hold:
        """A unit of the layer at a share of the way from its lowest to its highest."""
        low, high = self.ends(unit)
        return Hold(self.layer, unit, low + share * (high - low))

    def share(self, value: float) -> float:
        """How far up a value lies between the ends of the unit."""
        low, high = self.ends(self.unit)
        part = (value - low) / (high - low) if high > low else 1.0
        return min(1.0, max(0.0, part))


def _end_of(text: str) -> str:
    """What the texts go on from: the end of the text, up to its last whole line."""
    return (text[: text.rfind("\n") + 1] or text)[-BEFORE:]


def plan(lang: str, reading: Reading, unit: str, mark: str) -> Plan:
    """What a visitor wants to hold.

    Raises:
        ConfigError: If there is no such unit or mark.
    """
    layer, number = looking.checked_unit(lang, reading, unit)
    style = written_class(reading.model.record)
    prompt = _end_of(reading.found.text)
    known = looking.checked_mark(lang, mark)
    return Plan(layer, number, known, prompt, style, *reading.ends(layer))


def choose(lang: str, plan: Plan, value: float | None) -> tuple[Update | str, ...]:
    """Show the part for a unit, with a link's value or the unit's highest."""
    low, high = plan.ends(plan.unit)
    shown = high if value is None else min(high, max(low, round(value, DIGITS)))
    title = translate(
        lang,
        "hand.title",
        unit=f"{plan.layer}.{plan.unit}",
        mark=translate(lang, f"mark.{plan.mark}"),
    )
    lead = translate(lang, "hand.lead", low=f"{low:+.2f}")
    head = (
        f'<div id="hand-of" data-unit="{plan.layer}.{plan.unit}" '
        f'data-mark="{plan.mark}"><h3>{html.escape(title)}</h3>'
        f"<p>{html.escape(lead)}</p></div>"
    )
    slider = gr.update(minimum=low, maximum=max(high, low + 0.01), value=shown)
    empty = ("",) * (COLUMNS + 2)
    return gr.update(visible=True), head, slider, *empty


def heads(lang: str, low: float, value: float) -> list[str]:
    """What stands above the columns."""
    return [
        translate(lang, "hand.held", value=f"{low:+.2f}"),
        translate(lang, "hand.free"),
        translate(lang, "hand.held", value=f"{value:+.2f}"),
    ]


def card(title: str, text: str, style: str, figure: str = "") -> str:
    """One column: what is held, a text, and once it is known the statistic of all."""
    name = html.escape(title)
    told = f'<p class="held-figure">{html.escape(figure)}</p>' if figure else ""
    return (
        f'<article class="card" aria-label="{name}"><h4>{name}</h4>'
        f'<div class="{style}" dir="auto" tabindex="0">{html.escape(text)}</div>'
        f"{told}</article>"
    )


def hold(
    request: gr.Request,
    model: str | None,
    text: str | None,
    unit: str | None,
    mark: str | None,
    value: float | None,
) -> Iterator[tuple[object, ...]]:
    """Write low, free and high, and then with the controls.

    Args:
        request: Tells the language and the visitor.
        model: Whose unit it is.
        text: That was looked at.
        unit: ``layer.unit``.
        mark: What it follows.
        value: What it is held at in the third column.
    """
    lang, visitor = language(request), visitor_of(request)
    with looking.one_at_a_time(lang, visitor):
        reading = looking.read(lang, model, text)
        found = plan(lang, reading, unit or "", mark or "")
        controls = reading.controls(found.layer, found.unit, found.mark)
        del reading  # whose states would be kept while the texts are written
    share = 1.0 if value is None else found.share(value)
    updates = _Writing(lang, visitor, model or "", found).updates(controls, share)
    for update in updates:
        yield update.status, *update.cards, update.table


@dataclass(frozen=True, eq=False)
class _Writing:
    """One press of the button."""

    lang: str
    visitor: Visitor
    model: str
    plan: Plan

    def updates(self, controls: Sequence[int], share: float) -> Iterator[HandUpdate]:
        """Frame by frame, the unit's own three columns first."""
        plan, lang = self.plan, self.lang
        ends = plan.held(plan.unit, 0.0), plan.held(plan.unit, share)
        titles = heads(lang, ends[0].value, ends[1].value)
        yield HandUpdate(progress_line(translate(lang, "hand.writing")), table="")
        texts: list[list[str]] = []
        for texts in self._write([ends[0], None, ends[1]]):
            yield HandUpdate(cards=self._cards(titles, texts))
        statistic = holding.statistic_of(plan.mark)
        measured = [holding.measure(statistic, own) for own in texts]
        rows = [(plan.unit, measured)]
        name = self._name(statistic)
        told = [f"{name}: {_cell(one, statistic.kind)}" for one in measured]
        comparing = progress_line(translate(lang, "hand.controls"))
        yield HandUpdate(
            comparing,
            self._cards(titles, texts, told),
            self._table(statistic, titles, rows),
        )
        for control in controls:
            held = [plan.held(control, 0.0), plan.held(control, share)]
            *_, texts = self._write(held)
            first, last = (holding.measure(statistic, own) for own in texts)
            rows.append((control, [first, measured[1], last]))
            yield HandUpdate(table=self._table(statistic, titles, rows))
        done = translate(lang, "hand.done", samples=SAMPLES, characters=CHARACTERS)
        yield HandUpdate(progress_line(done))

    def _cards(
        self,
        titles: Sequence[str],
        texts: Sequence[Sequence[str]],
        told: Sequence[str] = ("",) * COLUMNS,
    ) -> tuple[str, ...]:
        """The columns, each with the first of its texts."""
        return tuple(
            card(title, own[0], self.plan.style, figure)
            for title, own, figure in zip(titles, texts, told, strict=True)
        )

    def _name(self, statistic: Statistic) -> str:
        return translate(
            self.lang,
            f"hand.statistic.{statistic.kind}",
            mark=translate(self.lang, f"mark.{self.plan.mark}"),
        )

    def _write(self, settings: Sequence[Hold | None]) -> Iterator[list[list[str]]]:
        """The texts so far of each setting, the complete ones last."""
        stream = engine.generate(
            model_folder(self.model),
            self.plan.prompt,
            length=CHARACTERS,
            rows=holding.rows_of(settings),
            visitor=self.visitor,
        )
        pace, shown = policy().frame_seconds, -math.inf
        texts: list[str] = []
        with contextlib.closing(stream):
            for texts in stream:
                if time.monotonic() - shown >= pace:
                    shown = time.monotonic()
                    yield _grouped(texts)
        yield _grouped(texts)

    def _table(
        self,
        statistic: Statistic,
        titles: Sequence[str],
        rows: Sequence[tuple[int, Sequence[Measured | None]]],
    ) -> str:
        lang, layer = self.lang, self.plan.layer
        head = ["", *map(html.escape, titles)]
        body = []
        for index, (unit, values) in enumerate(rows):
            label = translate(
                lang,
                "hand.control" if index else "hand.unit",
                unit=f"{layer}.{unit}",
            )
            cells = [_cell(one, statistic.kind) for one in values]
            body.append((html.escape(label), *cells))
        if len(rows) > 1:  # the columns' values are the unit's own
            head[1] = html.escape(translate(lang, "hand.low"))
            head[3] = html.escape(translate(lang, "hand.high"))
        return inside_map.said(inside_map.table(self._name(statistic), head, body))


def _grouped(texts: Sequence[str]) -> list[list[str]]:
    return [
        list(texts[start : start + SAMPLES]) for start in range(0, len(texts), SAMPLES)
    ]


def _cell(measured: Measured | None, kind: str) -> str:
    """A value with its interval; what has nothing to divide by has none."""
    if measured is None:
        return NO_VALUE
    scale, unit = (100, " %") if kind == "share" else (1, "")
    digits = 2 if kind == "mean" else 1
    value, half = scale * measured.value, scale * measured.half
    return f"{value:.{digits}f} ± {half:.{digits}f}{unit}"
