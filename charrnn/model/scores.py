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
    """

    nats_per_char: float
    cold_nats_per_char: float | None
    characters: int
    unknown: int
    parts: Mapping[str, Part] = field(default_factory=dict)


def _nats(logits: Floats, targets: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """The cross-entropy of each row of (N, V) logits at (N,) targets, in float64."""
    largest = logits.max(axis=1, keepdims=True)
    wanted = np.take_along_axis(logits, targets[:, None].astype(np.intp), axis=1)
    normaliser = np.log(np.exp(logits - largest).sum(axis=1, dtype=np.float64))
    return np.asarray(normaliser - (wanted - largest)[:, 0], np.float64)


class _Scanned(NamedTuple):
    """A portion as one layer has read it: its outputs and the state after it."""

    outputs: npt.NDArray[Any]
    state: States


def _known(outputs: npt.NDArray[Any], state: States) -> "Future[_Scanned]":
    future: Future[_Scanned] = Future()
    future.set_result(_Scanned(outputs, state))
    return future


def _scan(
    network: Network, index: int, read: "Future[_Scanned]", before: "Future[_Scanned]"
) -> _Scanned:
    """Read a portion, as the layer below gives it, after the portion before it."""
    scanned = network.scan_layer(index, read.result().outputs, before.result().state)
    return _Scanned(*scanned)


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
    layers = range(config.num_layers)
    states = [_known(ids, zeros[i * count : (i + 1) * count]) for i in layers]
    coming: deque[tuple[int, Future[_Scanned]]] = deque()
    with ThreadPoolExecutor(config.num_layers) as threads:
        for start in range(0, length, portion):
            read = _known(ids[:, start : start + portion].T.astype(np.intp), ())
            for index in layers:
                read = threads.submit(_scan, network, index, read, states[index])
                states[index] = read
            coming.append((start, read))
            if len(coming) > config.num_layers:  # what is read ahead takes memory
                first, read = coming.popleft()
                yield first, read.result().outputs
        for first, read in coming:
            yield first, read.result().outputs


def _read(
    network: Network,
    ids: Ids,
    progress: Callable[[int], None],
    take: Callable[[int, npt.NDArray[np.float64]], None] | None = None,
) -> float:
    """Total nats of rows of ids ``(batch, length + 1)``, from zero state.

    ``take`` gets the column that a portion begins with, and the nats of its
    characters, those of a column together.
    """
    total = 0.0
    for start, outputs in _outputs(network, ids[:, :-1]):
        targets = ids[:, start + 1 : start + 1 + len(outputs)].T.ravel()
        logits = network.logits(outputs.reshape(-1, network.config.rnn_units))
        nats = _nats(logits, targets)
        total += float(nats.sum())
        if take is not None:
            take(start, nats)
        progress(len(targets))
    return total


def _cold(
    network: Network, ids: Ids, window: int, progress: Callable[[int], None]
) -> float | None:
    count = (len(ids) - 1) // window
    if not count:
        return None
    total = 0.0
    for first in range(0, count, COLD_ROWS):
        starts = window * np.arange(first, min(first + COLD_ROWS, count))
        total += _read(network, ids[starts[:, None] + np.arange(window + 1)], progress)
    return total / (count * window)


def evaluate(
    model: checkpoint.Model,
    ids: Ids,
    *,
    window: int = WINDOW,
    progress: Callable[[float], None] | None = None,
    codes: Codes | None = None,
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

    sums = Sums()

    def take(start: int, nats: npt.NDArray[np.float64]) -> None:
        if codes is not None:
            sums.add(codes[start + 1 : start + 1 + len(nats)], nats)

    # GEMMs: scores need not be the same bits in any batch, and many rows are faster
    network = Network(model.record.model, model.weights, batch_invariant=False)
    with unsplit(), ThreadPoolExecutor(1) as beside:
        windows = beside.submit(_cold, network, ids, window, count)
        total = _read(network, ids[None], count, take)
        cold_nats = windows.result()
    return Scores(
        nats_per_char=total / characters,
        cold_nats_per_char=cold_nats,
        characters=characters,
        unknown=int(np.count_nonzero(ids[1:] == UNKNOWN_ID)),
        parts=sums.parts(),
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
    network = Network(model.record.model, model.weights, batch_invariant=False)
    with unsplit():
        return _cold(network, ids, window, lambda predicted: None)
