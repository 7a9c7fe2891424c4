"""Requests batched together: what each writes, and what it may do to others."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from charrnn.config import MAX_LENGTH
from charrnn.errors import CheckpointError, ConfigError, RunError
from charrnn.model import checkpoint, engine, generation
from tests.builders import CELLS, make_model, rows


def save(folder, **options):
    """A toy model in a folder; returns it as loaded."""
    folder.mkdir(exist_ok=True)
    model = make_model(**options)
    checkpoint.save_record(folder, model.record)
    checkpoint.save_vocabulary(folder, model.vocabulary)
    checkpoint.save_weights(folder, model.record.model, model.weights)
    return checkpoint.load(folder)


@pytest.fixture
def writer():
    made = engine.Engine()
    yield made
    made.close()
    assert made.active == 0


def written(texts):
    return list(texts)[-1]


def alone(model, prompt, length, temperatures, **options):
    return written(
        generation.generate(
            model, prompt, length=length, rows=rows(*temperatures, **options)
        )
    )


def wait_until(condition, seconds):
    """Seconds until it holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.002)
    return time.monotonic() - start


@pytest.mark.parametrize("cell", CELLS)
def test_texts_equal_generations(writer, tmp_path, cell):
    model = save(tmp_path / "m", cell=cell, num_layers=2)
    for prompt in ("", "a", "ab cd" * 20 + "é"):
        texts = writer.generate(
            tmp_path / "m", prompt, length=100, rows=rows(0, 0.5, 1.3, seed=5, top_k=4)
        )
        assert written(texts) == alone(
            model, prompt, 100, [0, 0.5, 1.3], seed=5, top_k=4
        )


def test_many_requests_of_several_models_each_get_their_own_text(writer, tmp_path):
    models = {
        name: save(tmp_path / name, cell=cell, seed=index)
        for index, (name, cell) in enumerate(zip("xyz", CELLS, strict=True))
    }

    def ask(index):
        name, seed = "xyz"[index % 3], index // 3
        prompt, length = "abc\n"[: index % 5] * (index + 1), 50 + 37 * (index % 4)
        options = {"seed": seed, "stop": "ab" if index % 2 else ""}
        texts = writer.generate(
            tmp_path / name, prompt, length=length, rows=rows(0.4, 1.0, **options)
        )
        expected = alone(models[name], prompt, length, [0.4, 1.0], **options)
        return written(texts), expected

    with ThreadPoolExecutor(40) as pool:  # more than are active at once
        for found, expected in pool.map(ask, range(60)):
            assert found == expected


