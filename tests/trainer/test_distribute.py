"""Several devices that share each batch give the numbers of one that has it whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from charrnn.config import TrainingConfig
from charrnn.errors import ConfigError
from charrnn.model import checkpoint
from charrnn.runs import control, events, preparation, store
from charrnn.runs.history import read_view
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text.corpus import Corpus
from charrnn.trainer.distribute import find_devices, share_streams
from tests.builders import TINY, assert_near_states, with_baseline

NEAR = 1e-5
# a bound below the norm of nearly every gradient, which is about 0.3 here
SHARED = {**TINY, "num_layers": 2, "clipnorm": 0.1}


def new_run(text: Corpus, run_id: str, **settings: Any) -> Path:
    prepared = preparation.prepare(text, settings={**SHARED, **settings})
    return with_baseline(control.create(prepared, model_id=run_id))


def train_on_two(step: int, *runs: tuple[Path, int]) -> str:
    """Train runs up to a step on so many halves of the processor; what it printed."""
    arguments = [f"{folder}={devices}" for folder, devices in runs]
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.two_devices", str(step), *arguments],
        cwd=store.PACKAGE_ROOT,
        env={**os.environ},
        text=True,
        capture_output=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def state_of(folder: Path) -> dict[str, np.ndarray]:
    """Weights, optimiser, averages and carried states after the last step."""
    return safetensors.numpy.load((folder / "state/state.safetensors").read_bytes())


def losses_of(folder: Path) -> list[float]:
    return [e.loss for e in events.read(folder).events if e.type == "step"]


def assert_near(folder: Path, reference: Path) -> None:
    """The same losses at each step, and the same state after the last."""
    losses = losses_of(reference)
    np.testing.assert_allclose(losses_of(folder), losses, rtol=0, atol=NEAR)
    assert losses[-1] < losses[0] - 0.1
    expected = state_of(reference)
    assert_near_states(state_of(folder), expected)
    assert np.abs(expected["carried.0"]).max() > 0.1
    validations = [event.val_loss for event in read_view(reference).validations]
    assert [event.val_loss for event in read_view(folder).validations] == pytest.approx(
        validations, abs=NEAR
    )


def check_cells(text: Corpus, kinds: list[dict[str, Any]]) -> None:
    """Train each kind on one device and on two, and compare."""
    pairs = []
    for i, kind in enumerate(kinds):
        scan_impl = kind.pop("scan_impl", None)
        pairs.append([new_run(text, f"{i}-{name}", **kind) for name in ("one", "two")])
        for folder in pairs[-1] if scan_impl else ():
            record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            (folder / "config.json").write_text(
                json.dumps({**record, "scan_impl": scan_impl}), encoding="utf-8"
            )
    runs = [(folder, i + 1) for pair in pairs for i, folder in enumerate(pair)]
    told = train_on_two(40, *runs)
    assert told == ""
    for one, two in pairs:
        assert_near(two, one)


@pytest.mark.alone
def test_two_devices_give_the_numbers_of_one(small_corpus: Corpus) -> None:
    check_cells(small_corpus, [{"cell": "gru"}, {"cell": "rnn"}])
    for name, devices in (("0-one", 1), ("0-two", 2)):
        machine = checkpoint.read_record(store.folder() / name).machine
        assert machine is not None
        assert machine.devices == devices
    notices = read_view(store.folder() / "0-two").notices
    assert notices == ("Training on 2 devices, 2 streams each.",)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_cell_and_scan_gives_the_numbers_of_one(small_corpus: Corpus) -> None:
    check_cells(
        small_corpus,
        [
            {"cell": cell, "scan_impl": scan_impl, "rnn_units": 32}
            for cell in ("gru", "lstm")
            for scan_impl in ("xla", "columns", "loop")
        ],
    )


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_run_goes_on_with_another_number_of_devices(small_corpus: Corpus) -> None:
    folders = [new_run(small_corpus, name) for name in ("one", "two")]
    train_on_two(20, *[(folder, i + 1) for i, folder in enumerate(folders)])
    for folder in folders:
        control.request_resume(folder)
    train_on_two(40, *[(folder, 2 - i) for i, folder in enumerate(folders)])
    assert_near(folders[1], folders[0])
    (notice,) = [n for n in read_view(folders[1]).notices if "Resumed" in n]
    assert "'devices': '2 -> 1'" in notice


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_streams_that_two_devices_cannot_share(small_corpus: Corpus) -> None:
    rounded = new_run(small_corpus, "rounded", batch_size=5)
    fewer = new_run(small_corpus, "fewer", batch_size=4)
    train_on_two(40, (rounded, 2), (fewer, 1))
    assert_near(rounded, fewer)
    assert checkpoint.read_record(rounded).training.batch_size == 4
    odd = new_run(small_corpus, "odd", batch_size=5)
    train_on_two(20, (odd, 1))
    control.request_resume(odd)
    refused = "True 5 streams (batch_size) cannot be shared equally among 2 devices"
    assert f"odd: {refused}: use 1 or 5." in train_on_two(40, (odd, 2))
    assert read_status("odd").state is RunState.FAILED
    many = new_run(small_corpus, "many")
    told = train_on_two(40, (many, 3))
    assert told.startswith("many: True 3 devices were asked for: expected 1 to 2")


def test_streams_are_rounded_down_and_that_is_said() -> None:
    training, notices = share_streams(
        TrainingConfig(epochs=1, batch_size=15), 4, begun=False
    )
    assert training.batch_size == 12
    assert notices == [
        "Training on 4 devices, 3 streams each.",
        "15 streams cannot be shared equally among 4 devices: the text is read as 12.",
    ]
    for streams, begun in ((3, False), (15, True)):
        with pytest.raises(ConfigError, match=f"{streams} streams"):
            share_streams(TrainingConfig(epochs=1, batch_size=streams), 4, begun=begun)


def test_its_own_characters_are_drawn_on_one_device() -> None:
    training = TrainingConfig(epochs=1, scheduled_sampling=0.1)
    with pytest.raises(ConfigError, match=r"scheduled_sampling is 0\.1"):
        share_streams(training, 2, begun=False)


def test_more_devices_than_there_are_is_refused() -> None:
    assert find_devices(None) == []
    assert find_devices(1) == []
    for count in (0, 99):
        with pytest.raises(ConfigError, match=f"{count} devices were asked for"):
            find_devices(count)
