"""What every request passes before Gradio sees it, and every answer after.

`Doors` is one ASGI layer around the whole application. It refuses

- on one's own computer, host names that are not this computer's (a website
  whose name points here would share the page's origin);
- every address by which Gradio would fetch and serve a remote file;
- requests that another website makes in a visitor's browser;
- bodies that are larger than what the address takes, counted as they arrive;

and puts the policy headers on every answer. Middleware that is given to
Gradio's `launch` lies inside of Gradio's own, which reflects any origin
together with credentials: `lifespan` therefore wraps the finished stack, before
the first request. `fetch_nothing` closes the one way by which Gradio downloads
what an input names.
"""

import gc
import json
import logging
import os
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import unquote, urlsplit

import safehttpx  # type: ignore[import-untyped]
from gradio import processing_utils
from gradio.routes import App
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charrnn.errors import CorpusError
from charrnn.hosting import Policy, policy
from charrnn.ui.border import REFUSED, log_in_lines
from charrnn.ui.visitors import address, browser_of, new_cookie

logger: Final = logging.getLogger("charrnn.page")
MEGABYTE: Final = 1_000_000
BODY_BYTES: Final = 2 * MEGABYTE  # without the text that some requests carry
MULTIPART_BYTES: Final = 64_000  # that a form adds to the file in it
FILE_BYTES: Final = 8192  # of disk that an uploaded file takes beside its content
MAX_BODIES: Final = 20  # of the largest size, whose bytes are held together
UPLOADS_SHARE: Final = 0.1  # of the disk for runs, that uploads may take as well
COLLECT_BYTES: Final = 64 * MEGABYTE  # of bodies, until what they left is collected
BODY: Final = "charrnn.body"  # in a request's scope: a `_Body`

API: Final = "/gradio_api"
UPLOAD: Final = f"{API}/upload"
JOIN: Final = f"{API}/queue/join"
# of Gradio's addresses what this page has no use for: a deep link would store a
# visitor's keys with the rest, a recording leaves files, others wait for ever
_UNUSED: Final = re.compile(
    rf"{API}/(?:deep_link|process_recording|component_server|stream|dev|profiling|runs"
    r"|run-history|vibe-[a-z-]+|undo-vibe-edit)(?:/|$)"
)
CALLS: Final = (f"{API}/call/", f"{API}/run/", f"{API}/api/")
# what a website may read of a hosted page, beside the answers to its calls
READABLE: Final = ("/config", f"{API}/info", f"{API}/queue/data")
NOT_FOR_WEBSITES: Final = ("train", "stop")  # public, but they change something

# `proxy=`, or `file=` and `file/` with a scheme or a network path right behind; a
# drive of Windows is one letter
_REMOTE: Final = re.compile(
    r"(?:^|/)(?:proxy=|file[=/][\s/\\]*[a-z][a-z0-9+.-]+:|file[=/](?://|[\s/]*\\))"
)
_MAX_DECODINGS: Final = 5

_POLICY: Final = (
    ("default-src", "'self'"),
    # Gradio writes scripts into its page and makes functions from text
    ("script-src", "'self' 'unsafe-inline' 'unsafe-eval'"),
    ("style-src", "'self' 'unsafe-inline'"),
    ("img-src", "'self' data: blob:"),
    ("font-src", "'self' data:"),
    ("media-src", "'self' data: blob:"),
    ("connect-src", "'self' data: blob:"),
    ("worker-src", "'self' blob:"),
    ("object-src", "'none'"),
    ("base-uri", "'self'"),
    ("form-action", "'self'"),
)


# --- what is refused -----------------------------------------------------------


