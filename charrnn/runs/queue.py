"""How many trainings are taken, and which one's turn it is.

`accepting` is passed by whoever starts or resumes a training, one at a time; `turn`
is waited for by the trainers: tickets on kernel locks, first come first served.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from charrnn.errors import CheckpointError, RunError
from charrnn.files import write_file
from charrnn.hosting import VISITORS_PER_ADDRESS, policy
from charrnn.runs.events import FILE_NAME, EventLog, Queued
from charrnn.runs.history import read_view
from charrnn.runs.owner import Owner, read, visitor_hash
from charrnn.runs.states import RunState
from charrnn.runs.store import QUEUE, STATE, STOP, folder, is_alive, is_locked

QUEUE_POLL: Final = 0.25  # seconds between two looks at the queue
ACCEPT_SECONDS: Final = 30.0  # to wait for those who start a training just now
# a started trainer may need so long before it holds its lock; after that it is dead
NEW_SECONDS: Final = 60.0


@contextlib.contextmanager
def turn(path: Path, log: EventLog, *, stopped: Callable[[], bool]) -> Iterator[bool]:
    """Wait until fewer earlier trainings of this folder live than may run at once.

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
            ticket = queue / f"{_next_number(queue):020d}-{_short(path.name)}"
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


@contextlib.contextmanager
def accepting(
    owner: Owner | None = None, *, again: Path | None = None
) -> Iterator[None]:
    """Be the one who starts a training, where one more is allowed.

    Until this context ends nobody else is let in, from whatever process: the run
    must be written by then, with its `queued` event, so that the next one counts it.

    Args:
        owner: Whose training it is, where each visitor has limits.
        again: The folder of a run that goes on; it is kept already.

    Raises:
        RunError: If as many as the policy allows run or wait, in all or of this
            visitor or address, or the disk is full.
    """
    check_disk()
    with one_at_a_time():
        _check_limits(owner, again)
        yield


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock under which trainings are accepted and old runs removed.

    Raises:
        RunError: If it is not to be had in `ACCEPT_SECONDS`, or cannot be written.
    """
    place = folder()
    try:
        (place / QUEUE).mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / QUEUE / "accepting")
        lock.acquire(timeout=ACCEPT_SECONDS)
    except Timeout as error:
        raise RunError(
            "Too many trainings are being started at once: try again in a minute."
        ) from error
    except OSError as error:
        raise RunError(
            f"The folder {place.name} cannot be written ({error.strerror}): choose "
            "a writable one with the variable CHARRNN_CHECKPOINTS."
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_waiting_or_running(path: Path) -> bool:
    """Whether a training counts for the limits: it lives, or has just been started."""
    if is_alive(path):
        return True
    try:
        if abs(time.time() - (path / FILE_NAME).stat().st_mtime) > NEW_SECONDS:
            return False
        return read_view(path).state is RunState.QUEUED
    except (OSError, CheckpointError):
        return False


def _check_limits(owner: Owner | None, again: Path | None) -> None:
    allowed = policy()
    paths = [p for p in folder().iterdir() if p != again and (p / STATE).is_dir()]
    live = [path for path in paths if is_waiting_or_running(path)]
    if len(live) >= allowed.max_queued:
        raise RunError(
            f"{len(live)} trainings run or wait here already: come back later, or run "
            "charrnn on another computer."
        )
    if owner is None:
        return
    _check_share(
        owner,
        live,
        allowed.queued_per_visitor,
        most=allowed.max_queued // 2,
        what="run or wait here already: wait until one ends, or stop one",
    )
    if again is None:
        check_kept(owner, paths)


def check_kept(owner: Owner, paths: Sequence[Path] | None = None) -> None:
    """Refuse one more run or pulled model where a visitor keeps as many as allowed.

    Args:
        owner: Who wants one more.
        paths: The folders that count; None takes all.

    Raises:
        RunError: If the visitor, or the visitors of the address, keep too many.
    """
    _check_share(
        owner,
        list(folder().iterdir()) if paths is None else paths,
        policy().runs_per_visitor,
        most=None,
        what="are kept here already: delete one first",
    )


def _check_share(
    owner: Owner,
    paths: Sequence[Path],
    limit: int | None,
    *,
    most: int | None,
    what: str,
) -> None:
    """Compare what a visitor and an address have with what each may have.

    Args:
        owner: The visitor.
        paths: Runs of everybody.
        limit: What a visitor may have; None is no limit.
        most: What an address may have at most, however many visitors it has.
        what: How the sentence goes on.
    """
    if limit is None:
        return
    place = folder()
    recorded = [found for found in map(read, paths) if found is not None]
    key = visitor_hash(place, owner.visitor.key)
    mine = sum(found.visitor == key for found in recorded)
    if mine >= limit:
        raise RunError(f"{mine} of your runs {what}.")
    address = visitor_hash(place, owner.visitor.address)
    near = sum(found.address == address for found in recorded)
    share = VISITORS_PER_ADDRESS * limit
    if near >= (share if most is None else max(1, min(share, most))):
        raise RunError(f"{near} runs from your network {what}.")


def leave(path: Path) -> bool:
    """Have a run leave the queue unless its turn has come; whether it does."""
    queue = path.parent / QUEUE
    with FileLock(queue / "mutex"):
        tickets = list(queue.glob(f"*-{path.name}"))
        waiting = any(is_locked(ticket) and _position(ticket) for ticket in tickets)
        if waiting:
            write_file(path / STOP, b"")
    return waiting


def check_disk() -> None:
    """Keep some room on the disk where strangers fill it.

    Raises:
        RunError: If there is too little left to take a stranger's model in.
    """
    needed = policy().min_free_bytes
    here = next(p for p in (folder(), *folder().parents) if p.is_dir())
    if needed and shutil.disk_usage(here).free < needed:
        raise RunError("The disk of this page is full: come back after its restart.")


def _short(name: str) -> str:
    """As much of a name as a file system takes behind a number."""
    return name.encode()[:200].decode(errors="ignore")


def _next_number(queue: Path) -> int:
    """The time, or more where a clock that was set back would jump the queue."""
    taken = [int(t.name[:20]) for t in queue.iterdir() if t.name[:20].isdigit()]
    return max([time.time_ns(), *(number + 1 for number in taken)])


def _wait(
    mutex: FileLock, ticket: Path, log: EventLog, stopped: Callable[[], bool]
) -> bool:
    logged = 0
    while True:
        with mutex:
            if stopped():  # within: who has it leave knows that it still waits
                return False
            position = _position(ticket)
        if position != logged:
            step = read_view(log.path.parent).step
            log.append(Queued(step=step, position=position))
            logged = position
        if position == 0:
            return True
        time.sleep(QUEUE_POLL)


def _position(ticket: Path) -> int:
    """How many trainings must end before a ticket's turn; see `_earlier`."""
    return max(0, _earlier(ticket) + 1 - policy().at_once)


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
