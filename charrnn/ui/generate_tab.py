"""The Generate tab: one prompt, one text or several temperatures side by side."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from charrnn.ui import generate_form, links, writing
from charrnn.ui.generate_form import DEFAULT_PROMPT, OpenedUpdate
from charrnn.ui.labels import i18n
from charrnn.ui.links import DEFAULT_TEMPERATURES, MAX_COLUMNS
from charrnn.ui.wiring import PRIVATE, QUIET, inputs, outputs
from charrnn.ui.writing import CONCURRENCY, WritingUpdate
from charrnn.ui.writing_request import WritingRequest


@dataclass(frozen=True)
class Settings:
    """The components of the accordion that a first visitor need not open."""

    length: gr.Number
    seed: gr.Number
    new_seed: gr.Checkbox
    top_k: gr.Number
    top_p: gr.Number
    stop: gr.Textbox  # the stop string
    single_temperature: gr.Number


@dataclass(frozen=True)
class GenerateTab:
    """The tab's components, named as the requests and updates name them."""

    prompt: gr.Textbox
    model: gr.Dropdown
    compare: gr.Button
    generate: gr.Button
    stop_button: gr.Button
    status: gr.HTML
    columns: gr.Row
    temperatures: tuple[gr.Number, ...]
    cards: tuple[gr.HTML, ...]
    single: gr.Row
    single_card: gr.HTML
    settings: Settings

    def opened(self) -> list[Block]:
        """The outputs of `generate_form.opened`."""
        return outputs(OpenedUpdate, self, self.settings)


def _column(index: int) -> tuple[gr.Number, gr.HTML]:
    with gr.Column(min_width=230):
        number = gr.Number(
            DEFAULT_TEMPERATURES[index],
            label=i18n("generate.temperature"),
            step=0.1,
            elem_id=f"temperature-{index}",
            elem_classes="inline",
        )
        card = gr.HTML(
            i18n(f"card.{index}"),
            elem_id=f"card-{index}",
            apply_default_css=False,
        )
    return number, card


def _buttons() -> tuple[gr.Button, gr.Button, gr.Button]:
    with gr.Row():
        run = gr.Button(
            i18n("generate.compare"),
            variant="primary",
            interactive=False,
            min_width=110,
            elem_id="compare",
        )
        one = gr.Button(
            i18n("generate.one"),
            interactive=False,
            min_width=110,
            elem_id="generate-one",
        )
        stop = gr.Button(
            i18n("generate.stop"),
            interactive=False,
            min_width=70,
            elem_id="stop-writing",
        )
    return run, one, stop


def _settings() -> Settings:
    with gr.Accordion(i18n("generate.settings"), open=False, elem_id="sampling"):
        with gr.Row():
            length = gr.Number(
                400,
                label=i18n("generate.length"),
                info=i18n("generate.length_info"),
                precision=0,
                elem_id="length",
            )
            seed = gr.Number(
                0,
                label=i18n("generate.seed"),
                info=i18n("generate.seed_info"),
                precision=0,
                elem_id="seed",
            )
            new_seed = gr.Checkbox(
                True, label=i18n("generate.new_seed"), elem_id="new-seed"
            )
        with gr.Row():
            top_k = gr.Number(
                0,
                label=i18n("generate.top_k"),
                info=i18n("generate.top_k_info"),
                precision=0,
                elem_id="top-k",
            )
            top_p = gr.Number(
                1,
                label=i18n("generate.top_p"),
                info=i18n("generate.top_p_info"),
                step=0.05,
                elem_id="top-p",
            )
            stop = gr.Textbox(
                "",
                label=i18n("generate.stop_string"),
                info=i18n("generate.stop_string_info"),
                max_length=links.MAX_STOP,
                elem_id="stop-string",
            )
            temperature = gr.Number(
                0.8,
                label=i18n("generate.one_temperature"),
                info=i18n("generate.one_temperature_info"),
                step=0.1,
                elem_id="one-temperature",
            )
    return Settings(length, seed, new_seed, top_k, top_p, stop, temperature)


def _layout() -> GenerateTab:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=260):
            prompt = gr.Textbox(
                DEFAULT_PROMPT,
                label=i18n("generate.prompt"),
                placeholder=i18n("generate.prompt_hint"),
                lines=2,
                max_lines=6,
                max_length=links.MAX_PROMPT,
                elem_id="prompt",
            )
            gr.Markdown(i18n("generate.lead"), elem_id="lead")
        with gr.Column(scale=2, min_width=260):
            model = gr.Dropdown([], label=i18n("generate.model"), elem_id="model")
            run, one, stop = _buttons()
    status = gr.HTML(elem_id="writing-status", apply_default_css=False)
    with gr.Row(elem_id="columns") as columns:
        pairs = [_column(index) for index in range(MAX_COLUMNS)]
    with gr.Row(visible=False) as single:
        single_card = gr.HTML(elem_id="single", apply_default_css=False)
    return GenerateTab(
        prompt=prompt,
        model=model,
        compare=run,
        generate=one,
        stop_button=stop,
        status=status,
        columns=columns,
        temperatures=tuple(number for number, _ in pairs),
        cards=tuple(card for _, card in pairs),
        single=single,
        single_card=single_card,
        settings=_settings(),
    )


def _connect_writing(tab: GenerateTab) -> None:
    settings = tab.settings
    many = inputs(WritingRequest, tab, settings)
    # a single text takes its temperature from another field
    one = [*many[: -len(tab.temperatures)], settings.single_temperature]
    shared: dict[str, Any] = {
        "outputs": outputs(WritingUpdate, tab, settings),
        "concurrency_id": "generate",
        "concurrency_limit": CONCURRENCY,
        **PRIVATE,
    }
    events: list[Any] = [
        tab.compare.click(writing.compare, many, **shared),
        tab.generate.click(writing.generate, one, **shared),
    ]
    for event in events:
        event.then(writing.rested, None, tab.stop_button, **QUIET)
    stopping = [tab.status, tab.stop_button]
    tab.stop_button.click(writing.stopped, None, stopping, cancels=events, **QUIET)


def _connect_form(tab: GenerateTab) -> None:
    settings = tab.settings
    tab.model.input(
        generate_form.suggest_prompt, [tab.model, tab.prompt], tab.prompt, **QUIET
    )
    numbers = [
        *(settings.length, settings.seed, settings.top_k, settings.top_p),
        *(settings.single_temperature, *tab.temperatures),
    ]
    gr.on(
        [number.change for number in numbers],
        generate_form.flag_numbers,
        numbers,
        numbers,
        trigger_mode="always_last",
        **QUIET,
    )
    settings.seed.input(lambda: False, None, settings.new_seed, **QUIET)


def build() -> GenerateTab:
    """Lay the tab out and connect it."""
    tab = _layout()
    _connect_writing(tab)
    _connect_form(tab)
    return tab