class RefusedError(Exception):
    """A request that goes no further.

    Args:
        status: HTTP status of the answer.
        sentence: What was received, what is taken instead.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def names_remote_file(path: str) -> bool:
    """Whether Gradio would take an address for that of a file elsewhere.

    Args:
        path: Path of the request, in any number of percent-encodings.

    Example:
        >>> names_remote_file("/gradio_api/file=HTTP%253A//any.host/x.png")
        True
        >>> names_remote_file("/gradio_api/file=/tmp/gradio/text.txt")
        False
    """
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            return bool(_REMOTE.search(path.lower()))
        path = decoded
    return True  # encoded more often than any client does


async def _refuse_download(*_: Any, **__: Any) -> NoReturn:
    raise CorpusError(
        "An input names a file on another computer, and this page downloads "
        "nothing: upload the file instead."
    )


def fetch_nothing() -> None:
    """Let Gradio download nothing in this process.

    All of its downloads for inputs, components and ``file=`` go through
    safehttpx. `async_ssrf_protected_download` is replaced as well because it
    makes a folder for every address before it asks.
    """
    safehttpx.get = _refuse_download
    safehttpx.async_validate_url = _refuse_download
    processing_utils.async_ssrf_protected_download = _refuse_download


# --- the rules -----------------------------------------------------------------


def upload_bytes(allowed: Policy) -> int:
    """Largest file that is taken: a text or a zip, each then by its own limit."""
    return max(allowed.max_text_bytes, allowed.max_zip_bytes)


def uploads_bytes(allowed: Policy) -> int | None:
    """What all uploads that are kept may take; None is no limit."""
    most = allowed.max_disk_bytes
    if most is None:
        return None
    return max(int(UPLOADS_SHARE * most), 2 * upload_bytes(allowed))


@dataclass(frozen=True)
class Rules:
    """What the doors need to know of where the page runs."""

    hosted: bool
    text_bytes: int  # largest text that is taken
    upload_bytes: int  # largest file that is taken
    uploads_bytes: int | None  # of all files together, while they are kept
    upload_seconds: float  # that they are kept
    proxies: int  # in front of this process, whose forwarding headers are believed
    own_hosts: tuple[str, ...] = ()  # known names, with port; else each request's own
    local_names: tuple[str, ...] = ()  # that a local page answers to
    on_space: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> "Rules":
        """As the environment says.

        Raises:
            ConfigError: If one of its variables is out of range.
        """
        names = (
            name.strip().lower() for name in environ.get("SPACE_HOST", "").split(",")
        )
        server = environ.get("GRADIO_SERVER_NAME", "").strip("[]")
        allowed = policy(environ)
        return cls(
            hosted=not allowed.loopback_only,
            text_bytes=allowed.max_text_bytes,
            upload_bytes=upload_bytes(allowed),
            uploads_bytes=uploads_bytes(allowed),
            upload_seconds=allowed.upload_seconds,
            proxies=allowed.trusted_proxies,
            own_hosts=tuple(filter(None, names)),
            local_names=("127.0.0.1", "localhost", "::1", server.lower()),
            on_space=allowed.space,
        )

    def body_limit(self, path: str) -> int:
        """Largest body that an address takes, in bytes."""
        if path == UPLOAD:
            return self.upload_bytes + MULTIPART_BYTES
        if path == JOIN or path.startswith(CALLS):  # may carry a pasted text
            return self.text_bytes + BODY_BYTES
        return BODY_BYTES

    def hosts_of(self, headers: Headers) -> tuple[str, ...]:
        """The page's own names, as the browser that sent a request knows them."""
        if self.own_hosts:
            return self.own_hosts
        host = headers.get("host", "").strip().lower()
        return (self._forwarded(headers, "x-forwarded-host") or host,)

    def _forwarded(self, headers: Headers, name: str) -> str:
        """What the farthest trusted proxy says; each adds its own on the right."""
        sent = ",".join(headers.getlist(name)).split(",")
        if not self.proxies:
            return ""
        return sent[-min(self.proxies, len(sent))].strip().lower()

    def is_foreign(self, headers: Headers) -> bool:
        """Whether a browser says that another website makes a request.

        What is no browser sends neither header.
        """
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return True
        own = [f"{s}://{h}" for h in self.hosts_of(headers) for s in ("http", "https")]
        return any(origin.lower() not in own for origin in headers.getlist("origin"))

    def answers_to(self, host: str) -> bool:
        """Whether a request for a host name is meant for this page."""
        if self.hosted:
            return True
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return bool(name) and name in self.local_names

    def is_encrypted(self, scope: Scope) -> bool:
        """Whether the browser that sent a request speaks TLS, as far as is known."""
        forwarded = self._forwarded(Headers(scope=scope), "x-forwarded-proto")
        return self.on_space or "https" in (scope.get("scheme"), forwarded)

    def headers(self) -> dict[str, str]:
        """The headers of every answer.

        ``same-origin`` because an address here may hold a run's id, which no
        other site shall read; ``no-referrer`` would make browsers send
        ``Origin: null`` with the page's own forms.
        """
        frames = "'self' https://huggingface.co" if self.on_space else "'self'"
        policy = (*_POLICY, ("frame-ancestors", frames))
        return {
            "content-security-policy": "; ".join(" ".join(part) for part in policy),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
        }


