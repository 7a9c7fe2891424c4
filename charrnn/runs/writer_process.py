"""What writes texts: a process of its own that `charrnn.runs.writer` starts.

It speaks the messages described there, ends when its standard input does, and
imports neither Gradio nor TensorFlow. One line a pass goes out for each text that
has grown, all of a pass in one piece.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from charrnn.errors import CharrnnError, ConfigError
from charrnn.model.cache import ModelCache
from charrnn.model.engine import Engine
from charrnn.model.generation import Written
from charrnn.model.next_character import Asked, Logits, NextCharacters, Question
from charrnn.model.request import Job, Request

IDLE_SECONDS: Final = 60.0  # without a request, at least, until this is said


class _Output:
    """Messages for the other process, gathered until they are sent."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def add(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._lines.append(json.dumps(message))

    def send(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                sys.stdout.write("\n".join(lines) + "\n")
                sys.stdout.flush()


def failure(number: int, error: CharrnnError) -> dict[str, Any]:
    """The message that tells of an error."""
    return {
        "kind": "failed",
        "number": number,
        "error": type(error).__name__,
        "message": str(error),
        "field": error.field if isinstance(error, ConfigError) else "",
    }


class _Service:
    """Has written and read what the other process asks for."""

    def __init__(self) -> None:
        self.output = _Output()
        self.requests: dict[int, Request] = {}  # by their numbers
        self._questions: dict[int, Asked] = {}  # as well
        models = ModelCache()
        self._engine = Engine(models, after_pass=self.output.send)
        self._next = NextCharacters(models)
        self._count = 0  # of requests that ever came

    def follow(self, message: dict[str, Any]) -> None:
        """Do what a message says."""
        number = message["number"]
        if message["kind"] == "write":
            self._count += 1
            request = Request(Job.from_json(message["job"]), _Relay(number, self))
            self.requests[number] = request
            self._engine.submit(request)
        elif message["kind"] == "next":
            self._count += 1
            values = message["question"]
            question = Question(**values | {"path": Path(values["path"])})
            asked = Asked(question, lambda found: self._answer(number, found))
            self._questions[number] = asked
            self._next.ask(asked)
        elif number in self.requests:
            self._engine.cancel(self.requests.pop(number))
        elif (given_up := self._questions.pop(number, None)) is not None:
            given_up.given_up = True

    def _answer(self, number: int, found: Logits | CharrnnError) -> None:
        self._questions.pop(number, None)
        if isinstance(found, CharrnnError):
            self.output.add(failure(number, found))
        else:
            self.output.add({"kind": "next", "number": number, "logits": found})
        self.output.send()

    def tell_when_idle(self) -> None:
        """Say so whenever there was nothing to do for a while, for ever."""
        while True:
            before = self._count
            time.sleep(IDLE_SECONDS)
            if not self.requests and self._count == before:
                self.output.add({"kind": "idle"})
                self.output.send()


class _Relay:
    """Tells the other process of one request."""

    def __init__(self, number: int, service: _Service) -> None:
        self._number = number
        self._service = service

    def add(self, added: list[Written], *, ended: bool) -> None:
        """See `Listener.add`; sent at the end of the pass."""
        self._emit("text", added=added, ended=ended)
        if ended:
            self._service.requests.pop(self._number, None)

    def fail(self, error: CharrnnError) -> None:
        """See `Listener.fail`; sent at once."""
        self._service.output.add(failure(self._number, error))
        self._service.requests.pop(self._number, None)
        self._service.output.send()

    def _emit(self, kind: str, **values: Any) -> None:
        self._service.output.add({"kind": kind, "number": self._number, **values})


def main() -> None:
    """Follow the messages of standard input until it closes."""
    service = _Service()
    threading.Thread(target=service.tell_when_idle, daemon=True).start()
    for line in sys.stdin.buffer:
        service.follow(json.loads(line))
    os._exit(0)  # nobody reads what is being written


if __name__ == "__main__":
    main()
