"""Times become steps, and the learning rate follows the steps."""

import itertools
from collections.abc import Callable

import pytest

from charrnn.config import TrainingConfig
from charrnn.trainer.schedule import (
    REVISED_AT,
    Planner,
    Schedule,
    begin_schedule,
    learning_rate,
    own_share,
    plan_steps,
    plans_ahead,
    read_schedule,
    record_plan,
    replan,
)
from tests.builders import make_event


def training(**settings: object) -> TrainingConfig:
    return TrainingConfig(**{"warmup_steps": 10, "learning_rate": 0.01, **settings})


def completed(settings: TrainingConfig, *, per_epoch: int, per_step: float) -> Schedule:
    begun = begin_schedule(settings, per_epoch)
    return plan_steps(
        begun, step=20, elapsed=5.0, seconds_per_step=per_step, overhead=0.0
    )


def test_epochs_are_counted_in_steps() -> None:
    begun = begin_schedule(training(epochs=3), 50)
    assert begun.planned_steps == 150
    assert [begun.epoch(step) for step in (1, 50, 51, 150)] == [1, 1, 2, 3]
    assert [s for s in range(1, 151) if begun.ends_epoch(s)] == [50, 100, 150]


def test_minutes_become_steps_from_the_measured_speed() -> None:
    # 60 s less the 5 gone, at 0.1 s a step and no overhead: 550 more steps
    done = completed(training(epochs=None, minutes=1.0), per_epoch=100, per_step=0.1)
    assert done.planned_steps == 20 + 550
    assert done.is_complete


def test_minutes_of_a_continued_run_count_from_there() -> None:
    settings = training(epochs=None, minutes=1.0)
    begun = begin_schedule(settings, 100, step=1000, seconds=300.0)
    done = plan_steps(
        begun, step=1020, elapsed=305.0, seconds_per_step=0.1, overhead=0.0
    )
    assert done.planned_steps == 1020 + 550


def test_the_shorter_of_epochs_and_minutes_ends_the_run() -> None:
    done = completed(training(epochs=2, minutes=1.0), per_epoch=100, per_step=0.1)
    assert done.planned_steps == 200


@pytest.mark.parametrize(
    ("per_epoch", "per_step", "expected"),
    [
        (100, 0.1, [100, 200]),  # an epoch of 10 s
        (900, 0.1, [225, 450, 675, 900]),  # 90 s: four times an epoch
        (899, 0.1, [225, 450, 675, 899]),  # the end of an epoch always counts
        (10, 0.1, [30, 60, 90]),  # epochs of 1 s: every third
    ],
)
def test_validations_are_about_twenty_seconds_apart(
    per_epoch: int, per_step: float, expected: list[int]
) -> None:
    done = completed(training(epochs=30), per_epoch=per_epoch, per_step=per_step)
    found = [s for s in range(1, expected[-1] + 1) if done.validates(s)]
    assert found == expected


def test_costly_validations_are_further_apart() -> None:
    begun = begin_schedule(training(epochs=30), 900)
    done = plan_steps(begun, step=20, elapsed=5.0, seconds_per_step=0.1, overhead=2.7)
    # 2.7 s are 6 % of 45 s: twice in an epoch of 90 s and not four times
    assert [s for s in range(1, 901) if done.validates(s)] == [450, 900]


def test_fixed_validations_count_from_the_first_step_and_the_end() -> None:
    begun = begin_schedule(training(epochs=1, validate_every=7), 20)
    assert [s for s in range(1, 21) if begun.validates(s)] == [7, 14, 20]


