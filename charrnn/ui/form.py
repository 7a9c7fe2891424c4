"""The settings of a training as a form: built from the settings' own metadata."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gradio as gr

from charrnn.config import (
    MODEL_SETTINGS,
    ModelConfig,
    TrainingConfig,
    setting_field,
)
from charrnn.errors import ConfigError
from charrnn.hosting import policy
from charrnn.presets import from_preset
from charrnn.ui.duration_form import MINUTES, default_epochs, default_minutes
from charrnn.ui.labels import i18n
from charrnn.ui.settings import SETTINGS, format_bound, is_optional, is_whole
from charrnn.ui.shared import flag_field
from charrnn.ui.texts import translate
from charrnn.ui.wiring import SKIP, Update

Value = float | str | None
Field = gr.Number | gr.Dropdown
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "network": MODEL_SETTINGS,
    "updates": (
        *("learning_rate", "schedule", "warmup_steps", "batch_size", "seq_length"),
        *("clipnorm", "weight_decay", "beta_2", "scheduled_sampling"),
    ),
    "other": ("validate_every", "early_stopping", "seed", "compute_dtype"),
}
DURATION: Final = ("epochs", "minutes")  # not in Advanced: see `duration_form`
STEPS: Final[dict[str, float]] = {  # what an arrow key adds to a fraction
    "dropout": 0.05,
    "learning_rate": 0.001,
    "beta_2": 0.001,
    "weight_decay": 0.005,
    "clipnorm": 0.5,
    "scheduled_sampling": 0.05,
}


def preset_values(preset: str) -> dict[str, Value]:
    """Every setting as a preset leaves it, in the order of the form."""
    model, training = from_preset(preset, {}, vocab_size=2)
    both = dataclasses.asdict(model) | dataclasses.asdict(training)
    return {name: both[name] for name in SETTINGS}


def start_values(preset: str, characters: int) -> dict[str, Value]:
    """What the form begins with: the preset, with epochs that suit the text.

    Args:
        preset: A key of `PRESETS`.
        characters: Of the text, or what is to be expected of one.
    """
    length: dict[str, Value] = {
        "epochs": default_epochs(preset, characters),
        "minutes": default_minutes(preset),
    }
    return preset_values(preset) | length


def values_of(preset: str) -> list[Value | Update]:
    """A preset's values for the form's components, but for how long it shall be."""
    given: dict[str, Value | Update] = {**preset_values(preset)}
    return list((given | {"epochs": SKIP, "minutes": SKIP}).values())


def by_name(values: Sequence[Value], unit: str) -> dict[str, Value]:
    """Name to value of the form's components; an emptied optional number is None.

    A number field that never had a value sends 0 instead of nothing, and none
    of the optional settings may be 0.

    Args:
        values: In the order of `SETTINGS`.
        unit: ``minutes`` if they end the training; else epochs do.
    """
    given = dict(zip(SETTINGS, values, strict=True))
    given["epochs" if unit == MINUTES else "minutes"] = None
    return {
        name: None if is_optional(name) and not value else value
        for name, value in given.items()
    }


def changed(preset: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """What a person changed of a preset.

    ``epochs`` and ``minutes`` go together: giving one alone would lift the
    other, and the form shows both.

    Raises:
        ConfigError: If there is no such preset.
    """
    plain = preset_values(preset)
    settings = {name: v for name, v in given.items() if v != plain[name]}
    if "epochs" in settings or "minutes" in settings:
        settings |= {"epochs": given["epochs"], "minutes": given["minutes"]}
    return settings


def _problem(lang: str, name: str, value: Value) -> str:
    """What is wrong with a setting's value; empty if nothing is."""
    metadata = setting_field(name).metadata
    low, high = metadata["low"], metadata["high"]
    if value is None:
        return "" if is_optional(name) else translate(lang, "field.missing")
    if name == MINUTES:
        high = min(high, policy().max_minutes or high)
    if low is None or (not isinstance(value, str) and low <= value <= high):
        return ""  # a choice, or a number within its bounds (NaN is in none)
    return translate(
        lang, "field.range", low=format_bound(low), high=format_bound(high)
    )


def problems(lang: str, given: Mapping[str, Value]) -> dict[str, str]:
    """A sentence for each setting that is wrong, by its name."""
    found = {name: _problem(lang, name, value) for name, value in given.items()}
    if given.get("epochs") is None and given.get("minutes") is None:
        found["epochs"] = found["minutes"] = translate(lang, "field.needed")
    return {name: problem for name, problem in found.items() if problem}


def flags(lang: str, given: Mapping[str, Value]) -> tuple[Update, ...]:
    """Updates that flag the wrong fields, in the order of `SETTINGS`."""
    found = problems(lang, given)
    return tuple(_flag(name, found.get(name, "")) for name in SETTINGS)


def _flag(name: str, problem: str) -> Update:
    if name in DURATION:  # in plain sight, beside their sliders: explained by them
        return flag_field(problem, "", "inline")
    return flag_field(problem, i18n(f"help.{name}"))


def first_problem(lang: str, given: Mapping[str, Value]) -> str:
    """The first of the problems with its field's name; empty if there is none."""
    for name, problem in problems(lang, given).items():
        return f"{translate(lang, f'setting.{name}')}: {problem}"
    return ""


def configs(
    preset: str, given: Mapping[str, Value], vocab_size: int
) -> tuple[ModelConfig, TrainingConfig] | None:
    """The configurations that a form stands for; None while it is wrong."""
    try:
        return from_preset(preset, changed(preset, given), vocab_size=vocab_size)
    except ConfigError:
        return None


def _component(name: str, value: Any) -> Field:
    label, info = i18n(f"setting.{name}"), i18n(f"help.{name}")
    choices = setting_field(name).metadata["choices"]
    if choices:
        return gr.Dropdown(
            list(choices), value=value, label=label, info=info, elem_id=f"set-{name}"
        )
    return gr.Number(
        value,
        label=label,
        info=info,
        precision=0 if is_whole(name) else None,
        step=1 if is_whole(name) else STEPS[name],
        elem_id=f"set-{name}",
    )


def build(
    start: Mapping[str, Value], elsewhere: Mapping[str, Field]
) -> tuple[Field, ...]:
    """Lay the fields out in their groups.

    Args:
        start: The values they begin with, by setting.
        elsewhere: Fields of the form that stand in another place, by setting.

    Returns:
        The components in the order of `SETTINGS`.
    """
    fields: dict[str, Field] = {**elsewhere}
    for group, names in GROUPS.items():
        gr.Markdown(i18n(f"train.advanced.{group}"), elem_classes="group")
        with gr.Row():
            for name in names:
                with gr.Column(min_width=150):
                    fields[name] = _component(name, start[name])
    return tuple(fields[name] for name in SETTINGS)
