"""What killed processes leave in the folder of runs, and how a folder is removed."""

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from charrnn.files import is_there
from charrnn.model.record import CONFIG, VOCAB, WEIGHTS
from charrnn.runs.events import FILE_NAME as HISTORY
from charrnn.runs.history import forget
from charrnn.runs.owner import OWNER, SEEN
from charrnn.runs.store import CORPUS_FILE, STATE

PULLING, DELETED = ".pull-", ".deleted-"  # how the names of such folders begin
DAY: Final = 86_400.0
HOUR: Final = 3_600.0  # no process writes a run's folder or deletes one for so long
_STARTED: Final = frozenset({STATE, VOCAB, WEIGHTS, HISTORY})  # before the record
_STARTED_STATE: Final = frozenset({CORPUS_FILE, OWNER, SEEN})


def discard(path: Path) -> None:
    """Remove a model's or run's folder for good.

    Raises:
        OSError: If it cannot be removed; part of it may be gone.
    """
    # one rename, and no reader meets half a folder
    aside = path.with_name(f"{DELETED}{secrets.token_hex(4)}")
    path.rename(aside)
    forget(path)
    shutil.rmtree(aside)


def remove_leftovers(place: Path, *, now: float | None = None) -> None:
    """Remove what was left in a folder of runs by processes that were killed.

    That is pulls older than a day and, older than an hour, what was being deleted
    and runs that never got their record: their ids are free again.

    Args:
        place: The folder of models and runs.
        now: Seconds since the epoch; None takes the clock.
    """
    now = time.time() if now is None else now
    for path in _folders(place):
        life = _life(path)
        if life is not None and _age(path, now) > life:
            shutil.rmtree(path, ignore_errors=True)


def _life(path: Path) -> float | None:
    """Seconds that a folder is left alone; None where it stays for good."""
    if path.name.startswith(PULLING):
        return DAY
    if path.name.startswith(DELETED) or never_began(path):
        return HOUR
    return None


def _folders(place: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):  # there may be no such folder yet
        for path in list(place.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield path


def _age(path: Path, now: float) -> float:
    """Seconds since a folder, or what lies in it, was written or renamed."""
    try:
        stat = path.stat()
        times = [stat.st_mtime]
        if path.name.startswith(DELETED):  # by a rename, which leaves the other time
            times.append(stat.st_ctime)
        elif not path.name.startswith(PULLING):  # `create` writes into `state/` first
            times += [inner.stat().st_mtime for inner in path.iterdir()]
    except OSError:  # gone meanwhile
        return 0.0
    return now - max(times)


def never_began(path: Path) -> bool:
    """Whether `create` was killed in a folder: no record, and nothing but its own."""
    if path.name.startswith(".") or is_there(path / CONFIG):
        return False
    try:
        mine = {_final_name(inner.name) for inner in path.iterdir()} <= _STARTED
        state = path / STATE
        inner = {_final_name(p.name) for p in state.iterdir()} if state.is_dir() else ()
    except OSError:
        return False
    return mine and _STARTED_STATE.issuperset(inner)


def _final_name(name: str) -> str:
    """The name of a file that `write_file` was writing aside."""
    parts = name.split(".")
    aside = name.startswith(".") and parts[-1] == "tmp" and len(parts) > 3
    return ".".join(parts[1:-2]) if aside else name
