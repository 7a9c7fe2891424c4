"""The Train tab, its left side: a text, a size, and the button."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency
from gradio.i18n import I18nData

from charrnn.files import TEXT_LIMIT, escaped
from charrnn.hosting import policy
from charrnn.presets import PRESETS, default_preset
from charrnn.text import sources
from charrnn.text.joined import MAX_SEPARATOR, SEPARATOR
from charrnn.ui import (
    corpus_form,
    duration_form,
    form,
    hub_text,
    init_form,
    preset_choice,
    training,
)
from charrnn.ui.corpus_form import DEFAULT_SOURCE, HUB, PASTE, UPLOAD, TextUpdate
from charrnn.ui.hub_text import HubRequest, HubUpdate
from charrnn.ui.labels import i18n
from charrnn.ui.preset_choice import Filled, FillRequest, FillUpdate
from charrnn.ui.shared import PageState
from charrnn.ui.training import (
    EstimateRequest,
    EstimateUpdate,
    ShowRequest,
    StartedUpdate,
    TrainingRequest,
)
from charrnn.ui.wiring import FROM_OUTSIDE, PRIVATE, QUIET, inputs, outputs


@dataclass(frozen=True)
class HubFields:
    """A dataset of the Hub to read, and what was read of it."""

    box: gr.Column
    dataset: gr.Textbox
    first_mb: gr.Number
    look: gr.Button
    read: gr.Button
    hub_told: gr.HTML
    fetched: gr.File  # hidden
    origin: gr.JSON  # hidden


@dataclass(frozen=True)
class TextFields:
    """Where the text comes from, and what it is."""

    source: gr.Radio
    file: gr.File
    hub: "HubFields"
    pasted: gr.Textbox
    separator: gr.Textbox
    facts: gr.HTML
    offline: gr.Button
    text_size: gr.JSON  # hidden

    @property
    def fetched(self) -> gr.File:
        """What was read from the Hub."""
        return self.hub.fetched

    @property
    def origin(self) -> gr.JSON:
        """Where that lies."""
        return self.hub.origin


@dataclass(frozen=True)
class TrainTab:
    """The form's components, named as the requests and updates name them."""

    text: TextFields
    init: gr.Dropdown
    preset: gr.Radio
    about: gr.Markdown
    kept: gr.HTML
    take_preset: gr.Button
    unit: gr.Radio
    title: gr.Textbox
    cost: gr.HTML
    train: gr.Button
    advanced: gr.Accordion
    settings: tuple[form.Field, ...]
    command: gr.HTML
    filled: gr.JSON  # hidden: from what the form was filled


def _hub_fields() -> HubFields:
    most = hub_text.max_mb()
    with gr.Column(visible=False, elem_id="hub-text") as box:
        dataset = gr.Textbox(
            "",
            label=i18n("train.hub_dataset"),
            placeholder=i18n("train.hub_hint"),
            max_length=500,
            elem_id="hub-dataset",
        )
        first_mb = gr.Number(
            min(most, hub_text.FIRST_MB),
            label=i18n("train.hub_first"),
            minimum=0.001,
            maximum=most,
            elem_id="hub-first",
        )
        with gr.Row():
            look = gr.Button(i18n("train.hub_look"), size="md", elem_id="hub-look")
            read = gr.Button(i18n("train.hub_go"), size="md", elem_id="hub-read")
        told = gr.HTML(elem_id="hub-told", apply_default_css=False)
    return HubFields(
        *(box, dataset, first_mb, look, read, told),
        fetched=gr.File(visible=False, type="filepath"),
        origin=gr.JSON(visible=False),
    )


def _text_fields() -> TextFields:
    named = [(i18n(f"text.{key}"), key) for key in sources.NAMED]
    source = gr.Radio(
        [
            *named,
            (i18n("train.upload"), UPLOAD),
            (i18n("train.paste"), PASTE),
            (i18n("train.hub"), HUB),
        ],
        value=DEFAULT_SOURCE,
        label=i18n("train.text"),
        elem_id="source",
    )
    file = gr.File(
        label=i18n("train.file"),
        visible=False,
        file_count="multiple",
        type="filepath",
        height=120,
        elem_id="upload",
    )
    hub = _hub_fields()
    pasted = gr.Textbox(
        "",
        label=i18n("train.pasted"),
        placeholder=i18n("train.pasted_hint"),
        lines=5,
        max_lines=8,
        max_length=policy().max_text_bytes,
        visible=False,
        elem_id="pasted",
    )
    separator = gr.Textbox(
        escaped(SEPARATOR),
        label=i18n("train.separator"),
        info=i18n("train.separator_info"),
        max_length=MAX_SEPARATOR,
        visible=False,
        elem_id="separator",
    )
    facts = gr.HTML(elem_id="facts", apply_default_css=False)
    offline = gr.Button(
        i18n("train.offline"), visible=False, size="sm", elem_id="offline"
    )
    size = gr.JSON(visible=False)
    return TextFields(source, file, hub, pasted, separator, facts, offline, size)


