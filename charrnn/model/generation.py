"""Prompts in, text out: rows that advance a character a step.

`Batch` holds rows that come and go, `generate` writes the texts of one request with
one. The state is carried, as in the one-step model of TensorFlow's tutorial,
https://www.tensorflow.org/text/tutorials/text_generation

A text depends on the model, the prompt and its row's own settings, and on nothing
else: not on the chunks that it is asked for in, not on the rows beside it. Two things
make that hold to the last bit. Each row's random numbers are a Philox stream keyed by
its seed, one draw a character. And the network is batch-invariant: every product is a
matrix-vector product of one row, since a GEMM of several rows adds up in an order
that depends on their number. That costs nothing: a GEMM of few rows is slower
(`docs/experiments.md`).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.config import MAX_ROWS, SamplingConfig
from charrnn.errors import ConfigError
from charrnn.model import checkpoint
from charrnn.model.network import NOTHING_HELD, Held, Ids, Network, States
from charrnn.model.sampling import (
    PreparedSampling,
    draw,
    surprise,
    uniform_stream,
    unnormalised_probs,
)
from charrnn.text.vocabulary import Vocabulary

CHUNK: Final = 32  # characters between two texts of `generate`
BITS_DIGITS: Final = 4  # decimals of a character's bits


class Written(NamedTuple):
    """A text, and how surprising the model found each of its characters.

    Args:
        text: Without the prompt.
        bits: Of each character, see `sampling.surprise`: at temperature 1 among all
            that can be written.
    """

    text: str
    bits: list[float]


def prompt_ids(
    vocabulary: Vocabulary, prompt: str, separator: tuple[int, ...] = ()
) -> Ids:
    """The ids that a text starts from, at least one.

    An empty prompt starts as a document does, where the text has such. Else it starts
    after a newline, as a line of the training text would, or after the first
    character where the vocabulary has no newline.

    Args:
        vocabulary: The model's.
        prompt: Any text.
        separator: Ids of what separates documents; empty: there are none.
    """
    if separator and not prompt:
        return np.array(separator[-1:], vocabulary.dtype)
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
        last_id: The prompt's last id, not yet read.
        states: Of one row, after the prompt without its last character.
    """

    def __init__(
        self, config: SamplingConfig, length: int, last_id: int, states: States
    ) -> None:
        self.config = config
        self.length = length
        self.last_id = last_id  # this and the states: as the row last left a batch
        self.states = states
        self.finished = False
        self._characters: list[str] = []
        self._bits: list[float] = []
        greedy = config.temperature == 0
        self.uniforms = itertools.repeat(0.0) if greedy else uniform_stream(config.seed)

    def push(self, character: str, bits: float) -> None:
        """Take the next character; see whether the text ends with it."""
        characters, stop = self._characters, self.config.stop
        characters.append(character)
        self._bits.append(bits)
        if stop and character == stop[-1] and self._ends_with(stop):
            del characters[-len(stop) :], self._bits[-len(stop) :]
            self.finished = True
        elif len(characters) >= self.length:
            self.finished = True

    def _ends_with(self, text: str) -> bool:
        return "".join(self._characters[-len(text) :]) == text

    def written_from(self, start: int) -> Written:
        """What is written for certain, without its first ``start`` characters.

        While more may come, an end that could be the start of the stop string
        is held back.
        """
        end, stop = len(self._characters), self.config.stop
        if stop and not self.finished:
            last = "".join(self._characters[-len(stop) :])
            counts = range(min(len(stop) - 1, end), 0, -1)
            end -= next((n for n in counts if last.endswith(stop[:n])), 0)
        return Written("".join(self._characters[start:end]), self._bits[start:end])


