"""What happens after each step: schedule, history, validation, saving."""

import math
import time
from dataclasses import replace
from typing import Any, Final

import keras
import numpy as np

from charrnn.config import SamplingConfig
from charrnn.errors import TrainingError
from charrnn.model import checkpoint, snapshots
from charrnn.model.checkpoint import Model, Weights
from charrnn.model.generation import generate
from charrnn.model.record import Figures
from charrnn.runs import control, events, store
from charrnn.runs.events import MAX_FACTOR, MIN_FACTOR
from charrnn.runs.history import read_view
from charrnn.runs.states import EndReason
from charrnn.trainer.network import to_weights
from charrnn.trainer.schedule import (
    Planner,
    learning_rate,
    own_share,
    record_plan,
    replan,
)
from charrnn.trainer.session import Session, keep_aside, save_state, update_figures

SAMPLE_LENGTH: Final = 300
SAMPLING: Final = SamplingConfig()
EVENT_SECONDS: Final = 0.5
CHECKPOINT_SECONDS: Final = 25.0  # between two savings of the whole state


class _Callback(keras.callbacks.Callback):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session


class Pacer(_Callback):
    """Counts the steps, sets what follows from each, resets states at an epoch's end.

    That is its learning rate, and its share of the network's own characters.

    A factor that a person sets while the run goes on multiplies the rate.
    """

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        session, progress = self.session, self.session.progress
        progress.step += 1
        self._read_factor_file()
        while (
            session.pending_factors and session.pending_factors[0][0] <= progress.step
        ):
            progress.factor = session.pending_factors.pop(0)[1]
        training, schedule = session.record.training, progress.schedule
        rate = learning_rate(training, schedule, progress.step)
        self.model.optimizer.learning_rate = rate * progress.factor
        if training.scheduled_sampling:
            share = own_share(training, schedule, progress.step)
            self.model.own_share.assign(share)

    def _read_factor_file(self) -> None:
        path = self.session.folder / store.LEARNING_RATE
        if not path.exists():
            return
        step = self.session.progress.step
        aside = path.with_name(f".{path.name}.tmp")
        try:
            path.rename(aside)  # first: whatever happens, it is applied only once
            factor = float(aside.read_text(encoding="ascii"))
        except (OSError, ValueError):
            factor = math.nan
        if MIN_FACTOR <= factor <= MAX_FACTOR:
            self.session.log.append(events.LearningRate(step=step, factor=factor))
            self.session.request_factor(step, factor)
        aside.unlink(missing_ok=True)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.session.progress.schedule.ends_epoch(self.session.progress.step):
            self.model.reset_streams()


class LossRecorder(_Callback):
    """Appends `step` events with the batches' mean loss, at most two a second."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.losses: list[float] = []
        self.last_event = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(np.asarray((logs or {})["loss"]).item())  # (1,) of several devices
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} at step {self.session.progress.step}: the "
                f"training diverged. {self.session.kept()} Use a smaller "
                "learning_rate (a third, say) or a clipnorm of 1."
            )
        self.losses.append(loss)
        now = time.monotonic()
        if now - self.last_event >= EVENT_SECONDS:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Write the losses since the last event, if there are any."""
        progress, training = self.session.progress, self.session.record.training
        if self.losses:
            characters = len(self.losses) * training.batch_size * training.seq_length
            self.session.log.append(
                events.Step(
                    step=progress.step,
                    epoch=progress.schedule.epoch(progress.step),
                    loss=sum(self.losses) / len(self.losses),
                    learning_rate=float(self.model.optimizer.learning_rate.numpy()),
                    chars_per_second=characters / max(now - self.last_event, 1e-9),
                )
            )
        self.losses = []
        self.last_event = now


def write_sample(session: Session, weights: Weights, step: int) -> None:
    """Record what weights write, as those of a step.

    Args:
        session: Of the run.
        weights: The averaged ones after that step.
        step: The step.
    """
    model = Model(session.record, session.vocabulary, weights, "")
    *_, texts = generate(
        model,
        session.prompt,
        length=SAMPLE_LENGTH,
        rows=[replace(SAMPLING, seed=session.record.training.seed)],
    )
    session.log.append(
        events.Sample(
            step=step,
            temperature=SAMPLING.temperature,
            prompt=session.prompt,
            text=texts[0],
        )
    )


def _validation_steps(session: Session) -> float:
    """How many steps take about as long as a validation, before there was one."""
    training = session.record.training
    characters: int = sum(inputs.size for inputs, _, _ in session.validator.windows)
    # a quarter of training, measured with two layers of 320
    return 0.25 * characters / (training.batch_size * training.seq_length)


