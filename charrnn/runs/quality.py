"""How good a run's model is: the one loss that everyone shows of it.

While a run trains, its validations read samples of the validation part side by side.
At its end the kept weights are scored exactly, in one pass, and that number goes on
record. `best_loss` says which of the two it is.
"""

import math
from dataclasses import dataclass

from charrnn.config import ModelConfig
from charrnn.model.record import Record
from charrnn.runs.states import LIVE
from charrnn.runs.status import Situation
from charrnn.runs.view import RunView


@dataclass(frozen=True)
class BestLoss:
    """The loss of the kept weights, in nats per character.

    Args:
        step: The step whose weights are kept.
        loss: On the validation part.
        exact: Whether it is of the exact pass, else of the sampled validation that
            chose these weights.
        characters: How many an exact pass predicted, where it did not reach the end
            of the validation part; else None.
    """

    step: int
    loss: float
    exact: bool
    characters: int | None = None


def best_loss(record: Record, view: RunView) -> BestLoss | None:
    """The loss to show of a run or model; None before the first validation.

    Args:
        record: Of its folder.
        view: Its history; an empty one for a model.
    """
    figures = record.figures
    if figures is None:
        best = view.best
        return None if best is None else BestLoss(best.step, best.val_loss, False)
    sampled = {(event.step, event.val_loss) for event in view.validations}
    exact = (figures.kept_step, figures.val_loss) not in sampled
    characters = figures.val_characters if exact else None
    return BestLoss(figures.kept_step, figures.val_loss, exact, characters)


def guessing_loss(model: ModelConfig) -> float:
    """What guessing costs: all ids of the vocabulary equally likely."""
    return math.log(max(2, model.vocab_size))


def has_diverged(record: Record, now: Situation) -> bool:
    """Whether a run has come to rest with a model that guessing would beat."""
    return now.state not in LIVE and bool(worse_than_guessing(record, now.view))


def worse_than_guessing(record: Record, view: RunView) -> str:
    """A sentence on a model that guessing would beat; empty for all others.

    Such a training diverged, although its losses are finite.
    """
    best, guessing = best_loss(record, view), guessing_loss(record.model)
    if best is None or best.loss <= guessing:
        return ""
    return (
        f"It predicts worse than guessing would: {best.loss:.3f} nats per character "
        f"instead of {guessing:.3f}. The training diverged: train anew with a smaller "
        "learning_rate."
    )
