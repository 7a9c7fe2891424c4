"""What a visitor does with a run: stop, resume, continue, rename, delete."""

from collections.abc import Callable
from typing import Final, NamedTuple

import gradio as gr

from charrnn.config import setting_bounds
from charrnn.errors import ConfigError
from charrnn.model import checkpoint
from charrnn.runs import control
from charrnn.runs.owner import Owner
from charrnn.ui import generate_form
from charrnn.ui.following import PanelUpdate, empty_panel, whole_panel
from charrnn.ui.shared import Browser, model_folder, note, owned_id
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import Update

MAX_MORE_EPOCHS: Final = int(setting_bounds("epochs")[1])


def _act(
    request: gr.Request, run_id: str, browser: object, action: Callable[[str], object]
) -> PanelUpdate:
    """Do something to a run of the visitor's own and show it anew.

    Raises:
        CharrnnError: If it cannot be done.
    """
    held = Browser.of(browser)
    action(_owned(run_id, held))
    return whole_panel(language(request), run_id, held)


def _owned(run_id: str, browser: Browser) -> str:
    return owned_id(run_id, browser.keys.get(run_id, ""))


def _again(request: gr.Request, run_id: str, browser: object) -> Owner | None:
    """Who has a run go on, as its owner is noted from then on."""
    key = Browser.of(browser).keys.get(run_id)
    return None if key is None else Owner(key, visitor_of(request))


def stop(request: gr.Request, run_id: str, browser: object) -> PanelUpdate:
    """Ask the run to end."""
    return _act(request, run_id, browser, control.stop)


def resume(request: gr.Request, run_id: str, browser: object) -> PanelUpdate:
    """Go on with a run that was stopped or died."""
    who = _again(request, run_id, browser)
    return _act(request, run_id, browser, lambda run: control.resume(run, owner=who))


def train_more(
    request: gr.Request, run_id: str, browser: object, epochs: float | None
) -> PanelUpdate:
    """Train a run for some more epochs."""
    count = int(epochs or 0)
    if not 1 <= count <= MAX_MORE_EPOCHS:
        bounds = {"low": "1", "high": f"{MAX_MORE_EPOCHS:,}"}
        sentence = translate(language(request), "field.range", **bounds)
        raise ConfigError(sentence)
    who = _again(request, run_id, browser)
    return _act(
        request,
        run_id,
        browser,
        lambda run: control.continue_for(run, count, owner=who),
    )


def change_rate(run_id: str, browser: object, factor: float | None) -> None:
    """Multiply the run's learning rate."""
    owned = _owned(run_id, Browser.of(browser))
    control.set_learning_rate_factor(owned, float(factor or 0))


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


def ask_delete(request: gr.Request, run_id: str, browser: object) -> QuestionUpdate:
    """Ask before a run is deleted."""
    _owned(run_id, Browser.of(browser))
    title = checkpoint.read_record(model_folder(run_id)).title
    sentence = translate(language(request), "train.delete_ask", title=title)
    return QuestionUpdate(gr.update(visible=True), note(sentence, "warn"))


def keep() -> Update:
    """The question was answered with no."""
    return gr.update(visible=False)


def delete(request: gr.Request, run_id: str, browser: object) -> PanelUpdate:
    """Delete the run; no run is followed afterwards."""
    held = Browser.of(browser)
    control.delete(_owned(run_id, held))
    lang, remembered = language(request), held.without(run_id)
    update = empty_panel(lang, remembered, translate(lang, "runs.deleted"))
    return update._replace(
        browser=remembered.store(), question=gr.update(visible=False)
    )


class WriteUpdate(NamedTuple):
    """What writing with a run's model changes in the page and its Generate tab."""

    tabs: Update
    model: Update
    prompt: str | Update


def write_with(
    request: gr.Request, run_id: str, browser: object, prompt: str
) -> WriteUpdate:
    """Go to the Generate tab, with the followed run's model chosen.

    Raises:
        RunError: If there is no such run.
    """
    model_folder(run_id)
    choices, _ = generate_form.listed(language(request), run_id, browser)
    model = gr.update(choices=choices, value=run_id)
    suggested = generate_form.suggest_prompt(run_id, prompt)
    return WriteUpdate(gr.update(selected="generate"), model, suggested)
