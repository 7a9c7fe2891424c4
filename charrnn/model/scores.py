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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.errors import ConfigError
from charrnn.model import checkpoint
from charrnn.model.blas import unsplit
from charrnn.model.network import Floats, Ids, Network, States
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
    """

    nats_per_char: float
    cold_nats_per_char: float | None
    characters: int
    unknown: int


def _total_nats(logits: Floats, targets: npt.NDArray[np.integer]) -> float:
    """Sum of the cross-entropies of (N, V) logits at (N,) targets, in float64."""
    largest = logits.max(axis=1, keepdims=True)
    wanted = np.take_along_axis(logits, targets[:, None].astype(np.intp), axis=1)
    normaliser = np.log(np.exp(logits - largest).sum(axis=1, dtype=np.float64))
    return float((normaliser - (wanted - largest)[:, 0]).sum())


def _portion(network: Network, batch: int) -> int:
    """Characters of each row that are read at once."""
    config = network.config
    widest = max(config.vocab_size, 4 * config.rnn_units)  # 4: an LSTM's gates
    return max(1, MAX_NUMBERS // (batch * widest))


def _read(network: Network, ids: Ids, progress: Callable[[int], None]) -> float:
    """Total nats of rows of ids ``(batch, length + 1)``, from zero state.

    A portion of the text goes through one layer after the other; while the second layer
    reads it, the first one reads the next portion, in a thread of its own.
    """
    config = network.config
    batch, length = len(ids), ids.shape[1] - 1
    portion = _portion(network, batch)
    zeros = network.initial_states(batch)
    count = config.num_states
    states: list[Future[_Scanned]] = [
        _known(ids, zeros[first : first + count])
        for first in range(0, len(zeros), count)
    ]
    total, coming = 0.0, deque[tuple[Ids, Future[_Scanned]]]()
    with ThreadPoolExecutor(config.num_layers) as layers:
        for start in range(0, length, portion):
            end = min(start + portion, length)
            read = _known(ids[:, start:end].T.astype(np.intp), ())
            for index in range(config.num_layers):
                read = layers.submit(_scan, network, index, read, states[index])
                states[index] = read
            coming.append((ids[:, start + 1 : end + 1].T.ravel(), read))
            if len(coming) > config.num_layers:
                total += _score(network, *coming.popleft(), progress)
        while coming:
            total += _score(network, *coming.popleft(), progress)
    return total


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


def _score(
    network: Network,
    targets: Ids,
    read: "Future[_Scanned]",
    progress: Callable[[int], None],
) -> float:
    outputs = read.result().outputs.reshape(-1, network.config.rnn_units)
    progress(len(targets))
    return _total_nats(network.logits(outputs), targets)


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
) -> Scores:
    """Score a model on a text.

    Args:
        model: From `checkpoint.load`.
        ids: The text, encoded with the model's vocabulary; shape
            ``(length,)``, at least 2.
        window: Predicted characters in a cold window.
        progress: Called with the share done, 0 to 1, from either of two threads, one
            at a time.

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
    network = Network(model.record.model, model.weights, batch_invariant=False)
    with unsplit(), ThreadPoolExecutor(1) as beside:
        windows = beside.submit(_cold, network, ids, window, count)
        total = _read(network, ids[None], count)
        cold_nats = windows.result()
    return Scores(
        nats_per_char=total / characters,
        cold_nats_per_char=cold_nats,
        characters=characters,
        unknown=int(np.count_nonzero(ids[1:] == UNKNOWN_ID)),
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
