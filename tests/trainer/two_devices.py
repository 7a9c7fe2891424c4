"""Train runs in a process whose processor is divided into two devices.

    python -m tests.trainer.two_devices STEP FOLDER=DEVICES [FOLDER=DEVICES ...]

Each is stopped after the step and has an event for each step's loss. TensorFlow takes
the division only before it has done anything else.
"""

import sys
from pathlib import Path

import tensorflow as tf

processor = tf.config.list_physical_devices("CPU")[0]
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(processor, [half, half])

from charrnn.errors import TrainingError  # noqa: E402 after the division
from charrnn.runs import store  # noqa: E402
from charrnn.runs.events import Event  # noqa: E402
from charrnn.trainer import callbacks, train  # noqa: E402

callbacks.EVENT_SECONDS = 0.0


def train_to(step: int, folder: Path, devices: int) -> None:
    """Ask for the end while the step is recorded: the trainer sees it in that step."""

    def stop(event: Event) -> None:
        if event.type == "step" and event.step == step:
            (folder / store.STOP).write_bytes(b"")

    try:
        train.train(folder, listener=stop, devices=devices)
    except TrainingError as error:
        sys.stdout.write(f"{folder.name}: {error.invalid} {error}\n")


if __name__ == "__main__":
    for argument in sys.argv[2:]:
        name, _, count = argument.rpartition("=")
        train_to(int(sys.argv[1]), Path(name), int(count))
