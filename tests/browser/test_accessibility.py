"""Whether the page can be used by keyboard and screen reader."""

import dataclasses
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from charrnn.model import checkpoint
from charrnn.model.record import SweepRecord
from tests.browser.steps import TEXT, TOY, compare, make_run, paste_and_shrink
from tests.builders import make_stepped, varied_text

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect

# what stays inside Gradio's components: rule, and a selector that each finding is in.
# This list may only shrink.
GRADIOS: tuple[tuple[str, str], ...] = ()

# the characters of a long text are alike
FIND = """async (known) => {
  const found = await axe.run({ exclude: [["#inside-map .ch:nth-child(n + 60)"]] },
    { resultTypes: ["violations"] });
  return found.violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact))
    .flatMap((rule) => rule.nodes.map((node) => {
      const element = document.querySelector(node.target[0]);
      const place = known.findIndex(([id, selector]) =>
        id === rule.id && element?.closest(selector));
      return { rule: rule.id, place, html: node.html.slice(0, 160),
               target: node.target[0], why: node.failureSummary.slice(0, 200) };
    }));
}"""


SHOW = "dark => { document.body.classList.toggle('dark', dark); }"
AT_ONCE = "*, ::before, ::after { transition: none !important }"  # colours, too


def findings(page: Any) -> Iterator[dict[str, Any]]:
    """What axe-core calls serious or critical on the page, light and dark."""
    if not page.evaluate("() => !!window.axe"):
        axe = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
        page.evaluate(axe)
        page.add_style_tag(content=AT_ONCE)
    for dark in (True, False):
        page.evaluate(SHOW, dark)
        yield from page.evaluate(FIND, [list(known) for known in GRADIOS])


def inside_findings(page: Any, folder: Path) -> Iterator[dict[str, Any]]:
    """Those of the Inside tab: two models, then units, one held, and its steps."""
    make_stepped(folder / "stepped", 100, 25, seed=3)
    page.locator("[role=tab][data-tab-id=inside]").click()
    page.locator("#inside-text textarea").fill(varied_text(2500)[:2000])
    for name, title in (("model", "Test"), ("against", "A toy")):
        page.locator(f"#inside-{name} input").click()
        page.get_by_role("option", name=title).first.click()
    page.locator("#inside-look").click()
    page.locator("#inside-map[data-against=toy] .ch").nth(300).click()
    page.locator("#inside-panel h3").wait_for()
    for fold in page.locator("#inside-shown summary, #inside-panel summary").all():
        fold.click()
    yield from findings(page)
    page.locator("#inside-search").click()
    page.locator("#inside-units button[data-unit]").first.click()
    page.locator("#unit-trace").click()
    page.locator("#unit-course .film").wait_for()
    page.locator("#hand-write").click()
    expect(page.locator("#hand-table tbody tr")).to_have_count(3)
    yield from findings(page)


def test_axe_finds_nothing_serious_that_is_ours(served, visit):
    pytest.importorskip("axe_playwright_python")
    page = visit().open(served.url + TOY)
    found = list(findings(page))
    compare(page)
    page.locator("#sampling button").first.click()
    found += findings(page)
    paste_and_shrink(page, TEXT)
    found += findings(page)
    page.locator("[role=tab][data-tab-id=hub]").click()
    found += findings(page)
    found += inside_findings(page, served.folder)
    for units in (8, 16):
        make_run(served.folder, f"seen-{units}", title="Seen")
        join_sweep(served.folder / f"seen-{units}", "seen", units)
    page.goto(served.url + "?run=seen-8")
    page.locator("#plot svg").first.wait_for()
    page.locator("#sweep table").wait_for()
    for accordion in page.locator("#watch button.label-wrap").all():
        if accordion.is_visible():
            accordion.click()
    found += findings(page)
    page.set_viewport_size({"width": 390, "height": 844})  # tables are scrolled
    found += findings(page)
    assert [one for one in found if one["place"] < 0] == []
    seen = {one["place"] for one in found}
    assert seen == set(range(len(GRADIOS))), "the list is longer than it need be"


def join_sweep(folder: Path, name: str, units: int) -> None:
    """Make a run one of several that are compared."""
    label = SweepRecord(id=name, key=f"{units:016x}", settings={"rnn_units": units})
    record = checkpoint.read_record(folder)
    checkpoint.save_record(folder, dataclasses.replace(record, sweep=label))


