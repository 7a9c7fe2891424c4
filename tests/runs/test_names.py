"""Folders that people rename, and runs that lie elsewhere, by name and by path."""

import shutil
import unicodedata
from pathlib import Path

import pytest

from charrnn.cli.parser import main
from charrnn.errors import RunError
from charrnn.runs import control, listing, preparation, store
from charrnn.runs.events import EventLog
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text.corpus import Corpus
from charrnn.ui.shared import Browser
from tests.builders import make_event, make_folder, make_record

NAMES = ("my novel", "gru-v1.0", "Wörter", "-x", "小説", "n" * 100)


@pytest.fixture
def run(small_corpus: Corpus) -> Path:
    prepared = preparation.prepare(small_corpus, settings={"rnn_units": 8})
    path = control.create(prepared, model_id="begun")
    EventLog(path).append(make_event("ended", reason="stopped"))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_folder_is_listed_and_used_by_its_name(run, name, capfd):
    path = run.rename(run.with_name(name))
    assert name in [entry.model_id for entry in listing.list_runs()]
    assert store.find(name) == path
    assert read_status(name).run_id == name
    assert Browser.of({"run": name, "held": [name]}).run == name
    assert main(["follow", "--", name]) == 0
    assert main(["follow", str(path)]) == 0
    control.rename(name, "Another title")
    control.delete(name)
    assert not path.exists()


def test_a_renamed_run_is_resumed_by_its_trainer(run, monkeypatch):
    begun: list[list[str]] = []
    monkeypatch.setattr(control, "_detach", lambda path, command: begun.append(command))
    control.spawn(run.rename(run.with_name("-x")))
    control.start_baseline(store.find("-x"))
    assert begun == [["train", "--resume=-x", "--background"], ["baseline", "--", "-x"]]


def test_an_accent_may_be_spelled_otherwise(run):
    decomposed = unicodedata.normalize("NFD", "Wörter")
    path = run.rename(run.with_name(decomposed))
    assert store.find("Wörter") == store.find(decomposed) == path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".hidden", "no model or run"),
        ("n" * 101, "101 characters: at most 100"),
        ("a\x1b[1mb", "no letters or signs"),
        ("a\nb", "no letters or signs"),
    ],
)
def test_other_names_are_none(isolated, name, said):
    make_folder(isolated / name, make_record())
    assert [e.model_id for e in listing.entries() if not e.shipped] == []
    with pytest.raises(RunError, match=said):
        store.find(name)


def test_a_hosted_page_takes_ids_of_its_own_making_alone(run, monkeypatch):
    run.rename(run.with_name("my novel"))
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    with pytest.raises(RunError, match="no model or run"):
        store.find("my novel")
    assert Browser.of({"run": "my novel", "held": ["my novel"]}) == Browser()
    assert [e.model_id for e in listing.entries({"my novel"})] == list(
        store.SHIPPED_IDS
    )


def test_a_path_is_taken_wherever_a_name_is(run, tmp_path, capfd, monkeypatch):
    path = run.rename(tmp_path / "elsewhere")
    assert main(["stop", str(path)]) == 2
    assert "elsewhere is not being trained" in capfd.readouterr().err
    with store.hold(path):
        EventLog(path).append(make_event("started"))
        assert main(["stop", str(path)]) == 0
        assert (path / store.STOP).exists()
        assert main(["train", "--resume", str(path)]) == 2
    assert "elsewhere is being trained already" in capfd.readouterr().err
    monkeypatch.chdir(path)
    assert main(["follow", "."]) == 1
    assert main(["train", "--resume", "./nothing"]) == 2
    assert "Traceback" not in capfd.readouterr().err


def test_a_copy_of_a_shipped_model_is_listed_once(isolated):
    make_folder(isolated / store.SHIPPED_ID, make_record(title="My copy"))
    assert [e.record.title for e in listing.models()] == ["Python", "My copy"]
    assert store.find(store.SHIPPED_ID) == isolated / store.SHIPPED_ID
    shutil.rmtree(isolated / store.SHIPPED_ID)
    assert [e.record.title for e in listing.models()] == ["Shakespeare", "Python"]


def test_what_may_not_be_looked_at_is_said_and_stays_in_the_lists(run):
    shutil.rmtree(run / "state")
    (run / "state").symlink_to("x" * 300)  # as a folder of someone else's
    (entry,) = listing.list_runs()
    assert entry.state is RunState.STOPPED
