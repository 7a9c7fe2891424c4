"""What a model looked at: gradients by the earlier characters of a text.

The log-probability of a character is differentiated by the embedding of each
character before it; the norm of that gradient says how much a small change there
would have mattered. The gates are computed anew from the states that were kept, for
all steps at once; only the way back through time is a loop. Its products are one
matrix-vector product a row: while a training keeps the processor busy, the threads of
a small GEMM wait for each other.

Shapes: ``W`` steps of a window, ``B`` characters asked about, ``H`` units, ``G``
gates of a cell.

Reference:
    Madsen (2019), Visualizing memorization in RNNs.
    https://distill.pub/2019/memorization-in-rnns
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.errors import ConfigError
from charrnn.model.checkpoint import Model
from charrnn.model.network import RowProduct
from charrnn.text.documents import starts

Array = npt.NDArray[Any]  # float32, or float64 where the states are
Doubles = npt.NDArray[np.float64]
WINDOW: Final = 200  # characters back
SHARES: Final = (5, 20, 100)  # last characters whose share is told
AT_ONCE: Final = 16  # characters asked about: their gates take 75 MB at 384 units
SAMPLED: Final = 32  # characters of a text that its reach is averaged over


def _sigmoid(x: Array) -> Array:
    return (np.tanh(x / 2) + 1) / 2


def _times(rows: Array, matrix: Array) -> Array:
    """(W, B, K) times (K, N) as one product: NumPy's own is one for each of W."""
    product: Array = rows.reshape(-1, rows.shape[-1]) @ matrix
    return product.reshape(*rows.shape[:2], -1)


@dataclass(frozen=True)
class _Layer:
    """One layer's weights, and what it met in the windows.

    Args:
        kernel: Shape ``(in, G * H)``.
        recurrent_kernel: Shape ``(H, G * H)``.
        bias: Shape ``(G * H,)``, of a GRU ``(2, G * H)``.
        inputs: Shape ``(W, B, in)``.
        before: Its states before each step, each ``(W, B, H)``.
        after: And after it.
        kept: 0 where the state was zeroed before the step, else 1; ``(W, B, 1)``.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    inputs: Array
    before: tuple[Array, ...]
    after: tuple[Array, ...]
    kept: Array

    def gates(self, product: Array) -> list[Array]:
        """(W, B, G * H) as G arrays (W, B, H)."""
        count = self.kernel.shape[1] // self.recurrent_kernel.shape[0]
        return np.split(product, count, axis=-1)


def _rnn_back(layer: _Layer, outer: Array) -> Array:
    """Gradient by the gates' input products, (W, B, G * H), of a simple RNN.

    Args:
        layer: The layer.
        outer: Gradient by its outputs from above, ``(W, B, H)``.
    """
    slope = 1 - layer.after[0] ** 2
    products = np.empty_like(outer)
    back, through = np.zeros_like(outer[0]), RowProduct(layer.recurrent_kernel)
    for t in reversed(range(len(outer))):
        products[t] = (outer[t] + back) * slope[t]
        back = through(products[t]) * layer.kept[t]
    return products


def _gru_back(layer: _Layer, outer: Array) -> Array:
    """`_rnn_back` of a GRU: ``h' = n + z * (h - n)``, ``n = tanh(x + r * u)``."""
    h = layer.before[0]
    own = layer.gates(_times(layer.inputs, layer.kernel) + layer.bias[0])
    state = layer.gates(_times(h, layer.recurrent_kernel) + layer.bias[1])
    z, r = _sigmoid(own[0] + state[0]), _sigmoid(own[1] + state[1])
    n = np.tanh(own[2] + r * state[2])
    by_n = (1 - z) * (1 - n**2)
    slopes = np.stack(
        [(h - n) * z * (1 - z), by_n * state[2] * r * (1 - r), by_n * r], axis=2
    )  # by the state's products: (W, B, 3, H)
    products = np.empty_like(slopes)
    back, through = np.zeros_like(outer[0]), RowProduct(layer.recurrent_kernel)
    for t in reversed(range(len(outer))):
        dh = outer[t] + back
        np.multiply(slopes[t], dh[:, None], out=products[t])
        back = dh * z[t] + through(products[t].reshape(len(dh), -1))
        back *= layer.kept[t]
        products[t, :, 2] = dh * by_n[t]  # the input's product is not reset
    return products.reshape(*outer.shape[:2], -1)


