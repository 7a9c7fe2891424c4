import json
import time

import pytest

from charrnn.runs import control, events, preparation, store
from charrnn.runs.events import EventLog
from charrnn.runs.states import RunState
from charrnn.runs.view import Reducer
from charrnn.text import corpus
from charrnn.ui import chart, following, plot, run_actions
from charrnn.ui.shared import NEW_BROWSER, Browser
from charrnn.ui.wiring import SKIP
from tests.builders import (
    ENGLISH,
    PageRequest,
    drawn_rows,
    make_event,
    make_folder,
    make_record,
)

EVIL = "${alert(1)} `{{value}}` <img src=x onerror=alert(2)> \"' =a"


def changed(shown):
    return {name for name, value in shown._asdict().items() if value is not SKIP}


def test_following_shows_the_whole_run(run):
    with store.hold(run):
        shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    assert shown.browser == {"run": "my-run", "held": ["my-run"], "keys": {}}
    assert shown.followed == "my-run"
    assert "My run" in shown.head
    assert ">training</span>" in shown.head
    assert "epoch 1" in shown.progress
    assert "step 10 of 100" in shown.progress
    assert "4,750 characters/s" in shown.progress
    assert "9 s left" in shown.progress  # 90 steps of 5 x 100 characters
    assert "best sampled validation 2.500 at step 10" in shown.news
    assert " first" in shown.samples
    assert shown.plot["columns"][:3] == ["step", "loss", "series"]
    series = {row[2] for row in drawn_rows(shown.plot)}
    assert series == set(plot.series_names("en").values())
    assert "My run" in shown.table


def test_a_tick_without_news_changes_nothing(run):
    with store.hold(run):
        shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
        again = following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")
    assert changed(again) == set()


def test_a_tick_brings_only_what_is_new(run):
    log = EventLog(run)
    with store.hold(run):
        shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
        log.append(make_event("step", 12, epoch=2, loss=2.0, chars_per_second=1.0))
        step = following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")
        log.append(make_event("validation", 20, val_loss=2.25, best=True))
        validation = following.tick(ENGLISH, "my-run", step.frame_key, [], "nats")
        log.append(make_event("sample", 20, text=" second"))
        sample = following.tick(ENGLISH, "my-run", validation.frame_key, [], "nats")
        log.append(make_event("baseline", 20, order=5, loss=1.75))
        baseline = following.tick(ENGLISH, "my-run", sample.frame_key, [], "nats")
    assert changed(step) == {"frame_key", "progress", "plot"}
    judged = {"news", "legend", "loss_parts"}
    assert changed(validation) == {"frame_key", "progress", "plot", *judged}
    assert changed(sample) == {"frame_key", "progress", "samples"}
    assert sample.samples.index(" first") < sample.samples.index(" second")
    assert changed(baseline) == {"frame_key", "progress", "plot", "legend", "news"}
    assert "a table of 5-grams 1.750" in baseline.legend


def go_on(folder, steps):
    """Add what a training tells in so many half seconds."""
    told = []
    for step in range(20, 20 + steps):
        told.append(make_event("step", step, loss=2 + 1 / step))
        if step % 20 == 0:
            told.append(make_event("validation", step, val_loss=2 + 1 / step))
            told.append(make_event("sample", step))
    lines = [json.dumps({**events.to_dict(event), "time": 0.0}) for event in told]
    with (folder / events.FILE_NAME).open("a", encoding="utf-8") as history:
        history.write("\n".join(lines) + "\n")


def values_in(value):
    """How many values Gradio goes through, in lists and objects."""
    if isinstance(value, dict):
        value = list(value.values())
    inner = value if isinstance(value, list | tuple) else ()
    return 1 + sum(map(values_in, inner))


def counted(monkeypatch, owner, name):
    """A list that grows with each call of a function."""
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a: calls.append(1) or function(*a))
    return calls


@pytest.mark.parametrize("steps", [20, 5000])
def test_a_tick_costs_no_more_the_longer_the_training(run, monkeypatch, steps):
    go_on(run, steps)
    with store.hold(run):
        shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
        read = counted(monkeypatch, Reducer, "take")
        drawn = counted(monkeypatch, chart, "rows")
        EventLog(run).append(make_event("step", 20 + steps, loss=2.0))
        ticks = [
            following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")
            for _ in range(50)
        ]
    assert changed(ticks[-1]) == {"frame_key", "progress", "plot"}
    assert (len(read), len(drawn)) == (1, 1)  # for all who follow it
    assert values_in(ticks[-1]) < 50
    assert len(drawn_rows(ticks[-1].plot)) < 4 * chart.MAX_POINTS


def test_a_change_of_state_shows_the_right_buttons(run):
    with store.hold(run):
        shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    EventLog(run).append(make_event("ended", 10, reason="stopped"))
    told = following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")
    assert changed(told) == {"redraw"}
    ended = following.redrawn(ENGLISH, "my-run", NEW_BROWSER, [], "nats")
    assert ">stopped</span>" in ended.head
    assert "data" in ended.plot  # new data, the same node
    assert {"stop", "resume", "more", "rate"} <= changed(ended)


