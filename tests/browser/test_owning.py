"""A link shared between two browsers of a hosted page: one owns, the other reads."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from charrnn.runs import owner
from tests.browser.steps import TRAIN_TAB, paste_and_shrink

pytest.importorskip("playwright.sync_api", reason="no Playwright")
from playwright.sync_api import expect

TEXT = "the sea, the sand and the wind that carries the salt\n" * 60


def start_training(page: Any) -> None:
    paste_and_shrink(page, TEXT, epochs=9000, minutes=3)
    page.locator("#train").click()
    page.locator("#run-head strong").wait_for()


def test_a_link_reads_and_its_maker_owns(hosted, visit):
    owner_visit, reader_visit = visit(), visit()
    mine = owner_visit.open(hosted.url)
    start_training(mine)
    expect(mine.locator("#stop")).to_be_visible()
    href = mine.locator("#run-head button[data-act=link]").get_attribute("data-href")
    run_id = re.fullmatch(r"\?run=([0-9a-f]{32})", href)[1]  # and no key
    path = Path(hosted.folder) / run_id
    mine.locator("#samples .shown").wait_for(timeout=90_000)

    theirs = reader_visit.open(hosted.url + href)
    theirs.locator("#plot svg").first.wait_for()
    theirs.locator("#samples .shown").wait_for()
    for hidden in ("#stop", "#resume", "#manage", "#continue"):
        expect(theirs.locator(hidden)).to_be_hidden()

    # the sign of life of a hidden tab, which the reader cannot give
    seen = path / "state" / owner.SEEN
    sign = """() => {
      Object.defineProperty(document, "visibilityState", {value: "hidden"});
      charrnn.showAlive();
    }"""
    for page, is_owner in ((theirs, False), (mine, True)):
        os.utime(seen, (1, 1))
        with page.expect_response("**/gradio_api/run/**"):
            page.evaluate(sign)
        assert (owner.last_seen(path) > 1) == is_owner

    again = owner_visit.open(hosted.url)  # the browser holds the key
    again.get_by_role("tab").nth(TRAIN_TAB).click()
    again.locator("#stop").click()
    again.locator("#run-head .badge.stopped").wait_for(timeout=30_000)
    expect(again.locator("#resume")).to_be_visible()
    expect(again.locator("#manage")).to_be_visible()
    theirs.locator("#run-head .badge.stopped").wait_for(timeout=30_000)
    expect(theirs.locator("#resume")).to_be_hidden()
    again.evaluate("() => charrnn.keep('pasted', 'my text')")
    again.locator("#delete-all").click()
    again.locator("#all-sure").click()
    again.locator("#welcome", has_text="Deleted: 1").wait_for()
    assert not path.exists()
    again.wait_for_function(
        "() => !JSON.stringify({ ...sessionStorage }).includes('my text')"
    )
    reloaded = owner_visit.open(hosted.url)
    reloaded.get_by_role("tab").nth(TRAIN_TAB).click()
    reloaded.locator("#welcome").wait_for()


def test_on_ones_own_computer_there_is_nothing_to_own(served, visit):
    page = visit().open(served.url)
    assert page.locator("#delete-all, #alive").count() == 0
