"""The process that writes texts, started, followed and ended: `Writer`.

Writing keeps a processor busy; in a process of its own (`writer_process`) it holds
up nobody who only wants to see a page. This side refuses what is over a limit,
hands the rest over and passes on what comes back, a message a line, each a JSON
object:

    to it    write    a `Job`, under a number
             cancel   the number of either that nobody waits for any longer
             next     a `Question`, under a number
    from it  text     what is new of each text of a job, and whether it has ended
             next     the logits that answer a question
             failed   an error of either: its class, its sentence, its field
             idle     for a while there was nothing to do

It ends when its standard input closes, and so with whoever started it. If it ends
by itself, the texts in the making end with an error and the next request starts
another one.
"""

import contextlib
import dataclasses
import itertools
import json
import operator
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from charrnn import errors
from charrnn.config import SamplingConfig
from charrnn.errors import CharrnnError, ConfigError, RunError
from charrnn.hosting import UNKNOWN_VISITOR, Visitor, policy
from charrnn.machine import (
    NEEDED_TO_MULTIPLY,
    child_environment,
    resident_memory,
)
from charrnn.model.cache import DescriptionCache
from charrnn.model.generation import Written
from charrnn.model.next_character import Logits, Question
from charrnn.model.request import (
    Job,
    Listener,
    Texts,
    TextStream,
    Updates,
    texts_of,
)
from charrnn.model.snapshots import Source
from charrnn.runs.in_flight import ASKED_TO_READ, LEFT_TO_READ, Claim, InFlight
from charrnn.runs.store import PACKAGE_ROOT

_T = TypeVar("_T")
CLOSING: Final = "The program is closing: the text is cut short."
DIED: Final = (
    "The process that writes the texts ended unexpectedly: the text is cut short. "
    "Ask for it again."
)
# of memory that an idle process keeps: the shipped model takes 60 MB, and to start
# another process takes longer than any text's first characters
KEPT_BYTES: Final = 120_000_000
ANSWER_SECONDS: Final = 30.0  # that a question may take: a model may have to be loaded


@dataclasses.dataclass(frozen=True)
class _Part:
    """A job, and the places of its texts among all that are asked for with it."""

    job: Job
    places: tuple[int, ...]


class _RelayedTexts(TextStream):
    """Texts that another process writes.

    Args:
        parts: What is asked for.
        progress: Told how many more characters are written, and read of prompts.
    """

    def __init__(
        self, parts: list[_Part], progress: Callable[[int, int], None]
    ) -> None:
        self._count = sum(len(part.places) for part in parts)
        super().__init__(self._count)
        self._unended = len(parts)
        self._progress = progress

    def take(
        self, places: tuple[int, ...], added: list[Written], *, read: int, ended: bool
    ) -> None:
        """See `Listener.add`; for the texts at these places."""
        self._progress(sum(len(more.text) for more in added), read)
        spread = [Written("", [])] * self._count
        for place, more in zip(places, added, strict=True):
            spread[place] = more
        with self._changed:
            self._unended -= ended
            self.add(spread, ended=not self._unended)


class _Relay:
    """A `Listener` that puts one job's texts into their places."""

    def __init__(self, texts: _RelayedTexts, part: _Part) -> None:
        self._texts = texts
        self._places = part.places
        self._unread = len(part.job.prompt)  # told with the first characters

    def add(self, added: list[Written], *, ended: bool) -> None:
        """See `Listener.add`."""
        self._texts.take(self._places, added, read=self._unread, ended=ended)
        self._unread = 0

    def fail(self, error: CharrnnError) -> None:
        """See `Listener.fail`: all texts end."""
        self._texts.fail(error)


