"""The Generate tab: one prompt, one text or several side by side."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import gradio as gr
from gradio.blocks import Block
from gradio.i18n import I18nData

from charrnn.config import (
    DEFAULT_LENGTH,
    DEFAULT_TEMPERATURES,
    SamplingConfig,
    setting_bounds,
)
from charrnn.ui import curve_panel, generate_form, links, writing
from charrnn.ui.curve_panel import CurvePanel, CurveUpdate
from charrnn.ui.examples import DEFAULT_PROMPT
from charrnn.ui.generate_form import OpenedUpdate
from charrnn.ui.labels import i18n
from charrnn.ui.links import MAX_COLUMNS, Link
from charrnn.ui.sessions import id_dropdown
from charrnn.ui.shared import PageState
from charrnn.ui.wiring import PRIVATE, QUIET, inputs, outputs
from charrnn.ui.writing import CONCURRENCY, WritingUpdate
from charrnn.ui.writing_request import WritingRequest

SLIDER_LENGTHS: Final = (10, 2000)  # the number beside the slider takes more
TOP_P_SLIDER: Final = (0.05, 1)
TOP_PS: Final = (0.3, 0.6, 0.9, 1)  # of the columns at first


@dataclass(frozen=True)
class Settings:
    """The components of the accordion that a first visitor need not open."""

    seed: gr.Number
    new_seed: gr.Checkbox
    top_k: gr.Number
    top_p: gr.Number
    stop: gr.Textbox  # the stop string
    column_count: gr.Radio


@dataclass(frozen=True)
class GenerateTab:
    """The tab's components, named as the requests and updates name them."""

    prompt: gr.Textbox
    examples: gr.HTML
    model: gr.Dropdown
    length_slider: gr.Slider
    length: gr.Number
    single_temperature: gr.Slider
    compare: gr.Button
    generate: gr.Button
    stop_button: gr.Button
    status: gr.HTML
    columns: gr.Row
    column_boxes: tuple[gr.Column, ...]
    by: gr.Radio
    by_note: gr.HTML
    temperatures: tuple[gr.Slider, ...]
    models: tuple[gr.Dropdown, ...]
    steps: tuple[gr.Dropdown, ...]
    top_ps: tuple[gr.Slider, ...]
    cards: tuple[gr.HTML, ...]
    single: gr.Row
    single_card: gr.HTML
    settings: Settings
    curve: CurvePanel

    def opened(self) -> list[Block]:
        """The outputs of `generate_form.opened`."""
        return outputs(OpenedUpdate, self, self.settings, self.curve)

    def chosen(self, page: PageState) -> list[Any]:
        """The inputs of `generate_form.refresh`."""
        return [self.model, page.browser, *self.models]

    def lists(self) -> list[Block]:
        """The outputs of `generate_form.refresh`."""
        return [self.model, *self.models]


def _temperature(
    value: float, label: I18nData, elem_id: str, *classes: str
) -> gr.Slider:
    """A temperature's slider; the browser shows its name by its value."""
    slider = gr.Slider(
        *setting_bounds("temperature"),
        value,
        step=0.05,
        label=label,
        elem_id=elem_id,
        elem_classes=["temperature", *classes],
        buttons=[],
    )
    name = f"(value) => charrnn.temperatureMoved('{elem_id}', value)"
    slider.change(None, slider, None, js=name)
    return slider


class _Column(NamedTuple):
    """One column: a field for each thing that can be compared, of which one is seen."""

    box: gr.Column
    temperature: gr.Slider
    model: gr.Dropdown
    step: gr.Dropdown
    top_p: gr.Slider
    card: gr.HTML


def _column(index: int) -> _Column:
    def named(by: str) -> dict[str, Any]:
        return {
            "label": i18n(f"column.{by}.{index}"),
            "elem_id": f"{by}-{index}",
            "elem_classes": f"by-{by}",
        }

    with gr.Column(min_width=230) as box:
        temperature = _temperature(
            DEFAULT_TEMPERATURES[index],
            named("temperature")["label"],
            f"temperature-{index}",
            "by-temperature",
        )
        model = id_dropdown(**named("model"))
        step = id_dropdown(**named("step"))
        top_p = gr.Slider(
            *TOP_P_SLIDER, TOP_PS[index], step=0.05, buttons=[], **named("top_p")
        )
        card = gr.HTML(i18n("card"), elem_id=f"card-{index}", apply_default_css=False)
    return _Column(box, temperature, model, step, top_p, card)


