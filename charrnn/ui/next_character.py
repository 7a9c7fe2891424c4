"""What may come next after the prompt: asked while it is typed, outside of Gradio.

`generate.js` posts ``{"model", "prompt", "session"}`` to `PATH`, with a ``step`` of the
model's training where a text was written with that. The answer holds the characters
that can be written and their logits in nats, from which the browser draws the bars for
whatever temperature is chosen; or ``{"error": a sentence}``; or on a hosted page
``{"wait": seconds}`` where a visitor asks more often than is allowed, or has more
waiting. A prompt is read no further when whoever asked is gone.
"""

import asyncio
import collections
import contextlib
import time
from collections.abc import Coroutine, Hashable, Iterator
from concurrent.futures import Future
from typing import Annotated, Any, Final

import gradio as gr
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from charrnn.config import MAX_LENGTH
from charrnn.errors import CharrnnError
from charrnn.hosting import VISITORS_PER_ADDRESS, Visitor, policy
from charrnn.model import snapshots
from charrnn.model.next_character import Logits
from charrnn.runs.writer import ANSWER_SECONDS
from charrnn.ui.border import sentence_of
from charrnn.ui.links import MAX_LINK_PROMPT
from charrnn.ui.shared import model_folder
from charrnn.ui.texts import language
from charrnn.ui.threads import Threads
from charrnn.ui.visitors import visitor_at
from charrnn.ui.writing_request import engine

PATH: Final = "/charrnn/next"
PER_SECOND: Final = 4  # questions of a visitor to a hosted page
PENDING: Final = 2  # questions of a visitor to a hosted page that wait for an answer
PENDING_OF_ADDRESS: Final = VISITORS_PER_ADDRESS  # fewer: each may be a long prompt
SECOND: Final = 1.0
MAX_TEXT: Final = MAX_LINK_PROMPT + MAX_LENGTH  # a prompt and all that follows it


_threads: Final = Threads(4)  # that hand questions over


class Asked(BaseModel):
    """What a browser asks."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: Annotated[str, StringConstraints(max_length=200)]
    prompt: Annotated[str, StringConstraints(max_length=MAX_TEXT)]
    session: Annotated[str, StringConstraints(max_length=100)]
    step: int | None = None  # of the model's training


class Pace:
    """How often visitors ask; for the event loop's thread alone."""

    def __init__(self) -> None:
        self._asked: collections.OrderedDict[Hashable, collections.deque[float]] = (
            collections.OrderedDict()  # who asked last at the end
        )

    def wait(self, visitor: Visitor, now: float) -> float:
        """Seconds until a visitor may ask; 0 counts the question.

        Args:
            visitor: Who asks; their address may ask `VISITORS_PER_ADDRESS` times as
                often.
            now: Seconds on any clock that does not go back.
        """
        limits = (
            (visitor, PER_SECOND),
            (visitor.address, PER_SECOND * VISITORS_PER_ADDRESS),
        )
        waits = [self._wait(holder, limit, now) for holder, limit in limits]
        if not any(waits):
            for holder, _ in limits:
                self._asked.setdefault(holder, collections.deque()).append(now)
                self._asked.move_to_end(holder)
        while self._asked and next(iter(self._asked.values()))[-1] <= now - SECOND:
            self._asked.popitem(last=False)
        return max(waits)

    def _wait(self, holder: Hashable, limit: int, now: float) -> float:
        times = self._asked.get(holder, collections.deque())
        while times and times[0] <= now - SECOND and len(times) > 1:
            times.popleft()
        recent = [moment for moment in times if moment > now - SECOND]
        return recent[-limit] + SECOND - now if len(recent) >= limit else 0.0


class Pending:
    """Questions that wait for an answer; for the event loop's thread alone."""

    def __init__(self) -> None:
        self._count: collections.Counter[Hashable] = collections.Counter()

    def is_full(self, visitor: Visitor) -> bool:
        """Whether a visitor, or their address, has as many waiting as is allowed."""
        of_address = self._count[visitor.address]
        return self._count[visitor] >= PENDING or of_address >= PENDING_OF_ADDRESS

    @contextlib.contextmanager
    def one_more(self, visitor: Visitor) -> Iterator[None]:
        """Count a question in, until this is left."""
        holders = (visitor, visitor.address)
        self._count.update(holders)
        try:
            yield
        finally:
            self._count.subtract(holders)
            self._count = +self._count  # whoever has none leaves no trace


def _begin(asked: Asked, visitor: Visitor) -> tuple[list[str], Future[Logits]]:
    """What the model can write, and the logits to come."""
    path = model_folder(asked.model)
    known = engine.models.get(path).vocabulary.entries[1:]
    step = snapshots.source_of(path, asked.step).step
    asker = f"{visitor.key} {visitor.address} {asked.session}"  # a tab of a browser
    return list(known), engine.ask_next(
        path, asked.prompt, asker=asker, step=step, visitor=visitor
    )


async def answer(asked: Asked, visitor: Visitor, lang: str) -> dict[str, object]:
    """The characters and their logits, or the sentence of an error.

    Whoever waits takes no thread. What is cancelled, or waits for too long, is read no
    further.
    """
    try:
        known, coming = await _threads.run(_begin, asked, visitor)
        logits = await asyncio.wait_for(asyncio.wrap_future(coming), ANSWER_SECONDS)
    except CharrnnError as error:
        return {"error": sentence_of(error, lang)}
    except TimeoutError:
        return {"wait": SECOND}  # a model that is still being loaded
    if len(logits) != len(known):  # the model was replaced between the two
        return {"wait": SECOND / PER_SECOND}
    return {"characters": known, "logits": logits}


async def _unless_gone(
    request: Request, answering: Coroutine[Any, Any, dict[str, object]]
) -> dict[str, object]:
    """An answer, which is cancelled when the connection is closed by its client."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.create_task(answering), asyncio.create_task(gone())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else {"wait": SECOND}
    finally:
        for task in tasks:
            task.cancel()


def route() -> Route:
    """The address for Gradio's application."""
    pace, pending = Pace(), Pending()

    async def ask(request: Request) -> Response:
        try:
            asked = Asked.model_validate_json(await request.body())
        except ValidationError:
            sentence = "Expected an object with model, prompt and session, all texts."
            return JSONResponse({"error": sentence}, status_code=400)
        visitor = visitor_at(asked.session, request)
        if policy().secret_ids:
            if pending.is_full(visitor):
                return JSONResponse({"wait": SECOND / PER_SECOND})
            if wait := pace.wait(visitor, time.monotonic()):
                return JSONResponse({"wait": round(wait, 3)})
        with pending.one_more(visitor):
            answering = answer(asked, visitor, language(gr.Request(request)))
            return JSONResponse(await _unless_gone(request, answering))

    return Route(PATH, ask, methods=["POST"])
