"""A training as a film: what its network wrote after more and more steps.

The trainer writes from one prompt with one seed at each validation and with each
snapshot. The film has the first sample of each stretch of steps, and stretches grow
with the steps: twice as many steps have `view.PICTURES_A_DOUBLING` pictures more. It
ends with what the kept weights wrote, while the run trains with the latest.
"""

from dataclasses import dataclass

import numpy as np

from charrnn.runs.events import Sample
from charrnn.runs.view import RunView


@dataclass(frozen=True)
class Picture:
    """One moment of a training.

    Args:
        sample: What was written.
        seconds: Since the training began, about.
        val_loss: Nats per character, where it was validated then; else None.
        train_loss: Nats per character over the steps just before; None where none
            are known.
    """

    sample: Sample
    seconds: float
    val_loss: float | None
    train_loss: float | None


def _train_loss(view: RunView, step: int) -> float | None:
    place = int(np.searchsorted(view.steps, step, side="right"))
    return float(view.losses[place - 1]) if place else None


def film(view: RunView, kept_step: int | None = None) -> list[Picture]:
    """The pictures of a run, in the order of their steps.

    Args:
        view: The run so far.
        kept_step: The step whose weights are kept, of a run that is at rest: later
            ones have no picture.
    """
    end = view.step if kept_step is None else kept_step
    chosen = {sample.step: sample for sample in view.pictures if sample.step <= end}
    latest = [sample for sample in view.samples if sample.step <= end][-1:]
    chosen |= {sample.step: sample for sample in latest}
    losses = {event.step: event.val_loss for event in view.validations}
    pace = view.seconds / max(1, view.step)
    return [
        Picture(sample, step * pace, losses.get(step), _train_loss(view, step))
        for step, sample in sorted(chosen.items())
    ]
