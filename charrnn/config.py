"""What can be set: the network, its training, its sampling.

Frozen dataclasses that refuse wrong values when they are made. Each field's
metadata holds its bounds and a phrase that explains it: the command line and
the page are built from them, so that a setting is described in one place.
`charrnn.presets` has starting points.
"""

import dataclasses
import math
import operator
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from charrnn.errors import ConfigError

CELLS = ("gru", "lstm", "rnn")
GATES = {"gru": 3, "lstm": 4, "rnn": 1}  # blocks of H columns in a kernel
NUM_STATES = {"gru": 1, "lstm": 2, "rnn": 1}  # arrays that a layer carries: h, or h, c
SCHEDULES = ("linear", "cosine", "constant")
COMPUTE_DTYPES = ("auto", "float32", "bfloat16")
MAX_VOCAB_SIZE = 8192  # [UNK] included; rarer characters fold into [UNK]
MAX_SEED = 2**63 - 1
MAX_HOLDS = 8  # units held in one text


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
    return (typing.get_origin(annotation) or annotation,)


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN neither
        raise ConfigError(
            f"{name} is {str(value)[:40]}: expected a number from {low:g} to {high:g}.",
            field=name,
        )


def _coerce(name: str, value: Any, accepted: tuple[type, ...]) -> Any:
    """The value in the field's type: an integer may stand for a float, no bool may."""
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

    @property
    def num_states(self) -> int:
        """Arrays (batch, rnn_units) that each recurrent layer carries along."""
        return NUM_STATES[self.cell]

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
    scheduled_sampling: float = _setting(
        0.0,
        "share of the characters read that are the network's own, at the end",
        low=0.0,
        high=1.0,
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


class Hold(typing.NamedTuple):
    """A unit whose output is held at a value while a text is written.

    Args:
        layer: From 0.
        unit: In the layer, from 0.
        value: -1 to 1, what an output can be.
    """

    layer: int
    unit: int
    value: float

    @classmethod
    def parse(cls, text: str) -> "Hold":
        """Read ``LAYER.UNIT=VALUE``.

        Raises:
            ConfigError: If it has another form.

        Example:
            >>> Hold.parse("1.383=-0.5")
            Hold(layer=1, unit=383, value=-0.5)
        """
        match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})=([-+]?[\d.]{1,20})", text, re.ASCII)
        try:
            if match:
                return cls(int(match[1]), int(match[2]), float(match[3]))
        except ValueError:
            pass
        raise ConfigError(
            f"hold is {text[:40]!r}: expected LAYER.UNIT=VALUE, like 1.383=-0.5.",
            field="hold",
        )


def _checked_holds(values: Any) -> tuple[Hold, ...]:
    """Holds from tuples or from lists, as JSON has them."""
    if not isinstance(values, (tuple, list)) or len(values) > MAX_HOLDS:
        raise ConfigError(
            f"hold is {values!r:.60}: expected at most {MAX_HOLDS} units.", field="hold"
        )
    holds = []
    for value in values:
        try:
            layer, unit, level = value
            holds.append(Hold(operator.index(layer), operator.index(unit), level + 0.0))
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(
                f"hold has {value!r:.60}: expected a layer, a unit and a value.",
                field="hold",
            ) from None
        _check_number("hold", holds[-1].value, -1.0, 1.0)
    if len({(hold.layer, hold.unit) for hold in holds}) < len(holds):
        raise ConfigError("hold names a unit twice: each has one value.", field="hold")
    return tuple(holds)


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
    hold: tuple[Hold, ...] = _setting((), "units held at a value while writing")

    def __post_init__(self) -> None:
        object.__setattr__(self, "hold", _checked_holds(self.hold))
        super().__post_init__()

    def check_units(self, model: ModelConfig) -> None:
        """Refuse to hold units that a model does not have.

        Raises:
            ConfigError: If it lacks one of them.
        """
        for hold in self.hold:
            if not (
                0 <= hold.layer < model.num_layers and 0 <= hold.unit < model.rnn_units
            ):
                raise ConfigError(
                    f"hold names unit {hold.layer}.{hold.unit}: the model has layers 0 "
                    f"to {model.num_layers - 1} and units 0 to {model.rnn_units - 1}.",
                    field="hold",
                )


# What is asked for where a person says nothing, and the most that a request may.
DEFAULT_LENGTH = 400  # characters
DEFAULT_TEMPERATURES = (0.2, 0.5, 0.8, 1.1)  # of a comparison
MAX_LENGTH = 10_000  # characters
MAX_PROMPT = 100_000  # characters; some ten seconds of reading at 1024 units
MAX_STOP = 1_000  # characters of a stop string
MAX_ROWS = 16  # texts of one request, written at once

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


def setting_bounds(name: str) -> tuple[float, float]:
    """The lowest and the highest value of a setting that is a number.

    Raises:
        ConfigError: If there is no such setting.
    """
    metadata = setting_field(name).metadata
    return metadata["low"], metadata["high"]
