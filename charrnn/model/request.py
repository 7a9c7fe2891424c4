"""A request for texts: what is asked, how far it is, and who is told of it."""

import contextlib
import dataclasses
import math
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from charrnn.config import MAX_LENGTH, MAX_PROMPT, MAX_ROWS, MAX_STOP, SamplingConfig
from charrnn.errors import CharrnnError, ConfigError
from charrnn.hosting import UNKNOWN_VISITOR, Visitor
from charrnn.model.cache import Loaded
from charrnn.model.generation import Row, Written, check_length, prompt_ids
from charrnn.model.network import Ids, States

UPDATE_SECONDS: Final = 0.1  # between two texts shown: as fast as one reads
HEARTBEAT_SECONDS: Final = 0.2  # until the same text is shown again
Updates: TypeAlias = Generator[list[Written], None, None]
Texts: TypeAlias = Generator[list[str], None, None]


def texts_of(updates: Updates) -> Texts:
    """The texts alone; closing this closes the updates."""
    with contextlib.closing(updates):
        for written in updates:
            yield [one.text for one in written]


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Args:
        path: The model's folder.
        prompt: What the texts go on from, see `generation.generate`.
        length: Characters to write, 1 to `MAX_LENGTH`.
        rows: How each text is drawn.
        visitor: Who asks.
        step: Of the model's training, see `snapshots`; None: its kept weights.

    Raises:
        ConfigError: If it is more than one visitor should ask of a shared machine.
    """

    path: Path
    prompt: str
    length: int
    rows: tuple[SamplingConfig, ...]
    visitor: Visitor = UNKNOWN_VISITOR
    step: int | None = None

    def __post_init__(self) -> None:
        check_length(self.length)
        if self.length > MAX_LENGTH:
            raise ConfigError(
                f"length is {self.length:,}: at most {MAX_LENGTH:,} characters are "
                "written.",
                field="length",
            )
        if len(self.prompt) > MAX_PROMPT:
            raise ConfigError(
                f"The prompt has {len(self.prompt):,} characters: at most "
                f"{MAX_PROMPT:,} are read.",
                field="prompt",
            )
        if not 1 <= len(self.rows) <= MAX_ROWS:
            raise ConfigError(
                f"{len(self.rows)} texts are asked for: expected 1 to {MAX_ROWS}.",
                field="temperatures",
            )
        longest = max(len(row.stop) for row in self.rows)
        if longest > MAX_STOP:
            raise ConfigError(
                f"The stop string has {longest:,} characters: at most {MAX_STOP:,}.",
                field="stop",
            )

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can carry."""
        return dataclasses.asdict(self) | {"path": str(self.path)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Job":
        """From what `to_json` gave."""
        return cls(
            path=Path(values["path"]),
            prompt=values["prompt"],
            length=values["length"],
            rows=tuple(SamplingConfig(**row) for row in values["rows"]),
            visitor=Visitor(**values["visitor"]),
            step=values["step"],
        )

    @property
    def characters(self) -> int:
        """Characters that are to be written in all."""
        return self.length * len(self.rows)


class Listener(Protocol):
    """Who is told how a request gets on; called from any thread."""

    def add(self, added: list[Written], *, ended: bool) -> None:
        """So much more is written of each text; with ``ended``, all of it."""

    def fail(self, error: CharrnnError) -> None:
        """The texts end here, with an error."""


class TextStream:
    """A `Listener` whose texts another thread iterates over as they grow."""

    def __init__(self, count: int) -> None:
        self._changed = threading.Condition()
        self._texts = [""] * count
        self._bits: list[list[float]] = [[] for _ in range(count)]
        self._fresh = False  # not yet seen by whoever iterates
        self._ended = False
        self._error: CharrnnError | None = None

    def add(self, added: list[Written], *, ended: bool) -> None:
        """See `Listener.add`."""
        with self._changed:
            pairs = zip(self._texts, added, strict=True)
            self._texts = [text + more.text for text, more in pairs]
            for bits, more in zip(self._bits, added, strict=True):
                bits += more.bits
            self._ended, self._fresh = ended, True
            self._changed.notify_all()

    def fail(self, error: CharrnnError) -> None:
        """See `Listener.fail`."""
        with self._changed:
            if not self._ended:
                self._error, self._ended, self._fresh = error, True, True
                self._changed.notify_all()

    def updates(self) -> Updates:
        """The whole texts so far, until the end.

        Where nothing is new for a while (a place in the queue, a long prompt),
        the same texts come again: whoever iterates can then leave.

        Raises:
            CharrnnError: What `fail` was given.
        """
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._fresh, HEARTBEAT_SECONDS)
                pairs = zip(self._texts, self._bits, strict=True)
                written = [Written(text, list(bits)) for text, bits in pairs]
                ended, error = self._ended, self._error
                self._fresh = False
            if error is not None:
                raise error
            yield written


class Request:
    """A job in the making: waiting for its model, reading its prompt, writing."""

    def __init__(self, job: Job, listener: Listener) -> None:
        self.job = job
        self.listener = listener
        self.loaded: Loaded | None = None
        self.rows: list[Row] = []  # from the end of the prompt on
        self.done = False  # written, failed or cancelled
        self.admitted_at = math.inf  # moment that it became active
        self.last_read = -math.inf  # moment
        self._shown_at = -math.inf
        self._shown = [0] * len(job.rows)  # characters of each text
        self._ids: Ids
        self._states: States
        self._position = 0  # in the prompt

    @property
    def visitor(self) -> Visitor:
        """Who asks."""
        return self.job.visitor

    @property
    def num_rows(self) -> int:
        """Texts that are asked for."""
        return len(self.job.rows)

    @property
    def ready(self) -> bool:
        """Whether there is anything to do for it at the moment."""
        return self.loaded is not None and not self.done

    @property
    def is_reading(self) -> bool:
        """Whether the prompt is still being read."""
        return not self.rows

    def begin(self, loaded: Loaded) -> None:
        """Begin with the prompt."""
        separator = loaded.network.separator
        self._ids = prompt_ids(loaded.vocabulary, self.job.prompt, separator)
        self._states = loaded.network.initial_states(1)
        self.loaded = loaded  # from here on it takes part

    def read(self, loaded: Loaded, count: int) -> None:
        """Read on in the prompt; from its last character on the rows write."""
        last = len(self._ids) - 1
        end = min(self._position + count, last)
        part = self._ids[self._position : end]
        self._states = loaded.network.prefill(part, self._states)
        self._position = end
        if end == last:
            last_id = int(self._ids[last])
            self.rows = [
                Row(config, self.job.length, last_id, self._states)
                for config in self.job.rows
            ]

    def publish(self, now: float) -> None:
        """Hand over what is new, if it is time."""
        ended = all(row.finished for row in self.rows)
        if not ended and now - self._shown_at < UPDATE_SECONDS:
            return
        self._shown_at = now
        added = [
            row.written_from(shown)
            for row, shown in zip(self.rows, self._shown, strict=True)
        ]
        self._shown = [
            shown + len(more.text)
            for shown, more in zip(self._shown, added, strict=True)
        ]
        if ended:
            self.done = True
        self.listener.add(added, ended=ended)

    def fail(self, error: CharrnnError) -> None:
        """End it with an error, unless it has ended."""
        if not self.done:
            self.done = True
            self.listener.fail(error)
