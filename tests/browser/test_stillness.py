"""Nothing jumps while the page is at work."""

import itertools
import math
from typing import Any

import pytest

from charrnn.files import write_file
from charrnn.runs import events, store
from tests.browser.steps import (
    MOST,
    TEXT,
    TOY,
    WATCH,
    compare,
    paste_and_shrink,
    run_of,
    shift,
)
from tests.builders import held_queue, waiting_run

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect


def test_nothing_jumps_during_a_compare(served, visit):
    page = visit(viewport={"width": 1280, "height": 800}).open(served.url + TOY)
    page.locator("#prompt textarea").fill("the sea é")
    compare_and_watch(page, begins_above=800)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#prompt textarea").fill("the sea")
    compare_and_watch(page)


def compare_and_watch(page: Any, begins_above: float = math.inf) -> None:
    page.wait_for_timeout(500)
    page.evaluate(WATCH)
    for _ in range(2):
        compare(page)
    assert shift(page) < MOST
    top = page.locator("#card-0 .written").bounding_box()["y"]
    assert top + 30 < begins_above  # what is written begins in view
    page.locator("#draw-curve").scroll_into_view_if_needed()
    page.evaluate("window.shifts = []")
    for _ in range(2):  # where nothing stood, and over the last one
        page.locator("#draw-curve").click()
        page.wait_for_timeout(300)
        page.locator("#curve .verdict").wait_for()
    assert shift(page) < MOST


@pytest.mark.parametrize(
    ("size", "watched"), [((1280, 800), "#watch"), ((390, 844), "#samples")]
)
def test_nothing_jumps_during_a_training(served, visit, trained_once, size, watched):
    """What is looked at stays: the plot, the film, the parts of the loss under it."""
    told = events.read(trained_once).events
    begun = next(i for i, event in enumerate(told) if event.type == "started")
    ends = [i for i, event in enumerate(told) if event.type in ("sample", "ended")]
    width, height = size
    page = visit(viewport={"width": width, "height": height}).open(served.url)
    paste_and_shrink(page, TEXT)
    with held_queue(served.folder):  # it tells what another training has told
        page.locator("#train").click()
        page.locator("#run-head strong").wait_for()
        log = waiting_run(served.folder / run_of(page))
        for start, end in itertools.pairwise([begun, *(i + 1 for i in ends)]):
            for event in told[start:end]:
                log.append(event)
            if start == begun:
                page.locator("#plot svg").first.wait_for()
                page.wait_for_timeout(1000)  # a phone scrolls to the run
                look = "(at) => document.querySelector(at).scrollIntoView()"
                page.evaluate(look, watched)
                page.evaluate(WATCH)
            elif told[end - 1].type == "sample":
                shown = page.locator("#samples .shown h4")
                expect(shown).to_contain_text(f"step {told[end - 1].step}")
        page.locator("#run-head .badge.finished").wait_for()
        assert shift(page) < MOST
        write_file(log.path.parent / store.STOP, b"")  # its process goes