def test_the_share_of_its_own_characters_rises_to_the_end_of_each_run() -> None:
    settings = training(minutes=1, scheduled_sampling=0.5)
    begun = begin_schedule(settings, 50)
    assert own_share(settings, begun, 30) == 0  # its end is not known
    whole = Schedule(steps_per_epoch=50, planned_steps=100)
    shares = [own_share(settings, whole, step) for step in range(1, 101)]
    assert shares == [0.5 * step / 100 for step in range(1, 101)]
    more = Schedule(steps_per_epoch=50, start_step=100, planned_steps=300)
    shares = [own_share(settings, more, step) for step in (101, 200, 300)]
    assert shares == [0.0025, 0.25, 0.5]
    assert own_share(training(), whole, 100) == 0


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_learning_rate_rises_to_its_peak_and_falls_as_said(schedule: str) -> None:
    settings = training(epochs=2, schedule=schedule)
    whole = begin_schedule(settings, 50)
    rates = [learning_rate(settings, whole, step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == pytest.approx(0.01)
    assert rates[9] == pytest.approx(0.01)
    # 90 steps of falling; halfway there are 45 left of them
    middle = {"linear": 0.005, "cosine": 0.005, "constant": 0.01}[schedule]
    assert rates[55] == pytest.approx(middle)
    last = {"linear": 0.01 / 90, "cosine": 0.01 * 0.000305, "constant": 0.01}[schedule]
    assert rates[-1] == pytest.approx(last, rel=2e-3)


def test_a_continued_run_goes_through_the_schedule_at_half_the_peak() -> None:
    settings = training(epochs=4)
    more = begin_schedule(settings, 50, step=100)
    assert more.planned_steps == 200
    rates = [learning_rate(settings, more, step) for step in range(101, 201)]
    assert max(rates) == pytest.approx(0.005)
    assert rates[0] == pytest.approx(0.0005)


def test_a_schedule_survives_its_file() -> None:
    done = completed(training(epochs=30), per_epoch=100, per_step=0.1)
    assert read_schedule(done.to_json()) == done


# --- revisions ---------------------------------------------------------------

START = 4.0  # seconds that the first step of a process takes: it traces
VALIDATION = 0.6  # seconds; the first one of a process takes three times as long
SHAPES: dict[str, Callable[[float, int], float]] = {  # seconds of a step
    "constant": lambda now, step: 0.02,
    "three times slower at first": lambda now, step: 0.06 if now < 20 else 0.02,
    "three times faster at first": lambda now, step: 0.01 if now < 20 else 0.03,
    "slow in the middle": lambda now, step: 0.05 if 15 < now < 40 else 0.02,
    "slow at the end": lambda now, step: 0.05 if now > 50 else 0.02,
    "fast at the end": lambda now, step: 0.02 if now > 50 else 0.05,
    "alternating by seconds": lambda now, step: 0.02 if now % 10 < 5 else 0.045,
    "alternating by steps": lambda now, step: 0.01 if step % 2 else 0.04,
    "few large steps": lambda now, step: 1.1,
    "sixty times slower for a while": lambda now, step: 1.2 if 30 < now < 45 else 0.02,
}


def simulate(
    schedule: Schedule, settings: TrainingConfig, pace: Callable[[float, int], float]
) -> tuple[float, list[tuple[int, Schedule]], list[float]]:
    """A run on recorded times: seconds to its last update, plans, learning rates."""
    planner, now = Planner(validation_steps=10), START
    plans: list[tuple[int, Schedule]] = []
    rates, cost = [], 3 * VALIDATION
    for step in itertools.count(1):
        rates.append(learning_rate(settings, schedule, step))
        now += pace(now, step)
        revised = planner.revise(schedule, step, now)
        if revised != schedule:
            plans.append((step, revised))
        schedule = revised
        if step == schedule.planned_steps:
            return now, plans, rates
        if schedule.validates(step):
            now += cost
            planner.validated(cost)
            cost = VALIDATION
    raise AssertionError


@pytest.mark.parametrize("seconds", [60.0, 120.0, 600.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_takes_the_minutes_it_was_asked_for(shape: str, seconds: float) -> None:
    settings = training(epochs=None, minutes=seconds / 60)
    pace, stretch = SHAPES[shape], seconds / 60
    taken, plans, rates = simulate(
        begin_schedule(settings, 700),
        settings,
        lambda now, step: pace(now / stretch, step),
    )
    assert taken == pytest.approx(seconds, rel=0.03)
    assert len(plans) < 2 * len(REVISED_AT)
    assert rates[-1] < 0.1 * max(rates)
    last = plans[-1][1].planned_steps
    assert len(rates) == last
    assert learning_rate(settings, plans[-1][1], len(rates) + 1) == 0


def test_a_run_of_constant_speed_is_planned_well_at_once() -> None:
    settings = training(epochs=None, minutes=1.0)
    _, plans, rates = simulate(
        begin_schedule(settings, 700), settings, SHAPES["constant"]
    )
    first, last = plans[0][1].planned_steps, plans[-1][1].planned_steps
    assert first == pytest.approx(last, rel=0.05)
    # linear but for small steps where the plan moved
    falling = rates[settings.warmup_steps + 1 :]
    assert all(b < 1.02 * a for a, b in itertools.pairwise(falling))


def test_recorded_plans_repeat_a_run_without_a_clock() -> None:
    settings = training(epochs=None, minutes=1.0)
    begun = begin_schedule(settings, 700)
    _, plans, rates = simulate(begun, settings, SHAPES["slow in the middle"])
    recorded = [record_plan(schedule, step) for step, schedule in plans]
    for start in (0, plans[2][0] - 1, plans[2][0]):
        known = [schedule for step, schedule in plans if step <= start]
        schedule = known[-1] if known else begun
        ahead = plans_ahead([*recorded, *recorded], schedule, start)
        assert [event.step for event in ahead] == [s for s, _ in plans if s > start]
        for step in range(start + 1, len(rates) + 1):
            assert learning_rate(settings, schedule, step) == rates[step - 1]
            if ahead and ahead[0].step == step:
                schedule = replan(schedule, ahead.pop(0))
        assert schedule == plans[-1][1]


def test_plans_of_another_length_or_version_do_not_count() -> None:
    schedule = begin_schedule(training(epochs=None, minutes=1.0), 50, step=100)
    settled = {"planned_steps": 400, "start_step": 100, "validate_every": 50}
    good = make_event("planned", 120, **settled)
    others = [
        make_event("planned", 130, planned_steps=400),  # as 0.1.0 wrote it
        make_event("planned", 140, **{**settled, "start_step": 0}),
        make_event("planned", 100, **settled),  # done
        make_event("planned", 150, **{**settled, "planned_steps": 149}),
    ]
    assert plans_ahead([*others, good], schedule, 100) == [good]


def test_epochs_are_planned_once_and_never_revised() -> None:
    settings = training(epochs=3)
    _, plans, _ = simulate(
        begin_schedule(settings, 700), settings, SHAPES["slow in the middle"]
    )
    assert [schedule.planned_steps for _, schedule in plans] == [2100]
    both = training(epochs=2, minutes=1.0)
    taken, plans, _ = simulate(begin_schedule(both, 700), both, SHAPES["constant"])
    assert plans[-1][1].planned_steps == 1400
    assert taken < 40


@pytest.mark.parametrize("per_epoch", [7, 100, 899])
@pytest.mark.parametrize("fixed", [None, 30])
def test_validations_are_counted_as_they_come(
    per_epoch: int, fixed: int | None
) -> None:
    settings = training(epochs=40, validate_every=fixed)
    schedule = completed(settings, per_epoch=per_epoch, per_step=0.1)
    end = min(3000, (schedule.planned_steps or 0) - 1)
    found = [schedule.validates(step) for step in range(1, end + 1)]
    assert schedule.validations(end) == sum(found) > 0
    assert schedule.validations(end // 2) == sum(found[: end // 2])
