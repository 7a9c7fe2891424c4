"""The curve of temperature on the Generate tab: eight texts, plotted and in words."""

import contextlib
import html
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import gradio as gr

from charrnn.hosting import UNKNOWN_VISITOR, Visitor, policy
from charrnn.model.generation import Written
from charrnn.runs import curve
from charrnn.runs.curve import Point
from charrnn.ui.cards import percent, progress_line
from charrnn.ui.inside_map import folded, table
from charrnn.ui.labels import i18n
from charrnn.ui.shared import note
from charrnn.ui.texts import FALLBACK, TABLES, language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Html, Update, flat
from charrnn.ui.writing import until_next_press
from charrnn.ui.writing_request import PreparedWriting, WritingRequest, prepare

COLOURS: Final = {  # at least 3:1 on the grounds of both themes
    "invented": "#d95f26",
    "repeats": "#16877c",
    "region": "#a07a10",
    "surprise": "#7f72cf",
}
SHOWN: Final = ("invented", "repeats", "surprise")  # figures in the table
BEGUN: Final = 60  # characters of a text in the table
Row = tuple[float, float | None, str]


@dataclass(frozen=True)
class CurvePanel:
    """The panel's components, named as the updates name them."""

    draw: gr.Button
    panel: gr.Column
    said: gr.HTML
    plots: gr.Row
    shares: gr.LinePlot
    bits: gr.LinePlot
    table: gr.HTML


class CurveUpdate(NamedTuple):
    """What a moment of writing a curve changes."""

    panel: Update = SKIP
    said: Html = SKIP
    plots: Update = SKIP
    shares: Update = SKIP
    bits: Update = SKIP
    table: Html = SKIP
    seed: int | Update = SKIP
    stop_button: Update = SKIP


def _plot(elem_id: str, **settings: Any) -> gr.LinePlot:
    return gr.LinePlot(
        _frame([]),
        x="temperature",
        y="value",
        color="series",
        x_title=translate(FALLBACK, "generate.temperature"),
        color_map={
            translate(lang, f"curve.{name}"): colour
            for lang in TABLES
            for name, colour in COLOURS.items()
        },
        x_lim=[curve.TEMPERATURES[0], curve.TEMPERATURES[-1]],
        color_title=" ",
        y_title=" ",
        height=300,
        min_width=290,
        show_label=False,
        label=i18n("curve.draw"),
        elem_id=elem_id,
        buttons=[],
        **settings,
    )


def build() -> CurvePanel:
    """Lay the button and what it opens out."""
    draw = gr.Button(
        i18n("curve.draw"), interactive=False, size="md", elem_id="draw-curve"
    )
    with gr.Column(visible=False, elem_id="curve") as panel:
        said = gr.HTML(elem_id="curve-said", apply_default_css=False)
        with gr.Row(visible=False) as plots:
            shares = _plot("curve-shares")
            bits = _plot("curve-bits", colors_in_legend=[])  # its axis says it
        rows = gr.HTML(elem_id="curve-table", apply_default_css=False)
    return CurvePanel(draw, panel, said, plots, shares, bits, rows)


