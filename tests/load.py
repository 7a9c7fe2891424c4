"""Simulated visitors of a page: HTTP clients that do what a browser's page does."""

import asyncio
import contextlib
import html
import json
import random
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from tests.builders import form_of

API = "gradio_api"
LENGTH = 400
NO_VALUE = "__type__"  # of an output that keeps what it shows
TRAINERS = {"train", "baseline"}  # commands of processes that are not the page's


@dataclass
class Measured:
    """What visitors met: seconds and bytes."""

    polls: list[float] = field(default_factory=list)
    first_characters: list[float] = field(default_factory=list)
    four_texts: list[float] = field(default_factory=list)
    bars: list[float] = field(default_factory=list)  # of what may come next
    memory: list[int] = field(default_factory=list)  # while they were there
    memory_after: int = 0
    processor: float = 0.0  # seconds that the page's processes computed

    def table(self) -> dict[str, float]:
        """What is reported: counts, seconds, and megabytes."""
        return {
            "polls": len(self.polls),
            "poll, median": float(np.median(self.polls)),
            "poll, 95th percentile": percentile(self.polls),
            "comparisons": len(self.four_texts),
            "first characters, 95th percentile": percentile(self.first_characters),
            "four texts, 95th percentile": percentile(self.four_texts),
            "processor of the page": self.processor,
            "memory, MB": max(self.memory) / 1e6,
            "memory after, MB": self.memory_after / 1e6,
        }


def percentile(seconds: list[float]) -> float:
    """The 95th."""
    return float(np.percentile(seconds, 95))