# --- one request ---------------------------------------------------------------


class Held:
    """Bytes that addresses have sent and that are kept: an address half of all.

    Args:
        most: Bytes of all addresses together; None is no limit.
        seconds: For which they are kept after their request; 0 if no longer.
    """

    def __init__(self, most: int | None, seconds: float = 0.0) -> None:
        self._most = most
        self._seconds = seconds
        self._bytes: Counter[str] = Counter()
        self._kept: deque[tuple[float, str, int]] = deque()  # until when, of whom

    def take(self, sender: str, count: int) -> bool:
        """Count bytes in; False, and nothing, where they would be too many."""
        while self._kept and self._kept[0][0] <= time.monotonic():
            self._give_back(*self._kept.popleft()[1:])
        if self._most is not None:
            own, all_held = self._bytes[sender] + count, self._bytes.total() + count
            if own > self._most // 2 or all_held > self._most:
                return False
        self._bytes[sender] += count
        return True

    def release(self, sender: str, count: int) -> None:
        """A request is over whose bytes were counted in."""
        if self._seconds:
            self._kept.append((time.monotonic() + self._seconds, sender, count))
        else:
            self._give_back(sender, count)

    def _give_back(self, sender: str, count: int) -> None:
        self._bytes[sender] -= count
        if not self._bytes[sender]:
            del self._bytes[sender]


class _Body:
    """A request's body, counted as it arrives.

    A body that is too large, or an upload whose sender is gone, ends in a
    `MultiPartException`: with no other one does Gradio remove the file that it
    had begun to write.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: int, held: Held) -> None:
        self._receive = receive
        self._again: list[Message] = []
        self._upload = _route(scope) == UPLOAD
        self._held = held
        self._sender = address(scope)
        self.limit = limit
        self.count = 0  # of bytes that have arrived
        self._taken = 0  # of bytes that are kept for it
        self.refused: RefusedError | None = None

    async def receive(self) -> Message:
        if self._again:
            return self._again.pop()
        message = await self._receive()
        body = message.get("body", b"")
        kept = len(body)
        if self._upload:  # of which a form names a thousand, a few bytes each
            kept += FILE_BYTES * body.lower().count(b"filename")
        if self.count + len(body) > self.limit:
            self.refused = self.too_large()
        elif not self._held.take(self._sender, kept):
            self.refused = self._too_many()
        else:
            self.count += len(body)
            self._taken += kept
        if self.refused:
            raise MultiPartException("the body is refused")
        if self._upload and message["type"] == "http.disconnect":
            raise MultiPartException("the body is incomplete")
        return message

    async def whole(self) -> bytes:
        """All of it, which is then received once more."""
        parts, more = [], True
        while more:
            message = await self.receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        self._again.append({"type": "http.request", "body": body, "more_body": False})
        return body

    def end(self) -> None:
        """The request is over."""
        self._held.release(self._sender, self._taken)

    def too_large(self) -> RefusedError:
        return RefusedError(
            413,
            f"The request is too large: at most {self.limit / MEGABYTE:,.1f} MB are "
            "taken here. Use a smaller file or text, or raise the limit "
            "(CHARRNN_MAX_TEXT_MB, CHARRNN_MAX_ZIP_MB) on a machine of your own.",
        )

    def _too_many(self) -> RefusedError:
        if self._upload:
            sentence = "Too many files were uploaded here within the last hour: "
        else:
            sentence = "Too much is being sent to this page at once: "
        return RefusedError(503, sentence + "try again later, or send less.")


def body_bytes(scope: Scope) -> int:
    """The size of a request's body, as far as it has arrived."""
    body = scope.get(BODY)
    return body.count if isinstance(body, _Body) else 0


