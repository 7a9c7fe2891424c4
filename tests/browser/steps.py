"""What the browser's tests do with a page again and again."""

import contextlib
import dataclasses
import os
import signal
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from charrnn.runs import events, store
from charrnn.runs.events import EventLog
from tests.builders import make_event, make_folder, make_record

EVIL = "<img src=x onerror=alert(1)>${alert(2)}`{{value}}`"
TEXT = "The quick brown fox jumps over the lazy dog and sleeps.\n" * 150
TINY = {"rnn_units": 16, "embedding_dim": 8, "batch_size": 4, "seq_length": 20}
DONE = ":not(.after-stop) > .status a"  # the link under what is written to its end
TRAIN_TAB, HUB_TAB = 1, 3
TOY = "?model=toy"  # writes at once, where any model serves
MOST = 0.05  # cumulative layout shift, of `WATCH`

WATCH = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) window.shifts.push({
      value: e.value, moved: e.sources.map(s => [
        s.node?.id || s.node?.parentElement?.id || s.node?.className,
        s.previousRect.y, s.currentRect.y,
        s.previousRect.height, s.currentRect.height]) });
  }).observe({ type: "layout-shift" });
}"""


def written(page: Any) -> list[str]:
    """What stands in the four columns, prompt included."""
    columns = page.locator("#columns .written")
    return [columns.nth(i).inner_text() for i in range(columns.count())]


def finish(page: Any) -> None:
    """Wait until the writing is over."""
    page.locator(f"#writing-status {DONE}").wait_for()


def compare(page: Any) -> list[str]:
    """Press Compare; the texts once they are written, not those of before."""
    before = """() => document.querySelectorAll("#writing-status a")
      .forEach((link) => link.setAttribute("data-before", ""))"""
    page.evaluate(before)
    page.locator("#compare").click()
    page.locator(f"#writing-status {DONE}:not([data-before])").wait_for()
    return written(page)


def open_settings(page: Any, accordion: str) -> None:
    page.locator(f"#{accordion} button").first.click()


def fill(page: Any, setting: str, value: Any) -> None:
    page.locator(f"#set-{setting} input").fill(str(value))


def paste_and_shrink(page: Any, text: str, **settings: Any) -> None:
    """The Train tab with a pasted text and a network that learns in seconds."""
    page.get_by_role("tab").nth(TRAIN_TAB).click()
    page.locator("#source input[value=paste]").check()
    page.locator("#pasted textarea").fill(text)
    page.locator("#facts .facts").wait_for()
    open_settings(page, "advanced")
    for name, value in {**TINY, **settings}.items():
        fill(page, name, value)


def run_of(page: Any) -> str:
    """The id of the run that is followed, out of its link."""
    href = page.locator("#run-head button").get_attribute("data-href")
    return urllib.parse.parse_qs(href.removeprefix("?"))["run"][0]


def make_run(
    folder: Path,
    model_id: str,
    title: str = EVIL,
    validated: Sequence[int] = (50, 100),
) -> None:
    """A finished run of 100 steps, its texts as hostile as can be."""
    record = make_record(title=title)
    figures = dataclasses.replace(record.figures, kept_step=100, total_steps=100)
    path = make_folder(folder / model_id, dataclasses.replace(record, figures=figures))
    (path / store.STATE).mkdir()
    (path / store.STATE / store.CORPUS_FILE).write_text("a text\n")
    log = EventLog(path)
    log.append(make_event("started", 0, planned_steps=100, steps_per_epoch=10))
    log.append(make_event("notice", 0, message=EVIL))
    for step in range(1, 101):
        log.append(make_event("step", step, loss=4 - step / 50))
    for step in validated:
        log.append(make_event("validation", step, val_loss=3 - step / 100, best=True))
    log.append(make_event("sample", 100, temperature=0.8, prompt=EVIL, text=EVIL))
    log.append(make_event("baseline", 100, order=5, loss=1.7))
    log.append(make_event("ended", 100, reason="finished"))


@contextlib.contextmanager
def standing_still(run: Path) -> Iterator[None]:
    """Let a run's trainer, which is at work, do nothing: it stays where it is."""
    pids = [event.pid for event in events.read(run).events if event.type == "started"]
    os.kill(pids[-1], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pids[-1], signal.SIGCONT)


def shift(page: Any) -> float:
    """How far things have moved since `WATCH`, those after a press included."""
    page.wait_for_timeout(300)
    shifts = page.evaluate("() => window.shifts")
    for one in shifts:
        print(one)  # noqa: T201  shown where the test fails
    return sum(one["value"] for one in shifts)


class Held:
    """A page whose handlers are not answered until they are let go.

    Args:
        page: Not opened yet.
    """

    def __init__(self, page: Any) -> None:
        self.routes: list[Any] = []
        self._page = page
        self._holding = True
        page.route("**/run/predict*", self._take)

    def _take(self, route: Any) -> None:
        if self._holding:
            self.routes.append(route)
        else:
            route.continue_()

    def until_one(self) -> None:
        """Wait until the page has asked for something."""
        while not self.routes:
            self._page.wait_for_timeout(50)

    def let_go(self) -> None:
        """Let everything pass, what was held first."""
        self._holding = False
        for route in self.routes:
            route.continue_()
