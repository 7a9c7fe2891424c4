"""The network in NumPy: one step for a batch of rows, with its recurrent states.

From the bottom up: matrix products, with or without the promise that a row's bits do
not depend on the rows beside it; the layers, with Keras' numbers; `Network`.
Matrices are kept transposed, so that a product is a run of contiguous dot products;
the other order is 25 % slower at 1024 units.
"""

import math
import time
import types
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from charrnn.config import GATES, NUM_STATES, ModelConfig
from charrnn.text.documents import Starts, starts

Floats: TypeAlias = npt.NDArray[np.float32]
Ids: TypeAlias = npt.NDArray[np.integer]
States: TypeAlias = tuple[Floats, ...]  # layer by layer, each (batch, rnn_units)
# by layer: rows, units and the values that the outputs of these have
Held: TypeAlias = Mapping[int, tuple[Ids, Ids, Floats]]
NOTHING_HELD: Final[Held] = types.MappingProxyType({})
MAX_TABLE_BYTES: Final = 64_000_000  # above it the first layer's input is projected
WINDOW: Final = 128  # characters of a text whose inputs are projected together
SPLIT_FROM: Final = 450_000  # numbers; OpenBLAS splits products of more
PROBE_EVERY: Final = 50  # products between two trials of the slower way


def _transposed(matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T)


class _BatchProduct:
    """``rows @ matrix.T`` as one GEMM.

    Fastest for many rows, but not batch-invariant: the order in which a GEMM adds
    up, and so a row's last bits, depends on how many rows there are.
    """

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix

    def __call__(self, rows: Floats) -> Floats:
        """(B, K) to (B, N), for a matrix (N, K)."""
        return rows @ self.matrix.T


class RowProduct:
    """``rows @ matrix.T`` as matrix-vector products, one a row: batch-invariant.

    A row's product has the same bits whatever rows stand beside it. OpenBLAS splits
    the product of a large matrix between its threads: on an idle machine that halves
    the time; while a training keeps the processor busy, these threads wait for each
    other (20 ms instead of 2 for a row of 1024 units). In blocks of rows too small to
    be split the product never waits. So both layouts are timed, the faster one is
    used and the other tried now and then. The clock decides nothing else: both have
    the same bits. Where they do not (another BLAS, odd sizes), only the blocks are
    used.
    """

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix
        self.layouts = [matrix]
        self._seconds = [0.0, 0.0]  # a row's, for each layout, decaying means
        self._calls = 0
        height = _block_height(matrix)
        if height:
            blocks = matrix.reshape(-1, 1, height, matrix.shape[1])
            row = np.cos(np.arange(matrix.shape[1], dtype=np.float32))[None]
            same = np.array_equal(_product(matrix, row), _product(blocks, row))
            self.layouts = [matrix, blocks] if same else [blocks]

    def __call__(self, rows: Floats) -> Floats:
        """(B, K) to (B, N), for a matrix (N, K)."""
        if len(self.layouts) == 1:
            return _product(self.layouts[0], rows)
        self._calls += 1
        chosen = int(self._seconds[1] < self._seconds[0])
        if self._calls % PROBE_EVERY == 0:
            chosen = 1 - chosen
        start = time.perf_counter()
        products = _product(self.layouts[chosen], rows)
        seconds = (time.perf_counter() - start) / max(1, len(rows))
        self._seconds[chosen] += 0.2 * (seconds - self._seconds[chosen])
        return products


