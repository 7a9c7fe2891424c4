"""Start TensorFlow without the lines it writes past every log setting."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def has_gpu() -> bool:
    """Whether an NVIDIA driver shows a card, told without TensorFlow."""
    cards = Path("/proc/driver/nvidia/gpus")
    return cards.is_dir() and any(cards.iterdir())


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Import TensorFlow, or start a process that does, inside this.

    What it says tells of CUDA drivers; where there is no card it is also kept
    from asking for one.
    """
    if not has_gpu():
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
        if "tensorflow" in sys.modules:  # the first look for devices talks too
            sys.modules["tensorflow"].config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
