"""What a run keeps to go on with is compared before it is trained on."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from charrnn.errors import CheckpointError, CorpusError, TrainingError
from charrnn.model import calibration, checkpoint
from charrnn.model.record import VOCAB, Figures
from charrnn.model.tensors import read_header
from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.text import corpus
from charrnn.text.corpus import Corpus
from charrnn.trainer import session as session_module
from charrnn.trainer import train
from charrnn.trainer.network import to_weights
from charrnn.trainer.session import open_session, read_state, save_state
from tests.builders import TINY, tensors_to_bytes, varied_text

FIXTURE = Path(__file__).parent.parent / "fixtures" / "v1" / "stopped"


@pytest.fixture
def run(isolated: Path) -> Path:
    """A stopped run whose state has a hash, as it has after a validation."""
    folder = Path(shutil.copytree(FIXTURE, isolated / "run"))
    state = read_state(folder)
    assert state is not None
    rewrite(folder, state.progress.to_json())
    return folder


def state_file(folder: Path) -> Path:
    return folder / "state" / "state.safetensors"


def rewrite(folder: Path, progress: str) -> None:
    """Write the state with another progress, with the hash that belongs to it."""
    state = read_state(folder)
    assert state is not None
    data = tensors_to_bytes(
        state.tensors, {"progress": progress}, context=(folder / VOCAB).read_bytes()
    )
    state_file(folder).write_bytes(data)


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_a_changed_bit_of_the_state_is_refused(run: Path) -> None:
    path, rng = state_file(run), random.Random(1)
    data = path.read_bytes()
    end = read_header(data, "state").end
    bits = rng.sample(range(8 * end), 400) + rng.sample(
        range(8 * end, 8 * len(data)), 200
    )
    for bit in bits:
        flip(path, bit)
        with pytest.raises(CheckpointError, match=r"saved state of run .*--init"):
            read_state(run)
        flip(path, bit)
    assert read_state(run) is not None
    vocabulary = (run / VOCAB).read_bytes()
    for bit in rng.sample(range(8 * len(vocabulary)), 50):
        flip(run / VOCAB, bit)
        with pytest.raises(CheckpointError, match=r"vocab\.json"):
            read_state(run)
        flip(run / VOCAB, bit)


def test_a_changed_bit_of_the_text_is_refused(run: Path) -> None:
    path, rng = run / "state" / "corpus.txt", random.Random(2)
    for bit in rng.sample(range(8 * path.stat().st_size), 60):
        flip(path, bit)
        with pytest.raises(CorpusError, match="not the text that the run began with"):
            open_session(run, EventLog(run))
        flip(path, bit)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    control.request_resume(run)
    with pytest.raises(TrainingError, match="not the text that the run began with"):
        train.train(run)


def test_a_state_that_may_not_be_looked_at_is_told(run: Path) -> None:
    state = run / "state"
    state.chmod(0)
    if os.access(state, os.X_OK):
        pytest.skip("this user may read everything")
    try:
        with pytest.raises(CorpusError, match=r"corpus\.txt, cannot be read \(Perm"):
            open_session(run, EventLog(run))
    finally:
        state.chmod(0o700)


def test_a_plan_for_another_text_is_refused(run: Path) -> None:
    state = read_state(run)
    assert state is not None
    values = json.loads(state.progress.to_json())
    values["plan"]["steps_per_epoch"] += 1
    rewrite(run, json.dumps(values))
    with pytest.raises(CheckpointError, match=r"plan has 35 steps .* gives 34.*--init"):
        open_session(run, EventLog(run))


def test_damaged_weights_are_told_before_a_resumed_training(run: Path) -> None:
    control.request_resume(run)
    session = open_session(run, EventLog(run))  # writes the weights with a hash
    assert not (run / "state" / "best.safetensors").exists()
    assert session.progress.best_step != session.progress.step
    flip(run / "model.safetensors", 8 * 6000)
    with pytest.raises(CheckpointError, match=r"model\.safetensors does not match"):
        open_session(run, EventLog(run))


def test_a_kill_between_state_and_weights_leaves_the_right_figures(
    trained: Path,
) -> None:
    whole = checkpoint.load(trained)
    state, figures = read_state(trained), whole.record.figures
    assert state is not None
    assert figures is not None
    assert figures.kept_step == figures.total_steps == state.progress.best_step
    # as the validation before had left the folder
    aside = trained / "state" / "best.safetensors"
    best, _ = checkpoint.load_weights(trained, whole.record.model, path=aside)
    aside.unlink()
    earlier = Figures(val_loss=2.5, kept_step=20, total_steps=20, seconds=1.0)
    checkpoint.save_record(trained, dataclasses.replace(whole.record, figures=earlier))
    zeros = {name: 0 * array for name, array in whole.weights.items()}
    checkpoint.save_weights(trained, whole.record.model, zeros)
    open_session(trained, EventLog(trained))
    restored = checkpoint.load(trained)
    assert restored.record.figures is not None
    assert restored.record.figures.kept_step == state.progress.best_step
    assert restored.record.figures.val_loss == state.progress.best_loss
    for name, array in best.items():
        assert restored.weights[name].tobytes() == array.tobytes()


def test_a_run_goes_on_from_the_unscaled_head(trained: Path) -> None:
    names = ("config.json", "model.safetensors", "state/best.safetensors")
    published = checkpoint.load(trained)
    before = {name: (trained / name).read_bytes() for name in names}
    figures = published.record.figures
    assert figures is not None
    assert figures.logit_scale is not None
    session = open_session(trained, EventLog(trained))
    assert {name: (trained / name).read_bytes() for name in names} == before
    assert session.progress.best_loss > figures.val_loss + 1e-3  # of the unscaled head
    aside = trained / "state" / "best.safetensors"
    best, _ = checkpoint.load_weights(trained, published.record.model, path=aside)
    going_on = to_weights(session.network)  # the last of them, not their average
    norms = [np.linalg.norm(w["head.kernel"]) for w in (going_on, best)]
    assert norms[0] == pytest.approx(norms[1], rel=0.05)
    session.begun -= 100  # scoring late, or slowly, is no part of the training
    train._finish(session)
    assert checkpoint.read_record(trained).figures == figures
    assert {name: (trained / name).read_bytes() for name in names[1:]} == {
        name: before[name] for name in names[1:]
    }
    aside.unlink()
    for name, array in train._kept_model(session).weights.items():
        np.testing.assert_allclose(array, best[name], rtol=3e-7)


def test_a_better_step_takes_the_place_of_what_was_published(trained: Path) -> None:
    control.request_resume(trained, more_epochs=1)
    first = checkpoint.read_record(trained).figures
    assert train.train(trained) == "finished"
    model, state = checkpoint.load(trained), read_state(trained)
    assert first is not None
    assert state is not None
    figures = model.record.figures
    assert figures is not None
    assert figures.kept_step > first.kept_step
    assert figures.kept_step == state.progress.best_step
    aside = trained / "state" / "best.safetensors"
    best, _ = checkpoint.load_weights(trained, model.record.model, path=aside)
    for name, array in calibration.unscaled(model.weights, figures).items():
        np.testing.assert_allclose(array, best[name], rtol=3e-7)


def test_a_training_begins_from_the_unscaled_head(
    trained: Path, small_corpus: Corpus
) -> None:
    prepared = preparation.prepare(small_corpus, settings=TINY, init=trained)
    begun = control.create(prepared)
    aside = trained / "state" / "best.safetensors"
    best, _ = checkpoint.load_weights(trained, prepared.model, path=aside)
    for name, array in checkpoint.load(begun).weights.items():
        np.testing.assert_allclose(array, best[name], rtol=3e-7)


def test_a_plan_from_elsewhere_ends_by_the_clock(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's state may plan any number of steps."""
    session = open_session(run, EventLog(run))
    session.begun -= 1e9
    assert not session.stop_asked()
    monkeypatch.setenv("CHARRNN_MAX_MINUTES", "30")
    session = open_session(run, EventLog(run))
    session.begun -= 3590
    assert not session.stop_asked()
    session.begun -= 20
    assert session.stop_asked()


