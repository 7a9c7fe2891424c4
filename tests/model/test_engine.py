"""Requests batched together: what each writes, and what it may do to others."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from charrnn.config import MAX_LENGTH, MAX_PROMPT, MAX_ROWS, MAX_STOP
from charrnn.errors import CheckpointError, ConfigError, RunError
from charrnn.hosting import Visitor
from charrnn.model import engine, request, turns
from charrnn.model.cache import ModelCache
from charrnn.model.network import network_bytes
from charrnn.model.request import Job, Request, TextStream
from tests.builders import CELLS, alone, rows, save_model, wait_until, written


@pytest.fixture
def writer():
    made = engine.Engine()
    yield made
    made.close()
    assert made.active == 0


@pytest.mark.parametrize("cell", CELLS)
def test_texts_equal_generations(writer, tmp_path, cell):
    model = save_model(tmp_path / "m", cell=cell, num_layers=2)
    for prompt in ("", "a", "ab cd" * 20 + "é"):
        texts = writer.generate(
            tmp_path / "m", prompt, length=100, rows=rows(0, 0.5, 1.3, seed=5, top_k=4)
        )
        assert written(texts) == alone(
            model, prompt, 100, [0, 0.5, 1.3], seed=5, top_k=4
        )


def test_many_requests_of_several_models_each_get_their_own_text(writer, tmp_path):
    models = {
        name: save_model(tmp_path / name, cell=cell, seed=index)
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
    save_model(tmp_path / "m", units=128)
    start = time.monotonic()
    updates = list(
        writer.generate(tmp_path / "m", "a", length=MAX_LENGTH, rows=rows(0.8, 1.0))
    )
    seconds = time.monotonic() - start
    assert 2 <= len(updates) <= seconds / request.UPDATE_SECONDS + 2
    assert [len(text) for text in updates[-1]] == [MAX_LENGTH] * 2
    for before, after in itertools.pairwise(updates):
        assert all(b.startswith(a) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("prompt", ["a", "ab" * 50_000])
@pytest.mark.parametrize("closed", [True, False])
def test_an_iterator_that_is_left_cancels_its_request(writer, tmp_path, prompt, closed):
    """While it writes, and while it still reads a long prompt."""
    save_model(tmp_path / "m", units=512, num_layers=2)
    texts = writer.generate(tmp_path / "m", prompt, length=MAX_LENGTH, rows=rows(1.0))
    assert len(prompt) == 1 or next(texts) == [""]  # which it reads for long
    while len(prompt) == 1 and not next(texts)[0]:
        pass
    assert writer.active == 1
    if closed:
        texts.close()
    else:
        del texts
    wait_until(lambda: writer.active == 0, 4)  # which takes longer to its end


def test_a_long_prompt_does_not_stop_the_others(writer, tmp_path):
    model = save_model(tmp_path / "m", units=256)
    slow = writer.generate(tmp_path / "m", "ab" * 50_000, length=1, rows=rows(1.0))
    assert next(slow) == [""]
    texts = writer.generate(tmp_path / "m", "a", length=300, rows=rows(1.0))
    assert written(texts) == alone(model, "a", 300, [1.0], seed=0)
    assert next(slow) == [""]  # still reading
    slow.close()


def test_nothing_is_asked_for_until_the_first_text_is(writer, tmp_path):
    save_model(tmp_path / "m")
    writer.generate(tmp_path / "m", "a", length=100, rows=rows(1.0))
    assert writer.active == 0
    assert not writer._threads


def test_an_error_reaches_its_own_caller_alone(writer, tmp_path):
    model = save_model(tmp_path / "m")
    save_model(tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"no")
    texts = writer.generate(tmp_path / "m", "a", length=5000, rows=rows(1.0))
    next(texts)
    for folder in ("damaged", "missing"):
        with pytest.raises(CheckpointError):
            next(writer.generate(tmp_path / folder, "a", length=10, rows=rows(1.0)))
    assert written(texts) == alone(model, "a", 5000, [1.0], seed=0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_unforeseen_ends_one_models_requests_and_no_others(writer, tmp_path):
    model = save_model(tmp_path / "good", units=128)
    save_model(tmp_path / "bad")
    good = writer.generate(tmp_path / "good", "a", length=5000, rows=rows(1.0))
    next(good)
    loaded = writer.models.acquire(tmp_path / "bad")
    loaded.network._head.layouts = [np.zeros((13, 3), np.float32)]  # no product fits it
    bad = writer.generate(tmp_path / "bad", "a", length=10, rows=rows(1.0))
    before = set(writer._threads)
    with pytest.raises(RunError, match="Writing failed unexpectedly"):
        list(bad)
    assert written(good) == alone(model, "a", 5000, [1.0], seed=0)
    wait_until(lambda: before - set(writer._threads), 5)
    for thread in before - set(writer._threads):
        thread.join()  # its traceback belongs to this test, not to the next one


def test_closing_ends_everything_with_a_sentence(tmp_path):
    before = set(threading.enumerate())
    writer = engine.Engine()
    save_model(tmp_path / "m", units=256)
    requests = [
        writer.generate(tmp_path / "m", "a", length=MAX_LENGTH, rows=rows(1.0))
        for _ in range(turns.MAX_ACTIVE + 1)  # the last one waits
    ]
    for texts in requests:
        next(texts)
    writer.close()
    writer.close()
    for texts in requests:
        with pytest.raises(RunError, match="closing"):
            list(texts)
    with pytest.raises(RunError, match="closing"):
        next(writer.generate(tmp_path / "m", "a", length=5, rows=rows(1.0)))
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"length": 0}, "length"),
        ({"length": MAX_LENGTH + 1}, "length"),
        ({"prompt": "a" * (MAX_PROMPT + 1)}, "prompt"),
        ({"rows": []}, "temperatures"),
        ({"rows": rows(*[1.0] * (MAX_ROWS + 1))}, "temperatures"),
        ({"rows": rows(1.0, stop="a" * (MAX_STOP + 1))}, "stop"),
    ],
)
def test_what_is_too_much_is_refused_at_the_call(writer, tmp_path, wrong, field):
    save_model(tmp_path / "m")
    wanted = {"prompt": "a", "length": 5, "rows": rows(1.0)} | wrong
    with pytest.raises(ConfigError) as error:
        writer.generate(tmp_path / "m", **wanted)
    assert error.value.field == field


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_unforeseen_while_loading_ends_that_request_alone(tmp_path):
    """A cache that breaks in a way that is no error of ours."""

    class Broken(ModelCache):
        def acquire(self, path, step=None):
            if path.name == "bad":
                raise ZeroDivisionError
            return super().acquire(path, step)

    writer = engine.Engine(Broken())
    model = save_model(tmp_path / "good")
    with pytest.raises(RunError, match="Writing failed unexpectedly"):
        written(writer.generate(tmp_path / "bad", "a", length=5, rows=rows(1.0)))
    texts = writer.generate(tmp_path / "good", "a", length=50, rows=rows(1.0))
    assert written(texts) == alone(model, "a", 50, [1.0], seed=0)
    writer.close()


def test_a_changed_folder_is_loaded_again_and_a_text_keeps_its_weights(
    writer, tmp_path
):
    old = save_model(tmp_path / "m", units=128)

    def ask(length):
        return writer.generate(tmp_path / "m", "a", length=length, rows=rows(1.0))

    running = ask(5000)
    while not next(running)[0]:
        pass
    new = save_model(tmp_path / "m", units=128, seed=1)
    assert written(ask(50)) == alone(new, "a", 50, [1.0], seed=0)
    assert written(running) == alone(old, "a", 5000, [1.0], seed=0)
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        written(ask(5))


# --- room for models -------------------------------------------------------


def test_a_model_waits_until_there_is_room_for_it(tmp_path, monkeypatch):
    """It does not stop the model in the room from being used meanwhile."""
    models = {name: save_model(tmp_path / name, seed=i) for i, name in enumerate("ab")}
    size = network_bytes(models["a"].record.model)
    writer = engine.Engine(ModelCache(max_bytes=2 * size - 1))

    def ask(name, length):
        path = tmp_path / name
        return writer.generate(path, "a", length=length, rows=rows(1.0))

    held = writer.models.acquire(tmp_path / "a")
    second = ask("b", 50)
    assert [next(second) for _ in range(3)] == [[""]] * 3
    assert written(ask("a", 50)) == alone(models["a"], "a", 50, [1.0], seed=0)
    assert writer.models.bytes_held == size
    writer.models.release(held)
    assert written(second) == alone(models["b"], "a", 50, [1.0], seed=0)
    monkeypatch.setattr(engine, "MODEL_SECONDS", 0.3)
    assert writer.models.acquire(tmp_path / "b") is not None
    with pytest.raises(RunError, match="leave no memory for a: try again"):
        written(ask("a", 5))
    writer.close()


# --- turns -----------------------------------------------------------------


def test_one_who_asks_much_leaves_the_others_their_turns(tmp_path, monkeypatch):
    """240 requests for 4 x 10,000 characters beside one for 4 x 400."""
    monkeypatch.setattr(engine, "PASS_SECONDS", 60)  # by characters alone
    model = save_model(tmp_path / "m", units=64)
    configs = tuple(rows(0.5, 0.8, 1.0, 1.2))
    passes = itertools.count()
    writer = engine.Engine(after_pass=lambda: next(passes))

    def passes_of_a_comparison():
        before = next(passes)
        texts = writer.generate(
            tmp_path / "m", "ab cd", length=400, rows=configs, visitor=Visitor("b", "2")
        )
        assert written(texts) == expected
        return next(passes) - before

    expected = alone(model, "ab cd", 400, [0.5, 0.8, 1.0, 1.2])
    quiet = passes_of_a_comparison()
    assert quiet == 400 // engine.QUANTUM + 1  # and the count itself
    job = Job(tmp_path / "m", "ab cd", MAX_LENGTH, configs, Visitor("a", "1"))
    burst = [Request(job, TextStream(4)) for _ in range(240)]
    for one in burst:
        writer.submit(one)
    wait_until(lambda: burst[0].rows, 5)  # writing
    # some passes go by before the first of its own and after its last one
    assert passes_of_a_comparison() <= quiet + 10
    assert writer.active == 240
    for one in burst:
        writer.cancel(one)
    wait_until(lambda: writer.active == 0, 5)
    writer.close()
