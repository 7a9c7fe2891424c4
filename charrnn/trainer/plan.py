"""When a run validates and ends, and how fast it learns: in steps alone.

Minutes and "about every 20 seconds" become step counts once, from the speed of
the first steps. The counts are stored with the run; from then on everything that
touches a number depends on the step, so that a run that was killed and resumed
repeats what it would have done, bit for bit. (Saving the state touches none and
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
CONTINUED_PEAK: Final = 0.5  # of the learning rate, when a finished run goes on


@dataclass(frozen=True)
class Plan:
    """The step counts of a run.

    Args:
        steps_per_epoch: Updates in a pass over the training text.
        start_step: The last step before this plan holds: 0, or where a
            finished run was continued.
        start_seconds: Seconds of training by then, which ``minutes`` leaves out.
        planned_steps: The run's last step; None until the speed is known.
        validate_every: Steps between validations inside an epoch.
        epochs_per_validation: Validate only at the end of each so many epochs.
        fixed: Whether ``validate_every`` was asked for and counts from step 0.
        epochs: The setting that the plan was made from.
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
    def complete(self) -> bool:
        """Whether the speed has been measured and every count is known."""
        return self.planned_steps is not None and self.validate_every is not None

    def epoch(self, step: int) -> int:
        """The epoch, from 1, that a step (from 1) belongs to."""
        return (max(step, 1) - 1) // self.steps_per_epoch + 1

    def ends_epoch(self, step: int) -> bool:
        """Whether a step is the last of its epoch."""
        return step % self.steps_per_epoch == 0

    def validates(self, step: int) -> bool:
        """Whether the plan validates after a step."""
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
        """The plan as plain values."""
        return dataclasses.asdict(self)


def read_plan(values: Mapping[str, Any]) -> Plan:
    """The plan of a saved state; what other versions kept beside it is left."""
    known = {item.name for item in dataclasses.fields(Plan)}
    return Plan(**{key: value for key, value in values.items() if key in known})


def begin(
    training: TrainingConfig,
    steps_per_epoch: int,
    *,
    step: int = 0,
    seconds: float = 0.0,
) -> Plan:
    """The plan before any speed is known, from a step and second of a run on."""
    planned = None
    if training.minutes is None and training.epochs is not None:
        planned = max(training.epochs * steps_per_epoch, step + 1)
    return Plan(
        steps_per_epoch=steps_per_epoch,
        start_step=step,
        start_seconds=seconds,
        planned_steps=planned,
        validate_every=training.validate_every,
        fixed=training.validate_every is not None,
        epochs=training.epochs,
        minutes=training.minutes,
    )


def fulfil(
    plan: Plan, *, step: int, elapsed: float, seconds_per_step: float, overhead: float
) -> Plan:
    """Turn times into steps, once.

    Args:
        plan: A plan from `begin`.
        step: The step that has just been made.
        elapsed: Seconds since the run began.
        seconds_per_step: Seconds that a step takes, warm.
        overhead: Seconds that a validation with all that follows it takes.

    Returns:
        A complete plan.
    """
    per_step = max(seconds_per_step, 1e-6)
    epoch_seconds = plan.steps_per_epoch * per_step
    apart = max(VALIDATION_SECONDS, overhead / VALIDATION_SHARE)
    parts = max(1, round(epoch_seconds / apart))
    together = 1
    if epoch_seconds < SHORTEST_SECONDS:
        together = math.ceil(SHORTEST_SECONDS / epoch_seconds)
    planned = plan.planned_steps
    if planned is None:
        budget = 60 * (plan.minutes or 0.0) - (elapsed - plan.start_seconds)
        between = max(SHORTEST_SECONDS, epoch_seconds / parts)
        share = between / (between + overhead)  # what validating leaves for steps
        planned = step + max(1, int(budget * share / per_step))
        if plan.epochs is not None:
            planned = min(planned, plan.epochs * plan.steps_per_epoch)
    return dataclasses.replace(
        plan,
        planned_steps=max(planned, step),
        validate_every=plan.validate_every
        if plan.fixed
        else math.ceil(plan.steps_per_epoch / parts),
        epochs_per_validation=together,
    )


def learning_rate(training: TrainingConfig, plan: Plan, step: int) -> float:
    """The learning rate of an update, before any factor a person applies.

    Rises linearly over ``warmup_steps`` (at most a fifth of the run), then
    falls to zero linearly, or as half a cosine, or stays. A continued run goes
    through the same once more at half the peak.

    Args:
        training: Peak and form.
        plan: Where the run begins and ends; while its end is unknown the rate
            stays at the peak after the warm-up.
        step: The update, from 1.
    """
    peak = training.learning_rate * (CONTINUED_PEAK if plan.start_step else 1.0)
    position = step - plan.start_step
    warmup = training.warmup_steps
    if plan.planned_steps is not None:
        total = plan.planned_steps - plan.start_step
        warmup = min(warmup, total // 5)
    if position <= warmup:
        return peak * position / max(warmup, 1)
    if plan.planned_steps is None or training.schedule == "constant":
        return peak
    left = (total - position + 1) / max(total - warmup, 1)
    left = min(max(left, 0.0), 1.0)
    if training.schedule == "cosine":
        return peak * 0.5 * (1 - math.cos(math.pi * left))
    return peak * left
