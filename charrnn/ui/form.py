"""The settings of a training as a form: built from the settings' own metadata."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gradio as gr

from charrnn.config import (
    MODEL_SETTINGS,
    TRAINING_SETTINGS,
    ModelConfig,
    TrainingConfig,
    setting_field,
)
from charrnn.errors import ConfigError
from charrnn.presets import from_preset
from charrnn.ui.shared import mark
from charrnn.ui.texts import i18n, is_optional, say, shorten

SETTINGS: Final = (*MODEL_SETTINGS, *TRAINING_SETTINGS)
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "network": MODEL_SETTINGS,
    "duration": ("epochs", "minutes"),
    "updates": (
        *("learning_rate", "schedule", "warmup_steps", "batch_size", "seq_length"),
        *("clipnorm", "weight_decay", "beta_2"),
    ),
    "other": ("validate_every", "early_stopping", "seed", "compute_dtype"),
}
STEPS: Final[dict[str, float]] = {  # what an arrow key adds to a fraction
    "dropout": 0.05,
    "minutes": 0.5,
    "learning_rate": 0.001,
    "beta_2": 0.001,
    "weight_decay": 0.005,
    "clipnorm": 0.5,
}
PAGE_SEED: Final = 2**53 - 1  # the largest that a browser counts to exactly


def whole(name: str) -> bool:
    """Whether a setting is a whole number."""
    for owner in (ModelConfig, TrainingConfig):
        kind = typing.get_type_hints(owner).get(name)
        if kind is not None:
            return kind is int or int in typing.get_args(kind)
    return False


def preset_values(preset: str) -> dict[str, Any]:
    """Every setting as a preset leaves it."""
    model, training = from_preset(preset, {}, vocab_size=2)
    both = dataclasses.asdict(model) | dataclasses.asdict(training)
    return {name: both[name] for name in SETTINGS}


def values_of(preset: str) -> list[Any]:
    """The same in the order of the form."""
    return list(preset_values(preset).values())


def read(values: Sequence[Any]) -> dict[str, Any]:
    """Name to value of a form; an emptied optional number is None.

    A number field that never had a value sends 0 instead of nothing, and none
    of the optional settings may be 0.
    """
    given = dict(zip(SETTINGS, values, strict=True))
    return {
        name: None if is_optional(name) and not value else value
        for name, value in given.items()
    }


def changed(preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
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


def problems(lang: str, given: Mapping[str, Any]) -> dict[str, str]:
    """A sentence for each setting that is wrong, by its name."""
    found: dict[str, str] = {}
    for name, value in given.items():
        metadata = setting_field(name).metadata
        if value is None:
            if not is_optional(name):
                found[name] = say(lang, "field.missing")
            continue
        low, high = metadata["low"], metadata["high"]
        if low is not None and not low <= value <= high:
            bounds = {"low": shorten(low), "high": shorten(high)}
            found[name] = say(lang, "field.range", **bounds)
    if given.get("epochs") is None and given.get("minutes") is None:
        found["epochs"] = found["minutes"] = say(lang, "field.needed")
    return found


def marks(lang: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Updates that mark the wrong fields, in the order of `SETTINGS`."""
    found = problems(lang, given)
    return [mark(found.get(n, ""), i18n(f"help.{n}")) for n in SETTINGS]


def first_problem(lang: str, given: Mapping[str, Any]) -> str:
    """The first of the problems with its field's name; empty if there is none."""
    for name, problem in problems(lang, given).items():
        return f"{say(lang, f'setting.{name}')}: {problem}"
    return ""


def configs(
    preset: str, given: Mapping[str, Any], vocab_size: int
) -> tuple[ModelConfig, TrainingConfig] | None:
    """The configurations that a form stands for; None while it is wrong."""
    try:
        return from_preset(preset, changed(preset, given), vocab_size=vocab_size)
    except ConfigError:
        return None


def _component(name: str, value: Any) -> Any:
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
        precision=0 if whole(name) else None,
        step=1 if whole(name) else STEPS[name],
        elem_id=f"set-{name}",
    )


def build(preset: str) -> list[Any]:
    """Lay the fields out in their groups.

    Returns:
        The components in the order of `SETTINGS`.
    """
    start = preset_values(preset)
    fields: dict[str, Any] = {}
    for group, names in GROUPS.items():
        gr.Markdown(i18n(f"train.advanced.{group}"), elem_classes="group")
        with gr.Row():
            for name in names:
                with gr.Column(min_width=150):
                    fields[name] = _component(name, start[name])
    return [fields[name] for name in SETTINGS]
