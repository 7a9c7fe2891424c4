"""A run's history as the page needs it: numbers to draw, samples, progress.

The history is read on, not read again: a view remembers how many events it
has taken in and adds the new ones. Only when earlier events were taken back
(a resume) or the file is another one does it begin anew.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from charrnn.runs import events, store
from charrnn.runs.history import read_history

MAX_VIEWS: Final = 32
MAX_SAMPLES: Final = 200
RISING: Final = 3  # validations in a row above the best: it memorises


@dataclass
class RunView:
    """What a run's events amount to; losses in nats per character."""

    taken: int = 0  # events taken in
    last: events.Event | None = None
    steps: "array[int]" = field(default_factory=lambda: array("q"))
    losses: "array[float]" = field(default_factory=lambda: array("d"))
    val_steps: "array[int]" = field(default_factory=lambda: array("q"))
    val_losses: "array[float]" = field(default_factory=lambda: array("d"))
    samples: list[events.Event] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    floor: float | None = None
    started: events.Event | None = None
    latest: dict[str, events.Event] = field(default_factory=dict)

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and loss of the best validation so far."""
        if not self.val_losses:
            return None
        index = min(range(len(self.val_losses)), key=self.val_losses.__getitem__)
        return self.val_steps[index], self.val_losses[index]

    @property
    def rising(self) -> bool:
        """Whether the last validations were all worse than the best one."""
        best = self.best
        after = [s for s in self.val_steps if best is not None and s > best[0]]
        return len(after) >= RISING

    @property
    def planned_steps(self) -> int | None:
        """Steps in all, as last recorded; None while it is being measured."""
        for kind in ("planned", "started"):
            value = self.latest.get(kind, {}).get("planned_steps")
            if isinstance(value, int):
                return value
        return None

    def take(self, event: events.Event) -> None:
        """Add one event; a field that is missing or odd is passed over."""
        kind = event["type"]
        self.latest[kind] = event
        if kind == "step" and _is_number(event.get("loss")):
            self.steps.append(event["step"])
            self.losses.append(event["loss"])
        elif kind == "validation" and _is_number(event.get("val_loss")):
            self.val_steps.append(event["step"])
            self.val_losses.append(event["val_loss"])
        elif kind == "sample" and isinstance(event.get("text"), str):
            self.samples.append(event)
            del self.samples[:-MAX_SAMPLES]
        elif kind == "floor" and _is_number(event.get("loss")):
            self.floor = float(event["loss"])
        elif kind == "notice" and isinstance(event.get("message"), str):
            self.notices.append(event["message"])

    def follow(self, recorded: Sequence[events.Event]) -> bool:
        """Take in what is new; False if this view does not fit any more."""
        if self.taken > len(recorded):
            return False
        if self.taken and recorded[self.taken - 1] is not self.last:
            return False
        for event in recorded[self.taken :]:
            self.take(event)
        self.taken = len(recorded)
        self.last = recorded[-1] if recorded else None
        return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def view_of(recorded: Sequence[events.Event]) -> RunView:
    """A view of some events."""
    view = RunView()
    view.follow(recorded)
    return view


class Views:
    """The views of the runs that are being watched, the least recent dropped."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, RunView] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run_id: str) -> RunView:
        """A run's view, up to date.

        Raises:
            CharrnnError: If there is no such run.
        """
        recorded = read_history(run_id)
        key = str(store.find(run_id))
        with self._lock:
            view = self._views.get(key)
            if view is None or not view.follow(recorded):
                view = view_of(recorded)
                self._views[key] = view
            self._views.move_to_end(key)
            while len(self._views) > MAX_VIEWS:
                self._views.popitem(last=False)
            return view
