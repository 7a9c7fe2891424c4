"""One training at a time: tickets on kernel locks, first come first served."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock

from charrnn.errors import RunError
from charrnn.hosting import policy
from charrnn.runs.events import EventLog, Queued
from charrnn.runs.history import read_view
from charrnn.runs.listing import list_runs
from charrnn.runs.states import LIVE
from charrnn.runs.store import folder, is_locked

QUEUE: Final = ".queue"
QUEUE_POLL: Final = 0.25  # seconds between two looks at the queue


@contextlib.contextmanager
def turn(path: Path, log: EventLog, *, stopped: Callable[[], bool]) -> Iterator[bool]:
    """Wait until no earlier training of this folder lives, then be the one.

    A ticket is a file named by the time it was taken, with a held lock. Taking
    one and looking through them happen under one more lock, so their order is
    the order of arrival; the ticket of a process that died is free and swept.

    Args:
        path: The run's folder.
        log: Where `queued` events go, each time the position changes.
        stopped: Asked while waiting; true gives the turn up.

    Yields:
        Whether it is our turn: False if `stopped` said so first.
    """
    queue = path.parent / QUEUE
    try:
        queue.mkdir(exist_ok=True)
        mutex = FileLock(queue / "mutex")
        with mutex:
            ticket = queue / f"{_next_number(queue):020d}-{path.name}"
            lock = FileLock(ticket)
            lock.acquire()
    except OSError as error:
        raise RunError(
            f"The queue in {path.parent.name} cannot be written ({error.strerror})."
        ) from error
    try:
        yield _wait(mutex, ticket, log, stopped)
    finally:
        with mutex:
            lock.release()
            ticket.unlink(missing_ok=True)


def check_queue() -> None:
    """Refuse one more training where too many already queue for the machine.

    Raises:
        RunError: If as many as the policy allows run or wait, or the disk is full.
    """
    check_disk()
    limit = policy().max_queued
    waiting = sum(entry.state in LIVE for entry in list_runs())
    if waiting >= limit:
        raise RunError(
            f"{waiting} trainings run or wait here already: come back later, or run "
            "charrnn on another computer."
        )


def check_disk() -> None:
    """Keep some room on the disk where strangers fill it.

    Raises:
        RunError: If there is too little left to take a stranger's model in.
    """
    needed = policy().min_free_bytes
    here = next(p for p in (folder(), *folder().parents) if p.is_dir())
    if needed and shutil.disk_usage(here).free < needed:
        raise RunError("The disk of this page is full: come back after its restart.")


def _next_number(queue: Path) -> int:
    """The time, or more where a clock that was set back would jump the queue."""
    taken = [int(t.name[:20]) for t in queue.iterdir() if t.name[:20].isdigit()]
    return max([time.time_ns(), *(number + 1 for number in taken)])


def _wait(
    mutex: FileLock, ticket: Path, log: EventLog, stopped: Callable[[], bool]
) -> bool:
    told = 0
    while not stopped():
        with mutex:
            position = _earlier(ticket)
        if position != told:
            step = read_view(log.path.parent).step
            log.append(Queued(step=step, position=position))
            told = position
        if position == 0:
            return True
        time.sleep(QUEUE_POLL)
    return False


def _earlier(ticket: Path) -> int:
    """Living tickets before ours; sweeps the dead ones. The mutex is held."""
    count = 0
    for other in sorted(ticket.parent.iterdir()):
        if other.name >= ticket.name or not other.name[:1].isdigit():
            continue
        if is_locked(other):
            count += 1
        else:
            other.unlink(missing_ok=True)
    return count
