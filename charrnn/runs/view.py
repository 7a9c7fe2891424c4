"""What a run's events amount to: all that anyone shows of a run.

The command line, the page, the card and the bench read a `RunView`; `Reducer`
alone turns events into one, an event at a time, without files or clock. A view
does not change once it is handed out, whatever the reducer takes in later, so
threads may share it; making one costs the same however long the curve is.
"""

import dataclasses
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.model.snapshots import FIRST_STEP
from charrnn.runs import events
from charrnn.runs.events import Event
from charrnn.runs.states import RunState

MAX_SAMPLES: Final = 200
PICTURES_A_DOUBLING: Final = 2  # samples that are kept of the steps up to twice as many
MAX_NOTICES: Final = 100
MAX_PLANS: Final = 200
RISING: Final = 3  # validations in a row above the best,
RISEN: Final = 1.02  # the last of them by so many times: it memorises
_ROW: Final = np.dtype(
    [("step", np.int64), ("loss", float), ("epoch", np.int64), ("speed", float)]
)


@dataclass(frozen=True, eq=False)
class RunView:
    """A run as its history tells it; losses in nats per character.

    What a later `resumed` event took back counts in ``taken`` and ``seconds``
    alone.
    """

    taken: int = 0  # events so far
    damaged: int = 0  # lines of the history that were left out
    state: RunState = RunState.MODEL  # as if its trainer were alive
    message: str = ""  # why it failed
    position: int = 0  # trainings before it in the queue
    queued: float | None = None  # when it was queued last, seconds since the epoch
    started: float | None = None  # when it was started first
    seconds: float = 0.0  # inside trainer processes, steps taken back included
    step: int = 0
    epoch: int = 0
    planned_steps: int | None = None  # None while the speed is being measured
    steps_per_epoch: int = 0
    chars_per_second: float = 0.0
    baseline: float | None = None  # loss of a table of n-grams
    steps: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.empty(0, np.int64)
    )  # of the loss curve, shape (points,)
    losses: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    validations: tuple[events.Validation, ...] = ()
    best: events.Validation | None = None  # the lowest, the first of equal ones
    samples: tuple[events.Sample, ...] = ()  # the latest `MAX_SAMPLES`
    pictures: tuple[events.Sample, ...] = ()  # those of a film: closer at the start
    notices: tuple[str, ...] = ()  # each once, the latest `MAX_NOTICES`
    factors: tuple[events.LearningRate, ...] = ()
    plans: tuple[events.Planned, ...] = ()  # the latest `MAX_PLANS`

    @property
    def factor(self) -> float:
        """What multiplies the learning rate now."""
        return self.factors[-1].factor if self.factors else 1.0

    @property
    def rising(self) -> bool:
        """Whether the last validations were all worse than the best, and markedly."""
        best = self.best
        if best is None:
            return False
        later = [v.val_loss for v in self.validations if v.step > best.step]
        return len(later) >= RISING and later[-1] > RISEN * best.val_loss

    def seconds_left(self, characters_per_step: int) -> float | None:
        """Seconds to the planned end at the present speed; None if unknown."""
        if self.planned_steps is None or not self.chars_per_second:
            return None
        characters = max(0, self.planned_steps - self.step) * characters_per_step
        seconds = characters / self.chars_per_second
        return seconds if math.isfinite(seconds) else None


class _Curve:
    """Rows that are appended; those that were handed out never change."""

    def __init__(self) -> None:
        self._rows = np.empty(256, _ROW)
        self._count = 0

    def append(self, event: events.Step) -> None:
        if self._count == len(self._rows):
            self._move(self._rows)
        self._rows[self._count] = (
            *(event.step, event.loss),
            *(event.epoch, event.chars_per_second),
        )
        self._count += 1

    def rows(self) -> npt.NDArray[Any]:
        """All rows, read-only, shape ``(count,)``."""
        rows = self._rows[: self._count]
        rows.flags.writeable = False
        return rows

    def take_back(self, step: int) -> None:
        """Drop the rows of later steps."""
        rows = self.rows()
        kept = rows[rows["step"] <= step]
        self._move(kept)
        self._count = len(kept)

    def _move(self, rows: npt.NDArray[Any]) -> None:
        """Into a new array: the old one may have been handed out."""
        self._rows = np.empty(max(256, 2 * len(rows)), _ROW)
        self._rows[: len(rows)] = rows


