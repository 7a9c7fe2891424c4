"""What events amount to, and that looking again takes in only what is new."""

import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.runs import events, history
from charrnn.runs.events import EventLog
from charrnn.runs.history import forget, read_view
from charrnn.runs.states import RunState
from charrnn.runs.view import MAX_NOTICES, MAX_SAMPLES, RISING, Reducer
from tests.builders import EVENT_TYPES, make_event, reduce

KINDS = sorted({kind for kind in EVENT_TYPES if kind != "floor"})
TAKEN_BACK = (events.Step, events.Validation, events.Sample, events.Checkpoint)


def at(moment, kind, step=0, **fields):
    return make_event(kind, step, time=float(moment), **fields)


def validations(*losses):
    return [
        make_event("validation", 10 * i, val_loss=x) for i, x in enumerate(losses, 1)
    ]


def test_nothing_yet():
    view = reduce([])
    assert (view.state, view.step, view.planned_steps) == (RunState.MODEL, 0, None)
    assert (view.best, view.baseline, view.steps.size, view.samples) == (None,) * 2 + (
        *(0, ()),
    )
    assert (view.factor, view.rising, view.seconds) == (1.0, False, 0.0)


def test_everything_that_a_history_tells():
    view = reduce(
        [
            at(1, "notice", message="a word"),
            at(2, "queued", position=3),
            at(5, "queued", position=0),
            at(10, "started", planned_steps=None, steps_per_epoch=40),
            at(11, "step", 8, loss=3.0, epoch=1, chars_per_second=100.0),
            at(12, "planned", 8, planned_steps=200),
            at(13, "learning_rate", 9, factor=0.5),
            at(14, "step", 50, loss=2.0, epoch=2, chars_per_second=250.0),
            at(15, "validation", 50, val_loss=2.25, best=True),
            at(16, "sample", 50, text=" first"),
            at(90, "baseline", 40, loss=1.75),
        ]
    )
    assert view.taken == 11
    assert (view.state, view.message, view.damaged) == (RunState.RUNNING, "", 0)
    assert (view.queued, view.started, view.seconds) == (5.0, 10.0, 6.0)
    assert (view.position, view.step, view.epoch) == (0, 50, 2)
    assert (view.planned_steps, view.steps_per_epoch) == (200, 40)
    assert (view.steps.tolist(), view.losses.tolist()) == ([8, 50], [3.0, 2.0])
    assert (view.best.step, view.best.val_loss) == (50, 2.25)
    assert [sample.text for sample in view.samples] == [" first"]
    assert (view.notices, view.factor, view.baseline) == (("a word",), 0.5, 1.75)
    assert view.chars_per_second == 250.0
    assert view.seconds_left(500) == 150 * 500 / 250


@pytest.mark.parametrize(
    ("last", "state", "message"),
    [
        (make_event("ended", 9, reason="finished"), RunState.FINISHED, ""),
        (make_event("ended", 9, reason="stopped"), RunState.STOPPED, ""),
        (make_event("ended", 9, reason="early"), RunState.EARLY, ""),
        (make_event("failed", 9, message="why"), RunState.FAILED, "why"),
        (make_event("queued", 9), RunState.QUEUED, ""),
        (make_event("resumed", 9), RunState.RUNNING, ""),
        (make_event("baseline", 9), RunState.RUNNING, ""),
        (make_event("notice", 9), RunState.RUNNING, ""),
    ],
)
def test_the_last_word_is_the_state(last, state, message):
    view = reduce([make_event("queued"), make_event("started"), last])
    assert (view.state, view.message) == (state, message)


def test_a_run_whose_first_line_is_damaged_is_still_one():
    view = reduce([make_event("queued"), make_event("step", 1)])
    assert view.state is RunState.RUNNING


def test_seconds_are_those_inside_trainers():
    view = reduce(
        [
            at(100, "started"),
            at(110, "step", 5),
            at(112, "ended", 5, reason="stopped"),
            at(900, "baseline", 5),
            at(1000, "queued", 5),
            at(1001, "ended", 5, reason="stopped"),  # left the queue
            at(2000, "resumed", 5),
            at(2001, "started", 5),
            at(2031, "step", 9),
            at(1999, "checkpoint", 9),  # the clock was set back
        ]
    )
    assert view.seconds == 12.0
    assert reduce([at(1, "started"), at(31, "step", 1)]).seconds == 30.0


