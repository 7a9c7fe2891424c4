"""What a hosted page keeps of a visitor: signs of life, and deleting all of it."""

import contextlib
from dataclasses import dataclass
from typing import NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.runs import control, owner
from charrnn.ui.following import empty_panel
from charrnn.ui.labels import i18n
from charrnn.ui.shared import NEW_BROWSER, Browser, model_folder, remove_upload
from charrnn.ui.texts import language, translate
from charrnn.ui.train_tab import TrainTab
from charrnn.ui.watch_panel import WatchPanel
from charrnn.ui.wiring import PRIVATE, QUIET, Update, outputs


def show_alive(browser: object) -> None:
    """Note a sign of life of whoever owns what a browser holds the keys of."""
    held = Browser.of(browser)
    for run_id in held.keys:
        with contextlib.suppress(CharrnnError):  # deleted meanwhile
            path = model_folder(run_id)
            if held.owns(path):
                owner.mark_seen(path)


class ForgottenUpdate(NamedTuple):
    """What deleting all of a visitor's data changes beside the panel."""

    file: Update
    pasted: str
    fetched: Update
    origin: None = None


def delete_all(
    request: gr.Request,
    browser: object,
    file: list[str] | None,
    fetched: str | None = None,
) -> tuple[object, ...]:
    """Delete all runs and models of a visitor, what they uploaded or had read.

    What trains is stopped and removed when it has ended, within minutes. Nothing is
    remembered by the browser afterwards.
    """
    lang, held = language(request), Browser.of(browser)
    gone, ending = 0, 0
    for run_id in held.keys:
        with contextlib.suppress(CharrnnError):  # deleted before, or no longer theirs
            if not held.owns(model_folder(run_id)):
                continue
            if control.give_up(run_id):
                gone += 1
            else:
                ending += 1
    for one in (*(file or ()), fetched):
        remove_upload(one)
    sentence = translate(lang, "data.deleted", count=gone)
    if ending:
        sentence += " " + translate(lang, "data.ending", count=ending)
    empty = gr.update(value=None)
    update = empty_panel(lang, Browser(), sentence)._replace(browser=dict(NEW_BROWSER))
    return (*update, *ForgottenUpdate(empty, "", empty), keep())


def ask() -> Update:
    """Ask before everything is deleted."""
    return gr.update(visible=True)


def keep() -> Update:
    """The question is answered."""
    return gr.update(visible=False)


@dataclass(frozen=True)
class Forgetting:
    """The button and its question."""

    delete: gr.Button
    question: gr.Column
    sure: gr.Button
    keep: gr.Button


def _layout() -> Forgetting:
    delete = gr.Button(i18n("data.delete"), elem_id="delete-all", size="sm")
    with gr.Column(visible=False, elem_id="delete-all-question") as question:
        gr.Markdown(i18n("data.ask"))
        with gr.Row():
            sure = gr.Button(i18n("data.sure"), variant="stop", elem_id="all-sure")
            no = gr.Button(i18n("train.delete_keep"), elem_id="all-keep")
    return Forgetting(delete, question, sure, no)


def build(training: TrainTab, watching: WatchPanel) -> None:
    """Lay the button out, below the list of runs, and connect it."""
    page, parts = watching.page, _layout()
    alive = gr.Button("", elem_id="alive", elem_classes="offstage")
    alive.click(show_alive, page.browser, None, **QUIET)
    parts.delete.click(ask, None, parts.question, **QUIET)
    parts.keep.click(keep, None, parts.question, **QUIET)
    parts.sure.click(
        delete_all,
        [page.browser, training.text.file, training.text.fetched],
        [
            *watching.outputs(),
            *outputs(ForgottenUpdate, training.text),
            parts.question,
        ],
        **PRIVATE,
    ).success(None, None, None, js="() => charrnn.forget()", **QUIET)
