"""Prompts in, text out: the network's forward pass and its sampling, in NumPy.

From the bottom up: `Network` (Keras' numbers), `next_char_probs` and `draw`
(logits to characters), `Batch` (rows that come and go, a character a step),
`generate` (a prompt, several temperatures, texts that grow).

A text depends on the model, the prompt, the seed and its own settings, and on
nothing else: not on the chunks it is asked for in, not on the rows beside it.
Two things make that hold to the last bit. Each row's random numbers are a
Philox stream keyed by its seed, one draw a character. And every product is a
matrix-vector product of one row: a GEMM of several rows adds up in an order
that depends on their number. That costs nothing. A GEMM of few rows repacks
the whole matrix first, so that row by row is faster as well: the recurrent
product of five streams takes 0.53 ms instead of 1.2 at 1024 units and 0.16
instead of 0.30 at 512 (2 cores, AVX2, OpenBLAS). Matrices are kept transposed,
so that a product is a run of contiguous dot products; the other order is 25 %
slower at 1024.

The state is carried, as in the one-step model of TensorFlow's tutorial,
https://www.tensorflow.org/text/tutorials/text_generation
"""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from charrnn import checkpoint
from charrnn.config import ModelConfig, SamplingConfig
from charrnn.errors import ConfigError
from charrnn.vocabulary import Vocabulary

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.integer]
States: TypeAlias = tuple[Floats, ...]  # layer by layer, each (batch, rnn_units)

MAX_TABLE_BYTES: Final = 64_000_000  # above it the first layer's input is projected
# Stands for temperature 0: any difference of two float32 over it is far beyond
# what exp() can tell from certainty, and none of them overflows a float64.
GREEDY_TEMPERATURE: Final = 1e-60
SPLIT_FROM: Final = 450_000  # numbers; OpenBLAS splits products of more
PROBE_EVERY: Final = 50  # products between two trials of the slower way
STREAM_BLOCK: Final = 64  # random numbers fetched at once: a call costs 1 us
CHUNK: Final = 32  # characters between two texts of `generate`


# --- the network -----------------------------------------------------------


def _transposed(matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T)


class _Together:
    """``rows @ matrix.T`` as one GEMM: its last bits depend on the rows' number."""

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix

    def __call__(self, rows: Floats) -> Floats:
        """(B, K) to (B, N), for a matrix (N, K)."""
        return rows @ self.matrix.T


class _RowByRow:
    """``rows @ matrix.T``, each row on its own: the same bits in any company.

    A stack of matrix-vector products. OpenBLAS splits one of a large matrix
    between its threads: on an idle machine that takes half the time. While a
    training has the processor busy, though, these threads wait for each other:
    20 ms instead of 2 for a row of 1024 units. In blocks too small to be split
    the product is never that slow. So both ways are timed, the better one is
    used and the other tried now and then; that is all that the clock decides,
    for the two have the same bits. Should they not (another BLAS, odd sizes),
    blocks it is.
    """

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix
        self.forms = [matrix]
        self._seconds = [0.0, 0.0]  # a row's, for each form, decaying means
        self._calls = 0
        height = _block_height(matrix)
        if height:
            blocks = matrix.reshape(-1, 1, height, matrix.shape[1])
            row = np.cos(np.arange(matrix.shape[1], dtype=np.float32))[None]
            same = np.array_equal(_product(matrix, row), _product(blocks, row))
            self.forms = [matrix, blocks] if same else [blocks]

    def __call__(self, rows: Floats) -> Floats:
        """(B, K) to (B, N), for a matrix (N, K)."""
        if len(self.forms) == 1:
            return _product(self.forms[0], rows)
        self._calls += 1
        chosen = int(self._seconds[1] < self._seconds[0])
        if self._calls % PROBE_EVERY == 0:
            chosen = 1 - chosen
        start = time.perf_counter()
        products = _product(self.forms[chosen], rows)
        seconds = (time.perf_counter() - start) / max(1, len(rows))
        self._seconds[chosen] += 0.2 * (seconds - self._seconds[chosen])
        return products


def _product(form: Floats, rows: Floats) -> Floats:
    """(B, K) to (B, N), for (N, K) or blocks (N / height, 1, height, K)."""
    products: Floats = np.matmul(form, rows[:, :, None])
    if form.ndim == 2:
        return products[:, :, 0]
    return products[:, :, :, 0].swapaxes(0, 1).reshape(len(rows), -1)


