"""What TensorFlow is not told by its own settings: its chatter, and its memory."""

import contextlib
import ctypes
import os
import platform
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


M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h


def keep_memory() -> None:
    """Have this process keep the memory that each training step frees.

    glibc hands large blocks back to the system at once and gets them anew, page by
    page, zeroed: at 1024 units 34,000 page faults a step, an eighth of its time.
    Elsewhere this does nothing. What a text's loading needed should be freed before.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
