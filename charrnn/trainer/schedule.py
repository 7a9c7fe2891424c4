"""When a run validates and ends, and its learning rate: functions of the step alone.

Minutes and "about every 20 seconds" are turned into step counts: a plan. The first one
comes from the measured speed of the first steps; since the speed changes with what else
the machine has to do, `Planner` revises it at fixed fractions of the run. Each plan
holds from a step on and goes on record before it does: between two of them every number
depends on the step alone, and a run that was killed and resumed repeats, with the plans
on record, bit for bit what it would have done. (Saving the state changes no number and
goes by the clock.)
"""

import bisect
import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from charrnn.config import TrainingConfig
from charrnn.runs import events

# Shares of a run, by the clock or by its steps, at which its plan is revised: close to
# the end what is left is short, and so is what a wrong speed can add to it
REVISED_AT: Final = (
    *(1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8),
    *(15 / 16, 31 / 32, 63 / 64, 1.0),
)
PROBE_STEPS: Final = 8  # time at least this many steps before the first plan
PROBE_SECONDS: Final = 3.0  # and at least this long
PROBE_QUANTILE: Final = 0.4  # of the steps' times: slow ones had other work beside
COLD_STEPS: Final = 2  # of a process, which trace and fill caches
BESIDE_VALIDATION: Final = 0.2  # seconds of the sample and the files after one
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

    def validations(self, step: int) -> int:
        """How often the run validates up to a step, its end apart."""
        every = self.validate_every or step + 1
        if self.fixed:
            return step // every
        epochs, within = divmod(step, self.steps_per_epoch)
        if self.epochs_per_validation > 1:
            return epochs // self.epochs_per_validation
        an_epoch = (self.steps_per_epoch - 1) // every + 1
        return epochs * an_epoch + within // every

    def to_json(self) -> dict[str, Any]:
        """The schedule as plain values."""
        return dataclasses.asdict(self)


def record_plan(schedule: Schedule, step: int) -> events.Planned:
    """A complete schedule as the event that puts it on record."""
    return events.Planned(
        step=step,
        planned_steps=schedule.planned_steps or step,  # never None
        start_step=schedule.start_step,
        validate_every=schedule.validate_every,
        epochs_per_validation=schedule.epochs_per_validation,
    )


def replan(schedule: Schedule, event: events.Planned) -> Schedule:
    """The schedule that a recorded plan makes of the one before."""
    return dataclasses.replace(
        schedule,
        planned_steps=event.planned_steps,
        validate_every=event.validate_every,
        epochs_per_validation=event.epochs_per_validation,
    )


def plans_ahead(
    plans: Iterable[events.Planned], schedule: Schedule, step: int
) -> list[events.Planned]:
    """The plans on record that a run has yet to come to, in their order.

    Those of another length that was asked for do not count, nor do those of 0.1.0,
    which did not say when to validate.
    """
    ahead = {
        event.step: event
        for event in plans
        if step < event.step <= event.planned_steps
        and event.start_step == schedule.start_step
        and event.validate_every is not None
    }
    return [ahead[at] for at in sorted(ahead)]


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


def plan_steps(
    schedule: Schedule,
    *,
    step: int,
    elapsed: float,
    seconds_per_step: float,
    overhead: float,
) -> Schedule:
    """Turn times into steps, from the speed as it is now.

    Args:
        schedule: A schedule from `begin_schedule`, or one that is to be revised.
        step: The step that has just been made.
        elapsed: Seconds since the run began.
        seconds_per_step: Seconds that a step takes, validations apart.
        overhead: Seconds that a validation with all that follows it takes.

    Returns:
        A complete schedule. A run by minutes ends as close to them as whole steps
        allow; where they are over, one more step is planned, whose learning rate
        is all but zero.
    """
    per_step = max(seconds_per_step, 1e-6)
    epoch_seconds = schedule.steps_per_epoch * per_step
    apart = max(VALIDATION_SECONDS, overhead / VALIDATION_SHARE)
    sections = max(1, round(epoch_seconds / apart))
    together = 1
    if epoch_seconds < SHORTEST_SECONDS:
        together = math.ceil(SHORTEST_SECONDS / epoch_seconds)
    if not schedule.fixed:
        schedule = dataclasses.replace(
            schedule,
            validate_every=math.ceil(schedule.steps_per_epoch / sections),
            epochs_per_validation=together,
        )
    if schedule.minutes is None:
        last = max(schedule.planned_steps or 0, step)
    else:
        seconds = 60 * schedule.minutes - (elapsed - schedule.start_seconds)
        last = _last_step(schedule, step, seconds, per_step, overhead)
    return dataclasses.replace(schedule, planned_steps=last)


