"""Whose turn it is: the requests that advance in a pass, fair between visitors.

Every visitor with work has a request advanced before any has another one, the
visitors of one address as many in a pass as `VISITORS_PER_ADDRESS`; a visitor's own
requests take turns. A visitor who is alone has all active ones advanced together,
which costs less a text.
"""

import collections
from typing import Final

from charrnn.hosting import VISITORS_PER_ADDRESS, Visitor
from charrnn.model.request import Request

MAX_ACTIVE: Final = 4  # requests of a visitor that take turns; further ones wait
MAX_PASS_ROWS: Final = 256  # texts that advance together


class _Line:
    """One visitor's requests, in the order in which they came or take turns."""

    def __init__(self) -> None:
        self.active: collections.deque[Request] = collections.deque()
        self.waiting: collections.deque[Request] = collections.deque()

    def take(self, *, everything: bool) -> list[Request]:
        """Those whose turn it is now; they are last the next time."""
        ready = [request for request in self.active if request.ready]
        chosen = ready if everything else ready[:1]
        for request in chosen:
            self.active.remove(request)
            self.active.append(request)
        return chosen


class Turns:
    """All requests of all visitors; for one thread at a time."""

    def __init__(self) -> None:
        self._lines: collections.OrderedDict[Visitor, _Line] = collections.OrderedDict()

    def __len__(self) -> int:
        return sum(
            len(line.active) + len(line.waiting) for line in self._lines.values()
        )

    def requests(self) -> list[Request]:
        """All of them."""
        lines = self._lines.values()
        return [r for line in lines for r in (*line.active, *line.waiting)]

    def add(self, request: Request) -> None:
        """Have a request wait behind its visitor's others."""
        self._lines.setdefault(request.visitor, _Line()).waiting.append(request)

    def admit(self) -> list[Request]:
        """Make waiting requests active where there is a place; returns them."""
        admitted = []
        for line in self._lines.values():
            while line.waiting and len(line.active) < MAX_ACTIVE:
                request = line.waiting.popleft()
                line.active.append(request)
                admitted.append(request)
        return admitted

    def remove_done(self) -> list[Request]:
        """Forget the requests that are done; returns them."""
        done = [request for request in self.requests() if request.done]
        for request in done:
            line = self._lines[request.visitor]
            (line.active if request in line.active else line.waiting).remove(request)
            if not line.active and not line.waiting:
                del self._lines[request.visitor]
        return done

    def choose(self) -> list[Request]:
        """The requests that advance now; whoever is left out is first next time."""
        ready = [
            v for v, line in self._lines.items() if any(r.ready for r in line.active)
        ]
        chosen: list[Request] = []
        served: collections.Counter[str] = collections.Counter()
        rows = 0
        for visitor in ready:
            if served[visitor.address] == VISITORS_PER_ADDRESS:
                continue
            if rows >= MAX_PASS_ROWS:
                break
            requests = self._lines[visitor].take(everything=len(ready) == 1)
            self._lines.move_to_end(visitor)
            served[visitor.address] += 1
            rows += sum(request.num_rows for request in requests)
            chosen += requests
        return chosen
