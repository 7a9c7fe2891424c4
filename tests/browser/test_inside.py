"""The Inside tab as a person sees and uses it."""

import pytest

from tests.browser.steps import EVIL

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect
INSIDE = "?model=toy&tab=inside"


def test_a_text_is_looked_at_and_a_character_chosen_by_keyboard(served, visit):
    page = visit().open(served.url + INSIDE)
    expect(page.locator("#inside-model input")).to_have_value("A toy · 1.500")
    text = f"the cat\n{EVIL} sat on the mat"
    page.locator("#inside-text textarea").fill(text)
    page.locator("#inside-look").click()
    shown = page.locator("#inside-map")
    expect(shown.locator(".ch")).to_have_count(len(text))
    assert shown.evaluate("e => e.textContent") == text
    underlined = shown.locator(".p3, .p4, .p5").first
    expect(underlined).to_have_css("text-decoration-line", "underline")
    expect(page.locator("#inside-shown .totals td").nth(2)).to_have_text(
        f"{len(text) - 1}"
    )
    # one character takes the focus; arrow keys walk, and do not leave the text
    assert shown.locator("[tabindex]").count() == 1
    shown.locator("[tabindex='0']").focus()
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    place = len("the cat\n") + 3
    panel = page.locator("#inside-panel")
    expect(panel.locator("h3")).to_have_text(f"“{text[place]}” at place {place}")
    expect(panel.locator(".looked")).to_contain_text("The last 5 characters hold")
    assert panel.locator(".reading").evaluate("e => e.textContent") == text[:place]
    expect(panel.locator("tbody tr")).to_have_count(10)
    page.keyboard.press("End")
    expect(panel.locator("h3")).to_contain_text(f"place {len(text) - 1}")
    assert shown.locator("[tabindex]").count() == 1
    # what is shown belongs to the map, whatever the box holds by now
    page.locator("#inside-text textarea").fill("another text")
    shown.locator(".ch").nth(5).click()
    expect(panel.locator("h3")).to_have_text("“a” at place 5")
    # the text comes back after a reload
    page.reload()
    expect(page.locator("#inside-text textarea")).to_have_value("another text")
