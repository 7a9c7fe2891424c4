"""Nothing jumps while the page is at work."""

import pytest

from tests.browser.steps import (
    MOST,
    TEXT,
    TOY,
    WATCH,
    finish,
    paste_and_shrink,
    shift,
)

pytest.importorskip("playwright.sync_api", reason="no Playwright")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_jumps_during_a_compare(served, visit, size):
    width, height = size
    page = visit(viewport={"width": width, "height": height}).open(served.url + TOY)
    page.locator("#prompt textarea").fill("the sea é")
    page.wait_for_timeout(500)
    page.evaluate(WATCH)
    for _ in range(2):
        page.locator("#compare").click()
        page.wait_for_timeout(300)
        finish(page)
    assert shift(page) < MOST
    if width == 1280:  # what is written begins in view
        box = page.locator("#card-0 .written").bounding_box()
        assert box["y"] + 30 < height
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
def test_nothing_jumps_during_a_training(served, visit, size, watched):
    """What is looked at stays: the plot, the film, the parts of the loss under it."""
    width, height = size
    page = visit(viewport={"width": width, "height": height}).open(served.url)
    paste_and_shrink(page, TEXT, epochs=40)
    page.locator("#train").click()
    page.locator("#plot svg").first.wait_for()
    page.wait_for_timeout(1000)  # a phone scrolls to the run
    page.evaluate("(at) => document.querySelector(at).scrollIntoView()", watched)
    page.evaluate(WATCH)
    page.locator("#run-head .badge.finished").wait_for(timeout=60_000)
    assert shift(page) < MOST