def test_planned_steps_come_from_the_latest_word():
    started = make_event("started", planned_steps=None)
    planned = make_event("planned", 9, planned_steps=400)
    continued = make_event("started", 400, planned_steps=600)
    assert reduce([started]).planned_steps is None
    assert reduce([started, planned]).planned_steps == 400
    assert reduce([started, planned, continued]).planned_steps == 600


def test_no_resumption_takes_a_plan_back():
    plans = [make_event("planned", at, planned_steps=400) for at in (9, 80)]
    resumed = make_event("resumed", 50)
    view = reduce([make_event("started"), *plans, resumed])
    assert (view.step, view.plans) == (50, tuple(plans))


def test_time_left_is_not_told_where_no_float_holds_it():
    slow = make_event("step", 1, chars_per_second=1e-300)
    far = make_event("planned", 1, planned_steps=2**53 - 1)
    assert reduce([slow, far]).seconds_left(6400) is None
    assert reduce([slow]).seconds_left(6400) is None
    assert reduce([far]).seconds_left(6400) is None


def test_best_is_the_lowest_validation_and_the_first_of_equals():
    assert reduce(validations(2.0, 1.5, 1.6, 1.5)).best.step == 20


def test_memorising_needs_several_validations_above_the_best():
    assert not reduce(validations(2.0, 1.5, *[1.6] * (RISING - 1))).rising
    assert reduce(validations(2.0, 1.5, *[1.6] * RISING)).rising


def test_samples_and_notices_are_bounded_and_notices_told_once():
    view = reduce([make_event("sample", step) for step in range(MAX_SAMPLES + 5)])
    assert [s.step for s in view.samples] == list(range(5, MAX_SAMPLES + 5))
    told = [make_event("notice", message=f"{n}") for n in range(MAX_NOTICES + 5)]
    assert reduce(told).notices == tuple(f"{n}" for n in range(5, MAX_NOTICES + 5))
    assert reduce([told[0], told[1], told[0]]).notices == ("0", "1")


def test_resuming_takes_back_what_lies_ahead():
    view = reduce(
        [
            make_event("started"),
            *(make_event("step", 10, epoch=1, chars_per_second=7.0),),
            *(make_event("validation", 10), make_event("sample", 10)),
            *(make_event("step", 20, epoch=2), make_event("sample", 20)),
            make_event("validation", 15, val_loss=1.0, scheduled=False),
            make_event("learning_rate", 20, factor=0.5),
            make_event("notice", 20, message="stays"),
            make_event("baseline", 20, loss=1.5),
            make_event("resumed", 15),
        ]
    )
    assert view.steps.tolist() == [10]
    assert (view.step, view.epoch, view.chars_per_second) == (15, 1, 7.0)
    assert [v.step for v in view.validations] == [10]
    assert (view.best.step, [s.step for s in view.samples]) == (10, [10])
    assert (view.factor, view.notices, view.baseline) == (0.5, ("stays",), 1.5)


def effective(recorded):
    """The rule in other words: drop what a later `resumed` takes back."""
    kept = []
    for event in recorded:
        if isinstance(event, events.Resumed):
            kept = [
                e
                for e in kept
                if not isinstance(e, TAKEN_BACK)
                or (e.step <= event.step and getattr(e, "scheduled", True))
            ]
        kept.append(event)
    return kept


def facts(view):
    """A view's fields as plain values, without those that count everything."""
    plain = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(view).items()
    }
    return {k: v for k, v in plain.items() if k not in ("taken", "seconds", "step")}