class _Process:
    """One process that writes, and the texts that are expected of it."""

    def __init__(self) -> None:
        environment = child_environment(*NEEDED_TO_MULTIPLY)
        # few threads allocate there: more arenas only hold memory back
        environment.setdefault("MALLOC_ARENA_MAX", "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "charrnn.runs.writer_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=PACKAGE_ROOT,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us; it ends when its input does
        )
        self._numbers = itertools.count()
        self._texts: dict[int, Listener] = {}
        self._answers: dict[int, Future[Logits]] = {}
        self._farewell = DIED
        self._gone = False
        self._lock = threading.Lock()  # guards the two above, and what is added
        # Not a lock around a pipe: a forgotten generator may cancel anywhere, and
        # whoever asks for a text does not wait for the pipe.
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        for target in (self._send, self._receive):
            threading.Thread(target=target, name="charrnn-writer", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def active(self) -> int:
        return len(self._texts)

    def write(self, job: Job, text: Listener) -> int | None:
        """Have a job written; returns its number, None if the process has gone."""
        number = next(self._numbers)
        with self._lock:
            if self._gone:
                return None
            self._texts[number] = text
        self._messages.put({"kind": "write", "number": number, "job": job.to_json()})
        return number

    def ask(self, question: Question) -> Future[Logits] | None:
        """Have a question answered; None if the process has gone."""
        number, answer = next(self._numbers), Future[Logits]()
        with self._lock:
            if self._gone:
                return None
            self._answers[number] = answer
        values = dataclasses.asdict(question) | {"path": str(question.path)}
        self._messages.put({"kind": "next", "number": number, "question": values})
        answer.add_done_callback(lambda _: self.cancel(number))  # if it was cancelled
        return answer

    def cancel(self, number: int) -> None:
        """Stop what is done for a job or a question, unless it has ended."""
        text, answer = self._texts.pop(number, None), self._answers.pop(number, None)
        if text is not None or answer is not None:
            self._messages.put({"kind": "cancel", "number": number})

    def end(self, farewell: str) -> None:
        """End the process; its texts end with this sentence."""
        with self._lock:
            self._farewell = farewell
        self._process.kill()
        self._process.wait()

    def retire(self) -> bool:
        """End the process unless a text is expected of it."""
        with self._lock:
            if self._texts or self._answers:
                return False
            self._gone = True
        self._messages.put(None)
        return True

    def _send(self) -> None:
        target: IO[bytes] = _pipe(self._process.stdin)
        with contextlib.suppress(OSError), target:  # the other thread sees the end
            while (message := self._messages.get()) is not None:
                target.write(json.dumps(message).encode() + b"\n")
                target.flush()

    def _receive(self) -> None:
        with _pipe(self._process.stdout) as source:
            for line in source:
                if line.endswith(b"\n"):  # else its end cut the line short
                    self._take(json.loads(line))
        self._process.wait()
        self._messages.put(None)
        with self._lock:
            self._gone = True
            texts, answers = list(self._texts.values()), list(self._answers.values())
            self._texts.clear()
            self._answers.clear()
        for text in texts:
            text.fail(RunError(self._farewell))
        for answer in answers:
            _settle(answer, RunError(self._farewell))

    def _take(self, message: dict[str, Any]) -> None:
        if message["kind"] == "idle":
            if resident_memory(self.pid) > KEPT_BYTES:
                self.retire()
            return
        number, ended = message["number"], message.get("ended", True)
        if (answer := self._answers.pop(number, None)) is not None:
            failed = message["kind"] == "failed"
            _settle(answer, _error(message) if failed else message["logits"])
            return
        text = self._texts.pop(number, None) if ended else self._texts.get(number)
        if text is None:
            return  # cancelled
        if message["kind"] == "failed":
            text.fail(_error(message))
        else:
            text.add([Written(*more) for more in message["added"]], ended=ended)


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise RunError("The process that writes the texts could not be started.")
    return end


def _settle(answer: Future[Logits], found: Logits | CharrnnError) -> None:
    """Give an answer, or an error, to whoever still waits for it."""
    if not answer.set_running_or_notify_cancel():
        return  # nobody does
    if isinstance(found, CharrnnError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _error(message: dict[str, Any]) -> CharrnnError:
    """The error that the other process met."""
    kind = getattr(errors, message["error"])
    if kind is ConfigError:
        return ConfigError(message["message"], field=message["field"])
    error: CharrnnError = kind(message["message"])
    return error


@contextlib.contextmanager
def _held(counts: InFlight, visitor: Visitor, characters: int) -> Iterator[Claim]:
    """Characters counted in, until this is left.

    Raises:
        RunError: If they would be too many.
    """
    claim = counts.take(visitor, characters, policy())
    try:
        yield claim
    finally:
        counts.release(claim)


class Writer:
    """Writes texts for many visitors at once, in a process of its own.

    The process starts with the first request; one that holds much memory and has
    nothing to do for a while ends.
    """

    def __init__(self) -> None:
        self.models = DescriptionCache()
        self._to_write = InFlight()
        self._to_read = InFlight(ASKED_TO_READ, LEFT_TO_READ)
        self._process: _Process | None = None
        self._closed = False
        self._lock = threading.Lock()  # guards the two above

    def write(
        self,
        path: Path | str,
        prompt: str,
        *,
        length: int,
        rows: Sequence[SamplingConfig],
        visitor: Visitor = UNKNOWN_VISITOR,
    ) -> Updates:
        """Continue a prompt, a text for each of ``rows``: see `Engine.write`.

        Args:
            path: The model's folder.
            prompt: What the texts go on from.
            length: Characters to write, 1 to `MAX_LENGTH`.
            rows: How each text is drawn.
            visitor: Whose limits hold, and whose turn it counts as.

        Yields:
            The whole texts so far, without the prompt, and their bits, as ``rows``:
            some ten times a second, and the complete ones last.

        Raises:
            ConfigError: At the call, if a setting is out of its range.
            CheckpointError: At the call, if there is no such model; while
                iterating, if its weights are damaged.
            RunError: While iterating, if too much is asked for at once, the process
                ended, or models in use leave no room for this one for long.
        """
        sources = [Source(Path(path))] * max(1, len(rows))
        return self.write_each(
            sources, prompt, length=length, rows=rows, visitor=visitor
        )

    def write_each(
        self,
        sources: Sequence[Source],
        prompt: str,
        *,
        length: int,
        rows: Sequence[SamplingConfig],
        visitor: Visitor = UNKNOWN_VISITOR,
    ) -> Updates:
        """The same, with a model for each text; they count as one request.

        The models are in memory together as far as they fit; the others wait.

        Args:
            sources: Whose weights write each of ``rows``.
            prompt: See `write`.
            length: See `write`.
            rows: See `write`.
            visitor: See `write`.
        """
        places: dict[Source, list[int]] = {}
        for place, source in enumerate(sources):
            places.setdefault(source, []).append(place)
        parts = []
        for (path, step), found in places.items():
            own = tuple(rows[place] for place in found[: len(rows)])
            job = Job(path.absolute(), prompt, length, own, visitor, step)
            self.models.get(job.path)
            parts.append(_Part(job, tuple(found)))
        return self._follow(parts, visitor)

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

    def _follow(self, parts: list[_Part], visitor: Visitor) -> Updates:
        count = sum(part.job.characters for part in parts)
        prompts = sum(len(part.job.prompt) for part in parts)
        with contextlib.ExitStack() as ending:
            writing = ending.enter_context(_held(self._to_write, visitor, count))
            reading = ending.enter_context(_held(self._to_read, visitor, prompts))

            def progress(written: int, read: int) -> None:
                self._to_write.done(writing, written)
                self._to_read.done(reading, read)

            texts = _RelayedTexts(parts, progress)
            for part in parts:
                ask = operator.methodcaller("write", part.job, _Relay(texts, part))
                process, number = self._hand_over(ask)
                ending.callback(process.cancel, number)
            yield from texts.updates()

    def ask_next(
        self,
        path: Path,
        prompt: str,
        *,
        asker: str = "",
        step: int | None = None,
        visitor: Visitor = UNKNOWN_VISITOR,
    ) -> Future[Logits]:
        """Ask what may come next after a prompt.

        Args:
            path: The model's folder.
            prompt: The text so far.
            asker: See `Question`.
            step: See `Question`.
            visitor: Whose limits hold.

        Returns:
            To come: the logits of all that can be written, in nats, in the
            vocabulary's order without [UNK]; or a `CharrnnError`, where the weights
            are damaged or a later question of the same asker took this one's place.
            If it is cancelled, the prompt is read no further.

        Raises:
            CharrnnError: If there is no such model, the prompt is too long, or too
                much is to be read at once.
        """
        question = Question(path.absolute(), prompt, asker, visitor.address, step)
        self.models.get(question.path)
        claim = self._to_read.take(visitor, len(prompt), policy())
        try:
            _, answer = self._hand_over(lambda process: process.ask(question))
        except BaseException:
            self._to_read.release(claim)
            raise
        answer.add_done_callback(lambda _: self._to_read.release(claim))
        return answer

    def next_logits(
        self, path: Path, prompt: str, *, visitor: Visitor = UNKNOWN_VISITOR
    ) -> Logits:
        """The same, waited for.

        Raises:
            CharrnnError: As `ask_next`, or if the answer does not come in time.
        """
        answer = self.ask_next(path, prompt, visitor=visitor)
        try:
            return answer.result(ANSWER_SECONDS)
        except TimeoutError:
            answer.cancel()
            raise RunError("The model took too long to answer: try again.") from None

    def _hand_over(self, ask: Callable[[_Process], _T | None]) -> tuple[_Process, _T]:
        with self._lock:
            while not self._closed:
                process = self._process or _Process()
                taken = ask(process)
                self._process = None if taken is None else process
                if taken is not None:
                    return process, taken
        raise RunError("The program is closing: no text can be written now.")

    @property
    def pid(self) -> int | None:
        """Of the process that took the last request; None before the first one."""
        with self._lock:
            return None if self._process is None else self._process.pid

    @property
    def active(self) -> int:
        """Requests whose texts are expected."""
        with self._lock:
            return 0 if self._process is None else self._process.active

    def close(self) -> None:
        """End the process and all texts; later requests are refused."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.end(CLOSING)
