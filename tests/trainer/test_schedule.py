"""Times become steps once, and the learning rate follows the steps."""

import pytest

from charrnn.config import TrainingConfig
from charrnn.trainer.schedule import (
    Schedule,
    begin_schedule,
    complete_schedule,
    learning_rate,
    read_schedule,
)


def training(**settings: object) -> TrainingConfig:
    return TrainingConfig(**{"warmup_steps": 10, "learning_rate": 0.01, **settings})


def completed(settings: TrainingConfig, *, per_epoch: int, per_step: float) -> Schedule:
    begun = begin_schedule(settings, per_epoch)
    return complete_schedule(
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
    done = complete_schedule(
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
    done = complete_schedule(
        begun, step=20, elapsed=5.0, seconds_per_step=0.1, overhead=2.7
    )
    # 2.7 s are 6 % of 45 s: twice in an epoch of 90 s and not four times
    assert [s for s in range(1, 901) if done.validates(s)] == [450, 900]


def test_fixed_validations_count_from_the_first_step_and_the_end() -> None:
    begun = begin_schedule(training(epochs=1, validate_every=7), 20)
    assert [s for s in range(1, 21) if begun.validates(s)] == [7, 14, 20]


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