class _Answer:
    """An answer on its way, with the headers that every one has."""

    def __init__(
        self, send: Send, body: _Body, headers: Mapping[str, str], cookie: str
    ) -> None:
        self._send = send
        self._body = body
        self._cookie = cookie  # for a browser that gets a page; empty for none
        self._headers = [(n.encode(), v.encode()) for n, v in headers.items()]
        self._replaced = {*headers, "access-control-allow-credentials"}
        self.scope: Scope = {}  # as the application sees it
        self.started = False
        self._streams = False  # events, one after another

    async def send(self, message: Message) -> None:
        if self._body.refused and not self.started:
            return  # whatever the application makes of a body that was cut off
        if message["type"] == "http.response.start":
            if self.scope.get(REFUSED):  # Gradio answers 500 to every error
                message = {**message, "status": 400}
            kept = [
                (name, value)
                for name, value in message.get("headers", ())
                if name.decode("latin-1").lower() not in self._replaced
            ]
            kind = Headers(raw=kept).get("content-type", "")
            if self._cookie and kind.startswith("text/html"):
                kept.append((b"set-cookie", self._cookie.encode()))
            message = {**message, "headers": [*kept, *self._headers]}
            self._streams = kind.startswith("text/event-stream")
            self.started = True
        await self._send(message)

    async def end(self) -> None:
        """Close a stream of events that broke off: its last one said why."""
        if self._streams:
            await self._send({"type": "http.response.body"})

    async def refuse(self, scope: Scope, refused: RefusedError) -> None:
        self._body.refused = None  # this answer is meant
        response = JSONResponse({"detail": str(refused)}, refused.status)
        await response(scope, self._body.receive, self.send)


