"""How many trainings are taken: of all, of a visitor, of an address."""

import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from charrnn.errors import ConfigError, RunError
from charrnn.hosting import Visitor
from charrnn.runs import control, preparation, queue, store
from charrnn.runs.events import EventLog
from charrnn.runs.owner import Owner, new_owner
from charrnn.runs.preparation import Prepared
from charrnn.text.corpus import Corpus
from tests.builders import make_event


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARRNN_HOSTED", "1")


@pytest.fixture
def prepared(small_corpus: Corpus) -> Prepared:
    return preparation.prepare(small_corpus, settings={"rnn_units": 8})


def owner_at(visitor: str, address: str = "192.0.2.1") -> Owner:
    owner = new_owner(Visitor(visitor, address), page=True)
    assert owner is not None
    return owner


def accept(prepared: Prepared, owner: Owner | None = None) -> Path:
    """A run as `control.start` writes it; nobody trains it."""
    with queue.accepting(owner):
        return control.create(prepared, owner=owner)


def end(path: Path) -> None:
    EventLog(path).append(make_event("ended", 1))


def test_of_24_at_once_12_are_taken(prepared: Prepared) -> None:
    barrier = threading.Barrier(24)

    def one(_: int) -> str:
        barrier.wait()
        try:
            accept(prepared)
        except RunError as error:
            return str(error).partition(":")[0]
        return "taken"

    with ThreadPoolExecutor(24) as pool:
        outcomes = Counter(pool.map(one, range(24)))
    refused = "12 trainings run or wait here already"
    assert outcomes == {"taken": 12, refused: 12}


SCRIPT = """
import sys, time
from pathlib import Path
from charrnn.errors import RunError
from charrnn.runs import control, preparation, queue
from charrnn.text import corpus
text = corpus.from_text("the sea and the sand " * 300, name="t", max_bytes=10**6)
prepared = preparation.prepare(text, settings={"rnn_units": 8})
Path(sys.argv[1]).touch()
while not Path(sys.argv[2]).exists(): time.sleep(0.005)
taken = 0
for _ in range(12):
    try:
        with queue.accepting():
            control.create(prepared)
        taken += 1
    except RunError:
        pass
print(taken)
"""


def test_two_processes_take_12_together(tmp_path: Path) -> None:
    ready, go = [tmp_path / "a", tmp_path / "b"], tmp_path / "go"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(path), str(go)],
            cwd=store.PACKAGE_ROOT,
            env={**os.environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        for path in ready
    ]
    event = threading.Event()
    for _ in range(6000):
        if all(path.exists() for path in ready):
            break
        event.wait(0.01)
    go.touch()
    counts = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(counts) == 12


def test_a_visitor_has_two_that_run_or_wait(prepared: Prepared) -> None:
    first = accept(prepared, owner_at("a"))
    accept(prepared, owner_at("a"))
    with pytest.raises(RunError, match="2 of your runs run or wait here already"):
        accept(prepared, owner_at("a"))
    accept(prepared, owner_at("b"))  # somebody else may
    end(first)
    accept(prepared, owner_at("a"))


def test_a_run_that_goes_on_is_counted_once(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "spawn", lambda path: 0)
    monkeypatch.setenv("CHARRNN_RUNS_PER_VISITOR", "2")
    owner = owner_at("a")
    path = accept(prepared, owner)
    accept(prepared, owner_at("a"))
    control.resume(path.name, owner=owner)  # its trainer never came
    end(path)
    control.continue_for(path.name, 1, owner=owner)
    with pytest.raises(RunError, match="2 of your runs run or wait"):
        accept(prepared, owner_at("a"))


def test_an_address_has_half_of_all_however_many_sessions(prepared: Prepared) -> None:
    for session in range(6):
        accept(prepared, owner_at(f"session {session}"))
    with pytest.raises(RunError, match="6 runs from your network run or wait"):
        accept(prepared, owner_at("session 7"))
    accept(prepared, owner_at("session 8", "192.0.2.2"))


def test_a_visitor_keeps_so_many_runs(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARRNN_RUNS_PER_VISITOR", "1")
    for session in range(10):
        end(accept(prepared, owner_at(f"s{session}")))
    with pytest.raises(RunError, match="1 of your runs are kept here already: delete"):
        accept(prepared, owner_at("s0"))
    with pytest.raises(RunError, match="10 runs from your network are kept"):
        accept(prepared, owner_at("s10"))
    with pytest.raises(RunError, match="delete one first"):
        queue.check_kept(owner_at("s0"))


def test_the_terminal_has_no_limits_of_a_visitor(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARRNN_HOSTED", "0")
    for _ in range(4):
        accept(prepared)


def test_a_network_has_so_many_parameters_and_ends_in_time(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARRNN_MAX_PARAMETERS", "20000")
    monkeypatch.setenv("CHARRNN_MAX_MINUTES", "2")
    with pytest.raises(ConfigError, match=r"[\d,]+ parameters, and at most 20,000"):
        preparation.prepare(small_corpus, settings={"rnn_units": 128})
    settings = {"rnn_units": 8, "epochs": 3}
    prepared = preparation.prepare(small_corpus, settings=settings)
    assert (prepared.training.epochs, prepared.training.minutes) == (3, 2)
    path = control.create(prepared)
    end(path)
    control.request_resume(path, more_epochs=5)
    notices = [n for n in queue.read_view(path).notices if "after 2 minutes" in n]
    assert len(notices) == 1
