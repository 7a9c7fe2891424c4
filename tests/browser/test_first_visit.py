"""What a visitor finds who has never been here, and how it goes away."""

from typing import Any

import pytest

from charrnn.ui import stored
from charrnn.ui.examples import EXAMPLES
from tests.browser.steps import MOST, WATCH, Held, compare, shift, written

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect
STORED = "#columns .card.stored"


def questions(page: Any) -> list[str]:
    """Addresses that the page will ask for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def test_texts_stand_there_before_anything_is_pressed(served, visit):
    page = visit().context.new_page()
    asked = questions(page)
    held = Held(page)
    page.goto(served.url)
    # before the page has asked for anything
    expect(page.locator(STORED)).to_have_count(4)
    expect(page.locator("#writing-status")).to_contain_text("before you came")
    found = stored.read()
    texts = [found.prompt + one.text for one in found.texts]
    assert written(page) == texts
    page.locator("#examples button").first.wait_for()
    page.wait_for_timeout(700)
    page.evaluate(WATCH)
    held.let_go()
    page.locator("#compare:not([disabled])").wait_for()
    assert written(page) == texts
    assert page.locator("#card-3 .figure").count() == 4
    page.wait_for_timeout(500)
    assert not [url for url in asked if "queue/join" in url]  # nothing is written
    assert page.locator(".card.stale").count() == 0
    assert shift(page) < MOST
    # colour and touch work as on fresh texts
    page.locator("#colour input").check()
    expect(page.locator("#card-0 .ch")).to_have_count(found.length)
    page.locator("#card-0 .ch").nth(20).click()
    expect(page.locator("#choice .put").first).to_be_visible()
    page.keyboard.press("Escape")
    # a reload before any press finds the same, after one the new texts
    page.reload()
    expect(page.locator(STORED)).to_have_count(4)
    texts = compare(page)
    assert page.locator(STORED).count() == 0
    expect(page.locator("#writing-status")).not_to_contain_text("before you came")
    page.reload()
    page.locator("#card-3 .written").wait_for()
    page.wait_for_timeout(300)
    assert page.locator(STORED).count() == 0
    assert written(page) == texts


def test_who_has_other_texts_never_sees_it(served, visit):
    """Neither by a link in the fragment nor with another model that is kept."""
    linked = f"{served.url}#model=toy&prompt=a+ship"
    for address in (linked, served.url):
        page = visit().context.new_page()
        if address == served.url:
            page.goto(served.url)
            page.locator("#compare:not([disabled])").wait_for()
            page.locator("#model input").click()
            page.get_by_role("option", name="A toy").click()
            page.locator("#examples button").first.wait_for(state="detached")
        held = Held(page)
        page.goto(linked) if address == linked else page.reload()
        expect(page.locator(STORED)).to_have_count(4)
        expect(page.locator(STORED).first).not_to_be_visible()
        expect(page.locator("#writing-status .stored")).not_to_be_visible()
        held.let_go()
        expect(page.locator("#columns .resting")).to_have_count(4)
        expect(page.locator("#writing-status .stored")).to_have_count(0)


def test_a_beginning_is_chosen_by_keyboard_and_belongs_to_the_model(served, visit):
    page = visit().open(served.url)
    prompt = page.locator("#prompt textarea")
    prompt.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(prompt).to_have_value(EXAMPLES["shakespeare"][1])
    page.locator("#examples button").last.click()
    expect(prompt).to_have_value(EXAMPLES["shakespeare"][2])
    page.locator("#model input").click()
    page.get_by_role("option", name="A toy").click()
    expect(page.locator("#examples button")).to_have_count(0)
    japanese = visit(locale="ja").open(served.url)
    first = japanese.locator("#examples button").first
    expect(first).to_have_attribute("title", "「ROMEO: ⏎ O」から始める")
