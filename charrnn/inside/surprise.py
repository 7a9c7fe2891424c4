"""Where a model was surprised: the probability of each character of a text.

The text is read once from zero state, as `charrnn.model.scores.evaluate` reads it:
the first character is context only, [UNK] stands in the softmax and for characters
that the model does not know. So the sums are that function's own.

Reference:
    Gehrmann, Strobelt & Rush (2019), GLTR: statistical detection and visualization
    of generated text. https://arxiv.org/abs/1906.04043
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.errors import ConfigError
from charrnn.model.checkpoint import Model
from charrnn.model.network import Floats, Network, States

LIKELIEST: Final = 10  # alternatives that are listed for a character
# probabilities that part the six steps of a colour; `web/sampling.js` has them, too
STEPS: Final = (0.5, 0.25, 0.1, 0.03, 0.01)
MAX_NUMBERS: Final = 1_000_000  # logits that are held at once
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Surprise:
    """What a model says of each character of a text but the first.

    Entry ``i`` of an array is the text's character ``i + 1``.

    Args:
        text: The whole text.
        unknown: Characters that were scored as [UNK].
        probability: Shape ``(length - 1,)``.
        bits: ``-log2`` of it, exact also where the probability is below 1e-300.
        rank: From 1; characters that are equally likely share the better one.
        likeliest: Ids of the likeliest characters in turn, ``(length - 1, k)``.
        likeliest_probability: Their probabilities, of the same shape.
    """

    text: str
    unknown: int
    probability: Doubles
    bits: Doubles
    rank: Integers
    likeliest: Integers
    likeliest_probability: Doubles

    @property
    def bits_per_char(self) -> float:
        """Mean surprise."""
        return float(self.bits.mean())

    @property
    def perplexity(self) -> float:
        """As good as choosing evenly among so many characters."""
        return math.exp(self.bits_per_char * math.log(2))

    @property
    def steps(self) -> Integers:
        """Each character's step from 0, expected, to 5, a surprise (`STEPS`)."""
        return np.searchsorted(-np.array(STEPS), -self.probability, side="left")


def read(model: Model, text: str) -> tuple[Network, States]:
    """Read a text and keep every state.

    Returns:
        The network, and the states of `Network.trace`.

    Raises:
        ConfigError: If the text has fewer than two characters.
    """
    if len(text) < 2:
        raise ConfigError(
            f"The text has {len(text)} characters: expected at least 2, one to begin "
            "from and one to predict.",
            field="text",
        )
    network = Network(
        model.record.model,
        model.weights,
        batch_invariant=False,
        separator=model.separator,
    )
    return network, network.trace(model.vocabulary.encode(text))


def surprise(model: Model, text: str) -> Surprise:
    """Score each character of a text.

    Args:
        model: From `checkpoint.load`.
        text: At least two characters.

    Raises:
        ConfigError: If the text is shorter.
    """
    network, states = read(model, text)
    return surprise_of(model, text, network, states)


def surprise_of(model: Model, text: str, network: Network, states: States) -> Surprise:
    """`surprise` of a text that `read` has read."""
    targets = model.vocabulary.encode(text)[1:].astype(np.intp)
    outputs = states[-model.record.model.num_states][1:-1]  # the last is not scored
    portion = max(1, MAX_NUMBERS // len(model.vocabulary))
    parts = [
        _score(network.logits(outputs[i : i + portion]), targets[i : i + portion])
        for i in range(0, len(targets), portion)
    ]
    arrays = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Surprise(text, int(np.count_nonzero(targets == 0)), *arrays)


def _score(logits: Floats, targets: Integers) -> tuple[npt.NDArray[Any], ...]:
    """The arrays of `Surprise` for (N, V) logits and (N,) ids, in its order."""
    numbers = logits.astype(np.float64)
    numbers -= numbers.max(axis=1, keepdims=True)
    numbers -= np.log(np.exp(numbers).sum(axis=1, keepdims=True))
    wanted = np.take_along_axis(numbers, targets[:, None], axis=1)
    rank = 1 + (numbers > wanted).sum(axis=1)
    likeliest = np.argsort(-numbers, axis=1, kind="stable")[:, :LIKELIEST]
    theirs = np.exp(np.take_along_axis(numbers, likeliest, axis=1))
    nats = wanted[:, 0]
    return np.exp(nats), -nats / math.log(2), rank, likeliest, theirs


def difference(first: Surprise, second: Surprise) -> Doubles:
    """Bits that the first model needs more than the second, of each character.

    Swapped, every sign is the other one; of equal models all is zero.

    Raises:
        ConfigError: If the two are not of one text.
    """
    if first.text != second.text:
        raise ConfigError(
            "Two models are compared on one text: these were given different ones."
        )
    return first.bits - second.bits