def test_updates_come_at_a_readable_pace_and_only_grow(writer, tmp_path):
    save(tmp_path / "m", units=128)
    start = time.monotonic()
    updates = list(
        writer.generate(tmp_path / "m", "a", length=MAX_LENGTH, rows=rows(0.8, 1.0))
    )
    seconds = time.monotonic() - start
    assert 2 <= len(updates) <= seconds / engine.UPDATE_SECONDS + 2
    assert [len(text) for text in updates[-1]] == [MAX_LENGTH] * 2
    for before, after in itertools.pairwise(updates):
        assert all(b.startswith(a) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("prompt", ["a", "ab" * 50_000])
@pytest.mark.parametrize("closed", [True, False])
def test_an_iterator_that_is_left_cancels_its_request(writer, tmp_path, prompt, closed):
    """While it writes, and while it still reads a long prompt."""
    save(tmp_path / "m", units=256, num_layers=2)
    texts = writer.generate(tmp_path / "m", prompt, length=MAX_LENGTH, rows=rows(1.0))
    (text,) = next(texts)
    assert (text == "") == (prompt != "a")
    assert writer.active == 1
    if closed:
        texts.close()
    else:
        del texts
    assert wait_until(lambda: writer.active == 0, 5) < 0.5


def test_a_long_prompt_does_not_stop_the_others(writer, tmp_path):
    model = save(tmp_path / "m", units=256)
    slow = writer.generate(tmp_path / "m", "ab" * 50_000, length=1, rows=rows(1.0))
    assert next(slow) == [""]
    texts = writer.generate(tmp_path / "m", "a", length=300, rows=rows(1.0))
    assert written(texts) == alone(model, "a", 300, [1.0], seed=0)
    assert next(slow) == [""]  # still reading
    slow.close()


def test_too_many_requests_are_turned_away_and_the_others_served(tmp_path):
    writer = engine.Engine(max_active=1, max_waiting=2)
    model = save(tmp_path / "m", units=1024)

    def ask(length):
        return writer.generate(tmp_path / "m", "a", length=length, rows=rows(1.0))

    first = ask(MAX_LENGTH)
    next(first)
    second, third, fourth = ask(MAX_LENGTH), ask(200), ask(1)
    assert next(second) == [""]  # it waits, and says so again and again
    assert next(second) == [""]
    assert next(third) == [""]
    with pytest.raises(RunError, match="2 requests are waiting"):
        next(fourth)
    second.close()  # gives its place back, too
    first.close()
    assert written(third) == alone(model, "a", 200, [1.0], seed=0)
    assert written(ask(50)) == alone(model, "a", 50, [1.0], seed=0)
    writer.close()


def test_nothing_is_asked_for_until_the_first_text_is(writer, tmp_path):
    save(tmp_path / "m")
    writer.generate(tmp_path / "m", "a", length=100, rows=rows(1.0))
    assert writer.active == 0
    assert writer._worker is None


def test_an_error_reaches_its_own_caller_alone(writer, tmp_path):
    model = save(tmp_path / "m")
    save(tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"no")
    texts = writer.generate(tmp_path / "m", "a", length=5000, rows=rows(1.0))
    next(texts)
    for folder in ("damaged", "missing"):
        with pytest.raises(CheckpointError):
            writer.generate(tmp_path / folder, "a", length=10, rows=rows(1.0))
    assert written(texts) == alone(model, "a", 5000, [1.0], seed=0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_unforeseen_ends_one_models_requests_and_no_others(writer, tmp_path):
    model = save(tmp_path / "good", units=128)
    save(tmp_path / "bad")
    good = writer.generate(tmp_path / "good", "a", length=5000, rows=rows(1.0))
    next(good)
    failing = writer._worker
    loaded = writer.models.get(tmp_path / "bad")
    loaded.network._head.layouts = [np.zeros((13, 3), np.float32)]  # no product fits it
    bad = writer.generate(tmp_path / "bad", "a", length=10, rows=rows(1.0))
    with pytest.raises(RunError, match="Writing failed unexpectedly"):
        list(bad)
    assert written(good) == alone(model, "a", 5000, [1.0], seed=0)
    failing.join()  # its traceback belongs to this test, not to the next one


def test_closing_ends_everything_with_a_sentence(tmp_path):
    before = set(threading.enumerate())
    writer = engine.Engine(max_active=1)
    save(tmp_path / "m", units=256)
    active, waiting = (
        writer.generate(tmp_path / "m", "a", length=MAX_LENGTH, rows=rows(1.0))
        for _ in range(2)
    )
    next(active)
    next(waiting)
    writer.close()
    writer.close()
    for texts in (active, waiting):
        with pytest.raises(RunError, match="closing"):
            list(texts)
    with pytest.raises(RunError, match="closing"):
        next(writer.generate(tmp_path / "m", "a", length=5, rows=rows(1.0)))
    assert set(threading.enumerate()) <= before


def test_an_idle_worker_ends_and_another_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.02)
    before = set(threading.enumerate())
    writer = engine.Engine()
    model = save(tmp_path / "m")
    for _ in range(3):
        texts = writer.generate(tmp_path / "m", "a", length=20, rows=rows(1.0))
        assert written(texts) == alone(model, "a", 20, [1.0], seed=0)
        wait_until(lambda: set(threading.enumerate()) <= before, 5)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"length": 0}, "length"),
        ({"length": MAX_LENGTH + 1}, "length"),
        ({"prompt": "a" * (engine.MAX_PROMPT + 1)}, "prompt"),
        ({"rows": []}, "temperatures"),
        ({"rows": rows(*[1.0] * (engine.MAX_ROWS + 1))}, "temperatures"),
        ({"rows": rows(1.0, stop="a" * (engine.MAX_STOP + 1))}, "stop"),
    ],
)
def test_what_is_too_much_is_refused_at_the_call(writer, tmp_path, wrong, field):
    save(tmp_path / "m")
    wanted = {"prompt": "a", "length": 5, "rows": rows(1.0)} | wrong
    with pytest.raises(ConfigError) as error:
        writer.generate(tmp_path / "m", **wanted)
    assert error.value.field == field


# --- the cache -------------------------------------------------------------


def test_a_changed_folder_is_loaded_again_and_a_text_keeps_its_weights(
    writer, tmp_path
):
    old = save(tmp_path / "m", units=128)

    def ask(length):
        return writer.generate(tmp_path / "m", "a", length=length, rows=rows(1.0))

    running = ask(5000)
    next(running)
    before = writer.models.get(tmp_path / "m")
    assert writer.models.get(tmp_path / "m") is before
    new = save(tmp_path / "m", units=128, seed=1)
    assert written(ask(50)) == alone(new, "a", 50, [1.0], seed=0)
    assert writer.models.get(tmp_path / "m").weights_hash == new.weights_hash
    assert written(running) == alone(old, "a", 5000, [1.0], seed=0)
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        ask(5)


def test_the_model_used_longest_ago_makes_room(tmp_path):
    for name in "abcd":
        save(tmp_path / name)
    cache = engine.ModelCache(max_models=2)
    a, b = cache.get(tmp_path / "a"), cache.get(tmp_path / "b")
    assert cache.get(tmp_path / "a") is a
    c = cache.get(tmp_path / "c")
    assert cache.get(tmp_path / "a") is a
    assert cache.get(tmp_path / "c") is c
    assert cache.get(tmp_path / "b") is not b


def test_bytes_are_bounded_but_the_latest_stays(tmp_path):
    for name in "ab":
        save(tmp_path / name)
    size = engine.ModelCache().get(tmp_path / "a").size
    # table 13 x 48, kernel 48 x 7, recurrent kernel 48 x 16, bias 48, head 13 x 17
    assert size == 4 * (13 * 48 + 48 * 7 + 48 * 16 + 48 + 13 * 17)
    for limit, kept in ((2 * size, True), (2 * size - 1, False), (1, False)):
        cache = engine.ModelCache(max_bytes=limit)
        a, b = cache.get(tmp_path / "a"), cache.get(tmp_path / "b")
        assert cache.get(tmp_path / "b") is b
        assert (cache.get(tmp_path / "a") is a) == kept


def test_threads_that_ask_together_load_once(tmp_path):
    save(tmp_path / "m")
    cache = engine.ModelCache()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.get(tmp_path / "m"), range(40)))
    assert all(loaded is found[0] for loaded in found)
    assert np.isfinite(found[0].network.initial_states(1)[0]).all()
