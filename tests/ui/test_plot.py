import gc
import math
import re
import weakref

from charrnn.model import checkpoint
from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.runs.history import read_view
from charrnn.runs.quality import best_loss
from charrnn.ui import chart, plot
from tests.builders import ENGLISH, drawn_rows, make_event, reduce


def test_other_runs_are_laid_over_by_name(run, small_corpus):
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 4}
    )
    other = control.create(prepared, title="validation", model_id="other")
    EventLog(other).append(make_event("validation", 30, val_loss=1.5, best=True))
    drawn, legend = plot.lay_over(ENGLISH, "my-run", ["gone", "../x", "other"], "nats")
    rows = [row[:3] for row in drawn_rows(drawn)]
    assert rows[-1] == [30, 1.5, "run A"]
    record, view = checkpoint.read_record(run), read_view(run)
    names, best = plot.series_names("en"), best_loss(record, view)
    alone = chart.frame(chart.rows(view, record.model.vocab_size, names, best))
    assert rows[:-1] == [list(row) for row in alone["data"]]
    assert "run A: validation" in legend


def test_a_table_has_what_the_plot_shows(run):
    log = EventLog(run)
    log.append(make_event("step", 20, loss=2.0))
    log.append(make_event("validation", 20, val_loss=1.75))
    _, legend = plot.lay_over(ENGLISH, "my-run", [], "nats")
    table = legend[legend.index("<table") :]
    assert "<caption>The plot as a table: loss in nats</caption>" in table
    cells = re.findall(r'<th scope="row">(.*?)</th><td>.*?</td>(.*?)</tr>', table)
    assert cells == [
        ("10", "<td>3.000</td><td>2.500</td>"),
        ("20", "<td>2.000</td><td>1.750</td>"),
    ]
    _, bits = plot.lay_over(ENGLISH, "my-run", [], "bits")
    assert f"<td>{2.5 / math.log(2):.3f}</td>" in bits


def test_a_long_table_is_cut_to_what_one_listens_to():
    told = [make_event("step", step, loss=1.0) for step in range(1, 101)]
    table = plot.table_html("en", reduce(told), "nats")
    assert table.count('<th scope="row">') == plot.TABLE_ROWS
    assert '<th scope="row">1</th>' in table
    assert '<th scope="row">100</th>' in table
    assert table.count("<td>-</td>") == plot.TABLE_ROWS  # not validated yet
    assert plot.table_html("en", reduce([]), "nats") == ""


def test_nothing_is_kept_of_what_has_gone_on_or_is_deleted(run):
    record, views = checkpoint.read_record(run), []
    for step in (20, 30):
        EventLog(run).append(make_event("step", step, loss=2.0))
        for unit in chart.UNITS:
            plot.drawn("en", "my-run", record, [], unit)
        views.append(weakref.ref(read_view(run)))
        assert len(plot._frames[views[-1]()]) == len(chart.UNITS)
    gc.collect()
    assert views[0]() is None
    assert views[1]() is not None
    control.delete("my-run")
    gc.collect()
    assert views[1]() is None


def test_frames_of_one_view_are_few(run, monkeypatch):
    monkeypatch.setattr(plot, "MAX_FRAMES", 2)
    record = checkpoint.read_record(run)
    drawn = [
        plot.drawn(lang, "my-run", record, [], unit)
        for lang in ("en", "ja")
        for unit in chart.UNITS
    ]
    assert len({str(drawn_rows(one)) for one in drawn}) == len(drawn)
    assert len(plot._frames[read_view(run)]) <= 2
