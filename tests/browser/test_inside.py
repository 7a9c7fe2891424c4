"""The Inside tab as a person sees and uses it."""

import re

import pytest

from tests.browser.steps import EVIL, compare
from tests.builders import make_folder, make_record, make_stepped, varied_text

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect
expect.set_options(timeout=30_000)  # milliseconds; a busy machine is slow
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
    # a mouse that rests on a character is answered, until one is chosen
    panel = page.locator("#inside-panel")
    shown.locator(".ch").nth(3).hover()
    expect(panel.locator("h3")).to_have_text("“␣” at place 3")
    # one character takes the focus; arrow keys walk, and do not leave the text
    assert shown.locator("[tabindex]").count() == 1
    shown.locator("[tabindex='0']").focus()
    for key in ("Home", "ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    place = len("the cat\n") + 3
    expect(panel.locator("h3")).to_have_text(f"“{text[place]}” at place {place}")
    expect(panel.locator(".looked")).to_contain_text("The last 5 characters hold")
    assert panel.locator(".reading").evaluate("e => e.textContent") == text[:place]
    expect(panel.locator("table").last.locator("tbody tr")).to_have_count(10)
    page.keyboard.press("End")
    expect(panel.locator("h3")).to_contain_text(f"place {len(text) - 1}")
    assert shown.locator("[tabindex]").count() == 1
    # what is shown belongs to the map, whatever the box holds by now
    page.locator("#inside-text textarea").fill("another text")
    shown.locator(".ch").nth(5).click()
    expect(panel.locator("h3")).to_have_text("“a” at place 5")
    # how far back it looks, as a picture whose words are its name
    curve = page.locator("#inside-reach svg")
    expect(curve).to_have_accessible_name(
        re.compile("half of what it uses lies within")
    )
    # the text comes back after a reload
    page.reload()
    expect(page.locator("#inside-text textarea")).to_have_value("another text")


def test_a_unit_is_turned_by_hand_and_a_link_shows_another_browser_the_same(
    served, visit
):
    make_stepped(served.folder / "counts", 100, 25, 50, seed=3)
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open(served.url + "?model=counts&tab=inside")
    text = varied_text(2500)[:2000]  # enough to search, and a link carries it
    page.locator("#inside-text textarea").fill(text)
    page.locator("#inside-against input").click()
    page.get_by_role("option", name="A toy").click()
    page.locator("#inside-search").click()
    units = page.locator("#inside-units button[data-unit]")
    expect(units.first).to_be_visible()
    page.locator("#inside-map .ch").nth(400).click()
    title = page.locator("#inside-panel h3")
    expect(title).to_contain_text("at place 400")
    # the nearest of the characters that it looked at is in view
    expect(page.locator("#inside-panel .reading .ch").last).to_be_in_viewport()
    # a unit colours the text, which still has its choice, and can be held
    units.first.focus()
    page.keyboard.press("Enter")
    head = page.locator("#hand-of")
    expect(head).to_be_visible()
    shown = page.locator("#inside-map")
    expect(shown).to_have_attribute("data-unit", units.first.inner_text())
    expect(shown.locator(".ch.at")).to_have_count(1)
    assert (
        shown.locator(".ch.at").evaluate(
            "e => [...e.parentElement.children].indexOf(e)"
        )
        == 400
    )
    slider = page.locator("#hand-value input[type=range]")
    low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
    assert float(slider.input_value()) == pytest.approx(high)
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    value = float(slider.input_value())
    assert low < value < high
    page.locator("#hand-write").click()
    rows = page.locator("#hand-table tbody tr")
    expect(rows).to_have_count(3)
    columns = page.locator("#hand-columns .written")
    texts = columns.all_inner_texts()
    assert [len(one) > 300 for one in texts] == [True] * 3
    assert len(set(texts)) == 3
    expect(page.locator("#held-2 h4")).to_have_text(f"held at {value:+.2f}")
    figures = rows.all_inner_texts()
    # the link, in a browser that has never been here
    page.locator("#inside-link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    other = visit().open(link)
    expect(other.locator("#hand-table tbody tr")).to_have_count(3)
    assert other.locator("#hand-columns .written").all_inner_texts() == texts
    assert other.locator("#hand-table tbody tr").all_inner_texts() == figures
    expect(other.locator("#inside-panel h3")).to_have_text(title.inner_text())
    panel = "#inside-panel .html-container > div"
    assert other.locator(panel).inner_html() == page.locator(panel).inner_html()
    assert other.locator("#inside-map").inner_html() == shown.inner_html()
    listed = page.locator("#inside-units tbody").inner_html()
    assert other.locator("#inside-units tbody").inner_html() == listed
    assert float(other.locator("#hand-value input[type=range]").input_value()) == value
    expect(other.locator("#inside-note")).to_have_text("")
    # the map of both models again, beside the unit that was held
    page.locator("#inside-shown button[data-unit='']").click()
    expect(page.locator("#inside-map[data-unit='']")).to_be_visible()
    page.locator("#inside-link").click()
    plain = page.evaluate("navigator.clipboard.readText()")
    # how the unit came to be, as a film, and what was written at these steps
    page.locator("#unit-trace").click()
    film = page.locator("#unit-course .film")
    expect(film.locator(".shown h4")).to_contain_text("step 100")
    film.locator("input").focus()
    page.keyboard.press("Home")
    expect(film.locator(".shown h4")).to_contain_text("step 25")
    assert film.locator(".shown .reading").inner_text() == text[:600]
    page.locator("#unit-write").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compare")).to_be_focused()
    expect(page.locator("#compare")).to_be_in_viewport()
    expect(page.locator("#by input[value=step]")).to_be_checked()
    expect(page.locator("#model input")).to_have_value("Test · 1.500")
    for column, step in enumerate(("25", "50", "100")):
        expect(page.locator(f"#step-{column} input")).to_have_value(re.compile(step))
    # by then the model may be another one
    make_stepped(served.folder / "counts", 100, 25, 50, seed=4)
    changed = visit().open(plain)
    expect(changed.locator("#inside-note")).to_contain_text("not those of the link")
    expect(changed.locator("#hand-table tbody tr")).to_have_count(3)
    expect(changed.locator("#inside-map[data-unit='']")).to_be_visible()


def test_two_models_are_compared_on_the_text_that_was_written_last(served, visit):
    make_folder(served.folder / "second", make_record(title="Second"), seed=7)
    page = visit().open(served.url + "?model=toy")
    first = compare(page)[0]
    page.get_by_role("tab", name="Inside").click()
    page.locator("#inside-last").click()
    expect(page.locator("#inside-text textarea")).to_have_value(first)
    page.locator("#inside-against input").click()
    page.get_by_role("option", name="Second").click()
    page.locator("#inside-look").click()
    shown = page.locator("#inside-map[data-against=second]")
    expect(shown).to_be_visible()
    assert shown.evaluate("e => e.textContent") == first
    # who wrote it is the less surprised of the two: a line above, in another colour
    part = shown.locator(".b3").first
    expect(part).to_have_css("text-decoration-line", "overline")
    page.locator("#inside-shown summary").first.click()
    page.locator("#inside-shown button[data-place]").first.click()
    expect(page.locator("#inside-panel p")).to_have_count(3)
    expect(page.locator("#inside-panel")).to_contain_text("Second: Probability")
