"""A whole training in this process: what it learns, records and leaves."""

import contextlib
import dataclasses
import json
import math
import os
import platform
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from charrnn.errors import RunError, TrainingError
from charrnn.model import calibration, checkpoint, scores, snapshots
from charrnn.model.generation import generate
from charrnn.model.record import Machine
from charrnn.runs import control, events, film, preparation, store
from charrnn.runs.baseline import baseline_loss
from charrnn.runs.events import Event, EventLog
from charrnn.runs.history import read_view
from charrnn.runs.quality import best_loss
from charrnn.runs.states import EndReason, RunState
from charrnn.runs.status import read_status
from charrnn.text import corpus
from charrnn.text.corpus import Corpus
from charrnn.trainer import train
from charrnn.trainer.callbacks import SAMPLE_LENGTH, SAMPLING
from charrnn.trainer.network import to_weights
from charrnn.trainer.schedule import Schedule
from charrnn.trainer.session import Progress, open_session, save_state
from charrnn.web.weights import measure_costs
from tests.builders import (
    TINY,
    make_event,
    rows,
    tensors_to_bytes,
    wait_for_event,
    with_baseline,
)


def created(text: Corpus, **settings: object) -> Path:
    prepared = preparation.prepare(text, settings={**TINY, **settings})
    return with_baseline(control.create(prepared))


def read_all(folder: Path) -> list[Event]:
    """The whole history, what was taken back included."""
    return events.read(folder).events


def of(kind: str, told: list[Event]) -> list[Any]:
    return [event for event in told if event.type == kind]


def test_the_exact_pass_of_a_part_says_so_and_is_what_evaluate_finds(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "VALIDATION_LIMIT", 300)
    settings = {**TINY, "epochs": 1}
    folder = with_baseline(
        control.create(preparation.prepare(small_corpus, settings=settings))
    )
    train.train(folder)
    figures = checkpoint.read_record(folder).figures
    assert figures is not None
    assert figures.val_characters == 300
    model = checkpoint.load(folder)
    ids = model.vocabulary.encode(small_corpus.text)[corpus.split_at(6000) :]
    scored = scores.evaluate(model, ids[:301])
    assert scored.nats_per_char == pytest.approx(figures.val_loss, abs=1e-3)
    best = best_loss(checkpoint.read_record(folder), read_view(folder))
    assert best is not None
    assert (best.loss, best.exact, best.characters) == (figures.val_loss, True, 300)


def test_a_run_tells_its_history_and_leaves_a_model(small_corpus: Corpus) -> None:
    heard: list[Event] = []
    settings = {**TINY, "num_layers": 2, "dropout": 0.2, "cell": "lstm"}
    folder = control.create(preparation.prepare(small_corpus, settings=settings))
    assert train.train(folder, listener=heard.append) is EndReason.FINISHED
    wait_for_event(folder, "baseline")
    told = [e for e in read_all(folder) if e.type != "baseline"]
    assert told[1:] == heard  # all but `queued` and `baseline`, which others write
    (found,) = of("baseline", read_all(folder))
    assert found.loss == baseline_loss(folder)
    (started,) = of("started", told)
    record = checkpoint.read_record(folder)
    assert record.figures is not None
    assert started.parameters == record.model.num_parameters()
    assert started.planned_steps == 2 * started.steps_per_epoch
    validations = of("validation", told)
    assert validations[0].step == 30
    assert validations[-1].step == started.planned_steps
    *steps, last = [event.step for event in told if event.type == "sample"]
    assert steps == sorted({25, 50, 100} | {event.step for event in validations})
    assert last == record.figures.kept_step  # by the published weights
    assert of("ended", told)[0].reason is EndReason.FINISHED
    # the published weights score as told
    model = checkpoint.load(folder)
    ids = model.vocabulary.encode(small_corpus.text)
    exact = scores.evaluate(model, ids[corpus.split_at(len(ids)) :])
    assert record.figures.val_loss == exact.nats_per_char
    assert record.figures.reliability == exact.reliability
    # they are those of the best validation, times one number
    unscaled = calibration.unscaled(model.weights, record.figures)
    plain = dataclasses.replace(model, weights=unscaled)
    trained = scores.evaluate(plain, ids[corpus.split_at(len(ids)) :])
    best = min(e.val_loss for e in validations)
    assert trained.nats_per_char == pytest.approx(best, abs=2e-3)
    assert exact.nats_per_char < trained.nats_per_char
    fitted = calibration.fit(plain, ids[corpus.split_at(len(ids)) :])
    assert fitted is not None
    assert record.figures.logit_scale == fitted.whole
    crossed = scores.evaluate(
        model,
        ids[corpus.split_at(len(ids)) :],
        cold_factors=fitted.cross_fitted(exact.characters),
    )
    assert record.figures.cold256_val_loss == crossed.cold_nats_per_char
    costs = measure_costs(model, ids[corpus.split_at(len(ids)) :])
    assert record.figures.float16_cost == costs["float16"]
    assert record.figures.int8_cost == costs["int8"]
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("---\n")
    state = read_status(folder.name)
    assert (state.state, state.view.step) == (RunState.FINISHED, started.planned_steps)


