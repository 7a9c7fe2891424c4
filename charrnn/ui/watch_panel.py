"""The Train tab, its right side: the followed run, live, and the list of runs.

A timer asks once a second; the answer is empty unless the run's history has
grown. The chart's node stays while a run is followed: only its data change.
Which run is followed lies in the page itself, in a hidden field.
"""

import atexit
import functools
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import gradio as gr
import pandas as pd  # type: ignore[import-untyped]

from charrnn.errors import CharrnnError
from charrnn.hosting import policy
from charrnn.model import checkpoint
from charrnn.model.record import Record
from charrnn.runs import control, listing
from charrnn.runs.status import LIVE, read_status
from charrnn.ui import chart, panel
from charrnn.ui.generate_tab import is_code
from charrnn.ui.history import Views
from charrnn.ui.shared import Browser, allowed, note, reach, run_choices, shown, visible
from charrnn.ui.texts import TABLES, i18n, known, language, say

SKIP: Final[Any] = gr.skip()
IDLE: Final = 5.0  # seconds between looks for runs that a terminal started
ZIP_SECONDS: Final = 600.0
MAX_OVERLAYS: Final = len(chart.OVERLAY_COLOURS)
views: Final = Views()


def series_names(lang: str) -> dict[str, str]:
    """What each series of the chart is called."""
    return {key: say(lang, f"series.{key}") for key in chart.SERIES}


class Panel(NamedTuple):
    """What following a run shows; what did not change is skipped."""

    followed: Any = SKIP
    seen: Any = SKIP
    timer: Any = SKIP
    choice: Any = SKIP  # the list of runs to follow
    overlay: Any = SKIP
    welcome: Any = SKIP
    body: Any = SKIP  # all that is about the run
    head: Any = SKIP
    progress: Any = SKIP
    news: Any = SKIP
    plot: Any = SKIP
    legend: Any = SKIP
    samples: Any = SKIP
    stop: Any = SKIP
    resume: Any = SKIP
    more: Any = SKIP
    factor: Any = SKIP
    table: Any = SKIP


def _timer(*, live: bool, following: bool) -> Any:
    """Quick while a run lives; slow where something may still come.

    The floor of a run may be found after its end, and on one's own computer a
    terminal may start or resume a run.
    """
    if live:
        return gr.update(value=policy().poll_seconds, active=True)
    return gr.update(value=IDLE, active=following or not policy().secret_ids)


def _overlay_names(overlay: Sequence[str]) -> dict[str, str]:
    """Id to a name that no other series has, for the runs laid over the plot."""
    names: dict[str, str] = {}
    for run_id in overlay[:MAX_OVERLAYS]:
        try:
            title = checkpoint.read_record(reach(run_id)).title
        except CharrnnError:
            continue
        taken = {
            *names.values(),
            *(n for t in TABLES for n in series_names(t).values()),
        }
        names[run_id] = title if title not in taken else f"{title} ({run_id})"
    return names


def plot_rows(
    lang: str, run_id: str, record: Record, overlay: Sequence[str]
) -> list[chart.Row]:
    """The rows of the followed run and of those laid over it."""
    view = views.of(run_id)
    rows = chart.rows(view, record.model.vocab_size, series_names(lang))
    for other, name in _overlay_names(overlay).items():
        rows += chart.overlay_rows(name, views.of(other))
    return rows


def legend(lang: str, run_id: str, record: Record, overlay: Sequence[str]) -> str:
    """What the lines of the plot are, as HTML."""
    names = list(_overlay_names(overlay).values())
    return panel.legend_html(lang, views.of(run_id), record.model.vocab_size, names)


def _buttons(state: str) -> dict[str, Any]:
    """Which of the buttons are there in which state."""
    live = state in LIVE
    return {
        "stop": gr.update(visible=live, interactive=state != "stopping"),
        "resume": gr.update(visible=state in ("stopped", "died", "failed")),
        "more": gr.update(visible=not live and state != "failed"),
        "factor": gr.update(visible=state == "running"),
    }


def _extra(state: str, overlay: Sequence[str]) -> list[str]:
    """What else a frame is drawn from: the overlay and, at rest, all runs.

    Reading all runs takes a millisecond each, so it is left to the slow ticks;
    strangers' runs on a hosted page are none of a visitor's frame.
    """
    if state in LIVE or policy().secret_ids:
        return list(overlay)
    return [*overlay, *(f"{e.model_id} {e.state}" for e in listing.list_runs())]


