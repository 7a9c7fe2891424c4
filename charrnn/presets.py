"""Presets: a starting point for a training, and a person's settings on top of it."""

import dataclasses
import re
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
    """A starting point: what it is for, and the settings that it changes."""

    summary: str
    model: Mapping[str, Any]
    training: Mapping[str, Any]


# Tried for the presets: validation loss (nats per character, 128 streams) of Tiny
# Shakespeare after as many characters as 2 cores with AVX2 read in 100 s (one layer
# or small) or 480 s (two layers of 384). One seed each, the same for all but the
# doubles, whose spread is 0.01; warm-up 100, linear to zero, beta_2 0.99, clip 1.
#
#   100 s                                  characters    at half    at the end
#   256 units, batch 32, window 100, 6e-3      7.0 M      1.594      1.515
#   256 units, batch 16, window 100, 5e-3      6.1 M      1.575      1.511
#   256 units, batch 16, window 100, 7e-3      6.1 M      1.587      1.508
#   256 units, batch 32, window  64, 5e-3      6.1 M      1.577      1.513
#   256 units, batch 16, window  64, 4e-3      5.5 M      1.592      1.518
#   320 units, batch 32, window  64, 5e-3      4.8 M      1.576      1.496
#   2 x 192 units, batch 32, window 64, 5e-3   3.9 M      1.595      1.494
#   2 x 256 units, the same *                  2.4 M      1.666      1.531
#   256 units as in the first row *            7.0 M      1.573      1.497
#   256 units as in the first row **           7.0 M      1.576      1.505
#   320 units as above *                       4.8 M      1.587      1.508
#   2 x 192 units as above *                   3.9 M      1.599      1.505
#
#   480 s: two layers, batch 32, window 64, peak 4e-3, decay 0.01
#   384 units, dropout 0.3 *                   6.0 M      1.542      1.458
#   384 units, dropout 0.2 *                   6.0 M      1.518      1.436
#   384 units, dropout 0.2                     6.5 M      1.521      1.441
#   the same, 9.5 epochs more at half the peak                       1.450
#   384 units, dropout 0.3, 12 epochs                                1.427
#
#   ten minutes, as above, streams beginning again every 32 windows
#   256 units, dropout 0.1                    12.0 M      1.491      1.438
#   320 units, dropout 0.1                     9.0 M      1.496      1.441
#   320 units, dropout 0.2 (`balanced`)        9.0 M      1.499      1.429
#   320 units, dropout 0.25, 12 epochs (every 8)                     1.430
#   384 units, dropout 0.3, 29 minutes (the shipped model: every 8, averaged)
#                                            21.4 M      1.436      1.416
#
#   windows from one beginning of a stream to the next (`FRESH_EVERY`), with the
#   settings of `quick`, 7.0 M characters: stateful, cold256, cold64 at the end
#   none, but for an epoch's                   1.515      1.541      1.630
#   32                                         1.516      1.536      1.604
#   8                                          1.511      1.527      1.582
#
#   the weights and their moving average (`EMA_DECAY`), which is validated and kept,
#   after a quarter, half and all of the run
#   `quick`, 7.0 M characters              1.687   1.592   1.511
#   average                                1.645   1.554   1.511
#   `balanced`, 9.0 M; 25 and 40 %         1.583   1.514
#   average                                1.532   1.485
#
# * the update gate's bias begins at 1, ** at 2: no difference beyond the noise, so
# it begins at 0, as Keras' does. Among the small ones `quick` takes the one that is
# readable first: after a quarter of the time 1.686, two layers of 192 1.733.
# `balanced` takes the size and the dropout that suit its ten minutes; a longer run
# wants more of both, as the shipped model has.
PRESETS: dict[str, Preset] = {
    "quick": Preset(
        "about two minutes on two cores, already readable",
        {"embedding_dim": 64, "rnn_units": 256},
        {"epochs": 40, "minutes": 2.0, "batch_size": 32, "learning_rate": 6e-3},
    ),
    "balanced": Preset(
        "about ten minutes on two cores, good text",
        {"embedding_dim": 128, "rnn_units": 320, "num_layers": 2, "dropout": 0.2},
        {
            "epochs": 100,
            "minutes": 10.0,
            "batch_size": 32,
            "seq_length": 64,
            "learning_rate": 4e-3,
            "weight_decay": 0.01,
        },
    ),
    "tutorial": Preset(
        "the sizes of TensorFlow's tutorial, for a GPU or a patient person",
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
    known = (*MODEL_SETTINGS, *TRAINING_SETTINGS)
    for name in settings:
        if name not in known:
            raise ConfigError(
                f"There is no setting {str(name)[:40]!r}: "
                f"expected one of {', '.join(known)}.",
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
    corpus: str, preset: str, settings: Mapping[str, Any], *, title: str = ""
) -> str:
    """The `train` command that does the same."""
    parts = ["python -m charrnn train --corpus", _quote(corpus), "--preset", preset]
    for name, value in settings.items():
        if value is not None:
            parts += [f"--{name.replace('_', '-')}", _quote(str(value))]
    if title:
        parts += ["--title", _quote(title)]
    return " ".join(parts)


def _quote(text: str) -> str:
    plain = re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII)
    return text if plain else "'" + text.replace("'", "'\"'\"'") + "'"


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
