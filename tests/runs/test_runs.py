"""Runs as folders: names, queue, life and death, without TensorFlow."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from charrnn import card
from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import (
    CharrnnError,
    CheckpointError,
    ConfigError,
    CorpusError,
    RunError,
)
from charrnn.files import redact
from charrnn.hosting import Policy
from charrnn.model import checkpoint
from charrnn.model.record import Parent
from charrnn.presets import command_line
from charrnn.runs import baseline, control, listing, packing, preparation, store
from charrnn.runs.events import EventLog
from charrnn.runs.queue import accepting, turn
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text import corpus
from charrnn.text.baseline import ngram_loss
from charrnn.text.corpus import Corpus
from charrnn.text.sources import load_all
from charrnn.text.vocabulary import Vocabulary
from tests.builders import make_event

TINY = {"rnn_units": 8, "embedding_dim": 4, "batch_size": 4, "seq_length": 20}


def created(text: Corpus, **arguments: object) -> Path:
    return control.create(preparation.prepare(text, settings=TINY), **arguments)


def with_weights(folder: Path) -> Path:
    """Random weights, as a finished run would have left them."""
    record = checkpoint.read_record(folder)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in record.model.tensor_shapes().items()
    }
    checkpoint.save_weights(folder, record.model, weights)
    return folder


@pytest.mark.parametrize(
    "name",
    ["..", ".", "../shakespeare", "/etc", "a/b", "a\\b", "", "-x", "a\0b", "x" * 200],
)
def test_a_name_never_becomes_a_path(name: str) -> None:
    with pytest.raises(RunError, match="no model or run"):
        store.find(name)


def test_a_folder_is_written_whole_and_never_over_another(small_corpus: Corpus) -> None:
    first = created(small_corpus, title="Ünïted  Sea\n stories")
    second = created(small_corpus, title="Ünïted Sea stories")
    assert (first.name, second.name) == ("united-sea-stories", "united-sea-stories-2")
    record = checkpoint.read_record(first)
    assert record.title == "Ünïted Sea stories"
    assert record.corpus.sha256 == small_corpus.sha256
    assert record.corpus.characters == 6000
    assert (first / "state" / "corpus.txt").read_text() == small_corpus.text
    with pytest.raises(RunError, match="taken"):
        created(small_corpus, model_id=first.name)
    with pytest.raises(RunError, match="cannot be an id"):
        created(small_corpus, model_id="../evil")
    with pytest.raises(RunError, match="taken"):
        created(small_corpus, model_id=store.SHIPPED_ID)


def test_an_unwritable_place_is_told(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(tmp_path / "file" / "runs"))
    with pytest.raises(RunError, match="CHARRNN_CHECKPOINTS"):
        created(small_corpus)


def test_what_cannot_fit_is_refused_before_it_starts(
    small_corpus: Corpus, isolated: Path
) -> None:
    huge = {"rnn_units": 2048, "num_layers": 4, "batch_size": 4, "seq_length": 20}
    model = ModelConfig(vocab_size=66, rnn_units=2048, num_layers=4)
    training = TrainingConfig(batch_size=1024, seq_length=1000)
    assert preparation.estimate_memory(model, training, 10**6) > 4e11
    with pytest.raises(RunError, match="reduce rnn_units, batch_size or seq_length"):
        preparation.check_memory(model, training, 10**6)
    assert preparation.prepare(small_corpus, settings=huge).model.rnn_units == 2048
    small = preparation.estimate_memory(
        ModelConfig(vocab_size=66), TrainingConfig(), 10**6
    )
    assert small < 2e9


def test_the_memory_estimate_adds_up_what_it_names() -> None:
    """Four layers of 2048 LSTM units, counted by hand."""
    model = ModelConfig(cell="lstm", rnn_units=2048, num_layers=4, vocab_size=66)
    training = TrainingConfig(batch_size=32, seq_length=100)
    first = 256 * 4 * 2048 + 2048 * 4 * 2048 + 4 * 2048
    later = 2 * 2048 * 4 * 2048 + 4 * 2048
    parameters = 66 * 256 + first + 3 * later + 2048 * 66 + 66
    arrays = 4 * (6 + 8) + 3 + 8  # (32, 100, 2048)
    numbers = 11 * parameters + 3200 * (2048 * arrays + 3 * 66) + 3 * 66 * 4 * 2048
    expected = 700_000_000 + 4 * numbers + 6 * 10**6
    assert preparation.estimate_memory(model, training, 10**6) == expected
    # a small batch is validated with a larger one, of which a short text has less
    small = TrainingConfig(batch_size=1, seq_length=10)
    numbers = 11 * parameters + 8192 * (2048 * (6 + 12) + 3 * 66) + 3 * 66 * 4 * 2048
    expected = 700_000_000 + 4 * numbers + 6 * 10**6
    assert preparation.estimate_memory(model, small, 10**6) == expected
    assert preparation.estimate_memory(model, small, 1000) < expected - 8e8


def test_settings_are_checked_and_shrunk(small_corpus: Corpus) -> None:
    with pytest.raises(ConfigError, match="no setting 'units'"):
        preparation.prepare(small_corpus, settings={"units": 3})
    prepared = preparation.prepare(small_corpus, settings={"batch_size": 512})
    assert prepared.training.batch_size < 512
    assert prepared.notices


def test_state_follows_history_and_lock(small_corpus: Corpus) -> None:
    folder = created(small_corpus)
    log = EventLog(folder)
    now = read_status(folder.name).state
    assert now is RunState.QUEUED  # just written: it may start
    log.append(make_event("started", 0, planned_steps=100, steps_per_epoch=50))
    assert read_status(folder.name).state is RunState.DIED
    with store.hold(folder):
        log.append(make_event("validation", 10, val_loss=2.5, best=True))
        log.append(make_event("validation", 20, val_loss=2.75, best=False))
        status = read_status(folder.name)
        assert (status.state, status.view.step) == (RunState.RUNNING, 20)
        assert status.view.best is not None
        assert (status.view.best.step, status.view.best.val_loss) == (10, 2.5)
        assert status.view.planned_steps == 100
        control.stop(folder.name)
        assert read_status(folder.name).state is RunState.STOPPING
        with pytest.raises(RunError, match="being trained"):
            control.delete(folder.name)
    log.append(make_event("ended", 20, reason="stopped"))
    assert read_status(folder.name).state is RunState.STOPPED
    with pytest.raises(RunError, match="nothing to stop"):
        control.stop(folder.name)
    log.append(make_event("failed", 20, message="because"))
    assert read_status(folder.name).message == "because"


@pytest.mark.parametrize("age", [60, -3600])  # or the clock was set back since then
def test_a_run_that_never_started_is_told_dead(small_corpus: Corpus, age: int) -> None:
    folder = created(small_corpus)
    old = EventLog(folder, clock=lambda: time.time() - age)
    old.append(make_event("queued"))
    assert read_status(folder.name).state is RunState.DIED


def test_a_finished_run_needs_a_number_of_epochs(small_corpus: Corpus) -> None:
    folder = created(small_corpus)
    log = EventLog(folder)
    log.append(make_event("started", 0, planned_steps=100, steps_per_epoch=50))
    log.append(make_event("ended", 100, reason="finished"))
    with pytest.raises(RunError, match="--epochs"):
        control.request_resume(folder)
    control.request_resume(folder, more_epochs=3)
    training = checkpoint.read_record(folder).training
    assert (training.epochs, training.minutes) == (5, None)
    with store.hold(folder), pytest.raises(RunError, match="being trained"):
        control.request_resume(folder, more_epochs=1)


def test_models_are_renamed_listed_packed_and_deleted(
    small_corpus: Corpus, tmp_path: Path
) -> None:
    folder = with_weights(created(small_corpus))
    (folder / "train.log").write_text("private")
    control.rename(folder.name, "  a\tnew \n name ")
    (entry,) = [e for e in listing.models() if e.model_id == folder.name]
    assert entry.record.title == "a new name"
    assert entry.is_run
    assert not entry.shipped
    with pytest.raises(RunError, match="at least one character"):
        control.rename(folder.name, " \n")
    target = packing.archive(folder.name, tmp_path)
    with zipfile.ZipFile(target) as file:
        assert sorted(file.namelist()) == [
            *("config.json", "events.jsonl", "model.safetensors", "vocab.json")
        ]
    control.delete(folder.name)
    assert not folder.exists()
    assert folder.name not in [e.model_id for e in listing.entries()]


def newer(config: Path) -> None:
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "format_version": 99}))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (newer, "has format_version 99, written by charrnn"),
        (lambda config: config.write_text("{"), "is not JSON"),
    ],
)
def test_a_record_that_cannot_be_read_is_listed_with_the_reason(
    small_corpus: Corpus, damage: Callable[[Path], object], problem: str
) -> None:
    good, bad = created(small_corpus), created(small_corpus)
    damage(bad / "config.json")
    (store.folder() / "a-folder").mkdir()  # is no model and claims to be none
    assert [e.model_id for e in listing.list_runs()] == [good.name]
    (found,) = listing.unreadable()
    assert (found.model_id, found.is_run) == (bad.name, True)
    assert problem in found.problem
    with pytest.raises(CharrnnError):
        read_status(bad.name)


def without_config(folder: Path) -> Path:
    (folder / "config.json").unlink()
    return folder


def with_a_folder_for_config(folder: Path) -> Path:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    return folder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_config, "has no config.json: it is not a model."),
        (with_a_folder_for_config, "has no config.json: it is not a model."),
        (
            lambda folder: folder.rename(folder.with_name("a" * 101)),
            "Its name has 101 characters: at most 100 are taken. Rename the folder.",
        ),
        (
            lambda folder: folder.rename(folder.with_name("a\nb\x1b[31m")),
            "Its name holds characters that are no letters or signs. "
            "Rename the folder.",
        ),
    ],
)
def test_no_folder_of_a_model_vanishes_without_a_word(
    trained: Path, change: Callable[[Path], Path], problem: str
) -> None:
    path = change(trained)
    (found,) = listing.unreadable()
    assert found.model_id == path.name.replace("\n", " ").replace("\x1b", " ")
    assert found.problem.endswith(problem)
    assert found.is_run
    assert trained.name not in [entry.model_id for entry in listing.entries()]
    with pytest.raises(CharrnnError) as caught:
        read_status(path.name)
    assert problem in str(caught.value)
    with pytest.raises(RunError, match=r"There is no folder '\./nowhere'\."):
        store.resolve("./nowhere")


def test_a_folder_that_may_not_be_looked_into_stops_nothing(
    small_corpus: Corpus, isolated: Path
) -> None:
    locked = isolated / "locked"
    locked.mkdir()
    locked.chmod(0)
    if os.access(locked, os.X_OK):
        pytest.skip("this user may read everything")
    try:
        run = created(small_corpus)
        (found,) = listing.unreadable()
        problem = "config.json cannot be read (Permission denied)."
        assert (found.model_id, found.problem) == ("locked", problem)
        with pytest.raises(CheckpointError, match="Permission denied"):
            read_status("locked")
        (run / "events.jsonl").chmod(0)
        with pytest.raises(CheckpointError, match=r"^events\.jsonl cannot be read"):
            packing.pack(run, isolated / "out.zip", state=False, text=False)
        with pytest.raises(CorpusError, match=r"^locked cannot be read"):
            load_all([str(locked)], max_bytes=1000)
    finally:
        locked.chmod(0o700)


def test_a_history_that_cannot_be_read_is_a_state(small_corpus: Corpus) -> None:
    folder = created(small_corpus)
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()
    (entry,) = listing.list_runs()
    assert entry.state is RunState.UNREADABLE
    assert entry.problem == (
        f"The history of {folder.name} (events.jsonl) cannot be read (Is a directory)."
    )
    status = read_status(folder.name)
    assert (status.state, status.message) == (RunState.UNREADABLE, entry.problem)
    for act in (control.stop, control.resume):
        with pytest.raises(CharrnnError, match="cannot be read"):
            act(folder.name)


QUEUE_SCRIPT = """
import sys, time
from pathlib import Path
from charrnn.runs import queue, store
from charrnn.runs.events import EventLog
path, out = Path(sys.argv[1]), Path(sys.argv[2])
with store.hold(path), queue.turn(path, EventLog(path), stopped=lambda: False) as ours:
    with out.open("a") as file: file.write(f"in {path.name}\\n")
    while not Path(sys.argv[3]).exists(): time.sleep(0.01)
    with out.open("a") as file: file.write(f"out {path.name}\\n")