def empty_panel(lang: str, browser: Browser, message: str = "") -> Panel:
    """No run is followed."""
    entries = visible(listing.list_runs(), browser.held)
    text = note(message, "warn") if message else ""
    return Panel(
        followed="",
        seen="",
        timer=_timer(live=False, following=False),
        choice=gr.update(
            choices=run_choices(lang, browser), value=None, visible=bool(entries)
        ),
        welcome=gr.update(value=text + TABLES[lang]["welcome"], visible=True),
        body=gr.update(visible=False),
        table=panel.runs_table(lang, entries),
    )


def whole_panel(
    lang: str, run_id: str, browser: Browser, overlay: Sequence[str] = ()
) -> Panel:
    """Everything about a run, as when it is first followed.

    Raises:
        CharrnnError: If there is no such run.
    """
    status = read_status(allowed(run_id))
    record = checkpoint.read_record(reach(run_id))
    view = views.of(run_id)
    browser = browser.following(run_id)
    choices = run_choices(lang, browser)
    others = [choice for choice in choices if choice[1] != run_id]
    return Panel(
        followed=run_id,
        seen=panel.mark_of(status, view, _extra(status.state, overlay)),
        timer=_timer(live=status.state in LIVE, following=True),
        choice=gr.update(choices=choices, value=run_id, visible=True),
        overlay=gr.update(choices=others, value=list(overlay), visible=bool(others)),
        welcome=gr.update(visible=False),
        body=gr.update(visible=True),
        head=panel.head_html(lang, status, record),
        progress=panel.progress_html(lang, status, view, record.training),
        news=panel.news_html(lang, status, view),
        plot=chart.frame(plot_rows(lang, run_id, record, overlay)),
        legend=legend(lang, run_id, record, overlay),
        samples=panel.samples_html(lang, view, code=is_code(record)),
        **_buttons(status.state),
        table=panel.runs_table(lang, visible(listing.list_runs(), browser.held)),
    )


def follow(lang: str, run_id: str | None, browser: Any) -> tuple[Any, ...]:
    """Follow another run, and let the browser remember it."""
    lang, mind = known(lang), Browser.of(browser)
    if not run_id:
        return (*empty_panel(lang, mind), mind.following(None).store())
    try:
        shown_panel = whole_panel(lang, run_id, mind)
    except CharrnnError:
        message = say(lang, "progress.unknown_run")
        return (*empty_panel(lang, mind, message), mind.following(None).store())
    return (*shown_panel, mind.following(run_id).store())


class Tick(NamedTuple):
    """What a tick may change; what is more than that is left to `turned`.

    They are few, since each skipped output costs Gradio a component made anew.
    """

    seen: Any = SKIP
    turn: Any = SKIP  # anything new here has the whole panel drawn again
    progress: Any = SKIP
    news: Any = SKIP
    plot: Any = SKIP
    legend: Any = SKIP
    samples: Any = SKIP


def tick(
    lang: str, run_id: str, seen: str, browser: Any, overlay: list[str] | None
) -> Tick:
    """What has changed since the last look; most often nothing.

    Args:
        lang: Language code.
        run_id: The followed run; empty if there is none.
        seen: What the page was last drawn from (`panel.mark_of`).
        browser: What the browser remembers.
        overlay: Ids of the runs that are laid over the plot.
    """
    if not run_id:
        return Tick() if _living() is None else _turn()
    try:
        return _progressed(known(lang), run_id, seen, overlay or [])
    except CharrnnError:
        return _turn()


def _turn() -> Tick:
    return Tick(turn=str(time.monotonic_ns()))


def _progressed(lang: str, run_id: str, seen: str, overlay: list[str]) -> Tick:
    status, view = read_status(allowed(run_id)), views.of(run_id)
    mark = panel.mark_of(status, view, _extra(status.state, overlay))
    if mark == seen:
        return Tick()
    new, old = json.loads(mark), panel.read_mark(seen)
    changed = {name for name in new if new[name] != old.get(name)}
    if changed & {"run", "state", "title", "extra"}:
        return _turn()
    record = checkpoint.read_record(reach(run_id))
    result = Tick(
        seen=mark, progress=panel.progress_html(lang, status, view, record.training)
    )
    if changed & {"step", "validations", "floor"}:
        rows = plot_rows(lang, run_id, record, overlay)
        result = result._replace(plot=chart.frame(rows))
    if changed & {"validations", "floor"}:
        result = result._replace(legend=legend(lang, run_id, record, overlay))
    if changed & {"samples", "last_sample"}:
        samples = panel.samples_html(lang, view, code=is_code(record))
        result = result._replace(samples=samples)
    if changed & {"validations", "notices"}:
        result = result._replace(news=panel.news_html(lang, status, view))
    return result


