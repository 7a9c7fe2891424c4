"""The models and runs that lie here."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import CharrnnError, CheckpointError
from charrnn.model import checkpoint
from charrnn.model.record import CONFIG, WEIGHTS, Record
from charrnn.runs.states import RunState
from charrnn.runs.status import Situation, look_at
from charrnn.runs.store import (
    ID_PATTERN,
    folder,
    is_run,
    is_shipped,
    shipped_folder,
)
from charrnn.runs.view import RunView
from charrnn.text.corpus import split_at


@dataclass(frozen=True)
class ModelEntry:
    """A folder of the list: a model, a run, or both."""

    model_id: str
    path: Path
    record: Record
    now: Situation
    has_weights: bool
    shipped: bool
    is_run: bool
    changed: float  # when its record was last written, seconds since the epoch

    @property
    def state(self) -> RunState:
        """How it stands now."""
        return self.now.state

    @property
    def problem(self) -> str:
        """Why its history cannot be read; empty if it can."""
        return self.now.message if self.state is RunState.UNREADABLE else ""


@dataclass(frozen=True)
class Unreadable:
    """A folder that claims to be a model and whose record cannot be read."""

    model_id: str
    problem: str  # a sentence
    shipped: bool
    is_run: bool


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [p for p in sorted(place.iterdir()) if ID_PATTERN.fullmatch(p.name)]


def _entries(place: Path) -> Iterator[ModelEntry]:
    none = Situation(RunState.MODEL, "", RunView())
    for path in _folders(place):
        try:
            record = checkpoint.read_record(path)
            now = look_at(path) if place == folder() else none
            changed = (path / CONFIG).stat().st_mtime
        except (CharrnnError, FileNotFoundError):
            continue  # no model, or no longer; or one of `unreadable`
        yield ModelEntry(
            model_id=path.name,
            path=path,
            record=record,
            now=now,
            has_weights=(path / WEIGHTS).is_file(),
            shipped=is_shipped(path),
            is_run=is_run(path),
            changed=changed,
        )


def entries() -> list[ModelEntry]:
    """All models and runs, the shipped one first, then the newest."""
    found = list(_entries(folder()))
    if folder() != shipped_folder():
        found += [entry for entry in _entries(shipped_folder()) if entry.shipped]
    return sorted(found, key=lambda entry: (not entry.shipped, -entry.changed))


def models() -> list[ModelEntry]:
    """What text can be generated from."""
    return [entry for entry in entries() if entry.has_weights]


def list_runs() -> list[ModelEntry]:
    """What has been or is being trained here."""
    return [entry for entry in entries() if entry.is_run]


def unreadable() -> list[Unreadable]:
    """What has a record that this program cannot read, and why."""
    found = []
    for path in _folders(folder()):
        if not (path / CONFIG).is_file():
            continue
        try:
            checkpoint.read_record(path)
        except CheckpointError as error:
            found.append(
                Unreadable(path.name, str(error), is_shipped(path), is_run(path))
            )
    return found


def expected_speed(model: ModelConfig, training: TrainingConfig) -> float | None:
    """Characters a second of an earlier run here with the same sizes, or None.

    Of the newest one, over all of its steps and seconds: the kept step may be an
    early one.
    """
    for entry in list_runs():  # the newest first
        record, figures = entry.record, entry.record.figures
        sizes = dataclasses.replace(record.model, vocab_size=model.vocab_size)
        if sizes != model or record.training.batch_size != training.batch_size:
            continue
        if figures is not None and figures.total_steps and figures.seconds > 0:
            window = record.training.batch_size * record.training.seq_length
            return figures.total_steps * window / figures.seconds
    return None


def expected_seconds(
    model: ModelConfig, training: TrainingConfig, characters: int
) -> float | None:
    """How long a training will take, from earlier runs here; None if unknown."""
    limit = math.inf if training.minutes is None else 60 * training.minutes
    speed = expected_speed(model, training)
    if training.epochs is None or speed is None:
        return None if math.isinf(limit) else limit
    split = split_at(characters)
    return min(limit, training.epochs * split / speed)
