"""When a run validates and ends, and its learning rate: functions of the step alone.

Minutes and "about every 20 seconds" are turned into step counts once, from the
measured speed of the first steps. The counts are stored with the run; from then on
every number depends on the step alone, so that a run that was killed and resumed
repeats bit for bit what it would have done. (Saving the state changes no number and
goes by the clock.)
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from charrnn.config import TrainingConfig

VALIDATION_SECONDS: Final = 20.0  # between validations inside a long epoch
VALIDATION_SHARE: Final = 0.06  # of a run's time that validating may take there
SHORTEST_SECONDS: Final = 3.0  # between validations of a text with tiny epochs
CONTINUED_PEAK: Final = 0.5  # share of the peak rate when a finished run goes on


@dataclass(frozen=True)
class Schedule:
    """The step counts of a run.

    Args:
        steps_per_epoch: Updates in a pass over the training text.
        start_step: The last step before this schedule holds: 0, or where a
            finished run was continued.
        start_seconds: Seconds of training by then, which ``minutes`` leaves out.
        planned_steps: The run's last step; None until the speed is known.
        validate_every: Steps between validations inside an epoch.
        epochs_per_validation: Validate only at the end of each so many epochs.
        fixed: Whether ``validate_every`` was asked for and counts from step 0.
        epochs: The setting that the schedule was made from.
        minutes: Likewise.
    """

    steps_per_epoch: int
    start_step: int = 0
    start_seconds: float = 0.0
    planned_steps: int | None = None
    validate_every: int | None = None
    epochs_per_validation: int = 1
    fixed: bool = False
    epochs: int | None = None
    minutes: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the speed has been measured and every count is known."""
        return self.planned_steps is not None and self.validate_every is not None

    def epoch(self, step: int) -> int:
        """The epoch, from 1, that a step (from 1) belongs to."""
        return (max(step, 1) - 1) // self.steps_per_epoch + 1

    def ends_epoch(self, step: int) -> bool:
        """Whether a step is the last of its epoch."""
        return step % self.steps_per_epoch == 0

    def validates(self, step: int) -> bool:
        """Whether the run validates after a step."""
        if step == self.planned_steps:
            return True
        if self.validate_every is None:
            return False
        if self.fixed:
            return step % self.validate_every == 0
        if self.ends_epoch(step):
            return self.epoch(step) % self.epochs_per_validation == 0
        within = step % self.steps_per_epoch
        return self.epochs_per_validation == 1 and within % self.validate_every == 0

    def to_json(self) -> dict[str, Any]:
        """The schedule as plain values."""
        return dataclasses.asdict(self)


def read_schedule(values: Mapping[str, Any]) -> Schedule:
    """The schedule of a saved state; entries of other versions are left out."""
    fields = {item.name for item in dataclasses.fields(Schedule)}
    return Schedule(**{key: value for key, value in values.items() if key in fields})


def begin_schedule(
    training: TrainingConfig,
    steps_per_epoch: int,
    *,
    step: int = 0,
    seconds: float = 0.0,
) -> Schedule:
    """The schedule before the speed is known, from a step and second of a run on."""
    planned = None
    if training.minutes is None and training.epochs is not None:
        planned = max(training.epochs * steps_per_epoch, step + 1)
    return Schedule(
        steps_per_epoch=steps_per_epoch,
        start_step=step,
        start_seconds=seconds,
        planned_steps=planned,
        validate_every=training.validate_every,
        fixed=training.validate_every is not None,
        epochs=training.epochs,
        minutes=training.minutes,
    )


def complete_schedule(
    schedule: Schedule,
    *,
    step: int,
    elapsed: float,
    seconds_per_step: float,
    overhead: float,
) -> Schedule:
    """Turn times into steps, once the speed has been measured.

    Args:
        schedule: A schedule from `begin_schedule`.
        step: The step that has just been made.
        elapsed: Seconds since the run began.
        seconds_per_step: Seconds that a step takes, warm.
        overhead: Seconds that a validation with all that follows it takes.

    Returns:
        A complete schedule.
    """
    per_step = max(seconds_per_step, 1e-6)
    epoch_seconds = schedule.steps_per_epoch * per_step
    apart = max(VALIDATION_SECONDS, overhead / VALIDATION_SHARE)
    sections = max(1, round(epoch_seconds / apart))
    together = 1
    if epoch_seconds < SHORTEST_SECONDS:
        together = math.ceil(SHORTEST_SECONDS / epoch_seconds)
    planned = schedule.planned_steps
    if planned is None:
        budget = 60 * (schedule.minutes or 0.0) - (elapsed - schedule.start_seconds)
        between = max(SHORTEST_SECONDS, epoch_seconds / sections)
        share = between / (between + overhead)  # what validating leaves for steps
        planned = step + max(1, int(budget * share / per_step))
        if schedule.epochs is not None:
            planned = min(planned, schedule.epochs * schedule.steps_per_epoch)
    return dataclasses.replace(
        schedule,
        planned_steps=max(planned, step),
        validate_every=schedule.validate_every
        if schedule.fixed
        else math.ceil(schedule.steps_per_epoch / sections),
        epochs_per_validation=together,
    )


def learning_rate(training: TrainingConfig, schedule: Schedule, step: int) -> float:
    """The learning rate of an update, before any factor a person applies.

    Rises linearly over ``warmup_steps`` (at most a fifth of the run), then
    falls to zero linearly, or as half a cosine, or stays. A continued run goes
    through the same once more at half the peak.

    Args:
        training: Peak, warm-up and how the rate falls.
        schedule: Where the run begins and ends; while its end is unknown the
            rate stays at the peak after the warm-up.
        step: The update, from 1.
    """
    peak = training.learning_rate * (CONTINUED_PEAK if schedule.start_step else 1.0)
    position = step - schedule.start_step
    warmup = training.warmup_steps
    if schedule.planned_steps is not None:
        total = schedule.planned_steps - schedule.start_step
        warmup = min(warmup, total // 5)
    if position <= warmup:
        return peak * position / max(warmup, 1)
    if schedule.planned_steps is None or training.schedule == "constant":
        return peak
    left = (total - position + 1) / max(total - warmup, 1)
    left = min(max(left, 0.0), 1.0)
    if training.schedule == "cosine":
        return peak * 0.5 * (1 - math.cos(math.pi * left))
    return peak * left
