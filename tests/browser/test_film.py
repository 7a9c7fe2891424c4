"""The film of a run, under a slider and by itself; what its loss is made of."""

import shutil

import pytest

pytest.importorskip("playwright.sync_api", reason="no Playwright")
from playwright.sync_api import expect


def test_a_slider_goes_through_a_training_and_play_runs_it(served, visit, trained_once):
    shutil.copytree(trained_once, served.folder / "film")
    page = visit(viewport={"width": 1280, "height": 800}).open(f"{served.url}?run=film")
    # plot and legend are seen together
    page.locator("#plot svg").first.wait_for()
    for part in ("#plot", "#legend li >> nth=-1"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800
    assert page.locator("#plot-table tbody tr").count() > 2

    samples = page.locator("#samples")
    slider, play = samples.locator("input"), samples.locator("button")
    head, text = samples.locator(".shown h4"), samples.locator(".shown .written")
    expect(head).to_contain_text("step 106")
    last = text.inner_text()
    slider.focus()
    page.keyboard.press("Home")
    expect(head).to_contain_text("step 25")
    expect(head).to_contain_text("training loss")
    expect(slider).to_have_attribute(
        "aria-valuetext", head.inner_text().replace("\n", ", ")
    )
    assert text.inner_text() != last
    height = samples.bounding_box()["height"]
    page.keyboard.press("ArrowRight")
    expect(head).to_contain_text("step 50")
    assert samples.bounding_box()["height"] == height

    # twice without a moment between: it stays where it is
    twice = "e => [1, 2].map(() => { e.click(); return e.textContent; })"
    assert play.evaluate(twice) == ["Pause", "Play"]
    page.wait_for_timeout(2500)
    expect(head).to_contain_text("step 50")
    slider.fill("3")
    play.press("Enter")
    expect(head).to_contain_text("step 106")
    expect(play).to_have_text("Play")
    assert text.inner_text() == last

    parts = page.locator("#loss-parts section").first
    rows = parts.locator("tbody tr")
    expect(rows).to_have_count(4)  # words of small letters, blanks, line breaks
    losses = [float(row.inner_text().split("\t")[1]) for row in rows.all()]
    best = float(page.locator("#legend li").nth(3).inner_text().split()[1])
    assert sum(losses) == pytest.approx(best, abs=0.003)
    columns = [
        box.bounding_box()["height"] for box in parts.locator(".stack span").all()
    ]
    assert len(columns) > 2
    assert columns[-1] < columns[0]
    expect(parts.locator(".stack i").first).to_be_visible()
