"""Following a run: what the panel shows of it, and what changes as it trains.

`polling` says when there is something new; `tick` then fetches it. The chart's node
stays while a run is followed: only its data change.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.hosting import policy
from charrnn.model import checkpoint
from charrnn.model.record import WEIGHTS
from charrnn.runs import control, listing
from charrnn.runs.states import LIVE, RESUMABLE, RunState
from charrnn.runs.status import read_status
from charrnn.runs.sweeper import kept_until
from charrnn.ui import chart, comparison, film, loss_parts, panel, plot
from charrnn.ui.panel import FrameKey
from charrnn.ui.reliability import reliability_html
from charrnn.ui.shared import (
    Browser,
    checked_id,
    listed_ids,
    model_folder,
    note,
    run_choices,
)
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import SKIP, Html, Update


class PanelUpdate(NamedTuple):
    """What following a run shows; what did not change is skipped."""

    followed: str | Update = SKIP
    frame_key: FrameKey | Update | None = SKIP
    choice: Update = SKIP  # the list of runs to follow
    overlay: Update = SKIP
    sweep: Html = SKIP  # the runs that it is compared with
    lay_sweep: Update = SKIP
    welcome: Update = SKIP
    body: Update = SKIP  # all that is about the run
    head: Html = SKIP
    progress: Html = SKIP
    news: Html = SKIP
    plot: chart.Frame | Update = SKIP
    legend: Html = SKIP
    loss_unit: str | Update = SKIP
    samples: Html = SKIP
    loss_parts: Html = SKIP
    stop: Update = SKIP
    write: Update = SKIP  # with the model, once it is trained
    web: Update = SKIP  # its web page, likewise
    resume: Update = SKIP
    more: Update = SKIP
    rate: Update = SKIP
    manage_box: Update = SKIP  # rename, download, delete
    table: Html = SKIP
    browser: dict[str, object] | Update = SKIP
    question: Update = SKIP  # whether to delete the run


def buttons(
    state: RunState, *, owned: bool, begun: bool, saved: bool = True
) -> dict[str, Update]:
    """Which of the buttons are there in which state, as fields of `PanelUpdate`.

    Args:
        state: The run's.
        owned: Whether it is the visitor's own; else there are none.
        begun: Whether it has made a step: one that has not is only resumed.
        saved: Whether it has what it needs to go on.
    """
    live = state in LIVE
    at_rest = not live and state not in (RunState.FAILED, RunState.UNREADABLE)
    shown = {
        "stop": live,
        "resume": state in RESUMABLE and saved,
        "more": at_rest and begun and saved,
        "rate": state is RunState.RUNNING,
    }
    updates: dict[str, Update] = {
        name: gr.update(visible=owned and there) for name, there in shown.items()
    }
    updates["stop"]["interactive"] = state is not RunState.STOPPING
    return updates


def is_written_with(state: RunState, path: Path) -> bool:
    """Whether a run has come to rest with weights to write with."""
    return state not in LIVE and (path / WEIGHTS).is_file()


def others(state: str, overlay: Sequence[str]) -> list[str]:
    """What else a frame is drawn from: the overlay and, at rest, all runs.

    Reading all runs takes a millisecond each, so it is done where a page rarely
    asks; strangers' runs on a hosted page are none of a visitor's frame.
    """
    if state in LIVE or policy().secret_ids:
        return list(overlay)
    return [*overlay, *(f"{e.model_id} {e.state}" for e in listing.list_runs())]


def _runs_table(lang: str, browser: Browser) -> str:
    """The runs that a visitor may see, those with a damaged record included."""
    ids = listed_ids(browser.held)
    damaged = [folder for folder in listing.unreadable(ids) if folder.is_run]
    return panel.runs_table(lang, listing.list_runs(ids), damaged)


def empty_panel(lang: str, browser: Browser, message: str = "") -> PanelUpdate:
    """No run is followed."""
    choices = run_choices(lang, browser)
    welcome = note(message, "warn") + panel.welcome_html(lang)
    return PanelUpdate(
        followed="",
        frame_key=None,
        choice=gr.update(choices=choices, value=None, visible=bool(choices)),
        welcome=gr.update(value=welcome, visible=True),
        body=gr.update(visible=False),
        table=_runs_table(lang, browser),
    )


def whole_panel(
    lang: str,
    run_id: str,
    browser: Browser,
    overlay: Sequence[str] = (),
    unit: str = chart.UNITS[0],
) -> PanelUpdate:
    """Everything about a run, as when it is first followed.

    Raises:
        CharrnnError: If there is no such run.
    """
    path = model_folder(run_id)
    status, record = read_status(run_id), checkpoint.read_record(path)
    view = status.view
    browser = browser.following(run_id)
    choices = run_choices(lang, browser)
    rest = [choice for choice in choices if choice[1] != run_id]
    laid_over = [value for _, value in rest if value in overlay]
    groups = comparison.groups_beside(record, browser)
    return PanelUpdate(
        followed=run_id,
        frame_key=panel.frame_key(status, view, others(status.state, overlay)),
        choice=gr.update(choices=choices, value=run_id, visible=True),
        overlay=gr.update(choices=rest, value=laid_over, visible=bool(rest)),
        sweep=comparison.sweep_html(lang, run_id, groups),
        lay_sweep=gr.update(visible=bool(groups)),
        welcome=gr.update(visible=False),
        body=gr.update(visible=True),
        head=panel.head_html(lang, status, record),
        progress=panel.progress_html(lang, status, view, record.training),
        news=panel.news_html(lang, status, record, kept_until(path)),
        plot=plot.drawn(lang, run_id, record, overlay, unit),
        legend=plot.legend_html(lang, run_id, record, overlay, unit),
        loss_unit=unit,
        samples=film.film_html(lang, status, record),
        loss_parts=loss_parts.parts_html(lang, status, record)
        + reliability_html(lang, status, record),
        table=_runs_table(lang, browser),
        write=gr.update(visible=is_written_with(status.state, path)),
        web=gr.update(
            visible=is_written_with(status.state, path) and browser.owns(path)
        ),
        manage_box=gr.update(visible=browser.owns(path)),
        **buttons(
            status.state,
            owned=browser.owns(path),
            begun=view.step > 0,
            saved=control.can_go_on(path, record),
        ),
    )


def follow(request: gr.Request, run_id: str | None, browser: object) -> PanelUpdate:
    """Follow another run, and let the browser remember it."""
    return _follow(language(request), run_id, Browser.of(browser))


def _follow(lang: str, run_id: str | None, browser: Browser) -> PanelUpdate:
    update, message = None, ""
    if run_id:
        try:
            update = whole_panel(lang, run_id, browser)
        except CharrnnError:
            run_id, message = None, translate(lang, "progress.unknown_run")
    if update is None:
        update = empty_panel(lang, browser, message)
    remembered = browser.following(run_id or None).store()
    # a question that was asked of another run must not be answered for this one
    return update._replace(browser=remembered, question=gr.update(visible=False))


class TickUpdate(NamedTuple):
    """What a tick may change; what is more than that is left to `redrawn`.

    They are few, since each skipped output costs Gradio a component made anew.
    """

    frame_key: FrameKey | Update = SKIP
    redraw: str | Update = SKIP  # a new value has the whole panel drawn again
    progress: Html = SKIP
    news: Html = SKIP
    plot: chart.Frame | Update = SKIP
    legend: Html = SKIP
    samples: Html = SKIP
    loss_parts: Html = SKIP


def tick(
    request: gr.Request,
    run_id: str,
    frame_key: object,
    overlay: list[str] | None,
    unit: str | None,
) -> TickUpdate:
    """What has changed since the last look; most often nothing.

    Args:
        request: Tells the language.
        run_id: The followed run; empty if there is none.
        frame_key: What the page was last drawn from (`panel.frame_key`).
        overlay: Ids of the runs that are laid over the plot.
        unit: Of the losses that it shows.
    """
    if not run_id:
        return TickUpdate() if living() is None else _redraw()
    try:
        over, shown = overlay or [], plot.checked_unit(unit)
        return _progressed(language(request), run_id, frame_key, over, shown)
    except CharrnnError:
        return _redraw()


def _redraw() -> TickUpdate:
    return TickUpdate(redraw=str(time.monotonic_ns()))


def _progressed(
    lang: str, run_id: str, old_key: object, overlay: list[str], unit: str
) -> TickUpdate:
    status = read_status(checked_id(run_id))
    view = status.view
    key = panel.frame_key(status, view, others(status.state, overlay))
    changed = panel.changed_parts(key, old_key)
    if not changed:
        return TickUpdate()
    if changed & {"run", "state", "title", "extra"}:
        return _redraw()
    record = checkpoint.read_record(model_folder(run_id))
    update = TickUpdate(
        frame_key=key,
        progress=panel.progress_html(lang, status, view, record.training),
    )
    if changed & {"step", "validations", "baseline"}:
        drawn = plot.drawn(lang, run_id, record, overlay, unit)
        update = update._replace(plot=drawn)
    if changed & {"validations", "baseline"}:
        legend = plot.legend_html(lang, run_id, record, overlay, unit)
        update = update._replace(legend=legend)
    if changed & {"samples", "last_sample"}:
        update = update._replace(samples=film.film_html(lang, status, record))
    if "validations" in changed:
        made_of = loss_parts.parts_html(lang, status, record)
        update = update._replace(loss_parts=made_of)
    if changed & {"validations", "notices", "baseline"}:
        until = kept_until(model_folder(run_id))
        update = update._replace(news=panel.news_html(lang, status, record, until))
    return update


def redrawn(
    request: gr.Request,
    run_id: str,
    browser: object,
    overlay: list[str] | None,
    unit: str | None,
) -> PanelUpdate:
    """The whole panel anew: the run's state has changed, or another one lives."""
    lang, held = language(request), Browser.of(browser)
    wanted = run_id or living()
    if not wanted:
        return empty_panel(lang, held)
    try:
        shown = plot.checked_unit(unit)
        return whole_panel(lang, wanted, held, overlay or [], shown)
    except CharrnnError:
        return empty_panel(lang, held, translate(lang, "progress.unknown_run"))


def living() -> str | None:
    """A run that a terminal started: followed by a page that follows none."""
    if policy().secret_ids:
        return None
    live = [e.model_id for e in listing.list_runs() if e.state in LIVE]
    return live[0] if live else None


def opened(request: gr.Request, browser: object) -> PanelUpdate:
    """Find the run again, and name the plot's axes in the visitor's language.

    The run is the one in the address, in the browser, or alive here. The axes
    are named once, before anything is drawn: a new name redraws.
    """
    lang, held = language(request), Browser.of(browser)
    linked = request.query_params.get("run", "")[:100]
    found = _follow(lang, linked or held.run or living(), held)
    axes = plot.axes(lang)
    has_rows = "data" in found.plot
    named = gr.update(value=found.plot, **axes) if has_rows else gr.update(**axes)
    return found._replace(plot=named)
