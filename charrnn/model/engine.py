"""Loaded models, and the requests of many visitors batched together.

`ModelCache` keeps a few models in memory and loads one again when its folder
has changed. `Engine` takes requests from any thread; one worker thread writes
all their texts. What it writes is what `generation.generate` would write, a
character at a time and in turns: in a pass, every request of every model reads
or writes the same few characters, so that a long prompt or a large model slows
the others down but never stops them. The worker starts with the first request
and ends when there has been none for a while.
"""

import collections
import math
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from charrnn.config import MAX_LENGTH, MAX_PROMPT, MAX_ROWS, MAX_STOP, SamplingConfig
from charrnn.errors import CharrnnError, ConfigError, RunError
from charrnn.model import checkpoint
from charrnn.model.generation import Batch, Row, check_length, prompt_ids
from charrnn.model.network import Network
from charrnn.model.record import CONFIG, VOCAB, WEIGHTS, Record
from charrnn.text.vocabulary import Vocabulary

UPDATE_SECONDS: Final = 0.1  # between two texts shown: as fast as one reads
HEARTBEAT_SECONDS: Final = 0.2  # until the same text is shown again
QUANTUM: Final = 16  # characters of each request in a pass
PASS_SECONDS: Final = 0.05  # a slow model's pass ends early, to look for cancellation
IDLE_SECONDS: Final = 10.0  # without a request, after which the worker ends
MAX_ACTIVE: Final = 32  # requests that advance together
MAX_WAITING: Final = 64  # beyond those; more are turned away
Stamp = tuple[tuple[int, int, int] | None, ...]
Updates = Generator[list[str], None, None]


@dataclass(frozen=True)
class Loaded:
    """A model ready to write: the checkpoint without its raw weights."""

    record: Record
    vocabulary: Vocabulary
    weights_hash: str
    network: Network

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.network.size


class ModelCache:
    """The models used last, safe to use from several threads.

    Args:
        max_models: How many are kept.
        max_bytes: How much they may take together; the latest always stays.
    """

    def __init__(self, *, max_models: int = 8, max_bytes: int = 160_000_000) -> None:
        self.max_models = max_models
        self.max_bytes = max_bytes
        self._entries: collections.OrderedDict[Path, tuple[Stamp, Loaded]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()
        self._loading = threading.Lock()  # one at a time: it doubles a model's memory

    def get(self, path: Path | str) -> Loaded:
        """The model of a folder as it is now.

        A text that is being written goes on with the weights that it began with.

        Raises:
            CheckpointError: If the folder is no model, or no longer.
        """
        folder = Path(path).absolute()
        found = self._find(folder)
        if found is not None:
            return found
        with self._loading:
            found = self._find(folder)  # another thread may have loaded it meanwhile
            return found if found is not None else self._load(folder)

    def _find(self, folder: Path) -> Loaded | None:
        stamp = _stamp(folder)
        with self._lock:
            entry = self._entries.get(folder)
            if entry is None or entry[0] != stamp:
                return None
            self._entries.move_to_end(folder)
            return entry[1]

    def _load(self, folder: Path) -> Loaded:
        stamp = _stamp(folder)  # before: a change while loading is seen next time
        with self._lock:
            self._entries.pop(folder, None)
        model = checkpoint.load(folder)
        loaded = Loaded(
            model.record,
            model.vocabulary,
            model.weights_hash,
            Network(model.record.model, model.weights),
        )
        with self._lock:
            self._entries[folder] = stamp, loaded
            while len(self._entries) > 1 and self._too_many():
                self._entries.popitem(last=False)
        return loaded

    def _too_many(self) -> bool:
        total = sum(loaded.size for _, loaded in self._entries.values())
        return len(self._entries) > self.max_models or total > self.max_bytes


def _stamp(folder: Path) -> Stamp:
    """Changes with the folder's files: time, size and inode of each."""
    return tuple(_file_stamp(folder / name) for name in (CONFIG, VOCAB, WEIGHTS))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # loading it says what is wrong
    return status.st_mtime_ns, status.st_size, status.st_ino


class _Request:
    """A prompt, its texts in the making, and the visitor who waits for them."""

    def __init__(self, loaded: Loaded, prompt: str, rows: list[Row]) -> None:
        self.loaded = loaded
        self.rows = rows
        self.cancelled = False
        self._ids = prompt_ids(loaded.vocabulary, prompt)
        self._read = 0
        self._states = loaded.network.initial_states(1)
        self._shown_at = -math.inf
        self._changed = threading.Condition()
        self._texts = [""] * len(rows)
        self._fresh = False  # not yet seen by the visitor
        self._ended = False
        self._error: CharrnnError | None = None

    @property
    def finished(self) -> bool:
        return all(row.finished for row in self.rows)

    def read(self, count: int) -> bool:
        """Read on in the prompt; True when only its last character is left."""
        end = min(self._read + count, len(self._ids) - 1)
        part = self._ids[self._read : end]
        self._states = self.loaded.network.prefill(part, self._states)
        self._read = end
        return end == len(self._ids) - 1

    def join(self, batch: Batch) -> None:
        """Let the rows write, each from the end of the prompt."""
        for row in self.rows:
            batch.add(row, int(self._ids[-1]), self._states)

    def publish(self, now: float) -> None:
        """Hand over the texts if it is time; only the latest are kept."""
        ended = self.finished
        if not ended and now - self._shown_at < UPDATE_SECONDS:
            return
        self._shown_at = now
        texts = [row.text for row in self.rows]
        with self._changed:
            self._texts, self._ended, self._fresh = texts, ended, True
            self._changed.notify_all()

    def fail(self, error: CharrnnError) -> None:
        """End the visitor's wait with an error."""
        with self._changed:
            self._error, self._ended, self._fresh = error, True, True
            self._changed.notify_all()

    def updates(self) -> Updates:
        """What `publish` hands over, until the end.

        Where nothing is new for a while (a place in the queue, a long prompt),
        the same texts come again: whoever iterates can then leave.

        Raises:
            CharrnnError: What `fail` was given.
        """
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._fresh, HEARTBEAT_SECONDS)
                texts, ended, error = self._texts, self._ended, self._error
                self._fresh = False
            if error is not None:
                raise error
            yield texts


