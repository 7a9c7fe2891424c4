"""Views of the runs that are being watched, read on from where the last look ended."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from charrnn.runs import events
from charrnn.runs.view import Reducer, RunView

MAX_FOLLOWED: Final = 64  # runs whose views are kept, the least recent dropped


class _Follower:
    """A run's history, read as far as it has been written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.identity: tuple[int, int] | None = None
        self.offset = 0
        self.reducer = Reducer()

    def look(self) -> RunView:
        with self.lock:
            try:
                stat = (self.path / events.FILE_NAME).stat()
            except OSError:  # no history; reading says what else is wrong
                self._begin(None)
            else:
                identity = (stat.st_dev, stat.st_ino)
                if identity != self.identity or stat.st_size < self.offset:
                    self._begin(identity)
                if stat.st_size == self.offset:
                    return self.reducer.view()
            self._read_on()
            return self.reducer.view()

    def _begin(self, identity: tuple[int, int] | None) -> None:
        self.identity, self.offset, self.reducer = identity, 0, Reducer()

    def _read_on(self) -> None:
        while True:
            part = events.read(self.path, self.offset)
            self.reducer.count_damaged(part.damaged)
            for event in part.events:
                self.reducer.take(event)
            if part.next == self.offset:
                return
            self.offset = part.next


_followers: OrderedDict[Path, _Follower] = OrderedDict()
_lock = threading.Lock()


def read_view(path: Path) -> RunView:
    """What the history in a run's folder amounts to; cheap to ask again.

    Raises:
        CheckpointError: If there is a history that cannot be read.
    """
    key = path.resolve()
    with _lock:
        follower = _followers.setdefault(key, _Follower(key))
        _followers.move_to_end(key)
        while len(_followers) > MAX_FOLLOWED:
            _followers.popitem(last=False)
    return follower.look()


def forget(path: Path) -> None:
    """Drop what is kept of a run that is deleted."""
    with _lock:
        _followers.pop(path.resolve(), None)
