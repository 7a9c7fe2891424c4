"""A run that is killed or stopped goes on to the very same weights.

One by minutes does with the same plans on record, which the tests copy.
"""

import dataclasses
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy

from charrnn.model import checkpoint
from charrnn.runs import control, events, packing, preparation, store
from charrnn.runs.events import EventLog, Planned
from charrnn.runs.history import read_view
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text.corpus import Corpus
from tests.builders import wait_for_event, with_baseline

SETTINGS = {
    **{"num_layers": 2, "rnn_units": 48, "embedding_dim": 16, "dropout": 0.2},
    **{"batch_size": 4, "seq_length": 25, "validate_every": 30, "seed": 3},
}
MINUTES = (0.1, 0.3, 1.0)  # the first is enough but on a starved machine
STEPS = 150  # so that each stop and kill finds some to be made
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


def new_run(text: Corpus, run_id: str, minutes: float) -> Path:
    settings = {**SETTINGS, "minutes": minutes}
    prepared = preparation.prepare(text, settings=settings)
    return with_baseline(control.create(prepared, model_id=run_id))


def same_run(text: Corpus, run_id: str, reference: Path) -> Path:
    """A run with a reference's plans on record: it makes none of its own between."""
    minutes = checkpoint.read_record(reference).training.minutes
    folder = new_run(text, run_id, minutes)
    for plan in plans_of(reference):
        EventLog(folder).append(plan)
    return folder


def plans_of(folder: Path) -> list[Planned]:
    """The plans of a run that has ended, the last once more at its last step."""
    plans = list(read_view(folder).plans)
    last = plans[-1]
    return [*plans, dataclasses.replace(last, step=last.planned_steps)]


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


@pytest.fixture(scope="module")
def reference(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARRNN_CHECKPOINTS", str(tmp_path_factory.mktemp("untouched")))
        for minutes in MINUTES:
            folder = new_run(small_corpus, f"of-{60 * minutes:.0f}-s", minutes)
            finish(folder.name)
            plans = read_view(folder).plans
            if len(plans) > 2 and plans[-1].planned_steps >= STEPS:
                return folder
    raise AssertionError(f"{plans[-1].planned_steps} steps in {minutes} minutes")


def kill(folder: Path, times: int, training: float) -> None:
    """Kill a run again and again, at moments of its own.

    Args:
        folder: Of the run.
        times: How often.
        training: Seconds that an undisturbed run trains.
    """
    told = [event.type for event in events.read(folder).events]
    starts, validations = told.count("started"), told.count("validation")
    rng = random.Random(5)
    moments = [0.0]  # seconds: the first kill comes early, in a training for certain
    # most of the others, too, some fall into the start or the last lines
    moments += [rng.uniform(0, 1.5 * training / times) for _ in range(times - 1)]
    for number, moment in enumerate(moments):
        process = begin(folder.name)
        wait_for_event(folder, "started", count=starts + number + 1)
        if number == 0:
            wait_for_event(folder, "validation", count=validations + 1)
            assert read_status(folder.name).state is RunState.RUNNING
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        status = read_status(folder.name)
        if status.state is RunState.FINISHED:
            assert number > 0
            return
        assert status.state is RunState.DIED
        assert "memory" in status.message
        assert "batch_size" in status.message


def compare_with(reference: Path, folder: Path) -> None:
    """Both have come to the same in the same steps."""
    assert outcome(folder) == outcome(reference)
    assert {plan.step for plan in read_view(folder).plans} == {
        plan.step for plan in plans_of(reference)
    }
    validated, expected = (
        [event.step for event in read_view(run).validations if event.scheduled]
        for run in (folder, reference)
    )
    assert validated == expected


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_thirty_kills_change_nothing(small_corpus: Corpus, reference: Path) -> None:
    folder = same_run(small_corpus, "killed", reference)
    kill(folder, 30, read_view(reference).seconds)
    if read_status("killed").state is not RunState.FINISHED:
        finish("killed")
    compare_with(reference, folder)


@pytest.mark.timeout(900)  # six processes, of which a busy machine makes minutes
def test_ctrl_c_a_move_stop_and_kills_end_well_and_change_nothing(
    small_corpus: Corpus,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = same_run(small_corpus, "stopped", reference)
    process = begin("stopped")
    wait_for_event(folder, "validation")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    first = read_status("stopped")
    assert first.state is RunState.STOPPED
    assert (folder / "model.safetensors").is_file()

    packing.pack(folder, tmp_path / "run.zip", state=True, text=True)
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(tmp_path / "elsewhere"))
    taken = packing.unpack(tmp_path / "run.zip", store.folder(), model_id="stopped")
    folder = taken.path
    assert taken.is_run
    assert read_status("stopped").state is RunState.STOPPED

    process = begin("stopped")
    wait_for_event(folder, "resumed", count=2)  # it has begun with a history, too
    control.stop("stopped")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert read_status("stopped").state is RunState.STOPPED
    assert read_status("stopped").view.step >= first.view.step

    kill(folder, 2, read_view(reference).seconds)
    if read_status("stopped").state is not RunState.FINISHED:
        finish("stopped")
    compare_with(reference, folder)