def _preset() -> tuple[gr.Radio, gr.Markdown, gr.HTML, gr.Button]:
    """The preset, what to expect of it, and which settings it leaves alone."""
    preset = gr.Radio(
        [(i18n(f"train.preset.{name}"), name) for name in PRESETS],
        value=default_preset(),
        label=i18n("train.size"),
        elem_id="preset",
    )
    about = gr.Markdown(i18n(f"train.about.{default_preset()}"), elem_id="about")
    kept = gr.HTML(elem_id="kept-settings", apply_default_css=False)
    take = gr.Button(
        i18n("train.take_preset"), visible=False, size="sm", elem_id="take-preset"
    )
    return preset, about, kept, take


def _title() -> gr.Textbox:
    return gr.Textbox(
        "",
        label=i18n("train.name"),
        placeholder=i18n("train.name_hint"),
        max_length=TEXT_LIMIT,
        elem_id="run-title",
        elem_classes="inline",
    )


def _layout() -> TrainTab:
    text, filled = _text_fields(), Filled.of(None)
    init = init_form.build()
    preset, about, kept, take = _preset()
    duration = duration_form.build(filled.preset, filled.characters)
    cost = gr.HTML(elem_id="estimate", apply_default_css=False)
    title = _title()
    train = gr.Button(
        i18n("train.start"),
        variant="primary",
        interactive=False,  # until there is a text
        elem_id="train",
        size="lg",
    )
    with gr.Accordion(i18n("train.advanced"), open=False, elem_id="advanced") as box:
        settings = form.build(filled.values(), duration.numbers())
    with gr.Accordion(i18n("train.command"), open=False, elem_id="terminal"):
        command = gr.HTML(elem_id="command", apply_default_css=False)
    return TrainTab(
        text=text,
        init=init,
        preset=preset,
        about=about,
        kept=kept,
        take_preset=take,
        unit=duration.unit,
        title=title,
        cost=cost,
        train=train,
        advanced=box,
        settings=settings,
        command=command,
        filled=gr.JSON(filled.store(), visible=False, elem_id="filled"),
    )


def _connect_text(tab: TrainTab, view: gr.Tab) -> None:
    """Read the text when the tab is first seen and whenever another is chosen."""
    text = tab.text
    text.source.change(
        corpus_form.show_box,
        text.source,
        [text.file, text.pasted, text.hub.box],
        **QUIET,
    )
    reading: dict[str, Any] = {
        "fn": corpus_form.look,
        "inputs": [
            *(text.source, text.file, text.pasted, text.separator),
            text.hub.fetched,
        ],
        "outputs": outputs(TextUpdate, text, tab),
        "api_visibility": "private",
        "trigger_mode": "always_last",
    }
    # a later choice drops what an earlier one is still reading
    opened = view.select(**reading, show_progress="hidden")
    chosen = text.source.input(**reading, show_progress_on=text.facts, cancels=[opened])
    earlier: list[Any] = [opened, chosen]
    for listen in (
        *(text.file.upload, text.file.clear, text.file.delete),
        text.separator.change,
    ):
        listen(**reading, show_progress_on=text.facts, cancels=earlier)
    # not `input`: that one misses text that arrives in one piece
    text.pasted.change(**reading, show_progress="hidden", cancels=earlier)
    _connect_hub(text.hub, reading, text.facts)
    text.offline.click(corpus_form.take_offline, None, text.source, **QUIET).then(
        **reading, show_progress_on=text.facts
    )


def _connect_hub(hub: HubFields, reading: dict[str, Any], facts: gr.HTML) -> None:
    """Say what would be read of a dataset; read it, then show the facts."""
    event: dict[str, Any] = {
        "inputs": inputs(HubRequest, hub),
        "show_progress_on": hub.hub_told,
        **FROM_OUTSIDE,
    }
    hub.look.click(hub_text.look_up, outputs=hub.hub_told, **event)
    hub.read.click(hub_text.read, outputs=outputs(HubUpdate, hub), **event).then(
        **reading, show_progress_on=facts
    )


def about_preset(name: str) -> I18nData:
    """What a preset is for, as a key that the browser translates."""
    return i18n(f"train.about.{name}")


def _connect_settings(tab: TrainTab) -> None:
    tab.preset.change(about_preset, tab.preset, tab.about, **QUIET)
    filling: dict[str, Any] = {
        "inputs": inputs(FillRequest, tab, tab.text),
        "outputs": outputs(FillUpdate, tab),
        "trigger_mode": "always_last",
        **QUIET,
    }
    for listen in (tab.preset.input, tab.init.input, tab.text.text_size.change):
        listen(preset_choice.fill, **filling)
    tab.take_preset.click(preset_choice.take_preset, **filling)
    changing = (tab.text.text_size, tab.init, tab.unit, tab.title, *tab.settings)
    gr.on(
        [item.change for item in changing],
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
    _connect_text(tab, view)
    _connect_settings(tab)
    view.select(init_form.refresh, [tab.init, page.browser], tab.init, **QUIET)
    started = tab.train.click(
        training.start,
        inputs(TrainingRequest, tab, tab.text, page),
        outputs(StartedUpdate, page),
        concurrency_id="start",
        concurrency_limit=4,
        **PRIVATE,
    )
    request = inputs(ShowRequest, tab)
    started.failure(training.show_wrong, request, tab.advanced, **QUIET)
    return tab, started
