"""A run that is killed or stopped goes on to the very same weights."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.numpy

from charrnn.runs import control, events, preparation, store
from charrnn.runs.history import read_view
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text.corpus import Corpus

SETTINGS = {
    **{"num_layers": 2, "rnn_units": 48, "embedding_dim": 16, "dropout": 0.2},
    **{"batch_size": 4, "seq_length": 25, "epochs": 10, "validate_every": 30},
    "seed": 3,
}
COMMAND = [sys.executable, "-m", "charrnn", "train", "--resume"]


def begin(run_id: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, run_id],
        cwd=store.PACKAGE_ROOT,
        env={**os.environ},
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def new_run(text: Corpus, run_id: str) -> Path:
    prepared = preparation.prepare(text, settings=SETTINGS)
    return control.create(prepared, model_id=run_id)


def finish(run_id: str) -> None:
    """Train to the end."""
    process = begin(run_id)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def outcome(folder: Path) -> dict[str, bytes]:
    """Best weights, and the last ones with all that a next step depends on."""
    state = safetensors.numpy.load(
        (folder / "state" / "state.safetensors").read_bytes()
    )
    found = {name: array.tobytes() for name, array in state.items()}
    return {**found, "best": (folder / "model.safetensors").read_bytes()}


def wait_for(run_id: str, kind: str, *, count: int = 1) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = events.read(store.find(run_id)).events
        if sum(event.type == kind for event in told) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {kind} event came")


@pytest.fixture(scope="module")
def reference(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARRNN_CHECKPOINTS", str(tmp_path_factory.mktemp("untouched")))
        folder = new_run(small_corpus, "reference")
        finish("reference")
    return folder


def kill_and_finish(text: Corpus, reference: Path, kills: int) -> None:
    """Kill a run at random moments, compare its end with an untouched one's."""
    training = read_view(reference).seconds
    folder = new_run(text, "killed")
    rng = random.Random(5)
    for kill in range(kills):
        process = begin("killed")
        wait_for("killed", "started", count=kill + 1)
        # most fall into the training, some into the start or the last lines
        moment = rng.uniform(0, 1.5 * training / kills)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        if read_status("killed").state is RunState.FINISHED:
            break
        assert read_status("killed").state is RunState.DIED
    if read_status("killed").state is not RunState.FINISHED:
        finish("killed")
    assert outcome(folder) == outcome(reference)
    steps = [event.step for event in read_view(folder).validations]
    assert steps == [event.step for event in read_view(reference).validations]


def test_three_kills_change_nothing(small_corpus: Corpus, reference: Path) -> None:
    kill_and_finish(small_corpus, reference, 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_thirty_kills_change_nothing(small_corpus: Corpus, reference: Path) -> None:
    kill_and_finish(small_corpus, reference, 30)


def test_ctrl_c_and_stop_end_well_and_change_nothing(
    small_corpus: Corpus, reference: Path
) -> None:
    folder = new_run(small_corpus, "stopped")
    process = begin("stopped")
    wait_for("stopped", "validation")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    first = read_status("stopped")
    assert first.state is RunState.STOPPED
    assert (folder / "model.safetensors").is_file()

    process = begin("stopped")
    wait_for("stopped", "resumed")
    control.stop("stopped")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert read_status("stopped").state is RunState.STOPPED
    assert read_status("stopped").view.step >= first.view.step
    finish("stopped")
    assert outcome(folder) == outcome(reference)


def test_a_dead_trainer_is_told_at_once_and_named(small_corpus: Corpus) -> None:
    new_run(small_corpus, "dying")
    process = begin("dying")
    wait_for("dying", "step")
    assert read_status("dying").state is RunState.RUNNING
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    status = read_status("dying")
    assert status.state is RunState.DIED
    assert "memory" in status.message
    assert "batch_size" in status.message