def names(page: Any, selector: str) -> list[str]:
    """The accessible names of what a selector finds, as far as they are labels."""
    script = "all => all.map(e => e.ariaLabel ?? e.labels?.[0]?.innerText ?? '')"
    return page.locator(selector).evaluate_all(script)


def test_names_are_unique_and_states_are_told(served, visit):
    page = visit().open(served.url + TOY)
    compare(page)
    page.wait_for_function(
        "() => document.querySelector('#card-3 [data-act=copy]').ariaLabel"
    )
    temperatures = names(page, ".temperature input")
    assert "Temperature 3" in temperatures
    assert "Temperature 3, as a number" in temperatures
    for said in (
        temperatures,
        names(page, "#columns [data-act=copy]"),
        names(page, "#columns article"),
    ):
        assert all(said)
        assert len(set(said)) == len(said)
    assert names(page, "#columns [data-act=copy]")[1] == "Copy, Temperature 2"
    expect(page.locator("#prompt textarea")).to_have_attribute("dir", "auto")

    more = page.locator("#sampling button").first
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    length = page.locator("#length input")
    length.fill("0")
    expect(length).to_have_attribute("aria-invalid", "true")
    length.fill("5")
    expect(length).not_to_have_attribute("aria-invalid", "true")
    page.locator("[role=tab][data-tab-id=train]").click()
    assert page.get_by_role("group", name="Text", exact=True).count() == 1


def test_arrow_keys_walk_through_the_tabs_and_a_phone_zooms_not(served, visit):
    page = visit().open(served.url)
    tabs = page.get_by_role("tab")
    tabs.first.focus()
    for key, index in (("ArrowRight", 1), ("End", -1), ("ArrowRight", 0), ("Home", 0)):
        page.keyboard.press(key)
        chosen = tabs.nth(index % tabs.count())
        expect(chosen).to_be_focused()
        expect(chosen).to_have_attribute("aria-selected", "true")
    assert tabs.evaluate_all("all => all.filter(e => e.tabIndex === 0).length") == 1

    # on a phone fields are not zoomed into
    page.set_viewport_size({"width": 390, "height": 844})
    sizes = page.locator("input:visible, textarea:visible").evaluate_all(
        "all => all.filter(e => e.type !== 'range')"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert sizes
    assert min(sizes) >= 16
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    for name in ("#compare", "#generate-one"):  # in reach wherever one reads
        expect(page.locator(name)).to_be_in_viewport()


def test_the_focus_never_falls_out_of_the_page(served, visit):
    visitor = visit()
    page = visitor.open(served.url + "?model=slow&length=10000")
    page.locator("#compare").focus()
    page.keyboard.press("Enter")
    page.locator("#card-0 .written").wait_for()
    page.locator("#stop-writing").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stop-writing")).to_be_disabled()
    expect(page.locator("#compare")).to_be_focused()

    make_run(served.folder, "going", title="Going")
    page = visitor.open(served.url + "?run=going")
    page.locator("#plot svg").first.wait_for()
    page.locator("#manage button.label-wrap").click()
    for button in ("#delete", "#delete-sure"):
        page.locator(button).focus()
        page.keyboard.press("Enter")
    page.locator("#plot svg").first.wait_for(state="hidden")
    page.wait_for_function("() => document.activeElement.closest('main')")


def test_the_focus_is_seen_in_every_field(served, visit):
    page = visit(reduced_motion="reduce").open(served.url)
    page.locator("#sampling button").first.click()
    page.locator("#seed input").wait_for()
    page.add_style_tag(content=AT_ONCE)
    fields = page.locator("main :is(input, textarea, select, button):visible").all()
    page.keyboard.press("Tab")  # from here on it is a keyboard that moves
    for dark, accent in ((False, "rgb(15, 118, 110)"), (True, "rgb(79, 192, 180)")):
        page.evaluate(SHOW, dark)
        for field in fields:
            if field.is_disabled() or field.get_attribute("tabindex") == "-1":
                continue
            field.focus()
            style = field.evaluate(
                "e => { const s = getComputedStyle(e);"
                " return [s.outlineStyle, s.outlineWidth, s.outlineColor] }"
            )
            assert style == ["solid", "2px", accent], field.evaluate("e => e.outerHTML")