def _last_step(
    schedule: Schedule, step: int, seconds: float, per_step: float, overhead: float
) -> int:
    """The step whose end is closest to so many seconds from now."""
    most = max(1, round(seconds / per_step))
    if schedule.epochs is not None:
        whole = schedule.epochs * schedule.steps_per_epoch
        most = max(1, min(most, whole - step))
    before = schedule.validations(step)

    def needed(steps: int) -> float:  # the validation at the end comes after it
        between = schedule.validations(step + steps - 1) - before
        return steps * per_step + between * overhead

    counts = range(1, most + 1)
    fitting = bisect.bisect_right(counts, seconds + per_step / 2, key=needed)
    return step + max(1, fitting)


class Planner:
    """Makes a run's first plan and revises it, from the times it is handed.

    It has no clock: the same times give the same plans.

    Args:
        validation_steps: How many steps take as long as a validation, as far as that
            is known before there was one.
    """

    def __init__(self, validation_steps: float) -> None:
        self._validation_steps = validation_steps
        self._overhead: float | None = None  # seconds of the last validation
        self._validations = 0
        self._ends: list[float] = []  # of the first steps of this process
        self._since: tuple[int, float] | None = None  # step and second measured from
        self._validating = 0.0  # seconds of validations since then
        self._next = math.inf  # the share at which the plan is revised

    def validated(self, seconds: float) -> None:
        """Take in what a validation, with all that follows it, has taken."""
        self._validating += seconds
        self._validations += 1
        if self._validations > 1:  # the first one traces
            self._overhead = seconds

    def revise(self, schedule: Schedule, step: int, elapsed: float) -> Schedule:
        """The schedule that holds from here on: mostly the one that held before.

        Args:
            schedule: What holds.
            step: The step that has just been made; call it after each.
            elapsed: Seconds since the run began.
        """
        if len(self._ends) <= COLD_STEPS or not schedule.is_complete:
            self._ends.append(elapsed)
        if not schedule.is_complete:
            per_step = self._probe(step == schedule.planned_steps)
        elif schedule.minutes is None or len(self._ends) <= COLD_STEPS:
            return schedule
        else:
            per_step = self._measure(schedule, step, elapsed)
        if per_step is None:
            return schedule
        overhead = self._overhead
        if overhead is None:
            overhead = self._validation_steps * per_step + BESIDE_VALIDATION
        planned = plan_steps(
            schedule,
            step=step,
            elapsed=elapsed,
            seconds_per_step=per_step,
            overhead=overhead,
        )
        if step == schedule.planned_steps and planned.planned_steps == step + 1:
            planned = schedule  # it ends here, as planned
        self._begin(planned, step, elapsed)
        return planned

    def _probe(self, due: bool) -> float | None:
        """Seconds of a step, once enough of the first ones are timed."""
        warm = self._ends[COLD_STEPS:]
        enough = len(warm) > PROBE_STEPS and warm[-1] - warm[0] >= PROBE_SECONDS
        if not (enough or due):
            return None
        gaps = np.diff(warm) if len(warm) > 1 else np.array([1.0])
        return float(np.quantile(gaps, PROBE_QUANTILE))

    def _measure(self, schedule: Schedule, step: int, elapsed: float) -> float | None:
        """Seconds of a step since the last plan, once the next one is due."""
        if self._since is None:  # the plan was made by another process
            self._begin(schedule, step, elapsed)
            return None
        since, begun = self._since
        if step == since or _share(schedule, step, elapsed) < self._next:
            return None
        return (elapsed - begun - self._validating) / (step - since)

    def _begin(self, schedule: Schedule, step: int, elapsed: float) -> None:
        share = _share(schedule, step, elapsed)
        later = (fraction for fraction in REVISED_AT if fraction > share)
        self._next = next(later, math.inf)
        self._since, self._validating = (step, elapsed), 0.0


def _share(schedule: Schedule, step: int, elapsed: float) -> float:
    """How much of a planned run is over: by the clock or its steps, the greater."""
    if schedule.minutes is None or schedule.planned_steps is None:
        return 0.0
    steps = max(1, schedule.planned_steps - schedule.start_step)
    return max(
        (elapsed - schedule.start_seconds) / (60 * schedule.minutes),
        (step - schedule.start_step) / steps,
    )


def own_share(training: TrainingConfig, schedule: Schedule, step: int) -> float:
    """The share of the characters read that are the network's own at an update.

    It rises linearly over the run, to ``scheduled_sampling`` at its last update, and
    once more in a continued run. While the run's end is unknown it is 0.

    Args:
        training: What it rises to.
        schedule: Where the run begins and ends.
        step: The update, from 1.

    Reference:
        Bengio, Vinyals, Jaitly & Shazeer (2015), section 2.4: a schedule that teaches
        the network to read what it writes. https://arxiv.org/abs/1506.03099
    """
    if schedule.planned_steps is None:
        return 0.0
    total = max(1, schedule.planned_steps - schedule.start_step)
    over = min(1.0, (step - schedule.start_step) / total)
    return training.scheduled_sampling * over


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