class Reducer:
    """Takes in a run's events in their order and shows what they amount to."""

    def __init__(self) -> None:
        self._facts = RunView()
        self._curve = _Curve()
        self._validations: list[events.Validation] = []
        self._samples: deque[events.Sample] = deque(maxlen=MAX_SAMPLES)
        self._pictures: dict[int, events.Sample] = {}  # the first of each stretch
        self._notices: dict[str, None] = {}
        self._lasting: dict[type, deque[Any]] = {  # what no `resumed` takes back
            events.LearningRate: deque(),
            events.Planned: deque(maxlen=MAX_PLANS),
        }
        self._began: float | None = None  # when the present process started
        self._before = 0.0  # seconds of the processes before it
        self._view: RunView | None = self._facts

    def take(self, event: Event) -> None:
        """Add one event."""
        self._view = None
        self._measure(event)
        self._collect(event)
        facts = self._facts
        changes = _changes(event)
        changes.setdefault("step", max(facts.step, event.step))
        self._facts = dataclasses.replace(facts, taken=facts.taken + 1, **changes)

    def count_damaged(self, lines: int) -> None:
        """Add lines that were left out."""
        if lines:
            damaged = self._facts.damaged + lines
            self._facts = dataclasses.replace(self._facts, damaged=damaged)
            self._view = None

    def view(self) -> RunView:
        """What the events so far amount to."""
        if self._view is None:
            self._view = self._make_view()
        return self._view

    def _make_view(self) -> RunView:
        rows = self._curve.rows()
        notices = [*self._notices, *damage_notices(self._facts.damaged)]
        return dataclasses.replace(
            self._facts,
            epoch=int(rows["epoch"][-1]) if len(rows) else 0,
            chars_per_second=float(rows["speed"][-1]) if len(rows) else 0.0,
            steps=rows["step"],
            losses=rows["loss"],
            validations=tuple(self._validations),
            best=min(self._validations, key=lambda v: v.val_loss, default=None),
            samples=tuple(self._samples),
            pictures=tuple(self._pictures.values()),
            notices=tuple(dict.fromkeys(notices)),
            factors=tuple(self._lasting[events.LearningRate]),
            plans=tuple(self._lasting[events.Planned]),
        )

    def _measure(self, event: Event) -> None:
        """Count the seconds from a `started` event to the last of its process."""
        if isinstance(event, events.Notice | events.Baseline):
            return  # others write these too
        if isinstance(event, events.Queued | events.Resumed):
            self._began = None
        elif isinstance(event, events.Started):
            self._before = self._facts.seconds
            self._began = event.time
            if self._facts.started is None:
                self._facts = dataclasses.replace(self._facts, started=event.time)
        elif self._began is not None:
            seconds = self._before + max(0.0, event.time - self._began)
            self._facts = dataclasses.replace(self._facts, seconds=seconds)
        if isinstance(event, events.Ended | events.Failed):
            self._began = None

    def _collect(self, event: Event) -> None:
        match event:
            case events.Step():
                self._curve.append(event)
            case events.Validation():
                self._validations.append(event)
            case events.Sample():
                self._samples.append(event)
                self._pictures.setdefault(_stretch(event.step), event)
            case events.LearningRate() | events.Planned():
                self._lasting[type(event)].append(event)
            case events.Notice():
                self._notices.setdefault(event.message)
                if len(self._notices) > MAX_NOTICES:
                    del self._notices[next(iter(self._notices))]
            case events.Resumed():
                self._take_back(event.step)

    def _take_back(self, step: int) -> None:
        self._curve.take_back(step)
        self._validations = [
            v for v in self._validations if v.step <= step and v.scheduled
        ]
        kept = [sample for sample in self._samples if sample.step <= step]
        self._samples = deque(kept, maxlen=MAX_SAMPLES)
        self._pictures = {
            stretch: sample
            for stretch, sample in self._pictures.items()
            if sample.step <= step
        }


def _stretch(step: int) -> int:
    """Which of the stretches that a film has a picture of; they grow with the steps.

    The samples that are written with a snapshot begin one each.
    """
    return math.floor(PICTURES_A_DOUBLING * math.log2(max(step, 1) / FIRST_STEP))


def _changes(event: Event) -> dict[str, Any]:
    """The fields of a view that an event sets."""
    match event:
        case events.Queued() | events.Baseline() | events.Notice():
            return _changes_from_outside(event)
        case events.Started():
            return {
                "state": RunState.RUNNING,
                "planned_steps": event.planned_steps,
                "steps_per_epoch": event.steps_per_epoch,
            }
        case events.Planned():
            return {"state": RunState.RUNNING, "planned_steps": event.planned_steps}
        case events.Resumed():  # the one that may go back
            return {"state": RunState.RUNNING, "step": event.step}
        case events.Ended():
            return {"state": RunState(event.reason)}
        case events.Failed():
            return {"state": RunState.FAILED, "message": event.message}
    return {"state": RunState.RUNNING}


def _changes_from_outside(
    event: events.Queued | events.Baseline | events.Notice,
) -> dict[str, Any]:
    """The same for events that say nothing of whether a trainer works."""
    match event:
        case events.Queued():
            return {
                "state": RunState.QUEUED,
                "position": event.position,
                "queued": event.time,
            }
        case events.Baseline():
            return {"baseline": event.loss}
    return {}


def damage_notices(lines: int) -> list[str]:
    """A sentence about lines that were left out, if there are any."""
    if not lines:
        return []
    count = "1 line" if lines == 1 else f"{lines:,} lines"
    return [f"The history of this run is damaged: {count} of it cannot be read."]
