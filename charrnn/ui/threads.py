"""Threads of this process: how many make pages, and some that answer short questions.

Python runs one thread at a time. With the 40 that the server takes by default for
pages and files, whoever has a page open waits for all who open one at that moment.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
from anyio.lowlevel import RunVar

_T = TypeVar("_T")
PAGES_AT_ONCE: Final = 2


def bound_pages() -> None:
    """Bound what the running server makes at once; from its event loop."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = PAGES_AT_ONCE


class Threads:
    """A few threads, which nothing else takes.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        # of each event loop, none of which runs yet
        self._limiter: RunVar[anyio.CapacityLimiter | None] = RunVar("threads", None)

    async def run(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call a function in one of them, and wait for what it returns."""
        limiter = self._limiter.get() or anyio.CapacityLimiter(self._count)
        self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(function, *arguments, limiter=limiter)