@pytest.mark.parametrize(
    ("name", "value"),
    [("seconds", -1e9), ("step", "3"), ("worse", True), ("factor", None)],
)
def test_a_state_with_numbers_that_are_none_is_refused(
    run: Path, name: str, value: object
) -> None:
    state = read_state(run)
    assert state is not None
    values = json.loads(state.progress.to_json())
    rewrite(run, json.dumps({**values, name: value}))
    with pytest.raises(CheckpointError, match="does not say where the run stands"):
        read_state(run)


def test_a_run_keeps_to_the_split_on_record(small_corpus: Corpus) -> None:
    folder = control.create(preparation.prepare(small_corpus, settings=TINY))
    record = checkpoint.read_record(folder)
    halved = dataclasses.replace(record.corpus, split=0.5)
    checkpoint.save_record(folder, dataclasses.replace(record, corpus=halved))
    session = open_session(folder, EventLog(folder))
    assert len(session.validation) == 3000
    assert session.streams.steps_per_epoch == (3000 - 25) // 4 // 25


# --- memory ----------------------------------------------------------------


def test_the_state_is_four_times_the_parameters_and_saved_an_array_at_a_time(
    small_corpus: Corpus,
) -> None:
    """What `preparation.estimate_memory` counts on."""
    settings = TINY | {"rnn_units": 256, "num_layers": 2}
    folder = control.create(preparation.prepare(small_corpus, settings=settings))
    session = open_session(folder, EventLog(folder))
    arrays = {
        k: v.numpy()
        for k, v in session_module._state_variables(session.network).items()
    }
    parameters = 4 * session.record.model.num_parameters()
    carried = 4 * 2 * 4 * 256  # layers, streams and units
    total = sum(array.nbytes for array in arrays.values())
    assert 4 * parameters + carried <= total < 4 * parameters + carried + 1000
    largest = max(array.nbytes for array in arrays.values())
    assert 8 * largest < total
    del arrays
    tracemalloc.start()
    save_state(session)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.1 * largest  # one, and the next one
    assert read_state(folder) is not None


