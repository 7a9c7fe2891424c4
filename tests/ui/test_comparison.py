import dataclasses

import pytest

from charrnn.model import checkpoint
from charrnn.model.record import Figures, SweepRecord
from charrnn.runs import control, sweeps
from charrnn.runs.events import EventLog
from charrnn.ui import comparison, following
from charrnn.ui.shared import NEW_BROWSER, Browser
from tests.builders import ENGLISH, drawn_rows, make_event

SETTINGS = {"rnn_units": [4, 8, 16], "seed": [1, 2], "embedding_dim": [4]}
LOSSES = (2.0, 2.5, 1.5, 1.75, 3.0, 2.75)


@pytest.fixture
def runs(small_corpus):
    """The ids of six finished runs, two seeds for each of three sizes."""
    members = sweeps.plan(small_corpus, preset="quick", settings=SETTINGS)
    found = []
    for member, loss in zip(members, LOSSES, strict=True):
        path = control.create(member.prepared, sweep=member.label)
        log = EventLog(path)
        log.append(make_event("validation", 9, val_loss=loss))
        log.append(make_event("ended", 9))
        record = checkpoint.read_record(path)
        figures = Figures(val_loss=loss, kept_step=9, total_steps=9, seconds=1.0)
        checkpoint.save_record(path, dataclasses.replace(record, figures=figures))
        found.append(path.name)
    return found


def test_a_run_of_a_sweep_stands_among_the_others(runs):
    shown = following.follow(ENGLISH, runs[3], NEW_BROWSER)
    table = shown.sweep
    assert '<th scope="col">Units</th>' in table
    rows = [row.split("</tr>")[0] for row in table.split("<tr>")[2:]]
    assert [row.count("2 of 2") for row in rows] == [1, 1, 1]
    for row, cells in zip(
        rows, (("8", "1.625", "0.177"), ("4", "2.250"), ("16", "2.875")), strict=True
    ):
        assert all(f">{cell}</td>" in row for cell in cells)
    assert f'<a href="?run={runs[2]}">1</a>, <strong>2</strong>' in rows[0]
    assert shown.lay_sweep["visible"] is True


def test_the_best_of_each_other_setting_is_laid_over(runs):
    laid = comparison.lay_sweep(ENGLISH, runs[3], NEW_BROWSER, "nats")
    assert laid.overlay["value"] == [runs[0], runs[5], runs[2]]
    drawn = {row[2]: row[1] for row in drawn_rows(laid.plot) if row[0] == 9}
    assert (drawn["run A"], drawn["run B"], drawn["run C"]) == (2.0, 2.75, 1.5)


def test_nothing_is_shown_of_a_run_by_itself_or_of_others(runs, run, monkeypatch):
    alone = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    assert (alone.sweep, alone.lay_sweep["visible"]) == ("", False)
    record = checkpoint.read_record(sweeps.list_runs()[0].path)
    monkeypatch.setenv("CHARRNN_HOSTED", "1")  # where a visitor sees only their own
    assert comparison.groups_beside(record, Browser()) == []


def test_a_strangers_label_stays_text(runs, isolated):
    path = isolated / runs[0]
    record = checkpoint.read_record(path)
    for name in runs[:2]:
        other = checkpoint.read_record(isolated / name)
        label = SweepRecord(id="x", key="0" * 16, settings={"<b>": "<i>"})
        checkpoint.save_record(isolated / name, dataclasses.replace(other, sweep=label))
    record = checkpoint.read_record(path)
    table = comparison.sweep_html(
        "en", runs[0], comparison.groups_beside(record, Browser())
    )
    assert "&lt;b&gt;" in table
    assert "&lt;i&gt;" in table
    assert "<b>" not in table
