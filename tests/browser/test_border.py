"""An error's message as a browser shows it."""

from collections.abc import Iterator

import gradio as gr
import pytest

from charrnn.errors import ConfigError
from charrnn.ui.border import Border
from charrnn.ui.wiring import PRIVATE

SENTENCE = "No such thing: <b>'x'</b> & <img src=x onerror=alert(1)> &lt;"


def fail() -> None:
    raise ConfigError(SENTENCE)


@pytest.fixture
def address() -> Iterator[str]:
    with Border() as blocks:
        gr.Button("Fail").click(fail, None, None, **PRIVATE)
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield url
    blocks.close(verbose=False)


def test_a_message_is_shown_letter_by_letter(browser, address):
    page = browser.new_page()
    ran: list[str] = []
    page.on("dialog", lambda dialog: ran.append(dialog.message))
    page.goto(address)
    page.get_by_role("button", name="Fail").click()
    toast = page.get_by_test_id("toast-text")
    toast.wait_for()
    assert toast.inner_text().strip() == SENTENCE
    assert toast.locator("b, img").count() == 0
    assert ran == []
    page.close()