def turned(lang: str, run_id: str, browser: Any, overlay: list[str] | None) -> Panel:
    """The whole panel anew: the run's state has changed, or another one lives."""
    lang, mind = known(lang), Browser.of(browser)
    wanted = run_id or _living()
    if not wanted:
        return empty_panel(lang, mind)
    try:
        return whole_panel(lang, wanted, mind, overlay or [])
    except CharrnnError:
        return empty_panel(lang, mind, say(lang, "progress.unknown_run"))


def _living() -> str | None:
    """A run that a terminal started: followed by a page that follows none."""
    if policy().secret_ids:
        return None
    live = [e.model_id for e in listing.list_runs() if e.state in LIVE]
    return live[0] if live else None


def lay_over(lang: str, run_id: str, overlay: list[str] | None) -> tuple[Any, str]:
    """Lay other runs over the plot: the one thing that draws it anew."""
    lang, over = known(lang), overlay or []
    try:
        record = checkpoint.read_record(reach(run_id))
        rows = plot_rows(lang, run_id, record, over)
        said = legend(lang, run_id, record, over)
    except CharrnnError as error:
        raise shown(error) from error
    tables = [series_names(code) for code in TABLES]
    names = list(_overlay_names(over).values())
    colours = chart.colour_map(tables, names)
    return gr.update(value=chart.frame(rows), color_map=colours), said


def stop(lang: str, run_id: str, browser: Any) -> Panel:
    """Ask the run to end."""
    return _act(lang, run_id, browser, lambda: control.stop(allowed(run_id)))


def resume(lang: str, run_id: str, browser: Any) -> Panel:
    """Go on with a run that was stopped or died."""
    return _act(lang, run_id, browser, lambda: control.resume(allowed(run_id)))


def train_more(lang: str, run_id: str, browser: Any, epochs: float | None) -> Panel:
    """Train a run for some more epochs."""
    count = int(epochs or 0)
    if not 1 <= count <= 10_000:
        bounds = {"low": "1", "high": "10,000"}
        raise gr.Error(say(known(lang), "field.range", **bounds), print_exception=False)
    return _act(
        lang, run_id, browser, lambda: control.continue_for(allowed(run_id), count)
    )


def change_rate(run_id: str, factor: float | None) -> None:
    """Multiply the run's learning rate."""
    try:
        control.set_learning_rate_factor(allowed(run_id), float(factor or 0))
    except CharrnnError as error:
        raise shown(error) from error


def rename(lang: str, run_id: str, browser: Any, title: str) -> Panel:
    """Give the run another title."""
    return _act(lang, run_id, browser, lambda: control.rename(allowed(run_id), title))


def _act(lang: str, run_id: str, browser: Any, action: Any) -> Panel:
    try:
        action()
        return whole_panel(known(lang), run_id, Browser.of(browser))
    except CharrnnError as error:
        raise shown(error) from error


def ask_delete(lang: str, run_id: str) -> tuple[Any, str]:
    """Ask before a run is deleted."""
    try:
        title = checkpoint.read_record(reach(run_id)).title
    except CharrnnError as error:
        raise shown(error) from error
    sentence = say(known(lang), "train.delete_ask", title=title)
    return gr.update(visible=True), note(sentence, "warn")


def keep() -> Any:
    """The question was answered with no."""
    return gr.update(visible=False)


def delete(lang: str, run_id: str, browser: Any) -> tuple[Any, ...]:
    """Delete the run; no run is followed afterwards."""
    try:
        control.delete(allowed(run_id))
    except CharrnnError as error:
        raise shown(error) from error
    mind = Browser.of(browser).following(None)
    message = say(known(lang), "runs.deleted")
    return (
        *empty_panel(known(lang), mind, message),
        mind.store(),
        gr.update(visible=False),
    )


@functools.cache
def _zips() -> Path:
    """A folder for what is downloaded, gone when the page ends."""
    folder = tempfile.mkdtemp(prefix="charrnn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def zip_file(run_id: str) -> Any:
    """Pack what a model shows; the page then clicks the hidden download.

    Gradio makes a copy of its own of each: what was packed a while ago goes.
    """
    for old in _zips().iterdir():
        if old.stat().st_mtime < time.time() - ZIP_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=_zips()))
    try:
        return gr.update(value=str(control.archive(allowed(run_id), folder)))
    except CharrnnError as error:
        raise shown(error) from error


