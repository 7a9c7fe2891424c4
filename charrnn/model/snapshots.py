"""A model at earlier steps of its training, as its own trainer kept it.

    snapshots/<step>.safetensors    the averaged weights after that step, in float16

They are taken at steps 25, 50, 100, ..., and are few: where there would be more than
`MAX_SNAPSHOTS` or `MAX_BYTES`, every second one is dropped, the first and the last
kept. What comes after the kept step is not told: the last step is that of the kept
weights themselves.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError
from charrnn.files import write_file
from charrnn.hosting import MEGABYTE
from charrnn.model import checkpoint
from charrnn.model.checkpoint import Model
from charrnn.model.record import VOCAB, WEIGHTS, Record
from charrnn.model.tensors import tensors_to_parts

FOLDER: Final = "snapshots"
FIRST_STEP: Final = 25  # then twice as many each time
MAX_SNAPSHOTS: Final = 12
MAX_BYTES: Final = 40 * MEGABYTE
BYTES_EACH: Final = 2  # of a parameter
_NAME: Final = re.compile(r"([1-9][0-9]{0,11})\.safetensors")


class Source(NamedTuple):
    """Whose weights write: a model's kept ones, or those of a step of its training."""

    path: Path
    step: int | None = None


def is_due(step: int) -> bool:
    """Whether a snapshot is taken after a step: 25 times a power of two."""
    count, rest = divmod(step, FIRST_STEP)
    return rest == 0 and count > 0 and count & (count - 1) == 0


def thinned(steps: Iterable[int], most: int) -> list[int]:
    """As many steps as there may be: every second one dropped, the ends kept.

    Example:
        >>> thinned([25, 50, 100, 200], 3)
        [25, 100, 200]
    """
    kept = sorted(steps)
    if most < 2:
        return kept[len(kept) - most :] if most > 0 else []
    while len(kept) > most:
        kept = [*kept[:-1:2], kept[-1]]
    return kept


def most_of(model: ModelConfig) -> int:
    """How many snapshots of a model are kept at most."""
    return min(MAX_SNAPSHOTS, MAX_BYTES // (BYTES_EACH * model.num_parameters()))


def file_of(path: Path, step: int) -> Path:
    """Where the weights of a step lie, if they do."""
    return path / FOLDER / f"{step}.safetensors"


def _taken(path: Path) -> list[int]:
    """The steps of the files that are there, in order."""
    with contextlib.suppress(OSError):
        names = [_NAME.fullmatch(file.name) for file in (path / FOLDER).iterdir()]
        return sorted(int(found[1]) for found in names if found)
    return []


def save(
    path: Path, model: ModelConfig, weights: Mapping[str, npt.NDArray[Any]], step: int
) -> None:
    """Keep weights as those of a step, and drop what is then too many.

    Args:
        path: The run's folder, with its `vocab.json`.
        model: Its configuration.
        weights: The averaged weights, under the names of `model.safetensors`.
        step: After which they stood so.

    Raises:
        CheckpointError: If they cannot be written.
    """
    kept = thinned({*_taken(path), step}, most_of(model))
    if step in kept:
        sources = {
            name: partial(np.asarray, array, np.float16)
            for name, array in weights.items()
        }
        context = checkpoint.read_bounded(path, VOCAB)
        parts = tensors_to_parts(sources, {"format": "charrnn"}, context=context)
        try:
            (path / FOLDER).mkdir(exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{path.name}/{FOLDER} cannot be written ({error.strerror})."
            ) from error
        write_file(file_of(path, step), parts)
    for other in _taken(path):
        if other not in kept:
            file_of(path, other).unlink(missing_ok=True)


def remove_beyond(path: Path, step: int) -> None:
    """Remove what a run took after the step that it goes on from."""
    for taken in _taken(path):
        if taken > step:
            file_of(path, taken).unlink(missing_ok=True)


def _kept_step(path: Path, record: Record) -> int | None:
    """The step of the model's own weights; None where there are none."""
    figures = record.figures
    return figures.kept_step if figures and (path / WEIGHTS).is_file() else None


def steps(path: Path) -> tuple[int, ...]:
    """The steps of a training that can be loaded, in order.

    The last one is that of the kept weights, as far as there are any; a model that
    was not trained here has that one alone, or none.

    Raises:
        CheckpointError: If the folder's record cannot be read.
    """
    kept = _kept_step(path, checkpoint.read_record(path))
    if kept is None:
        return tuple(_taken(path))
    return (*(step for step in _taken(path) if step < kept), kept)


def source_of(path: Path | str, step: int | None) -> Source:
    """The weights of a step; those of the last one are the kept weights.

    Args:
        path: The run's folder.
        step: One of `steps`; None for the kept weights.

    Raises:
        CheckpointError: If there is no such step.
    """
    folder = Path(path)
    if step is None:
        return Source(folder)
    known = steps(folder)
    if step not in known:
        listed = ", ".join(f"{each:,}" for each in known) or "none"
        raise CheckpointError(
            f"{folder.name} has no snapshot of step {step:,}: there are {listed}."
        )
    kept = _kept_step(folder, checkpoint.read_record(folder))
    return Source(folder, None if step == kept else step)


def load(path: Path | str, step: int | None) -> Model:
    """A model as it was after a step of its training, see `checkpoint.load`.

    Args:
        path: The run's folder.
        step: One of `steps`; None for the kept weights.

    Raises:
        CheckpointError: If there is no such step, or a file is damaged.
    """
    folder, step = source_of(path, step)
    if step is None:
        return checkpoint.load(folder)
    record = checkpoint.read_record(folder)
    weights, digest = checkpoint.load_weights(
        folder, record.model, path=file_of(folder, step), dtype="F16"
    )
    vocabulary = checkpoint.read_vocabulary(folder, record)
    return Model(record, vocabulary, weights, digest)
