"""How long a training shall be: epochs or minutes, each with its slider."""

from dataclasses import dataclass
from typing import Final

import gradio as gr
from gradio.i18n import I18nData

from charrnn.hosting import policy
from charrnn.presets import PRESETS, from_preset
from charrnn.runs import listing
from charrnn.text.corpus import split_at
from charrnn.ui.labels import i18n
from charrnn.ui.settings import CHIPS
from charrnn.ui.wiring import QUIET

EPOCHS, MINUTES = "epochs", "minutes"
UNITS: Final = (EPOCHS, MINUTES)
MAX_EPOCHS, MAX_MINUTES = 100, 30.0  # of the sliders; the numbers take more
OTHER_MINUTES: Final = 10.0  # where the preset itself has no limit of time


@dataclass(frozen=True)
class DurationFields:
    """The switch and, for each of its sides, a number and a slider."""

    unit: gr.Radio
    epochs: gr.Number
    minutes: gr.Number
    epochs_slider: gr.Slider
    minutes_slider: gr.Slider

    def numbers(self) -> dict[str, gr.Number]:
        """The fields whose values count, by setting."""
        return {EPOCHS: self.epochs, MINUTES: self.minutes}


def max_minutes() -> float:
    """The end of the slider: 30 minutes, or less where the page allows less."""
    return min(MAX_MINUTES, policy().max_minutes or MAX_MINUTES)


def low_end(high: float) -> float:
    """Where a slider begins, and its step: 1, or less where that is the end."""
    return 1.0 if high >= 2 else high / 10


def default_epochs(preset: str, characters: int) -> int:
    """About as many epochs as the preset's minutes allow; its own without minutes.

    At the speed of earlier runs here, else at that of two usual cores. A small text
    gets as many as the preset has: more would be learnt by heart.

    Args:
        preset: A key of `PRESETS`.
        characters: Of the whole text.
    """
    model, training = from_preset(preset, {}, vocab_size=2)
    most = training.epochs or MAX_EPOCHS
    if training.minutes is None:
        return most
    speed = listing.expected_speed(model, training)
    budget = PRESETS[preset].characters if speed is None else None
    if budget is None:
        budget = 60 * training.minutes * (speed or 0.0)
    return max(1, min(most, round(budget / max(1, split_at(characters)))))


def default_minutes(preset: str) -> float:
    """The preset's minutes, as far as the page allows them."""
    _, training = from_preset(preset, {}, vocab_size=2)
    return min(training.minutes or OTHER_MINUTES, policy().max_minutes or 1e9)


def _slider(name: str, label: I18nData, high: float, value: float) -> gr.Slider:
    return gr.Slider(
        low_end(high),
        high,
        min(value, high),
        step=low_end(high),
        label=label,
        show_label=False,
        elem_id=f"{name}-slider",
        elem_classes="bare",
        buttons=[],
    )


def _number(name: str, value: float) -> gr.Number:
    return gr.Number(
        value,
        label=i18n(f"setting.{name}"),
        precision=0 if name == EPOCHS else None,
        step=1 if name == EPOCHS else 0.5,
        min_width=100,
        elem_id=f"set-{name}",
        elem_classes="inline",
    )


def build(preset: str, characters: int) -> DurationFields:
    """Lay the fields out and connect them with each other, in the browser alone.

    Args:
        preset: What they open for: a key of `PRESETS`.
        characters: Of the text that is to be expected.
    """
    epochs, minutes = default_epochs(preset, characters), default_minutes(preset)
    with gr.Group(elem_id="how-long"):
        unit = gr.Radio(
            [(i18n(f"setting.{name}"), name) for name in UNITS],
            value=EPOCHS,
            label=i18n("train.how_long"),
            elem_id="length-by",
        )
        with gr.Row(equal_height=False):
            with gr.Column(min_width=150, elem_id="by-epochs"):
                epochs_number = _number(EPOCHS, epochs)
                epochs_slider = _slider(
                    EPOCHS, i18n("train.epochs_slider"), MAX_EPOCHS, epochs
                )
            with gr.Column(min_width=150, elem_id="by-minutes"):
                minutes_number = _number(MINUTES, minutes)
                minutes_slider = _slider(
                    MINUTES, i18n("train.minutes_slider"), max_minutes(), minutes
                )
        with gr.Row(elem_id="minute-chips"):
            chips = [_chip(number) for number in CHIPS]
    fields = DurationFields(
        unit, epochs_number, minutes_number, epochs_slider, minutes_slider
    )
    for button, number in zip(chips, CHIPS, strict=True):
        both = f"() => [{number}, '{MINUTES}']"
        button.click(None, None, [minutes_number, unit], js=both, **QUIET)
    _connect(fields)
    return fields


def _chip(number: int) -> gr.Button:
    return gr.Button(
        i18n(f"train.chip.{number}"),
        size="sm",
        min_width=10,
        visible=number <= max_minutes(),
        elem_classes="chip",
        elem_id=f"minutes-{number}",
    )


def _connect(fields: DurationFields) -> None:
    """A slider moves its number and back; touching either chooses its side."""
    pairs = (
        (EPOCHS, fields.epochs, fields.epochs_slider, MAX_EPOCHS),
        (MINUTES, fields.minutes, fields.minutes_slider, max_minutes()),
    )
    for name, number, slider, high in pairs:
        low = low_end(high)
        clamp = f"(value) => Math.min({high}, Math.max({low}, value || {low}))"
        slider.input(None, slider, number, js="(value) => value", **QUIET)
        number.change(None, number, slider, js=clamp, **QUIET)
        gr.on(
            [slider.input, number.input],
            None,
            None,
            fields.unit,
            js=f"() => '{name}'",
            **QUIET,
        )