def opened(browser: Any, request: gr.Request) -> tuple[Any, ...]:
    """Find the run again, and name the plot's axes in the visitor's language.

    The axes are named once, before anything is drawn: a new name redraws.
    """
    lang = language(request)
    *found, remembered = _find_again(lang, browser, request)
    first = Panel(*found)
    axes: dict[str, Any] = {
        "x_title": say(lang, "train.axis_step"),
        "y_title": say(lang, "train.axis_loss"),
    }
    has_rows = isinstance(first.plot, pd.DataFrame)
    plot = gr.update(value=first.plot, **axes) if has_rows else gr.update(**axes)
    return (*first._replace(plot=plot), remembered)


def _find_again(lang: str, browser: Any, request: gr.Request) -> tuple[Any, ...]:
    """The run in the address, in the browser, or alive here."""
    wanted = request.query_params.get("run", "")
    if wanted:
        return follow(lang, wanted[:100], browser)
    remembered = Browser.of(browser).run
    if remembered:
        return follow(lang, remembered, browser)
    return follow(lang, _living(), browser)


@dataclass(frozen=True)
class WatchPanel:
    """The outputs that other parts of the page write to."""

    outputs: list[Any]  # in the order of `Panel`
    browser: gr.BrowserState


def _plot() -> gr.LinePlot:
    tables = [series_names(code) for code in TABLES]
    return gr.LinePlot(
        chart.frame([]),
        x="step",
        y="loss",
        color="series",
        x_title=say("en", "train.axis_step"),
        y_title=say("en", "train.axis_loss"),
        colors_in_legend=[],  # ours wraps on a phone and tells the levels
        color_map=chart.colour_map(tables),
        height=340,
        show_label=False,
        label=i18n("train.plot"),
        elem_id="plot",
    )


class Controls(NamedTuple):
    """What stands under the plot's head, and is pressed."""

    stop: gr.Button
    resume: gr.Button
    more: gr.Row
    epochs: gr.Number
    go_on: gr.Button


def _controls() -> Controls:
    with gr.Row(elem_id="run-buttons"):
        stop_button = gr.Button(
            i18n("train.stop"), variant="stop", visible=False, elem_id="stop"
        )
        resume_button = gr.Button(i18n("train.resume"), visible=False, elem_id="resume")
        with gr.Row(visible=False) as more:
            epochs = gr.Number(
                5,
                label=i18n("train.more_epochs"),
                precision=0,
                min_width=170,
                elem_id="more",
                elem_classes="inline",
            )
            go_on = gr.Button(i18n("train.continue"), min_width=100, elem_id="continue")
    return Controls(stop_button, resume_button, more, epochs, go_on)


def _rate() -> tuple[gr.Accordion, gr.Number, gr.Button]:
    with (
        gr.Accordion(i18n("train.live"), open=False, visible=False) as box,
        gr.Row(),
    ):
        factor = gr.Number(
            0.5,
            label=i18n("train.factor"),
            info=i18n("train.factor_info"),
            step=0.1,
            elem_id="factor",
        )
        apply = gr.Button(i18n("train.apply"), elem_id="apply-factor")
    return box, factor, apply


def _overlay() -> gr.Dropdown:
    return gr.Dropdown(
        [],
        multiselect=True,
        max_choices=MAX_OVERLAYS,
        label=i18n("train.overlay"),
        info=i18n("train.overlay_info"),
        visible=False,
        elem_id="overlay",
    )


class Body(NamedTuple):
    """All that is about the followed run, from top to bottom."""

    column: gr.Column
    head: gr.HTML
    progress: gr.HTML
    controls: Controls
    plot: gr.LinePlot
    legend: gr.HTML
    news: gr.HTML
    samples: gr.HTML
    rate: tuple[gr.Accordion, gr.Number, gr.Button]
    overlay: gr.Dropdown
    manage: "Manage"


def _body() -> Body:
    with gr.Column(visible=False, elem_id="run") as column:
        head = gr.HTML(elem_id="run-head", apply_default_css=False)
        progress = gr.HTML(elem_id="progress", apply_default_css=False)
        controls = _controls()
        plot = _plot()
        legend_box = gr.HTML(elem_id="legend", apply_default_css=False)
        news = gr.HTML(elem_id="news", apply_default_css=False)
        gr.Markdown(i18n("train.samples"), elem_classes="group")
        samples = gr.HTML(elem_id="samples", apply_default_css=False)
        rate, overlay, manage = _rate(), _overlay(), _manage()
    return Body(
        *(column, head, progress, controls, plot, legend_box, news, samples),
        *(rate, overlay, manage),
    )


