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
from typing import Final

import numpy as np
import numpy.typing as npt

from charrnn.config import SamplingConfig
from charrnn.errors import ConfigError
from charrnn.model import checkpoint
from charrnn.model.network import Ids, Network, States
from charrnn.model.sampling import (
    PreparedSampling,
    draw,
    uniform_stream,
    unnormalised_probs,
)
from charrnn.text.vocabulary import Vocabulary

CHUNK: Final = 32  # characters between two texts of `generate`
MAX_ROWS: Final = 16  # texts that are written at once


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
        self._settings = PreparedSampling.of([], self._candidates)

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
        self._settings = PreparedSampling.of(configs, self._candidates)

    def step(self) -> None:
        """Write one character in every row; finished rows leave."""
        if not self.rows:
            return
        logits, self._states = self.network.step(self._ids, self._states)
        probs = unnormalised_probs(logits[:, 1:], self._settings)
        uniforms = np.array([next(row.uniforms) for row in self.rows])
        self._ids = draw(probs, uniforms) + 1
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
    for start in range(0, len(rows), MAX_ROWS):
        for row in rows[start : start + MAX_ROWS]:
            batch.add(row, int(ids[-1]), states)
        while batch.rows:
            for _ in range(chunk):
                batch.step()
            yield [row.text for row in rows]


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


def generate(
    model: checkpoint.Model,
    prompt: str,
    *,
    length: int,
    rows: Sequence[SamplingConfig],
    chunk: int = CHUNK,
) -> Iterator[list[str]]:
    """Continue a prompt, a text for each of ``rows``.

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
        The whole texts so far, without the prompt, in the order of ``rows``.

    Raises:
        ConfigError: At the call, if the length is not positive or there is no row.
    """
    check_length(length)
    if not rows:
        raise ConfigError(
            "No temperature is given: expected at least one.", field="temperatures"
        )
    return _texts(model, prompt, [Row(row, length) for row in rows], max(1, chunk))
