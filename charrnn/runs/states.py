"""The states of a run, and what may follow which.

    queued --> running --> finished | early | stopped | failed
                  |  `---> stopping --> stopped
                  `------> died          (no event: the lock is free, that is all)

`stopped`, `failed` and `died` are resumed; `finished` and `early` are continued
for more epochs; either way the run is `queued` or `running` again. `model` has
no history: it was pulled or came with the program. `unreadable` has one that
cannot be read now.
"""

from enum import StrEnum
from typing import Final


class EndReason(StrEnum):
    """Why a training ended well, as an `ended` event records it."""

    FINISHED = "finished"  # the planned steps were made
    STOPPED = "stopped"  # a person asked for the end
    EARLY = "early"  # validation had stopped improving


class RunState(StrEnum):
    """How a run stands now."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = EndReason.FINISHED.value
    STOPPED = EndReason.STOPPED.value
    EARLY = EndReason.EARLY.value
    FAILED = "failed"
    DIED = "died"
    MODEL = "model"
    UNREADABLE = "unreadable"


LIVE: Final = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.STOPPING})
COMPLETE: Final = frozenset({RunState.FINISHED, RunState.EARLY})
RESUMABLE: Final = frozenset({RunState.STOPPED, RunState.FAILED, RunState.DIED})
