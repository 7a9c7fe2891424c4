"""The trainer's process: a quiet start, memory that stays, output into a file.

What is written to the file has no names of folders and no access tokens. Nothing
here imports TensorFlow.
"""

import atexit
import contextlib
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from charrnn.files import redact
from charrnn.hosting import policy, training_threads
from charrnn.machine import has_gpu

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
LOG: Final = "train.log"
LOG_LIMIT: Final = 1_000_000  # bytes of train.log


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """A context in which to import TensorFlow, or to start a process that does.

    What it prints about missing CUDA drivers is dropped; where there is no card it
    is also kept from looking for one. Afterwards it prints fatal errors alone: its
    lines of lower levels ("E0000 ... oneDNN supports DT_UINT8 only on ...", "Error
    occurred when finalizing GeneratorDataset iterator") look like failures and are
    none, and what does fail raises an exception. A `TF_CPP_MIN_LOG_LEVEL` that is
    set already holds. Where several trainings may run at once, TensorFlow is given a
    training's share of the cores.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read during the import
    if not has_gpu():
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if policy().at_once > 1:  # else it takes every core
        for kind in ("INTRAOP", "INTEROP"):
            os.environ.setdefault(f"TF_NUM_{kind}_THREADS", str(training_threads()))
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
        if "tensorflow" in sys.modules:  # it prints at the first look for devices
            sys.modules["tensorflow"].config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def keep_memory() -> None:
    """Have this process keep the memory that each training step frees.

    glibc hands large blocks back to the system at once and gets them anew, page by
    page, zeroed: an eighth of a large step's time. Elsewhere this does nothing. Free
    what loading the text needed before.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def capture_output(path: Path) -> None:
    """Send this process' standard output and error to `train.log`, stripped.

    The file is kept under 1 MB: beyond that, output is dropped.
    """
    read_end, write_end = os.pipe()
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)
    os.close(write_end)

    def pump() -> None:
        log = path / LOG
        with os.fdopen(read_end, "r", errors="replace") as source:
            for line in source:  # to the end: a pipe nobody reads would block us
                data = redact(line).encode("utf-8", "replace")
                with contextlib.suppress(OSError), log.open("ab") as target:
                    if target.tell() + len(data) < LOG_LIMIT:
                        target.write(data)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()

    def finish() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):  # the pipe's last ends: the pump reads on to here
            os.dup2(nowhere, descriptor)
        thread.join(timeout=5)

    atexit.register(finish)
