"""The Train tab, its left side: a text, a size, and the button."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency
from gradio.i18n import I18nData

from charrnn.files import TEXT_LIMIT
from charrnn.hosting import policy
from charrnn.presets import PRESETS, default_preset
from charrnn.text import sources
from charrnn.ui import corpus_form, form, training
from charrnn.ui.corpus_form import DEFAULT_SOURCE, PASTE, UPLOAD, TextUpdate
from charrnn.ui.labels import i18n
from charrnn.ui.shared import PageState
from charrnn.ui.training import (
    EstimateRequest,
    EstimateUpdate,
    StartedUpdate,
    TrainingRequest,
)
from charrnn.ui.wiring import QUIET, inputs, outputs


@dataclass(frozen=True)
class TextFields:
    """Where the text comes from, and what it is."""

    source: gr.Radio
    file: gr.File
    pasted: gr.Textbox
    facts: gr.HTML
    offline: gr.Button
    text_size: gr.JSON  # hidden


@dataclass(frozen=True)
class TrainTab:
    """The form's components, named as the requests and updates name them."""

    text: TextFields
    preset: gr.Radio
    about: gr.Markdown
    settings: tuple[form.Field, ...]
    title: gr.Textbox
    cost: gr.HTML
    train: gr.Button
    command: gr.HTML


def _text_fields() -> TextFields:
    named = [(i18n(f"text.{key}"), key) for key in sources.NAMED]
    source = gr.Radio(
        [*named, (i18n("train.upload"), UPLOAD), (i18n("train.paste"), PASTE)],
        value=DEFAULT_SOURCE,
        label=i18n("train.text"),
        elem_id="source",
    )
    file = gr.File(
        label=i18n("train.file"),
        visible=False,
        type="filepath",
        height=120,
        elem_id="upload",
    )
    pasted = gr.Textbox(
        "",
        label=i18n("train.pasted"),
        placeholder=i18n("train.pasted_hint"),
        lines=6,
        max_lines=12,
        max_length=policy().max_text_bytes,
        visible=False,
        elem_id="pasted",
    )
    facts = gr.HTML(elem_id="facts", apply_default_css=False)
    offline = gr.Button(
        i18n("train.offline"), visible=False, size="sm", elem_id="offline"
    )
    return TextFields(source, file, pasted, facts, offline, gr.JSON(visible=False))


def _layout() -> TrainTab:
    text = _text_fields()
    preset = gr.Radio(
        [(i18n(f"train.preset.{name}"), name) for name in PRESETS],
        value=default_preset(),
        label=i18n("train.size"),
        elem_id="preset",
    )
    about = gr.Markdown(i18n(f"train.about.{default_preset()}"), elem_id="about")
    with gr.Accordion(i18n("train.advanced"), open=False, elem_id="advanced"):
        settings = form.build(default_preset())
        title = gr.Textbox(
            "",
            label=i18n("train.name"),
            placeholder=i18n("train.name_hint"),
            max_length=TEXT_LIMIT,
            elem_id="run-title",
        )
    cost = gr.HTML(elem_id="estimate", apply_default_css=False)
    train = gr.Button(
        i18n("train.start"), variant="primary", elem_id="train", size="lg"
    )
    with gr.Accordion(i18n("train.command"), open=False, elem_id="terminal"):
        command = gr.HTML(elem_id="command", apply_default_css=False)
    return TrainTab(text, preset, about, settings, title, cost, train, command)


def _connect_text(text: TextFields, view: gr.Tab) -> None:
    """Read the text when the tab is first seen and whenever another is chosen."""
    text.source.change(
        corpus_form.show_box, text.source, [text.file, text.pasted], **QUIET
    )
    reading: dict[str, Any] = {
        "fn": corpus_form.look,
        "inputs": [text.source, text.file, text.pasted],
        "outputs": outputs(TextUpdate, text),
        "api_visibility": "private",
        "trigger_mode": "always_last",
    }
    # a later choice drops what an earlier one is still reading
    opened = view.select(**reading, show_progress="hidden")
    chosen = text.source.input(**reading, show_progress_on=text.facts, cancels=[opened])
    earlier: list[Any] = [opened, chosen]
    for listen in (text.file.upload, text.file.clear):
        listen(**reading, show_progress_on=text.facts, cancels=earlier)
    # not `input`: that one misses text that arrives in one piece
    text.pasted.change(**reading, show_progress="hidden", cancels=earlier)
    text.offline.click(corpus_form.take_offline, None, text.source, **QUIET).then(
        **reading, show_progress_on=text.facts
    )


def about_preset(name: str) -> I18nData:
    """What a preset is for, as a key that the browser translates."""
    return i18n(f"train.about.{name}")


def _connect_settings(tab: TrainTab) -> None:
    settings = list(tab.settings)
    tab.preset.input(form.values_of, tab.preset, settings, **QUIET)
    tab.preset.change(about_preset, tab.preset, tab.about, **QUIET)
    gr.on(
        [item.change for item in (tab.text.text_size, tab.title, *settings)],
        training.estimate,
        inputs(EstimateRequest, tab, tab.text),
        outputs(EstimateUpdate, tab),
        trigger_mode="always_last",
        **QUIET,
    )


def build(view: gr.Tab, page: PageState) -> tuple[TrainTab, Dependency]:
    """Lay the form out and connect it.

    Args:
        view: The tab that it stands in.
        page: What the page keeps.

    Returns:
        The components, and the event of the Train button.
    """
    tab = _layout()
    _connect_text(tab.text, view)
    _connect_settings(tab)
    started = tab.train.click(
        training.start,
        inputs(TrainingRequest, tab, tab.text, page),
        outputs(StartedUpdate, page),
        concurrency_id="start",
        concurrency_limit=4,
        api_visibility="private",
        show_progress_on=tab.cost,
    )
    return tab, started
