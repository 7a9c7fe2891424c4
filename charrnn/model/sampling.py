"""From logits to a character: temperature, top-k, top-p, and the random stream.

`next_char_probs` is the reference for one text; `unnormalised_probs` and `draw` are
the same for the rows of a batch, without the division that drawing does not need.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from charrnn.config import SamplingConfig

Doubles: TypeAlias = npt.NDArray[np.float64]
# Stands for temperature 0: any difference of two float32 over it is far beyond
# what exp() can tell from certainty, and none of them overflows a float64.
GREEDY_TEMPERATURE: Final = 1e-60
STREAM_BLOCK: Final = 64  # random numbers fetched at once: a call costs 1 us


@dataclass(frozen=True)
class PreparedSampling:
    """The sampling settings of a batch, an entry a row."""

    temperature: Doubles  # (B, 1)
    top_k: npt.NDArray[np.int64]
    top_p: Doubles
    filtered: npt.NDArray[np.intp]  # rows that leave candidates out

    @classmethod
    def of(
        cls, configs: Sequence[SamplingConfig], candidates: int
    ) -> "PreparedSampling":
        """The settings of the rows, for so many candidates."""
        temperature = np.array([[config.temperature] for config in configs])
        top_k = np.array([config.top_k or candidates for config in configs])
        shares = [config.top_p if config.top_p < 1 else math.inf for config in configs]
        top_p = np.array(shares)
        return cls(
            np.maximum(temperature.reshape(-1, 1), GREEDY_TEMPERATURE),
            top_k,
            top_p,
            np.flatnonzero((top_k < candidates) | (top_p < 1)),
        )


def unnormalised_probs(
    logits: npt.NDArray[np.floating], settings: PreparedSampling
) -> Doubles:
    """Unnormalised probabilities, the largest 1; (B, candidates), float64.

    At temperature 0 all candidates on a tie have 1, the others 0.
    """
    probs = logits.astype(np.float64)
    probs -= probs.max(axis=1, keepdims=True)
    probs /= settings.temperature
    np.exp(probs, out=probs)
    if settings.filtered.size:
        rows = settings.filtered
        part = probs[rows]
        _keep_likeliest(part, settings.top_k[rows], settings.top_p[rows])
        probs[rows] = part
    return probs


def _keep_likeliest(
    probs: Doubles, top_k: npt.NDArray[np.int64], top_p: Doubles
) -> None:
    """Zero what top-k and then top-p leave out, in place.

    Args:
        probs: Unnormalised probabilities, shape ``(batch, candidates)``.
        top_k: Candidates to keep, the lower id first on a tie; shape ``(batch,)``.
        top_p: Share to reach with as few of those as possible.
    """
    order = np.argsort(-probs, axis=1, kind="stable")
    ordered = np.take_along_axis(probs, order, axis=1)
    ordered[np.arange(probs.shape[1]) >= top_k[:, None]] = 0
    cumulative = ordered.cumsum(axis=1)
    before = cumulative - ordered
    before[:, 1:] = cumulative[:, :-1]  # exactly what came before, unrounded
    ordered[before >= top_p[:, None] * cumulative[:, -1:]] = 0
    np.put_along_axis(probs, order, ordered, axis=1)


def next_char_probs(
    logits: npt.NDArray[np.floating],
    *,
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Doubles:
    """Turn next-character logits into probabilities at a temperature.

    Computes ``softmax(logits / temperature)`` in float64. Below 1 the
    distribution sharpens, at 1 it is the one the model was trained to give,
    above 1 it flattens. Temperature 0 means greedy: all mass on the largest
    logit, the first one on a tie. Then ``top_k`` keeps the k likeliest, the
    first ones on a tie, and ``top_p`` as few of these, likeliest first, as hold
    that share.

    Args:
        logits: Unnormalised log-probabilities in nats, shape ``(vocab_size,)``.
        temperature: Dimensionless, 0 to 2.
        top_k: How many to keep; 0 keeps all.
        top_p: Share to keep, above 0; 1 keeps all.

    Returns:
        Probabilities, shape ``(vocab_size,)``, summing to 1.

    Raises:
        ConfigError: If a setting is out of its range.

    Example:
        >>> next_char_probs(np.log([0.2, 0.8]), temperature=0.5).round(3)
        array([0.059, 0.941])

    Reference:
        Hinton, Vinyals & Dean (2015), eq. 1. https://arxiv.org/abs/1503.02531
        Holtzman et al. (2020), section 3.1 (top-p). https://arxiv.org/abs/1904.09751
    """
    if temperature == 0:
        top_k = 1
    config = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p)
    unnormalised = unnormalised_probs(
        logits[None], PreparedSampling.of([config], len(logits))
    )[0]
    probs: Doubles = unnormalised / unnormalised.sum()
    return probs


def draw(probs: Doubles, uniforms: Doubles) -> npt.NDArray[np.intp]:
    """Draw a candidate a row by the inverse of the cumulative distribution.

    Args:
        probs: Unnormalised probabilities, shape ``(batch, candidates)``.
        uniforms: Random numbers in [0, 1 - 2**-52], shape ``(batch,)``. Below
            that bound ``uniform * total`` stays under the total when rounded,
            so that no candidate of probability 0 is ever drawn; 0 draws the
            first of any other.

    Returns:
        Indices, shape ``(batch,)``.
    """
    cumulative = probs.cumsum(axis=1)
    target = cumulative[:, -1] * uniforms
    chosen: npt.NDArray[np.intp] = (cumulative > target[:, None]).argmax(axis=1)
    return chosen


def surprise(logits: npt.NDArray[np.floating], chosen: npt.NDArray[np.intp]) -> Doubles:
    """How surprising a candidate a row is: minus log2 of its probability at 1.

    Whatever temperature, top-k and top-p drew it: 0 where it was certain, finite
    always.

    Args:
        logits: In nats, shape ``(batch, candidates)``.
        chosen: Indices, shape ``(batch,)``.

    Returns:
        Bits, shape ``(batch,)``.
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(chosen)), chosen]
    nats: Doubles = np.log(np.exp(shifted, out=shifted).sum(axis=1)) - own
    return nats / math.log(2)


def uniform_stream(seed: int) -> Iterator[float]:
    """A row's random numbers: draw ``i`` is for its character ``i``.

    Philox, keyed by the seed, so that different seeds give independent
    streams. From each 64-bit word the upper 52 bits are taken, see `draw`. The
    raw words are read because NumPy promises never to change them, unlike the
    numbers a ``Generator`` makes of them.

    Reference:
        Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    words = np.random.Philox(key=seed)
    while True:
        yield from ((words.random_raw(STREAM_BLOCK) >> 12) * 2.0**-52).tolist()
