"""The requests of many visitors batched together: the writing engine.

`Engine` takes requests from any thread; one thread loads their models, another
writes all their texts. What it writes is what `generation.generate` would write, in
turns: in a pass each request whose turn it is reads or writes the same few
characters, so that a long prompt or a large model slows the others down but never
stops them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from charrnn.config import SamplingConfig
from charrnn.errors import CharrnnError, ConfigError, RunError
from charrnn.hosting import UNKNOWN_VISITOR, Visitor
from charrnn.model.cache import Loaded, ModelCache
from charrnn.model.generation import Batch
from charrnn.model.request import Job, Request, Texts, TextStream, Updates, texts_of
from charrnn.model.turns import Turns

QUANTUM: Final = 16  # characters of each request in a pass
PASS_SECONDS: Final = 0.05  # a slow model's pass ends early, to look for cancellation
MODEL_SECONDS: Final = 30.0  # that a request waits for room for its model
RETRY_SECONDS: Final = 0.1  # between two looks for that room


def _nothing() -> None:
    pass


class Engine:
    """Writes texts for many visitors at once.

    Args:
        models: Where models come from; a new `ModelCache` if None.
        after_pass: Called by the writing thread when listeners have been told.
    """

    def __init__(
        self,
        models: ModelCache | None = None,
        *,
        after_pass: Callable[[], None] = _nothing,
    ) -> None:
        self.models = models if models is not None else ModelCache()
        self._after_pass = after_pass
        self._turns = Turns()
        self._unloaded: list[Request] = []  # active, without a model yet
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._changed = threading.Condition()  # guards the four above
        self._batches: dict[Loaded, Batch] = {}  # the writing thread's own

    def write(
        self,
        path: Path | str,
        prompt: str,
        *,
        length: int,
        rows: Sequence[SamplingConfig],
        visitor: Visitor = UNKNOWN_VISITOR,
    ) -> Updates:
        """Continue a prompt, a text for each of ``rows``.

        The request is made when the first texts are asked for, and cancelled
        when the iterator is closed or forgotten.

        Args:
            path: The model's folder.
            prompt: What the texts go on from, see `generation.generate`.
            length: Characters to write, 1 to `MAX_LENGTH`.
            rows: How each text is drawn.
            visitor: Whose turn it counts as.

        Yields:
            The whole texts so far, without the prompt, in the order of
            ``rows``, and their bits: some ten times a second, the complete ones last.

        Raises:
            ConfigError: At the call, if a setting is out of its range.
            CheckpointError: While iterating, if there is no such model.
            RunError: While iterating, if the engine is closed, or models in use
                leave no room for this one for long.
        """
        return self._follow(Job(Path(path), prompt, length, tuple(rows), visitor))

    def generate(
        self,
        path: Path | str,
        prompt: str,
        *,
        length: int,
        rows: Sequence[SamplingConfig],
        visitor: Visitor = UNKNOWN_VISITOR,
    ) -> Texts:
        """The texts of `write` alone."""
        return texts_of(
            self.write(path, prompt, length=length, rows=rows, visitor=visitor)
        )

    def _follow(self, job: Job) -> Updates:
        stream = TextStream(len(job.rows))
        request = Request(job, stream)
        self.submit(request)
        try:
            yield from stream.updates()
        finally:
            self.cancel(request)

    def submit(self, request: Request) -> None:
        """Take a request; its listener is told of all that follows.

        Raises:
            RunError: If the engine is closed.
        """
        with self._changed:
            if self._closed:
                raise RunError("The program is closing: no text can be written now.")
            self._turns.add(request)
            if not self._threads:
                self._start(self._load)
                self._start(self._write)
            self._changed.notify_all()

    def cancel(self, request: Request) -> None:
        """Write no more of a request; its listener hears nothing more."""
        with self._changed:
            request.done = True
            self._changed.notify_all()

    @property
    def active(self) -> int:
        """Requests that are not done."""
        with self._changed:
            return sum(not request.done for request in self._turns.requests())

    def close(self) -> None:
        """End all requests and the threads; later requests are refused."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="charrnn-engine", daemon=True)
        self._threads.append(thread)
        thread.start()

    # --- the loading thread

    def _load(self) -> None:
        current: Request | None = None
        try:
            while (unloaded := self._wait_for_unloaded()) is not None:
                settled = []
                for current in unloaded:
                    if self._try_to_load(current):
                        settled.append(current)
                current = None
                self._let_begin(settled)
        finally:
            # Not None only after an unforeseen error: see `_write`.
            if current is not None:
                self._recover([current], self._load)

    def _wait_for_unloaded(self) -> list[Request] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._unloaded or self._closed)
            return None if self._closed else list(self._unloaded)

    def _let_begin(self, settled: list[Request]) -> None:
        with self._changed:
            self._unloaded = [r for r in self._unloaded if r not in settled]
            if settled:
                self._changed.notify_all()
            else:
                self._changed.wait(RETRY_SECONDS)

    def _try_to_load(self, request: Request) -> bool:
        """Let a request begin or fail; False if its model must wait for room."""
        if request.done:
            return True
        try:
            loaded = self.models.acquire(request.job.path, request.job.step)
        except CharrnnError as error:
            request.fail(error)
            return True
        except MemoryError:
            request.fail(
                RunError(
                    "This computer has no memory left for the model: close other "
                    "programs, or use a smaller model."
                )
            )
            return True
        if loaded is None:
            return self._fail_if_overdue(request)
        try:
            for row in request.job.rows:
                row.check_units(loaded.network.config)
        except ConfigError as error:
            self.models.release(loaded)
            request.fail(error)
            return True
        with self._changed:
            request.begin(loaded)  # a cancelled one too: the other thread lets it go
        return True

    def _fail_if_overdue(self, request: Request) -> bool:
        if time.monotonic() - request.admitted_at < MODEL_SECONDS:
            return False
        request.fail(
            RunError(
                f"Other models are in use and leave no memory for "
                f"{request.job.path.name}: try again in a minute."
            )
        )
        return True

    # --- the writing thread

    def _write(self) -> None:
        current: Loaded | None = None
        try:
            while chosen := self._wait_for_turn():
                for loaded, requests in chosen.items():
                    current = loaded
                    self._advance(loaded, requests)
                current = None
                self._after_pass()
        finally:
            # Not None only after an unforeseen error: its own requests are told,
            # the traceback goes where a thread's goes, the others go on.
            if current is not None:
                self._batches.pop(current)
                everybody = self._turns.requests()
                self._recover(
                    [r for r in everybody if r.loaded is current], self._write
                )

    def _wait_for_turn(self) -> dict[Loaded, list[Request]] | None:
        """The next pass, model by model; None when the engine is closed."""
        with self._changed:
            while not self._closed:
                self._forget_done()
                for request in self._turns.admit():
                    request.admitted_at = time.monotonic()
                    self._unloaded.append(request)
                    self._changed.notify_all()
                by_model: dict[Loaded, list[Request]] = {}
                for request in self._turns.choose():
                    if request.loaded is not None:
                        by_model.setdefault(request.loaded, []).append(request)
                if by_model:
                    return by_model
                self._changed.wait()
            for request in self._turns.requests():
                request.fail(RunError("The program is closing: the text is cut short."))
            self._forget_done()
            return None

    def _forget_done(self) -> None:
        for request in self._turns.remove_done():
            if request.loaded is not None:
                self.models.release(request.loaded)
        in_use = {request.loaded for request in self._turns.requests()}
        self._batches = {m: b for m, b in self._batches.items() if m in in_use}

    def _advance(self, loaded: Loaded, requests: list[Request]) -> None:
        """One pass of one model: the same few characters for each request."""
        self._read(loaded, [request for request in requests if request.is_reading])
        writing = [request for request in requests if request.rows]
        if loaded not in self._batches:
            self._batches[loaded] = Batch(loaded.network, loaded.vocabulary)
        batch = self._batches[loaded]
        batch.set_rows(
            [row for request in writing for row in request.rows if not row.finished]
        )
        overdue = time.monotonic() + PASS_SECONDS
        for _ in range(QUANTUM):
            batch.step()
            if time.monotonic() > overdue:
                break
        now = time.monotonic()
        for request in writing:
            if not request.done:
                request.publish(now)

    def _read(self, loaded: Loaded, requests: list[Request]) -> None:
        """Read on in prompts, those first that have waited longest."""
        overdue = time.monotonic() + PASS_SECONDS
        for request in sorted(requests, key=lambda request: request.last_read):
            request.read(loaded, QUANTUM)
            request.last_read = time.monotonic()
            if request.last_read > overdue:
                break

    def _recover(self, failed: list[Request], thread: Callable[[], None]) -> None:
        """End the requests that an unforeseen error belongs to; start anew."""
        with self._changed:
            for request in failed:
                request.fail(
                    RunError("Writing failed unexpectedly: the program's log says why.")
                )
            self._threads.remove(threading.current_thread())
            self._start(thread)
