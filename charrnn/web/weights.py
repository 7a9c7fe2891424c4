"""A model's weights as a web page carries them: rounded, in one file of numbers.

The tensors follow each other in the order of `ModelConfig.tensor_shapes`, row by row
and little-endian. ``float32`` and ``float16`` are just that. In ``int8`` a matrix is
its columns' scales, in ``float16``, and then whole numbers from -127 to 127 that they
are multiplied with; biases are ``float16``. `engine.js` reads it.
"""

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt

from charrnn.errors import ConfigError
from charrnn.model.checkpoint import Model, Weights
from charrnn.model.network import Floats, Ids
from charrnn.model.scores import WINDOW, cold

FORMATS: Final = ("int8", "float16", "float32")  # the smallest first
MAX_COST: Final = 0.005  # nats per character that the chosen format may lose
MAX_MEASURED: Final = 20_000  # characters that costs are measured on
_LARGEST: Final = 127


def _check_format(number_format: str) -> None:
    if number_format not in FORMATS:
        raise ConfigError(
            f"weights is {number_format!r:.40}: expected one of {', '.join(FORMATS)}.",
            field="weights",
        )


def _halved(name: str, array: Floats) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = array.astype("<f2")
    if not np.isfinite(halves).all():
        raise ConfigError(
            f"{name} has a number beyond what 16 bits hold, {abs(array).max():g}: "
            "take float32 weights.",
            field="weights",
        )
    return halves


def _quantised(
    name: str, matrix: Floats
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int8]]:
    """Scales (columns,) and whole numbers (rows, columns) of a matrix."""
    exact = abs(matrix).max(axis=0) / _LARGEST
    halves = _halved(name, exact)
    # rounded up, so that the largest number of a column is reached
    scales = np.where(halves < exact, np.nextafter(halves, np.float16("inf")), halves)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)
    steps = np.rint(matrix / divisors).clip(-_LARGEST, _LARGEST)
    return scales.astype("<f2"), steps.astype(np.int8)


def _parts(
    name: str, array: Floats, number_format: str
) -> list[npt.NDArray[np.generic]]:
    if number_format == "float32":
        return [array.astype("<f4")]
    if number_format == "float16" or name.endswith("bias"):
        return [_halved(name, array)]
    return list(_quantised(name, array))


def pack(model: Model, number_format: str) -> bytes:
    """The weights of a model in a format of `FORMATS`.

    Raises:
        ConfigError: If there is no such format, or it cannot hold a weight.
    """
    _check_format(number_format)
    return b"".join(
        part.tobytes()
        for name in model.record.model.tensor_shapes()
        for part in _parts(name, model.weights[name], number_format)
    )


def rounded(model: Model, number_format: str) -> Weights:
    """The numbers that the page computes with, under the names of a checkpoint.

    Raises:
        ConfigError: As `pack`.
    """
    _check_format(number_format)
    found: Weights = {}
    for name in model.record.model.tensor_shapes():
        first, *steps = _parts(name, model.weights[name], number_format)
        scaled = steps[0] * first.astype(np.float32) if steps else first
        found[name] = scaled.astype(np.float32)
    return found


def measure_costs(model: Model, ids: Ids) -> dict[str, float]:
    """Nats per character that each format loses against float32.

    Measured in windows of `WINDOW` predicted characters from an empty state, of a
    shorter text in one.

    Args:
        model: The model.
        ids: A text that it has not learnt from; `MAX_MEASURED` of it are read.

    Raises:
        ConfigError: If the text has fewer than two characters, or as `pack`.
    """
    part = ids[:MAX_MEASURED]
    if len(part) < 2:
        raise ConfigError(
            f"The text has {len(part)} characters: a cost needs at least 2, one to "
            "begin from and one to predict."
        )
    window = min(WINDOW, len(part) - 1)
    losses = {}
    for name in FORMATS:
        read = dataclasses.replace(model, weights=rounded(model, name))
        losses[name] = cold(read, part, window=window) or 0.0
    return {name: loss - losses["float32"] for name, loss in losses.items()}
