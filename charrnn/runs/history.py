"""A run's events as they count now, read on from where the last look ended."""

import threading
from collections import OrderedDict
from pathlib import Path

from charrnn.runs import events
from charrnn.runs.events import Event
from charrnn.runs.store import find


class _History:
    """A run's events as they count now, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.identity: tuple[int, int] | None = None
        self.events: list[Event] = []
        self.lock = threading.Lock()

    def update(self) -> list[Event]:
        with self.lock:
            try:
                stat = (self.path / events.FILE_NAME).stat()
            except OSError:
                self.events, self.offset = [], 0
                return []
            identity = (stat.st_dev, stat.st_ino)
            if identity != self.identity or stat.st_size < self.offset:
                self.identity, self.offset, self.events = identity, 0, []
            while True:
                more, following = events.read(self.path, self.offset)
                if following == self.offset:
                    return list(self.events)
                self.offset = following
                rewound = any(e["type"] == "resumed" for e in more)
                joined = self.events + more
                self.events = events.effective(joined) if rewound else joined


histories: OrderedDict[Path, _History] = OrderedDict()
histories_lock = threading.Lock()


def read_history(run_id: str) -> list[Event]:
    """A run's events without what was taken back; cheap to ask again."""
    path = find(run_id).resolve()
    with histories_lock:
        entry = histories.setdefault(path, _History(path))
        histories.move_to_end(path)
        while len(histories) > 64:
            histories.popitem(last=False)
    return entry.update()


def last_step(run_id: str) -> int:
    """The last step that a run's history tells of."""
    return max((e["step"] for e in read_history(run_id)), default=0)
