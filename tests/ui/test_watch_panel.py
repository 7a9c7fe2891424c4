import json
import zipfile
from pathlib import Path

import gradio as gr
import pandas as pd
import pytest

from charrnn.model import checkpoint
from charrnn.runs import control, events, preparation, store
from charrnn.runs.events import EventLog
from charrnn.runs.states import RunState
from charrnn.runs.status import Status
from charrnn.runs.view import reduce
from charrnn.text import corpus
from charrnn.ui import api, panel, watch_panel
from charrnn.ui.shared import NEW_BROWSER, Browser
from charrnn.ui.watch_panel import SKIP
from tests.builders import make_event, make_folder, make_record

EVIL = "${alert(1)} `{{value}}` <img src=x onerror=alert(2)> \"' =a"


class Asked:
    """A request as far as its headers and its address go."""

    def __init__(self, run="", lang="en"):
        self.headers = {"accept-language": lang}
        self.query_params = {"run": run} if run else {}


@pytest.fixture
def run(small_corpus):
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


def changed(shown):
    return {name for name, value in shown._asdict().items() if value is not SKIP}


def follow(lang, run_id, browser=NEW_BROWSER):
    *shown, remembered = watch_panel.follow(lang, run_id, browser)
    return watch_panel.Panel(*shown), remembered


def test_following_shows_the_whole_run(run):
    with store.hold(run):
        shown, remembered = follow("en", "my-run")
    assert remembered == {"run": "my-run", "held": ["my-run"]}
    assert shown.followed == "my-run"
    assert "My run" in shown.head
    assert ">training</span>" in shown.head
    assert "epoch 1" in shown.progress
    assert "step 10 of 100" in shown.progress
    assert "4,750 characters/s" in shown.progress
    assert "9 s left" in shown.progress  # 90 steps of 5 x 100 characters
    assert "best validation loss 2.500 at step 10" in shown.news
    assert " first" in shown.samples
    assert isinstance(shown.plot, pd.DataFrame)
    assert set(shown.plot["series"]) == set(watch_panel.series_names("en").values())
    assert "My run" in shown.table


def test_a_tick_without_news_changes_nothing(run):
    with store.hold(run):
        shown, _ = follow("en", "my-run")
        again = watch_panel.tick("en", "my-run", shown.seen, NEW_BROWSER, [])
    assert changed(again) == set()


def test_a_tick_brings_only_what_is_new(run):
    log = EventLog(run)
    with store.hold(run):
        shown, _ = follow("en", "my-run")
        log.append(make_event("step", 12, epoch=2, loss=2.0, chars_per_second=1.0))
        step = watch_panel.tick("en", "my-run", shown.seen, NEW_BROWSER, [])
        log.append(make_event("validation", 20, val_loss=2.25, best=True))
        validation = watch_panel.tick("en", "my-run", step.seen, NEW_BROWSER, [])
        log.append(make_event("sample", 20, text=" second"))
        sample = watch_panel.tick("en", "my-run", validation.seen, NEW_BROWSER, [])
        log.append(make_event("baseline", 20, order=5, loss=1.75))
        baseline = watch_panel.tick("en", "my-run", sample.seen, NEW_BROWSER, [])
    assert changed(step) == {"seen", "progress", "plot"}
    assert changed(validation) == {"seen", "progress", "plot", "news", "legend"}
    assert changed(sample) == {"seen", "progress", "samples"}
    assert sample.samples.index(" second") < sample.samples.index(" first")
    assert changed(baseline) == {"seen", "progress", "plot", "legend"}
    assert "a table of 5-grams 1.750" in baseline.legend


def test_a_change_of_state_shows_the_right_buttons(run):
    with store.hold(run):
        shown, _ = follow("en", "my-run")
    EventLog(run).append(make_event("ended", 10, reason="stopped"))
    told = watch_panel.tick("en", "my-run", shown.seen, NEW_BROWSER, [])
    assert changed(told) == {"turn"}
    ended = watch_panel.turned("en", "my-run", NEW_BROWSER, [])
    assert ">stopped</span>" in ended.head
    assert isinstance(ended.plot, pd.DataFrame)  # new data, the same node
    assert {"stop", "resume", "more", "factor", "timer"} <= changed(ended)


@pytest.mark.parametrize(
    ("state", "visible"),
    [
        (RunState.QUEUED, {"stop"}),
        (RunState.RUNNING, {"stop", "factor"}),
        (RunState.STOPPING, {"stop"}),
        (RunState.STOPPED, {"resume", "more"}),
        (RunState.DIED, {"resume", "more"}),
        (RunState.FAILED, {"resume"}),
        (RunState.FINISHED, {"more"}),
        (RunState.EARLY, {"more"}),
        (RunState.UNREADABLE, set()),
    ],
)
def test_each_state_has_its_buttons(state, visible):
    buttons = watch_panel._buttons(state)
    assert {name for name, b in buttons.items() if b["visible"]} == visible


