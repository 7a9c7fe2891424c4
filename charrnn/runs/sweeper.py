"""What a hosted page removes by itself, and what leaves its queue.

Only folders that were made for visitors are touched, and none whose training runs or
waits; the model that comes with the program and what the machine's owner trains from a
terminal stay. `sweep` does one round; the page calls it every minute.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from charrnn.errors import CharrnnError
from charrnn.files import write_file
from charrnn.hosting import policy
from charrnn.model.record import CONFIG, WEIGHTS
from charrnn.runs import queue
from charrnn.runs.events import FILE_NAME, EventLog, Notice
from charrnn.runs.history import read_view
from charrnn.runs.leftovers import DAY, discard, remove_leftovers
from charrnn.runs.owner import is_strangers, last_seen, read
from charrnn.runs.queue import is_waiting_or_running
from charrnn.runs.states import RunState
from charrnn.runs.store import STATE, STOP, UNWANTED, folder, is_alive

PAGE_SILENCE: Final = 600.0  # seconds without a sign of life that a queued run waits
PROGRAM_SILENCE: Final = 3_600.0  # the same for one that a program started
MAX_REMOVED: Final = 100  # runs in one round, so that a round is short


def changed(path: Path) -> float:
    """When a model or its history was last written, seconds since the epoch."""
    times = [0.0]
    for name in (CONFIG, WEIGHTS, FILE_NAME):
        with contextlib.suppress(OSError):
            times.append((path / name).stat().st_mtime)
    return max(times)


def kept_until(path: Path) -> float | None:
    """When a visitor's run that has ended is removed at the latest, or None."""
    days = policy().keep_days
    if days is None or not is_strangers(path):
        return None
    return changed(path) + DAY * days


def sweep(*, since: float = 0.0, now: float | None = None) -> None:
    """One round over the folder of runs.

    Args:
        since: When the page began to listen for signs of life.
        now: Seconds since the epoch; None takes the clock.
    """
    now = time.time() if now is None else now
    remove_leftovers(folder(), now=now)
    for path in _strangers():
        with contextlib.suppress(OSError, CharrnnError):
            _leave_if_silent(path, since, now)
    _remove_old(now)


def _strangers() -> list[Path]:
    place = folder()
    if not place.is_dir():
        return []
    return [path for path in sorted(place.iterdir()) if is_strangers(path)]


def _leave_if_silent(path: Path, since: float, now: float) -> None:
    """Have a queued run leave whose visitor has been gone for too long."""
    owner = read(path)
    if owner is None:
        return
    silence = PAGE_SILENCE if owner.page else PROGRAM_SILENCE
    if now - max(last_seen(path), since) <= silence or (path / STOP).exists():
        return
    view = read_view(path)
    if view.state is RunState.QUEUED and queue.leave(path):
        sentence = (
            f"It left the queue: for {silence / 60:.0f} minutes there was no sign of "
            "whoever started it. Resume it to queue again."
        )
        EventLog(path).append(Notice(step=view.step, message=sentence))


def _remove_old(now: float) -> None:
    """Remove what is given up, too old or too much, the oldest first."""
    sizes = {path: _size(path) for path in _strangers()}
    total, limit, removed = sum(sizes.values()), policy().max_disk_bytes, 0
    for path in sorted(sizes, key=changed):
        too_much = limit is not None and total > limit
        if (too_much or _is_over(path, now)) and _remove(path):
            total -= sizes[path]
            removed += 1
            if removed == MAX_REMOVED:
                return


def _is_over(path: Path, now: float) -> bool:
    until = kept_until(path)
    given_up = (path / STATE / UNWANTED).exists()
    return given_up or (until is not None and until < now)


def _remove(path: Path) -> bool:
    """Remove a folder unless it is being trained; whether it is gone."""
    if is_alive(path) and not (path / STATE / UNWANTED).exists():
        return False
    with contextlib.suppress(OSError, CharrnnError), queue.one_at_a_time():
        if not is_waiting_or_running(path):  # nobody resumes it meanwhile
            discard(path)
            return True
        if (path / STATE / UNWANTED).exists():
            write_file(path / STOP, b"")
    return False


def _size(path: Path) -> int:
    """Bytes of a folder's files."""
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total
