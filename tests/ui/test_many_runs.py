"""A hosted page where many others' runs lie."""

import os
import shutil
import sys
import time
from pathlib import PurePath

import pytest

from charrnn.model.record import CONFIG
from charrnn.runs import queue, store
from charrnn.runs.events import FILE_NAME, EventLog
from charrnn.ui import following, generate_form, sharing
from tests.builders import ENGLISH, make_event, make_folder, make_record

OTHERS = 500
opened: list[str] = []  # files, while `watching`
watching: list[bool] = []


def note(event, arguments):
    if watching and event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])


sys.addaudithook(note)


@pytest.fixture
def mine(isolated, monkeypatch):
    """The id of a visitor's run, beside those of many others."""
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    first = make_folder(isolated / store.hosted_id(), make_record(title="Mine"))
    (first / store.STATE).mkdir()
    (first / store.STATE / store.CORPUS_FILE).write_text("a text")
    log = EventLog(first)
    log.append(make_event("started"))
    log.append(make_event("step", 5, loss=3.0))
    log.append(make_event("ended", 5, reason="finished"))
    os.utime(first / FILE_NAME, (0, 0))  # the copies are as old
    for _ in range(OTHERS):
        shutil.copytree(first, isolated / store.hosted_id())
    return first.name


def test_opening_the_page_reads_ones_own_runs_alone(isolated, mine):
    browser = {"run": mine, "held": [mine]}
    opened.clear()
    watching.append(True)
    started = time.process_time()
    try:
        shown = following.opened(ENGLISH, browser)
        chosen = generate_form.fill(ENGLISH, "", browser)
        sharing.refresh(ENGLISH, mine, browser, None)
    finally:
        watching.clear()
    assert time.process_time() - started < 0.2  # seconds of work
    assert "Mine" in shown.head
    assert [value for _, value in shown.choice["choices"]] == [mine]
    assert mine in {value for _, value in chosen.model["choices"]}
    here = [name for name in opened if name.startswith(str(isolated))]
    assert here
    assert all(name.startswith(str(isolated / mine)) for name in here)


def test_starting_a_training_reads_no_histories_of_others(isolated, mine):
    opened.clear()
    watching.append(True)
    try:
        with queue.accepting():
            pass
    finally:
        watching.clear()
    names = {PurePath(name).name for name in opened if name.startswith(str(isolated))}
    assert "accepting" in names
    assert not names & {FILE_NAME, CONFIG}
