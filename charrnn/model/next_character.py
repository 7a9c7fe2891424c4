"""What may come next after a prompt: its logits, read while the prompt is typed.

`NextCharacters` answers questions in a thread of its own, beside the texts that an
engine writes. It keeps the states after the last prompt of each visitor and model, so
that of a prompt that has grown only what was added is read. Long prompts are read in
pieces, in turns: those of one address together have as many as any other's.
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
        address: Where the question comes from.
        step: Of the model's training, see `snapshots`; None: its kept weights.

    Raises:
        ConfigError: If the prompt is too long.
    """

    path: Path
    prompt: str
    asker: str = ""
    address: str = ""
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


@dataclass(eq=False)
class Asked:
    """A question and who waits for the answer.

    Args:
        question: A model and a prompt.
        answer: Called once with the logits of all that can be written, in nats and in
            the vocabulary's order without [UNK], or with the error.
        given_up: Set, from any thread, when nobody waits any longer: what is not begun
            is not read then, and what is begun no further.
    """

    question: Question
    answer: Answer
    given_up: bool = False


@dataclass(eq=False)
class _Reading:
    """How far a prompt is read."""

    asked: Asked
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
    """The states before the last character of a prompt, or of its beginning."""

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
        self._waiting: collections.deque[Asked] = collections.deque()
        self._reading: list[tuple[Loaded, _Reading]] = []  # who read last at the end
        self._turns: dict[str, int] = {}  # of each address that reads: its last one
        self._turn = 0
        self._kept: collections.OrderedDict[Key, _Kept] = collections.OrderedDict()
        self._changed = threading.Condition()  # guards the first of these three
        self._started = False

    def ask(self, asked: Asked) -> None:
        """Answer a question, from another thread.

        Args:
            asked: Whose answer is called, unless it is given up before.
        """
        with self._changed:
            self._waiting.append(asked)
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
                    self._read_on(*self._choose())
        finally:  # only after an unforeseen error, whose traceback goes to the log
            self._recover()

    def _begin_all(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._reading)
        while self._waiting:
            if not self._waiting[0].given_up:
                self._begin(self._waiting[0])
            with self._changed:
                self._waiting.popleft()

    def _recover(self) -> None:
        error = RunError("Reading failed unexpectedly: the program's log says why.")
        with self._changed:
            everybody = [*self._waiting]
            self._waiting.clear()
            self._started = False
        for loaded, reading in self._reading:
            self.models.release(loaded)
            everybody.append(reading.asked)
        self._reading.clear()
        for asked in everybody:
            asked.answer(error)

    def _begin(self, asked: Asked) -> None:
        question = asked.question
        if question.asker:
            self._supersede(question)
        try:
            loaded = self.models.acquire(question.path, question.step)
            if loaded is None:
                raise RunError("Other models are in use and leave no memory for it.")
        except CharrnnError as error:
            asked.answer(error)
            return
        except MemoryError:
            asked.answer(RunError("This computer has no memory left for the model."))
            return
        separator = loaded.network.separator
        ids = prompt_ids(loaded.vocabulary, question.prompt, separator)
        reading = _Reading(asked, ids, loaded.network.initial_states(1))
        self._take_up(loaded, reading)
        self._reading.append((loaded, reading))

    def _supersede(self, question: Question) -> None:
        """A visitor's earlier question to a model is of no interest any more."""
        for loaded, reading in list(self._reading):
            if reading.asked.question.key == question.key:
                self._end(loaded, reading)
                reading.asked.answer(RunError("A later prompt has taken its place."))

    def _end(self, loaded: Loaded, reading: _Reading) -> None:
        """Read no further; a later prompt goes on from there."""
        if reading.asked.question.asker:
            self._keep(loaded, reading)
        self._reading.remove((loaded, reading))
        self.models.release(loaded)

    def _take_up(self, loaded: Loaded, reading: _Reading) -> None:
        """Go on from the states that are kept, where the prompt begins like theirs."""
        kept = self._kept.get(reading.asked.question.key)
        if kept is None or kept.loaded() is not loaded:
            return
        count = len(kept.ids)
        if count <= len(reading.ids) and np.array_equal(kept.ids, reading.ids[:count]):
            reading.states, reading.position = kept.states, count - 1

    def _choose(self) -> tuple[Loaded, _Reading]:
        """Whose turn it is: the address that has waited longest, its first reading."""
        addresses = dict.fromkeys(r.asked.question.address for _, r in self._reading)
        self._turns = {a: self._turns.get(a, 0) for a in addresses}
        address = min(self._turns, key=lambda one: self._turns[one])
        self._turn += 1
        self._turns[address] = self._turn
        return next(o for o in self._reading if o[1].asked.question.address == address)

    def _read_on(self, loaded: Loaded, reading: _Reading) -> None:
        if reading.asked.given_up:
            self._end(loaded, reading)
            return
        before = reading.position
        finished = reading.read_on(loaded)
        self.characters_read += reading.position - before
        if not finished:
            self._reading.remove((loaded, reading))
            self._reading.append((loaded, reading))
            return
        logits, _ = loaded.network.step(reading.ids[-1:], reading.states)
        self._end(loaded, reading)
        reading.asked.answer(logits[0, 1:].tolist())

    def _keep(self, loaded: Loaded, reading: _Reading) -> None:
        key = reading.asked.question.key
        ids = reading.ids[: reading.position + 1].astype(np.int32)
        self._kept[key] = _Kept(weakref.ref(loaded), ids, reading.states)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