@pytest.mark.parametrize(
    ("stored", "expected"), [("columns", "columns"), ("other", "loop"), (None, "loop")]
)
def test_the_implementation_of_the_scan_stays_with_a_run(
    small_corpus: Corpus, stored: str | None, expected: str
) -> None:
    folder = created(small_corpus)
    if stored is not None:
        record = checkpoint.read_record(folder)
        checkpoint.save_record(folder, dataclasses.replace(record, scan_impl=stored))
    session = open_session(folder, EventLog(folder))
    assert [layer.scan_impl for layer in session.network.rnn] == [expected]
    assert checkpoint.read_record(folder).scan_impl == expected


FAULTS = """
import numpy as np, resource
from charrnn.trainer.process import keep_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.ones(20_000_000, np.uint8)  # written: 4,883 pages of 4 KB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
loose = faults()
keep_memory()
faults()
print(loose, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc alone")
def test_freed_memory_stays_with_the_process() -> None:
    told = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, check=True, text=True
    ).stdout
    loose, kept = map(int, told.split())
    assert kept < 100 < loose


def peak_anonymous_mb(*arguments: str) -> float:
    """The most anonymous memory that a Python process held, in MB."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    peak, path = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        with contextlib.suppress(OSError):  # it may have ended just now
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]))
        time.sleep(0.05)
    assert process.returncode == 0
    return peak / 1000


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads /proc")
def test_a_text_of_100_mb_is_trained_in_300_mb_above_tensorflow(tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(["be", "not", "or", "to", "that"], 10**6)
    line = " ".join(words)
    text = (line + "\n") * (10**8 // len(line) + 1)
    path = tmp_path / "long.txt"
    path.write_text(text[: 10**8], encoding="utf-8")
    del text
    product = (
        "import charrnn.trainer.train, tensorflow as tf; x = tf.ones((999, 999)); x @ x"
    )
    alone = peak_anonymous_mb("-c", product)
    options = ("--preset", "quick", "--minutes", "0.5")
    peak = peak_anonymous_mb("-m", "charrnn", "train", "--corpus", str(path), *options)
    assert peak < alone + 300


def test_a_thousand_characters_are_learnt_by_heart() -> None:
    text = corpus.from_text(
        "".join(np.random.default_rng(4).permutation(list("abcdefghij \n" * 167)))[
            :1000
        ],
        name="noise",
        max_bytes=10**6,
    )
    folder = created(
        text,
        rnn_units=96,
        embedding_dim=32,
        seq_length=50,
        batch_size=4,
        epochs=150,
        validate_every=10**6,
        learning_rate=1e-2,
    )
    session = open_session(folder, EventLog(folder))
    assert train.fit(session) is EndReason.FINISHED
    steps = of("step", read_all(folder))
    # over the last tenth: a stream that begins again does not know where it is
    tail = [e for e in steps if e.step > 0.9 * steps[-1].step]
    before = [e.step for e in steps][-len(tail) - 1 : -1]
    counts = [e.step - b for e, b in zip(tail, before, strict=True)]
    assert np.average([e.loss for e in tail], weights=counts) < 0.05
    # the last weights, not the best by validation, know the text by heart
    model = checkpoint.Model(
        session.record, session.vocabulary, to_weights(session.network), ""
    )
    begin = 700  # well inside a stream, where states were never reset
    *_, (written,) = generate(model, text.text[100:begin], length=200, rows=rows(0.0))
    assert written == text.text[begin : begin + 200]


def test_the_average_is_kept_and_validating_moves_nothing(
    small_corpus: Corpus,
) -> None:
    states = []
    for every in (10, 10**6):
        folder = created(small_corpus, epochs=1, validate_every=every)
        train.train(folder)
        data = (folder / "state" / "state.safetensors").read_bytes()
        states.append(safetensors.numpy.load(data))
    aside = folder / "state" / "best.safetensors"  # not scaled
    config = checkpoint.read_record(folder).model
    kept, _ = checkpoint.load_weights(folder, config, path=aside)
    often, once = states
    assert often.keys() == once.keys()
    for name, array in once.items():
        np.testing.assert_array_equal(often[name], array)
    # the second run validated at its end alone
    for i, array in enumerate(kept.values()):
        np.testing.assert_array_equal(array, once[f"average.{i}"].reshape(array.shape))


def test_one_trace_serves_the_whole_run(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = created(small_corpus, epochs=3)
    session = open_session(folder, EventLog(folder))
    traces, step = [], session.network.train_step

    def counted(data: Any) -> Any:
        traces.append(data)  # the function itself runs only while it is traced
        return step(data)

    monkeypatch.setattr(session.network, "train_step", counted)
    train.fit(session)
    assert len(traces) == 1


def test_a_run_that_reads_its_own_characters_goes_on_to_the_same_weights(
    small_corpus: Corpus,
) -> None:
    settings = {"epochs": 1, "validate_every": 7, "scheduled_sampling": 0.8}
    whole = created(small_corpus, **settings)
    halted = Path(shutil.copytree(whole, whole.with_name("halted")))

    def halt(event: Event) -> None:
        if event.type == "validation":
            (halted / store.STOP).touch()

    ends = []
    for folder, listener in ((whole, None), (halted, halt), (halted, None)):
        session = open_session(folder, EventLog(folder, listener=listener))
        train.fit(session)
        (folder / store.STOP).unlink(missing_ok=True)
        ends.append((session.progress.step, to_weights(session.network)))
    (last, expected), (halt_step, _), (step, found) = ends
    assert (halt_step, step) == (7, last)
    assert last > 14
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_step_events_hold_the_batches_own_losses(small_corpus: Corpus) -> None:
    folder = created(small_corpus, epochs=1, validate_every=1, learning_rate=0.05)
    session = open_session(folder, EventLog(folder))
    own: list[float] = []
    step = session.network.train_step

    def watched(data: tuple[Any, ...]) -> dict[str, Any]:
        logs = step(data)
        tf.py_function(lambda loss: own.append(float(loss)), [logs["loss"]], [])
        return logs

    session.network.train_step = watched
    train.fit(session)
    steps = of("step", read_all(folder))
    # validated after each step, so that each event is of one batch
    assert [e.loss for e in steps] == pytest.approx(own, abs=1e-6)
    running = np.cumsum(own) / np.arange(1, len(own) + 1)
    assert np.abs(running - own).max() > 0.1  # which Keras' own metric would show


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_best(
    trained: Path,
) -> None:
    folder = trained
    kept = (folder / "model.safetensors").read_bytes()
    control.request_resume(folder, more_epochs=2)
    session = open_session(folder, EventLog(folder))
    session.network.head.bias.assign([math.nan] * len(session.vocabulary))
    session.progress.step += 1  # past the best, whose weights are not to be restored
    save_state(session)
    with pytest.raises(TrainingError, match="diverged"):
        train.train(folder)
    failed = of("failed", read_all(folder))[-1]
    assert "smaller learning_rate" in failed.message
    assert read_status(folder.name).state is RunState.FAILED
    assert (folder / "model.safetensors").read_bytes() == kept


def test_a_continued_run_keeps_its_history_and_goes_on(trained: Path) -> None:
    first = read_status(trained.name)
    control.request_resume(trained, more_epochs=1)
    train.train(trained)
    second = read_status(trained.name)
    begun, ended = first.view, second.view
    assert ended.step == ended.planned_steps == begun.step + begun.steps_per_epoch
    told = read_all(trained)
    assert [e.step for e in of("ended", told)] == [begun.step, ended.step]
    rates = [e.learning_rate for e in of("step", told) if e.step > begun.step]
    peak = 0.5 * checkpoint.read_record(trained).training.learning_rate
    assert max(rates) <= np.float32(peak)


def test_snapshots_are_of_the_weights_that_were_validated(
    small_corpus: Corpus,
) -> None:
    folder = created(small_corpus, validate_every=25)
    train.train(folder)
    known = snapshots.steps(folder)
    assert known[:2] == (25, 50)
    told = {e.step: e.val_loss for e in of("validation", read_all(folder))}
    part = small_corpus.text[corpus.split_at(len(small_corpus.text)) :]
    losses = []
    for step in (25, 50):
        model = snapshots.load(folder, step)
        result = scores.evaluate(model, model.vocabulary.encode(part))
        losses.append(result.nats_per_char)
        assert result.nats_per_char == pytest.approx(told[step], abs=0.02)
    assert losses[1] < losses[0]


def test_a_film_ends_with_what_the_kept_weights_write(trained: Path) -> None:
    record, view = checkpoint.read_record(trained), read_view(trained)
    assert record.figures is not None
    shown = film.film(view, record.figures.kept_step)
    assert [picture.sample.step for picture in shown] == [25, 50, 90, 100, 106]
    assert [picture.val_loss is None for picture in shown[:3]] == [True, True, False]
    assert all(picture.train_loss is not None for picture in shown)
    assert shown[-1].val_loss == min(event.val_loss for event in view.validations)
    last = shown[-1].sample
    settings = [dataclasses.replace(SAMPLING, seed=record.training.seed)]
    *_, (text,) = generate(
        checkpoint.load(trained), last.prompt, length=SAMPLE_LENGTH, rows=settings
    )
    assert last.text == text
    assert {picture.sample.prompt for picture in shown} == {last.prompt}


def test_a_resumed_run_has_no_snapshots_from_after_its_step(trained: Path) -> None:
    last = read_view(trained).step
    taken = snapshots.steps(trained)
    stray = trained / "snapshots" / f"{2 * last}.safetensors"
    stray.write_bytes((trained / "snapshots" / "25.safetensors").read_bytes())
    control.request_resume(trained, more_epochs=1)
    train.train(trained)
    assert not stray.exists()
    assert snapshots.steps(trained)[:2] == taken[:2]


def test_a_damaged_history_is_resumed_and_the_damage_told(trained: Path) -> None:
    with (trained / events.FILE_NAME).open("ab") as file:
        for line in ("garbage", {"type": "learning_rate", "step": 3, "factor": None}):
            file.write(json.dumps(line).encode() + b"\n")
    control.request_resume(trained, more_epochs=1)
    assert train.train(trained) is EndReason.FINISHED
    (notice,) = of("notice", read_all(trained))
    assert "2 lines of it cannot be read" in notice.message
    assert read_view(trained).damaged == 2


def test_a_factor_changes_the_learning_rate_from_the_next_step(
    small_corpus: Corpus,
) -> None:
    folder = created(small_corpus, schedule="constant", warmup_steps=0)
    control.set_learning_rate_factor(folder.name, 0.25)
    train.train(folder)
    told = read_all(folder)
    assert [(e.step, e.factor) for e in of("learning_rate", told)] == [(1, 0.25)]
    peak = checkpoint.read_record(folder).training.learning_rate
    assert {e.learning_rate for e in of("step", told)} == {np.float32(0.25 * peak)}


def test_a_factor_set_later_drops_one_that_was_to_begin_after_it(
    small_corpus: Corpus,
) -> None:
    folder = created(small_corpus, schedule="constant", warmup_steps=0, epochs=1)
    log = EventLog(folder)
    session = open_session(folder, log)
    session.progress.step = 10
    save_state(session)
    # a first pass went on to step 30; a second one, from 10, was told at step 20
    for step, factor in ((5, 0.25), (30, 0.5), (20, 2.0), (40, 4.0)):
        log.append(make_event("learning_rate", step, factor=factor))
    again = open_session(folder, log)
    assert again.pending_factors == [(20, 2.0), (40, 4.0)]


def test_early_stopping_counts_scheduled_validations(small_corpus: Corpus) -> None:
    folder = created(
        small_corpus,
        epochs=4,
        learning_rate=0.5,  # far too much: it soon gets worse
        warmup_steps=0,
        early_stopping=2,
        validate_every=5,
    )
    assert train.train(folder) is EndReason.EARLY
    told = read_all(folder)
    worse = 0
    for event in of("validation", told):
        worse = 0 if event.best else worse + 1
        if worse == 2:
            assert event is of("validation", told)[-1]
    assert worse == 2
    assert of("ended", told)[0].reason is EndReason.EARLY
    # it needs to be told how much more, and then has another chance
    with pytest.raises(RunError, match="--epochs"):
        control.request_resume(folder)
    before = read_view(folder).step
    control.request_resume(folder, more_epochs=1)
    train.train(folder)
    assert read_view(folder).step >= before + 2 * 5  # two worse ones, at least


def test_training_begins_with_the_weights_of_another_model(
    small_corpus: Corpus, trained: Path
) -> None:
    known = checkpoint.read_record(trained).figures
    other = corpus.from_text(
        small_corpus.text[::-1] + "é", name="other", max_bytes=10**6
    )
    prepared = preparation.prepare(other, settings=dict(TINY), init=trained)
    assert "lacks 1 of the text's characters" in prepared.notices[0]
    assert prepared.notices[0].endswith("a row of its own: 'é'.")
    settings = {**TINY, "validate_every": 1, "epochs": 1}
    prepared = preparation.prepare(small_corpus, settings=settings, init=trained)
    child = with_baseline(control.create(prepared))
    train.train(child)
    first = of("validation", read_all(child))[0]
    assert known is not None
    assert known.val_loss < 2  # one that knows nothing begins above 2.5
    assert first.val_loss == pytest.approx(known.val_loss, abs=0.1)


def test_a_full_disk_is_told_and_the_files_stay_whole(small_corpus: Corpus) -> None:
    folder = created(small_corpus, rnn_units=60)
    train.train(folder)
    names = (
        "config.json",
        "model.safetensors",
        "vocab.json",
        "state/state.safetensors",
    )
    before = {name: (folder / name).read_bytes() for name in names}
    control.request_resume(folder, more_epochs=1)
    before["config.json"] = (folder / "config.json").read_bytes()
    limit = len(before["state/state.safetensors"]) // 2  # config fits, the state not

    result = subprocess.run(
        [
            *("/bin/sh", "-c", f'ulimit -f {limit // 512} && exec "$@"', "sh"),
            *(sys.executable, "-m", "charrnn", "train"),
            *("--resume", folder.name, "--background"),
        ],
        cwd=store.PACKAGE_ROOT,
        env={**os.environ},
        check=False,
    )
    assert result.returncode == 1
    assert {name: (folder / name).read_bytes() for name in names} == before
    failed = of("failed", read_all(folder))[-1]
    assert "cannot be written" in failed.message
    assert "free some space" in failed.message
    assert not [path.name for path in folder.rglob("*.tmp")]


def test_damaged_state_is_refused_with_a_way_out(trained: Path) -> None:
    control.request_resume(trained, more_epochs=1)
    state = trained / "state" / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-100])
    with pytest.raises(TrainingError, match="--init"):
        train.train(trained)
    # as another version may have written it
    saved = safetensors.numpy.load(whole)
    del saved["average.0"]
    (length,) = struct.unpack("<Q", whole[:8])
    progress = json.loads(whole[8 : 8 + length])["__metadata__"]["progress"]
    vocabulary = (trained / "vocab.json").read_bytes()
    state.write_bytes(
        tensors_to_bytes(saved, {"progress": progress}, context=vocabulary)
    )
    with pytest.raises(TrainingError, match=r"other parts.*--init"):
        train.train(trained)


def test_resuming_elsewhere_works_and_is_told(trained: Path) -> None:
    record = checkpoint.read_record(trained)
    machine = Machine(architecture="x86_64", cores=96)
    checkpoint.save_record(trained, dataclasses.replace(record, machine=machine))
    (trained / "state" / ".x.tmp").write_bytes(b"cut short")
    control.request_resume(trained, more_epochs=1)
    train.train(trained)
    (notice,) = of("notice", read_all(trained))[-1:]
    assert "not bit for bit" in notice.message
    assert "96" in notice.message
    assert not (trained / "state" / ".x.tmp").exists()


def test_progress_survives_its_file() -> None:
    progress = Progress(
        Schedule(steps_per_epoch=7, planned_steps=70, validate_every=5),
        step=12,
        best_loss=1.25,
        best_step=10,
        worse=1,
        factor=0.5,
        seconds=3.5,
    )
    text = progress.to_json()
    assert Progress.from_json(text) == progress
    assert json.loads(text)["plan"] == dataclasses.asdict(progress.schedule)