def test_a_run_that_died_says_so_and_offers_to_resume(run):
    shown, _ = follow("en", "my-run")
    assert ">died</span>" in shown.head
    assert "memory ran out" in shown.news


def test_a_run_that_is_gone_leaves_an_empty_panel(run):
    shown, _ = follow("en", "my-run")
    control.delete("my-run")
    told = watch_panel.tick("en", "my-run", shown.seen, NEW_BROWSER, [])
    assert changed(told) == {"turn"}
    gone = watch_panel.turned("en", "my-run", NEW_BROWSER, [])
    assert gone.followed == ""
    assert "not here" in gone.welcome["value"]
    assert "not here" in follow("en", "my-run")[0].welcome["value"]
    assert follow("en", "../etc")[1]["run"] is None


def test_a_page_finds_its_run_again(run):
    remembered = {"run": "my-run", "held": ["my-run"]}
    by_browser = watch_panel.Panel(*watch_panel.opened(remembered, Asked())[:-1])
    by_address = watch_panel.Panel(
        *watch_panel.opened(NEW_BROWSER, Asked("my-run"))[:-1]
    )
    assert by_browser.followed == by_address.followed == "my-run"
    lost = watch_panel.Panel(
        *watch_panel.opened({"run": "gone", "held": []}, Asked())[:-1]
    )
    assert lost.followed == ""


def test_a_run_from_a_terminal_shows_up_by_itself(run, monkeypatch):
    nobody = watch_panel.tick("en", "", "", NEW_BROWSER, [])
    assert changed(nobody) == set()  # it is dead
    with store.hold(run):
        told = watch_panel.tick("en", "", "", NEW_BROWSER, [])
        assert changed(told) == {"turn"}
        found = watch_panel.turned("en", "", NEW_BROWSER, [])
        assert found.followed == "my-run"
        monkeypatch.setenv("CHARRNN_HOSTED", "1")
        assert changed(watch_panel.tick("en", "", "", NEW_BROWSER, [])) == set()


def test_a_run_that_begins_elsewhere_joins_the_list(run, small_corpus):
    EventLog(run).append(make_event("ended", 10, reason="finished"))
    shown, _ = follow("en", "my-run")
    assert (
        changed(watch_panel.tick("en", "my-run", shown.seen, NEW_BROWSER, [])) == set()
    )
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 4}
    )
    control.create(prepared, title="From a terminal")
    told = watch_panel.tick("en", "my-run", shown.seen, NEW_BROWSER, [])
    assert changed(told) == {"turn"}
    joined = watch_panel.turned("en", "my-run", NEW_BROWSER, [])
    assert joined.followed == "my-run"
    assert "From a terminal" in joined.table


def test_a_hosted_page_shows_a_browser_only_its_own_runs(run, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    key = store.hosted_id()
    run.rename(run.with_name(key))
    empty = watch_panel.empty_panel("en", Browser())
    assert "My run" not in empty.table
    mine = watch_panel.empty_panel("en", Browser(None, (key,)))
    assert "My run" in mine.table
    shown, remembered = follow("en", key)  # the id is the key
    assert "My run" in shown.table
    assert remembered["held"] == [key]
    assert "gone when this page restarts" in shown.news


def test_an_id_that_could_be_guessed_opens_nothing_on_a_hosted_page(run, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    assert follow("en", "my-run")[0].followed == ""
    assert (
        "My run" not in watch_panel.empty_panel("en", Browser(None, ("my-run",))).table
    )
    for action in (watch_panel.stop, watch_panel.resume, watch_panel.delete):
        with pytest.raises(gr.Error, match="no such model or run"):
            action("en", "my-run", NEW_BROWSER)
    for action in (watch_panel.zip_file, api.status, api.stop):
        with pytest.raises(gr.Error, match="no such model or run"):
            action("my-run")
    assert run.is_dir()


def test_other_runs_are_laid_over_by_name(run, small_corpus):
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 4}
    )
    other = control.create(prepared, title="validation", model_id="other")
    EventLog(other).append(make_event("validation", 30, val_loss=1.5, best=True))
    _, legend = watch_panel.lay_over("en", "my-run", ["other", "gone", "../x"])
    record = checkpoint.read_record(run)
    rows = watch_panel.plot_rows("en", "my-run", record, ["other", "gone"])
    assert (30, 1.5, "validation (other)") in rows  # a series has that name already
    assert "validation (other)" in legend


