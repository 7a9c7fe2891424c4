"""Runs of a hosted page: who follows a link reads, who trained or took one in owns."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from charrnn.runs import control, owner, preparation
from charrnn.runs.events import EventLog
from charrnn.text import corpus
from tests.browser.steps import HUB_TAB, TRAIN_TAB, paste_and_shrink
from tests.builders import held_queue, make_event, varied_text, waiting_run

pytest.importorskip("playwright.sync_api", reason="no Playwright")
from playwright.sync_api import expect

TEXT = "the sea, the sand and the wind that carries the salt\n" * 60
TITLE = "Mine alone"


def start_training(page: Any) -> str:
    """Press Train; the link to the run."""
    paste_and_shrink(page, TEXT)
    page.locator("#run-title :is(input, textarea)").fill(TITLE)
    page.locator("#train").click()
    page.locator("#run-head strong", has_text=TITLE).wait_for()
    link = page.locator("#run-head button[data-act=link]")
    return str(link.get_attribute("data-href"))


def train(folder: Path) -> None:
    """What a training tells until its first sample."""
    log = waiting_run(folder)
    log.append(make_event("started", planned_steps=100))
    for step in range(1, 11):
        log.append(make_event("step", step, loss=4 - step / 10))
    log.append(make_event("validation", 10, val_loss=2.5, best=True))
    log.append(make_event("sample", 10))


def test_a_link_reads_and_its_maker_owns(hosted, visit):
    owner_visit, reader_visit = visit(), visit()
    mine = owner_visit.open(hosted.url)
    with held_queue(hosted.folder):
        href = start_training(mine)
        run_id = re.fullmatch(r"\?run=([0-9a-f]{32})", href)[1]  # and no key
        path = Path(hosted.folder) / run_id
        train(path)
        expect(mine.locator("#stop")).to_be_visible()
        mine.locator("#samples .shown").wait_for()
        theirs = reader_visit.open(hosted.url)
        read_by_another(theirs, hosted.url, href)
        check_signs_of_life(path, mine, theirs)
        again = owner_visit.open(hosted.url)  # the browser holds the key
        again.get_by_role("tab").nth(TRAIN_TAB).click()
        again.locator("#stop").click()
        again.locator("#run-head .badge.stopped").wait_for()
    expect(again.locator("#resume")).to_be_visible()
    expect(again.locator("#manage")).to_be_visible()
    theirs.locator("#run-head .badge.stopped").wait_for()
    expect(theirs.locator("#resume")).to_be_hidden()
    # who has followed a link finds the run again
    theirs.goto(hosted.url)
    theirs.get_by_role("tab").nth(TRAIN_TAB).click()
    theirs.locator("#run-head strong", has_text=TITLE).wait_for()

    again.evaluate("() => charrnn.keep('pasted', 'my text')")
    again.locator("#delete-all").click()
    again.locator("#all-sure").click()
    again.locator("#welcome", has_text="Deleted: 1").wait_for()
    assert not path.exists()
    again.wait_for_function(
        "() => !JSON.stringify({ ...sessionStorage }).includes('my text')"
    )
    again.goto(hosted.url)
    again.get_by_role("tab").nth(TRAIN_TAB).click()
    again.locator("#welcome").wait_for()


def read_by_another(page: Any, url: str, href: str) -> None:
    """Without the link nobody sees the run; with it everybody, and no more."""
    for tab in (TRAIN_TAB, HUB_TAB):
        page.get_by_role("tab").nth(tab).click()
        page.wait_for_timeout(500)
        assert TITLE not in page.content()
    page.get_by_role("tab").nth(TRAIN_TAB).click()
    page.locator("#welcome").wait_for()
    page.goto(url + href)
    page.locator("#plot svg").first.wait_for()
    page.locator("#samples .shown").wait_for()
    expect(page.locator("#run-head")).to_contain_text(TITLE)
    for hidden in ("#stop", "#resume", "#manage", "#continue"):
        expect(page.locator(hidden)).to_be_hidden()


def check_signs_of_life(path: Path, mine: Any, theirs: Any) -> None:
    """A hidden tab gives one, and a reader cannot."""
    seen = path / "state" / owner.SEEN
    sign = """() => {
      Object.defineProperty(document, "visibilityState", {value: "hidden"});
      charrnn.showAlive();
    }"""
    for page, is_owner in ((theirs, False), (mine, True)):
        os.utime(seen, (1, 1))
        with page.expect_response("**/gradio_api/run/**"):
            page.evaluate(sign)
        assert (owner.last_seen(path) > 1) == is_owner


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
