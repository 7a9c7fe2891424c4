"""Sweeps: which runs there shall be, what is begun of them, how they compare."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charrnn.cli.parser import main
from charrnn.errors import ConfigError, RunError
from charrnn.model import checkpoint
from charrnn.model.record import Figures
from charrnn.runs import control, sweeps
from charrnn.runs.events import EventLog
from charrnn.runs.history import read_view
from charrnn.runs.states import RunState
from charrnn.runs.status import status_of
from charrnn.text.corpus import Corpus, from_text
from tests.builders import make_event, varied_text, wait_for_event

SETTINGS = {"rnn_units": [8, 16], "seed": [1, 2], "epochs": [2], "embedding_dim": [4]}


@pytest.fixture
def planned(small_corpus: Corpus) -> list[sweeps.Member]:
    return sweeps.plan(small_corpus, preset="quick", settings=SETTINGS)


def test_every_combination_is_planned_and_named_by_what_differs(planned, small_corpus):
    assert [member.name for member in planned] == [
        *("rnn_units 8, seed 1", "rnn_units 8, seed 2"),
        *("rnn_units 16, seed 1", "rnn_units 16, seed 2"),
    ]
    models = [member.prepared.model for member in planned]
    assert [model.rnn_units for model in models] == [8, 8, 16, 16]
    assert {model.embedding_dim for model in models} == {4}
    assert len({member.label.key for member in planned}) == 4
    again = sweeps.plan(small_corpus, preset="quick", settings=SETTINGS)
    assert [m.label for m in again] == [m.label for m in planned]
    other = from_text(varied_text(5000), name="small", max_bytes=10**6)
    changed = sweeps.plan(other, preset="quick", settings=SETTINGS)
    assert changed[0].label.id != planned[0].label.id


def test_more_values_under_a_name_keep_what_is_there(planned, small_corpus):
    def keys(seeds):
        settings = {**SETTINGS, "seed": seeds}
        found = sweeps.plan(
            small_corpus, preset="quick", settings=settings, sweep_id="units"
        )
        return [member.label.key for member in found]

    assert set(keys([1, 2])) == {member.label.key for member in planned}
    assert set(keys([1, 2])) < set(keys([1, 2, 2, 3]))
    assert len(keys([1, 2, 2, 3])) == 6


def test_what_is_wrong_is_said_before_anything_is_begun(small_corpus, isolated):
    for settings, said in (
        ({"rnn_units": [8, 0]}, "rnn_units is 0"),
        ({"seed": range(1001)}, "more than 1,000 combinations"),
    ):
        with pytest.raises((ConfigError, RunError), match=said):
            sweeps.plan(small_corpus, preset="quick", settings=settings)
    with pytest.raises(RunError, match="cannot be a sweep's name"):
        sweeps.plan(small_corpus, preset=None, settings={"seed": [1]}, sweep_id="../x")
    assert list(isolated.iterdir()) == []


def end(path: Path, reason: str = "finished", loss: float | None = None) -> None:
    """What a trainer leaves: a last event and the figures of its kept weights."""
    if loss is not None:
        record = checkpoint.read_record(path)
        figures = Figures(val_loss=loss, kept_step=9, total_steps=9, seconds=1.0)
        checkpoint.save_record(path, dataclasses.replace(record, figures=figures))
    EventLog(path).append(make_event("ended", 9, reason=reason))


def test_only_what_is_missing_is_begun(planned, isolated, monkeypatch):
    made = [
        control.create(member.prepared, sweep=member.label) for member in planned[:3]
    ]
    end(made[0])
    end(made[1], "stopped")
    EventLog(made[2]).append(make_event("failed", 3))
    control.create(planned[3].prepared)  # the same by itself is none of the sweep
    begun: list[str] = []

    def spawn(path):
        begun.append(path.name)
        end(path)

    monkeypatch.setattr(control, "spawn", spawn)
    lines: list[str] = []
    assert not sweeps.train(planned, at_once=1, say=lines.append)  # one has failed
    (new,) = {e.model_id for e in sweeps.runs_of(planned[0].label.id)} - {
        path.name for path in made
    }
    assert begun == [made[1].name, new]
    assert checkpoint.read_record(isolated / new).training.seed == 2
    assert lines[0] == f"1 of 4, rnn_units 8, seed 1: run {made[0].name} is finished"
    assert lines[1] == f"2 of 4, rnn_units 8, seed 2: going on with run {made[1].name}"
    assert f"run {made[2].name} is failed" in lines[3]
    begun.clear()
    control.delete(made[2].name)
    assert sweeps.train(planned, at_once=1, say=lines.append)
    assert len(begun) == 1


def test_groups_have_the_mean_and_spread_of_their_seeds(planned, capsys):
    for member, loss in zip(planned, (2.0, 2.5, 1.5, None), strict=True):
        path = control.create(member.prepared, sweep=member.label)
        if loss is not None:
            end(path, loss=loss)
    best, other = sweeps.groups(sweeps.runs_of(planned[0].label.id))
    assert (best.settings, best.mean, best.spread) == ({"rnn_units": 16}, 1.5, None)
    assert (other.settings, other.mean) == ({"rnn_units": 8}, 2.25)
    assert other.spread == pytest.approx(0.125**0.5)
    assert [run.record.training.seed for run in other.runs] == [1, 2]
    assert main(["runs", "--sweep", planned[0].label.id]) == 0
    heads, first, second, _ = capsys.readouterr().out.splitlines()
    assert heads.split() == [
        "RNN-UNITS",
        "ENDED",
        "MEAN",
        "SPREAD",
        "BEST",
        "BEST",
        "RUN",
    ]
    assert first.split()[:6] == ["16", "1", "of", "2", "1.5000", "-"]
    assert second.split()[:6] == ["8", "2", "of", "2", "2.2500", "0.3536"]
    assert main(["runs", "--sweep", "gone"]) == 2


def test_a_sweep_outlives_its_starter_and_is_stopped_as_a_whole(isolated, tmp_path):
    text = tmp_path / "sea.txt"
    text.write_text(varied_text(4000))
    command = [sys.executable, "-m", "charrnn", "sweep", "--corpus", str(text)]
    command += ["--rnn-units", "8", "--seed", "1", "2", "--epochs", "10000"]
    command += ["--id", "seeds"]
    starter = subprocess.Popen(command)
    try:
        while not (runs := sweeps.runs_of("seeds")):
            time.sleep(0.1)
        (run,) = runs
        wait_for_event(run.path, "step")
        with pytest.raises(RunError, match="being trained already"):
            sweeps.train(sweeps_of(text), at_once=1, say=print)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
        assert status_of(run.path).state is RunState.RUNNING
        starter = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in starter.stderr:
            if "is being trained already" in line:
                break
        assert main(["stop", "seeds"]) == 0
        assert starter.wait(timeout=60) == 1
    finally:
        starter.kill()
    assert [e.state for e in sweeps.runs_of("seeds")] == [RunState.STOPPED]
    assert read_view(run.path).validations
    with pytest.raises(RunError, match="nothing to stop"):
        sweeps.stop("seeds")


def sweeps_of(text: Path) -> list[sweeps.Member]:
    corpus = from_text(text.read_text(), name=text.name, max_bytes=10**6)
    settings = {"rnn_units": [8], "seed": [1, 2], "epochs": [10_000]}
    return sweeps.plan(corpus, preset=None, settings=settings, sweep_id="seeds")