def _lstm_back(layer: _Layer, outer: Array) -> Array:
    """`_rnn_back` of an LSTM: ``c' = f * c + i * g``, ``h' = o * tanh(c')``."""
    product = _times(layer.inputs, layer.kernel)
    product += _times(layer.before[0], layer.recurrent_kernel)
    i, f, g, o = layer.gates(product + layer.bias)
    i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
    squashed = np.tanh(layer.after[1])
    by_c = o * (1 - squashed**2)  # of h'
    slopes = np.stack(
        [g * i * (1 - i), layer.before[1] * f * (1 - f), i * (1 - g**2)], axis=2
    )  # by c', (W, B, 3, H)
    by_o = squashed * o * (1 - o)
    products = np.empty((*outer.shape[:2], 4, outer.shape[2]), outer.dtype)
    back, through = np.zeros_like(outer[0]), RowProduct(layer.recurrent_kernel)
    dc = np.zeros_like(outer[0])
    for t in reversed(range(len(outer))):
        dh = outer[t] + back
        dc += dh * by_c[t]
        np.multiply(slopes[t], dc[:, None], out=products[t, :, :3])
        products[t, :, 3] = dh * by_o[t]
        back = through(products[t].reshape(len(dh), -1)) * layer.kept[t]
        dc *= f[t] * layer.kept[t]
    return products.reshape(*outer.shape[:2], -1)


_BACK: Final[Mapping[str, Callable[[_Layer, Array], Array]]] = {
    "gru": _gru_back,
    "lstm": _lstm_back,
    "rnn": _rnn_back,
}


def gradients(
    model: Model,
    ids: npt.NDArray[np.integer],
    states: Sequence[Array],
    places: Sequence[int],
    window: int,
) -> Array:
    """Differentiate log-probabilities of characters by the embeddings before them.

    Args:
        model: From `checkpoint.load`.
        ids: The text, encoded; shape ``(length,)``.
        states: From `Network.trace`; computed with in their own type.
        places: Of the characters asked about, each from ``window`` to
            ``length - 1``.
        window: Characters back.

    Returns:
        Shape ``(window, len(places), embedding_dim)``, in the order of the text.
    """
    config, dtype = model.record.model, states[0].dtype
    weights = {n: a.astype(dtype, copy=False) for n, a in model.weights.items()}
    at = np.asarray(places) - window + np.arange(window)[:, None]  # (W, B)
    inputs = [weights["embedding.weight"][ids[at]]]
    kept = _kept(model, ids, dtype)[at]
    count = config.num_states
    inputs += [states[count * i][at + 1] for i in range(config.num_layers)]
    outer: Array = np.zeros_like(inputs[-1])
    outer[-1] = _by_output(weights, inputs[-1][-1], ids[np.asarray(places)])
    for index in reversed(range(config.num_layers)):
        own = states[count * index : count * (index + 1)]
        layer = _Layer(
            weights[f"rnn.{index}.kernel"],
            weights[f"rnn.{index}.recurrent_kernel"],
            weights[f"rnn.{index}.bias"],
            inputs[index],
            tuple(array[at] * kept for array in own),
            tuple(array[at + 1] for array in own),
            kept,
        )
        outer = _times(_BACK[config.cell](layer, outer), layer.kernel.T)
    return outer


def _kept(model: Model, ids: npt.NDArray[np.integer], dtype: Any) -> Array:
    """0 where a document begins, so that the state is zeroed, else 1; (length, 1)."""
    if not model.separator:
        return np.ones((len(ids), 1), dtype)
    return (~starts(ids, model.separator)[:, None]).astype(dtype)


