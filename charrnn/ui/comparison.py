"""The sweep that a followed run belongs to: a table, and its curves over each other."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import gradio as gr

from charrnn.model import checkpoint
from charrnn.model.record import Record
from charrnn.runs import sweeps
from charrnn.runs.listing import ModelEntry
from charrnn.runs.sweeps import Group
from charrnn.ui import chart, links, plot
from charrnn.ui.settings import SETTINGS
from charrnn.ui.shared import (
    Browser,
    listed_ids,
    model_folder,
    run_choices,
    scrolled,
)
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import Update


def groups_beside(record: Record, browser: Browser) -> list[Group]:
    """The sweep of a run, as far as the visitor may see it; empty if there is none."""
    if record.sweep is None:
        return []
    found = sweeps.groups(sweeps.runs_of(record.sweep.id, listed_ids(browser.held)))
    return found if sum(len(group.runs) for group in found) > 1 else []


def sweep_html(lang: str, run_id: str, groups: Sequence[Group]) -> str:
    """A row for each combination of settings: mean and spread over the seeds."""
    if not groups:
        return ""
    names = list(groups[0].settings)
    keys = ("ended", "mean", "spread", "seeds")
    shown = [translate(lang, f"setting.{n}") if n in SETTINGS else n for n in names]
    titles = [*shown, *(translate(lang, f"sweep.{key}") for key in keys)]
    heads = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in titles)
    rows = "".join(_row(lang, run_id, names, group) for group in groups)
    title = translate(lang, "sweep.title")
    return scrolled(
        title,
        f'<table class="runs"><caption>{html.escape(title)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>",
    )


def _row(lang: str, run_id: str, names: Sequence[str], group: Group) -> str:
    cells = [str(group.settings.get(name, "-")) for name in names]
    cells += [
        translate(lang, "sweep.of", ended=len(group.losses), runs=len(group.runs)),
        _loss(group.mean),
        _loss(group.spread),
    ]
    columns = "".join(f'<td dir="auto">{html.escape(cell)}</td>' for cell in cells)
    runs = ", ".join(_link(entry, entry.model_id == run_id) for entry in group.runs)
    return f"<tr>{columns}<td>{runs}</td></tr>"


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _link(entry: ModelEntry, followed: bool) -> str:
    """A run by its seed: a link to it, or the one that is followed."""
    seed = html.escape(str(entry.record.training.seed))
    if followed:
        return f"<strong>{seed}</strong>"
    href = html.escape(links.build_run(entry.model_id))
    return f'<a href="{href}">{seed}</a>'


def beside(run_id: str, groups: Sequence[Group]) -> list[str]:
    """The runs to lay over the plot: the best of each other setting, then the rest.

    Args:
        run_id: The followed run.
        groups: Of its sweep, the lowest mean first.
    """
    first: list[str] = []
    rest: list[str] = []
    for group in groups:
        ids = [entry.model_id for entry in group.runs]
        best = ids[0] if group.best is None else group.best.model_id
        if run_id not in ids:
            first.append(best)
        rest += [name for name in ids if name != run_id and name not in first]
    return [*first, *rest][: plot.MAX_OVERLAYS]


class LaidUpdate(NamedTuple):
    """What laying a sweep over the plot changes."""

    overlay: Update
    plot: chart.Frame
    legend: str


def lay_sweep(
    request: gr.Request, run_id: str, browser: object, unit: str | None
) -> LaidUpdate:
    """Lay the followed run's sweep over its plot.

    Raises:
        CharrnnError: If the followed run is gone.
    """
    lang, held = language(request), Browser.of(browser)
    record = checkpoint.read_record(model_folder(run_id))
    chosen = beside(run_id, groups_beside(record, held))
    shown = plot.checked_unit(unit)
    choices = [choice for choice in run_choices(lang, held) if choice[1] != run_id]
    return LaidUpdate(
        gr.update(choices=choices, value=chosen),
        plot.drawn(lang, run_id, record, chosen, shown),
        plot.legend_html(lang, run_id, record, chosen, shown),
    )
