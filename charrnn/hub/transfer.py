"""Start the process that talks to the Hub, follow it, and end it if nothing moves.

`charrnn.hub.client` has 15 seconds to the first byte of a file and 30 from each byte
to the next one, then it is ended. A long transfer that moves is left alone. Neither
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
from charrnn.hub.names import clean_token, endpoint_of
from charrnn.machine import NEEDED_FOR_THE_HUB, child_environment
from charrnn.runs import store

OnProgress = Callable[[str, int, int], None]  # stage, bytes done, bytes in all


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


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Which Hub, as whom, and who hears of it.

    Args:
        token: An access token or a visitor's login; None asks anonymously.
        endpoint: The Hub's address; None for `HF_ENDPOINT` or the public one.
        on_progress: Called with the stage, bytes done and bytes in all (0 where
            unknown). An exception out of it ends the transfer.
        limits: How long to wait.

    Raises:
        HubError: If the token or the address cannot be one.
    """

    token: str | None
    endpoint: str | None = None
    on_progress: OnProgress | None = None
    limits: Limits = LIMITS

    def __post_init__(self) -> None:
        object.__setattr__(self, "endpoint", endpoint_of(self.endpoint))
        object.__setattr__(self, "token", clean_token(self.token))


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
    """The time that is left until something must have happened."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.done = 0
        self._enter("starting", limits.start)

    def _enter(self, phase: str, seconds: float) -> None:
        self.phase = phase
        self.seconds = seconds
        self.since = time.monotonic()

    def ready(self) -> None:
        self._enter("waiting", self.limits.first)

    def moved(self, done: int) -> None:
        """Bytes were counted; what goes back to 0 to be sent again moves too."""
        if done != self.done:
            self.done = done
            self._enter("moving", self.limits.idle)

    def remaining(self) -> float:
        return max(0.0, self.since + self.seconds - time.monotonic())


def _listen(output: IO[bytes], answers: "queue.SimpleQueue[Any]") -> None:
    for line in output:
        answers.put(json.loads(line))
    answers.put(None)


def _too_slow(clock: _Clock, job: Mapping[str, Any], trouble: str) -> str:
    host, seconds = urlsplit(job["endpoint"]).netloc, f"{clock.seconds:g} seconds"
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
    return f"{host} sent nothing more for {seconds}: try again."


def _last_line(errors: IO[bytes], token: str | None) -> str:
    """The last line that a process wrote before it broke down."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    text = lines[-1][:200] if lines else "it was killed"
    text = redact(text)
    return text.replace(token, "[token]") if token else text


def _follow(
    job: Mapping[str, Any],
    answers: "queue.SimpleQueue[Any]",
    connection: Connection,
) -> dict[str, Any] | None:
    """Follow a transfer to its end; None if the process died without a word.

    Raises:
        HubError: If it failed or nothing moved for too long.
    """
    clock, trouble = _Clock(connection.limits), ""
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
            if connection.on_progress is not None:
                connection.on_progress(answer["stage"], answer["done"], answer["total"])


def transfer(
    job: Mapping[str, Any], home: Path, connection: Connection
) -> dict[str, Any]:
    """Have the other process do a job, and end it whatever happens.

    Args:
        job: What to do; token and address are those of the connection.
        home: A folder for the library's caches.
        connection: See `Connection`.

    Returns:
        The job's result.

    Raises:
        HubError: If the transfer failed; one sentence, without the token.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    job = {
        **job,
        "token": connection.token,
        "endpoint": connection.endpoint,
        "visitor": not policy().owner_token,  # whose login may open less
    }
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
            result = _follow(job, answers, connection)
        finally:
            process.kill()
            listener.join()
        if result is None:
            reason = _last_line(errors, connection.token)
            raise HubError(f"The {job['action']} broke off ({reason}): try again.")
        return result