def _by_output(
    weights: Mapping[str, Array], outputs: Array, targets: npt.NDArray[np.integer]
) -> Array:
    """Gradient of the targets' log-probabilities by the last outputs, (B, H)."""
    logits = outputs @ weights["head.kernel"] + weights["head.bias"]
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    slopes: Array = -probs / probs.sum(axis=1, keepdims=True)
    slopes[np.arange(len(targets)), targets] += 1
    product: Array = slopes @ weights["head.kernel"].T
    return product


@dataclass(frozen=True)
class Look:
    """What a model looked at when it predicted one character.

    Args:
        place: Of the character in the text.
        norms: Of the gradient by each of the characters before it, in the order of
            the text; at most `WINDOW`.
    """

    place: int
    norms: Doubles

    def share(self, last: int) -> float | None:
        """The part of the norms that the last so many characters hold.

        None where nothing before the character mattered at all.
        """
        total = self.norms.sum()
        return float(self.norms[-last:].sum() / total) if total else None


def look(
    model: Model,
    ids: npt.NDArray[np.integer],
    states: Sequence[Array],
    place: int,
    window: int = WINDOW,
) -> Look:
    """What the model looked at for one character.

    Args:
        model: From `checkpoint.load`.
        ids: The text, encoded; shape ``(length,)``.
        states: From `Network.trace` of the text.
        place: Of the character, 1 to ``length - 1``: the first was not predicted.
        window: At most so many characters back.

    Raises:
        ConfigError: If no character that was predicted stands there.
    """
    if not 1 <= place < len(ids):
        raise ConfigError(
            f"place is {place:,}: expected 1 to {len(ids) - 1:,}; the text's first "
            "character has place 0 and is not predicted.",
            field="place",
        )
    found = gradients(model, ids, states, [place], min(window, place))
    norms = np.linalg.norm(found[:, 0].astype(np.float64), axis=1)
    return Look(place, norms)


@dataclass(frozen=True)
class Reach:
    """How far back a model looks, on average over a text.

    Args:
        shares: Of the gradients' norms at each distance, the nearest first.
        characters: So many were asked about.
    """

    shares: Doubles
    characters: int

    @property
    def sentence(self) -> str:
        """The curve in words."""
        half, rest = self.within(0.5), self.within(0.99)
        beyond = "" if rest == len(self.shares) else f", 1 % beyond {rest}"
        plural = "" if half == 1 else "s"
        return f"half of what it uses lies within {half} character{plural}{beyond}"

    def within(self, share: float) -> int:
        """The smallest number of last characters that hold this share."""
        reached = np.cumsum(self.shares) >= share - 1e-12
        return int(reached.argmax()) + 1 if reached.any() else len(self.shares)


def reach(
    model: Model,
    ids: npt.NDArray[np.integer],
    states: Sequence[Array],
    window: int = WINDOW,
) -> Reach | None:
    """Average what the model looks at over places of a text.

    Every place has a whole window before it, so that all distances are averaged
    over the same places.

    Args:
        model: From `checkpoint.load`.
        ids: The text, encoded; shape ``(length,)``.
        states: From `Network.trace` of the text.
        window: Characters back; of a text under twice as long, its half.

    Returns:
        None where no earlier character of any place mattered.
    """
    window = max(1, min(window, len(ids) // 2))
    count = min(SAMPLED, len(ids) - window)
    places = np.linspace(window, len(ids) - 1, count).round().astype(int)
    parts = []
    for start in range(0, count, AT_ONCE):
        some = places[start : start + AT_ONCE].tolist()
        found = gradients(model, ids, states, some, window)
        parts.append(np.linalg.norm(found.astype(np.float64), axis=2))
    norms = np.concatenate(parts, axis=1)  # (W, places)
    totals = norms.sum(axis=0)
    if not totals.any():
        return None
    shares = (norms[:, totals > 0] / totals[totals > 0]).mean(axis=1)
    return Reach(shares[::-1].copy(), int(np.count_nonzero(totals)))