class Checkpointer(_Callback):
    """Validates, keeps the best weights, saves the state, ends the run when due."""

    def __init__(self, session: Session, recorder: LossRecorder) -> None:
        super().__init__(session)
        self.recorder = recorder
        self.planner = Planner(_validation_steps(session))
        self.last_save = time.monotonic()
        self.baseline_started = False  # after the first validation: it delays nothing

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        session, progress = self.session, self.session.progress
        self._plan()
        step = progress.step
        if snapshots.is_due(step):
            self._take_snapshot(step)
        if progress.schedule.validates(step):
            self._validate(scheduled=True)
        elif session.stop_asked():
            self._validate(scheduled=False)
        elif time.monotonic() - self.last_save > CHECKPOINT_SECONDS:
            self._save()
        self._end_if_due(step)

    def _end_if_due(self, step: int) -> None:
        session, progress = self.session, self.session.progress
        patience = session.record.training.early_stopping
        if step == progress.schedule.planned_steps:
            session.outcome = EndReason.FINISHED
        elif patience and progress.worse >= patience:
            session.outcome = EndReason.EARLY
        elif session.stop_asked():
            session.outcome = EndReason.STOPPED
        if session.outcome:
            self.model.stop_training = True

    def _plan(self) -> None:
        """Take the plan that holds from here on: one on record, or the planner's."""
        session, progress = self.session, self.session.progress
        pending = session.pending_plans
        if not pending:
            schedule = self.planner.revise(
                progress.schedule, progress.step, session.elapsed()
            )
        elif pending[0].step == progress.step:
            schedule = replan(progress.schedule, pending.pop(0))
        else:  # between two that are on record there was none
            return
        if schedule != progress.schedule:
            session.log.append(record_plan(schedule, progress.step))  # before it holds
            progress.schedule = schedule

    def _take_snapshot(self, step: int) -> None:
        session = self.session
        started = time.monotonic()
        with self.model.averaged():
            weights = to_weights(self.model)
        snapshots.save(session.folder, session.record.model, weights, step)
        session.writing += time.monotonic() - started
        if not session.progress.schedule.validates(step):  # which writes one, too
            self.recorder.flush(time.monotonic())
            write_sample(session, weights, step)
            self.recorder.last_event = time.monotonic()

    def _save(self) -> None:
        self.session.log.append(events.Checkpoint(step=self.session.progress.step))
        save_state(self.session)
        self.last_save = time.monotonic()

    def _validate(self, *, scheduled: bool) -> None:
        session, progress = self.session, self.session.progress
        started = time.monotonic()
        self.recorder.flush(time.monotonic())
        with self.model.averaged():
            parts = session.validator.parts()
            weights = to_weights(self.model)
        loss = sum(part.loss for part in parts.values())
        if not math.isfinite(loss):
            raise TrainingError(
                f"The validation loss is {loss} at step {progress.step}: the training "
                f"diverged. {session.kept()} Use a smaller learning_rate."
            )
        best = loss < progress.best_loss
        session.log.append(
            events.Validation(
                step=progress.step,
                val_loss=loss,
                best=best,
                scheduled=scheduled,
                parts=parts,
            )
        )
        write_sample(session, weights, progress.step)
        if scheduled:
            progress.worse = 0 if best else progress.worse + 1
            if best:
                progress.best_loss, progress.best_step = loss, progress.step
        self._save()
        if best:
            self._keep(weights, loss, scheduled=scheduled)
        if not self.baseline_started:
            self.baseline_started = True
            self._start_baseline()
        self.recorder.last_event = time.monotonic()
        self.planner.validated(self.recorder.last_event - started)

    def _start_baseline(self) -> None:
        """Have the n-gram baseline computed, unless the history has it already."""
        folder = self.session.folder
        if read_view(folder).baseline is None:
            control.start_baseline(folder)

    def _keep(self, weights: Weights, loss: float, *, scheduled: bool) -> None:
        session = self.session
        started = time.monotonic()
        if not scheduled:
            keep_aside(session)
        checkpoint.save_weights(session.folder, session.record.model, weights)
        figures = Figures(
            val_loss=loss,
            kept_step=session.progress.step,
            total_steps=session.progress.step,
            seconds=round(session.elapsed(), 1),
        )
        update_figures(session, figures)
        if scheduled:
            (session.folder / store.STATE / store.BEST_FILE).unlink(missing_ok=True)
        session.writing += time.monotonic() - started
