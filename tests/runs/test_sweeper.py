"""What a page removes by itself, and what it never does."""

import os
import threading
import time
from pathlib import Path

import pytest

from charrnn.hosting import Visitor
from charrnn.runs import control, leftovers, owner, preparation, store, sweeper
from charrnn.runs.events import EventLog
from charrnn.runs.history import read_view
from charrnn.runs.queue import turn
from charrnn.text.corpus import Corpus
from tests.builders import make_event, make_folder, make_record

DAY = 86_400
VISITOR = Visitor("session", "192.0.2.1")


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARRNN_HOSTED", "1")


def visitors_run(text: Corpus, *, ended_before: float | None = 0) -> Path:
    """A run of a visitor that ended so many seconds ago; None: it is queued."""
    prepared = preparation.prepare(text, settings={"rnn_units": 8})
    path = control.create(prepared, owner=owner.new_owner(VISITOR, page=True))
    if ended_before is not None:
        EventLog(path).append(make_event("ended", 1))
        for file in path.iterdir():
            os.utime(file, (time.time() - ended_before,) * 2)
    return path


@pytest.mark.usefixtures("hosted")
def test_old_runs_go_and_others_stay(small_corpus: Corpus, isolated: Path) -> None:
    old = visitors_run(small_corpus, ended_before=7 * DAY + 60)
    young = visitors_run(small_corpus, ended_before=7 * DAY - 60)
    held = visitors_run(small_corpus, ended_before=8 * DAY)
    pulled = make_folder(isolated / store.hosted_id(), make_record())
    own = make_folder(isolated / "shakespeare", make_record())  # of the machine's owner
    for folder in (pulled, own):
        os.utime(folder / "config.json", (1, 1))
        os.utime(folder / "model.safetensors", (1, 1))
    assert sweeper.kept_until(young) == pytest.approx(time.time() + 60, abs=5)
    assert sweeper.kept_until(own) is None
    with store.hold(held):  # it is being trained
        sweeper.sweep()
    left = {path for path in isolated.iterdir() if not path.name.startswith(".")}
    assert left == {young, held, own}
    assert not old.exists()
    assert not list(isolated.glob(".deleted-*"))


def test_on_ones_own_computer_nothing_is_too_old(small_corpus: Corpus) -> None:
    path = control.create(preparation.prepare(small_corpus))
    EventLog(path).append(make_event("ended", 1))
    sweeper.sweep(now=time.time() + 400 * DAY)
    assert path.is_dir()
    assert sweeper.kept_until(path) is None


@pytest.mark.usefixtures("hosted")
def test_a_full_disk_takes_the_oldest_first(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = (3000, 1000, 2000)
    paths = [visitors_run(small_corpus, ended_before=age) for age in ages]
    waiting = visitors_run(small_corpus, ended_before=None)
    for path in (*paths, waiting):
        (path / "model.safetensors").write_bytes(bytes(400_000))
        os.utime(path / "model.safetensors", (0, 0))
    monkeypatch.setenv("CHARRNN_MAX_DISK_GB", "0.0013")  # three of about 0.41 MB
    sweeper.sweep()
    assert [path.exists() for path in paths] == [False, True, True]
    monkeypatch.setenv("CHARRNN_MAX_DISK_GB", "0.001")
    sweeper.sweep()
    assert [path.exists() for path in paths] == [False, True, False]
    assert waiting.exists()


def wait_in_queue(path: Path, outcome: list[bool]) -> None:
    with turn(path, EventLog(path), stopped=(path / "stop").exists) as ours:
        outcome.append(ours)


@pytest.mark.usefixtures("hosted")
@pytest.mark.parametrize(("page", "minutes"), [(True, 10), (False, 60)])
def test_a_queued_run_leaves_when_its_visitor_is_gone(
    small_corpus: Corpus, page: bool, minutes: int
) -> None:
    first = visitors_run(small_corpus, ended_before=None)
    prepared = preparation.prepare(small_corpus, settings={"rnn_units": 8})
    waiting = control.create(prepared, owner=owner.new_owner(VISITOR, page=page))
    silence, seen = 60 * minutes, owner.last_seen(waiting)
    outcome: list[bool] = []
    with turn(first, EventLog(first), stopped=lambda: False):
        trainer = threading.Thread(target=wait_in_queue, args=(waiting, outcome))
        trainer.start()
        while read_view(waiting).position != 1:
            time.sleep(0.01)
        sweeper.sweep(now=seen + silence - 5)
        sweeper.sweep(now=seen + silence + 5, since=seen + 10)  # the page just opened
        time.sleep(0.3)  # longer than between two looks of the trainer
        assert outcome == []
        sweeper.sweep(now=seen + silence + 5)
        trainer.join(timeout=20)
        assert outcome == [False]
    assert f"for {minutes} minutes there was no sign" in read_view(waiting).notices[-1]
    assert not (first / "stop").exists()  # its turn had come


@pytest.mark.usefixtures("hosted")
def test_a_sign_of_life_keeps_the_place(small_corpus: Corpus) -> None:
    path = visitors_run(small_corpus, ended_before=None)
    os.utime(path / "state" / "seen", (1, 1))
    owner.mark_seen(path)
    assert owner.last_seen(path) == pytest.approx(time.time(), abs=5)
    owner.mark_seen(path.with_name("gone"))
    assert not path.with_name("gone").exists()


@pytest.mark.usefixtures("hosted")
def test_what_is_given_up_goes_as_soon_as_it_has_ended(small_corpus: Corpus) -> None:
    at_rest = visitors_run(small_corpus)
    assert control.give_up(at_rest.name)
    assert not at_rest.exists()
    training = visitors_run(small_corpus, ended_before=None)
    with store.hold(training):
        assert not control.give_up(training.name)
        assert (training / "stop").exists()
        (training / "stop").unlink()  # somebody resumed it
        sweeper.sweep()
        assert (training / "stop").exists()
    EventLog(training).append(make_event("ended", 1))
    sweeper.sweep()
    assert not training.exists()


def test_what_a_killed_process_left_goes_and_frees_its_id(
    small_corpus: Corpus, isolated: Path
) -> None:
    prepared = preparation.prepare(small_corpus)
    killed = control.create(prepared, model_id="again")
    (killed / "config.json").rename(killed / ".config.json.0a1b2c3d.tmp")
    (killed / ".config.json.0a1b2c3d.tmp").rename(killed / ".vocab.json.0a1b2c3d.tmp")
    mine = isolated / "notes"
    mine.mkdir()
    (mine / "vocab.json").touch()
    (mine / "diary.txt").touch()
    for name in (".pull-0", ".deleted-0", ".mine"):
        (isolated / name / "state").mkdir(parents=True)
    now = time.time()
    leftovers.remove_leftovers(isolated, now=now + 3_590)
    assert len(list(isolated.iterdir())) == 5
    leftovers.remove_leftovers(isolated, now=now + 3_610)
    left = {path.name for path in isolated.iterdir()}
    assert left == {"notes", ".pull-0", ".mine"}
    leftovers.remove_leftovers(isolated, now=now + DAY + 10)
    assert {path.name for path in isolated.iterdir()} == {"notes", ".mine"}
    assert control.create(prepared, model_id="again").name == "again"


def test_a_start_removes_what_holds_the_id(
    small_corpus: Corpus, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "again" / "state").mkdir(parents=True)
    later = time.time() + 3_610
    monkeypatch.setattr(leftovers.time, "time", lambda: later)
    path = control.create(preparation.prepare(small_corpus), model_id="again")
    assert (path / "config.json").is_file()
