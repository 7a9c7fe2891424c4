"""The process that talks to the Hub, started, followed and ended under a clock.

`charrnn.hub.client` has 15 seconds to the first byte of a file, then 30 without
another one, and it is ended. A long transfer that moves is left alone. Neither
process ever uses a token but the one it is given.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from charrnn.errors import HubError
from charrnn.files import redact
from charrnn.hosting import policy
from charrnn.hub.names import clean_token
from charrnn.machine import NEEDED_FOR_THE_HUB, child_environment
from charrnn.runs import store

Progress = Callable[[str, int, int], None]
MAX_BYTES: Final = 1_000_000_000  # of the weights: the largest settings have 0.7 GB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long to wait, in seconds.

    Args:
        start: For the process to be there, which is not the Hub's doing.
        first: From then to the first byte of a file, or to the end.
        idle: From each byte to the next one, or to the end.
    """

    start: float = 60.0
    first: float = 15.0
    idle: float = 30.0


LIMITS: Final = Limits()


def local_token() -> str | None:
    """The token of `hf auth login`, for the person at this computer.

    On a hosted page it would be the server's, so there is none there.
    """
    if not policy().owner_token:
        return None
    from charrnn.hub import client

    return clean_token(client.local_token())


def _environment(home: Path) -> dict[str, str]:
    """What the process is given: named variables, no secret, caches of its own."""
    return child_environment(*NEEDED_FOR_THE_HUB) | {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONUNBUFFERED": "1",
    }


class _Clock:
    """Knows until when something must have happened."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.done = 0
        self._enter("starting", limits.start)

    def _enter(self, phase: str, allowed: float) -> None:
        self.phase = phase
        self.allowed = allowed
        self.since = time.monotonic()

    def ready(self) -> None:
        self._enter("waiting", self.limits.first)

    def moved(self, done: int) -> None:
        """Bytes were counted; what goes back to 0 to be sent again moves too."""
        if done != self.done:
            self.done = done
            self._enter("moving", self.limits.idle)

    def remaining(self) -> float:
        return max(0.0, self.since + self.allowed - time.monotonic())


def _listen(output: IO[bytes], answers: "queue.SimpleQueue[Any]") -> None:
    for line in output:
        answers.put(json.loads(line))
    answers.put(None)


def _too_slow(clock: _Clock, job: Mapping[str, Any], trouble: str) -> str:
    host, seconds = urlsplit(job["endpoint"]).netloc, f"{clock.allowed:g} seconds"
    if trouble:
        return trouble
    if clock.phase == "starting":
        return f"This computer is too busy: the {job['action']} did not start."
    if clock.phase == "waiting":
        return (
            f"{host} did not answer within {seconds}: check the connection, then "
            "try again."
        )
    if job["action"] == "push":
        return (
            f"{host} took nothing more for {seconds}: push again. If it had all "
            "arrived, that changes nothing."
        )
    return f"{host} sent nothing more for {seconds}: pull again."


def _last_words(errors: IO[bytes], token: str | None) -> str:
    """The last line that a process wrote before it broke down."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    text = lines[-1][:200] if lines else "it was killed"
    text = redact(text)
    return text.replace(token, "[token]") if token else text


def _follow(
    job: Mapping[str, Any],
    answers: "queue.SimpleQueue[Any]",
    limits: Limits,
    progress: Progress | None,
) -> dict[str, Any] | None:
    """Hear a transfer out; None if it broke down without a word.

    Raises:
        HubError: If it failed or nothing moved for too long.
    """
    clock, trouble = _Clock(limits), ""
    while True:
        try:
            answer = answers.get(timeout=clock.remaining())
        except queue.Empty:
            raise HubError(_too_slow(clock, job, trouble)) from None
        if answer is None or answer["kind"] == "done":
            return answer  # type: ignore[no-any-return]
        if answer["kind"] == "failed":
            raise HubError(answer["message"])
        if answer["kind"] == "trouble":
            trouble = answer["message"]
        elif answer["kind"] == "ready":
            clock.ready()
        else:
            clock.moved(answer["done"])
            trouble = "" if answer["done"] else trouble
            if progress is not None:
                progress(answer["stage"], answer["done"], answer["total"])


def transfer(
    job: dict[str, Any], home: Path, limits: Limits, progress: Progress | None
) -> dict[str, Any]:
    """Have the other process do a job, and end it whatever happens.

    Raises:
        HubError: If the transfer failed; one sentence, without the token.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-m", "charrnn.hub.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=store.PACKAGE_ROOT,
            env=_environment(home),
            start_new_session=True,  # Ctrl-C is for us; we end it
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise HubError("The transfer could not be started: try again.")
        listener = threading.Thread(
            target=_listen, args=(process.stdout, answers), daemon=True
        )
        listener.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            result = _follow(job, answers, limits, progress)
        finally:
            process.kill()
            listener.join()
        if result is None:
            words = _last_words(errors, job["token"])
            raise HubError(f"The {job['action']} broke off ({words}): try again.")
        return result
