"""What the page's tests share."""

from pathlib import Path

import pytest

from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.text.corpus import Corpus
from tests.builders import make_event, make_folder, make_record


@pytest.fixture
def model(isolated: Path) -> Path:
    """The folder of a small model called m."""
    return make_folder(isolated / "m", make_record(title="A <b>title</b>"))


@pytest.fixture
def run(small_corpus: Corpus) -> Path:
    """A run's folder with a short history; nobody trains it."""
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 8}
    )
    path = control.create(prepared, title="My run", model_id="my-run")
    log = EventLog(path)
    log.append(make_event("started"))
    log.append(make_event("step", 5, loss=3.0, chars_per_second=4750.0))
    log.append(make_event("planned", 6, planned_steps=100))
    log.append(make_event("validation", 10, val_loss=2.5, best=True))
    log.append(make_event("sample", 10, temperature=0.8, prompt="the", text=" first"))
    return path