def _by() -> tuple[gr.Radio, gr.HTML]:
    """What the columns differ in, and what there is to say of it."""
    by = gr.Radio(
        [(i18n(f"by.{name}"), name) for name in links.COMPARED],
        value=Link.by,
        label=i18n("generate.by"),
        elem_id="by",
    )
    by.change(None, by, None, js="(by) => charrnn.compareBy(by)", **QUIET)
    return by, gr.HTML(elem_id="by-note", apply_default_css=False)


def _length() -> tuple[gr.Slider, gr.Number]:
    """The slider for usual lengths, and the number, which takes longer ones too."""
    with gr.Row(equal_height=True):
        slider = gr.Slider(
            *SLIDER_LENGTHS,
            DEFAULT_LENGTH,
            step=10,
            label=i18n("generate.length"),
            scale=3,
            min_width=180,
            elem_id="length-slider",
            buttons=[],
        )
        number = gr.Number(
            DEFAULT_LENGTH,
            label=i18n("generate.length_number"),
            precision=0,
            min_width=110,
            elem_id="length",
        )
    low, high = SLIDER_LENGTHS
    clamp = f"(value) => Math.min({high}, Math.max({low}, value || {low}))"
    slider.input(None, slider, number, js="(value) => value")
    number.change(None, number, slider, js=clamp)
    return slider, number


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
                max_length=links.MAX_LINK_STOP,
                elem_id="stop-string",
            )
            count = gr.Radio(
                [2, 3, MAX_COLUMNS],
                value=MAX_COLUMNS,
                label=i18n("generate.columns"),
                elem_id="column-count",
            )
    return Settings(seed, new_seed, top_k, top_p, stop, count)


def _colours() -> None:
    """The switch that colours the texts by surprise, and what the colours mean."""
    with gr.Row(elem_id="colouring"):
        switch = gr.Checkbox(
            False,
            label=i18n("colour.switch"),
            container=False,
            min_width=170,
            scale=0,
            elem_id="colour",
        )
        gr.HTML(i18n("colours"), elem_id="colour-legend", apply_default_css=False)
    switch.change(None, switch, None, js="(on) => charrnn.colour(on)", **QUIET)


def _layout() -> GenerateTab:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=260):
            prompt = gr.Textbox(
                DEFAULT_PROMPT,
                label=i18n("generate.prompt"),
                placeholder=i18n("generate.prompt_hint"),
                lines=2,
                max_lines=6,
                max_length=links.MAX_LINK_PROMPT,
                elem_id="prompt",
            )
            examples = gr.HTML(
                i18n("examples"), elem_id="examples", apply_default_css=False
            )
            gr.HTML(i18n("next.strip"), elem_id="next", apply_default_css=False)
            length_slider, length = _length()
        with gr.Column(scale=2, min_width=260):
            model = id_dropdown(label=i18n("generate.model"), elem_id="model")
            run, one, stop = _buttons()
            by, by_note = _by()
            single_temperature = _temperature(
                SamplingConfig.temperature,
                i18n("generate.one_temperature"),
                "one-temperature",
            )
            gr.Markdown(i18n("generate.lead"), elem_id="lead")
    gr.HTML(i18n("temperature.names"), elem_classes="offstage")
    status = gr.HTML(elem_id="writing-status", apply_default_css=False)
    _colours()
    with gr.Row(elem_id="columns") as columns:
        boxes, *compared, cards = zip(*map(_column, range(MAX_COLUMNS)), strict=True)
    temperatures, models, steps, top_ps = compared
    with gr.Row(visible=False) as single:
        single_card = gr.HTML(elem_id="single", apply_default_css=False)
    return GenerateTab(
        prompt=prompt,
        examples=examples,
        model=model,
        length_slider=length_slider,
        length=length,
        single_temperature=single_temperature,
        compare=run,
        generate=one,
        stop_button=stop,
        status=status,
        columns=columns,
        column_boxes=boxes,
        by=by,
        by_note=by_note,
        temperatures=temperatures,
        models=models,
        steps=steps,
        top_ps=top_ps,
        cards=cards,
        single=single,
        single_card=single_card,
        settings=_settings(),
        curve=curve_panel.build(),
    )


