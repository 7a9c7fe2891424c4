"""What the page knows of a training setting from the setting's own metadata."""

import types
import typing
from typing import Final

from charrnn.config import (
    MODEL_SETTINGS,
    TRAINING_SETTINGS,
    ModelConfig,
    TrainingConfig,
    setting_field,
)
from charrnn.ui.texts import translate

SETTINGS: Final = (*MODEL_SETTINGS, *TRAINING_SETTINGS)
CHIPS: Final = (1, 2, 5, 10, 30)  # minutes that one press chooses
AUTOMATIC: Final = "validate_every"  # None lets the trainer choose it


def _types_of(name: str) -> tuple[type, ...]:
    owner = ModelConfig if name in MODEL_SETTINGS else TrainingConfig
    annotation = typing.get_type_hints(owner)[name]
    if isinstance(annotation, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def is_whole(name: str) -> bool:
    """Whether a setting is a whole number."""
    return int in _types_of(name)


def is_optional(name: str) -> bool:
    """Whether a setting may be left empty."""
    return type(None) in _types_of(name)


def format_bound(value: float) -> str:
    """A bound as people write it: 1,000 and 0.00001 and 2^63."""
    if value >= 2**53:
        return "2^63"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.10f}".rstrip("0").rstrip(".")


def describe(lang: str, name: str) -> str:
    """A setting's explanation with its bounds, and what leaving it empty means."""
    metadata = setting_field(name).metadata
    parts = [translate(lang, f"help.{name}")]
    if metadata["low"] is not None:
        low, high = format_bound(metadata["low"]), format_bound(metadata["high"])
        parts.append(translate(lang, "train.range", low=low, high=high))
    if is_optional(name):
        choice = name == AUTOMATIC
        parts.append(translate(lang, "train.automatic" if choice else "train.optional"))
    return " · ".join(parts)
