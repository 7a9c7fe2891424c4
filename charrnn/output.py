"""The trainer's own output: into a file, without folders and access tokens."""

import atexit
import contextlib
import os
import re
import sys
import threading
from pathlib import Path
from typing import Final

LOG: Final = "train.log"
LOG_LIMIT: Final = 1_000_000  # bytes of train.log

_PATH = re.compile(r"(?<![\w.])(?:/[\w.+@ -]+?)+/(?=[\w.])")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{4,}")


def strip_line(line: str) -> str:
    """Take folders and access tokens out of a line of output."""
    return _PATH.sub("", _TOKEN.sub("hf_***", line))


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
                data = strip_line(line).encode("utf-8", "replace")
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
