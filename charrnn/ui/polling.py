"""Whether anything is new of a run: asked every second or two, answered at once.

`page.js` asks ``GET charrnn/poll?run=ID&seen=TOKEN``. The answer is 204 while
nothing is new; else 200 and a token, after which the page has Gradio fetch what
changed (`following.tick`) and sends the token with its next questions. Each answer
says in `WAIT` after how many seconds to ask again, and in `RUNNING` whether the page
shall show a mark.

However many ask for a run, its folder is looked at twice a second: looking at the
lock of a living run takes milliseconds.
"""

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from charrnn.errors import CharrnnError
from charrnn.hosting import policy
from charrnn.runs.states import LIVE
from charrnn.runs.status import read_status
from charrnn.ui import following, panel
from charrnn.ui.shared import checked_id
from charrnn.ui.threads import Threads

PATH: Final = "/charrnn/poll"
WAIT: Final = "charrnn-wait"  # header: seconds until the next question; 0: none
IDLE_SECONDS: Final = 5.0  # between questions where something may still come
LOOK_SECONDS: Final = 0.5  # for which a look at a run is good
MAX_LOOKS: Final = 256  # that are kept, the oldest dropped
THREADS: Final = 4  # that look
RUNNING: Final = "charrnn-running"  # header: 1 while something trains, else 0
GONE: Final = "gone"


class Look(NamedTuple):
    """What a look at a run found."""

    token: str  # another one when the run's frame changes; empty: nothing to show
    wait: float  # seconds until the next question
    running: bool = False  # the run, or locally any


def look(run_id: str) -> Look:
    """Look at a run as it is now.

    On one's own computer a page that follows no run looks for one that a terminal
    started; and the n-gram baseline of a run may come after its end.

    Args:
        run_id: The followed run; empty if there is none.
    """
    if not run_id:
        found = following.living() or ""
        return Look(found, policy().idle_seconds, bool(found))
    try:
        status = read_status(checked_id(run_id))
        extra = following.others(status.state, ())
    except CharrnnError:
        return Look(GONE, IDLE_SECONDS)
    key = panel.frame_key(status, status.view, extra)
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=8).hexdigest()
    live = status.state in LIVE
    wait = policy().poll_seconds if live else IDLE_SECONDS
    return Look(digest, wait, live or following.living() is not None)


class Looks:
    """Looks at runs that all who ask share; for the event loop's thread alone."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, asyncio.Task[Look]]] = OrderedDict()
        self._threads = Threads(THREADS)

    async def get(self, run_id: str) -> Look:
        """The latest look at a run, at most `LOOK_SECONDS` old."""
        now = time.monotonic()
        begun, task = self._kept.get(run_id, (0.0, None))
        if task is None or (task.done() and now - begun > LOOK_SECONDS):
            task = asyncio.create_task(self._threads.run(look, run_id))
            self._kept[run_id] = now, task
            self._kept.move_to_end(run_id)
            if len(self._kept) > MAX_LOOKS:
                self._kept.popitem(last=False)
        return await asyncio.shield(task)  # one who leaves does not end it for all


def route() -> Route:
    """The address for Gradio's application."""
    looks = Looks()

    async def poll(request: Request) -> Response:
        query = request.query_params
        found = await looks.get(query.get("run", "")[:100])
        headers = {
            "cache-control": "no-store",
            WAIT: f"{found.wait:g}",
            RUNNING: str(int(found.running)),
        }
        if found.token == query.get("seen", ""):
            return Response(status_code=204, headers=headers)
        return JSONResponse({"token": found.token}, headers=headers)

    return Route(PATH, poll)