def _connect_writing(tab: GenerateTab) -> None:
    settings = tab.settings
    many = inputs(WritingRequest, tab, settings)
    shared: dict[str, Any] = {
        "outputs": outputs(WritingUpdate, tab, settings),
        "concurrency_id": "generate",
        "concurrency_limit": CONCURRENCY,
        "trigger_mode": "multiple",  # a press ends the one before, see `writing`
        **PRIVATE,
    }
    events: list[Any] = [
        tab.compare.click(writing.compare, many, **shared),
        tab.generate.click(writing.generate, many, **shared),
    ]
    drawn = {**shared, "outputs": outputs(CurveUpdate, tab.curve, tab, settings)}
    events.append(tab.curve.draw.click(curve_panel.draw, many, **drawn))
    place = gr.Textbox("", visible=False)  # the browser gives its value
    on = gr.Button("", elem_id="go-on", elem_classes="offstage")
    js = "() => charrnn.place()"
    events.append(on.click(writing.go_on, place, js=js, **shared))
    for event in events:  # also while that of the press before is on its way
        rested = {**QUIET, "trigger_mode": "multiple"}
        event.then(writing.rested, None, tab.stop_button, **rested)
    tab.stop_button.click(
        writing.stopped,
        None,
        tab.stop_button,
        cancels=events,
        js="() => charrnn.stopped()",
        **QUIET,
    )


def _connect_form(tab: GenerateTab) -> None:
    settings = tab.settings
    proposed = gr.JSON(visible=False)
    tab.model.input(
        generate_form.propose_prompt, [tab.model, tab.prompt], proposed, **QUIET
    ).success(
        None,
        [proposed, tab.prompt],
        tab.prompt,
        js="([asked, suited], now) => (now ?? '') === asked ? suited : now",
        **QUIET,
    )
    tab.model.change(generate_form.show_examples, tab.model, tab.examples, **QUIET)
    numbers = [tab.length, settings.seed, settings.top_k, settings.top_p]
    gr.on(
        [number.change for number in numbers],
        generate_form.flag_numbers,
        numbers,
        numbers,
        trigger_mode="always_last",
        **QUIET,
    )
    gr.on(  # in the browser alone
        [tab.model.change, tab.prompt.change],
        None,
        [tab.model, tab.prompt],
        js="(model, prompt) => charrnn.next.ask(model, prompt)",
        **QUIET,
    )
    asked: list[Any] = [tab.model, settings.stop, tab.length]
    asked += [settings.seed, settings.new_seed]
    asked += [settings.top_k, settings.top_p, tab.single_temperature, tab.by]
    asked += [*tab.temperatures, *tab.models, *tab.steps, *tab.top_ps]
    # a temperature tells its own value: to gather all of them takes a frame's time
    moving = {tab.single_temperature, *tab.temperatures}
    gr.on(
        [field.change for field in asked if field not in moving],
        None,
        asked,
        js="(...form) => charrnn.earlier(...form)",
        trigger_mode="multiple",
        **QUIET,
    )
    settings.seed.input(lambda: False, None, settings.new_seed, **QUIET)
    settings.column_count.input(
        generate_form.show_columns,
        settings.column_count,
        list(tab.column_boxes),
        **QUIET,
    )


def _connect_compared(tab: GenerateTab, page: PageState) -> None:
    """What there is to compare, as it follows the choice and the model."""
    gr.on(
        [tab.by.change, tab.model.change],
        generate_form.show_compared,
        [tab.by, tab.model, page.browser, *tab.steps],
        outputs(generate_form.ComparedUpdate, tab),
        trigger_mode="always_last",
        **QUIET,
    )


def build(page: PageState) -> GenerateTab:
    """Lay the tab out and connect it."""
    tab = _layout()
    _connect_writing(tab)
    _connect_form(tab)
    _connect_compared(tab, page)
    return tab
