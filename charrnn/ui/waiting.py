"""What waits in Gradio's queue: no address takes all of it, and nothing stays behind.

Gradio's own queue takes events until it is full, whoever sent them, and begins them in
the order of their arrival: whoever sends many, from however many sessions, has it to
themselves. In `SharedQueue` one address has at most half of the places and of the
bytes, and at most half of what runs at once of a kind; whose address has the least
running is next.

Gradio keeps the messages of a session until its client fetches them, and of the oldest
sessions none when there are too many, those of texts in the making included. Here a
session whose events have all ended is forgotten a while later.
"""

import random
import time
from collections import Counter
from typing import Any, Final

import fastapi
import gradio as gr
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from starlette.exceptions import HTTPException

from charrnn.hosting import policy
from charrnn.ui.doors import BODY_BYTES, MAX_BODIES, body_bytes
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import address

MAX_WAITING: Final = 200  # events of all visitors
MAX_SESSION: Final = 100  # characters of a session's name, which is kept
FETCH_SECONDS: Final = 120.0  # to fetch a session's last messages
MAX_ENDED: Final = 1000  # sessions that have so long; more are forgotten earlier


class SharedQueue(Queue):
    """Gradio's queue, shared among addresses."""

    ended: dict[str, float]  # sessions without events, and since when, oldest first

    async def push(
        self,
        body: PredictBodyInternal,
        request: fastapi.Request,
        username: str | None,
    ) -> Any:
        """Take an event; returns what Gradio's own method does.

        Raises:
            HTTPException: If too many wait, which the page shows, or the session's name
                is none of ours.
        """
        if len(body.session_hash or "") > MAX_SESSION:
            raise HTTPException(400, "The session's name is too long.")
        self.forget_ended(time.monotonic())
        self._check(request)
        return await super().push(body, request, username)

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """The event that begins next, if one may."""
        running = Counter(
            (event.concurrency_id, address(event.request.scope))
            for job in self.active_jobs
            for event in job or ()
        )
        names = list(self.event_queue_per_concurrency_id)
        random.shuffle(names)
        for name in names:
            kind = self.event_queue_per_concurrency_id[name]
            counts = [running[name, address(e.request.scope)] for e in kind.queue]
            limit, least = kind.concurrency_limit, min(counts, default=0)
            free = limit is None or kind.current_concurrency < limit
            if counts and free and (limit is None or least < max(1, limit // 2)):
                return [kind.queue.pop(counts.index(least))], False, name
        return None

    def forget_ended(self, now: float) -> None:
        """Forget the sessions whose events have ended a while ago.

        Args:
            now: Seconds of the monotonic clock.
        """
        living = {event.session_hash for event in self.event_ids_to_events.values()}
        messages, events = (
            self.pending_messages_per_session,
            self.pending_event_ids_session,
        )
        ended = (messages.keys() | events.keys()) - living
        self.ended = {name: t for name, t in self.ended.items() if name in ended}
        self.ended |= dict.fromkeys(ended - self.ended.keys(), now)
        for session, since in list(self.ended.items()):
            if now - since < FETCH_SECONDS and len(self.ended) <= MAX_ENDED:
                break
            del self.ended[session]
            messages.pop(session, None)
            events.pop(session, None)

    def _check(self, request: fastapi.Request) -> None:
        """Refuse a request where its address, or all together, have enough waiting."""
        sender, lang = address(request.scope), language(gr.Request(request))
        kinds = self.event_queue_per_concurrency_id.values()
        waiting = [event.request.scope for kind in kinds for event in kind.queue]
        mine = [scope for scope in waiting if address(scope) == sender]
        held = sum(map(body_bytes, (request.scope, *mine)))
        most = MAX_BODIES // 2 * (policy().max_text_bytes + BODY_BYTES)
        if len(mine) >= MAX_WAITING // 2 or held > most:
            raise HTTPException(429, translate(lang, "error.network_waits"))
        if len(waiting) >= MAX_WAITING:
            raise HTTPException(429, translate(lang, "error.all_wait"))


def share(queue: Queue) -> None:
    """Make a `SharedQueue` of the queue that Gradio has made for a page.

    Args:
        queue: One that has taken nothing yet.
    """
    queue.__class__ = SharedQueue
    vars(queue).update(ended={}, pending_messages_per_session={})