RECORDED = st.lists(
    st.builds(
        lambda kind, step, more: make_event(kind, step, **more.get(kind, {})),
        st.sampled_from(KINDS),
        st.integers(0, 20),
        st.fixed_dictionaries(
            {
                "validation": st.fixed_dictionaries(
                    {
                        "val_loss": st.sampled_from([1.0, 2.0]),
                        "scheduled": st.booleans(),
                    }
                ),
                "queued": st.fixed_dictionaries({"position": st.integers(0, 3)}),
            }
        ),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(recorded=RECORDED)
def test_a_view_is_that_of_what_still_counts(recorded):
    assert facts(reduce(recorded)) == facts(reduce(effective(recorded)))


@settings(deadline=None, max_examples=100)
@given(recorded=RECORDED, looks=st.sets(st.integers(0, 25)))
def test_looking_between_events_changes_nothing_and_no_view_changes(recorded, looks):
    reducer, seen = Reducer(), []
    for index, event in enumerate(recorded):
        reducer.take(event)
        if index in looks:
            seen.append((index, reducer.view(), facts(reducer.view())))
    assert facts(reducer.view()) == facts(reduce(recorded))
    for index, view, before in seen:
        assert facts(view) == before == facts(reduce(recorded[: index + 1]))


def test_damaged_lines_are_counted_and_told(tmp_path):
    log = EventLog(tmp_path)
    log.append(make_event("step", 1))
    with (tmp_path / events.FILE_NAME).open("ab") as file:
        file.write(b"garbage\n")
    assert read_view(tmp_path).damaged == 1
    assert "1 line of it cannot be read" in read_view(tmp_path).notices[0]
    with (tmp_path / events.FILE_NAME).open("ab") as file:
        file.write(b"{}\n[]\n")
    view = read_view(tmp_path)
    assert (view.damaged, view.taken, len(view.notices)) == (3, 1, 1)
    assert "3 lines of it" in view.notices[0]


def test_a_look_takes_in_only_what_is_new(tmp_path, monkeypatch):
    log = EventLog(tmp_path)
    assert read_view(tmp_path).taken == 0
    log.append(make_event("step", 1, loss=3.0))
    first = read_view(tmp_path)
    assert read_view(tmp_path) is first
    offsets, read = [], events.read

    def noted(folder, offset):
        offsets.append(offset)
        return read(folder, offset)

    monkeypatch.setattr(events, "read", noted)
    size = (tmp_path / events.FILE_NAME).stat().st_size
    assert read_view(tmp_path) is first
    assert offsets == []
    log.append(make_event("step", 2, loss=2.0))
    assert read_view(tmp_path).losses.tolist() == [3.0, 2.0]
    assert offsets[0] == size
    assert first.losses.tolist() == [3.0]
    log.append(make_event("resumed", 1))
    log.append(make_event("step", 2, loss=2.5))
    assert read_view(tmp_path).losses.tolist() == [3.0, 2.5]
    assert min(offsets) == size


def test_another_file_and_none_begin_anew(tmp_path):
    log = EventLog(tmp_path)
    log.append(make_event("step", 1, loss=3.0))
    log.append(make_event("step", 2, loss=3.0))
    assert read_view(tmp_path).taken == 2
    other = tmp_path / "other"
    other.mkdir()
    EventLog(other).append(make_event("step", 9, loss=1.0))
    (other / events.FILE_NAME).replace(tmp_path / events.FILE_NAME)
    assert read_view(tmp_path).losses.tolist() == [1.0]
    (tmp_path / events.FILE_NAME).unlink()
    assert read_view(tmp_path).taken == 0


def test_few_views_are_kept_and_a_deleted_run_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "MAX_FOLLOWED", 3)
    for index in range(8):
        assert read_view(tmp_path / f"run-{index}").taken == 0
    assert len(history._followers) == 3
    forget(tmp_path / "run-7")
    assert [path.name for path in history._followers] == ["run-5", "run-6"]


def test_looks_of_many_threads_are_all_of_one_moment(tmp_path):
    """Readers draw from views while the reducer goes on and goes back."""
    log, done, faults = EventLog(tmp_path), threading.Event(), []

    def look():
        while not done.is_set():
            view = read_view(tmp_path)
            values = view.losses.copy()
            time.sleep(0)
            if not (
                np.array_equal(values, view.losses)
                and np.array_equal(view.losses, view.steps.astype(float))
                and len(view.steps) + len(view.validations) <= view.taken
            ):
                faults.append(view)

    readers = [threading.Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    for turn in range(4):
        for step in range(300 * turn, 300 * turn + 400):
            log.append(make_event("step", step, loss=float(step)))
        log.append(make_event("resumed", 300 * (turn + 1) - 1))
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert read_view(tmp_path).steps.tolist() == list(range(1200))


def test_a_long_history_costs_nothing_to_look_at_again(tmp_path):
    """Ratios in one run: a look beside the parsing of a hundred lines."""
    event = events.to_dict(make_event("step", 1, time=1.0))
    lines = [json.dumps({**event, "step": n}) + "\n" for n in range(100_000)]
    (tmp_path / events.FILE_NAME).write_text("".join(lines))
    assert read_view(tmp_path).taken == 100_000

    def best(act):
        times = []
        for _ in range(20):
            start = time.perf_counter()
            act()
            times.append(time.perf_counter() - start)
        return min(times)

    sample = [line.encode() for line in lines[:100]]
    parsing = best(lambda: [json.loads(line) for line in sample])
    assert best(lambda: read_view(tmp_path)) < parsing
    log = EventLog(tmp_path)

    def grow():
        log.append(make_event("step", 100_000))
        read_view(tmp_path)

    assert best(grow) < 10 * parsing
