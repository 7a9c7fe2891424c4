"""The Train tab, its right side: the followed run, live, and the list of runs."""

from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from charrnn.files import TEXT_LIMIT
from charrnn.ui import chart, comparison, following, plot, run_actions, web_pages, zips
from charrnn.ui.comparison import LaidUpdate
from charrnn.ui.following import PanelUpdate, TickUpdate
from charrnn.ui.labels import i18n
from charrnn.ui.plot import MAX_OVERLAYS, OverlayUpdate
from charrnn.ui.run_actions import QuestionUpdate
from charrnn.ui.sessions import id_dropdown
from charrnn.ui.shared import PageState
from charrnn.ui.texts import FALLBACK
from charrnn.ui.wiring import PRIVATE, QUIET, outputs


@dataclass(frozen=True)
class Controls:
    """What is pressed of a run: one row under its head, the rest further below."""

    stop: gr.Button
    write: gr.Button
    web: gr.Button
    resume: gr.Button
    more: gr.Row
    epochs: gr.Number
    go_on: gr.Button


@dataclass(frozen=True)
class Rate:
    """Changing the learning rate of a run that trains."""

    rate: gr.Accordion
    factor: gr.Number
    apply: gr.Button


@dataclass(frozen=True)
class Manage:
    """Rename, download, delete: for the run's owner alone."""

    manage_box: gr.Accordion
    title: gr.Textbox
    rename: gr.Button
    zip: gr.Button
    with_state: gr.Checkbox
    with_text: gr.Checkbox
    download: gr.DownloadButton
    delete: gr.Button
    question: gr.Column
    sentence: gr.HTML
    sure: gr.Button
    keep: gr.Button


@dataclass(frozen=True)
class Body:
    """All that is about the followed run, from top to bottom."""

    body: gr.Column
    head: gr.HTML
    progress: gr.HTML
    controls: Controls
    plot: gr.LinePlot
    legend: gr.HTML
    loss_unit: gr.Radio
    news: gr.HTML
    samples: gr.HTML
    loss_parts: gr.HTML
    rate: Rate
    overlay: gr.Dropdown
    sweep: gr.HTML
    lay_sweep: gr.Button
    manage: Manage


@dataclass(frozen=True)
class WatchPanel:
    """The panel's components, named as the updates name them."""

    page: PageState
    frame_key: gr.JSON  # hidden: what the page was last drawn from
    redraw: gr.Textbox  # hidden: a new value has the whole panel drawn again
    choice: gr.Dropdown
    welcome: gr.HTML
    body: Body
    table: gr.HTML

    def holders(self) -> tuple[object, ...]:
        """All that holds components, by name: the innermost first."""
        body = self.body
        return (body.rate, body.controls, body.manage, body, self.page, self)

    def outputs(self) -> list[Block]:
        """The outputs of all that returns a `PanelUpdate`."""
        return outputs(PanelUpdate, *self.holders())


def _buttons() -> tuple[gr.Button, gr.Button, gr.Button]:
    """Stop while it trains, Write and Resume then: one row, so that nothing moves."""
    with gr.Row(elem_id="run-buttons"):
        stop = gr.Button(
            i18n("train.stop"), variant="stop", visible=False, elem_id="stop"
        )
        write = gr.Button(
            i18n("train.write"), variant="primary", visible=False, elem_id="write-with"
        )
        resume = gr.Button(i18n("train.resume"), visible=False, elem_id="resume")
    return stop, write, resume


def _more() -> tuple[gr.Row, gr.Number, gr.Button]:
    """Going on with a run that is at rest, in the place of what changes a live one."""
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
    return more, epochs, go_on


def _plot() -> gr.LinePlot:
    return gr.LinePlot(
        chart.frame([]),
        x="step",
        y="loss",
        color="series",
        **plot.axes(FALLBACK),
        colors_in_legend=[],  # ours wraps on a phone and tells the levels
        color_map=plot.colour_map(),
        height=300,
        show_label=False,
        label=i18n("train.plot"),
        elem_id="plot",
    )


