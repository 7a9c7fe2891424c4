"""Sweeps: runs that differ in a few settings, begun, stopped and compared as one.

A sweep is nothing but the label in the records of its runs (`SweepRecord`). Begun
again with the same text and settings, it finds them by their keys and begins only
what is missing. Beside the runs lie a lock, which whoever begins them holds, and a
file that asks it to stop, in `.sweeps`.
"""

import contextlib
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from charrnn.errors import CharrnnError, RunError
from charrnn.files import quoted, write_file
from charrnn.model import checkpoint
from charrnn.model.record import SweepRecord
from charrnn.presets import default_preset
from charrnn.runs import control
from charrnn.runs.listing import Ids, ModelEntry, list_runs
from charrnn.runs.preparation import Prepared, prepare
from charrnn.runs.quality import best_loss
from charrnn.runs.queue import accepting, is_waiting_or_running
from charrnn.runs.states import COMPLETE, LIVE, RunState
from charrnn.runs.status import status_of
from charrnn.runs.store import ID_PATTERN, folder, is_locked, slug
from charrnn.text.corpus import Corpus

SWEEPS: Final = ".sweeps"  # locks and stop files, beside the runs
MAX_RUNS: Final = 1000
POLL: Final = 0.5  # seconds between two looks at the runs that train
AGAIN: Final = frozenset({RunState.STOPPED, RunState.DIED})  # what is resumed

Say = Callable[[str], None]


@dataclass(frozen=True)
class Member:
    """A run of a sweep that shall be there."""

    prepared: Prepared
    label: SweepRecord

    @property
    def name(self) -> str:
        """What tells it from the others, in words."""
        return told(self.label.settings)


def told(settings: Mapping[str, Any]) -> str:
    """Settings in words.

    Example:
        >>> told({"rnn_units": 128, "seed": 1})
        'rnn_units 128, seed 1'
    """
    return ", ".join(f"{name} {value}" for name, value in settings.items())


# --- what there shall be ---------------------------------------------------------


def plan(
    corpus: Corpus,
    *,
    preset: str | None,
    settings: Mapping[str, Sequence[Any]],
    sweep_id: str | None = None,
) -> list[Member]:
    """Every combination of the settings, checked before anything is begun.

    Args:
        corpus: The text.
        preset: A key of `PRESETS`; None takes the machine's default.
        settings: The values of each; those with several are what differs.
        sweep_id: What to call the sweep; None makes a name of text and settings, so
            that the same command names the same sweep.

    Raises:
        CharrnnError: If a setting is wrong, there are too many combinations, or the
            name cannot be an id.
    """
    values = {name: list(dict.fromkeys(given)) for name, given in settings.items()}
    points = [
        dict(zip(values, point, strict=True))
        for point in itertools.islice(itertools.product(*values.values()), MAX_RUNS + 1)
    ]
    if len(points) > MAX_RUNS:
        raise RunError(
            f"The settings have more than {MAX_RUNS:,} combinations: leave some out."
        )
    preset = preset or default_preset()
    keys = [_key(corpus, preset, point) for point in points]
    if sweep_id is None:
        sweep_id = f"{slug(corpus.name)}-{_hash(keys)[:8]}"
    _check_id(sweep_id)
    varied = [name for name, given in values.items() if len(given) > 1]
    return [
        Member(
            prepare(corpus, preset=preset, settings=point),
            SweepRecord(
                id=sweep_id, key=key, settings={name: point[name] for name in varied}
            ),
        )
        for key, point in zip(keys, points, strict=True)
    ]


def _hash(value: Any) -> str:
    data = json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def _key(corpus: Corpus, preset: str, settings: Mapping[str, Any]) -> str:
    documents = [corpus.documents] if corpus.documents else []
    return _hash([corpus.sha256, preset, settings, *documents])


