"""Which models stay in memory, and when a further one may come."""

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from charrnn.config import MAX_VOCAB_SIZE, ModelConfig
from charrnn.errors import CheckpointError
from charrnn.model import cache, checkpoint
from charrnn.model.cache import DescriptionCache, ModelCache
from charrnn.model.network import Network, network_bytes
from tests.builders import CELLS, make_stepped, save_model


def use(models, path):
    """A model as it is found, used for a moment."""
    loaded = models.acquire(path)
    models.release(loaded)
    return loaded


@pytest.mark.parametrize(
    ("cell", "layers", "vocab_size"),
    [*itertools.product(CELLS, (1, 3), (20,)), ("lstm", 2, MAX_VOCAB_SIZE)],
)
def test_a_networks_size_is_known_before_it_is_made(cell, layers, vocab_size):
    """With a table in place of the embedding, and beyond what a table may take."""
    model = ModelConfig(
        cell=cell,
        embedding_dim=7,
        rnn_units=500 if vocab_size > 20 else 11,
        num_layers=layers,
        vocab_size=vocab_size,
    )
    weights = {n: np.zeros(s, np.float32) for n, s in model.tensor_shapes().items()}
    network = Network(model, weights)
    assert network_bytes(model) == network.size
    assert network._folded == (vocab_size == 20)


def test_the_model_used_longest_ago_makes_room(tmp_path):
    for name in "abcd":
        save_model(tmp_path / name)
    models = ModelCache(max_models=2)
    a, b = use(models, tmp_path / "a"), use(models, tmp_path / "b")
    assert use(models, tmp_path / "a") is a
    c = use(models, tmp_path / "c")
    assert use(models, tmp_path / "a") is a
    assert use(models, tmp_path / "c") is c
    assert use(models, tmp_path / "b") is not b


def test_bytes_are_bounded_but_the_latest_stays(tmp_path):
    for name in "ab":
        save_model(tmp_path / name)
    size = use(ModelCache(), tmp_path / "a").size
    # table 13 x 48, kernel 48 x 7, recurrent kernel 48 x 16, bias 48, head 13 x 17
    assert size == 4 * (13 * 48 + 48 * 7 + 48 * 16 + 48 + 13 * 17)
    for limit, kept in ((2 * size, True), (2 * size - 1, False), (1, False)):
        models = ModelCache(max_bytes=limit)
        a, b = use(models, tmp_path / "a"), use(models, tmp_path / "b")
        assert use(models, tmp_path / "b") is b
        assert (use(models, tmp_path / "a") is a) == kept


def test_models_in_use_count_and_are_never_dropped(tmp_path):
    """Ten models in use never take more than the limit, whatever is asked for."""
    for index in range(10):
        save_model(tmp_path / str(index), seed=index)
    size = use(ModelCache(), tmp_path / "0").size
    models = ModelCache(max_models=1, max_bytes=3 * size)
    found = [models.acquire(tmp_path / str(index)) for index in range(10)]
    assert [loaded is not None for loaded in found] == [True] * 3 + [False] * 7
    assert models.bytes_held == 3 * size
    again = models.acquire(tmp_path / "1")
    assert again is found[1]
    models.release(again)
    assert models.acquire(tmp_path / "9") is None  # 1 is still used once
    models.release(found[1])
    assert models.acquire(tmp_path / "9") is not None
    assert models.bytes_held == 3 * size


def test_a_step_of_a_run_counts_like_a_model_of_its_own(tmp_path):
    folder = make_stepped(tmp_path / "m", 100, 25, 50)
    size = use(ModelCache(), folder).size
    models = ModelCache(max_bytes=2 * size)
    kept, early = models.acquire(folder), models.acquire(folder, 25)
    assert (kept.size, early.size) == (size, size)
    expected = np.float32(np.float16(checkpoint.load(folder).weights["head.bias"] / 4))
    assert np.array_equal(early.network._head_bias, expected)
    assert models.acquire(folder, 50) is None
    models.release(kept)
    late = models.acquire(folder, 50)
    assert late is not early
    assert models.bytes_held == 2 * size
    models.release(early)
    with pytest.raises(CheckpointError, match="no snapshot of step 60"):
        models.acquire(folder, 60)
    models.release(late)
    make_stepped(tmp_path / "m", 100, 50, seed=1)
    assert use(models, folder) is not kept
    assert models.acquire(folder, 50) is not late


def test_a_model_above_the_limit_comes_alone(tmp_path):
    for name in "ab":
        save_model(tmp_path / name)
    models = ModelCache(max_bytes=1)
    a = models.acquire(tmp_path / "a")
    assert a is not None
    assert models.acquire(tmp_path / "b") is None
    models.release(a)
    assert models.acquire(tmp_path / "b") is not None


def test_a_changed_folder_is_loaded_again_and_the_old_model_counts_while_used(tmp_path):
    save_model(tmp_path / "m")
    models = ModelCache()
    old = models.acquire(tmp_path / "m")
    assert use(models, tmp_path / "m") is old
    save_model(tmp_path / "m", seed=1)
    new = use(models, tmp_path / "m")
    assert new is not old
    assert models.bytes_held == old.size + new.size
    models.release(old)
    assert models.bytes_held == new.size


def test_threads_that_ask_together_load_once(tmp_path):
    save_model(tmp_path / "m")
    models = ModelCache()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: models.acquire(tmp_path / "m"), range(40)))
    assert all(loaded is found[0] for loaded in found)
    assert np.isfinite(found[0].network.initial_states(1)[0]).all()


# --- descriptions ----------------------------------------------------------


def test_a_description_is_what_loading_gives_and_follows_the_folder(tmp_path):
    described = DescriptionCache()
    hashes = set()
    for seed in range(2):
        model = save_model(tmp_path / "m", seed=seed)
        found = described.get(tmp_path / "m")
        assert found.record == model.record
        assert found.vocabulary == model.vocabulary
        assert found.weights_hash == model.weights_hash
        assert described.get(tmp_path / "m") is found
        hashes.add(found.weights_hash)
    assert len(hashes) == 2
    renamed = dataclasses.replace(model.record, title="other")
    checkpoint.save_record(tmp_path / "m", renamed)
    assert described.get(tmp_path / "m").record.title == "other"


def test_descriptions_are_few_and_no_model_has_none(tmp_path):
    described = DescriptionCache()
    first = None
    for index in range(cache.MAX_DESCRIPTIONS + 1):
        save_model(tmp_path / str(index))
        found = described.get(tmp_path / str(index))
        first = first or found
    assert described.get(tmp_path / "1").record == first.record
    assert described.get(tmp_path / "0") is not first
    (tmp_path / "0" / "model.safetensors").write_bytes(b"no")
    for name in ("0", "missing"):
        with pytest.raises(CheckpointError):
            described.get(tmp_path / name)
