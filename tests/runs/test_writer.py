"""The process that writes: the same texts, the same errors, and its own end."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from charrnn.config import MAX_LENGTH
from charrnn.errors import CheckpointError, ConfigError, RunError
from charrnn.hosting import Visitor
from charrnn.model import generation, snapshots
from charrnn.model.engine import Engine
from charrnn.model.network import Network
from charrnn.model.request import UPDATE_SECONDS
from charrnn.model.snapshots import Source
from charrnn.runs import in_flight, store, writer_process
from charrnn.runs import writer as writer_module
from charrnn.runs.store import PACKAGE_ROOT
from charrnn.runs.writer import Writer
from tests.builders import (
    alone,
    make_stepped,
    rows,
    save_model,
    wait_until,
    written,
)

SLOW = {"units": 512, "num_layers": 2}  # the longest text takes it some ten seconds


@pytest.fixture(scope="module")
def shared():
    """One process for the tests that leave it as it is."""
    with contextlib.closing(Writer()) as made:
        yield made


@pytest.fixture
def writer():
    with contextlib.closing(Writer()) as made:
        yield made


def begin(writer, folder, length=MAX_LENGTH, **options):
    """A request that has begun to write."""
    texts = writer.generate(folder, "a", length=length, rows=rows(1.0), **options)
    while not next(texts)[0]:
        pass
    return texts


def cpu_seconds(pid):
    return sum(psutil.Process(pid).cpu_times()[:2])


def test_texts_have_the_bits_of_the_engine_in_this_process(shared, tmp_path):
    save_model(tmp_path / "m", cell="lstm", num_layers=2)
    engine = Engine()
    for prompt in ("", "a", "ab cd" * 20 + "é\ud800"):
        wanted = {"length": 300, "rows": rows(0, 0.5, 1.3, seed=5, top_k=4, stop="ab")}
        found = list(shared.generate(tmp_path / "m", prompt, **wanted))
        assert found[-1] == written(engine.generate(tmp_path / "m", prompt, **wanted))
        for before, after in itertools.pairwise(found):
            assert all(b.startswith(a) for a, b in zip(before, after, strict=True))
        *_, ours = engine.write(tmp_path / "m", prompt, **wanted)
        *_, relayed = shared.write(tmp_path / "m", prompt, **wanted)
        assert relayed == ours
        assert [len(one.bits) for one in ours] == [len(one.text) for one in ours]
    engine.close()
    assert shared.pid != os.getpid()


def test_fifty_visitors_each_get_their_own_text(shared, tmp_path):
    models = [save_model(tmp_path / str(i), cell="gru", seed=i) for i in range(2)]

    def ask(index):
        texts = shared.generate(
            tmp_path / str(index % 2),
            "abc\n"[: index % 5],
            length=50 + index,
            rows=rows(0.4, 1.0, seed=index),
            visitor=Visitor(str(index), "1"),
        )
        expected = alone(
            models[index % 2], "abc\n"[: index % 5], 50 + index, [0.4, 1.0], seed=index
        )
        return written(texts), expected

    with ThreadPoolExecutor(50) as pool:
        for found, expected in pool.map(ask, range(50)):
            assert found == expected


def test_only_what_is_new_crosses_and_at_a_readable_pace(tmp_path):
    """The process itself, spoken to as the other side does."""
    model = save_model(tmp_path / "m", units=128)
    with started_process() as (process, say):
        job = {
            "path": str(tmp_path / "m"),
            "prompt": "a",
            "length": MAX_LENGTH,
            "rows": [{"temperature": 0.8, "seed": 3}],
            "visitor": {"key": "k", "address": "1"},
            "step": None,
        }
        started = time.monotonic()
        say({"kind": "write", "number": 7, "job": job})
        messages = []
        while not (messages and messages[-1]["ended"]):
            messages.append(json.loads(process.stdout.readline()))
        seconds = time.monotonic() - started
    assert {message["number"] for message in messages} == {7}
    assert {message["kind"] for message in messages} == {"text"}
    parts = [message["added"][0][0] for message in messages]
    assert "".join(parts) == alone(model, "a", MAX_LENGTH, [0.8], seed=3)[0]
    assert 2 <= len(parts) <= seconds / UPDATE_SECONDS + 2


@contextlib.contextmanager
def started_process():
    process = subprocess.Popen(
        [sys.executable, "-m", "charrnn.runs.writer_process"],
        cwd=PACKAGE_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def say(message):
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()

    with process:
        yield process, say
        process.stdin.close()  # with whoever started it, it ends
        assert process.wait(5) == 0


def test_the_process_loads_neither_gradio_nor_tensorflow_nor_the_hub():
    code = "import charrnn.runs.writer_process, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {"gradio", "tensorflow", "keras", "huggingface_hub", "psutil"}


def test_texts_of_several_models_and_steps_are_one_request(shared, tmp_path):
    folders = [
        make_stepped(tmp_path / name, 100, 25, 50, seed=seed)
        for seed, name in enumerate("ab")
    ]
    sources = [
        Source(folders[0], 50),
        Source(folders[1]),
        Source(folders[0]),
        Source(folders[0], 50),
    ]
    settings = rows(0.5, 0.5, 0.5, 1.0, seed=4)
    expected = [
        alone(snapshots.load(*source), "the ", 300, [row.temperature], seed=4)[0]
        for source, row in zip(sources, settings, strict=True)
    ]
    asked = {"length": 300, "rows": settings, "visitor": Visitor("k", "1")}
    *_, found = shared.write_each(sources, "the ", **asked)
    assert [one.text for one in found] == expected
    assert len(set(expected)) == 4
    assert all(len(one.bits) == len(one.text) for one in found)
    assert shared.active == 0
    logits = shared.ask_next(folders[0], "the ", asker="x", step=50).result()
    assert logits != shared.next_logits(folders[0], "the ")
    # one of them that fails ends the others
    with pytest.raises(CheckpointError, match="no snapshot of step 60"):
        list(shared.write_each([*sources[:3], Source(folders[0], 60)], "a", **asked))
    assert shared.active == 0


def test_models_of_one_request_are_counted_together(writer, tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CHARACTERS_IN_FLIGHT", "100")
    folders = [make_stepped(tmp_path / name, 100) for name in "ab"]
    sources, settings = [Source(folder) for folder in folders], rows(1.0, 1.0)
    with pytest.raises(RunError, match=r"102 characters are asked for: a visitor"):
        next(writer.write_each(sources, "a", length=51, rows=settings))
    *_, found = writer.write_each(sources, "a", length=50, rows=settings)
    assert [len(one.text) for one in found] == [50, 50]


def test_errors_come_as_what_they_are(shared, tmp_path):
    save_model(tmp_path / "m")
    with pytest.raises(ConfigError) as error:
        shared.generate(tmp_path / "m", "a", length=0, rows=rows(1.0))
    assert error.value.field == "length"
    with pytest.raises(CheckpointError, match="missing has no config"):
        shared.generate(tmp_path / "missing", "a", length=5, rows=rows(1.0))
    path = tmp_path / "m" / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-4] + b"\xff\xff\xff\xff")  # seen when it is loaded
    texts = shared.generate(tmp_path / "m", "a", length=5, rows=rows(1.0))
    with pytest.raises(CheckpointError, match="does not match the SHA-256"):
        next(texts)


def test_a_killed_process_ends_its_texts_with_a_sentence_and_another_starts(
    writer, tmp_path
):
    model = save_model(tmp_path / "m", **SLOW)
    texts = [begin(writer, tmp_path / "m") for _ in range(3)]
    before = writer.pid
    os.kill(before, signal.SIGKILL)
    for one in texts:
        with pytest.raises(RunError, match="ended unexpectedly: the text is cut short"):
            written(one)
    again = writer.generate(tmp_path / "m", "a", length=50, rows=rows(1.0))
    assert written(again) == alone(model, "a", 50, [1.0], seed=0)
    assert writer.pid != before
    assert not psutil.pid_exists(before)  # nor a zombie


def test_it_ends_with_whoever_started_it(tmp_path):
    """Even where that one is killed and can close nothing."""
    save_model(tmp_path / "m", units=128)
    code = (
        "import sys\n"
        "from charrnn.config import SamplingConfig\n"
        "from charrnn.runs.writer import Writer\n"
        "writer = Writer()\n"
        "texts = writer.generate(sys.argv[1], 'a', length=10_000,"
        " rows=[SamplingConfig()])\n"
        "while not next(texts)[0]: pass\n"
        "print(writer.pid, flush=True)\n"
        "next(iter(sys.stdin))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "m")],
        cwd=PACKAGE_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        pid = int(parent.stdout.readline())
        assert os.getsid(pid) == pid  # Ctrl-C at a terminal is not for it
        parent.kill()
        wait_until(lambda: not psutil.pid_exists(pid), 5)


@pytest.mark.parametrize("closed", [True, False])
def test_a_text_that_nobody_waits_for_is_written_no_further(shared, tmp_path, closed):
    save_model(tmp_path / "m", **SLOW)
    texts = begin(shared, tmp_path / "m")
    begun = now = cpu_seconds(shared.pid)
    if closed:
        texts.close()
    else:
        del texts
    before = -1.0
    while now - before > 0.02:  # until it rests
        time.sleep(0.3)
        before, now = now, cpu_seconds(shared.pid)
    assert now - begun < 2  # the whole text takes ten


def test_limits_of_a_hosted_page_hold_and_end_with_the_text(
    shared, tmp_path, monkeypatch
):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    model = save_model(tmp_path / "m", units=128)
    save_model(tmp_path / "slow", **SLOW)
    visitor, other = Visitor("a", "1"), Visitor("b", "1")

    def ask(length, visitor, count=4, name="m"):
        return shared.generate(
            tmp_path / name,
            "a",
            length=length,
            rows=rows(*[1.0] * count),
            visitor=visitor,
        )

    first = ask(MAX_LENGTH, visitor, name="slow")
    next(first)
    for _ in range(239):
        with pytest.raises(RunError, match="a visitor may have 40,000 at once"):
            next(ask(MAX_LENGTH, visitor))
    assert written(ask(400, other)) == alone(model, "a", 400, [1.0] * 4, seed=0)
    first.close()
    assert written(ask(MAX_LENGTH, visitor, 1))[0] != ""
    # counted down as it is written: a second one fits before the first has ended
    monkeypatch.setenv("CHARRNN_CHARACTERS_IN_FLIGHT", str(MAX_LENGTH + 1000))
    first = ask(MAX_LENGTH, visitor, 1)
    while len(next(first)[0]) < 1000:
        pass
    assert written(ask(1000, visitor, 1))[0] != ""
    first.close()


def test_more_requests_than_one_visitor_may_have_are_refused(shared, tmp_path):
    save_model(tmp_path / "m", units=256)
    texts = [
        shared.generate(tmp_path / "m", "a", length=MAX_LENGTH, rows=rows(1.0))
        for _ in range(in_flight.REQUESTS_PER_VISITOR + 1)
    ]
    for one in texts[:-1]:
        next(one)
    with pytest.raises(RunError, match="a visitor may have 32 at once"):
        next(texts[-1])
    for one in texts:
        one.close()


def test_an_idle_process_ends_and_another_starts(writer, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "KEPT_BYTES", 0)
    model = save_model(tmp_path / "m")
    save_model(tmp_path / "slow", **SLOW)
    pids = set()
    for _ in range(2):
        texts = writer.generate(tmp_path / "m", "a", length=20, rows=rows(1.0))
        assert written(texts) == alone(model, "a", 20, [1.0], seed=0)
        pids.add(writer.pid)
        busy = begin(writer, tmp_path / "slow")
        assert not writer._process.retire()  # a text is expected of it
        busy.close()
        writer._process._take({"kind": "idle"})  # as the process says after a minute
        wait_until(lambda: not any(map(psutil.pid_exists, pids)), 5)
    assert len(pids) == 2


def test_an_idle_process_stays_where_it_holds_what_the_shipped_model_takes(writer):
    shipped = store.shipped_folder() / store.SHIPPED_ID
    temperatures = rows(0.2, 0.5, 0.8, 1.1)
    for _ in range(2):
        list(writer.generate(shipped, "ROMEO:", length=400, rows=temperatures))
        process = writer.pid
        writer._process._take({"kind": "idle"})
    assert writer.pid == process
    assert psutil.pid_exists(process)


def test_it_says_when_it_has_nothing_to_do(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(writer_process, "IDLE_SECONDS", 0.05)
    service = writer_process._Service()
    threading.Thread(target=service.tell_when_idle, daemon=True).start()
    wait_until(lambda: '{"kind": "idle"}' in capfd.readouterr().out, 5)
    service.requests[1] = object()
    time.sleep(0.1)
    capfd.readouterr()
    time.sleep(0.2)
    assert capfd.readouterr().out == ""


def test_closing_ends_everything_with_a_sentence(tmp_path):
    threads = set(threading.enumerate())
    writer = Writer()
    save_model(tmp_path / "m", **SLOW)
    texts, pid = begin(writer, tmp_path / "m"), writer.pid
    writer.close()
    writer.close()
    with pytest.raises(RunError, match="closing: the text is cut short"):
        written(texts)
    with pytest.raises(RunError, match="closing: no text can be written"):
        next(writer.generate(tmp_path / "m", "a", length=5, rows=rows(1.0)))
    assert not psutil.pid_exists(pid)
    wait_until(lambda: set(threading.enumerate()) <= threads, 5)


def test_nothing_starts_until_the_first_text_is_asked_for(writer, tmp_path):
    save_model(tmp_path / "m")
    writer.generate(tmp_path / "m", "a", length=100, rows=rows(1.0))
    assert writer.pid is None


def test_a_model_that_changes_or_goes_is_noticed(shared, tmp_path):
    for seed in range(2):
        model = save_model(tmp_path / "m", seed=seed)
        texts = shared.generate(tmp_path / "m", "a", length=50, rows=rows(1.0))
        assert written(texts) == alone(model, "a", 50, [1.0], seed=0)
        assert shared.models.get(tmp_path / "m").weights_hash == model.weights_hash
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        shared.generate(tmp_path / "m", "a", length=5, rows=rows(1.0))


def test_the_process_sees_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    save_model(tmp_path / "m")
    with contextlib.closing(Writer()) as writer:
        texts = begin(writer, tmp_path / "m")
        environment = psutil.Process(writer.pid).environ()
        texts.close()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "HF_TOKEN" not in environment


def test_what_may_come_next_has_the_bits_of_the_step_that_writes(shared, tmp_path):
    model = save_model(tmp_path / "m", cell="lstm", num_layers=2)
    network = Network(model.record.model, model.weights)
    for prompt in ("", "abcé\ud800", "ab cd" * 20):
        ids = generation.prompt_ids(model.vocabulary, prompt)
        states = network.prefill(ids[:-1], network.initial_states(1))
        logits = network.step(ids[-1:], states)[0][0, 1:].tolist()
        asked = shared.ask_next(tmp_path / "m", prompt, asker="x")
        assert asked.result() == shared.next_logits(tmp_path / "m", prompt) == logits
    with pytest.raises(CheckpointError):
        shared.next_logits(tmp_path / "missing", "a")


def test_a_question_ends_with_the_process_and_the_next_one_starts_another(
    writer, tmp_path
):
    save_model(tmp_path / "m", units=256)
    writer.next_logits(tmp_path / "m", "a")
    first = writer.pid
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(writer.next_logits, tmp_path / "m", "ab" * 50_000)
        wait_until(lambda: psutil.Process(first).cpu_percent(0.05) > 20, 10)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(RunError, match="ended unexpectedly"):
            long.result()
    assert len(writer.next_logits(tmp_path / "m", "a")) == len("\n abcdefghij")
    assert writer.pid != first


def test_prompts_to_be_read_have_a_limit_of_their_own(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    path = tmp_path / "m"
    save_model(path, units=256)
    visitor, long = Visitor("reader", "1"), "ab" * 10_000
    one, two = (
        shared.ask_next(path, long, asker=asker, visitor=visitor) for asker in "xy"
    )
    for ask in (
        lambda: shared.ask_next(path, "a", visitor=visitor),
        lambda: next(
            shared.generate(path, "a", length=9, rows=rows(1.0), visitor=visitor)
        ),
    ):
        with pytest.raises(RunError, match=r"^1 characters are to be read and 40,000"):
            ask()
    one.cancel()  # gives its part back at once, and is read no further
    texts = shared.generate(path, long, length=9, rows=rows(1.0), visitor=visitor)
    next(texts)
    with pytest.raises(RunError, match="40,000 of yours are still to be read"):
        shared.ask_next(path, "a", visitor=visitor)
    assert len(two.result()) == len("\n abcdefghij")
    while not next(texts)[0]:
        pass
    shared.next_logits(path, long[:19_000], visitor=visitor)  # all of it is read
    shared.next_logits(path, "a" * 40_000, visitor=visitor)
    with pytest.raises(RunError, match=r"^40,001 characters are to be read: a visit"):
        shared.next_logits(path, "a" * 40_001, visitor=visitor)