def _rate() -> Rate:
    with (
        gr.Accordion(i18n("train.live"), open=False, visible=False) as rate,
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
    return Rate(rate, factor, apply)


def _overlay() -> gr.Dropdown:
    return id_dropdown(
        multiselect=True,
        max_choices=MAX_OVERLAYS,
        label=i18n("train.overlay"),
        info=i18n("train.overlay_info"),
        visible=False,
        elem_id="overlay",
    )


def _manage() -> Manage:
    with gr.Accordion(i18n("train.manage"), open=False, elem_id="manage") as box:
        with gr.Row(equal_height=True):
            title = gr.Textbox(
                "",
                label=i18n("train.title_new"),
                max_length=TEXT_LIMIT,
                scale=3,
                elem_id="new-title",
            )
            rename = gr.Button(i18n("train.rename"), min_width=100, elem_id="rename")
        with gr.Row():
            zip_button = gr.Button(i18n("train.zip"), elem_id="zip")
            with_state = gr.Checkbox(
                False,
                label=i18n("train.zip_state"),
                info=i18n("train.zip_info"),
                min_width=150,
                elem_id="zip-state",
            )
            with_text = gr.Checkbox(
                False,
                label=i18n("train.zip_text"),
                min_width=150,
                elem_id="zip-text",
            )
        with gr.Row():
            delete = gr.Button(i18n("train.delete"), elem_id="delete")
        with gr.Column(visible=False, elem_id="delete-question") as question:
            sentence = gr.HTML(apply_default_css=False)
            with gr.Row():
                sure = gr.Button(
                    i18n("train.delete_sure"), variant="stop", elem_id="delete-sure"
                )
                keep = gr.Button(i18n("train.delete_keep"), elem_id="delete-keep")
    return Manage(
        manage_box=box,
        title=title,
        rename=rename,
        zip=zip_button,
        with_state=with_state,
        with_text=with_text,
        download=gr.DownloadButton("zip", elem_id="zip-file", elem_classes="offstage"),
        delete=delete,
        question=question,
        sentence=sentence,
        sure=sure,
        keep=keep,
    )


def _body() -> Body:
    with gr.Column(visible=False, elem_id="run") as body:
        head = gr.HTML(elem_id="run-head", apply_default_css=False)
        progress = gr.HTML(elem_id="progress", apply_default_css=False)
        (stop, write, resume), line_plot = _buttons(), _plot()
        legend = gr.HTML(elem_id="legend", apply_default_css=False)
        loss_unit = gr.Radio(
            [(i18n(f"loss.{unit}"), unit) for unit in chart.UNITS],
            value=chart.UNITS[0],
            label=i18n("train.loss_unit"),
            elem_id="loss-unit",
        )
        news = gr.HTML(elem_id="news", apply_default_css=False)
        with gr.Column(elem_id="go-on"):  # the one or the other
            rate, (more, epochs, go_on) = _rate(), _more()
        gr.Markdown(i18n("train.samples"), elem_classes="group")
        samples = gr.HTML(elem_id="samples", apply_default_css=False)
        loss_parts = gr.HTML(elem_id="loss-parts", apply_default_css=False)
        overlay = _overlay()
        sweep = gr.HTML(elem_id="sweep", apply_default_css=False)
        lay_sweep = gr.Button(
            i18n("sweep.lay"), size="sm", visible=False, elem_id="lay-sweep"
        )
        web = gr.Button(i18n("train.web"), size="sm", visible=False, elem_id="web-page")
        manage = _manage()
    controls = Controls(stop, write, web, resume, more, epochs, go_on)
    return Body(
        *(body, head, progress, controls, line_plot, legend),
        *(loss_unit, news, samples, loss_parts),
        rate=rate,
        overlay=overlay,
        sweep=sweep,
        lay_sweep=lay_sweep,
        manage=manage,
    )


def _layout(page: PageState) -> WatchPanel:
    frame_key, redraw = gr.JSON(visible=False), gr.Textbox("", visible=False)
    choice = id_dropdown(
        label=i18n("train.followed"), visible=False, elem_id="followed-run"
    )
    welcome = gr.HTML(i18n("welcome"), elem_id="welcome", apply_default_css=False)
    body = _body()
    with gr.Accordion(i18n("train.runs"), open=False):
        table = gr.HTML(elem_id="runs-table", apply_default_css=False)
    return WatchPanel(page, frame_key, redraw, choice, welcome, body, table)


def _connect_live(panel: WatchPanel) -> None:
    followed, browser, body = panel.page.followed, panel.page.browser, panel.body
    followed.change(None, followed, None, js="run => charrnn.follow(run)", **QUIET)
    panel.page.wake.click(
        following.tick,
        [followed, panel.frame_key, body.overlay, body.loss_unit],
        outputs(TickUpdate, *panel.holders()),
        **QUIET,
    ).success(None, None, None, js="() => charrnn.shown()", **QUIET)
    panel.redraw.change(
        following.redrawn,
        [followed, browser, body.overlay, body.loss_unit],
        panel.outputs(),
        **QUIET,
    ).success(None, None, None, js="() => charrnn.redrawn()", **QUIET)
    panel.choice.input(
        following.follow, [panel.choice, browser], panel.outputs(), **QUIET
    )
    body.lay_sweep.click(
        comparison.lay_sweep,
        [followed, browser, body.loss_unit],
        outputs(LaidUpdate, body),
        **QUIET,
    ).success(None, None, None, js="() => charrnn.nameLines()", **QUIET)
    gr.on(
        [body.overlay.input, body.loss_unit.input],
        plot.lay_over,
        [followed, body.overlay, body.loss_unit],
        outputs(OverlayUpdate, body),
        trigger_mode="always_last",
        **QUIET,
    ).success(None, None, None, js="() => charrnn.nameLines()", **QUIET)


def _connect_actions(panel: WatchPanel) -> None:
    page, controls = panel.page, panel.body.controls
    run: list[Component] = [page.followed, page.browser]
    shown = panel.outputs()
    controls.stop.click(run_actions.stop, run, shown, **PRIVATE)
    controls.resume.click(run_actions.resume, run, shown, **PRIVATE)
    web_pages.connect(controls.web, *run, **PRIVATE)
    more = [*run, controls.epochs]
    controls.go_on.click(run_actions.train_more, more, shown, **PRIVATE)
    rate = panel.body.rate
    rate.apply.click(run_actions.change_rate, [*run, rate.factor], None, **PRIVATE)


def _connect_manage(panel: WatchPanel) -> None:
    page, manage = panel.page, panel.body.manage
    run: list[Component] = [page.followed, page.browser]
    shown = panel.outputs()
    manage.rename.click(run_actions.rename, [*run, manage.title], shown, **PRIVATE)
    asked = [*run, manage.with_state, manage.with_text]
    packed = manage.zip.click(zips.zip_file, asked, manage.download, **PRIVATE)
    packed.success(None, None, None, js="() => charrnn.download('zip-file')")
    question = outputs(QuestionUpdate, manage)
    manage.delete.click(run_actions.ask_delete, run, question, **PRIVATE)
    manage.keep.click(run_actions.keep, None, manage.question, **QUIET)
    manage.sure.click(run_actions.delete, run, shown, **PRIVATE)


def build(page: PageState) -> WatchPanel:
    """Lay the live side out and connect it."""
    panel = _layout(page)
    _connect_live(panel)
    _connect_actions(panel)
    _connect_manage(panel)
    return panel
