"""What may come next after a prompt: its logits, read while the prompt is typed.

`NextCharacters` answers questions in a thread of its own, beside the texts that an
engine writes. It keeps the states after the last prompt of each visitor and model, so
that of a prompt that has grown only what was added is read. Long prompts are read in
pieces, in turns.
"""

import collections
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from charrnn.config import MAX_PROMPT
from charrnn.errors import CharrnnError, ConfigError, RunError
from charrnn.model.cache import Loaded, ModelCache
from charrnn.model.generation import prompt_ids
from charrnn.model.network import Ids, States
from charrnn.model.snapshots import Source

MAX_KEPT: Final = 64  # states after a prompt; the longest unused are dropped
PIECE: Final = 128  # characters read before it is another question's turn
Logits: TypeAlias = list[float]
Answer: TypeAlias = Callable[[Logits | CharrnnError], None]
Key: TypeAlias = tuple[str, Source]


@dataclass(frozen=True)
class Question:
    """What may come next after a prompt?

    Args:
        path: The model's folder.
        prompt: The text so far; an empty one begins as `generation.prompt_ids` says.
        asker: Whose states are kept, and whose later question takes the place of one
            that is not answered yet; empty for someone who asks once.
        step: Of the model's training, see `snapshots`; None: its kept weights.

    Raises:
        ConfigError: If the prompt is too long.
    """

    path: Path
    prompt: str
    asker: str = ""
    step: int | None = None

    def __post_init__(self) -> None:
        if len(self.prompt) > MAX_PROMPT:
            raise ConfigError(
                f"The prompt has {len(self.prompt):,} characters: at most "
                f"{MAX_PROMPT:,} are read.",
                field="prompt",
            )

    @property
    def key(self) -> Key:
        """What its states are kept under."""
        return self.asker, Source(self.path, self.step)


@dataclass
class _Reading:
    """How far a prompt is read."""

    question: Question
    answer: Answer
    ids: Ids
    states: States  # of one row
    position: int = 0  # ids that the states have read

    def read_on(self, loaded: Loaded) -> bool:
        """Read a piece; whether all but the last character is read."""
        end = min(self.position + PIECE, len(self.ids) - 1)
        part = self.ids[self.position : end]
        self.states = loaded.network.prefill(part, self.states)
        self.position = end
        return end == len(self.ids) - 1


@dataclass(frozen=True)
class _Kept:
    """The states before the last character of a prompt."""

    loaded: "weakref.ref[Loaded]"  # kept states hold no model in memory
    ids: npt.NDArray[np.int32]
    states: States


class NextCharacters:
    """Answers what may come next, for many visitors.

    Args:
        models: Where models come from.
    """

    def __init__(self, models: ModelCache) -> None:
        self.models = models
        self.characters_read = 0
        self._waiting: collections.deque[tuple[Question, Answer]] = collections.deque()
        self._reading: collections.deque[tuple[Loaded, _Reading]] = collections.deque()
        self._kept: collections.OrderedDict[Key, _Kept] = collections.OrderedDict()
        self._changed = threading.Condition()  # guards the first of these three
        self._started = False

    def ask(self, question: Question, answer: Answer) -> None:
        """Answer a question, from another thread.

        Args:
            question: A model and a prompt.
            answer: Called once with the logits of all that can be written, in nats and
                in the vocabulary's order without [UNK], or with the error.
        """
        with self._changed:
            self._waiting.append((question, answer))
            if not self._started:
                self._started = True
                threading.Thread(
                    target=self._work, name="charrnn-next", daemon=True
                ).start()
            self._changed.notify()

    def _work(self) -> None:
        try:
            while True:
                self._begin_all()
                if self._reading:
                    self._read_on(*self._reading[0])
        finally:  # only after an unforeseen error, whose traceback goes to the log
            self._recover()

    def _begin_all(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._reading)
        while self._waiting:
            self._begin(*self._waiting[0])
            with self._changed:
                self._waiting.popleft()

    def _recover(self) -> None:
        error = RunError("Reading failed unexpectedly: the program's log says why.")
        with self._changed:
            asked = [*self._waiting]
            self._waiting.clear()
            self._started = False
        for loaded, reading in self._reading:
            self.models.release(loaded)
            asked.append((reading.question, reading.answer))
        self._reading.clear()
        for _, answer in asked:
            answer(error)

    def _begin(self, question: Question, answer: Answer) -> None:
        if question.asker:
            self._supersede(question)
        try:
            loaded = self.models.acquire(question.path, question.step)
            if loaded is None:
                raise RunError("Other models are in use and leave no memory for it.")
        except CharrnnError as error:
            answer(error)
            return
        except MemoryError:
            answer(RunError("This computer has no memory left for the model."))
            return
        ids = prompt_ids(loaded.vocabulary, question.prompt)
        reading = _Reading(question, answer, ids, loaded.network.initial_states(1))
        self._take_up(loaded, reading)
        self._reading.append((loaded, reading))

    def _supersede(self, question: Question) -> None:
        """A visitor's earlier question to a model is of no interest any more."""
        for loaded, reading in list(self._reading):
            if reading.question.key == question.key:
                self._reading.remove((loaded, reading))
                self.models.release(loaded)
                reading.answer(RunError("A later prompt has taken its place."))

    def _take_up(self, loaded: Loaded, reading: _Reading) -> None:
        """Go on from the states that are kept, where the prompt begins like theirs."""
        kept = self._kept.get(reading.question.key)
        if kept is None or kept.loaded() is not loaded:
            return
        count = len(kept.ids)
        if count <= len(reading.ids) and np.array_equal(kept.ids, reading.ids[:count]):
            reading.states, reading.position = kept.states, count - 1

    def _read_on(self, loaded: Loaded, reading: _Reading) -> None:
        before = reading.position
        finished = reading.read_on(loaded)
        self.characters_read += reading.position - before
        if not finished:
            self._reading.rotate(-1)
            return
        logits, _ = loaded.network.step(reading.ids[-1:], reading.states)
        if reading.question.asker:
            self._keep(loaded, reading)
        self._reading.popleft()
        self.models.release(loaded)
        reading.answer(logits[0, 1:].tolist())

    def _keep(self, loaded: Loaded, reading: _Reading) -> None:
        key = reading.question.key
        ids = reading.ids.astype(np.int32)
        self._kept[key] = _Kept(weakref.ref(loaded), ids, reading.states)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
