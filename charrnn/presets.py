"""Presets: a starting point for a training, and a person's settings on top of it."""

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charrnn.config import (
    MODEL_SETTINGS,
    TRAINING_SETTINGS,
    ModelConfig,
    TrainingConfig,
)
from charrnn.errors import ConfigError
from charrnn.machine import has_gpu


@dataclass(frozen=True)
class Preset:
    """A starting point: the settings that it changes."""

    model: Mapping[str, Any]
    training: Mapping[str, Any]
    characters: float | None = None  # that its minutes allow on two usual cores


# docs/experiments.md has the settings that were tried.
PRESETS: dict[str, Preset] = {
    "quick": Preset(
        {"embedding_dim": 64, "rnn_units": 256},
        {"epochs": 40, "minutes": 2.0, "batch_size": 32, "learning_rate": 6e-3},
        characters=7e6,
    ),
    "balanced": Preset(
        {"embedding_dim": 128, "rnn_units": 320, "num_layers": 2, "dropout": 0.2},
        {
            "epochs": 100,
            "minutes": 10.0,
            "batch_size": 32,
            "seq_length": 64,
            "learning_rate": 4e-3,
            "weight_decay": 0.01,
        },
        characters=9e6,
    ),
    "tutorial": Preset(
        {"embedding_dim": 256, "rnn_units": 1024},
        {
            "epochs": 20,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "beta_2": 0.999,
            "early_stopping": 5,
        },
    ),
}
DEFAULT_PRESET = "quick"
DEFAULT_PRESET_GPU = "tutorial"


def from_preset(
    preset: str, settings: Mapping[str, Any], *, vocab_size: int
) -> tuple[ModelConfig, TrainingConfig]:
    """The preset's settings with a person's own on top.

    Giving only ``minutes`` lifts the preset's limit of epochs, and the other
    way round, so that the one that was asked for decides.

    Args:
        preset: A key of `PRESETS`.
        settings: Name to value, any of `MODEL_SETTINGS` and
            `TRAINING_SETTINGS`.
        vocab_size: Ids of the vocabulary, [UNK] included.

    Raises:
        ConfigError: If the preset or a setting is unknown or out of range.
    """
    if preset not in PRESETS:
        raise ConfigError(
            f"There is no preset {str(preset)[:40]!r}: "
            f"expected one of {', '.join(PRESETS)}.",
            field="preset",
        )
    names = (*MODEL_SETTINGS, *TRAINING_SETTINGS)
    for name in settings:
        if name not in names:
            raise ConfigError(
                f"There is no setting {str(name)[:40]!r}: "
                f"expected one of {', '.join(names)}.",
                field=name,
            )
    model = dict(PRESETS[preset].model)
    training = dict(PRESETS[preset].training)
    if settings.get("minutes") is not None and settings.get("epochs") is None:
        training["epochs"] = None
    if settings.get("epochs") is not None and settings.get("minutes") is None:
        training["minutes"] = None
    model |= {k: v for k, v in settings.items() if k in MODEL_SETTINGS}
    training |= {k: v for k, v in settings.items() if k in TRAINING_SETTINGS}
    return (
        ModelConfig(vocab_size=vocab_size, **model),
        TrainingConfig(preset=preset, **training),
    )


def command_line(
    corpus: str,
    preset: str,
    settings: Mapping[str, Any],
    *,
    title: str = "",
    init: str = "",
) -> str:
    """The `train` command that starts the same training, quoted for a shell."""
    words = ["python", "-m", "charrnn", "train"]
    words += ["--corpus", corpus, "--preset", preset]
    for name, value in settings.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if init:
        words += ["--init", init]
    if title:
        words += ["--title", title]
    return shlex.join(words)


def settings_beyond_preset(
    model: ModelConfig, training: TrainingConfig
) -> dict[str, Any]:
    """The settings that differ from what the preset alone would give."""
    if training.preset not in PRESETS:
        return {}
    plain_model, plain_training = from_preset(
        training.preset, {}, vocab_size=model.vocab_size
    )
    pairs = ((model, plain_model), (training, plain_training))
    return {
        item.name: getattr(mine, item.name)
        for mine, plain in pairs
        for item in dataclasses.fields(mine)
        if getattr(mine, item.name) != getattr(plain, item.name)
    }


def default_preset() -> str:
    """The preset for this machine: larger where there is a GPU."""
    return DEFAULT_PRESET_GPU if has_gpu() else DEFAULT_PRESET


def usual_speed(model: ModelConfig, training: TrainingConfig) -> float | None:
    """Characters a second of a preset's own sizes on two usual cores; else None."""
    preset = PRESETS.get(training.preset)
    if preset is None or preset.characters is None:
        return None
    plain, usual = from_preset(training.preset, {}, vocab_size=model.vocab_size)
    if plain != model or usual.batch_size != training.batch_size or not usual.minutes:
        return None
    return preset.characters / (60 * usual.minutes)