def test_renaming_shows_the_new_title(run):
    shown = watch_panel.rename("en", "my-run", NEW_BROWSER, " New\nname ")
    assert "New name" in shown.head
    with pytest.raises(gr.Error, match="empty"):
        watch_panel.rename("en", "my-run", NEW_BROWSER, " ")


def test_deleting_is_asked_first_and_then_done(run):
    _, question = watch_panel.ask_delete("en", "my-run")
    assert "Delete “My run”" in question
    assert run.is_dir()
    *_, remembered, _ = watch_panel.delete(
        "en", "my-run", {"run": "my-run", "held": []}
    )
    assert not run.exists()
    assert remembered["run"] is None


def test_the_zip_holds_what_is_public_and_the_history(run):
    made = watch_panel.zip_file("my-run")["value"]
    with zipfile.ZipFile(made) as file:
        assert set(file.namelist()) == {"config.json", "vocab.json", "events.jsonl"}
    assert Path(made).name == "my-run.zip"


@pytest.mark.parametrize("count", [0, None, -1, 10_001])
def test_more_epochs_are_bounded(run, count):
    with pytest.raises(gr.Error, match="expected a number from 1"):
        watch_panel.train_more("en", "my-run", NEW_BROWSER, count)


def test_the_rate_is_changed_by_a_file_in_the_run(run):
    with store.hold(run):
        watch_panel.change_rate("my-run", 0.5)
        assert (run / store.LEARNING_RATE).read_text() == "0.5"
        with pytest.raises(gr.Error, match=r"from 0\.01 to 100"):
            watch_panel.change_rate("my-run", None)


def test_nothing_of_a_run_becomes_html(small_corpus):
    evil = corpus.from_text(small_corpus.text, name=EVIL, max_bytes=10**6)
    path = control.create(
        preparation.prepare(evil, preset="quick"), title=EVIL, model_id="evil"
    )
    log = EventLog(path)
    log.append(make_event("notice", 0, message=EVIL))
    log.append(make_event("validation", 1, val_loss=2.0, best=True))
    log.append(make_event("sample", 1, temperature=0.8, prompt=EVIL, text=EVIL))
    log.append(make_event("failed", 1, message=EVIL))
    shown, _ = follow("en", "evil")
    _, question = watch_panel.ask_delete("en", "evil")
    drawn = shown._replace(seen="")  # a hidden field's text
    parts = [v for v in (*drawn, question) if isinstance(v, str)]
    assert sum("alert(2)" in part for part in parts) >= 4
    for part in parts:
        assert "<img" not in part


def status_of(state, *recorded):
    view = reduce(list(recorded))
    return Status(state, "", view, run_id="r", title="t"), view


def test_a_word_when_it_memorises():
    losses = [(10, 1.5), (20, 1.6), (30, 1.7), (40, 1.8)]
    recorded = [make_event("validation", s, val_loss=v) for s, v in losses]
    said = panel.news_html("en", *status_of(RunState.RUNNING, *recorded))
    assert "memorising: the best weights, from step 10, are kept" in said


def test_the_queue_is_told():
    status, view = status_of(RunState.QUEUED, make_event("queued", position=2))
    training = make_record().training
    assert panel.figures("en", status, view, training) == ["2 before it in the queue"]


def test_what_cannot_be_read_is_told_in_the_table_and_beside_the_run(run, small_corpus):
    prepared = preparation.prepare(small_corpus, preset="quick")
    control.create(prepared, title="Newer", model_id="newer")
    config = run.with_name("newer") / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "format_version": 99}))
    (run / "events.jsonl").unlink()
    (run / "events.jsonl").mkdir()
    shown, _ = follow("en", "my-run")
    problem = "The history of my-run (events.jsonl) cannot be read"
    assert ">unreadable</span>" in shown.head
    assert problem in shown.news
    assert problem in shown.table
    assert "config.json has format_version 99" in shown.table
    assert not shown.stop["visible"]
    assert not shown.resume["visible"]
    _, legend = watch_panel.lay_over("en", "my-run", [])
    assert "validation" in legend


def test_a_mark_from_the_browser_may_be_anything():
    assert panel.read_mark("") == {}
    assert panel.read_mark("[1]") == {}
    assert panel.read_mark(json.dumps({"a": 1})) == {"a": 1}


def test_a_pulled_model_is_no_run(isolated):
    make_folder(isolated / "pulled", make_record())
    assert events.read(isolated / "pulled").events == []
    assert "pulled" not in watch_panel.empty_panel("en", Browser()).table
