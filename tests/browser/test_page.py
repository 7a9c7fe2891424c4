"""What a visitor does with the page, in a real browser."""

import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from charrnn.runs.history import read_view
from charrnn.ui import chart
from tests.browser.steps import (
    EVIL,
    TEXT,
    TOY,
    TRAIN_TAB,
    Held,
    compare,
    fill,
    finish,
    make_run,
    open_settings,
    paste_and_shrink,
    run_of,
    standing_still,
    written,
)
from tests.builders import wait_until

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect

# --- generating ------------------------------------------------------------


def test_a_first_visitor_compares_with_one_click(served, visit):
    page = visit().open(served.url)
    texts = compare(page)
    assert len(set(texts)) == 4
    prompt = page.locator("#prompt textarea").input_value()
    assert all(text.startswith(prompt) for text in texts)
    assert all(len(text) == len(prompt) + 400 for text in texts)
    # the prompt stands apart from what the model wrote
    expect(page.locator("#card-0 .prompt")).to_have_text(prompt)
    # on one's own computer there is nothing to own
    assert page.locator("#delete-all, #alive").count() == 0


def test_nothing_is_asked_before_the_form_is_filled(served, visit):
    page = visit().context.new_page()
    held = Held(page)
    page.goto(served.url + "?model=toy&prompt=so&temperatures=0.3,0.9")
    page.locator("#compare").wait_for()
    held.until_one()
    page.wait_for_timeout(300)
    expect(page.locator("#compare")).to_be_disabled()
    expect(page.locator("#generate-one")).to_be_disabled()
    train_tab = page.get_by_role("tab").nth(TRAIN_TAB)
    train_tab.click()
    held.let_go()
    page.locator("#compare:not([disabled])").wait_for(state="attached")
    assert train_tab.get_attribute("aria-selected") == "true"  # and nothing jumps
    page.get_by_role("tab").nth(0).click()
    texts = compare(page)
    assert len(texts) == 2
    assert all(text.startswith("so") for text in texts)


def test_a_link_writes_the_same_texts_elsewhere(served, visit):
    page = visit().open(served.url)
    page.locator("#model input").click()
    expect(page.locator("#prompt textarea")).to_have_value("ROMEO:\nO")
    page.get_by_role("option", name="A toy").click()  # it suggests no prompt
    expect(page.locator("#prompt textarea")).to_have_value("")
    page.locator("#prompt textarea").fill("the sea é")
    texts = compare(page)
    expect(page.locator("#writing-status")).to_contain_text("never seen “é”")
    href = page.locator("#writing-status a").get_attribute("href")
    other = visit().open(served.url + href)
    expect(other.locator("#prompt textarea")).to_have_value("the sea é")
    assert compare(other) == texts
    expect(other.locator("#writing-status a")).to_have_attribute("href", href)


NOTE_COPIED = """() => {
  const button = document.querySelector("#card-0 button[data-act=copy]");
  new MutationObserver(() => { window.copied ||= button.textContent === "Copied"; })
    .observe(button, { childList: true, characterData: true, subtree: true });
}"""  # it says so for a moment


def test_texts_are_copied_and_saved_and_a_wrong_number_is_marked(served, visit):
    visitor = visit()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.open(served.url + TOY)
    # by keyboard
    page.locator("#prompt textarea").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.id") == "compare":
            break
    page.keyboard.press("Enter")
    finish(page)
    page.evaluate(NOTE_COPIED)
    page.locator("#card-0 button[data-act=copy]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.copied")
    # by mouse
    page.locator("#generate-one").click()
    page.locator("#single .written").wait_for()
    finish(page)
    text = page.locator("#single .written").evaluate("e => e.textContent")
    page.locator("#single button[data-act=copy]").click()
    page.wait_for_function(
        "async t => await navigator.clipboard.readText() === t", arg=text
    )
    with page.expect_download() as download:
        page.locator("#single button[data-act=save]").click()
    assert Path(download.value.path()).read_text(encoding="utf-8") == text
    assert re.fullmatch(r"[\w-]+-0\.8-\d+\.txt", download.value.suggested_filename)

    # a number that no text can have is marked on its field
    page.locator("#length input").fill("0")
    page.locator("#length.wrong").wait_for()
    marked = page.locator("#length")
    expect(marked).to_contain_text("expected a number from 1 to 10,000")
    page.locator("#compare").click()
    page.get_by_text("Length: expected a number from 1 to 10,000").wait_for()
    expect(page.locator("#length.wrong")).to_have_count(1)
    page.locator("#length input").fill("50")
    page.locator("#length.wrong").wait_for(state="detached")
    expect(marked).not_to_contain_text("expected")