def _block_height(matrix: Floats) -> int:
    """Rows of a block that is small enough not to be split; 0: no need, or none."""
    height, width = matrix.shape
    if height * width < SPLIT_FROM:
        return 0
    fitting = [n for n in range(16, 257) if height % n == 0 and n * width < SPLIT_FROM]
    return max(fitting, default=0)


class _Layer:
    """One recurrent layer, its weights arranged for a step at a time.

    Between the products everything is gate-major, ``(gates, batch, units)``: a
    gate of all rows is then contiguous, which is three times as fast to walk.
    A sigmoid is computed as ``(tanh(x / 2) + 1) / 2``: one vectorised tanh then
    serves all gates. Its halving is folded into the weights, where it is exact.
    """

    parts = 1  # arrays in this layer's state
    gates = 1
    linear_gate = 0  # the one that is no sigmoid

    def __init__(
        self, kernel: Floats, recurrent_kernel: Floats, bias: Floats, *, per_row: bool
    ) -> None:
        self.units = recurrent_kernel.shape[0]
        factors = np.full((self.gates, 1, self.units), 0.5, np.float32)
        factors[self.linear_gate] = 1
        columns = factors.ravel()
        form = _RowByRow if per_row else _Together
        self.kernel = form(_transposed(kernel * columns))
        self.recurrent_kernel = form(_transposed(recurrent_kernel * columns))
        self.bias, self.state_bias = self._biases(bias)
        self.bias *= factors

    def _biases(self, bias: Floats) -> tuple[Floats, Floats]:
        """What is added to the input's product (G, 1, H), and to the state's."""
        return bias.reshape(self.gates, 1, self.units).copy(), bias[:0]

    def _gate_major(self, products: Floats) -> Floats:
        """A view, (B, G*H) as (G, B, H)."""
        return products.reshape(-1, self.gates, self.units).swapaxes(0, 1)

    def project(self, inputs: Floats) -> Floats:
        """The input's product and bias, (B, in) to (G, B, H)."""
        projected = np.empty((self.gates, len(inputs), self.units), np.float32)
        products = self._gate_major(self.kernel(inputs))
        return np.add(products, self.bias, out=projected)

    def _recur(self, h: Floats) -> Floats:
        """The state's product, (B, H) to (G, B, H)."""
        return self._gate_major(self.recurrent_kernel(h))

    def step(self, x: Floats, states: States) -> States:
        """The layer's next state; its first array is the layer's output.

        Args:
            x: Projected input, shape ``(gates, batch, units)``; overwritten.
            states: As many arrays ``(batch, units)`` as `parts`; left as is.
        """
        x += self._recur(states[0])
        return (np.tanh(x[0]),)


class _GRULayer(_Layer):
    """Keras' GRU with ``reset_after``: gates z, r, candidate n.

    ``n = tanh(x_n + r * (U_n h + b_n))`` and ``h' = n + z * (h - n)``.
    """

    gates = 3
    linear_gate = 2

    def _biases(self, bias: Floats) -> tuple[Floats, Floats]:
        ours, states = bias.reshape(2, 3, 1, self.units).copy()
        ours[:2] += states[:2]  # of the gates both are simply added
        return ours, states[2]

    def step(self, x: Floats, states: States) -> States:
        """See `_Layer.step`."""
        h = states[0]
        u = self._recur(h)
        gates, n = x[:2], x[2]
        gates += u[:2]
        np.tanh(gates, out=gates)
        gates += 1
        gates *= 0.5
        q = u[2] + self.state_bias
        q *= gates[1]
        n += q
        np.tanh(n, out=n)
        new = h - n
        new *= gates[0]
        new += n
        return (new,)


class _LSTMLayer(_Layer):
    """Keras' LSTM: gates i, f, candidate g, gate o; state h and c.

    ``c' = f * c + i * g`` and ``h' = o * tanh(c')``.
    """

    parts = 2
    gates = 4
    linear_gate = 2

    def step(self, x: Floats, states: States) -> States:
        """See `_Layer.step`."""
        x += self._recur(states[0])
        np.tanh(x, out=x)
        g = x[2].copy()
        x += 1
        x *= 0.5
        g *= x[0]
        c = x[1] * states[1]
        c += g
        h = np.tanh(c)
        h *= x[3]
        return h, c


_LAYERS: Final = {"gru": _GRULayer, "lstm": _LSTMLayer, "rnn": _Layer}


