import dataclasses
import time

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError
from charrnn.model import checkpoint, snapshots
from charrnn.presets import from_preset
from tests.builders import make_folder, make_record


def folder_of(tmp_path, kept_step=1200):
    record = make_record()
    figures = dataclasses.replace(record.figures, kept_step=kept_step)
    return make_folder(tmp_path / "m", dataclasses.replace(record, figures=figures))


def take(folder, *steps):
    """Snapshots whose weights all are their step's logarithm."""
    model = checkpoint.read_record(folder).model
    for step in steps:
        weights = {
            name: np.full(shape, np.log(step), np.float32)
            for name, shape in model.tensor_shapes().items()
        }
        snapshots.save(folder, model, weights, step)


def test_snapshots_are_due_at_25_times_a_power_of_two():
    due = [step for step in range(2000) if snapshots.is_due(step)]
    assert due == [25, 50, 100, 200, 400, 800, 1600]


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [
        (12, 12, list(range(12))),
        (13, 12, [0, 2, 4, 6, 8, 10, 12]),
        (14, 12, [0, 2, 4, 6, 8, 10, 12, 13]),
        (9, 3, [0, 4, 8]),
        (9, 2, [0, 8]),
        (9, 1, [8]),
        (9, 0, []),
    ],
)
def test_every_second_one_is_dropped_and_the_ends_are_kept(count, most, kept):
    assert snapshots.thinned(range(count), most) == kept


def test_all_of_a_run_stay_within_their_bytes():
    sizes = {"embedding_dim": 64, "num_layers": 2, "vocab_size": 66}
    for units, most in ((256, 12), (1024, 2), (2048, 0)):
        model = ModelConfig(cell="gru", rnn_units=units, **sizes)
        assert snapshots.most_of(model) == most
        assert most * 2 * model.num_parameters() <= 40_000_000


def test_a_snapshot_is_the_model_of_its_step_in_half_precision(tmp_path):
    folder = folder_of(tmp_path)
    take(folder, 25, 50)
    model = snapshots.load(folder, 50)
    half = np.float32(np.float16(np.log(50)))
    for name, shape in model.record.model.tensor_shapes().items():
        assert model.weights[name].dtype == np.float32
        assert np.array_equal(model.weights[name], np.full(shape, half))
    whole = checkpoint.load(folder)
    assert (model.record, model.vocabulary) == (whole.record, whole.vocabulary)
    hashes = {m.weights_hash for m in (model, whole, snapshots.load(folder, 25))}
    assert len(hashes) == 3


def test_the_last_step_is_that_of_the_kept_weights(tmp_path):
    folder = folder_of(tmp_path, kept_step=110)
    assert snapshots.steps(folder) == (110,)
    take(folder, 25, 50, 100, 200)
    assert snapshots.steps(folder) == (25, 50, 100, 110)
    assert (
        snapshots.load(folder, 110).weights_hash == checkpoint.load(folder).weights_hash
    )
    with pytest.raises(CheckpointError, match=r"no snapshot of step 200.* 100, 110"):
        snapshots.load(folder, 200)
    (folder / "model.safetensors").unlink()
    assert snapshots.steps(folder) == (25, 50, 100, 200)


def test_what_comes_after_a_resumed_step_is_removed(tmp_path):
    folder = folder_of(tmp_path)
    snapshots.remove_beyond(folder, 0)  # nothing there, and nothing happens
    take(folder, 25, 50, 100, 200)
    (folder / "snapshots" / "note.txt").write_text("another's")
    snapshots.remove_beyond(folder, 60)
    assert snapshots.steps(folder) == (25, 50, 1200)
    assert (folder / "snapshots" / "note.txt").is_file()


def test_a_damaged_snapshot_is_refused(tmp_path):
    folder = folder_of(tmp_path)
    take(folder, 25)
    path = folder / "snapshots" / "25.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="does not match the SHA-256"):
        snapshots.load(folder, 25)
    path.write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="expected F16"):
        snapshots.load(folder, 25)


def test_all_of_a_quick_training_are_written_in_2_percent_of_its_time(tmp_path):
    record = make_record()
    model, training = from_preset("quick", {}, vocab_size=record.model.vocab_size)
    folder = make_folder(tmp_path / "m", dataclasses.replace(record, model=model))
    weights = checkpoint.load(folder).weights
    started = time.process_time()
    for exponent in range(snapshots.MAX_SNAPSHOTS):
        snapshots.save(folder, model, weights, 25 * 2**exponent)
    assert time.process_time() - started < 0.02 * 60 * training.minutes
    assert len(list((folder / "snapshots").iterdir())) == snapshots.MAX_SNAPSHOTS