def test_the_sliders_are_seen_at_once_and_move_without_a_request(served, visit):
    page = visit().open(served.url)
    for width, height in ((390, 844), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        low = height if width > 700 else 2 * height  # on a phone columns are in a row
        for name in ("temperature-0", "length-slider", "one-temperature"):
            box = page.locator(f"#{name} input[type=range]").bounding_box()
            assert 0 <= box["y"] < low, name
            assert box["x"] >= 0, name
            assert box["x"] + box["width"] <= width, name
    shown = page.locator("#temperature-0 label span").first
    expect(shown).to_have_attribute("data-word", "careful")
    page.wait_for_timeout(1000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    slider = page.locator("#temperature-0 input[type=range]")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#temperature-0 input[type=number]")).to_have_value("1.2")
    expect(shown).to_have_attribute("data-word", "daring")
    after = "e => getComputedStyle(e, '::after').content"
    assert "daring" in shown.evaluate(after)  # as it is seen
    page.wait_for_timeout(500)
    assert [url for url in asked if "poll" not in url and "tick" not in url] == []
    # the number beside the length's slider takes more than that shows
    slider = page.locator("#length-slider input[type=range]")
    number = page.locator("#length input")
    slider.fill("1000")
    expect(number).to_have_value("1000")
    number.fill("250")
    expect(slider).to_have_value("250")
    number.fill("5000")
    expect(slider).to_have_value("2000")
    expect(number).to_have_value("5000")
    expect(page.locator("#length-slider input[type=number]")).to_be_hidden()


def test_a_seed_of_ones_own_is_kept(served, visit):
    page = visit().open(served.url + TOY)
    open_settings(page, "sampling")
    page.wait_for_function(  # a setting is made when it is shown
        "() => (document.querySelector('#seed input')?.value ?? '0') !== '0'"
    )
    page.locator("#seed input").fill("123")  # after the one that the page drew
    page.wait_for_function(
        "() => document.querySelector('#new-seed input')?.checked === false"
    )
    first = compare(page)
    expect(page.locator("#writing-status")).to_contain_text("seed 123")
    page.locator("#length input").fill("300")  # so that the second link is another
    page.locator("#compare").click()
    link = page.locator("#writing-status a")
    expect(link).to_have_attribute("href", re.compile("length=300"))
    finish(page)
    assert written(page) == [text[:-100] for text in first]


def test_nothing_that_is_typed_runs(served, visit):
    page = visit().open(served.url + TOY)
    page.locator("#prompt textarea").fill(EVIL)
    texts = compare(page)
    assert all(text.startswith(EVIL) for text in texts)
    evil = urllib.parse.quote(EVIL)
    linked = visit().open(
        f"{served.url}?model={evil}&prompt={evil}&stop={evil}&run={evil}"
    )
    expect(linked.locator("#prompt textarea")).to_have_value(EVIL)
    linked.wait_for_timeout(500)


# --- training --------------------------------------------------------------


def follow_to_sample(page: Any) -> None:
    page.get_by_role("tab").nth(TRAIN_TAB).click()
    page.locator("#samples .shown").wait_for()


def test_a_training_is_watched_left_found_again_and_used(served, visit):
    visitor = visit()
    page = visitor.open(served.url)
    paste_and_shrink(page, TEXT, epochs=9000)  # so many that none ends it
    page.locator("#train").click()
    page.locator("#plot svg").first.wait_for()
    expect(page.locator("#run-head")).to_be_in_viewport()  # below stands Advanced
    expect(page).to_have_title("● training · charrnn")
    page.evaluate("() => { window.node = document.querySelector('#plot svg'); }")
    drawn = "() => document.querySelectorAll('#plot svg path').length"
    page.locator("#samples .shown").wait_for()
    before = page.evaluate(drawn)
    page.wait_for_function(f"n => ({drawn})() > n", arg=before)
    assert page.evaluate("() => window.node.isConnected")
    run = run_of(page)

    with standing_still(served.folder / run):
        # a reload and a second device find it whole
        page.reload()
        expect(page).to_have_title("● training · charrnn")  # in the Generate tab, too
        mark = page.get_by_role("tab", name="Train, training")
        assert "●" in mark.evaluate("e => getComputedStyle(e, '::after').content")
        follow_to_sample(page)
        assert run_of(page) == run
        elsewhere = visit().open(f"{served.url}?run={run}")
        elsewhere.locator("#plot svg").first.wait_for()
        expect(elsewhere.locator("#run-head")).to_contain_text("pasted")
        elsewhere.context.close()
        # so does the page when its server comes back
        page.evaluate("() => { window.old = true; }")
        served.end()
        step = last_step(served, run)
    wait_until(lambda: last_step(served, run) > step, 60)  # trained without a page
    with standing_still(served.folder / run):
        served.start()
        page.wait_for_function("() => !window.old")
        follow_to_sample(page)
        assert run_of(page) == run
    visitor.faults.clear()  # a server that is gone is noted as an error

    page.locator("#stop").click()
    page.locator("#run-head .badge.stopped").wait_for()
    expect(page.locator("#resume")).to_be_visible()
    expect(page).to_have_title("charrnn")
    page.locator("#write-with").click()
    expect(page.locator("#model input")).to_have_value(re.compile("pasted quick"))
    expect(page.locator("#compare")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("The quick"))
    texts = compare(page)
    assert all(text.startswith("The quick") for text in texts)


def last_step(served: Any, run: str) -> int:
    return read_view(served.folder / run).step


def drawn_box(page: Any, name: str) -> dict[str, float]:
    """Where the line of a series is drawn, once it is seen."""
    colour = chart.COLOURS[name]
    line = page.locator(f'#plot svg .mark-line path[stroke="{colour}"]')
    line.wait_for(state="attached")  # a level one has no height, and counts as hidden
    box: dict[str, float] = line.evaluate("e => e.getBoundingClientRect().toJSON()")
    return box


def dot_width(page: Any, name: str) -> float:
    """How wide a curve of one point is drawn, in pixels; 0 if its ends are cut."""
    colour = chart.COLOURS[name]
    drawn: float = page.locator(
        f'#plot svg .mark-line path[stroke="{colour}"]'
    ).evaluate(
        "e => { const { strokeLinecap, strokeWidth } = getComputedStyle(e);"
        " return strokeLinecap === 'round' ? parseFloat(strokeWidth) : 0; }"
    )
    return drawn


def test_nothing_of_a_run_runs_and_it_can_be_renamed_packed_and_deleted(served, visit):
    make_run(served.folder, "evil")
    make_run(served.folder, "other", title="Other")
    make_run(served.folder, "short", title="Short", validated=(100,))
    page = visit().open(served.url + "?run=evil")
    page.locator("#plot svg").first.wait_for()
    page.evaluate("() => { window.node = document.querySelector('#plot svg'); }")
    expect(page.locator("#run-head")).to_contain_text(EVIL)
    expect(page.locator("#samples")).to_contain_text(EVIL)
    page.locator("#overlay input").click()
    page.get_by_role("option", name="Other").click()
    page.locator("#legend li").nth(6).wait_for()
    expect(page.locator("#legend")).to_contain_text("Other")
    # what was laid over is drawn, and the plot is the one that was there
    assert page.evaluate("() => window.node.isConnected")
    for name in ("validation", "other_a"):
        assert drawn_box(page, name)["width"] > 100
    page.locator("#overlay input").click()
    page.get_by_role("option", name="Short").click()
    page.locator("#legend li").nth(7).wait_for()
    point = drawn_box(page, "other_b")  # validated once: no line, but a dot
    assert point["width"] == 0
    assert dot_width(page, "other_b") > 5
    for name, said in (("guessing", "guessing 3."), ("baseline", "5-grams 1.700")):
        line = drawn_box(page, name)
        label = page.locator(f'.line-name[data-colour="{chart.COLOURS[name]}"]')
        expect(label).to_contain_text(said)
        assert 0 < line["y"] - label.bounding_box()["y"] < 30
    expect(page.locator("#news .verdict")).to_contain_text(
        "It now does better than a table of 5-grams."
    )
    page.locator("#loss-unit input[value=bits]").check()
    expect(page.locator("#legend")).to_contain_text("5-grams 2.453")  # 1.7 / ln 2
    assert page.evaluate("() => window.node.isConnected")

    open_settings(page, "manage")
    title = page.locator("#new-title input, #new-title textarea").first
    for _ in range(2):  # a field is given its value after it is shown
        page.wait_for_timeout(300)
        title.fill("A new name")
    expect(title).to_have_value("A new name")
    page.locator("#rename").click()
    page.locator("#run-head strong", has_text="A new name").wait_for()
    with page.expect_download() as download:
        page.locator("#zip").click()
    assert download.value.suggested_filename == "a-new-name.zip"
    page.locator("#delete").click()
    page.locator("#delete-keep").click()
    page.locator("#delete-keep").wait_for(state="hidden")
    assert (served.folder / "evil").is_dir()
    page.locator("#delete").click()
    page.locator("#delete-sure").click()
    page.locator("#welcome").wait_for()
    assert not (served.folder / "evil").exists()


def test_wrong_settings_are_marked_before_anything_starts(served, visit):
    page = visit().open(served.url)
    paste_and_shrink(page, TEXT, rnn_units=0, dropout=5)
    page.locator("#set-dropout.wrong").wait_for()
    expect(page.locator("#set-rnn_units")).to_contain_text("from 1 to 2,048")
    said = "Units: expected a number from 1 to 2,048"
    expect(page.locator("#estimate")).to_contain_text(said)
    open_settings(page, "advanced")  # and closed
    page.locator("#set-dropout").wait_for(state="hidden")
    before = set(served.folder.iterdir())
    page.locator("#train").click()
    page.locator(".toast-body", has_text=said).wait_for()
    page.locator("#set-dropout").wait_for()  # it was opened
    assert set(served.folder.iterdir()) == before
    titles = page.locator(".toast-wrap").get_by_text("Error", exact=True)
    assert titles.count() == 1  # that of the message
    for answer, ask in (
        ("**/charrnn/poll*", "charrnn.ask()"),
        ("**/gradio_api/run/**", "document.querySelector('#wake').click()"),
    ):
        with page.expect_response(answer):
            page.evaluate(f"() => {{ {ask} }}")
    page.wait_for_timeout(300)  # the page has asked for news, and the marks stay
    assert page.locator("#set-dropout.wrong").count() == 1
    fill(page, "dropout", 0.5)
    page.locator("#set-dropout.wrong").wait_for(state="detached")
    expect(page.locator("#set-dropout input")).to_have_value("0.5")


def test_a_preset_fills_the_form_and_how_long_is_a_switch_and_two_sliders(
    served, visit
):
    page = visit(viewport={"width": 1280, "height": 800}).open(served.url)
    page.get_by_role("tab").nth(TRAIN_TAB).click()
    epochs, minutes = (
        page.locator(f"#{name}-slider input[type=range]")
        for name in ("epochs", "minutes")
    )
    page.locator("#facts").get_by_text(re.compile(r"\w")).first.wait_for()
    for seen in (epochs, minutes, page.locator("#train")):
        box = seen.bounding_box()
        assert box["y"] + box["height"] < 800

    # a preset fills the form and its command
    open_settings(page, "advanced")
    page.locator("#preset input[value=tutorial]").check()
    page.wait_for_function(
        "() => document.querySelector('#set-rnn_units input')?.value === '1024'"
    )
    fill(page, "num_layers", 2)
    page.locator("#terminal button").first.click()
    page.locator("#command", has_text="--num-layers 2").wait_for()
    expect(page.locator("#command")).to_contain_text("--preset tutorial")
    # what was changed by hand stays with another preset, until that is asked for
    page.locator("#preset input[value=quick]").check()
    expect(page.locator("#kept-settings")).to_contain_text("as they are: Layers.")
    expect(page.locator("#set-rnn_units input")).to_have_value("256")
    expect(page.locator("#set-num_layers input")).to_have_value("2")
    page.locator("#take-preset").click()
    expect(page.locator("#set-num_layers input")).to_have_value("1")
    expect(page.locator("#kept-settings")).to_be_empty()

    # how long is a switch and two sliders
    page.locator("#source input[value=paste]").check()
    expect(page.locator("#train")).to_be_disabled()  # there is no text yet
    page.locator("#pasted textarea").fill(TEXT)
    expect(page.locator("#train")).to_be_enabled()
    assert (epochs.get_attribute("max"), minutes.get_attribute("max")) == ("100", "30")
    switch = page.locator("#length-by input:checked")
    expect(switch).to_have_value("epochs")
    expect(page.locator("#set-epochs input")).to_have_value("40")  # a small text
    minutes.fill("5")
    expect(page.locator("#set-minutes input")).to_have_value("5")
    expect(switch).to_have_value("minutes")
    expect(page.locator("#estimate")).to_contain_text("about 5 min")
    expect(page.locator("#command")).to_contain_text("--minutes 5")
    fill(page, "epochs", 250)  # more than the slider has
    expect(epochs).to_have_value("100")
    expect(switch).to_have_value("epochs")
    expect(page.locator("#command")).to_contain_text("--epochs 250")
    page.locator("#minutes-10").click()
    expect(page.locator("#command")).to_contain_text("--minutes 10")
    page.locator("#pasted textarea").fill("")
    expect(page.locator("#train")).to_be_disabled()


# --- looks -----------------------------------------------------------------


@pytest.mark.parametrize(("theme", "locale"), [("light", "ja-JP"), ("dark", "en-US")])
def test_every_tab_fits_both_widths(served, visit, theme, locale):
    make_run(served.folder, f"wide-{theme}")
    phone = {"width": 390, "height": 900}
    page = visit(viewport=phone, color_scheme=theme, locale=locale).open(
        f"{served.url}{TOY}&run=wide-{theme}"
    )
    page.locator("#plot svg").first.wait_for()
    page.wait_for_function(  # on a phone it stands below the form
        "() => document.querySelector('#watch').getBoundingClientRect().top < 500"
    )
    page.get_by_role("tab").first.click()
    compare(page)
    words = {"en-US": "Temperature", "ja-JP": "温度"}
    expect(page.locator("#lead")).to_contain_text(words[locale])
    for tab in range(3):
        page.get_by_role("tab").nth(tab).click()
        expect(page.locator("body")).not_to_contain_text(
            "__i18n__", use_inner_text=True
        )
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(150)
            page.wait_for_function(
                "width => document.documentElement.scrollWidth <= width", arg=width
            )
    assert page.evaluate("() => document.body.classList.contains('dark')") == (
        theme == "dark"
    )


# --- what may come next ----------------------------------------------------


def bars(page: Any) -> list[tuple[str, float]]:
    """Signs and shares as they stand under the bars, in percent."""
    items = page.locator("#next-bars li:not([hidden])").all_inner_texts()
    pairs = [item.split() for item in items]
    return [(sign, float(share.strip("<%"))) for sign, share in pairs]


# key after key without a moment between
TYPE = """(field, text) => {
  for (const key of text) {
    field.value += key;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}"""
SAYS_THE_FIRST = """() => {
  const first = document.querySelector("#next-bars li:not([hidden])").innerText;
  const said = document.querySelector("#next-said").textContent;
  return said.includes(first.trim().split(/\\s/)[0]);
}"""


def test_bars_follow_the_prompt_and_the_temperatures_without_a_request(served, visit):
    page = visit().open(served.url + TOY + "&prompt=the")
    page.locator("#next-bars li").first.wait_for()
    first = bars(page)
    assert first == sorted(first, key=lambda pair: -pair[1])
    assert {sign for sign, _ in first} <= set("⏎␣abcdefghijklmnopqrstuvwxyzäß😀")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator("#next-setting")).to_have_text("at temperature 0.80 · lively")
    slider = page.locator("#temperature-3 input[type=range]")
    slider.focus()
    expect(page.locator("#next-setting")).to_have_text("at temperature 1.10 · daring")
    for _ in range(18):
        slider.press("ArrowRight")
    expect(page.locator("#next-setting")).to_have_text("at temperature 2.00 · daring")
    page.wait_for_timeout(300)
    flat = bars(page)
    assert [sign for sign, _ in flat] == [sign for sign, _ in first]
    assert flat[0][1] < first[0][1]
    assert [url for url in asked if "/charrnn/poll" not in url] == []
    # the cut of top-p: what is left out is grey behind a line
    open_settings(page, "sampling")
    page.locator("#top-p input").fill("0.5")
    expect(page.locator("#next-bars .first-out")).to_have_count(1)
    kept = page.locator("#next-bars li:not(.out, [hidden])").count()
    assert sum(share for _, share in flat[: kept - 1]) < 50
    assert sum(share for _, share in bars(page)[:kept]) == pytest.approx(100, abs=3)
    expect(page.locator("#next-cut")).to_contain_text("left out")
    # a prompt that is typed: no question for each key, and one after the last
    asked.clear()
    with page.expect_response("**/charrnn/next"):
        page.locator("#prompt textarea").evaluate(TYPE, "there")
    page.wait_for_function(SAYS_THE_FIRST)
    page.wait_for_timeout(500)
    assert len([url for url in asked if url.endswith("/charrnn/next")]) == 1


# --- what stands in the columns ----------------------------------------------


def test_colours_and_figures_are_the_texts_own_and_a_character_is_replaced(
    served, visit
):
    page = visit().open(served.url + TOY + "&prompt=the&length=60&temperatures=0.5,1.5")
    first = compare(page)
    surprise = page.locator("#card-0 .figure", has_text="bits per character")
    surprise.focus()
    expect(surprise.locator(".tip")).to_be_visible()
    page.locator("#colour input").check()
    expect(page.locator("#card-1 .ch")).to_have_count(60)
    expect(page.locator("#colours")).to_be_visible()
    page.locator("#prompt textarea").fill("a sea")
    page.locator("#compare").click()
    page.wait_for_function(
        """() => [0, 1].every((i) => {
          const card = document.querySelector(`#card-${i}`);
          return card.querySelector(".written").textContent.startsWith("a sea")
            && card.querySelectorAll(".ch").length === 60;
        })"""
    )
    second = written(page)
    assert all(text.startswith("a sea") for text in second)
    assert [text[5:] for text in second] != [text[3:] for text in first]
    # the colour is that of the character's own bits
    bits = page.locator("#card-1 .bits").get_attribute("data-bits").split()
    steps = [
        sum(2 ** -float(b) < p for p in (0.5, 0.25, 0.1, 0.03, 0.01)) for b in bits
    ]
    classes = page.locator("#card-1 .ch").evaluate_all(
        "all => all.map(e => e.className)"
    )
    assert classes == [f"ch p{step}" for step in steps]
    mean = sum(map(float, bits)) / 60
    told = page.locator("#card-1 .figure", has_text="bits").inner_text()
    assert abs(float(told.split()[0]) - mean) < 0.02

    # a touched character is replaced, and its column writes on
    page.locator("#prompt textarea").fill("the")
    page.locator("#length input").fill("200")
    page.locator("#temperature-1 input[type=number]").fill("1")
    first = compare(page)
    column = page.locator("#card-1 .written")
    column.focus()
    for _ in range(11):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.locator("#choice")
    expect(panel.locator("tbody tr")).to_have_count(10)
    expect(panel.locator(".now")).to_have_count(1)
    shares = panel.locator("tbody td:nth-child(2)").all_inner_texts()
    assert shares == panel.locator("tbody td:nth-child(3)").all_inner_texts()  # at 1
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    column.locator(".ch").nth(10).click()
    others = panel.locator("tbody tr:not(.now) .put:not(:text-matches('[⏎␣]'))")
    put = others.first.inner_text()
    others.first.click()
    finish(page)
    begun = first[1][:13] + put
    expect(page.locator("#card-1 .prompt")).to_have_text(begun)
    page.wait_for_function("document.querySelector('#card-1 .bits')")
    assert written(page)[0] == first[0]
    href = page.locator("#writing-status a").get_attribute("href")
    query = urllib.parse.parse_qs(href.removeprefix("?"))
    assert query["prompt"] == [begun]
    assert query["temperatures"] == ["1"]
    assert len(written(page)[1]) == 203


def test_stop_ends_the_writing(served, visit):
    page = visit().open(served.url + "?model=slow&length=10000&prompt=the")
    page.locator("#compare").click()
    page.wait_for_function(
        "() => document.querySelector('#card-0 .written')?.textContent.length > 100"
    )
    page.locator("#stop-writing").click()
    expect(page.locator("#writing-status")).to_contain_text("Stopped")
    stopped = written(page)
    page.wait_for_timeout(1000)
    assert written(page) == stopped
    assert len(stopped[0]) < 10_000
    expect(page.locator("#stop-writing")).to_be_disabled()
    open_settings(page, "sampling")
    page.locator("#length input").fill("20")
    assert len(compare(page)[0]) == len("the") + 20  # and it writes again


def test_a_press_ends_the_one_before(served, visit):
    page = visit().open(served.url + "?model=slow&prompt=so&temperatures=0.5,1")
    page.locator("#length input").fill("10000")
    page.locator("#compare").click()
    page.wait_for_function(
        "document.querySelector('#card-0 .written')?.textContent.length > 20"
    )
    page.locator("#prompt textarea").fill("the")
    page.locator("#length input").fill("40")
    page.locator("#compare").click()
    finish(page)
    assert [len(text) for text in written(page)] == [43, 43]
    expect(page.locator("#writing-status")).to_contain_text("80 characters")
    expect(page.locator("#stop-writing")).to_be_disabled()
    page.wait_for_timeout(500)
    assert [text[:3] for text in written(page)] == ["the", "the"]
    # and Generate ends a comparison
    page.locator("#length input").fill("10000")
    page.locator("#compare").click()
    page.locator("#stop-writing:not([disabled])").wait_for()
    page.locator("#length input").fill("30")
    page.locator("#generate-one").click()
    expect(page.locator("#writing-status")).to_contain_text("30 characters")
    expect(page.locator("#stop-writing")).to_be_disabled()
    page.wait_for_timeout(500)
    assert len(page.locator("#single .written").text_content()) == 33
    assert page.locator("#columns").is_hidden()


def test_after_stop_the_seed_and_the_link_stay(served, visit):
    page = visit().open(served.url + "?model=slow&prompt=so&temperatures=0.5,1")
    page.locator("#length input").fill("10000")
    page.locator("#prompt textarea").focus()
    page.keyboard.press("Control+Enter")  # compares
    page.wait_for_function(
        "document.querySelector('#card-0 .written')?.textContent.length > 20"
    )
    expect(page.locator("#writing-status a")).to_be_hidden()
    page.locator("#stop-writing").click()
    expect(page.locator("#writing-status a")).to_be_visible()
    open_settings(page, "sampling")
    seed = page.locator("#seed input").input_value()
    expect(page.locator("#writing-status")).to_contain_text(f"Stopped.seed {seed}")
    href = page.locator("#writing-status a").get_attribute("href")
    assert f"&seed={seed}&" in href
    expect(page.locator("#stop-writing")).to_be_disabled()