def _route(scope: Scope) -> str:
    """The path below the one that a proxy serves the page under."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    reads = scope["method"] in ("GET", "HEAD")
    return reads and headers.get("sec-fetch-mode") == "navigate"


def _named_function(body: bytes) -> int | None:
    """The function's number in a body for `JOIN`."""
    try:
        index = json.loads(body)["fn_index"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return index if type(index) is int else None


class Doors:
    """The layer around an application.

    Args:
        app: The application.
        rules: What is refused.
        functions: The functions that Gradio calls, by number; asked anew for each
            request.
    """

    def __init__(
        self, app: ASGIApp, rules: Rules, functions: Callable[[], Mapping[int, Any]]
    ) -> None:
        self.app = app
        self._rules = rules
        self._functions = functions
        self._headers = rules.headers()
        self._bodies = Held(MAX_BODIES * (rules.text_bytes + BODY_BYTES))
        self._uploads = Held(rules.uploads_bytes, rules.upload_seconds)
        self._left = 0  # bytes of bodies since the last collection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            path = _route(scope)
            held = self._uploads if path == UPLOAD else self._bodies
            body = _Body(scope, receive, self._rules.body_limit(path), held)
            scope = {**scope, BODY: body}
            try:
                cookie = self._cookie(scope)
                answer = _Answer(send, body, self._headers, cookie)
                await self._http(scope, body, answer)
            finally:
                body.end()
                self._collect(body.count)
        else:  # the page has no WebSocket
            await send({"type": "websocket.close", "code": 1008})

    def _cookie(self, scope: Scope) -> str:
        """The cookie for a browser that sent none to a hosted page; empty if none."""
        if not self._rules.hosted or browser_of(HTTPConnection(scope)):
            return ""
        return new_cookie(secure=self._rules.is_encrypted(scope))

    async def _http(self, scope: Scope, body: _Body, answer: _Answer) -> None:
        try:
            answer.scope = await self._admit(scope, body)
            await self.app(answer.scope, body.receive, answer.send)
        except RefusedError as refused:
            await answer.refuse(scope, refused)
        except Exception:  # of a body cut off the application makes anything
            if not body.refused:
                logger.exception("charrnn: a request failed")
                await answer.end()
        if body.refused and not answer.started:
            await answer.refuse(scope, body.refused)

    def _collect(self, count: int) -> None:
        """Collect what large bodies have left: Gradio's errors refer to themselves."""
        self._left += count
        if self._left > COLLECT_BYTES:
            self._left = 0
            gc.collect()

    async def _admit(self, scope: Scope, body: _Body) -> Scope:
        """The request as the application shall see it.

        Raises:
            RefusedError: If it shall not.
        """
        headers = Headers(scope=scope)
        if not self._rules.answers_to(headers.get("host", "")):
            raise RefusedError(
                400,
                "This page answers to the names of this computer alone: open it at "
                "http://127.0.0.1 or http://localhost and its port.",
            )
        if _UNUSED.match(_route(scope)):
            raise RefusedError(404, "This page does not use that part of Gradio.")
        if names_remote_file(scope["path"]):
            raise RefusedError(403, "Files on other computers are not served here.")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > body.limit:
            raise body.too_large()
        if _is_navigation(scope, headers) or not self._rules.is_foreign(headers):
            return scope
        if not (self._rules.hosted and await self._open_to_websites(scope, body)):
            raise RefusedError(
                403,
                "Another website asked this in your browser, and that is refused here: "
                "open the page itself.",
            )
        kept = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        return {**scope, "headers": kept}

    async def _open_to_websites(self, scope: Scope, body: _Body) -> bool:
        """Whether a hosted page does that for another website, without cookies."""
        path, method = _route(scope).rstrip("/"), scope["method"]
        if path == JOIN:
            if method == "OPTIONS":  # the body comes with the request that follows
                return True
            number = _named_function(await body.whole()) if method == "POST" else None
            return number in self._public()
        if path in READABLE:
            return method in ("GET", "HEAD", "OPTIONS")
        called = re.fullmatch(rf"{API}/call/([^/]+)(?:/[^/]+)?", path)
        return called is not None and called[1] in self._public().values()

    def _public(self) -> dict[int, str]:
        """Functions that any website may call, by number."""
        return {
            number: fn.api_name
            for number, fn in self._functions().items()
            if fn.api_visibility == "public"
            and isinstance(fn.api_name, str)
            and fn.api_name not in NOT_FOR_WEBSITES
        }


# --- into Gradio ---------------------------------------------------------------


def lifespan(rules: Rules) -> Callable[[App], AbstractAsyncContextManager[None]]:
    """What Gradio's `launch` takes as ``app_kwargs["lifespan"]``.

    Args:
        rules: What is refused.
    """

    @asynccontextmanager
    async def wrapped(app: App) -> AsyncIterator[None]:
        inner = app.middleware_stack
        if inner is None:  # cannot be: this event came through it
            raise RuntimeError("The application has no middleware stack to wrap.")
        fetch_nothing()
        log_in_lines()
        app.middleware_stack = Doors(inner, rules, lambda: app.get_blocks().fns)
        try:
            yield
        finally:
            app.middleware_stack = inner

    return wrapped


def are_closed(app: App) -> bool:
    """Whether an application that was launched stands behind its doors."""
    return isinstance(app.middleware_stack, Doors)
