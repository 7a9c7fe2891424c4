"""What a visitor does with a run: stop, resume, continue, rename, pack, delete."""

import atexit
import functools
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.model import checkpoint
from charrnn.runs import control
from charrnn.ui.following import PanelUpdate, empty_panel, whole_panel
from charrnn.ui.shared import Browser, checked_id, model_folder, note, page_error
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import Update

MAX_MORE_EPOCHS: Final = 10_000
ZIP_SECONDS: Final = 600.0


def _act(
    request: gr.Request, run_id: str, browser: object, action: Callable[[str], object]
) -> PanelUpdate:
    """Do something to a run and show it anew.

    Raises:
        gr.Error: If it cannot be done; its sentence says why.
    """
    try:
        action(checked_id(run_id))
        return whole_panel(language(request), run_id, Browser.of(browser))
    except CharrnnError as error:
        raise page_error(error) from error


def stop(request: gr.Request, run_id: str, browser: object) -> PanelUpdate:
    """Ask the run to end."""
    return _act(request, run_id, browser, control.stop)


def resume(request: gr.Request, run_id: str, browser: object) -> PanelUpdate:
    """Go on with a run that was stopped or died."""
    return _act(request, run_id, browser, control.resume)


def train_more(
    request: gr.Request, run_id: str, browser: object, epochs: float | None
) -> PanelUpdate:
    """Train a run for some more epochs."""
    count = int(epochs or 0)
    if not 1 <= count <= MAX_MORE_EPOCHS:
        bounds = {"low": "1", "high": f"{MAX_MORE_EPOCHS:,}"}
        sentence = translate(language(request), "field.range", **bounds)
        raise gr.Error(sentence, print_exception=False)
    return _act(request, run_id, browser, lambda run: control.continue_for(run, count))


def change_rate(run_id: str, factor: float | None) -> None:
    """Multiply the run's learning rate."""
    try:
        control.set_learning_rate_factor(checked_id(run_id), float(factor or 0))
    except CharrnnError as error:
        raise page_error(error) from error


def rename(
    request: gr.Request, run_id: str, browser: object, title: str | None
) -> PanelUpdate:
    """Give the run another title."""
    new_title = title or ""
    return _act(request, run_id, browser, lambda run: control.rename(run, new_title))


class QuestionUpdate(NamedTuple):
    """What asking before a run is deleted changes."""

    question: Update
    sentence: str  # HTML


def ask_delete(request: gr.Request, run_id: str) -> QuestionUpdate:
    """Ask before a run is deleted."""
    try:
        title = checkpoint.read_record(model_folder(run_id)).title
    except CharrnnError as error:
        raise page_error(error) from error
    sentence = translate(language(request), "train.delete_ask", title=title)
    return QuestionUpdate(gr.update(visible=True), note(sentence, "warn"))


def keep() -> Update:
    """The question was answered with no."""
    return gr.update(visible=False)


def delete(request: gr.Request, run_id: str, browser: object) -> PanelUpdate:
    """Delete the run; no run is followed afterwards."""
    try:
        control.delete(checked_id(run_id))
    except CharrnnError as error:
        raise page_error(error) from error
    lang, remembered = language(request), Browser.of(browser).following(None)
    update = empty_panel(lang, remembered, translate(lang, "runs.deleted"))
    return update._replace(
        browser=remembered.store(), question=gr.update(visible=False)
    )


@functools.cache
def _zips() -> Path:
    """A folder for what is downloaded, gone when the page ends."""
    folder = tempfile.mkdtemp(prefix="charrnn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def zip_file(run_id: str) -> Update:
    """Pack what a model shows; the page then clicks the hidden download.

    Gradio makes a copy of its own of each: what was packed a while ago goes.
    """
    for old in _zips().iterdir():
        if old.stat().st_mtime < time.time() - ZIP_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=_zips()))
    try:
        return gr.update(value=str(control.archive(checked_id(run_id), folder)))
    except CharrnnError as error:
        raise page_error(error) from error
