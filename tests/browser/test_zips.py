"""A run out of one page as a zip, and into a hosted one, by its buttons."""

from typing import Any

import pytest

from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.text import corpus
from tests.builders import make_event, varied_text

pytest.importorskip("playwright.sync_api", reason="no Playwright")
from playwright.sync_api import expect

TRAIN_TAB, HUB_TAB = 1, 3


@pytest.fixture
def run_id(served: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stopped run of the local page."""
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(served.folder))
    text = corpus.from_text(varied_text(6000), name="small", max_bytes=10**6)
    prepared = preparation.prepare(text, settings={"rnn_units": 8})
    path = control.create(prepared, title="A sea run")
    EventLog(path).append(make_event("ended", reason="stopped"))
    return path.name


def test_a_run_moves_to_another_page(served, hosted, visit, run_id, tmp_path):
    page = visit().open(f"{served.url}?run={run_id}")
    page.locator("#run-head strong").wait_for(state="attached")
    page.get_by_role("tab").nth(TRAIN_TAB).click()
    page.locator("#manage button").first.click()
    page.locator("#zip-text input").check()
    with page.expect_download() as download:
        page.locator("#zip").click()
    download.value.save_as(tmp_path / "run.zip")
    control.delete(run_id)

    other = visit().open(hosted.url)
    other.get_by_role("tab").nth(HUB_TAB).click()
    with other.expect_file_chooser() as chooser:
        other.locator("#take-zip").click()
    chooser.value.set_files(tmp_path / "run.zip")
    expect(other.locator("#taken")).to_contain_text("“A sea run” is on the Train tab")
    other.get_by_role("tab").nth(TRAIN_TAB).click()
    expect(other.locator("#run-head strong")).to_have_text("A sea run")
    expect(other.locator("#run-head .badge")).to_have_class("badge stopped")
    expect(other.locator("#resume")).to_be_visible()
    expect(other.locator("#manage")).to_be_visible()  # it is this browser's own
