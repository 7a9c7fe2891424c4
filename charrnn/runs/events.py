"""The history of a run: one JSON object a line, appended, never rewritten.

    {"type": "validation", "time": 1790000000.0, "step": 120, "val_loss": 2.31, ...}

One class for each type of event is the schema of the writer and of every
reader; `docs/formats.md` describes the types and their fields. The trainer
appends; any number of readers follow from a byte offset. A line that is being
written (or was torn by a crash) has no newline yet and is left for next time.
A line that does not fit the schema is left out and counted, so that a damaged
history still shows what it has. Keys that the schema does not name are passed
over: a later version may add some.
"""

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from charrnn.errors import CheckpointError
from charrnn.files import remedy
from charrnn.runs.states import EndReason
from charrnn.text.parts import Parts

FILE_NAME: Final = "events.jsonl"
MAX_READ: Final = 8_000_000  # bytes of history taken in at once
UNWRITTEN: Final = -1.0  # the time of an event that no log has written yet


def _without_surrogates(text: str) -> str:
    """UTF-8 cannot hold half a surrogate pair: U+FFFD stands in its place."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# bounded: a float holds every such integer, and no float32 is beyond such a number
Count = Annotated[int, Field(ge=0, lt=2**53)]
Positive = Annotated[int, Field(ge=1, lt=2**53)]
Number = Annotated[float, Field(ge=-1e39, le=1e39)]
Rate = Annotated[float, Field(ge=0, le=1e39)]
MIN_FACTOR: Final = 0.01  # of the learning rate
MAX_FACTOR: Final = 100.0
Factor = Annotated[float, Field(ge=MIN_FACTOR, le=MAX_FACTOR)]
Moment = Annotated[float, Field(ge=0, lt=2**53)]
Text = Annotated[str, AfterValidator(_without_surrogates)]

CONFIG: Final = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class _Event:
    """What every event has."""

    type: str
    time: Moment = UNWRITTEN  # seconds since the epoch, set by the log
    step: Count  # updates made so far


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Queued(_Event):
    """The run waits for its turn."""

    type: Literal["queued"] = "queued"
    position: Count  # trainings before it


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Started(_Event):
    """A trainer process begins to work on the run."""

    type: Literal["started"] = "started"
    planned_steps: Count | None  # None: the speed has to be measured first
    steps_per_epoch: Positive
    parameters: Count
    pid: Count


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Planned(_Event):
    """The number of steps was settled, or revised: from this step on it holds.

    `resumed` does not take it back: who goes on from an earlier step applies it there.
    """

    type: Literal["planned"] = "planned"
    planned_steps: Count
    start_step: Count = 0  # from which on the asked length counts
    validate_every: Positive | None = None  # steps; None as 0.1.0 wrote it
    epochs_per_validation: Positive = 1


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Step(_Event):
    """Progress: the steps since the event before, at most two events a second."""

    type: Literal["step"] = "step"
    epoch: Positive
    loss: Number  # mean of these steps, nats per character
    learning_rate: Rate
    chars_per_second: Rate


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Validation(_Event):
    """The loss on the validation part."""

    type: Literal["validation"] = "validation"
    val_loss: Number  # nats per character
    best: bool  # lower than every one before
    scheduled: bool = True  # False: made because the run was asked to stop
    parts: Parts | None = None  # what the loss is made of, by name


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Sample(_Event):
    """A text that the network writes after a validation or a snapshot."""

    type: Literal["sample"] = "sample"
    temperature: Rate
    prompt: Text
    text: Text  # without the prompt


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Baseline(_Event):
    """The loss of an n-gram table on the same text, to compare with."""

    type: Literal["baseline", "floor"] = "baseline"  # floor: as 0.1.0 wrote it
    order: Positive  # characters of an n-gram
    loss: Number  # nats per character


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Checkpoint(_Event):
    """The whole state is saved."""

    type: Literal["checkpoint"] = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class LearningRate(_Event):
    """From this step on a person's factor multiplies the learning rate."""

    type: Literal["learning_rate"] = "learning_rate"
    factor: Factor


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Resumed(_Event):
    """The run goes on from this step.

    Takes back every earlier step, validation, sample and checkpoint event with
    a greater step, and every validation that was not scheduled.
    """

    type: Literal["resumed"] = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Ended(_Event):
    """The training ended well."""

    type: Literal["ended"] = "ended"
    reason: EndReason
    writing_seconds: Rate | None = None  # spent on writing files


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Failed(_Event):
    """The training could not go on."""

    type: Literal["failed"] = "failed"
    message: Text


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Notice(_Event):
    """Something a person should know."""

    type: Literal["notice"] = "notice"
    message: Text


Event = (
    Queued
    | Started
    | Planned
    | Step
    | Validation
    | Sample
    | Baseline
    | Checkpoint
    | LearningRate
    | Resumed
    | Ended
    | Failed
    | Notice
)
SCHEMA: Final[TypeAdapter[Event]] = TypeAdapter(
    Annotated[Event, Field(discriminator="type")]
)


def to_dict(event: Event) -> dict[str, Any]:
    """An event as the JSON object of its line."""
    return dataclasses.asdict(event)


def parse(line: bytes) -> Event | None:
    """The event of a line; None where the line does not fit the schema."""
    try:
        event = SCHEMA.validate_json(line)
    except ValidationError:
        return None
    return None if event.time == UNWRITTEN else event


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

    def append(self, event: Event) -> Event:
        """Write one event with the time of writing, and return it so.

        The line goes out in a single ``write``; where the last line was torn
        by a crash, a newline first ends it, so that ours stands alone.

        Raises:
            CheckpointError: If the file cannot be written.
            ValueError: If no reader would take the event.
        """
        event = dataclasses.replace(event, time=self.clock())
        line = json.dumps(to_dict(event), ensure_ascii=False, allow_nan=False)
        data = line.encode() + b"\n"
        if parse(data) != event:
            raise ValueError(f"not an event of the schema: {line[:200]}")
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
                f"{remedy(error)}, then resume the run."
            ) from error
        if self.listener is not None:
            self.listener(event)
        return event


class Part(NamedTuple):
    """Some lines of a history."""

    events: list[Event]
    next: int  # the byte offset to go on from
    damaged: int  # lines that were left out


def read(folder: Path, offset: int = 0) -> Part:
    """Events appended since a byte offset, and the offset to go on from.

    At most `MAX_READ` bytes are taken in a call: call again from the returned
    offset while it grows. A missing file is an empty history; an offset
    beyond the end (the file was replaced) starts over.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = offset if 0 <= offset <= size else 0
            file.seek(start)
            data = file.read(MAX_READ)
    except FileNotFoundError:
        return Part([], 0, 0)
    except OSError as error:
        raise CheckpointError(
            f"The history of {folder.name} ({path.name}) cannot be read "
            f"({error.strerror})."
        ) from error
    complete = data.rfind(b"\n") + 1
    if complete == 0 and len(data) == MAX_READ:
        complete = len(data)  # no event is that long: step over the garbage
    lines = [line for line in data[:complete].split(b"\n") if line.strip()]
    events = [event for line in lines if (event := parse(line)) is not None]
    return Part(events, start + complete, len(lines) - len(events))
