"""The models and runs that lie here.

Each list can be made from some ids alone, beside the shipped models: then no other
folder is touched, however many there are.
"""

import contextlib
import dataclasses
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import CharrnnError, CheckpointError
from charrnn.files import is_there, one_line
from charrnn.model import checkpoint
from charrnn.model.record import CONFIG, WEIGHTS, Record
from charrnn.runs.leftovers import never_began
from charrnn.runs.states import RunState
from charrnn.runs.status import Situation, look_at
from charrnn.runs.store import (
    SHIPPED_IDS,
    folder,
    is_name,
    is_run,
    is_shipped,
    misnamed,
    named_folders,
    shipped_folder,
)
from charrnn.runs.view import RunView
from charrnn.text.corpus import split_at

DISK_FOLDER: Final = "lost+found"  # what a disk keeps for itself
MAX_COMPARED: Final = 32  # runs whose speed is looked at, the newest

Ids = Collection[str] | None  # None: all that lie here


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


def _folders(place: Path, ids: Ids) -> list[Path]:
    if ids is not None:
        named = [place / name for name in sorted(ids) if is_name(name)]
        named += [
            place / name
            for name in SHIPPED_IDS
            if name not in ids and is_shipped(place / name)
        ]
        return [path for path in named if path.is_dir()]
    return named_folders(place)


def _entries(place: Path, ids: Ids) -> Iterator[ModelEntry]:
    none = Situation(RunState.MODEL, "", RunView())
    for path in _folders(place, ids):
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


def entries(ids: Ids = None) -> list[ModelEntry]:
    """Models and runs, the shipped ones first, then the newest."""
    found = list(_entries(folder(), ids))
    if folder() != shipped_folder():
        here = {entry.model_id for entry in found}  # a copy, which is found first
        found += [
            entry
            for entry in _entries(shipped_folder(), ids)
            if entry.shipped and entry.model_id not in here
        ]
    return sorted(found, key=_place_in_list)


def _place_in_list(entry: ModelEntry) -> tuple[int, float]:
    if entry.shipped:
        return SHIPPED_IDS.index(entry.path.resolve().name), 0.0
    return len(SHIPPED_IDS), -entry.changed


def models(ids: Ids = None) -> list[ModelEntry]:
    """What text can be generated from."""
    return [entry for entry in entries(ids) if entry.has_weights]


def list_runs(ids: Ids = None) -> list[ModelEntry]:
    """What has been or is being trained here."""
    return [entry for entry in entries(ids) if entry.is_run]


def unreadable(ids: Ids = None) -> list[Unreadable]:
    """What has no record that this program can read, or no name for a list; why."""
    found = []
    for path in _folders(folder(), ids):
        if not _claims(path):
            continue
        try:
            checkpoint.read_record(path)
        except CheckpointError as error:
            found.append(
                Unreadable(path.name, str(error), is_shipped(path), is_run(path))
            )
    if ids is None:
        for path, problem in misnamed(folder()).items():
            found.append(
                Unreadable(one_line(path.name, None), problem, False, is_run(path))
            )
    return found


def _claims(path: Path) -> bool:
    """Whether a folder holds a model: it has a record, or has lost it.

    One that may not be looked into may hold one, too.
    """
    if is_there(path / CONFIG):
        return path.name != DISK_FOLDER
    return (path / WEIGHTS).is_file() and not never_began(path)


def expected_speed(model: ModelConfig, training: TrainingConfig) -> float | None:
    """Characters a second of an earlier run here with the same sizes, or None.

    Of the newest one among the latest `MAX_COMPARED`, over all of its steps and
    seconds: the kept step may be an early one.
    """
    for record in _newest_records(MAX_COMPARED):
        sizes = dataclasses.replace(record.model, vocab_size=model.vocab_size)
        if sizes != model or record.training.batch_size != training.batch_size:
            continue
        figures = record.figures
        if figures is not None and figures.total_steps and figures.seconds > 0:
            window = record.training.batch_size * record.training.seq_length
            return figures.total_steps * window / figures.seconds
    return None


def _newest_records(count: int) -> Iterator[Record]:
    """The records of the runs that were written last, the latest first."""
    dated: list[tuple[float, Path]] = []
    for path in _folders(folder(), None):
        with contextlib.suppress(OSError):  # no model, or no longer
            if is_run(path):
                dated.append(((path / CONFIG).stat().st_mtime, path))
    for _, path in sorted(dated, reverse=True)[:count]:
        with contextlib.suppress(CharrnnError):
            yield checkpoint.read_record(path)


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
