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

from charrnn import events, runs
from charrnn.corpus import Corpus

SETTINGS = {
    **{"num_layers": 2, "rnn_units": 48, "embedding_dim": 16, "dropout": 0.2},
    **{"batch_size": 4, "seq_length": 25, "epochs": 10, "validate_every": 30},
    "seed": 3,
}
COMMAND = [sys.executable, "-m", "charrnn", "train", "--resume"]


def begin(run_id: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, run_id],
        cwd=runs.PACKAGE_ROOT,
        env={**os.environ},
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def new_run(text: Corpus, run_id: str) -> Path:
    prepared = runs.prepare(text, settings=SETTINGS)
    return runs.create(prepared, model_id=run_id)


def finish(run_id: str) -> float:
    """Train to the end; returns the seconds it took."""
    started = time.monotonic()
    process = begin(run_id)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return time.monotonic() - started


def outcome(folder: Path) -> dict[str, bytes]:
    """Best weights, and the last ones with all that a next step depends on."""
    state = safetensors.numpy.load(
        (folder / "state" / "state.safetensors").read_bytes()
    )
    found = {name: array.tobytes() for name, array in state.items()}
    return {**found, "best": (folder / "model.safetensors").read_bytes()}


def kill_and_finish(text: Corpus, kills: int) -> None:
    """Kill a run at random moments, compare its end with an untouched one's."""
    reference = new_run(text, "reference")
    seconds = finish("reference")
    folder = new_run(text, "killed")
    rng = random.Random(5)
    done = 0
    while done < kills:
        process = begin("killed")
        try:
            process.communicate(timeout=rng.uniform(0.3 * seconds, seconds))
            break  # it came to its end before
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        done += 1
        died = runs.status("killed").state
        assert died in ("died", "queued")  # queued: killed before it had begun
    if runs.status("killed").state != "finished":
        finish("killed")
    assert outcome(folder) == outcome(reference)
    told = events.read_all(folder)
    steps = [e["step"] for e in told if e["type"] == "validation"]
    assert steps == [
        e["step"] for e in events.read_all(reference) if e["type"] == "validation"
    ]


def test_three_kills_change_nothing(small_corpus: Corpus) -> None:
    kill_and_finish(small_corpus, 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_thirty_kills_change_nothing(small_corpus: Corpus) -> None:
    kill_and_finish(small_corpus, 30)


def wait_for(run_id: str, kind: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(event["type"] == kind for event in runs.history(run_id)):
            return
        time.sleep(0.02)
    raise AssertionError(f"no {kind} event came")


def test_ctrl_c_and_stop_end_well_and_change_nothing(small_corpus: Corpus) -> None:
    reference = new_run(small_corpus, "reference")
    finish("reference")
    folder = new_run(small_corpus, "stopped")
    process = begin("stopped")
    wait_for("stopped", "validation")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    first = runs.status("stopped")
    assert first.state == "stopped"
    assert (folder / "model.safetensors").is_file()

    process = begin("stopped")
    wait_for("stopped", "resumed")
    runs.stop("stopped")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert runs.status("stopped").state == "stopped"
    assert runs.status("stopped").step >= first.step
    finish("stopped")
    assert outcome(folder) == outcome(reference)


def test_a_dead_trainer_is_told_at_once_and_named(small_corpus: Corpus) -> None:
    new_run(small_corpus, "dying")
    process = begin("dying")
    wait_for("dying", "step")
    assert runs.status("dying").state == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    status = runs.status("dying")
    assert status.state == "died"
    assert "memory" in status.message
    assert "batch_size" in status.message
