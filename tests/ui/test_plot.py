from charrnn.model import checkpoint
from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.ui import chart, plot
from tests.builders import ENGLISH, make_event


def test_other_runs_are_laid_over_by_name(run, small_corpus):
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 4}
    )
    other = control.create(prepared, title="validation", model_id="other")
    EventLog(other).append(make_event("validation", 30, val_loss=1.5, best=True))
    drawn, legend = plot.lay_over(ENGLISH, "my-run", ["gone", "../x", "other"], "nats")
    record = checkpoint.read_record(run)
    rows = plot.rows("en", "my-run", record, ["gone", "other"])
    assert (30, 1.5, "run A") in rows
    assert [row[:3] for row in drawn["data"]] == chart.frame(rows)["data"]
    assert "run A: validation" in legend
