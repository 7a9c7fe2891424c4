"""One number on a model's logits that makes its probabilities mean what they say.

A network that has read a text many times is surer than it is right. Its logits times
one number, below 1 for such a network, mend most of that and leave the order of the
characters as it is. The number is the one with the least loss on a text that did not
train, and stands in the published `head.*`, so that nobody who reads the weights has
to know of it.

A loss at a number that was fitted on the same characters would flatter. So each half
of the text is also scored with the number that the other half gives (cross-fitted),
and where that gains nothing the logits stay as they are.

Reference:
    Guo et al. 2017, On Calibration of Modern Neural Networks: temperature scaling, of
    which our number is the inverse.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.model.blas import unsplit
from charrnn.model.checkpoint import Model, Weights
from charrnn.model.network import Floats, Ids, Network
from charrnn.model.record import Figures
from charrnn.model.scores import WINDOW, predict

BOUNDS: Final = (0.5, 2.0)  # a diverged network is not made to look like a trained one
MAX_CHARACTERS: Final = 20_000  # that it is fitted on
MAX_LOGITS: Final = 8_000_000  # likewise: 32 MB
OPERATIONS: Final = 3e10  # weights times characters, likewise
DIGITS: Final = 4  # of the number, behind the point
ROUNDS: Final = 30  # of Newton's method, at most: it takes about five
PRECISION: Final = 1e-5
ROWS: Final = 4096  # of logits at a time
HEAD: Final = ("head.kernel", "head.bias")


@dataclass(frozen=True)
class LogitScale:
    """What a model's logits are to be multiplied by.

    Args:
        whole: Fitted on the whole text.
        first: For the first half of the text: fitted on the second.
        second: For the second half: fitted on the first.
    """

    whole: float
    first: float
    second: float

    def cross_fitted(self, characters: int) -> Floats:
        """For each predicted character, what a model has that was scaled by ``whole``.

        Args:
            characters: How many are predicted.

        Returns:
            Factors of shape ``(characters,)`` that put the number of the other half in
            the place of ``whole``.
        """
        is_first = np.arange(characters) < characters // 2
        chosen = np.where(is_first, self.first, self.second) / self.whole
        return chosen.astype(np.float32)


class _Sample(NamedTuple):
    """Predictions to fit on: logits ``(count, vocab_size)``, ``(count,)`` the rest."""

    logits: Floats
    targets: npt.NDArray[np.integer]
    is_first: npt.NDArray[np.bool_]  # half of the text

    def half(self, *, first: bool) -> "_Sample":
        """The predictions of one half of the text."""
        return _Sample(*(array[self.is_first == first] for array in self))


class _Moments(NamedTuple):
    """Of the loss as a function of the number: its value and two derivatives."""

    loss: float
    slope: float
    curvature: float


def _moments(sample: _Sample, scale: float) -> _Moments:
    """Mean nats with logits l multiplied by a number s, and how they change with s.

    The loss of a target y is ``log(sum(exp(s l))) - s l_y``, its first derivative the
    mean of l under the probabilities less l_y, its second the variance of l.
    """
    sums = np.zeros(3)
    for start in range(0, len(sample.targets), ROWS):
        part = slice(start, start + ROWS)
        logits, targets = sample.logits[part], sample.targets[part].astype(np.intp)
        # in float64: the least of the loss lies where differences of sums vanish
        wide = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
        wanted = np.take_along_axis(wide, targets[:, None], axis=1)[:, 0]
        powers = np.exp(scale * wide)
        total = powers.sum(axis=1)
        mean = (powers * wide).sum(axis=1) / total
        square = (powers * wide**2).sum(axis=1) / total
        loss = np.log(total) - scale * wanted
        sums += loss.sum(), (mean - wanted).sum(), (square - mean**2).sum()
    return _Moments(*(float(value) for value in sums / len(sample.targets)))


def _best(sample: _Sample) -> float:
    """The number with the least loss, within `BOUNDS`: the loss has one least."""
    (low, high), scale = BOUNDS, 1.0
    for _ in range(ROUNDS):
        moments = _moments(sample, scale)
        low, high = (scale, high) if moments.slope < 0 else (low, scale)
        following = scale - moments.slope / max(moments.curvature, 1e-12)
        if not low < following < high:  # Newton's step leaves what is known
            following = (low + high) / 2
        if abs(following - scale) < PRECISION:
            break
        scale = following
    return round(scale, DIGITS)


def _sample(model: Model, ids: Ids) -> _Sample:
    """Predictions in windows from an empty state, spread over a text."""
    config = model.record.model
    work = OPERATIONS / config.num_parameters()
    most = max(WINDOW, min(MAX_CHARACTERS, work, MAX_LOGITS // config.vocab_size))
    window = min(WINDOW, (len(ids) - 1) // 2)  # two at least: one a half
    known = (len(ids) - 1) // window
    count = min(known, max(2, int(most) // window))
    starts = window * np.linspace(0, known - 1, count).astype(np.intp)
    rows = starts[:, None] + np.arange(window + 1)
    network = Network(
        config, model.weights, batch_invariant=False, separator=model.separator
    )
    with unsplit():
        portions = list(predict(network, ids[rows]))
    return _Sample(
        np.concatenate([each.logits for each in portions]),
        np.concatenate([each.targets for each in portions]),
        rows[:, :-1].T.ravel() < (len(ids) - 1) // 2,
    )


def fit(model: Model, ids: Ids) -> LogitScale | None:
    """The number that makes a model's probabilities mean what they say on a text.

    Args:
        model: Whose head is not scaled.
        ids: A text that did not train, encoded with the model's vocabulary; shape
            ``(length,)``. At most `MAX_CHARACTERS` of it are read.

    Returns:
        None where the cross-fitted loss is not below that of the model as it is, or
        where the text has fewer than three characters.
    """
    if len(ids) < 3:
        return None
    sample = _sample(model, ids)
    halves = sample.half(first=True), sample.half(first=False)
    second, first = (_best(half) for half in halves)
    weights = [len(half.targets) / len(sample.targets) for half in halves]
    fitted, plain = (
        sum(
            weight * _moments(half, scale).loss
            for weight, half, scale in zip(weights, halves, scales, strict=True)
        )
        for scales in ((first, second), (1.0, 1.0))
    )
    return LogitScale(_best(sample), first, second) if fitted < plain else None


def scaled(weights: Weights, factor: float) -> Weights:
    """Weights that give a number times the logits of these."""
    head = {name: (weights[name] * factor).astype(np.float32) for name in HEAD}
    return {**weights, **head}


def unscaled(weights: Weights, figures: Figures | None) -> Weights:
    """Published weights as the training had them, but for rounding.

    Args:
        weights: As they are published.
        figures: Of the same folder.
    """
    scale = None if figures is None else figures.logit_scale
    return weights if scale is None else scaled(weights, 1 / scale)
