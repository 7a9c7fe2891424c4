"""The history of a run: one JSON object a line, appended, never rewritten.

    {"type": "step", "time": 1790000000.0, "step": 120, "loss": 2.31, ...}

The trainer appends; any number of readers follow from a byte offset. A line
that is being written (or was torn by a crash) has no newline yet and is left
for next time; a line that is no event is passed over, so that a damaged
history still shows what it has. `resumed` at step s takes back every earlier
step, validation, sample and checkpoint event with a greater step.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from charrnn.errors import CheckpointError

Event = dict[str, Any]
FILE_NAME: Final = "events.jsonl"
TYPES: Final = frozenset(
    {
        *("queued", "started", "planned", "step", "validation", "sample", "floor"),
        *("checkpoint", "learning_rate", "resumed", "ended", "failed", "notice"),
    }
)
REWOUND: Final = frozenset({"step", "validation", "sample", "checkpoint"})
MAX_READ: Final = 8_000_000  # bytes of history taken in at once


class EventLog:
    """Appends events to a run's history.

    Args:
        folder: The run's folder.
        listener: Called with each event after it is written.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        listener: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = folder / FILE_NAME
        self.listener = listener
        self.clock = clock

    def append(self, kind: str, step: int, **fields: Any) -> Event:
        """Write one event.

        The line goes out in a single ``write``; where the last line was torn
        by a crash, a newline first ends it, so that ours stands alone.

        Raises:
            CheckpointError: If the file cannot be written.
        """
        event: Event = {"type": kind, "time": self.clock(), "step": step, **fields}
        line = json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n"
        data = line.encode("utf-8", "backslashreplace")
        try:
            with self.path.open("ab+") as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    if file.read(1) != b"\n":
                        data = b"\n" + data
                file.write(data)
        except OSError as error:
            raise CheckpointError(
                f"The history of the run cannot be written ({error.strerror}): "
                "free some space or choose another folder, then resume the run."
            ) from error
        if self.listener is not None:
            self.listener(event)
        return event


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    kind, step, moment = (event.get(key) for key in ("type", "step", "time"))
    if not isinstance(kind, str) or kind not in TYPES:
        return None
    if isinstance(step, bool) or not isinstance(step, int):
        return None
    if isinstance(moment, bool) or not isinstance(moment, (int, float)):
        return None
    # numbers that a plot can take: NaN is not, nor an integer beyond every float
    return event if 0 <= step < 2**53 and abs(moment) < 2**53 else None


def read(folder: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Events appended since a byte offset, and the offset to go on from.

    At most `MAX_READ` bytes are taken in a call: call again from the returned
    offset while it grows. A missing file is an empty history; an offset
    beyond the end (the file was replaced) starts over.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = offset if 0 <= offset <= size else 0
            file.seek(start)
            data = file.read(MAX_READ)
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise CheckpointError(
            f"The history in {path.name} cannot be read ({error.strerror})."
        ) from error
    complete = data.rfind(b"\n") + 1
    if complete == 0 and len(data) == MAX_READ:
        complete = len(data)  # no event is that long: step over the garbage
    events = [e for line in data[:complete].splitlines() if (e := _parse(line))]
    return events, start + complete


def read_all(folder: Path) -> list[Event]:
    """The whole history as it counts now: what was taken back is gone."""
    events: list[Event] = []
    offset = 0
    while True:
        more, following = read(folder, offset)
        events += more
        if following == offset:
            return effective(events)
        offset = following


def _taken_back(event: Event, step: int) -> bool:
    """Beyond the step, or a validation of a stop, whose weights were put back."""
    if event["type"] not in REWOUND:
        return False
    return bool(event["step"] > step or event.get("scheduled") is False)


def effective(events: Iterable[Event]) -> list[Event]:
    """Drop what a later `resumed` event took back."""
    kept: list[Event] = []
    for event in events:
        if event["type"] == "resumed":
            kept = [e for e in kept if not _taken_back(e, event["step"])]
        kept.append(event)
    return kept