def _product(layout: Floats, rows: Floats) -> Floats:
    """(B, K) to (B, N), for (N, K) or blocks (N / height, 1, height, K)."""
    products: Floats = np.matmul(layout, rows[:, :, None])
    if layout.ndim == 2:
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

    num_states = NUM_STATES["rnn"]
    gates = GATES["rnn"]
    linear_gate = 0  # the one that is no sigmoid

    def __init__(
        self,
        kernel: Floats,
        recurrent_kernel: Floats,
        bias: Floats,
        *,
        batch_invariant: bool,
    ) -> None:
        self.units = recurrent_kernel.shape[0]
        factors = np.full((self.gates, 1, self.units), 0.5, np.float32)
        factors[self.linear_gate] = 1
        columns = factors.ravel()
        product = RowProduct if batch_invariant else _BatchProduct
        self.kernel = product(_transposed(kernel * columns))
        self.recurrent_kernel = product(_transposed(recurrent_kernel * columns))
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
            states: `num_states` arrays ``(batch, units)``; left as they are.
        """
        x += self._recur(states[0])
        return (np.tanh(x[0]),)


class _GRULayer(_Layer):
    """Keras' GRU with ``reset_after``: gates z, r, candidate n.

    ``n = tanh(x_n + r * (U_n h + b_n))`` and ``h' = n + z * (h - n)``.
    """

    num_states = NUM_STATES["gru"]
    gates = GATES["gru"]
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

    num_states = NUM_STATES["lstm"]
    gates = GATES["lstm"]
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


def cleared(states: States, begins: Starts) -> States:
    """The states, ``(batch, ...)`` each, with zeros in the rows that begin anew."""
    if not begins.any():
        return states
    return tuple(np.where(begins[:, None], np.float32(0), part) for part in states)


def _table_is_folded(model: ModelConfig) -> bool:
    """Whether embedding and first kernel become one table of 4-byte numbers."""
    numbers = GATES[model.cell] * model.rnn_units * model.vocab_size
    return 4 * numbers <= MAX_TABLE_BYTES


def network_bytes(model: ModelConfig) -> int:
    """`Network.size` of a network that is not made yet."""
    shapes = model.tensor_shapes()
    numbers = model.num_parameters()
    if _table_is_folded(model):  # (V, E) becomes (G, V, H)
        numbers -= math.prod(shapes["embedding.weight"])
        numbers += GATES[model.cell] * model.rnn_units * model.vocab_size
    if model.cell == "gru":  # of two biases a layer one is in `size`
        numbers -= model.num_layers * GATES["gru"] * model.rnn_units
    return 4 * numbers


class Network:
    """The trained network, forward only, with Keras' numbers (to 1e-4).

    The embedding and the first layer's kernel and bias become one table with a
    row for each id, so that the input costs a look-up; for a very large
    vocabulary they stay apart.

    Args:
        model: The sizes.
        weights: As in a checkpoint; copied, not kept.
        batch_invariant: Whether a row's numbers must not depend on the rows beside
            it, to the last bit. False is faster for many rows at once.
        separator: Ids of what separates documents: the state of a row is zeroed before
            it reads the last of them after the others. Empty: it never is.
    """

    def __init__(
        self,
        model: ModelConfig,
        weights: Mapping[str, Floats],
        *,
        batch_invariant: bool = True,
        separator: tuple[int, ...] = (),
    ) -> None:
        self.config = model
        self.separator = separator
        self._num_arrays = model.num_layers * model.num_states
        self._layers = [
            _LAYERS[model.cell](
                weights[f"rnn.{i}.kernel"],
                weights[f"rnn.{i}.recurrent_kernel"],
                weights[f"rnn.{i}.bias"],
                batch_invariant=batch_invariant,
            )
            for i in range(model.num_layers)
        ]
        self._folded = _table_is_folded(model)
        embedding = weights["embedding.weight"].astype(np.float32)
        # (G, V, H), or the embedding itself as (1, V, E)
        self._table = (
            self._layers[0].project(embedding) if self._folded else embedding[None]
        )
        product = RowProduct if batch_invariant else _BatchProduct
        self._head = product(_transposed(weights["head.kernel"]))
        self._head_bias = np.array(weights["head.bias"], np.float32)

    @property
    def size(self) -> int:
        """Bytes of the weights as they are arranged here."""
        arrays = [self._table, self._head.matrix, self._head_bias]
        for layer in self._layers:
            arrays += [layer.kernel.matrix, layer.recurrent_kernel.matrix, layer.bias]
        return sum(array.nbytes for array in arrays)

    def initial_states(self, batch: int) -> States:
        """Zeros: what a text begins with.

        Where there is a separator, an array more follows the layers': the ids that
        were read last, as many as complete it but for one, -1 where there were none.
        """
        shape = (batch, self.config.rnn_units)
        states = tuple(np.zeros(shape, np.float32) for _ in range(self._num_arrays))
        if not self.separator:
            return states
        return *states, np.full((batch, len(self.separator) - 1), -1, np.float32)

    def begins(self, ids: Ids) -> Starts | None:
        """Where documents begin in texts, of the shape of ``ids``; None: nowhere."""
        return starts(ids, self.separator) if self.separator else None

    def _begin_documents(self, ids: Ids, states: States) -> tuple[States, States]:
        """The layers' states, zero where a document begins, and the ids read last."""
        if not self.separator:
            return states, ()
        read = np.column_stack([states[-1], ids]).astype(np.float32)
        begins = (read == self.separator).all(axis=1)
        return cleared(states[:-1], begins), (read[:, 1:],)

    def _embed(self, ids: Ids) -> Floats:
        """The first layer's projected input, (B,) to (G, B, H), to write upon."""
        rows = self._table.take(ids, axis=1)
        return rows if self._folded else self._layers[0].project(rows[0])

    def advance(self, ids: Ids, states: States, held: Held = NOTHING_HELD) -> States:
        """Read one character a row.

        Args:
            ids: Shape ``(batch,)``.
            states: From `initial_states`, `advance` or `step`; left as is.
            held: Outputs that are overwritten before anything reads them; an LSTM's
                c stays what it is.

        Returns:
            The states after it, of the form of `initial_states`.
        """
        states, recent = self._begin_documents(ids, states)
        following: list[Floats] = []
        x = self._embed(ids)
        for index, layer in enumerate(self._layers):
            if index:
                x = layer.project(following[-layer.num_states])
            first = index * layer.num_states
            new = layer.step(x, states[first : first + layer.num_states])
            if index in held:
                rows, units, values = held[index]
                new[0][rows, units] = values
            following += new
        return *following, *recent

    def step(
        self, ids: Ids, states: States, held: Held = NOTHING_HELD
    ) -> tuple[Floats, States]:
        """Read one character a row and say what may come next.

        Arguments as those of `advance`.

        Returns:
            Logits in nats, shape ``(batch, vocab_size)``, and the states.
        """
        states = self.advance(ids, states, held)
        return self.logits(states[self._num_arrays - self.config.num_states]), states

    def prefill(self, ids: Ids, states: States) -> States:
        """Read a run of characters of one text; no logits are computed.

        It is read layer after layer, which takes half as long as a character at a
        time; where a row's bits do not depend on the others, they are the same.

        Args:
            ids: Shape ``(length,)``; may be empty.
            states: Of one row.
        """
        for start in range(0, len(ids), WINDOW):
            _, states = self.scan(ids[None, start : start + WINDOW], states)
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
        read: npt.NDArray[Any] = ids.T
        begins: Starts | None = None
        recent: States = ()
        if self.separator:
            kept = states[-1].shape[1]
            seen = np.concatenate([states[-1], ids], axis=1, dtype=np.float32)
            begins = starts(seen, self.separator)[:, kept:].T
            recent = (seen[:, seen.shape[1] - kept :],)
        following: list[Floats] = []
        for index in range(self.config.num_layers):
            first = index * self.config.num_states
            state = states[first : first + self.config.num_states]
            read, state = self.scan_layer(index, read, state, begins)
            following += state
        return read, (*following, *recent)

    def scan_layer(
        self,
        index: int,
        read: npt.NDArray[Any],
        state: States,
        begins: Starts | None = None,
    ) -> tuple[Floats, States]:
        """Read a window of every row in one layer.

        Args:
            index: Of the layer.
            read: What it reads: ids, shape ``(length, batch)``, or the outputs of the
                layer below, ``(length, batch, rnn_units)``.
            state: Of this layer alone.
            begins: Where the state is zeroed before it reads, ``(length, batch)``.

        Returns:
            The layer's outputs, shape ``(length, batch, rnn_units)``, and its state
            after the window.
        """
        length, batch = read.shape[:2]
        layer, units = self._layers[index], self.config.rnn_units
        # one product for the whole window: (G, T*B, H)
        if index:
            x = layer.project(read.reshape(-1, units))
        else:
            x = self._embed(read.ravel())
        steps = x.reshape(layer.gates, length, batch, units)
        outputs = np.empty((length, batch, units), np.float32)
        for position in range(length):
            if begins is not None:
                state = cleared(state, begins[position])
            state = layer.step(steps[:, position], state)
            outputs[position] = state[0]
        return outputs, state

    def trace(self, ids: Ids) -> States:
        """Read one text from zero state and keep every state on the way.

        Args:
            ids: Shape ``(length,)``.

        Returns:
            As many arrays as `initial_states`, each ``(length + 1, rnn_units)``: row
            ``t`` is the state after ``t`` characters.
        """
        units, length = self.config.rnn_units, len(ids)
        x = self._embed(ids)  # (G, T, H)
        begins = self.begins(ids)
        kept: list[Floats] = []
        for index, layer in enumerate(self._layers):
            if index:
                x = layer.project(kept[-layer.num_states][1:])
            shape = (layer.num_states, length + 1, units)
            history = np.zeros(shape, np.float32)
            state: States = tuple(history[:, :1])
            for t in range(length):
                if begins is not None and begins[t]:
                    state = tuple(np.zeros_like(part) for part in state)
                state = layer.step(x[:, t : t + 1], state)
                for array, part in zip(history, state, strict=True):
                    array[t + 1] = part[0]
            kept += list(history)
        return tuple(kept)

    def logits(self, outputs: Floats) -> Floats:
        """The head: (B, H) to (B, V), in nats."""
        return self._head(outputs) + self._head_bias