@dataclass
class _ModelRequests:
    """One model's requests: those whose prompt is read and those that write."""

    batch: Batch
    reading: collections.deque[_Request] = field(default_factory=collections.deque)
    writing: list[_Request] = field(default_factory=list)

    @property
    def requests(self) -> list[_Request]:
        return [*self.reading, *self.writing]

    def advance(self) -> None:
        """One pass: the same few characters for each request."""
        self._drop_cancelled()
        overdue = time.monotonic() + PASS_SECONDS
        for _ in range(len(self.reading)):
            request = self.reading.popleft()
            if request.read(QUANTUM):
                request.join(self.batch)
                self.writing.append(request)
            else:
                self.reading.append(request)  # the next pass starts with another
            if time.monotonic() > overdue:
                break
        for _ in range(QUANTUM):
            self.batch.step()
            if time.monotonic() > overdue:
                break
        now = time.monotonic()
        for request in self.writing:
            request.publish(now)
        self.writing = [request for request in self.writing if not request.finished]

    def _drop_cancelled(self) -> None:
        for request in [r for r in self.writing if r.cancelled]:
            for row in request.rows:
                self.batch.remove(row)
            self.writing.remove(request)
        self.reading = collections.deque(r for r in self.reading if not r.cancelled)


class Engine:
    """Writes texts for many visitors at once.

    Args:
        models: Where models come from; a new `ModelCache` if None.
        max_active: Requests that advance together.
        max_waiting: Requests that may wait beyond those.
    """

    def __init__(
        self,
        models: ModelCache | None = None,
        *,
        max_active: int = MAX_ACTIVE,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.models = models if models is not None else ModelCache()
        self.max_active = max_active
        self.max_waiting = max_waiting
        self._by_model: dict[int, _ModelRequests] = {}  # by the network's identity
        self._waiting: collections.deque[_Request] = collections.deque()
        self._active = 0
        self._worker: threading.Thread | None = None
        self._closed = False
        self._changed = threading.Condition()  # guards the five above

    def generate(
        self,
        path: Path | str,
        prompt: str,
        *,
        length: int,
        rows: Sequence[SamplingConfig],
    ) -> Updates:
        """Continue a prompt, a text for each of ``rows``.

        The request is made when the first texts are asked for, and cancelled
        when the iterator is closed or forgotten.

        Args:
            path: The model's folder.
            prompt: What the texts go on from, see `generation.generate`.
            length: Characters to write, 1 to `MAX_LENGTH`.
            rows: How each text is drawn.

        Yields:
            The whole texts so far, without the prompt, in the order of
            ``rows``: some ten times a second, and the complete ones last.

        Raises:
            ConfigError: At the call, if a setting is out of its range.
            CheckpointError: At the call, if there is no such model.
            RunError: While iterating, if too many requests wait already or the
                engine is closed.
        """
        _check(prompt, length, rows)
        loaded = self.models.get(path)
        return self._follow(
            _Request(loaded, prompt, [Row(config, length) for config in rows])
        )

    def _follow(self, request: _Request) -> Updates:
        self._submit(request)
        try:
            yield from request.updates()
        finally:
            request.cancelled = True

    @property
    def active(self) -> int:
        """Requests that read or write at the moment."""
        return self._active

    def close(self) -> None:
        """End all requests and the worker; later requests are refused."""
        with self._changed:
            self._closed = True
            worker = self._worker
            self._changed.notify_all()
        if worker is not None:
            worker.join()

    # The rest is the worker's; `_by_model` is changed by its thread alone.

    def _submit(self, request: _Request) -> None:
        with self._changed:
            if self._closed:
                raise RunError("The program is closing: no text can be written now.")
            places = self.max_active + self.max_waiting
            if self._active + len(self._waiting) >= places:
                raise RunError(
                    f"{len(self._waiting)} requests are waiting for their texts "
                    "already: try again in a minute."
                )
            self._waiting.append(request)
            self._start_worker()
            self._changed.notify_all()

    def _start_worker(self) -> None:
        if self._worker is None:
            self._worker = threading.Thread(
                target=self._work, name="charrnn-engine", daemon=True
            )
            self._worker.start()

    def _work(self) -> None:
        current: int | None = None
        try:
            while self._admit():
                for key, requests in self._by_model.items():
                    current = key
                    requests.advance()
                current = None
        finally:
            # Not None only after an unforeseen error: its own requests are told,
            # the traceback goes where a thread's goes, the others go on.
            if current is not None:
                self._recover(current)

    def _admit(self) -> bool:
        """Take in requests; False when the worker is to end."""
        with self._changed:
            self._by_model = {k: m for k, m in self._by_model.items() if m.requests}
            self._active = sum(len(m.requests) for m in self._by_model.values())
            if not self._active and not self._waiting and not self._closed:
                self._changed.wait(IDLE_SECONDS)
            if self._closed:
                self._fail_all()
            self._waiting = collections.deque(
                request for request in self._waiting if not request.cancelled
            )
            while self._waiting and self._active < self.max_active:
                request = self._waiting.popleft()
                self._requests_of(request.loaded).reading.append(request)
                self._active += 1
            if not self._active:
                self._worker = None
            return self._active > 0

    def _requests_of(self, loaded: Loaded) -> _ModelRequests:
        key = id(loaded.network)
        if key not in self._by_model:
            self._by_model[key] = _ModelRequests(
                Batch(loaded.network, loaded.vocabulary)
            )
        return self._by_model[key]

    def _fail_all(self) -> None:
        active = [r for m in self._by_model.values() for r in m.requests]
        for request in [*active, *self._waiting]:
            request.fail(RunError("The program is closing: the text is cut short."))
        self._by_model.clear()
        self._waiting.clear()
        self._active = 0

    def _recover(self, key: int) -> None:
        with self._changed:
            for request in self._by_model.pop(key).requests:
                request.fail(
                    RunError("Writing failed unexpectedly: the program's log says why.")
                )
            self._worker = None
            if self._by_model or self._waiting:
                self._start_worker()


def _check(prompt: str, length: int, rows: Sequence[SamplingConfig]) -> None:
    """Refuse what one visitor should not ask of a shared machine."""
    check_length(length)
    if length > MAX_LENGTH:
        raise ConfigError(
            f"length is {length:,}: at most {MAX_LENGTH:,} characters are written.",
            field="length",
        )
    if len(prompt) > MAX_PROMPT:
        raise ConfigError(
            f"The prompt has {len(prompt):,} characters: at most {MAX_PROMPT:,} are "
            "read.",
            field="prompt",
        )
    if not 1 <= len(rows) <= MAX_ROWS:
        raise ConfigError(
            f"{len(rows)} texts are asked for: expected 1 to {MAX_ROWS}.",
            field="temperatures",
        )
    longest = max(len(row.stop) for row in rows)
    if longest > MAX_STOP:
        raise ConfigError(
            f"The stop string has {longest:,} characters: at most {MAX_STOP:,}.",
            field="stop",
        )
