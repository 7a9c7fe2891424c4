"""Whether a run's loss is good, in words: beside guessing, n-grams and its own past."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from charrnn.model.record import Record
from charrnn.runs.quality import best_loss, guessing_loss
from charrnn.runs.view import RunView
from charrnn.ui.texts import translate

FLAT: Final = 0.005  # nats a minute: what rounds to 0.00 is no change
LOOK_BACK: Final = 0.75  # a trend is measured from this share of the steps on


class Standing(StrEnum):
    """What the best loss so far is better than."""

    WORSE = "worse"  # than guessing
    GUESSING = "guessing"  # than that; of n-grams nothing is known yet
    BETWEEN = "between"  # than guessing, not than n-grams
    NGRAMS = "ngrams"  # than a table of n-grams


@dataclass(frozen=True)
class Verdict:
    """A loss judged; the trend in nats a minute, None where it cannot be told."""

    standing: Standing
    per_minute: float | None  # above 0: it improves


def _standing(loss: float, guessing: float, baseline: float | None) -> Standing:
    if loss >= guessing:
        return Standing.WORSE
    if baseline is None:
        return Standing.GUESSING
    return Standing.NGRAMS if loss < baseline else Standing.BETWEEN


def _per_minute(view: RunView) -> float | None:
    """How fast the validation loss has fallen over about the last quarter."""
    last = view.validations[-1]
    earlier = [v for v in view.validations if v.step <= LOOK_BACK * last.step]
    if not (earlier and view.step and view.seconds > 0):
        return None
    steps = last.step - earlier[-1].step
    minutes = steps * view.seconds / view.step / 60
    return (earlier[-1].val_loss - last.val_loss) / minutes


def judge(view: RunView, record: Record) -> Verdict | None:
    """Judge a run by its validations; None before the first one.

    Args:
        view: The run so far.
        record: Of its folder.
    """
    best = best_loss(record, view)
    if best is None or not view.validations:
        return None
    guessing = guessing_loss(record.model)
    return Verdict(_standing(best.loss, guessing, view.baseline), _per_minute(view))


def _trend(lang: str, per_minute: float) -> str:
    if abs(per_minute) < FLAT:
        return translate(lang, "trend.flat")
    if per_minute < 0:
        return translate(lang, "trend.rises", rate=-per_minute)
    return translate(lang, "trend.improves", rate=per_minute)


def sentence(lang: str, verdict: Verdict | None, *, live: bool) -> str:
    """The verdict in words; empty where there is none.

    Args:
        lang: Language code.
        verdict: As `judge` gives it.
        live: Whether the run goes on: else there is no trend.
    """
    if verdict is None:
        return ""
    standing = translate(lang, f"standing.{verdict.standing}")
    if not live or verdict.per_minute is None:
        return translate(lang, "verdict.one", standing=standing)
    trend = _trend(lang, verdict.per_minute)
    return translate(lang, "verdict.both", standing=standing, trend=trend)
