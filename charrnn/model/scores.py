"""How well a model predicts a text, in nats per character.

Two protocols. Stateful: one pass over the whole text, carrying the state. Cold:
windows that do not overlap, each from zero state, the remainder dropped; with
256 predicted characters a window this is how nanoGPT scores, at its block
length. The first character of the text is context only. Characters that the
model does not know are scored as [UNK], and counted.

Reference:
    https://github.com/karpathy/nanoGPT, ``estimate_loss``.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.errors import ConfigError
from charrnn.model import checkpoint
from charrnn.model.blas import unsplit
from charrnn.model.network import Floats, Ids, Network, States
from charrnn.model.reliability import Bin, Counts
from charrnn.text.documents import Starts
from charrnn.text.parts import Codes, Part, Sums
from charrnn.text.vocabulary import UNKNOWN_ID

WINDOW: Final = 256
COLD_ROWS: Final = 64  # windows side by side: enough for a GEMM to be worth it
MAX_NUMBERS: Final = 1_000_000  # floats in the largest array held: 4 MB


@dataclass(frozen=True)
class Scores:
    """What `evaluate` found.

    Args:
        nats_per_char: Mean over ``characters``, state carried.
        cold_nats_per_char: Mean over full windows, each from zero state; None
            if the text holds none.
        characters: Predicted characters: the text's, without its first.
        unknown: How many of them the model does not know.
        parts: What ``nats_per_char`` is made of, by name, see `charrnn.text.parts`;
            empty where that was not asked for.
        reliability: How sure the stateful pass was and how often it was right, see
            `charrnn.model.reliability`.
    """

    nats_per_char: float
    cold_nats_per_char: float | None
    characters: int
    unknown: int
    parts: Mapping[str, Part] = field(default_factory=dict)
    reliability: tuple[Bin, ...] = ()


class _Scored(NamedTuple):
    """Predictions beside what followed, arrays of shape ``(count,)``.

    Args:
        nats: The cross-entropy of each.
        said: The probability of its likeliest character.
        right: Whether that one followed.
    """

    nats: npt.NDArray[np.float64]
    said: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]


def _score(logits: Floats, targets: npt.NDArray[np.integer]) -> _Scored:
    """Score (N, V) logits at (N,) targets, in float64."""
    largest = logits.max(axis=1, keepdims=True)
    wanted = np.take_along_axis(logits, targets[:, None].astype(np.intp), axis=1)
    total = np.exp(logits - largest).sum(axis=1, dtype=np.float64)
    nats = np.asarray(np.log(total) - (wanted - largest)[:, 0], np.float64)
    return _Scored(nats, 1 / total, logits.argmax(axis=1) == targets)


class _Scanned(NamedTuple):
    """A portion as one layer has read it: its outputs and the state after it."""

    outputs: npt.NDArray[Any]
    state: States


def _known(outputs: npt.NDArray[Any], state: States) -> "Future[_Scanned]":
    future: Future[_Scanned] = Future()
    future.set_result(_Scanned(outputs, state))
    return future


def _scan(
    network: Network,
    index: int,
    read: "Future[_Scanned]",
    before: "Future[_Scanned]",
    begins: Starts | None,
) -> _Scanned:
    """Read a portion, as the layer below gives it, after the portion before it."""
    state = before.result().state
    return _Scanned(*network.scan_layer(index, read.result().outputs, state, begins))


def _outputs(network: Network, ids: Ids) -> Iterator[tuple[int, Floats]]:
    """The last layer's outputs for rows of ids ``(batch, length)``, from zero state.

    A portion of the text goes through one layer after the other; while the second layer
    reads it, the first one reads the next portion, in a thread of its own.

    Yields:
        The column that a portion begins with, and ``(columns, batch, rnn_units)``.
    """
    config = network.config
    batch, length = ids.shape
    widest = max(config.vocab_size, 4 * config.rnn_units)  # 4: an LSTM's gates
    portion = max(1, MAX_NUMBERS // (batch * widest))
    zeros, count = network.initial_states(batch), config.num_states
    layers, begins = range(config.num_layers), network.begins(ids)
    states = [_known(ids, zeros[i * count : (i + 1) * count]) for i in layers]
    coming: deque[tuple[int, Future[_Scanned]]] = deque()
    with ThreadPoolExecutor(config.num_layers) as threads:
        for start in range(0, length, portion):
            part = slice(start, start + portion)
            read = _known(ids[:, part].T.astype(np.intp), ())
            anew = None if begins is None else begins[:, part].T
            for index in layers:
                read = threads.submit(_scan, network, index, read, states[index], anew)
                states[index] = read
            coming.append((start, read))
            if len(coming) > config.num_layers:  # what is read ahead takes memory
                first, read = coming.popleft()
                yield first, read.result().outputs
        for first, read in coming:
            yield first, read.result().outputs


class Predictions(NamedTuple):
    """What a model made of a portion of rows of text.

    Args:
        start: The column of the rows that the portion begins with.
        logits: Of each character, shape ``(columns * batch, vocab_size)``, those of a
            column together.
        targets: What followed, shape ``(columns * batch,)``.
    """

    start: int
    logits: Floats
    targets: npt.NDArray[np.integer]


def predict(network: Network, ids: Ids) -> Iterator[Predictions]:
    """Predict rows of ids ``(batch, length + 1)``, from zero state.

    Yields:
        The predictions of portion after portion, as many as memory is for.
    """
    for start, outputs in _outputs(network, ids[:, :-1]):
        targets = ids[:, start + 1 : start + 1 + len(outputs)].T.ravel()
        logits = network.logits(outputs.reshape(-1, network.config.rnn_units))
        yield Predictions(start, logits, targets)


def _cold(
    network: Network,
    ids: Ids,
    window: int,
    progress: Callable[[int], None],
    factors: Floats | None = None,
) -> float | None:
    """Mean nats in windows from zero state; None if the text holds none.

    ``factors`` has what the logits of each predicted character are multiplied with.
    """
    count = (len(ids) - 1) // window
    if not count:
        return None
    total = 0.0
    for first in range(0, count, COLD_ROWS):
        starts = window * np.arange(first, min(first + COLD_ROWS, count))
        places = starts[:, None] + np.arange(window + 1)
        for start, logits, targets in predict(network, ids[places]):
            if factors is not None:
                columns = len(targets) // len(starts)
                chosen = factors[places[:, start : start + columns]]
                logits = logits * chosen.T.reshape(-1, 1)
            total += float(_score(logits, targets).nats.sum())
            progress(len(targets))
    return total / (count * window)


class _Sums:
    """What the stateful pass adds up."""

    def __init__(self, codes: Codes | None) -> None:
        self.nats = 0.0
        self.parts, self.counts = Sums(), Counts()
        self._codes = codes

    def add(self, start: int, scored: _Scored) -> None:
        """Add the predictions of a portion of the text."""
        self.nats += float(scored.nats.sum())
        self.counts.add(scored.said, scored.right)
        if self._codes is not None:
            count = len(scored.nats)
            self.parts.add(self._codes[start + 1 : start + 1 + count], scored.nats)


def _read(
    network: Network, ids: Ids, progress: Callable[[int], None], codes: Codes | None
) -> _Sums:
    """Score a text ``(length + 1,)`` in one pass."""
    sums = _Sums(codes)
    for start, logits, targets in predict(network, ids[None]):
        sums.add(start, _score(logits, targets))
        progress(len(targets))
    return sums


def evaluate(
    model: checkpoint.Model,
    ids: Ids,
    *,
    window: int = WINDOW,
    progress: Callable[[float], None] | None = None,
    codes: Codes | None = None,
    cold_factors: Floats | None = None,
) -> Scores:
    """Score a model on a text.

    Args:
        model: From `checkpoint.load`.
        ids: The text, encoded with the model's vocabulary; shape
            ``(length,)``, at least 2.
        window: Predicted characters in a cold window.
        progress: Called with the share done, 0 to 1, from either of two threads, one
            at a time.
        codes: Of the same text, from `parts.codes`: split the stateful score.
        cold_factors: What the logits of each predicted character are multiplied with
            in the cold windows, shape ``(length - 1,)``; None: they stay.

    Raises:
        ConfigError: If the text or the window is too short.
    """
    if len(ids) < 2:
        raise ConfigError(
            f"The text has {len(ids)} characters: a score needs at least 2, one to "
            "begin from and one to predict."
        )
    if window < 1:
        raise ConfigError(
            f"window is {window}: expected a whole number, 1 or more.", field="window"
        )
    characters = len(ids) - 1
    work = characters + characters // window * window
    done, lock = 0, threading.Lock()

    def count(predicted: int) -> None:
        nonlocal done
        with lock:
            done += predicted
            if progress is not None:
                progress(done / work)

    # GEMMs: scores need not be the same bits in any batch, and many rows are faster
    network = Network(
        model.record.model,
        model.weights,
        batch_invariant=False,
        separator=model.separator,
    )
    with unsplit(), ThreadPoolExecutor(1) as beside:
        windows = beside.submit(_cold, network, ids, window, count, cold_factors)
        sums = _read(network, ids, count, codes)
        cold_nats = windows.result()
    return Scores(
        nats_per_char=sums.nats / characters,
        cold_nats_per_char=cold_nats,
        characters=characters,
        unknown=int(np.count_nonzero(ids[1:] == UNKNOWN_ID)),
        parts=sums.parts.parts(),
        reliability=sums.counts.bins(),
    )


def cold(model: checkpoint.Model, ids: Ids, *, window: int = WINDOW) -> float | None:
    """The cold score alone, with other windows than `evaluate`'s, say.

    Args:
        model: From `checkpoint.load`.
        ids: The text, encoded with the model's vocabulary; shape ``(length,)``.
        window: Predicted characters in a window.

    Returns:
        Mean nats per character over full windows; None if the text holds none.
    """
    network = Network(
        model.record.model,
        model.weights,
        batch_invariant=False,
        separator=model.separator,
    )
    with unsplit():
        return _cold(network, ids, window, lambda predicted: None)
