"""Nothing jumps while the page is at work."""

from typing import Any

import pytest

from tests.browser.steps import TEXT, TOY, finish, paste_and_shrink

pytest.importorskip("playwright.sync_api", reason="no Playwright")
MOST = 0.05  # cumulative layout shift

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


def shift(page: Any) -> float:
    """How far things have moved since `WATCH`, those after a press included."""
    page.wait_for_timeout(300)
    shifts = page.evaluate("() => window.shifts")
    for one in shifts:
        print(one)  # noqa: T201  shown where the test fails
    return sum(one["value"] for one in shifts)


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


def test_nothing_jumps_during_a_training(served, visit):
    page = visit().open(served.url)
    paste_and_shrink(page, TEXT, epochs=40)
    page.locator("#train").click()
    page.locator("#plot svg").first.wait_for()
    page.evaluate(WATCH)
    page.locator("#run-head .badge.finished").wait_for(timeout=60_000)
    assert shift(page) < MOST
