from pathlib import Path

from charrnn.model.record import CONFIG
from charrnn.runs.events import EventLog
from charrnn.runs.history import read_history
from charrnn.ui.history import RISING, RunView, Views, view_of


def event(kind, step, **fields):
    return {"type": kind, "time": 0.0, "step": step, **fields}


def validations(*losses):
    return [event("validation", 10 * i, val_loss=x) for i, x in enumerate(losses, 1)]


def test_best_is_the_lowest_validation():
    assert view_of([]).best is None
    assert view_of(validations(2.0, 1.5, 1.6)).best == (20, 1.5)


def test_memorising_needs_several_validations_above_the_best():
    falling = validations(2.0, 1.5, *[1.6] * (RISING - 1))
    assert not view_of(falling).rising
    assert view_of(validations(2.0, 1.5, *[1.6] * RISING)).rising


def test_planned_steps_come_from_the_latest_word():
    started = event("started", 0, planned_steps=None)
    assert view_of([started]).planned_steps is None
    view = view_of([started, event("planned", 9, planned_steps=400)])
    assert view.planned_steps == 400


def test_a_view_takes_in_only_what_is_new():
    recorded = [event("step", 1, loss=3.0)]
    view = view_of(recorded)
    recorded.append(event("step", 2, loss=2.0))
    assert view.follow(recorded)
    assert view.steps.tolist() == [1, 2]
    assert view.follow(recorded)
    assert view.steps.tolist() == [1, 2]


def test_a_view_says_when_it_does_not_fit_any_more():
    view = view_of([event("step", 1, loss=3.0), event("step", 2, loss=2.0)])
    assert not view.follow([event("step", 1, loss=3.0)])
    assert not view.follow([event("step", 1, loss=3.0)] * 3)


def test_odd_fields_are_passed_over():
    odd = [
        event("step", 1, loss="high"),
        event("step", 2, loss=True),
        event("validation", 2),
        event("sample", 2, text=None),
        event("floor", 2, loss=[]),
        event("notice", 2, message={"a": 1}),
    ]
    view = view_of(odd)
    assert (len(view.steps), len(view.val_steps), view.samples) == (0, 0, [])
    assert view.floor is None
    assert view.notices == []


def test_views_follow_a_file_and_drop_what_a_resume_took_back(isolated: Path):
    folder = isolated / "run"
    folder.mkdir()
    (folder / CONFIG).write_text("{}")
    log = EventLog(folder)
    log.append("step", 1, loss=3.0)
    views = Views()
    first = views.of("run")
    assert first.steps.tolist() == [1]
    log.append("step", 2, loss=2.0)
    assert views.of("run") is first
    assert first.losses.tolist() == [3.0, 2.0]
    log.append("resumed", 1)
    log.append("step", 2, loss=2.5)
    assert views.of("run").losses.tolist() == [3.0, 2.5]


def test_few_views_are_kept(isolated: Path):
    views = Views()
    for index in range(40):
        folder = isolated / f"run-{index}"
        folder.mkdir()
        (folder / CONFIG).write_text("{}")
        assert views.of(folder.name).taken == 0
    assert len(views._views) == 32
    assert isinstance(views.of("run-0"), RunView)
    assert read_history("run-0") == []