def _processes(page: psutil.Process) -> list[psutil.Process]:
    """A page and its helpers, without trainers."""
    found = []
    for process in (page, *page.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            if not TRAINERS.intersection(process.cmdline()):
                found.append(process)
    return found


def memory(page: psutil.Process) -> int:
    """Proportional set size of a page and its helpers, in bytes."""
    total = 0
    for process in _processes(page):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            pss = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
            total += 1024 * int(pss[1]) if pss else 0
    return total


def processor(page: psutil.Process) -> float:
    """Seconds that a page and its helpers have computed."""
    times = [process.cpu_times() for process in _processes(page)]
    return sum(time.user + time.system for time in times)


@dataclass(frozen=True)
class Stay:
    """How long visitors stay and how often they compare; all in seconds."""

    seconds: float
    first: float  # within which each compares first
    pause: tuple[float, float]  # shortest and longest, from beginning to beginning


class Site:
    """A page as a visitor reaches it."""

    def __init__(
        self, url: str, client: httpx.AsyncClient, config: dict[str, Any]
    ) -> None:
        self.url = url
        self.client = client
        self.config = config
        self._functions = {fn["api_name"]: fn["id"] for fn in config["dependencies"]}

    def body(self, session: str, name: str, data: list[Any]) -> dict[str, Any]:
        return {
            "data": data,
            "fn_index": self._functions[name],
            "session_hash": session,
            "event_data": None,
            "trigger_id": None,
        }

    async def run(self, session: str, name: str, *data: Any) -> list[Any]:
        """Call a function that does not queue."""
        answer = await self.client.post(
            f"{self.url}{API}/run/predict", json=self.body(session, name, [*data])
        )
        answer.raise_for_status()
        values: list[Any] = answer.json()["data"]
        return values

    async def stream(
        self, session: str, name: str, *data: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Call a function that queues; its messages as they come."""
        joined = await self.client.post(
            f"{self.url}{API}/queue/join", json=self.body(session, name, [*data])
        )
        joined.raise_for_status()
        address = f"{self.url}{API}/queue/data?session_hash={session}"
        async with self.client.stream("GET", address) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    message = json.loads(line.removeprefix("data: "))
                    if message["msg"] == "close_stream":
                        return
                    yield message


class Visitor:
    """Someone who follows a run and compares temperatures."""

    def __init__(self, site: Site, number: int, run: str, measured: Measured) -> None:
        self.site = site
        self.run = run
        self.measured = measured
        self.rng = random.Random(number)
        self.session = f"visitor{number}"
        self.seen = ""
        self.frame_key: Any = None

    async def open(self) -> None:
        """Open the page."""
        answer = await self.site.client.get(self.site.url)
        answer.raise_for_status()
        browser = {"run": self.run, "held": []}
        await self.site.run(self.session, "opened", "", browser, True)  # Generate
        await self.site.run(self.session, "opened_1", browser)  # Train

    async def poll(self) -> None:
        """Ask whether anything is new of the run, and fetch it."""
        answer = await self.site.client.get(
            f"{self.site.url}charrnn/poll",
            params={"run": self.run, "seen": self.seen},
        )
        if answer.status_code == 204:
            return
        plot = [], "nats"  # what is laid over it, and the unit
        values = await self.site.run(
            self.session, "tick", self.run, self.frame_key, *plot
        )
        self.seen = answer.raise_for_status().json()["token"]
        key, redraw = values[:2]
        if isinstance(redraw, str):
            browser = {"run": self.run, "held": [self.run]}
            shown = await self.site.run(
                self.session, "redrawn", self.run, browser, *plot
            )
            key = shown[1]
        if NO_VALUE not in key:
            self.frame_key = key

    async def compare(self) -> None:
        """Write four texts, and measure how long they took."""
        changed = {"model": "shakespeare", "prompt": "ROMEO:", "length": LENGTH}
        form = form_of(self.site.config, "compare_1", changed)
        started, first = time.monotonic(), None
        async for message in self.site.stream(self.session, "compare_1", *form):
            if first is None and '["append"' in json.dumps(
                message, separators=(",", ":")
            ):
                first = time.monotonic() - started
            if message["msg"] == "process_completed":
                assert message["success"], message
                cards = message["output"]["data"][2:6]
                assert all(len(text_of(card)) >= LENGTH for card in cards), cards
        assert first is not None
        self.measured.first_characters.append(first)
        self.measured.four_texts.append(time.monotonic() - started)

    async def poll_often(self, seconds: float) -> None:
        """Poll each two seconds, as a hosted page does."""
        until = time.monotonic() + seconds
        await asyncio.sleep(self.rng.uniform(0, 2))
        while time.monotonic() < until:
            started = time.monotonic()
            await self.poll()
            self.measured.polls.append(time.monotonic() - started)
            await asyncio.sleep(max(0.0, 2 - (time.monotonic() - started)))

    async def compare_often(self, stay: Stay) -> None:
        """Compare again and again, each time a pause after the last began."""
        until = time.monotonic() + stay.seconds
        following = time.monotonic() + self.rng.uniform(0, stay.first)
        while following < until:
            await asyncio.sleep(max(0.0, following - time.monotonic()))
            await self.compare()
            following += self.rng.uniform(*stay.pause)

    async def type_on(self, prompt: str) -> None:
        """Type a prompt, as fast as people do, and see the bars for each character."""
        for end in range(1, len(prompt) + 1):
            asked = {"model": "shakespeare", "prompt": prompt[:end]}
            asked["session"] = self.session
            started, wait = time.monotonic(), 0.0
            while wait is not None:  # asks again, as the page does
                await asyncio.sleep(wait)
                answer = await self.site.client.post(
                    f"{self.site.url}charrnn/next", json=asked
                )
                wait = answer.json().get("wait")
            assert "logits" in answer.json(), answer.text
            self.measured.bars.append(time.monotonic() - started)
            await asyncio.sleep(0.4)


async def lesson(url: str, pupils: int) -> Measured:
    """What pupils behind one address met who all compare and type at once."""
    config = httpx.get(f"{url}config").json()
    measured = Measured()
    async with contextlib.AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        for number in range(pupils):
            client = await clients.enter_async_context(httpx.AsyncClient(timeout=120))
            visitor = Visitor(Site(url, client, config), number, "", measured)
            await visitor.open()
            group.create_task(visitor.compare())
            group.create_task(visitor.type_on("ROMEO: to be"))
    return measured


def text_of(card: str) -> str:
    """What stands written in a column."""
    return html.unescape(re.sub(r"<[^>]*>", "", card.partition('class="written')[2]))


async def visit(url: str, page: psutil.Process, run: str, stay: Stay) -> Measured:
    """50 visitors who follow a run, and what they met.

    Args:
        url: Address of the page.
        page: Its process.
        run: Id of a run that trains.
        stay: What they do.
    """
    config = httpx.get(f"{url}config").json()
    measured, before = Measured(), processor(page)
    watch = asyncio.create_task(_watch(page, measured))
    async with contextlib.AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        for number in range(50):
            # each at an address of its own, since an address has limits
            transport = httpx.AsyncHTTPTransport(local_address=f"127.0.1.{number + 1}")
            client = httpx.AsyncClient(transport=transport, timeout=120)
            site = Site(url, await clients.enter_async_context(client), config)
            visitor = Visitor(site, number, run, measured)
            await visitor.open()
            group.create_task(visitor.poll_often(stay.seconds))
            group.create_task(visitor.compare_often(stay))
    watch.cancel()
    measured.processor = processor(page) - before
    return measured


async def _watch(page: psutil.Process, measured: Measured) -> None:
    while True:
        measured.memory.append(memory(page))
        await asyncio.sleep(2)
