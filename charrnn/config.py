"""What can be set: the network, its training, its sampling, and the presets.

Frozen dataclasses that refuse wrong values when they are made. Each field's
metadata holds its bounds and a phrase that explains it: the command line and
the page are built from them, so that a setting is described in one place.
"""

import dataclasses
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charrnn.errors import ConfigError

CELLS = ("gru", "lstm", "rnn")
GATES = {"gru": 3, "lstm": 4, "rnn": 1}  # blocks of H columns in a kernel
SCHEDULES = ("linear", "cosine", "constant")
COMPUTE_DTYPES = ("auto", "float32", "bfloat16")
MAX_VOCAB_SIZE = 8192  # [UNK] included; rarer characters fold into [UNK]
MAX_SEED = 2**63 - 1


def _setting(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    metadata = {"help": text, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=metadata)


def _accepted_types(annotation: Any) -> tuple[type, ...]:
    if isinstance(annotation, types.UnionType):
        return tuple(typing.get_args(annotation))
    return (annotation,)


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN neither
        raise ConfigError(
            f"{name} is {str(value)[:40]}: expected a number from {low:g} to {high:g}.",
            field=name,
        )


def _coerce(name: str, value: Any, accepted: tuple[type, ...]) -> Any:
    """An integer where a float is due is welcome; a bool for a number is not."""
    if isinstance(value, bool) or not isinstance(value, (*accepted, int)):
        wanted = " or ".join(
            "nothing" if t is type(None) else t.__name__ for t in accepted
        )
        raise ConfigError(f"{name} is {value!r:.60}: expected {wanted}.", field=name)
    if isinstance(value, int) and int not in accepted:
        if float not in accepted:
            raise ConfigError(f"{name} is {value!r:.60}: expected a text.", field=name)
        # an integer beyond every float is out of every range: let that be said
        return float(value) if abs(value) < 2**1000 else value
    return value


class _Checked:
    """Checks each field of a dataclass against its type and its metadata."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = _coerce(
                item.name, getattr(self, item.name), _accepted_types(hints[item.name])
            )
            object.__setattr__(self, item.name, value)
            if value is None:
                continue
            choices = item.metadata.get("choices")
            if choices and value not in choices:
                raise ConfigError(
                    f"{item.name} is {value!r:.60}: expected one of "
                    f"{', '.join(choices)}.",
                    field=item.name,
                )
            if item.metadata.get("low") is not None:
                _check_number(
                    item.name, value, item.metadata["low"], item.metadata["high"]
                )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(_Checked):
    """The network: embedding, recurrent layers, a dense head.

    Raises:
        ConfigError: If a value is of the wrong type or out of its range.
    """

    cell: str = _setting("gru", "kind of recurrent cell", choices=CELLS)
    embedding_dim: int = _setting(
        256, "numbers that stand for a character", low=1, high=2048
    )
    rnn_units: int = _setting(256, "memory of each recurrent layer", low=1, high=2048)
    num_layers: int = _setting(
        1, "recurrent layers on top of each other", low=1, high=4
    )
    dropout: float = _setting(
        0.0, "share of each layer's output silenced while training", low=0.0, high=0.9
    )
    vocab_size: int = _setting(2, "ids, [UNK] included", low=2, high=MAX_VOCAB_SIZE)

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, in the order of the data's flow."""
        gates, units = GATES[self.cell], self.rnn_units
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocab_size, self.embedding_dim)
        }
        for layer in range(self.num_layers):
            width = self.embedding_dim if layer == 0 else units
            shapes[f"rnn.{layer}.kernel"] = (width, gates * units)
            shapes[f"rnn.{layer}.recurrent_kernel"] = (units, gates * units)
            # reset_after keeps the input's and the state's bias apart
            bias = (2, gates * units) if self.cell == "gru" else (gates * units,)
            shapes[f"rnn.{layer}.bias"] = bias
        shapes["head.kernel"] = (units, self.vocab_size)
        shapes["head.bias"] = (self.vocab_size,)
        return shapes

    def num_parameters(self) -> int:
        """Trainable numbers of the whole network."""
        return sum(math.prod(shape) for shape in self.tensor_shapes().values())


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(_Checked):
    """One training: how long, in what portions, with which optimiser.

    ``epochs`` and ``minutes`` both bound the run; whichever comes first ends
    it, and one of them may be None. ``validate_every`` None means: at the end
    of each epoch and about every 20 seconds of a long one.

    Raises:
        ConfigError: If a value is of the wrong type or out of its range, or if
            neither ``epochs`` nor ``minutes`` is given.
    """

    preset: str = _setting("custom", "preset that the settings began from")
    epochs: int | None = _setting(
        10, "passes over the training text", low=1, high=10000
    )
    minutes: float | None = _setting(
        None, "time to train, in minutes", low=0.02, high=10080.0
    )
    batch_size: int = _setting(32, "streams read side by side", low=1, high=1024)
    seq_length: int = _setting(
        100, "characters of each stream between two updates", low=1, high=1000
    )
    learning_rate: float = _setting(
        5e-3, "size of an update at its peak", low=1e-6, high=1.0
    )
    schedule: str = _setting(
        "linear", "how the learning rate falls to the end", choices=SCHEDULES
    )
    warmup_steps: int = _setting(
        100, "steps in which the learning rate rises to its peak", low=0, high=100000
    )
    beta_2: float = _setting(
        0.99, "Adam's memory of squared gradients", low=0.5, high=0.99999
    )
    weight_decay: float = _setting(
        0.0, "pull of the kernels towards zero (AdamW)", low=0.0, high=1.0
    )
    clipnorm: float = _setting(
        1.0, "largest global norm of the gradients; 0: no limit", low=0.0, high=1000.0
    )
    early_stopping: int = _setting(
        0,
        "validations without improvement that end the run; 0: never",
        low=0,
        high=10000,
    )
    validate_every: int | None = _setting(
        None, "steps between two validations", low=1, high=10**9
    )
    seed: int = _setting(0, "start of all random numbers", low=0, high=MAX_SEED)
    compute_dtype: str = _setting(
        "auto", "number format inside matrix products", choices=COMPUTE_DTYPES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is None and self.minutes is None:
            raise ConfigError(
                "Neither epochs nor minutes is given: one of them must end the run.",
                field="epochs",
            )


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(_Checked):
    """How one text is drawn; each row of a batch may have its own.

    Raises:
        ConfigError: If a value is of the wrong type or out of its range.
    """

    temperature: float = _setting(
        0.8,
        "0 always takes the likeliest character, 1 follows the model",
        low=0.0,
        high=2.0,
    )
    top_k: int = _setting(
        0, "only the k likeliest characters; 0: all", low=0, high=MAX_VOCAB_SIZE
    )
    top_p: float = _setting(
        1.0,
        "only the likeliest characters that hold this share; 1: all",
        low=1e-6,
        high=1.0,
    )
    stop: str = _setting("", "text that ends the writing where it appears")
    seed: int = _setting(0, "start of all random numbers", low=0, high=MAX_SEED)


MAX_LENGTH = 10_000  # characters a request may ask for on the page


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

MODEL_SETTINGS = tuple(
    item.name for item in dataclasses.fields(ModelConfig) if item.name != "vocab_size"
)
TRAINING_SETTINGS = tuple(
    item.name for item in dataclasses.fields(TrainingConfig) if item.name != "preset"
)


def setting_field(name: str) -> "dataclasses.Field[Any]":
    """The dataclass field (default, bounds, explanation) behind a setting.

    Raises:
        ConfigError: If there is no such setting.
    """
    for owner in (ModelConfig, TrainingConfig, SamplingConfig):
        for item in dataclasses.fields(owner):
            if item.name == name:
                return item
    raise ConfigError(f"There is no setting {str(name)[:40]!r}.", field=name)


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


def is_hosted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether strangers share this page: `CHARRNN_HOSTED`, else a Space.

    The page itself also sets `CHARRNN_HOSTED` when it binds to anything but
    loopback.
    """
    explicit = environ.get("CHARRNN_HOSTED", "").strip()
    if explicit:
        return explicit != "0"
    return bool(environ.get("SPACE_ID"))


def max_text_bytes(environ: Mapping[str, str] = os.environ) -> int:
    """Largest text that is taken, in bytes (`CHARRNN_MAX_TEXT_MB`).

    Raises:
        ConfigError: If the variable is not a positive number.
    """
    default = "5" if is_hosted(environ) else "200"
    text = environ.get("CHARRNN_MAX_TEXT_MB", "").strip() or default
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = math.nan
    if not 0 < megabytes < 10_000:
        raise ConfigError(
            f"CHARRNN_MAX_TEXT_MB is {text!r}: expected megabytes, like 200."
        )
    return int(megabytes * 1_000_000)


def trusted_proxies(environ: Mapping[str, str] = os.environ) -> int:
    """Proxies in front of the page that it believes (`CHARRNN_TRUSTED_PROXIES`).

    Raises:
        ConfigError: If the variable is not a small whole number.
    """
    default = "1" if environ.get("SPACE_ID") else "0"
    text = environ.get("CHARRNN_TRUSTED_PROXIES", "").strip() or default
    if not re.fullmatch("[0-9]", text):
        raise ConfigError(
            f"CHARRNN_TRUSTED_PROXIES is {text[:40]!r}: expected how many proxies "
            "stand in front of the page, 0 to 9."
        )
    return int(text)
