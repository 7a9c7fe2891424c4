"""A form that asks for another text than the one shown, or for an impossible one."""

import pytest

from tests.browser.steps import TOY, compare, open_settings

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect
AT, SINCE = "Written at 0.2", "Settings changed"


def test_a_text_says_that_the_settings_were_changed_after_it(served, visit):
    page = visit().open(served.url + "?model=toy&length=20&temperatures=0.2,1.2&seed=7")
    texts = compare(page)
    expect(page.locator("#stop-writing")).to_be_disabled()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    lines = page.locator("#columns .earlier")
    expect(lines).to_have_text(["", ""])
    sliders = [page.locator(f"#temperature-{i} input[type=number]") for i in (0, 1)]
    sliders[0].fill("0.5")
    expect(lines).to_have_text([AT, ""])
    expect(page.locator("#columns .stale")).to_have_count(1)
    assert not [url for url in asked if "gradio_api" in url]
    page.locator("#length input").fill("30")
    expect(lines).to_have_text([AT, SINCE])
    sliders[0].fill("0.2")
    expect(lines).to_have_text([SINCE, SINCE])
    page.locator("#length input").fill("20")
    expect(lines).to_have_text(["", ""])
    open_settings(page, "sampling")
    for field, other, own in (
        ("#top-k", "3", "0"),
        ("#top-p", "0.5", "1"),
        ("#stop-string", r"\n", ""),
    ):
        page.locator(f"{field} :is(input, textarea)").fill(other)
        expect(lines).to_have_text([SINCE, SINCE])
        page.locator(f"{field} :is(input, textarea)").fill(own)
        expect(lines).to_have_text(["", ""])
    page.locator("#seed input").fill("8")
    expect(lines).to_have_text([SINCE, SINCE])
    page.locator("#new-seed input").check()  # then no seed is asked for
    expect(lines).to_have_text(["", ""])
    page.locator("#new-seed input").uncheck()
    expect(lines).to_have_text([SINCE, SINCE])
    assert lines.nth(0).get_attribute("title") == (
        "toy: temperature 0.2, seed 7, 20 characters"
    )
    page.locator("#length input").fill("20")
    assert compare(page) != texts
    expect(lines).to_have_text(["", ""])
    assert page.locator("#columns .stale").count() == 0


def test_toasts_leave_the_form_free(served, visit):
    page = visit().open(served.url + TOY)
    page.locator("#length input").fill("0")
    toast = page.locator(".toast-wrap > *").first
    for width, height, free in (
        (1280, 800, ["#model", "#compare"]),
        (390, 844, ["#compare"]),
    ):
        page.set_viewport_size({"width": width, "height": height})
        page.locator("#compare").click()
        toast.wait_for()
        page.wait_for_timeout(500)
        shown = toast.bounding_box()
        assert shown["y"] + shown["height"] <= height
        for field in free:
            box = page.locator(field).bounding_box()
            under = box["y"] >= shown["y"] + shown["height"]
            assert under or box["y"] + box["height"] <= shown["y"]