def held_units(configs: Sequence[SamplingConfig]) -> Held:
    """What the rows of a batch hold, layer by layer."""
    by_layer: dict[int, list[tuple[int, int, float]]] = {}
    for row, config in enumerate(configs):
        for layer, unit, value in config.hold:
            by_layer.setdefault(layer, []).append((row, unit, value))
    return {
        layer: (
            np.array([row for row, _, _ in held]),
            np.array([unit for _, unit, _ in held]),
            np.array([value for _, _, value in held], np.float32),
        )
        for layer, held in by_layer.items()
    }


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
        self._settings = PreparedSampling.of([], self._candidates)
        self._held = NOTHING_HELD

    @property
    def _candidates(self) -> int:
        return len(self.vocabulary) - 1  # [UNK] is never generated

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Let these rows advance from the next step on, and no others.

        Those that leave keep their place in their text and may come back.
        """
        if self.rows == list(rows):
            return
        for index, row in enumerate(self.rows):
            row.last_id = int(self._ids[index])
            row.states = tuple(
                state[index : index + 1].copy() for state in self._states
            )
        self.rows = [row for row in rows if not row.finished]
        self._ids = np.array([row.last_id for row in self.rows], np.intp)
        self._states = tuple(
            np.concatenate([empty, *parts])
            for empty, *parts in zip(
                self.network.initial_states(0),
                *(row.states for row in self.rows),
                strict=True,
            )
        )
        self._arrange()

    def _keep(self, indices: list[int]) -> None:
        self._states = tuple(state[indices] for state in self._states)
        self._ids = self._ids[indices]
        self.rows = [self.rows[index] for index in indices]
        self._arrange()

    def _arrange(self) -> None:
        configs = [row.config for row in self.rows]
        self._settings = PreparedSampling.of(configs, self._candidates)
        self._held = held_units(configs)

    def step(self) -> None:
        """Write one character in every row; finished rows leave."""
        if not self.rows:
            return
        logits, self._states = self.network.step(self._ids, self._states, self._held)
        probs = unnormalised_probs(logits[:, 1:], self._settings)
        uniforms = np.array([next(row.uniforms) for row in self.rows])
        chosen = draw(probs, uniforms)
        bits = surprise(logits[:, 1:], chosen).round(BITS_DIGITS) + 0.0  # no -0.0
        self._ids = chosen + 1
        entries, finished = self.vocabulary.entries, False
        drawn = zip(self.rows, self._ids.tolist(), bits.tolist(), strict=True)
        for row, index, surprising in drawn:
            row.push(entries[index], surprising)
            finished |= row.finished
        if finished:
            self._keep([i for i, row in enumerate(self.rows) if not row.finished])


def _written(
    model: checkpoint.Model,
    prompt: str,
    length: int,
    configs: Sequence[SamplingConfig],
    chunk: int,
) -> Iterator[list[Written]]:
    network = Network(model.record.model, model.weights, separator=model.separator)
    batch = Batch(network, model.vocabulary)
    ids = prompt_ids(model.vocabulary, prompt, model.separator)
    states = batch.network.prefill(ids[:-1], batch.network.initial_states(1))
    rows = [Row(config, length, int(ids[-1]), states) for config in configs]
    for start in range(0, len(rows), MAX_ROWS):
        batch.set_rows(rows[start : start + MAX_ROWS])
        while batch.rows:
            for _ in range(chunk):
                batch.step()
            yield [row.written_from(0) for row in rows]


def samples_of(rows: Sequence[SamplingConfig], samples: int) -> list[SamplingConfig]:
    """Each row so many times, with its seed, its seed + 1, and so on.

    Args:
        rows: How texts are drawn.
        samples: Texts of each row, at least 1.

    Returns:
        The samples of the first row, then those of the next.

    Raises:
        ConfigError: If the number is not positive or a seed becomes too large.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ConfigError(
            f"samples is {samples!r}: expected a whole number of texts, 1 or more.",
            field="samples",
        )
    return [replace(row, seed=row.seed + i) for row in rows for i in range(samples)]


def write(
    model: checkpoint.Model,
    prompt: str,
    *,
    length: int,
    rows: Sequence[SamplingConfig],
    chunk: int = CHUNK,
) -> Iterator[list[Written]]:
    """Continue a prompt, a text for each of ``rows``, with its surprise.

    More than `MAX_ROWS` are written in turns: the first ones to their ends, then
    the next. What each becomes does not depend on that.

    Args:
        model: From `checkpoint.load`.
        prompt: What the texts go on from; unknown characters count as [UNK].
            An empty one starts after a newline, or after the first character
            of a vocabulary without one.
        length: Characters to write, at least 1.
        rows: How each text is drawn.
        chunk: Characters written between two results.

    Yields:
        The whole texts so far, without the prompt, in the order of ``rows``, and the
        bits of their characters.

    Raises:
        ConfigError: At the call, if the length is not positive, there is no row, or one
            holds a unit that the model does not have.
    """
    check_length(length)
    if not rows:
        raise ConfigError(
            "No temperature is given: expected at least one.", field="temperatures"
        )
    for row in rows:
        row.check_units(model.record.model)
    return _written(model, prompt, length, rows, max(1, chunk))


def generate(
    model: checkpoint.Model,
    prompt: str,
    *,
    length: int,
    rows: Sequence[SamplingConfig],
    chunk: int = CHUNK,
) -> Iterator[list[str]]:
    """The texts of `write` alone."""
    steps = write(model, prompt, length=length, rows=rows, chunk=chunk)
    return ([written.text for written in step] for step in steps)
