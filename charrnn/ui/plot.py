"""The plot of the followed run: its lines, and other runs laid over it."""

import html
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np
import orjson

from charrnn.errors import CharrnnError
from charrnn.model import checkpoint
from charrnn.model.record import Record
from charrnn.runs.quality import BestLoss, best_loss
from charrnn.runs.status import look_at
from charrnn.runs.view import RunView
from charrnn.ui import chart, panel
from charrnn.ui.shared import model_folder
from charrnn.ui.texts import TABLES, duration, language, translate
from charrnn.ui.wiring import Update

MAX_OVERLAYS: Final = len(chart.OVERLAYS)
TABLE_ROWS: Final = 20
MAX_FRAMES: Final = 8  # of one view that are kept for all who follow its run
# a view is another one once its run has gone on, and its frames go with it
_frames: Final[WeakKeyDictionary[RunView, dict[Hashable, chart.Frame]]] = (
    WeakKeyDictionary()
)


def series_names(lang: str) -> dict[str, str]:
    """What each series of the chart is called."""
    return {key: translate(lang, f"series.{key}") for key in chart.COLOURS}


def colour_map() -> dict[str, str]:
    """Colour of each series under its name in every language."""
    return chart.colour_map([series_names(lang) for lang in TABLES])


def _laid_over(overlay: Sequence[str]) -> dict[str, str]:
    """Id to title of the runs laid over the plot, as many as it has lines for."""
    titles: dict[str, str] = {}
    for run_id in overlay:
        try:
            titles[run_id] = checkpoint.read_record(model_folder(run_id)).title
        except CharrnnError:
            continue
    return dict(list(titles.items())[:MAX_OVERLAYS])


def _view(run_id: str) -> RunView:
    """What a run's history amounts to; empty where it cannot be read."""
    return look_at(model_folder(run_id)).view


def axes(lang: str) -> Update:
    """The titles of the axes and the tooltip's columns.

    Set before anything is drawn: others draw it anew. So the unit stands in its switch.
    """
    return {
        "x_title": translate(lang, "train.axis_step"),
        "y_title": translate(lang, "train.axis_loss"),
        "tooltip": list(hover_names(lang)),
    }


def hover_names(lang: str) -> tuple[str, str, str]:
    """The columns that a tooltip shows beside the axes."""
    return (
        translate(lang, "hover.time"),
        translate(lang, "series.train"),
        translate(lang, "series.validation"),
    )


def drawn(
    lang: str, run_id: str, record: Record, overlay: Sequence[str], unit: str
) -> chart.Frame:
    """The plot's data, as the browser gets them.

    Every visitor who follows a run asks for them after each of its events: they are
    made once for all.
    """
    view = _view(run_id)
    best = best_loss(record, view)
    others = tuple(_view(other) for other in _laid_over(overlay))
    kept = _frames.setdefault(view, {})
    drawn_from = (lang, record.model.vocab_size, best, others, unit)
    frame = kept.get(drawn_from)
    if frame is None:
        frame = _frame(lang, record.model.vocab_size, view, best, others, unit)
        if len(kept) >= MAX_FRAMES:
            kept.clear()
        kept[drawn_from] = frame
    return frame.copy()


def _frame(
    lang: str,
    vocab_size: int,
    view: RunView,
    best: BestLoss | None,
    others: Sequence[RunView],
    unit: str,
) -> chart.Frame:
    """A frame of the plot.

    Its rows are JSON already: Gradio goes three times through all that it is given,
    which took longer than making them.
    """
    names = series_names(lang)
    rows = chart.rows(view, vocab_size, names, best)
    for key, other in zip(chart.OVERLAYS, others, strict=False):
        rows += chart.overlay_rows(names[key], other)

    def clock(seconds: float) -> str:
        return duration(lang, seconds)

    made = chart.frame(rows, unit, chart.Hover(hover_names(lang), view, clock))
    return {**made, "data": orjson.Fragment(orjson.dumps(made["data"]))}


def legend_html(
    lang: str, run_id: str, record: Record, overlay: Sequence[str], unit: str
) -> str:
    """What the lines of the plot are, and a table for screen readers, as HTML."""
    titles, view = list(_laid_over(overlay).values()), _view(run_id)
    legend = panel.legend_html(lang, view, record, titles, unit)
    return legend + table_html(lang, view, unit)


def table_html(lang: str, view: RunView, unit: str) -> str:
    """The losses of a run in a few rows, out of sight: what the plot shows.

    Args:
        lang: Language code.
        view: The run so far.
        unit: Of the losses, one of `chart.UNITS`.
    """
    known = np.array([event.step for event in view.validations] or view.steps, int)
    if not known.size:
        return ""
    index = np.linspace(0, len(known) - 1, min(len(known), TABLE_ROWS)).round()
    steps = known[index.astype(int)].tolist()
    names = hover_names(lang)
    hover = chart.Hover(names, view, lambda seconds: duration(lang, seconds))
    heads = "".join(
        f'<th scope="col">{html.escape(name)}</th>'
        for name in (translate(lang, "table.step"), *names)
    )
    rows = "".join(
        f'<tr><th scope="row">{step:,}</th><td>{html.escape(str(time))}</td>'
        f"{''.join(f'<td>{_number(loss)}</td>' for loss in losses)}</tr>"
        for step, (time, *losses) in zip(steps, hover.columns(steps, unit), strict=True)
    )
    caption = translate(lang, "table.caption", unit=translate(lang, f"loss.{unit}"))
    return (
        f'<table class="unseen" id="plot-table"><caption>{html.escape(caption)}'
        f"</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _number(loss: object) -> str:
    return f"{loss:.3f}" if isinstance(loss, float) else "-"


def checked_unit(unit: str | None) -> str:
    """A unit of losses that a browser sent; nats for anything odd."""
    return unit if unit in chart.UNITS else chart.UNITS[0]


class OverlayUpdate(NamedTuple):
    """What laying runs over the plot changes."""

    plot: chart.Frame
    legend: str


def lay_over(
    request: gr.Request, run_id: str, overlay: list[str] | None, unit: str | None
) -> OverlayUpdate:
    """Lay other runs over the plot, or show it in another unit.

    Raises:
        CharrnnError: If the followed run is gone.
    """
    lang, over, shown = language(request), overlay or [], checked_unit(unit)
    record = checkpoint.read_record(model_folder(run_id))
    value = drawn(lang, run_id, record, over, shown)
    legend = legend_html(lang, run_id, record, over, shown)
    return OverlayUpdate(value, legend)
