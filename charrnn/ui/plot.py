"""The plot of the followed run: its lines, and other runs laid over it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.model import checkpoint
from charrnn.model.record import Record
from charrnn.runs.status import look_at
from charrnn.runs.view import RunView
from charrnn.ui import chart, panel
from charrnn.ui.shared import model_folder
from charrnn.ui.texts import TABLES, language, translate
from charrnn.ui.wiring import Update

MAX_OVERLAYS: Final = len(chart.OVERLAY_COLOURS)


def series_names(lang: str) -> dict[str, str]:
    """What each series of the chart is called."""
    return {key: translate(lang, f"series.{key}") for key in chart.SERIES}


def colour_map(overlays: Sequence[str] = ()) -> dict[str, str]:
    """Colour of each series under its name in every language, and of overlays."""
    return chart.colour_map([series_names(lang) for lang in TABLES], overlays)


def _overlay_names(overlay: Sequence[str]) -> dict[str, str]:
    """Id to a name that no other series has, for the runs laid over the plot."""
    names: dict[str, str] = {}
    for run_id in overlay[:MAX_OVERLAYS]:
        try:
            title = checkpoint.read_record(model_folder(run_id)).title
        except CharrnnError:
            continue
        taken = {
            *names.values(),
            *(n for lang in TABLES for n in series_names(lang).values()),
        }
        names[run_id] = title if title not in taken else f"{title} ({run_id})"
    return names


def _view(run_id: str) -> RunView:
    """What a run's history amounts to; empty where it cannot be read."""
    return look_at(model_folder(run_id)).view


def rows(
    lang: str, run_id: str, record: Record, overlay: Sequence[str]
) -> list[chart.Row]:
    """The rows of the followed run and of those laid over it."""
    view = _view(run_id)
    result = chart.rows(view, record.model.vocab_size, series_names(lang))
    for other, name in _overlay_names(overlay).items():
        result += chart.overlay_rows(name, _view(other))
    return result


def legend_html(lang: str, run_id: str, record: Record, overlay: Sequence[str]) -> str:
    """What the lines of the plot are, as HTML."""
    names = list(_overlay_names(overlay).values())
    return panel.legend_html(lang, _view(run_id), record.model.vocab_size, names)


class OverlayUpdate(NamedTuple):
    """What laying runs over the plot changes."""

    plot: Update
    legend: str


def lay_over(
    request: gr.Request, run_id: str, overlay: list[str] | None
) -> OverlayUpdate:
    """Lay other runs over the plot: the one thing that draws it anew.

    Raises:
        CharrnnError: If the followed run is gone.
    """
    lang, over = language(request), overlay or []
    record = checkpoint.read_record(model_folder(run_id))
    drawn = chart.frame(rows(lang, run_id, record, over))
    legend = legend_html(lang, run_id, record, over)
    colours = colour_map(list(_overlay_names(over).values()))
    return OverlayUpdate(gr.update(value=drawn, color_map=colours), legend)