class Network:
    """The trained network, forward only, with Keras' numbers (to 1e-4).

    The embedding and the first layer's kernel and bias become one table with a
    row for each id, so that the input costs a look-up; for a very large
    vocabulary they stay apart.

    Args:
        model: The sizes.
        weights: As in a checkpoint; copied, not kept.
        per_row: Whether a row's numbers must not depend on the rows beside it.
            False is faster for many rows at once.
    """

    def __init__(
        self,
        model: ModelConfig,
        weights: Mapping[str, Floats],
        *,
        per_row: bool = True,
    ) -> None:
        self.config = model
        self._layers = [
            _LAYERS[model.cell](
                weights[f"rnn.{i}.kernel"],
                weights[f"rnn.{i}.recurrent_kernel"],
                weights[f"rnn.{i}.bias"],
                per_row=per_row,
            )
            for i in range(model.num_layers)
        ]
        first = self._layers[0]
        numbers = first.gates * model.rnn_units * model.vocab_size
        self._folded = 4 * numbers <= MAX_TABLE_BYTES
        embedding = weights["embedding.weight"].astype(np.float32)[None]
        # (G, V, H), or the embedding itself as (1, V, E)
        self._table = first.project(embedding[0]) if self._folded else embedding
        form = _RowByRow if per_row else _Together
        self._head = form(_transposed(weights["head.kernel"]))
        self._head_bias = np.array(weights["head.bias"], np.float32)

    @property
    def size(self) -> int:
        """Bytes of the weights as they are arranged here."""
        arrays = [self._table, self._head.matrix, self._head_bias]
        for layer in self._layers:
            arrays += [layer.kernel.matrix, layer.recurrent_kernel.matrix, layer.bias]
        return sum(array.nbytes for array in arrays)

    def initial_states(self, batch: int) -> States:
        """Zeros: what a text begins with."""
        parts = sum(layer.parts for layer in self._layers)
        shape = (batch, self.config.rnn_units)
        return tuple(np.zeros(shape, np.float32) for _ in range(parts))

    def _embed(self, ids: Ids) -> Floats:
        """The first layer's projected input, (B,) to (G, B, H), to write upon."""
        rows = self._table.take(ids, axis=1)
        return rows if self._folded else self._layers[0].project(rows[0])

    def advance(self, ids: Ids, states: States) -> States:
        """Read one character a row.

        Args:
            ids: Shape ``(batch,)``.
            states: From `initial_states`, `advance` or `step`; left as is.

        Returns:
            The states after it; ``[-parts]``, of the last layer, is its output.
        """
        following: list[Floats] = []
        x = self._embed(ids)
        for index, layer in enumerate(self._layers):
            if index:
                x = layer.project(following[-layer.parts])
            first = index * layer.parts
            following += layer.step(x, states[first : first + layer.parts])
        return tuple(following)

    def step(self, ids: Ids, states: States) -> tuple[Floats, States]:
        """Read one character a row and say what may come next.

        Returns:
            Logits in nats, shape ``(batch, vocab_size)``, and the states.
        """
        states = self.advance(ids, states)
        return self.logits(states[-self._layers[-1].parts]), states

    def prefill(self, ids: Ids, states: States) -> States:
        """Read a run of characters of one text; no logits are computed.

        Args:
            ids: Shape ``(length,)``; may be empty.
            states: Of one row.
        """
        for index in range(len(ids)):
            states = self.advance(ids[index : index + 1], states)
        return states

    def scan(self, ids: Ids, states: States) -> tuple[Floats, States]:
        """Read a window of every row, layer after layer.

        Args:
            ids: Shape ``(batch, length)``.
            states: Of ``batch`` rows.

        Returns:
            The last layer's outputs, shape ``(length, batch, rnn_units)``, and
            the states after the window.
        """
        batch, length = ids.shape
        units = self.config.rnn_units
        x = self._embed(ids.T.ravel())  # (G, T*B, H)
        following: list[Floats] = []
        outputs = np.empty((length, batch, units), np.float32)
        for index, layer in enumerate(self._layers):
            if index:
                x = layer.project(outputs.reshape(-1, units))
            first = index * layer.parts
            state = states[first : first + layer.parts]
            steps = x.reshape(layer.gates, length, batch, units)
            for position in range(length):
                state = layer.step(steps[:, position], state)
                outputs[position] = state[0]
            following += state
        return outputs, tuple(following)

    def logits(self, outputs: Floats) -> Floats:
        """The head: (B, H) to (B, V), in nats."""
        return self._head(outputs) + self._head_bias