def _frame(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as the plot's component sends them to the browser."""
    return {
        "columns": ["temperature", "value", "series"],
        "data": rows,
        "datatypes": {
            **{"temperature": "quantitative", "value": "quantitative"},
            "series": "nominal",
        },
        "mark": "line",
    }


def share_rows(lang: str, points: Sequence[Point]) -> list[Row]:
    """Invented words and repeats in percent, and at the bottom where both are rare."""
    found: list[Row] = []
    for name in ("invented", "repeats"):
        series = translate(lang, f"curve.{name}")
        values = [(p.temperature, getattr(p.figures, name)) for p in points]
        known = [(t, v) for t, v in values if v is not None]
        found += [(t, round(100 * v, 2), series) for t, v in known]
    series = translate(lang, "curve.region")
    for low, high in curve.region(points):
        found += [(low, 0.0, series), (high, 0.0, series), (high + 1e-6, None, series)]
    return found


def bit_rows(lang: str, points: Sequence[Point]) -> list[Row]:
    """Surprise in bits per character."""
    series = translate(lang, "curve.surprise")
    values = [(p.temperature, p.figures.surprise) for p in points]
    return [(t, round(v, 3), series) for t, v in values if v is not None]


def sentence(lang: str, points: Sequence[Point]) -> str:
    """The region in words."""
    region, words = curve.region(points), curve.knows_words(points)
    if not region:
        return translate(lang, "curve.none" if words else "curve.none_repeats")
    ranges = ", ".join(
        translate(lang, "curve.range", low=low, high=high) for low, high in region
    )
    return translate(
        lang, "curve.found" if words else "curve.found_repeats", ranges=ranges
    )


def table_html(lang: str, points: Sequence[Point]) -> str:
    """The figures and how each text begins, out of sight until they are opened."""

    def cells(point: Point) -> list[str]:
        of = point.figures
        shares = [
            "-" if one is None else percent(one) for one in (of.invented, of.repeats)
        ]
        surprise = "-" if of.surprise is None else f"{of.surprise:.2f}"
        begun = html.escape(" ".join(point.text.split())[:BEGUN])
        return [f"{point.temperature:g}", *shares, surprise, begun]

    head = [
        translate(lang, "generate.temperature"),
        *(html.escape(translate(lang, f"curve.{name}")) for name in SHOWN),
        html.escape(translate(lang, "curve.begins")),
    ]
    name = translate(lang, "curve.table")
    return folded(name, table(name, head, map(cells, points)))


def _prepare(lang: str, asked: WritingRequest) -> PreparedWriting:
    """The texts of a curve: all that the form says of how to draw is left aside."""
    texts = WritingRequest(
        model=asked.model,
        prompt=asked.prompt,
        length=asked.length,
        seed=asked.seed,
        new_seed=asked.new_seed,
        top_k=0,
        top_p=1,
        stop="",
        column_count=None,
        temperatures=curve.TEMPERATURES,
    )
    return prepare(lang, texts, at_least=len(curve.TEMPERATURES))


def updates(
    lang: str, asked: WritingRequest, *, visitor: Visitor = UNKNOWN_VISITOR
) -> Iterator[CurveUpdate]:
    """Write a curve's texts, then show it.

    Raises:
        CharrnnError: If it cannot be written; its sentence says why.
    """
    prepared = _prepare(lang, asked)
    total = len(prepared.texts) * prepared.link.length
    update = CurveUpdate(
        panel=gr.update(visible=True),
        seed=prepared.link.seed or 0,
        stop_button=gr.update(interactive=True),
    )
    written: list[Written] = []
    pace, shown = policy().frame_seconds, -math.inf
    with contextlib.closing(prepared.updates(visitor)) as stream:
        for written in stream:
            if time.monotonic() - shown >= pace:
                shown = time.monotonic()
                done = sum(len(one.text) for one in written)
                yield update._replace(said=_progress(lang, done / total))
                update = CurveUpdate()
    (path,), record = prepared.paths(), prepared.texts[0].record
    points = curve.points(path, record, prepared.link.prompt, written)
    yield _drawn(lang, points)


def _progress(lang: str, share: float) -> str:
    """How far the writing is, and out of sight what Stop leaves there."""
    going = progress_line(translate(lang, "curve.writing", percent=int(100 * share)))
    stopped = html.escape(translate(lang, "generate.stopped"))
    return (
        f'{going}<div class="after-stop" hidden><p class="status">{stopped}</p></div>'
    )


def _drawn(lang: str, points: Sequence[Point]) -> CurveUpdate:
    x_title = translate(lang, "generate.temperature")
    return CurveUpdate(
        said=f'<div role="status">{note(sentence(lang, points), "verdict")}</div>',
        plots=gr.update(visible=True),
        shares=gr.update(
            value=_frame(share_rows(lang, points)),
            x_title=x_title,
            y_title=translate(lang, "curve.percent"),
        ),
        bits=gr.update(
            value=_frame(bit_rows(lang, points)),
            x_title=x_title,
            y_title=translate(lang, "curve.surprise"),
        ),
        table=table_html(lang, points),
    )


def draw(request: gr.Request, *values: object) -> Iterator[tuple[object, ...]]:
    """Write the curve of the form's model, prompt, length and seed."""
    asked, lang = WritingRequest.read(values), language(request)
    found = updates(lang, asked, visitor=visitor_of(request))
    yield from map(flat, until_next_press(request, found))
