"""The state of a run, from its folder alone: history, lock and stop file."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn.errors import CheckpointError
from charrnn.model import checkpoint
from charrnn.runs.history import read_view
from charrnn.runs.states import LIVE, RunState
from charrnn.runs.store import STOP, find, is_alive
from charrnn.runs.view import RunView

START_GRACE: Final = 4.0  # seconds a spawned trainer may take to hold its lock

DIED = (
    "The training ended without a word: most likely the system ended it because "
    "memory ran out, else it was killed or the computer went off. Resume it; if it "
    "happens again, reduce rnn_units, batch_size or seq_length."
)


@dataclass(frozen=True)
class Situation:
    """How a run stands now, and what its history tells."""

    state: RunState
    message: str  # why it failed, died or cannot be read; else empty
    view: RunView


@dataclass(frozen=True)
class Status(Situation):
    """The same with the names that people see."""

    run_id: str
    title: str


def look_at(path: Path) -> Situation:
    """How the run in a folder stands now; one without a history is a model."""
    try:
        view = read_view(path)
        state = _state_now(path, view)
        if state not in LIVE and view.state in LIVE:
            view = read_view(path)  # it may have ended between our two looks
            state = RunState.DIED if view.state in LIVE else view.state
    except CheckpointError as error:
        return Situation(RunState.UNREADABLE, str(error), RunView())
    messages = {RunState.DIED: DIED, RunState.FAILED: view.message}
    return Situation(state, messages.get(state, ""), view)


def _state_now(path: Path, view: RunView) -> RunState:
    """The recorded state, corrected by the lock and the stop file."""
    if view.state not in LIVE:
        return view.state
    if is_alive(path):
        return RunState.STOPPING if (path / STOP).exists() else view.state
    waiting = view.state is RunState.QUEUED and view.queued is not None
    # either way: a clock that was set back must not make the grace endless
    if waiting and abs(time.time() - (view.queued or 0.0)) < START_GRACE:
        return view.state
    return RunState.DIED


def read_status(run_id: str) -> Status:
    """How a run stands now, from its folder alone.

    Raises:
        CharrnnError: If there is no such run or its record is damaged.
    """
    return status_of(find(run_id))


def status_of(path: Path) -> Status:
    """The same for a folder, wherever it lies.

    Raises:
        CharrnnError: If its record is damaged.
    """
    record = checkpoint.read_record(path)
    now = look_at(path)
    return Status(now.state, now.message, now.view, path.name, record.title)