@pytest.mark.parametrize(
    ("state", "visible"),
    [
        (RunState.QUEUED, {"stop"}),
        (RunState.RUNNING, {"stop", "rate"}),
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
    buttons = following.buttons(state, owned=True, begun=True)
    assert {name for name, b in buttons.items() if b["visible"]} == visible


def test_a_run_that_was_stopped_in_the_queue_is_resumed_and_not_continued(small_corpus):
    path = control.create(preparation.prepare(small_corpus), model_id="never-begun")
    EventLog(path).append(make_event("ended", reason="stopped"))
    shown = following.follow(ENGLISH, path.name, NEW_BROWSER)
    assert shown.resume["visible"]
    assert not shown.more["visible"]
    assert all(row[1] is None for row in drawn_rows(shown.plot))  # no level alone


def test_a_run_that_died_says_so_and_offers_to_resume(run):
    shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    assert ">died</span>" in shown.head
    assert "memory ran out" in shown.news


def test_a_run_that_is_gone_leaves_an_empty_panel(run):
    shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    control.delete("my-run")
    told = following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")
    assert changed(told) == {"redraw"}
    gone = following.redrawn(ENGLISH, "my-run", NEW_BROWSER, [], "nats")
    assert gone.followed == ""
    assert "not here" in gone.welcome["value"]
    for run_id in ("my-run", "../etc"):
        gone = following.follow(ENGLISH, run_id, NEW_BROWSER)
        assert "not here" in gone.welcome["value"]
        assert gone.browser["run"] is None


def test_a_page_finds_its_run_again(run):
    remembered = {"run": "my-run", "held": ["my-run"]}
    by_browser = following.opened(ENGLISH, remembered)
    by_address = following.opened(PageRequest("?run=my-run"), NEW_BROWSER)
    assert by_browser.followed == by_address.followed == "my-run"
    lost = following.opened(ENGLISH, {"run": "gone", "held": []})
    assert lost.followed == ""


def test_a_run_from_a_terminal_shows_up_by_itself(run, monkeypatch):
    nobody = following.tick(ENGLISH, "", None, [], "nats")
    assert changed(nobody) == set()  # it is dead
    with store.hold(run):
        told = following.tick(ENGLISH, "", None, [], "nats")
        assert changed(told) == {"redraw"}
        found = following.redrawn(ENGLISH, "", NEW_BROWSER, [], "nats")
        assert found.followed == "my-run"
        monkeypatch.setenv("CHARRNN_HOSTED", "1")
        assert changed(following.tick(ENGLISH, "", None, [], "nats")) == set()


def test_a_run_that_begins_elsewhere_joins_the_list(run, small_corpus):
    EventLog(run).append(make_event("ended", 10, reason="finished"))
    shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    assert (
        changed(following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")) == set()
    )
    prepared = preparation.prepare(
        small_corpus, preset="quick", settings={"rnn_units": 4}
    )
    control.create(prepared, title="From a terminal")
    told = following.tick(ENGLISH, "my-run", shown.frame_key, [], "nats")
    assert changed(told) == {"redraw"}
    joined = following.redrawn(ENGLISH, "my-run", NEW_BROWSER, [], "nats")
    assert joined.followed == "my-run"
    assert "From a terminal" in joined.table


def test_a_hosted_page_shows_a_browser_only_its_own_runs(run, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    run_id = store.hosted_id()
    run.rename(run.with_name(run_id))
    empty = following.empty_panel("en", Browser())
    assert "My run" not in empty.table
    mine = following.empty_panel("en", Browser(None, (run_id,)))
    assert "My run" in mine.table
    shown = following.follow(ENGLISH, run_id, NEW_BROWSER)  # as by a link
    assert "My run" in shown.table
    assert shown.browser == {"run": run_id, "held": [run_id], "keys": {}}
    day = time.strftime("%Y-%m-%d %H", time.gmtime(time.time() + 7 * 86_400))
    assert f"Kept until {day}" in shown.news
    with store.hold(run.with_name(run_id)):
        shown = following.follow(ENGLISH, run_id, NEW_BROWSER)
    assert "Kept for 7 days after its end" in shown.news


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
    shown = following.follow(ENGLISH, "evil", NEW_BROWSER)
    _, question = run_actions.ask_delete(ENGLISH, "evil", NEW_BROWSER)
    parts = [v for v in (*shown, question) if isinstance(v, str)]
    assert sum("alert(2)" in part for part in parts) >= 4
    for part in parts:
        assert "<img" not in part


def test_what_cannot_be_read_is_told_in_the_table_and_beside_the_run(run, small_corpus):
    prepared = preparation.prepare(small_corpus, preset="quick")
    control.create(prepared, title="Newer", model_id="newer")
    config = run.with_name("newer") / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "format_version": 99}))
    (run / "events.jsonl").unlink()
    (run / "events.jsonl").mkdir()
    shown = following.follow(ENGLISH, "my-run", NEW_BROWSER)
    problem = "The history of my-run (events.jsonl) cannot be read"
    assert ">unreadable</span>" in shown.head
    assert problem in shown.news
    assert problem in shown.table
    assert "config.json has format_version 99" in shown.table
    assert not shown.stop["visible"]
    assert not shown.resume["visible"]
    _, legend = plot.lay_over(ENGLISH, "my-run", [], "nats")
    assert "validation" in legend


def test_a_pulled_model_is_no_run(isolated):
    make_folder(isolated / "pulled", make_record())
    assert events.read(isolated / "pulled").events == []
    assert "pulled" not in following.empty_panel("en", Browser()).table
