"""Several workers train one run: how they meet, and what they do without each other."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from charrnn.errors import CharrnnError, ConfigError, RunError
from charrnn.runs import control, events, preparation, store
from charrnn.runs.history import read_view
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text.corpus import Corpus
from charrnn.trainer import train
from charrnn.trainer.cluster import Cluster, Peers, differences, find_cluster, meet
from charrnn.trainer.supervise import Outcome, Stage, supervise
from tests.builders import TINY, assert_near_states, with_baseline

NEAR = 1e-5
SETTINGS = {**TINY, "num_layers": 2, "clipnorm": 0.1}  # a clip that bites
FACTS = {"text": "1" * 64, "rnn_units": 24, "keras": "3.15.1"}


def free_addresses(count: int = 2) -> str:
    """Addresses of this machine that nobody has.

    The ports lie below those that the system gives to connections on its own, so that
    none of these takes one before the worker does.
    """
    free: list[str] = []
    while len(free) < count:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            free.append(f"localhost:{port}")
    return ",".join(free)


def clusters(count: int) -> list[Cluster]:
    addresses = tuple(free_addresses(count).split(","))
    return [Cluster(addresses, index) for index in range(count)]


# Who takes part


def test_a_cluster_is_read_from_arguments_or_the_environment() -> None:
    expected = Cluster(("a:2222", "b:2223"), 1)
    assert find_cluster("a:2222, b:2223", 1, {}) == expected
    assert find_cluster(None, None, {"TF_CONFIG": expected.to_tf_config()}) == expected
    with_chief = {
        "cluster": {"chief": ["a:2222"], "worker": ["b:2223"]},
        "task": {"type": "worker", "index": 0},
    }
    environment = {"TF_CONFIG": json.dumps(with_chief)}
    assert find_cluster(None, None, environment) == expected
    for alone in ({}, {"TF_CONFIG": "{}"}):
        assert find_cluster(None, None, alone) is None
    assert find_cluster("a:2222", 0, {}) is None


@pytest.mark.parametrize(
    ("workers", "worker", "text", "told"),
    [
        ("a:2222,b:2222", None, "", "go together"),
        ("a:2222,b", 0, "", "'b'"),
        ("a:2222,b:99999", 0, "", "b:99999"),
        ("a:2222,b:2222", 2, "", "worker 2"),
        ("a:2222,a:2222", 0, "", "twice"),
        (None, None, "{", "TF_CONFIG cannot be read"),
        (None, None, '{"cluster": {"worker": 5}}', "TF_CONFIG cannot be read"),
        (None, None, '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}}', "tasks"),
    ],
)
def test_what_is_no_cluster_is_refused(
    workers: str | None, worker: int | None, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        find_cluster(workers, worker, {"TF_CONFIG": text})


# How they meet


def meet_all(
    members: Sequence[Cluster], facts: Sequence[dict[str, Any]], seconds: float
) -> list[Peers | CharrnnError]:
    """What each of these workers, that come at once, finds."""
    found: dict[int, Peers | CharrnnError] = {}

    def come(cluster: Cluster, said: dict[str, Any]) -> None:
        try:
            found[cluster.index] = meet(cluster, said, seconds=seconds)
        except CharrnnError as error:
            found[cluster.index] = error

    threads = [
        threading.Thread(target=come, args=pair)
        for pair in zip(members, facts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[cluster.index] for cluster in members]


def test_workers_meet_share_a_state_and_notice_who_is_gone() -> None:
    members = clusters(3)
    chief, first, second = meet_all(members, [FACTS] * 3, 30)
    assert isinstance(chief, Peers)
    assert isinstance(first, Peers)
    assert isinstance(second, Peers)
    state = os.urandom(3_000_000)
    sender = threading.Thread(target=chief.send_state, args=([memoryview(state)],))
    sender.start()
    assert first.receive_state() == state
    assert second.receive_state() == state
    sender.join()
    lost: list[int] = []
    chief.watch(lost.append)
    first.leave()  # well
    for line in (*first._lines.values(), *second._lines.values()):
        line.close()  # as the system does for a process that is killed
    assert chief.is_broken()
    assert (chief.lost, lost) == (2, [2])
    assert chief.sentence() == (
        f"Worker 2 ({members[2].addresses[2]}) was lost: start all workers again, "
        "worker 0 with --resume, to go on from the last saved state."
    )
    for line in chief._lines.values():
        line.close()


def test_who_does_not_come_is_named_to_those_who_did() -> None:
    members = clusters(3)
    begun = time.monotonic()
    found = meet_all(members[:2], [FACTS] * 2, 2.5)
    assert time.monotonic() - begun < 30
    missing = f"Worker 2 ({members[0].addresses[2]}) did not come within 2.5 s: start"
    assert [str(one)[: len(missing)] for one in found] == [missing, missing]
    (alone,) = meet_all(members[1:2], [FACTS], 0.2)
    assert isinstance(alone, RunError)
    assert str(alone) == (
        f"Worker 0 ({members[0].addresses[0]}) did not come within 0.2 s: start all "
        "workers within that time, with the same addresses."
    )


def test_workers_that_would_not_train_the_same_are_refused() -> None:
    members = clusters(2)
    found = meet_all(members, [FACTS, {**FACTS, "rnn_units": 25}], 30)
    told = (
        "rnn_units is 25 on worker 1 and 24 on worker 0: start all workers with the "
        "same text, settings and versions."
    )
    assert [str(one) for one in found] == [told, told]
    assert differences({0: FACTS, 1: {}}).startswith("keras is None on worker 1")
    assert differences({0: FACTS, 1: dict(FACTS)}) == ""


def test_strangers_at_the_port_hold_up_nobody() -> None:
    chief, other = clusters(2)
    found: list[Peers] = []
    thread = threading.Thread(
        target=lambda: found.append(meet(chief, FACTS, seconds=60))
    )
    thread.start()
    host, _, port = chief.addresses[0].rpartition(":")
    for data in (b"GET / HTTP/1.0\r\n\r\n", b'{"worker": 7, "facts": {}}\n', b"[]\n"):
        stranger = None
        while stranger is None:
            with contextlib.suppress(ConnectionRefusedError):  # it begins to listen
                stranger = socket.create_connection((host, int(port)))
        stranger.sendall(data)
        stranger.close()
    lines = meet(other, FACTS, seconds=60)._lines
    thread.join()
    assert list(found[0]._lines) == [1]
    for line in (*lines.values(), *found[0]._lines.values()):
        line.close()


def test_a_port_that_is_taken_is_told() -> None:
    (chief, _) = clusters(2)
    port = int(chief.addresses[0].rpartition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(RunError, match=f"port {port} of worker 0"),
    ):
        meet(chief, FACTS, seconds=1)


# The parent


def watched(program: str, **seconds: float) -> Outcome:
    """A Python program as a worker; ``report(stage, detail)`` is defined in it."""
    head = "import os, sys, time\nfrom charrnn.trainer.supervise import *\n"
    return supervise(
        lambda descriptor: ("-c", f"{head}report = Report({descriptor})\n{program}"),
        environment={**os.environ, "PYTHONPATH": str(store.PACKAGE_ROOT)},
        seconds={Stage(name): value for name, value in seconds.items()},
    )


def test_a_stage_that_lasts_too_long_ends_the_process() -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    outcome = watched(f"{deaf}report(Stage.CONNECTING)\ntime.sleep(60)", connecting=0.2)
    assert (outcome.code, outcome.overdue) == (-signal.SIGKILL, True)
    assert outcome.stage is Stage.CONNECTING
    outcome = watched(
        "report(Stage.CONNECTING)\nreport(Stage.DONE, '2')\nsys.exit(7)", connecting=30
    )
    assert (outcome.code, outcome.details[Stage.DONE]) == (7, "2")
    assert not outcome.overdue


def test_a_worker_ends_with_its_parent() -> None:
    worker = (
        "import time\nfrom charrnn.trainer.supervise import end_with_parent\n"
        "end_with_parent()\nprint('here', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", worker],
        cwd=store.PACKAGE_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "here\n"
    process.stdin.close()  # as the system does when the parent is killed
    assert process.wait(timeout=30) == -signal.SIGKILL
    process.stdout.close()


# A whole run


def new_run(text: Corpus, run_id: str, **settings: Any) -> Path:
    prepared = preparation.prepare(text, settings={**SETTINGS, **settings})
    return with_baseline(control.create(prepared, model_id=run_id))


class Pair:
    """Two workers of one run, worker 1 with a folder of its own for what it keeps.

    Args:
        folder: The run's.
        place: Where each worker's output goes.
        text: What worker 1 is given in place of the run.
        settings: Of worker 1.
        actions: What each does after which step, see `tests.trainer.worker`.
    """

    def __init__(
        self,
        folder: Path,
        place: Path,
        text: Corpus,
        *,
        actions: Sequence[str],
        **settings: Any,
    ) -> None:
        self.place = place
        self.addresses = free_addresses()
        (place / "text.txt").write_text(text.text, encoding="utf-8")
        given = {**SETTINGS, **settings}
        options = [f"--{name.replace('_', '-')}={v}" for name, v in given.items()]
        self.processes = [
            self._start(0, actions[0], [f"--resume={folder.name}"]),
            self._start(1, actions[1], [f"--corpus={place / 'text.txt'}", *options]),
        ]

    def _start(
        self, index: int, action: str, arguments: list[str]
    ) -> "subprocess.Popen[bytes]":
        environment = {**os.environ}
        if index:
            environment["CHARRNN_CHECKPOINTS"] = str(self.place / "nothing")
        with (self.place / f"log{index}").open("wb") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.trainer.worker", *action.split()),
                    *("train", *arguments, f"--workers={self.addresses}"),
                    f"--worker={index}",
                ],
                cwd=store.PACKAGE_ROOT,
                env=environment,
                stderr=log,
                stdout=log,
            )

    def finish(self, seconds: float = 240) -> list[int]:
        """Both exit codes; worker 1 has kept nothing."""
        try:
            codes = [process.wait(seconds) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
                process.wait()
        assert not (self.place / "nothing").exists()
        return codes

    def log(self, index: int) -> str:
        return (self.place / f"log{index}").read_text(encoding="utf-8")


def state_of(folder: Path) -> dict[str, np.ndarray]:
    data = (folder / "state/state.safetensors").read_bytes()
    return safetensors.numpy.load(data)


def losses_of(folder: Path) -> dict[int, float]:
    """By step; of a step that was taken back and made again, the second one."""
    told = events.read(folder).events
    return {event.step: event.loss for event in told if event.type == "step"}


def assert_near(folder: Path, reference: Path) -> None:
    """The same losses at each step, and the same state after the last."""
    found, expected = losses_of(folder), losses_of(reference)
    assert found.keys() == expected.keys()
    for step, loss in expected.items():
        assert found[step] == pytest.approx(loss, abs=NEAR)
    assert_near_states(state_of(folder), state_of(reference))
    assert np.abs(state_of(reference)["carried.0"]).max() > 0.1


def train_alone(folder: Path, step: int) -> None:
    """Train in this process, to be stopped in a step; each step has an event."""

    def stop(event: events.Event) -> None:
        if event.type == "step" and event.step == step:
            (folder / store.STOP).write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charrnn.trainer.callbacks.EVENT_SECONDS", 0.0)
        train.train(folder, listener=stop)


def assert_failed(folder: Path, told: str) -> None:
    status = read_status(folder.name)
    assert status.state is RunState.FAILED
    assert told in status.message


def kill_one(
    folder: Path, place: Path, text: Corpus, *, killed: int, step: int
) -> Pair:
    """Begin a run on two workers; one is killed after a step. The other fails soon."""
    actions = [f"{'die' if index == killed else 'stop'} {step}" for index in (0, 1)]
    if killed == 1:
        actions[0] = "stop 9999"
    pair = Pair(folder, place, text, actions=actions)
    pair.processes[killed].wait(240)
    assert pair.processes[1 - killed].wait(60) == 1, pair.log(1 - killed)
    assert pair.finish() == [1, 1]
    return pair


@pytest.mark.alone
def test_a_killed_worker_is_named_and_all_go_on_to_the_numbers_of_one(
    small_corpus: Corpus, tmp_path: Path
) -> None:
    folder, alone = new_run(small_corpus, "two"), new_run(small_corpus, "alone")
    kill_one(folder, tmp_path, small_corpus, killed=1, step=35)
    assert_failed(folder, "was lost: start all workers again, worker 0 with --resume")
    assert read_status("two").message.startswith("Worker 1 (localhost:")
    assert state_of(folder)["optimizer.0"] >= 30  # saved before that
    pair = Pair(folder, tmp_path, small_corpus, actions=("stop 50",) * 2)
    assert pair.finish() == [0, 0], pair.log(0) + pair.log(1)
    assert read_status("two").state is RunState.STOPPED
    (line,) = pair.log(1).splitlines()
    assert line.startswith("worker 1 (localhost:")
    train_alone(alone, 50)
    assert_near(folder, alone)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_killed_chief_is_named_and_all_go_on_bit_for_bit(
    small_corpus: Corpus, tmp_path: Path
) -> None:
    folder, whole = new_run(small_corpus, "two"), new_run(small_corpus, "whole")
    pair = kill_one(folder, tmp_path, small_corpus, killed=0, step=35)
    assert "Worker 0 (localhost:" in pair.log(1)
    assert_failed(folder, "ended from outside")  # its parent has recorded it
    for path in (folder, whole):
        pair = Pair(path, tmp_path, small_corpus, actions=("stop 50",) * 2)
        assert pair.finish() == [0, 0], pair.log(0) + pair.log(1)
    state, expected = state_of(folder), state_of(whole)
    assert {name: array.tobytes() for name, array in state.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
    notices = read_view(folder).notices
    assert not any("Resumed elsewhere" in notice for notice in notices)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_other_cells_and_other_numbers_of_workers(
    small_corpus: Corpus, tmp_path: Path, cell: str
) -> None:
    folder = new_run(small_corpus, "two", cell=cell, batch_size=5)
    alone = new_run(small_corpus, "alone", cell=cell, batch_size=4)
    actions = ("stop 25",) * 2
    pair = Pair(
        folder, tmp_path, small_corpus, actions=actions, cell=cell, batch_size=5
    )
    assert pair.finish() == [0, 0], pair.log(0) + pair.log(1)
    assert "the text is read as 4." in " ".join(read_view(folder).notices)
    control.request_resume(folder)
    train_alone(folder, 50)
    assert "'workers': '2 -> 1'" in " ".join(read_view(folder).notices)
    train_alone(alone, 50)
    np.testing.assert_allclose(
        state_of(folder)["network.0"], state_of(alone)["network.0"], rtol=0, atol=NEAR
    )
    control.request_resume(alone)
    pair = Pair(alone, tmp_path, small_corpus, actions=("stop 60",) * 2, cell=cell)
    assert pair.finish() == [0, 0], pair.log(0) + pair.log(1)
    control.request_resume(folder)
    train_alone(folder, 60)
    assert_near_states(state_of(folder), state_of(alone))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_chief_alone_decides(small_corpus: Corpus, tmp_path: Path) -> None:
    """Minutes, a factor of the learning rate, early end, Ctrl-C: all follow it."""
    folder = new_run(small_corpus, "two", minutes=0.1, epochs=None)
    settings = {"epochs": 500}
    pair = Pair(
        folder, tmp_path, small_corpus, actions=("rate 20", "rate 5"), **settings
    )
    assert pair.finish() == [0, 0], pair.log(0) + pair.log(1)
    status = read_status("two")
    assert status.state is RunState.FINISHED
    assert [(event.step, event.factor) for event in status.view.factors] == [(21, 0.5)]
    early = new_run(small_corpus, "early", epochs=500, early_stopping=1)
    settings = {"epochs": 500, "early_stopping": 1}
    pair = Pair(early, tmp_path, small_corpus, actions=("none 1",) * 2, **settings)
    assert pair.finish() == [0, 0], pair.log(0) + pair.log(1)
    assert read_status("early").state is RunState.EARLY
    stopped = new_run(small_corpus, "stopped", epochs=500)
    pair = Pair(stopped, tmp_path, small_corpus, actions=("none 1",) * 2, epochs=500)
    while not read_view(stopped).validations:
        assert pair.processes[0].poll() is None, pair.log(0)
        time.sleep(0.05)
    pair.processes[1].send_signal(signal.SIGINT)  # decides nothing
    time.sleep(0.5)
    assert pair.processes[1].poll() is None
    pair.processes[0].send_signal(signal.SIGINT)
    assert pair.finish() == [130, 0], pair.log(0) + pair.log(1)
    assert "where worker 0 runs" in pair.log(1)
    assert read_status("stopped").state is RunState.STOPPED


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_worker_that_does_not_come_or_trains_something_else(
    small_corpus: Corpus, tmp_path: Path
) -> None:
    folder = new_run(small_corpus, "two")
    addresses = free_addresses()
    for index, arguments in enumerate(
        (["--resume=two"], [f"--corpus={tmp_path / 'text.txt'}", "--epochs=2"])
    ):
        (tmp_path / "text.txt").write_text(small_corpus.text, encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "charrnn", "train", *arguments, "--wait=2"),
                *(f"--workers={addresses}", f"--worker={index}"),
            ],
            cwd=store.PACKAGE_ROOT,
            env={**os.environ},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        named = f"Worker {1 - index} ({addresses.split(',')[1 - index]})"
        assert f"{named} did not come within 2 s: start" in done.stderr
    assert_failed(folder, "Worker 1")
    pair = Pair(folder, tmp_path, small_corpus, actions=("none 1",) * 2, rnn_units=25)
    assert pair.finish() == [2, 2]
    for index in (0, 1):
        assert "rnn_units is 25 on worker 1 and 24 on worker 0" in pair.log(index)
