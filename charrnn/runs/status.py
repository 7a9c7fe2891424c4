"""The state of a run, from its folder alone."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn.model import checkpoint
from charrnn.runs.events import Event
from charrnn.runs.history import read_history
from charrnn.runs.store import STOP, find, is_alive

START_GRACE: Final = 4.0  # seconds a spawned trainer may take to hold its lock
LIVE: Final = frozenset({"queued", "running", "stopping"})


@dataclass(frozen=True)
class Status:
    """What there is to say of a run now."""

    run_id: str
    title: str
    state: str  # queued running stopping finished stopped early failed died model
    message: str
    position: int  # runs before it in the queue
    step: int
    planned_steps: int | None
    steps_per_epoch: int
    val_loss: float | None  # the best so far, nats per character
    best_step: int
    chars_per_second: float


DIED = (
    "The training ended without a word: most likely the system ended it because "
    "memory ran out, else it was killed or the computer went off. Resume it; if it "
    "happens again, reduce rnn_units, batch_size or seq_length."
)


def recorded_state(run_id: str, recorded: list[Event] | None = None) -> str:
    """State by the history alone, as if its trainer were alive."""
    for event in reversed(read_history(run_id) if recorded is None else recorded):
        if event["type"] == "ended":
            return str(event.get("reason", "finished"))
        if event["type"] == "failed":
            return "failed"
        if event["type"] in ("started", "resumed"):
            return "running"
        if event["type"] == "queued":
            return "queued"
    return "model"


def state_of(path: Path, recorded: list[Event]) -> str:
    """A run's state now: by its history, its lock and its stop file."""
    state = recorded_state(path.name, recorded)
    if state not in LIVE:
        return state
    if is_alive(path):
        return "stopping" if (path / STOP).exists() else state
    if state == "queued" and time.time() - recorded[-1]["time"] < START_GRACE:
        return state
    # it may have ended between our look at the history and at the lock
    state = recorded_state(path.name)
    return "died" if state in LIVE else state


def read_status(run_id: str) -> Status:
    """The state of a run, from its folder alone.

    Raises:
        CharrnnError: If there is no such run or its record is damaged.
    """
    path = find(run_id)
    record = checkpoint.read_record(path)
    recorded = read_history(run_id)
    state = state_of(path, recorded)
    last: dict[str, Event] = {event["type"]: event for event in recorded}
    begun = last.get("started", {})
    best = [e for e in recorded if e["type"] == "validation" and e.get("best")]
    message = DIED if state == "died" else ""
    if state == "failed":
        message = str(last["failed"].get("message", ""))
    planned = last.get("planned", begun).get("planned_steps")
    return Status(
        run_id=run_id,
        title=record.title,
        state=state,
        message=message,
        position=int(last.get("queued", {}).get("position", 0)),
        step=max((e["step"] for e in recorded), default=0),
        planned_steps=planned,
        steps_per_epoch=int(begun.get("steps_per_epoch", 0)),
        val_loss=best[-1]["val_loss"] if best else None,
        best_step=best[-1]["step"] if best else 0,
        chars_per_second=float(last.get("step", {}).get("chars_per_second", 0.0)),
    )
