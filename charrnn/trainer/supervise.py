"""The parent of a worker of a cluster: it can end what takes no signal.

While TensorFlow connects the workers of a cluster, and sometimes after one of them was
lost, its process answers to SIGKILL alone. So a worker trains in a process of its own,
which reports over a pipe what it is about to do; the parent ends it where that takes
too long, and hands signals on. Should the parent be killed, the worker ends itself.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

CONNECTING_SECONDS: Final = 90.0  # for TensorFlow to connect workers that have all come
LOST_SECONDS: Final = 30.0  # for a training to end by itself once a worker is lost
DONE_SECONDS: Final = 10.0  # for a process to end after its work
ENDED: Final = (
    "The training's process was ended from outside: start all workers again, worker 0 "
    "with --resume, to go on from the last saved state."
)
UNCONNECTED: Final = (
    "All workers have come, but TensorFlow did not connect them in time: each of them "
    "must reach the port of every other one."
)
FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stage(StrEnum):
    """What a worker reports; some may last only so long."""

    PREPARING = "preparing"
    CONNECTING = "connecting"
    TRAINING = "training"
    LOST = "lost"
    DONE = "done"


SECONDS: Final = {
    Stage.CONNECTING: CONNECTING_SECONDS,
    Stage.LOST: LOST_SECONDS,
    Stage.DONE: DONE_SECONDS,
}


@dataclass
class Outcome:
    """How a worker's process ended.

    Args:
        code: Its exit code, negative: the signal that ended it.
        stage: What it reported last.
        details: The newest detail of each stage that it reported with one.
        overdue: Whether the stage lasted too long and the process was killed.
        interrupted: Whether a signal came.
    """

    code: int = 0
    stage: Stage = Stage.PREPARING
    details: dict[Stage, str] = field(default_factory=dict)
    overdue: bool = False
    interrupted: bool = False


class Report:
    """The worker's end of the pipe.

    Args:
        descriptor: Of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, stage: Stage, detail: str = "") -> None:
        """Tell the parent what comes now."""
        os.write(self._descriptor, f"{stage} {detail}\n".encode())


def end_with_parent() -> None:
    """Have this process killed once its parent is gone, whose pipe is its input."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def supervise(
    arguments: Callable[[int], Sequence[str]],
    *,
    environment: dict[str, str],
    leaves: Callable[[], None] | None = None,
    seconds: dict[Stage, float] = SECONDS,
) -> Outcome:
    """Run a worker in a process of its own until it ends or has to be killed.

    Args:
        arguments: Of Python, from the descriptor to report to.
        environment: The process's.
        leaves: For a worker that does not decide when it ends: called at the first
            signal, which is not handed on; the second kills it.
        seconds: How long stages may last; others without end.
    """
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, *arguments(write_end)],
        env=environment,
        stdin=subprocess.PIPE,
        pass_fds=(write_end,),
        start_new_session=True,  # Ctrl-C comes here alone, and is handed on
    )
    os.close(write_end)
    outcome = Outcome()
    with _handing_on(process, outcome, leaves), os.fdopen(read_end, "rb", 0) as pipe:
        _read_reports(process, pipe, outcome, seconds)
        outcome.code = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return outcome


@contextmanager
def _handing_on(
    process: "subprocess.Popen[bytes]",
    outcome: Outcome,
    leaves: Callable[[], None] | None,
) -> Iterator[None]:
    def hand_on(number: int, frame: Any) -> None:
        del frame
        first, outcome.interrupted = not outcome.interrupted, True
        if outcome.stage in (Stage.CONNECTING, Stage.LOST):
            process.kill()  # all else it would not hear
        elif leaves is None or outcome.stage is Stage.PREPARING:
            process.send_signal(number)
        elif first:
            leaves()
        else:
            process.kill()

    previous = {number: signal.signal(number, hand_on) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _read_reports(
    process: "subprocess.Popen[bytes]",
    pipe: Any,
    outcome: Outcome,
    seconds: dict[Stage, float],
) -> None:
    """Follow the stages to the end of the process, which closes the pipe."""
    begun, rest = time.monotonic(), b""
    while True:
        allowed = seconds.get(outcome.stage)
        left = None if allowed is None else begun + allowed - time.monotonic()
        ready, _, _ = select.select(
            [pipe], [], [], None if left is None else max(left, 0)
        )
        if not ready:
            outcome.overdue = True
            process.kill()
            return
        data = pipe.read(4096)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            name, _, detail = line.decode().partition(" ")
            outcome.stage, begun = Stage(name), time.monotonic()
            outcome.details[outcome.stage] = detail
