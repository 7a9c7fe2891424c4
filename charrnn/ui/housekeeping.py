"""What the page's process removes beside its work, in a thread of its own.

On a hosted page that is what `charrnn.runs.sweeper` removes, once a minute, and what
visitors have uploaded or had packed, an hour after. On one's own computer it is what
killed processes have left, once.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Final

from gradio.utils import get_upload_folder

from charrnn.errors import CharrnnError
from charrnn.hosting import policy
from charrnn.runs import leftovers, store, sweeper
from charrnn.ui import zips

ROUND: Final = 60.0  # seconds


def start() -> None:
    """Begin to clean up; ends with the process."""
    if policy().sweeps:
        threading.Thread(target=_rounds, name="sweeper", daemon=True).start()
    else:
        with contextlib.suppress(CharrnnError):  # no folder: each press will say so
            leftovers.remove_leftovers(store.folder())


def _rounds() -> None:
    since = time.time()
    while True:
        one_round(since=since)
        time.sleep(ROUND)


def one_round(*, since: float, now: float | None = None) -> None:
    """Remove what is over now; what cannot be removed is left for the next round.

    Args:
        since: When the page began to listen for signs of life.
        now: Seconds since the epoch; None takes the clock.
    """
    now = time.time() if now is None else now
    with contextlib.suppress(OSError, CharrnnError):
        sweeper.sweep(since=since, now=now)
    with contextlib.suppress(OSError):
        zips.sweep_zips(now)
    _remove_uploads(Path(get_upload_folder()), now - policy().upload_seconds)


def _remove_uploads(place: Path, oldest: float) -> None:
    """Remove files of a folder that are older, and the folders that are empty then.

    Gradio forgets what it has served when its process is killed.
    """
    for folder, _, names in os.walk(place, topdown=False):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()
        if Path(folder) != place:
            with contextlib.suppress(OSError):  # there is something in it
                Path(folder).rmdir()
