"""A run asked for minutes takes them, whatever else the machine has to do."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from charrnn.runs import control, events, preparation
from charrnn.runs.states import EndReason
from charrnn.text.corpus import Corpus
from charrnn.trainer import train
from tests.builders import TINY, with_baseline

BURNER = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
"""


@contextlib.contextmanager
def burning(*spans: tuple[float, float]) -> Iterator[None]:
    """Two busy cores in each span of seconds from now."""
    begun, over = time.monotonic(), threading.Event()
    processes: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        for start, end in spans:
            if over.wait(max(0.0, start - (time.monotonic() - begun))):
                return
            command = [sys.executable, "-c", BURNER, str(end - start)]
            processes.extend(subprocess.Popen(command) for _ in range(2))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for process in processes:
            process.kill()
            process.wait()


def seconds_taken(text: Corpus, seconds: float) -> float:
    """From the start of a run asked for so many seconds to its last update."""
    settings = {**TINY, "epochs": None, "minutes": seconds / 60, "rnn_units": 96}
    del settings["validate_every"]
    folder = with_baseline(control.create(preparation.prepare(text, settings=settings)))
    assert train.train(folder) is EndReason.FINISHED
    told = events.read(folder).events
    (started,) = (event for event in told if event.type == "started")
    steps = [event for event in told if event.type == "step"]
    plans = [event for event in told if event.type == "planned"]
    assert len(plans) > 1
    assert steps[-1].step == plans[-1].planned_steps
    assert steps[-1].learning_rate < 0.1 * max(step.learning_rate for step in steps)
    return steps[-1].time - started.time


def test_fifteen_seconds_beside_other_work_are_fifteen(small_corpus: Corpus) -> None:
    taken = []
    while not taken or abs(taken[-1] - 15) > 1.5:
        assert len(taken) < 3, taken  # a starved machine has more work than is ours
        with burning((6, 9)):
            taken.append(seconds_taken(small_corpus, 15.0))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [48.0, 60.0])
@pytest.mark.parametrize(
    "spans",
    [((0, 20),), ((20, 40),), ((40, 70),), ((5, 10), (15, 20), (30, 36), (50, 55))],
)
def test_a_minute_beside_other_work_is_a_minute(
    small_corpus: Corpus, spans: tuple[tuple[float, float], ...], seconds: float
) -> None:
    with burning(*spans):
        taken = seconds_taken(small_corpus, seconds)
    assert taken == pytest.approx(seconds, rel=0.05)
