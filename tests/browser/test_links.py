"""The link to a text: what it opens, and what it leaves alone."""

import urllib.parse

import pytest

from tests.browser.steps import compare, open_settings, written

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect


def test_a_long_link_opens_in_a_page_of_its_own(served, visit):
    prompt = "海" * 8000
    visitor = visit()
    page = visitor.open(served.url + "?model=toy&length=20&temperatures=0.3,1.2&seed=7")
    page.locator("#prompt textarea").fill(prompt)
    texts = compare(page)
    assert [len(text) for text in texts] == [8020, 8020]
    assert page.content().count(urllib.parse.quote(prompt)) == 1
    with page.expect_popup() as opened:
        page.locator("#writing-status a").click()
    other = opened.value
    other.locator("#compare:not([disabled])").wait_for()
    expect(other.locator("#prompt textarea")).to_have_value(prompt)
    for place, temperature in (("0", "0.3"), ("1", "1.2")):
        field = other.locator(f"#temperature-{place} input[type=number]")
        expect(field).to_have_value(temperature)
    open_settings(other, "sampling")
    expect(other.locator("#seed input")).to_have_value("7")
    assert written(page) == texts  # nothing was lost where the link stands
    assert compare(other) == texts


def test_another_long_link_in_the_same_page_is_opened_too(served, visit):
    page = visit().open(f"{served.url}?#model=toy&prompt=one&seed=7&top_p=0.2")
    expect(page.locator("#prompt textarea")).to_have_value("one")
    # what the link filters is left out of the bars, its field still folded away
    expect(page.locator("#next-bars .first-out")).to_have_count(1)
    page.evaluate("location.hash = '#model=toy&prompt=two&seed=8'")
    expect(page.locator("#prompt textarea")).to_have_value("two")
