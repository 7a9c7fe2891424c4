"""A zip out of one page and into another, as their handlers are called."""

import shutil
from pathlib import Path

import pytest

from charrnn.errors import CharrnnError
from charrnn.runs import control
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.ui import following, run_actions, zips
from charrnn.ui.shared import NEW_BROWSER, Browser
from charrnn.ui.wiring import SKIP
from tests.builders import ENGLISH

EVIL = "<img src=x onerror=alert(2)>.zip"


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture
def upload(trained: Path, uploads: Path) -> Path:
    """The zip of a run with all that can be asked for, as it was uploaded."""
    control.rename(trained.name, "A <b>sea</b>")
    packed = zips.zip_file(trained.name, NEW_BROWSER, True, True)["value"]
    return Path(shutil.move(packed, uploads / "sea.zip"))


def test_ones_own_computer_takes_a_run_in_and_follows_it(upload, isolated):
    update = zips.take_in(ENGLISH, str(upload), NEW_BROWSER)
    assert "is on the Train tab now" in update.taken
    assert "<b>" not in update.taken
    assert update.followed == update.model["value"] == "a-b-sea-b"
    assert update.browser["keys"] == {}
    assert read_status(update.followed).state is RunState.FINISHED
    assert not upload.exists()


def test_a_hosted_page_makes_it_a_run_of_the_visitors_own(
    upload, isolated, monkeypatch
):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setattr(control, "spawn", lambda path: 0)  # nobody trains
    update = zips.take_in(ENGLISH, str(upload), NEW_BROWSER)
    run, held = update.followed, Browser.of(update.browser)
    assert held.owns(isolated / run)
    assert not Browser().owns(isolated / run)
    assert update.model["value"] == run
    with pytest.raises(CharrnnError, match="for the run's owner"):
        run_actions.train_more(ENGLISH, run, NEW_BROWSER, 1)
    run_actions.train_more(ENGLISH, run, update.browser, 1)
    assert read_status(run).state is RunState.QUEUED


def test_a_run_without_its_state_offers_nothing_to_go_on_with(trained, uploads):
    packed = zips.zip_file(trained.name, NEW_BROWSER, False, True)["value"]
    upload = shutil.move(packed, uploads / "sea.zip")
    update = zips.take_in(ENGLISH, str(upload), NEW_BROWSER)
    assert "its training cannot go on" in update.taken
    shown = following.follow(ENGLISH, update.followed, NEW_BROWSER)
    assert not shown.resume["visible"]
    assert not shown.more["visible"]
    assert following.follow(ENGLISH, trained.name, NEW_BROWSER).more["visible"]


def test_what_is_no_zip_is_a_sentence_and_gone(uploads, isolated):
    path = uploads / EVIL
    path.write_bytes(b"PK")
    update = zips.take_in(ENGLISH, str(path), NEW_BROWSER)
    assert "is no zip that can be taken in" in update.taken
    assert "<img" not in update.taken
    assert update[1:] == (SKIP, SKIP, SKIP)
    assert list(uploads.iterdir()) == list(isolated.iterdir()) == []
    assert zips.take_in(ENGLISH, None, NEW_BROWSER).taken == ""