# --- from logits to characters ---------------------------------------------


def _keep_likeliest(
    masses: Doubles, top_k: npt.NDArray[np.int64], top_p: Doubles
) -> None:
    """Zero what top-k and then top-p leave out, in place.

    Args:
        masses: Probabilities up to a factor, shape ``(batch, candidates)``.
        top_k: Candidates to keep, the lower id first on a tie; shape ``(batch,)``.
        top_p: Share to reach with as few of those as possible.
    """
    order = np.argsort(-masses, axis=1, kind="stable")
    ordered = np.take_along_axis(masses, order, axis=1)
    ordered[np.arange(masses.shape[1]) >= top_k[:, None]] = 0
    reached = ordered.cumsum(axis=1)
    before = reached - ordered
    before[:, 1:] = reached[:, :-1]  # exactly what came before, unrounded
    ordered[before >= top_p[:, None] * reached[:, -1:]] = 0
    np.put_along_axis(masses, order, ordered, axis=1)


@dataclass(frozen=True)
class _Settings:
    """The sampling settings of a batch, an entry a row."""

    temperature: Doubles  # (B, 1)
    top_k: npt.NDArray[np.int64]
    top_p: Doubles
    filtered: npt.NDArray[np.intp]  # rows that leave candidates out

    @classmethod
    def of(cls, configs: Sequence[SamplingConfig], candidates: int) -> "_Settings":
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


def _masses(logits: npt.NDArray[np.floating], settings: _Settings) -> Doubles:
    """Probabilities up to a factor, the largest 1; (B, candidates), float64.

    At temperature 0 all candidates on a tie have mass 1.
    """
    masses = logits.astype(np.float64)
    masses -= masses.max(axis=1, keepdims=True)
    masses /= settings.temperature
    np.exp(masses, out=masses)
    if settings.filtered.size:
        rows = settings.filtered
        part = masses[rows]
        _keep_likeliest(part, settings.top_k[rows], settings.top_p[rows])
        masses[rows] = part
    return masses


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
    masses = _masses(logits[None], _Settings.of([config], len(logits)))[0]
    probs: Doubles = masses / masses.sum()
    return probs


def draw(masses: Doubles, uniforms: Doubles) -> npt.NDArray[np.intp]:
    """Draw a candidate a row by the inverse of the cumulative distribution.

    Args:
        masses: Probabilities up to a factor, shape ``(batch, candidates)``.
        uniforms: Random numbers in [0, 1 - 2**-52], shape ``(batch,)``. Below
            that bound ``uniform * total`` stays under the total when rounded,
            so that no candidate without mass is ever drawn; 0 draws the first
            with any.

    Returns:
        Indices, shape ``(batch,)``.
    """
    reached = masses.cumsum(axis=1)
    target = reached[:, -1] * uniforms
    chosen: npt.NDArray[np.intp] = (reached > target[:, None]).argmax(axis=1)
    return chosen


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


# --- rows that come and go -------------------------------------------------


def prompt_ids(vocabulary: Vocabulary, prompt: str) -> Ids:
    """The ids that a text starts from, at least one.

    An empty prompt starts after a newline, as a line of the training text
    would, or after the first character where the vocabulary has no newline.
    """
    ids = vocabulary.encode(prompt or "\n")
    if not prompt and ids[0] == 0:
        ids[0] = 1
    return ids


