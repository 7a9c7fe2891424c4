"""The page around its tabs: what a reload brings back, and in which language."""

import re
import signal
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="no Playwright").expect

TEXT = "The quick brown fox jumps over the lazy dog and sleeps.\n" * 150
TABS = ("generate", "train", "hub")


def tab(page: Any, name: str) -> Any:
    return page.locator(f"[role=tab][data-tab-id={name}]")


def restart(served: Any, page: Any) -> None:
    """Kill the server and start it again; the page notices and opens anew."""
    page.evaluate("() => { window.old = true; }")
    served.end(signal.SIGKILL)
    served.start()
    page.wait_for_function("() => !window.old")
    page.locator("#compare:not([disabled])").wait_for(state="attached")


def choose_and_type(page: Any, model: str, prompt: str) -> None:
    """Choose a model, and type a prompt before the page has proposed one."""
    held: list[Any] = []
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    page.locator("#model input").click()
    with page.expect_request("**/gradio_api/run/**"):
        page.get_by_role("option", name=model).click()
    page.locator("#prompt textarea").fill(prompt)
    with page.expect_response("**/gradio_api/run/**"):
        for route in held:
            route.continue_()
    page.unroute("**/gradio_api/run/**")


# --- reload ----------------------------------------------------------------------


def test_what_was_entered_and_written_survives_a_lost_server(served, visit):
    visitor = visit()
    page = visitor.open(served.url)
    choose_and_type(page, "Slow", "the sea")
    page.locator("#temperature-2 input[type=number]").fill("1.35")
    page.locator("#length input").fill("10000")
    tab(page, "train").click()
    page.locator("#source input[value=paste]").check()
    page.locator("#pasted textarea").fill(TEXT)
    page.locator("#facts .facts").wait_for()
    # the form has made its number of epochs from the text's length
    expect(page.locator("#set-epochs input").first).not_to_have_value("7")
    page.locator("#advanced button").first.click()
    page.locator("#set-rnn_units input").fill("48")
    tab(page, "generate").click()
    page.locator("#compare").click()
    page.wait_for_function(
        "() => document.querySelector('#card-2 .written')?.textContent.length > 50"
    )
    tab(page, "train").dispatch_event("click")  # which waits for no frame at rest
    before = page.locator("#card-2 .written").text_content()
    restart(served, page)

    expect(tab(page, "train")).to_have_attribute("aria-selected", "true")
    assert "tab=train" in page.url
    expect(page.locator("#source input[value=paste]")).to_be_checked()
    expect(page.locator("#pasted textarea")).to_have_value(TEXT)
    page.locator("#facts .facts").wait_for()
    page.locator("#advanced button").first.click()
    expect(page.locator("#set-rnn_units input")).to_have_value("48")
    tab(page, "generate").click()
    expect(page.locator("#prompt textarea")).to_have_value("the sea")
    expect(page.locator("#model input")).to_have_value(re.compile("Slow"))
    expect(page.locator("#temperature-2 input[type=number]")).to_have_value("1.35")
    expect(page.locator("#length input")).to_have_value("10000")
    after = page.locator("#card-2 .written").text_content()
    assert after.startswith(before)
    expect(page.locator("#card-2 .cut")).to_contain_text("cut off")

    # its own model goes on with it, in its place, whatever the form asks for by now
    page.locator("#model input").click()
    page.get_by_role("option", name="A toy").click()
    expect(page.locator("#model input")).to_have_value(re.compile("toy"))
    page.locator("#card-2 .cut button").click()  # write on
    page.wait_for_function(
        "n => document.querySelector('#card-2 .written')?.textContent.length > n",
        arg=len(after),
    )
    written = page.locator("#card-2 .written")
    assert written.text_content().startswith(after)
    assert "model=slow" in written.get_attribute("data-link")
    expect(written).to_have_attribute("data-temperature", "1.35")
    expect(page.locator(".cut")).to_have_count(3)  # the others wait as they were
    page.locator("#stop-writing").dispatch_event("click")
    visitor.faults.clear()  # a server that is gone is noted as an error


def test_a_finished_text_comes_back_and_back_goes_through_the_tabs(served, visit):
    page = visit().open(served.url + "?model=toy&prompt=so&length=40")
    page.locator("#compare").click()
    link = page.locator("#writing-status a")
    link.wait_for()
    texts = page.locator("#columns .written").all_text_contents()
    href = link.get_attribute("href")
    page.reload()
    expect(page.locator("#columns .written")).to_have_text(texts)
    expect(link).to_have_attribute("href", href)
    expect(page.locator(".cut")).to_have_count(0)
    # another link in the same tab starts anew
    page.goto(served.url + "?model=toy&prompt=other")
    expect(page.locator("#prompt textarea")).to_have_value("other")
    page.wait_for_timeout(500)
    expect(page.locator("#columns .written")).to_have_count(0)

    # Back goes through the tabs
    tab(page, "hub").click()
    expect(page).to_have_url(re.compile("tab=hub"))
    tab(page, "train").click()
    expect(page).to_have_url(re.compile("tab=train"))
    tab(page, "generate").click()
    expect(page).to_have_url(re.compile("tab=generate"))
    for name in ("train", "hub"):
        page.go_back()
        expect(tab(page, name)).to_have_attribute("aria-selected", "true")
        assert f"tab={name}" in page.url


# --- language --------------------------------------------------------------------


def test_a_chosen_language_is_that_of_the_whole_page_and_stays(served, visit):
    visitor = visit()
    page = visitor.open(served.url + "?model=toy")
    page.locator("#prompt textarea").fill("so é")
    page.locator("#language").select_option("ja")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("#compare")).to_have_text("比べる")
    expect(page.locator("#prompt textarea")).to_have_value("so é")  # nothing is lost
    page.locator("#compare").click()  # what the server says, too
    expect(page.locator("#writing-status")).to_contain_text("のモデル")
    [cookie] = visitor.context.cookies()
    assert cookie["name"] == "charrnn_lang"
    assert cookie["sameSite"] == "Lax"
    tab(page, "train").click()
    page.locator("#source input[value=paste]").check()
    page.locator("#pasted textarea").fill("abc")  # an error of the program's
    expect(page.locator("#facts")).to_contain_text("は 3 文字です")
    other = visitor.open(served.url)
    expect(other.locator("#compare")).to_have_text("比べる")
    expect(other.locator("#language")).to_have_value("ja")


def test_without_cookies_a_header_says_the_language(served, visit):
    visitor = visit()
    visitor.context.add_init_script(
        "Object.defineProperty(document, 'cookie', { get: () => '', set: () => {} })"
    )
    page = visitor.open(served.url + "?model=toy")
    page.locator("#language").select_option("ja")
    expect(page.locator("#compare")).to_have_text("比べる")
    with page.expect_request(lambda r: "queue/join" in r.url) as asked:
        page.locator("#compare").click()
    assert asked.value.headers["x-charrnn-lang"] == "ja"
    expect(page.locator("#writing-status")).to_contain_text("文字")


def test_a_browser_with_several_languages_gets_one_of_ours_throughout(served, visit):
    visitor = visit(
        locale=None, extra_http_headers={"Accept-Language": "fr-FR,ja;q=0.9"}
    )
    page = visitor.open(served.url)
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("#compare")).to_have_text("比べる")
    expect(page.locator("footer")).to_contain_text("API")
    expect(page.locator("footer")).not_to_contain_text("Utiliser")