def test_a_validation_reads_as_many_characters_at_once_as_is_reckoned() -> None:
    at_once = session_module.VALIDATION_STREAMS * session_module.VALIDATION_WINDOW
    assert at_once == preparation.VALIDATION_POSITIONS


MEASURE = """
import sys
from pathlib import Path
from charrnn.trainer import session as session_module
from charrnn.trainer import train
train.train(Path(sys.argv[1]))
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]) * 1024)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "rnn_units": 1024, "num_layers": 2, "batch_size": 4},
        {"cell": "gru", "rnn_units": 768, "num_layers": 3, "batch_size": 4},
        {"cell": "lstm", "rnn_units": 256, "num_layers": 1, "batch_size": 100},
        {"cell": "gru", "rnn_units": 256, "num_layers": 3, "batch_size": 100},
    ],
)
def test_the_estimate_of_memory_is_above_the_truth_and_not_far(settings) -> None:
    """Models whose weights, and whose activations, take most of it."""
    wide = settings["batch_size"] > 4
    text = corpus.from_text(
        varied_text(45_000 if wide else 6000), name="t", max_bytes=10**6
    )
    prepared = preparation.prepare(
        text, settings={**settings, "seq_length": 200 if wide else 16, "epochs": 1}
    )
    estimate = preparation.estimate_memory(
        prepared.model, prepared.training, len(text.text)
    )
    folder = control.create(prepared)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    peak = int(measured.stdout.split()[-1])
    assert peak < estimate < 1.6 * peak