def check_length(length: int) -> None:
    """Refuse a length that is no positive whole number.

    Raises:
        ConfigError: If it is not.
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ConfigError(
            f"length is {length!r}: expected a whole number of characters, 1 or more.",
            field="length",
        )


class Row:
    """One text in the making.

    Args:
        config: How its characters are drawn.
        length: Characters to write unless the stop string comes first.
    """

    def __init__(self, config: SamplingConfig, length: int) -> None:
        self.config = config
        self.length = length
        self.finished = False
        self._characters: list[str] = []
        greedy = config.temperature == 0
        self.uniforms = itertools.repeat(0.0) if greedy else uniform_stream(config.seed)

    def push(self, character: str) -> None:
        """Take the next character; see whether the text ends with it."""
        characters, stop = self._characters, self.config.stop
        characters.append(character)
        if stop and character == stop[-1] and self._ends_with(stop):
            del characters[-len(stop) :]
            self.finished = True
        elif len(characters) >= self.length:
            self.finished = True

    def _ends_with(self, text: str) -> bool:
        return "".join(self._characters[-len(text) :]) == text

    @property
    def text(self) -> str:
        """What is written for certain.

        While more may come, an end that could be the start of the stop string
        is held back.
        """
        text = "".join(self._characters)
        stop = self.config.stop
        if self.finished or not stop:
            return text
        for held in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:held]):
                return text[:-held]
        return text


class Batch:
    """Rows that advance together, a character a step; they may come and go.

    Each row has its own settings, state and random numbers; what it writes is
    what it would write alone.
    """

    def __init__(self, network: Network, vocabulary: Vocabulary) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.rows: list[Row] = []
        self._states = network.initial_states(0)
        self._ids: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self._settings = _Settings.of([], self._candidates)

    @property
    def _candidates(self) -> int:
        return len(self.vocabulary) - 1  # [UNK] is never generated

    def add(self, row: Row, last_id: int, states: States) -> None:
        """Let a row take part from the next step on.

        Args:
            row: The new text.
            last_id: The prompt's last id, not yet read.
            states: Of one row, after the prompt without its last character.
        """
        self._states = tuple(
            np.concatenate([old, new])
            for old, new in zip(self._states, states, strict=True)
        )
        self._ids = np.append(self._ids, last_id)
        self.rows.append(row)
        self._arrange()

    def remove(self, row: Row) -> None:
        """Take a row out, wherever it stands; one that has left is no error."""
        self._keep([index for index, r in enumerate(self.rows) if r is not row])

    def _keep(self, indices: list[int]) -> None:
        self._states = tuple(state[indices] for state in self._states)
        self._ids = self._ids[indices]
        self.rows = [self.rows[index] for index in indices]
        self._arrange()

    def _arrange(self) -> None:
        configs = [row.config for row in self.rows]
        self._settings = _Settings.of(configs, self._candidates)

    def step(self) -> None:
        """Write one character in every row; finished rows leave."""
        if not self.rows:
            return
        logits, self._states = self.network.step(self._ids, self._states)
        masses = _masses(logits[:, 1:], self._settings)
        uniforms = np.array([next(row.uniforms) for row in self.rows])
        self._ids = draw(masses, uniforms) + 1
        entries, finished = self.vocabulary.entries, False
        for row, index in zip(self.rows, self._ids.tolist(), strict=True):
            row.push(entries[index])
            finished |= row.finished
        if finished:
            self._keep([i for i, row in enumerate(self.rows) if not row.finished])


def _texts(
    model: checkpoint.Model, prompt: str, rows: Sequence[Row], chunk: int
) -> Iterator[list[str]]:
    batch = Batch(Network(model.record.model, model.weights), model.vocabulary)
    ids = prompt_ids(model.vocabulary, prompt)
    states = batch.network.prefill(ids[:-1], batch.network.initial_states(1))
    for row in rows:
        batch.add(row, int(ids[-1]), states)
    while batch.rows:
        for _ in range(chunk):
            batch.step()
        yield [row.text for row in rows]


def generate(
    model: checkpoint.Model,
    prompt: str,
    *,
    length: int,
    temperatures: Sequence[float],
    seed: int,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: str = "",
    chunk: int = CHUNK,
) -> Iterator[list[str]]:
    r"""Continue a prompt, once for each temperature, all with the same seed.

    Args:
        model: From `checkpoint.load`.
        prompt: What the texts go on from; unknown characters count as [UNK].
            An empty one starts after a newline, or after the first character
            of a vocabulary without one.
        length: Characters to write, at least 1.
        temperatures: 0 (greedy) to 2; one text for each.
        seed: Start of the random numbers, 0 to 2**63 - 1.
        top_k: Only the k likeliest characters; 0: all.
        top_p: Only the likeliest characters that hold this share; 1: all.
        stop: A text that ends the writing where it appears; not included.
        chunk: Characters written between two results.

    Yields:
        The whole texts so far, without the prompt, in the temperatures' order.

    Raises:
        ConfigError: At the call, if a setting is out of its range.
    """
    check_length(length)
    if not temperatures:
        raise ConfigError("No temperature is given.", field="temperatures")
    configs = [
        SamplingConfig(temperature=t, top_k=top_k, top_p=top_p, stop=stop, seed=seed)
        for t in temperatures
    ]
    rows = [Row(config, length) for config in configs]
    return _texts(model, prompt, rows, max(1, chunk))
