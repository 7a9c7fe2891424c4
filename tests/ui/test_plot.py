from charrnn.model import checkpoint
from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.ui import plot
from tests.builders import ENGLISH, make_event


def test_other_runs_are_laid_over_by_name(run, small_corpus):
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 4}
    )
    other = control.create(prepared, title="validation", model_id="other")
    EventLog(other).append(make_event("validation", 30, val_loss=1.5, best=True))
    _, legend = plot.lay_over(ENGLISH, "my-run", ["other", "gone", "../x"])
    record = checkpoint.read_record(run)
    rows = plot.rows("en", "my-run", record, ["other", "gone"])
    assert (30, 1.5, "validation (other)") in rows  # a series has that name already
    assert "validation (other)" in legend