def build(
    lang: gr.Textbox, followed: gr.Textbox, browser: gr.BrowserState
) -> WatchPanel:
    """Lay the live side out and connect it."""
    seen, turn = gr.Textbox("", visible=False), gr.Textbox("", visible=False)
    timer = gr.Timer(IDLE, active=False)
    choice = gr.Dropdown(
        [], label=i18n("train.followed"), visible=False, elem_id="followed-run"
    )
    welcome = gr.HTML(i18n("welcome"), elem_id="welcome", apply_default_css=False)
    body = _body()
    with gr.Accordion(i18n("train.runs"), open=False):
        table = gr.HTML(elem_id="runs-table", apply_default_css=False)
    factor_box, factor, apply = body.rate
    controls = body.controls
    outputs = [
        *(followed, seen, timer, choice, body.overlay, welcome, body.column),
        *(body.head, body.progress, body.news, body.plot, body.legend, body.samples),
        *(controls.stop, controls.resume, controls.more, factor_box, table),
    ]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    looked = [lang, followed, seen, browser, body.overlay]
    ticked = [seen, turn, body.progress, body.news, body.plot, body.legend]
    timer.tick(tick, looked, [*ticked, body.samples], queue=False, **quiet)
    again = [lang, followed, browser, body.overlay]
    turn.change(turned, again, outputs, queue=False, **quiet)
    choosing = [lang, choice, browser]
    choice.input(follow, choosing, [*outputs, browser], queue=False, **quiet)
    over, drawn = [lang, followed, body.overlay], [body.plot, body.legend]
    body.overlay.input(lay_over, over, drawn, queue=False, **quiet)
    apply.click(change_rate, [followed, factor], None, **quiet)
    about = [lang, followed, browser]
    _connect_controls(controls, about, outputs, quiet)
    _connect_manage(body.manage, about, outputs, browser, quiet)
    return WatchPanel(outputs, browser)


def _connect_controls(
    controls: Controls, about: list[Any], outputs: list[Any], quiet: dict[str, Any]
) -> None:
    controls.stop.click(stop, about, outputs, **quiet)
    controls.resume.click(resume, about, outputs, **quiet)
    controls.go_on.click(train_more, [*about, controls.epochs], outputs, **quiet)


class Manage(NamedTuple):
    """Rename, download, delete."""

    title: gr.Textbox
    rename: gr.Button
    zip: gr.Button
    download: gr.DownloadButton
    delete: gr.Button
    question: gr.Column
    sentence: gr.HTML
    sure: gr.Button
    keep: gr.Button


def _manage() -> Manage:
    with gr.Accordion(i18n("train.manage"), open=False, elem_id="manage"):
        with gr.Row(equal_height=True):
            title = gr.Textbox(
                "",
                label=i18n("train.title_new"),
                max_length=200,
                scale=3,
                elem_id="new-title",
            )
            rename_button = gr.Button(
                i18n("train.rename"), min_width=100, elem_id="rename"
            )
        with gr.Row():
            zip_button = gr.Button(i18n("train.zip"), elem_id="zip")
            delete_button = gr.Button(i18n("train.delete"), elem_id="delete")
        with gr.Column(visible=False, elem_id="delete-question") as question:
            sentence = gr.HTML(apply_default_css=False)
            with gr.Row():
                sure = gr.Button(
                    i18n("train.delete_sure"), variant="stop", elem_id="delete-sure"
                )
                kept = gr.Button(i18n("train.delete_keep"), elem_id="delete-keep")
    download = gr.DownloadButton("zip", elem_id="zip-file", elem_classes="offstage")
    return Manage(
        *(title, rename_button, zip_button, download, delete_button),
        *(question, sentence, sure, kept),
    )


def _connect_manage(
    manage: Manage,
    about: list[Any],
    outputs: list[Any],
    browser: gr.BrowserState,
    quiet: dict[str, Any],
) -> None:
    lang, followed, _ = about
    manage.rename.click(rename, [*about, manage.title], outputs, **quiet)
    manage.zip.click(zip_file, followed, manage.download, **quiet).success(
        None, None, None, js="() => document.querySelector('#zip-file').click()"
    )
    question = [manage.question, manage.sentence]
    manage.delete.click(ask_delete, [lang, followed], question, **quiet)
    manage.keep.click(keep, None, manage.question, queue=False, **quiet)
    manage.sure.click(delete, about, [*outputs, browser, manage.question], **quiet)