"""


def queue(path: Path, out: Path, until: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", QUEUE_SCRIPT, str(path), str(out), str(until)]
    return subprocess.Popen(command, cwd=store.PACKAGE_ROOT, env={**os.environ})


def wait_until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_three_processes_train_in_order_of_arrival(
    small_corpus: Corpus, tmp_path: Path, isolated: Path
) -> None:
    out = tmp_path / "out.txt"
    out.touch()
    folders = [created(small_corpus, model_id=name) for name in ("c", "a", "b")]
    processes = []
    for number, folder in enumerate(folders, start=1):
        processes.append(queue(folder, out, tmp_path / "go"))
        wait_until(lambda n=number: len(list(isolated.glob(".queue/0*"))) >= n)
    wait_until(lambda: read_status("b").view.position == 2)
    assert read_status("b").state is RunState.QUEUED
    (tmp_path / "go").touch()
    for process in processes:
        assert process.wait(timeout=30) == 0
    expected = ["in c", "out c", "in a", "out a", "in b", "out b"]
    assert out.read_text().splitlines() == expected
    assert not list(isolated.glob(".queue/0*"))


def test_as_many_train_at_once_as_the_policy_allows(
    small_corpus: Corpus, tmp_path: Path, isolated: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CHARRNN_AT_ONCE", "2")
    out = tmp_path / "out.txt"
    out.touch()
    processes = []
    for number, name in enumerate("abcd", start=1):
        folder = created(small_corpus, model_id=name)
        processes.append(queue(folder, out, tmp_path / "go"))
        wait_until(lambda n=number: len(list(isolated.glob(".queue/0*"))) >= n)
    wait_until(lambda: read_status("d").view.position == 2)
    assert read_status("c").view.position == 1
    wait_until(lambda: len(out.read_text().splitlines()) == 2)
    assert set(out.read_text().splitlines()) == {"in a", "in b"}
    (tmp_path / "go").touch()
    assert [process.wait(timeout=30) for process in processes] == [0] * 4


def test_a_clock_that_is_set_back_does_not_jump_the_queue(
    small_corpus: Corpus, isolated: Path
) -> None:
    first, second = created(small_corpus), created(small_corpus)
    ahead = isolated / ".queue" / f"{time.time_ns() + 10**13:020d}-ahead"
    ahead.parent.mkdir()
    with FileLock(ahead):
        looks = iter([False, True])
        log = EventLog(second)
        with turn(second, log, stopped=lambda: next(looks)) as ours:
            assert not ours
        assert read_status(second.name).view.position == 1
    with turn(first, EventLog(first), stopped=lambda: False) as ours:
        assert ours


def test_many_looks_at_a_dead_run_do_not_see_each_other(small_corpus: Corpus) -> None:
    folder = created(small_corpus)
    (folder / "lock").touch()
    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(lambda _: store.is_alive(folder), range(400)))
    assert seen == {False}
    with store.hold(folder):
        assert store.is_alive(folder)


def test_a_model_without_a_run_is_not_trained(small_corpus: Corpus) -> None:
    folder = created(small_corpus)
    shutil.rmtree(folder / "state")
    with pytest.raises(RunError, match="without a training"):
        store.own_run(folder.name)


def test_what_a_run_begins_from_keeps_its_sizes(small_corpus: Corpus) -> None:
    parent = with_weights(created(small_corpus))
    with pytest.raises(ConfigError, match="rnn_units is 64"):
        preparation.prepare(small_corpus, settings={"rnn_units": 64}, init=parent)


def test_a_run_grows_the_vocabulary_that_it_begins_with_and_names_its_parent(
    small_corpus: Corpus,
) -> None:
    parent = with_weights(created(small_corpus))
    old = checkpoint.load(parent)
    text = "いろは\U0001f642" * 40 + small_corpus.text + "あ"
    foreign = corpus.from_text(text, name="other", max_bytes=10**6)
    prepared = preparation.prepare(foreign, settings=dict(TINY), init=parent)
    assert "lacks 5 of the text's characters" in prepared.notices[0]
    assert "'あいはろ\U0001f642'" in prepared.notices[0]
    child = control.create(prepared)
    new = checkpoint.load(child)
    assert new.vocabulary == Vocabulary.of(text)
    assert new.record.model.vocab_size == len(old.vocabulary) + 5
    assert new.record.parent == Parent(
        title=old.record.title, weights=old.weights_hash, new_characters=5
    )
    told = card.write_card(child)
    assert f"`{old.weights_hash}` of another model" in told
    assert "Characters that it lacked: 5." in told
    assert "from scratch" not in told
    assert "--init PARENT" in told


def test_new_characters_that_find_no_room_are_the_rarest(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = with_weights(created(small_corpus))
    known = checkpoint.load(parent).vocabulary
    monkeypatch.setattr(preparation, "MAX_VOCAB_SIZE", len(known) + 1)
    text = small_corpus.text + "あああいいう"
    foreign = corpus.from_text(text, name="other", max_bytes=10**6)
    prepared = preparation.prepare(foreign, settings=dict(TINY), init=parent)
    assert prepared.vocabulary == known.grown("あ")
    assert prepared.notices[:2] == (
        "The model that the training begins from lacks 1 of the text's characters; "
        "each gets a row of its own: 'あ'.",
        "The model has room for 1 new characters: the 2 rarest of the text are read "
        "as [UNK].",
    )


def test_a_hosted_page_keeps_ids_secret_runs_short_and_queues_bounded(
    small_corpus: Corpus, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = created(small_corpus)
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    strangers = created(small_corpus, model_id=store.hosted_id())
    assert store.find(strangers.name) == strangers
    with pytest.raises(RunError, match="no model or run"):
        store.find(owners.name)
    prepared = preparation.prepare(small_corpus, settings={"epochs": 9000})
    assert (prepared.training.epochs, prepared.training.minutes) == (9000, 30)
    assert "30 minutes" in " ".join(prepared.notices)
    with accepting():
        pass
    for _ in range(11):  # with the one from before: twelve that may yet begin
        created(small_corpus, model_id=store.hosted_id())
    with pytest.raises(RunError, match="come back later"):
        control.start(small_corpus)
    monkeypatch.setattr(Policy, "min_free_bytes", 10**18)
    with pytest.raises(RunError, match="disk of this page is full"):
        control.start(small_corpus)


def test_a_stranger_does_not_touch_the_shipped_model_while_it_is_retrained(
    small_corpus: Corpus, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "shipped_folder", lambda: isolated)
    monkeypatch.setattr(
        control, "new_folder", lambda parent, name, exact: _made(parent)
    )
    created(small_corpus)
    assert store.own_run(store.SHIPPED_ID).name == store.SHIPPED_ID
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    with pytest.raises(RunError, match="without a training"):
        control.stop(store.SHIPPED_ID)


def _made(parent: Path) -> Path:
    (parent / store.SHIPPED_ID).mkdir()
    return parent / store.SHIPPED_ID


def test_the_dead_do_not_hold_the_queue(
    small_corpus: Corpus, tmp_path: Path, isolated: Path
) -> None:
    out = tmp_path / "out.txt"
    out.touch()
    first = queue(created(small_corpus, model_id="first"), out, tmp_path / "never")
    wait_until(lambda: "in first" in out.read_text())
    second = queue(created(small_corpus, model_id="second"), out, out)
    wait_until(lambda: read_status("second").view.position == 1)
    first.kill()
    first.wait()
    assert second.wait(timeout=30) == 0
    assert out.read_text().splitlines()[1:] == ["in second", "out second"]


def test_the_log_tells_no_folder_and_no_token() -> None:
    line = 'File "/usr/some where/lib/x.py", line 3: hf_AbCdEf123 in a/b.txt 1/2'
    assert redact(line) == 'File "x.py", line 3: hf_*** in a/b.txt 1/2'


def test_the_command_line_is_quoted_and_complete() -> None:
    command = command_line(
        "my text.txt", "quick", {"rnn_units": 64, "epochs": None}, title="it's"
    )
    assert command == (
        "python -m charrnn train --corpus 'my text.txt' --preset quick "
        "--rnn-units 64 --title 'it'\"'\"'s'"
    )


def test_the_baseline_is_found_once_for_a_text(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "cache"))
    folder = created(small_corpus)
    vocabulary = checkpoint.read_vocabulary(folder, checkpoint.read_record(folder))
    ids = vocabulary.encode(small_corpus.text)
    expected = ngram_loss(ids[:5400], ids[5400:], len(vocabulary), order=5)
    assert baseline.baseline_loss(folder) == expected
    (folder / "state" / "corpus.txt").unlink()  # from here on it is the cache's
    assert baseline.baseline_loss(folder) == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt, CheckpointError])
def test_a_run_that_could_not_be_written_whole_leaves_its_id_free(
    small_corpus, monkeypatch, error
):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_record", fail)  # the last file but one
        with pytest.raises(error):
            created(small_corpus, model_id="again")
    assert not (store.folder() / "again").exists()
    assert created(small_corpus, model_id="again").name == "again"
