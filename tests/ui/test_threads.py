"""Whoever has a page open does not wait for those who open one."""

import asyncio
import threading

import anyio
from starlette.concurrency import run_in_threadpool

from charrnn.ui import threads


def test_short_questions_are_answered_while_all_pages_wait():
    go_on = threading.Event()

    async def ask() -> tuple[int, str, int]:
        threads.bound_pages()
        taken = anyio.to_thread.current_default_thread_limiter()
        pages = [asyncio.create_task(run_in_threadpool(go_on.wait)) for _ in range(9)]
        while taken.borrowed_tokens < taken.total_tokens:
            await asyncio.sleep(0.01)
        few = threads.Threads(1)
        answers = [await few.run(str.upper, word) for word in ("a", "b")]
        waiting = taken.statistics().tasks_waiting
        go_on.set()
        await asyncio.gather(*pages)
        return int(taken.total_tokens), "".join(answers), waiting

    for _ in range(2):  # in another loop as well
        go_on.clear()
        made = threads.PAGES_AT_ONCE
        assert asyncio.run(ask()) == (made, "AB", 9 - made)


def test_they_are_so_many():
    running, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.02)
        with lock:
            running[0] -= 1

    async def all_at_once() -> None:
        few = threads.Threads(2)
        await asyncio.gather(*(few.run(work) for _ in range(8)))

    asyncio.run(all_at_once())
    assert most[0] <= 2
