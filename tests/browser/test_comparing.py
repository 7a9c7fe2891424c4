"""Texts that are compared by step or model, the curve of temperature, and figures."""

import urllib.parse

import pytest

from charrnn.model import checkpoint, snapshots
from charrnn.model.generation import write
from charrnn.runs import curve
from charrnn.ui import curve_panel
from charrnn.ui.texts import TABLES
from tests.browser import steps
from tests.builders import alone, make_stepped

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect
ASKED = "length=30&seed=7&temperatures=0.5&prompt=the"


@pytest.fixture(scope="module")
def run(served):
    """A run with snapshots."""
    return make_stepped(served.folder / "stepped", 1200, 25, 50, 100)


def texts_in(page):
    """What the columns hold, to the character."""
    return page.locator("#columns .written").evaluate_all(
        "all => all.map(e => e.textContent)"
    )


def compare(page):
    steps.compare(page)
    expect(page.locator("#stop-writing")).to_be_disabled()
    return texts_in(page)


def lines_of(page, plot):
    """The lines of a plot that go from point to point, by their colours."""
    drawn = page.locator(f"#{plot} .mark-line path[d*=L]")
    expect(drawn.first).to_be_attached()
    return set(drawn.evaluate_all("all => all.map(e => e.getAttribute('stroke'))"))


def names(page, by):
    fields = page.locator(f"#columns .by-{by} input:visible")
    return [fields.nth(i).input_value() for i in range(fields.count())]


def test_steps_of_a_run_are_compared(served, visit, run):
    page = visit().open(f"{served.url}?model=stepped&{ASKED}")
    page.locator("#by input[value=step]").check()
    shown = ["step 25", "step 50", "step 100", "step 1,200 · kept weights"]
    expect(page.locator("#step-3 input")).to_have_value(shown[3])
    assert names(page, "step") == shown
    assert names(page, "temperature") == []
    expected = [
        "the" + alone(snapshots.load(run, step), "the", 30, [0.5], seed=7)[0]
        for step in (25, 50, 100, None)
    ]
    assert compare(page) == expected
    expect(page.get_by_role("article", name="Step, column 2")).to_have_count(1)
    link = page.locator("#writing-status a").get_attribute("href")
    page.reload()
    page.locator("#compare:not([disabled])").wait_for()
    expect(page.locator("#step-3 input")).to_have_value(shown[3])
    expect(page.locator("#card-3 .written")).to_have_text(expected[3])
    assert texts_in(page) == expected
    assert names(page, "step") == shown
    marks = page.locator("#columns .earlier")
    expect(marks).to_have_text([""] * 4)
    page.locator("#step-0 input").click()
    page.get_by_role("option", name=shown[1]).click()
    expect(marks).to_have_text(["Written at step 25", "", "", ""])
    # a touched character is one of that step's own, and so is what follows
    page.locator("#card-0 .written").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#choice tr:not(.now) .put:not(:text-matches('[⏎␣]'))").first.click()
    expect(page.locator("#writing-status")).to_contain_text("100 characters")
    expect(page.locator("#stop-writing")).to_be_disabled()
    begun = page.locator("#card-0 .prompt").text_content()
    (more,) = alone(snapshots.load(run, 25), begun, 100, [0.5], seed=7)
    assert texts_in(page) == [begun + more, *expected[1:]]
    own = page.locator("#writing-status a").get_attribute("href")
    assert urllib.parse.parse_qs(own)["steps"] == ["25"]
    # the link of them all
    page.goto(served.url + link)
    page.locator("#compare:not([disabled])").wait_for()
    expect(page.locator("#step-0 input")).to_have_value(shown[0])
    assert compare(page) == expected


def test_models_are_compared_and_what_is_not_there_is_said(served, visit, run):
    asked = f"{served.url}?model=toy&by=model&models=stepped,toy&{ASKED}"
    page = visit().open(asked)
    expect(page.locator("#one-temperature")).to_contain_text("Temperature")
    expect(page.locator("#model")).to_contain_text("Model of “Generate”")
    expected = [
        "the" + alone(checkpoint.load(path), "the", 30, [0.5], seed=7)[0]
        for path in (run, served.folder / "toy")
    ]
    assert compare(page) == expected
    assert names(page, "model") == ["Test · 1.500", "A toy · 1.500"]
    expect(page.get_by_role("article", name="Model 2")).to_have_count(1)
    marks = page.locator("#columns .earlier")
    expect(marks).to_have_text(["", ""])
    page.locator("#one-temperature input[type=number]").fill("0.6")
    expect(marks).to_have_text(["Settings changed"] * 2)
    page.locator("#by input[value=step]").check()
    expect(page.locator("#by-note")).to_contain_text("no snapshots of its training")
    page.locator("#by input[value=top_p]").check()
    expect(page.locator("#by-note .note")).to_have_count(0)
    for place, value in enumerate(("0.1", "1")):
        page.locator(f"#top_p-{place} input[type=number]").fill(value)
    texts = compare(page)
    model = checkpoint.load(served.folder / "toy")
    for text, top_p in zip(texts, (0.1, 1), strict=True):
        (own,) = alone(model, "the", 30, [0.6], seed=7, top_p=top_p)
        assert text == "the" + own


def test_the_curve_is_drawn_and_told(served, visit):
    page = visit().open(f"{served.url}?model=toy&{ASKED}")
    page.locator("#length input").fill("200")
    page.locator("#draw-curve").click()
    expect(page.locator("#curve .verdict")).to_contain_text("Invented words cannot")
    assert lines_of(page, "curve-bits") == {curve_panel.COLOURS["surprise"]}
    drawn = {curve_panel.COLOURS[name] for name in ("repeats", "region")}
    assert lines_of(page, "curve-shares") == drawn
    model = checkpoint.load(served.folder / "toy")
    *_, written = write(model, "the", length=200, rows=curve.rows(7))
    means = [f"{sum(one.bits) / 200:.2f}" for one in written]
    page.locator("#curve-table summary").click()
    cells = page.locator("#curve-table tbody tr td:nth-child(4)")
    expect(cells).to_have_text(means)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            "width => document.documentElement.scrollWidth <= width", arg=width
        )
    page.goto(f"{served.url}?model=slow&{ASKED}")
    page.locator("#compare:not([disabled])").wait_for()
    page.locator("#length input").fill("10000")
    page.locator("#draw-curve").click()
    page.locator("#stop-writing:not([disabled])").click()
    expect(page.locator("#curve-said")).to_have_text("Stopped.", use_inner_text=True)
    expect(page.locator("#stop-writing")).to_be_disabled()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_each_figure_is_explained_by_keyboard(served, visit, lang):
    """On the texts that a first visitor finds, which have all four."""
    page = visit(locale=lang).open(served.url)
    page.locator("#card-3 .figure").first.wait_for()
    page.locator("#card-3 .written").focus()
    for name in ("invented", "repeats", "surprise", "copied"):
        page.keyboard.press("Tab")
        tip = page.locator("#card-3 .figure:focus .tip")
        expect(tip).to_be_visible()
        expect(tip).to_have_text(TABLES[lang][f"figure.{name}_help"])
        box = tip.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280
        assert sum(TABLES[lang][f"figure.{name}_help"].count(end) for end in ".。") == 1
