"""Run `charrnn` as one worker that does something itself after a step.

    python -m tests.trainer.worker die 35 train --corpus sea.txt --workers ...

``die``: the training's process kills itself; ``stop``: it asks for the end, which the
chief sees in that step if the workers meet after it, as they do after each step that
validates or leaves a snapshot; ``rate``: it asks for half the learning rate. Each step
of the chief has an event.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from charrnn.cli import workers
from charrnn.cli.parser import main
from charrnn.files import write_file
from charrnn.runs import store
from charrnn.runs.events import Event, EventLog
from charrnn.trainer.process import quiet_start


def act(action: str, folder: Path | None) -> None:
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif folder is not None and action == "stop":
        write_file(folder / store.STOP, b"")
    elif folder is not None and action == "rate":
        write_file(folder / store.LEARNING_RATE, b"0.5")


def act_after(step: int, action: str) -> None:
    """Have the chief act when it records a step, another worker when it has made it."""
    append = EventLog.append

    def append_and_act(log: EventLog, event: Event) -> Event:
        event = append(log, event)
        if event.type == "step" and event.step == step:
            act(action, log.path.parent)
        return event

    EventLog.append = append_and_act  # type: ignore[method-assign]
    if not any(argument.startswith("--report") for argument in sys.argv):
        return  # the parent, which needs no TensorFlow
    with quiet_start():
        from charrnn.trainer import callbacks
        from charrnn.trainer.follow import Follow

    callbacks.EVENT_SECONDS = 0.0
    end = Follow.on_train_batch_end

    def end_and_act(follow: Follow, batch: int, logs: Any = None) -> None:
        end(follow, batch, logs)
        if follow.step == step:
            act(action, None)

    Follow.on_train_batch_end = end_and_act  # type: ignore[method-assign]


if __name__ == "__main__":
    workers.COMMAND = ("-m", "tests.trainer.worker", *sys.argv[1:3])  # type: ignore[misc]
    act_after(int(sys.argv[2]), sys.argv[1])
    sys.exit(main(sys.argv[3:]))