def _check_id(sweep_id: str) -> None:
    if not ID_PATTERN.fullmatch(sweep_id):
        raise RunError(
            f"{quoted(sweep_id)} cannot be a sweep's name: expected up to 80 letters, "
            "digits, hyphens and underscores."
        )


# --- what there is ---------------------------------------------------------------


def runs_of(sweep_id: str, ids: Ids = None) -> list[ModelEntry]:
    """The runs of a sweep that lie here, among some ids or among all."""
    return [
        entry
        for entry in list_runs(ids)
        if entry.record.sweep is not None and entry.record.sweep.id == sweep_id
    ]


@dataclass(frozen=True)
class Group:
    """Runs of a sweep that differ in their seeds alone.

    Args:
        settings: What differs between the groups, and what it is here.
        runs: In the order of their seeds.
        losses: Of those that have come to rest with one, nats per character.
    """

    settings: Mapping[str, int | float | str]
    runs: tuple[ModelEntry, ...]
    losses: tuple[float, ...]
    best: ModelEntry | None  # of those

    @property
    def mean(self) -> float | None:
        """Mean of the losses; None without one."""
        return statistics.fmean(self.losses) if self.losses else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of the losses, n - 1 below; None with fewer than two."""
        return statistics.stdev(self.losses) if len(self.losses) > 1 else None


def groups(runs: Sequence[ModelEntry]) -> list[Group]:
    """The runs of a sweep side by side, the lowest mean first.

    Args:
        runs: Of one sweep.
    """
    gathered: dict[str, list[ModelEntry]] = {}
    for entry in sorted(runs, key=_seed):
        settings = json.dumps(_without_seed(entry), sort_keys=True)
        gathered.setdefault(settings, []).append(entry)
    found = [_group(entries) for entries in gathered.values()]
    return sorted(found, key=lambda one: (one.mean or math.inf, _order(one)))


def _seed(entry: ModelEntry) -> int:
    return entry.record.training.seed


def _order(group: Group) -> str:
    return json.dumps(dict(group.settings), sort_keys=True)


def _without_seed(entry: ModelEntry) -> dict[str, int | float | str]:
    sweep = entry.record.sweep
    settings = {} if sweep is None else sweep.settings
    return {name: value for name, value in settings.items() if name != "seed"}


def _group(runs: Sequence[ModelEntry]) -> Group:
    rated = {
        entry.model_id: best.loss
        for entry in runs
        if entry.state not in LIVE
        and (best := best_loss(entry.record, entry.now.view)) is not None
    }
    lowest = min(rated, key=lambda run: rated[run], default=None)
    return Group(
        settings=_without_seed(runs[0]),
        runs=tuple(runs),
        losses=tuple(rated.values()),
        best=next((entry for entry in runs if entry.model_id == lowest), None),
    )


# --- beginning and stopping ------------------------------------------------------


@contextlib.contextmanager
def _held(sweep_id: str) -> Iterator[Path]:
    """Be the one who begins a sweep's runs; gives the file that asks for the end.

    Raises:
        RunError: If another process does, or the folder cannot be written.
    """
    place = folder() / SWEEPS
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / f"{sweep_id}.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"The sweep {sweep_id} is being trained already: stop it, or wait."
        ) from error
    except OSError as error:
        raise RunError(
            f"The folder {place.parent.name} cannot be written ({error.strerror}): "
            "choose a writable one with the variable CHARRNN_CHECKPOINTS."
        ) from error
    stop_file = _stop_file(sweep_id)
    stop_file.unlink(missing_ok=True)  # it was for those who are gone
    try:
        yield stop_file
    finally:
        stop_file.unlink(missing_ok=True)
        lock.release()


def _stop_file(sweep_id: str) -> Path:
    return folder() / SWEEPS / f"{sweep_id}.stop"


def train(members: Sequence[Member], *, at_once: int, say: Say) -> bool:
    """Begin what is missing of a sweep, so many at once, and wait for the end.

    Ctrl-C and `stop` end it: the runs that train validate and save, and no other one
    is begun.

    Args:
        members: From `plan`.
        at_once: Runs that train side by side.
        say: Called with a line for each that begins or ends.

    Returns:
        Whether all of them are there and finished.

    Raises:
        RunError: If the sweep is being trained already, or no more can be begun.
    """
    sweep_id = members[0].label.id
    living: dict[Path, str] = {}  # name of each run that trains or waits
    with _held(sweep_id) as stop_file:
        try:
            for number, member in enumerate(members, 1):
                _wait(living, at_once - 1, say)
                if stop_file.exists():
                    break
                name = f"{number} of {len(members)}, {member.name}"
                living |= dict.fromkeys(_begin(member, name, say), name)
            _wait(living, 0, say)
        except KeyboardInterrupt:
            say("ending the runs that train, validated and saved; once more: now")
            _ask_to_stop(living)
            _wait(living, 0, say)
            raise
    states = _by_key(sweep_id)
    return all(
        key in states and states[key].state in COMPLETE
        for key in (member.label.key for member in members)
    )


def _by_key(sweep_id: str) -> dict[str, ModelEntry]:
    """The runs of a sweep by their keys."""
    return {
        entry.record.sweep.key: entry
        for entry in runs_of(sweep_id)
        if entry.record.sweep is not None
    }


def _begin(member: Member, name: str, say: Say) -> Iterator[Path]:
    """Begin a run, or go on with it; gives its folder if it lives then."""
    entry = _by_key(member.label.id).get(member.label.key)
    if entry is None:
        with accepting():
            path = control.create(
                member.prepared, title=_title(member), sweep=member.label
            )
        control.spawn(path)
        say(f"{name}: run {path.name}")
        yield path
    elif is_waiting_or_running(entry.path):
        say(f"{name}: run {entry.model_id} is being trained already")
        yield entry.path
    elif entry.state in AGAIN:
        control.resume(entry.model_id)
        say(f"{name}: going on with run {entry.model_id}")
        yield entry.path
    else:
        say(f"{name}: run {entry.model_id} is {entry.state}")


def _title(member: Member) -> str:
    training, corpus = member.prepared.training, member.prepared.corpus
    return ", ".join(filter(None, (f"{corpus.name} {training.preset}", member.name)))


def _wait(living: dict[Path, str], most: int, say: Say) -> None:
    """Wait until at most so many of the runs live; takes out what has ended."""
    while True:
        for path in [path for path in living if not is_waiting_or_running(path)]:
            say(f"{living.pop(path)}: {_outcome(path)}")
        if len(living) <= most:
            return
        time.sleep(POLL)


def _outcome(path: Path) -> str:
    try:
        status, record = status_of(path), checkpoint.read_record(path)
    except CharrnnError:
        return "is gone"
    best = best_loss(record, status.view)
    loss = "" if best is None else f", validation {best.loss:.4f} nats/char"
    return f"{status.state}{loss}" + (f". {status.message}" if status.message else "")


def _ask_to_stop(paths: Iterable[Path]) -> int:
    """Ask those runs to end that live; returns how many they are."""
    count = 0
    for path in paths:
        with contextlib.suppress(RunError):  # it has ended meanwhile
            control.ask_to_stop(path)
            count += 1
    return count


def is_sweep(sweep_id: str) -> bool:
    """Whether there is a sweep of this name."""
    return bool(runs_of(sweep_id))


def stop(sweep_id: str) -> int:
    """Ask all runs of a sweep to end, and have no other one begun.

    Returns:
        How many were asked.

    Raises:
        RunError: If nothing of it is being trained.
    """
    held = is_locked(folder() / SWEEPS / f"{sweep_id}.lock")
    if held:
        write_file(_stop_file(sweep_id), b"")
    asked = _ask_to_stop(entry.path for entry in runs_of(sweep_id))
    if not (asked or held):
        raise RunError(
            f"The sweep {sweep_id} is not being trained: there is nothing to stop."
        )
    return asked
