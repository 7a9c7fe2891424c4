"""Who a visitor is, for the limits that hold for each.

A hosted page gives a browser a cookie with a random name, until the browser is closed:
a page that is loaded anew, or opened in another tab, is the same visitor. The cookie
opens nothing. A program, and a browser that keeps no cookies for a page in a frame, is
known by the session that it names.
"""

import hashlib
import re
import secrets
from typing import Final

import gradio as gr
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from charrnn.hosting import UNKNOWN_VISITOR, Visitor, address_of, policy

ADDRESS: Final = "charrnn.address"  # in a request's scope, once it is known
COOKIE: Final = "charrnn_visitor"
_BROWSER: Final = re.compile("[0-9a-f]{32}")  # what a cookie of ours holds


def visitor_of(request: gr.Request | None) -> Visitor:
    """Who calls a handler. One that is called without a page has no request."""
    if request is None or request.request is None:
        return UNKNOWN_VISITOR
    return visitor_at(str(request.session_hash or ""), request.request)


def visitor_at(session: str, request: Request) -> Visitor:
    """Who is signed in, else the browser, else the session, at its address.

    Args:
        session: Its name is whatever its client sent, of any length: its hash stands
            for it.
        request: Where it comes from.
    """
    user, browser = _signed_in(request.scope.get("session")), browser_of(request)
    name = f"session {session}"
    if user or browser:
        name = f"user {user}" if user else f"browser {browser}"
    return Visitor(
        key=hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        address=address(request.scope),
    )


def browser_of(request: HTTPConnection) -> str:
    """What our cookie calls a browser; empty if it sent none of ours."""
    sent = request.cookies.get(COOKIE, "")
    return sent if _BROWSER.fullmatch(sent) else ""


def new_cookie(*, secure: bool) -> str:
    """A ``Set-Cookie`` header for a browser that has no cookie of ours.

    Args:
        secure: Whether the page is reached by https.
    """
    parts = f"{COOKIE}={secrets.token_hex(16)}; Path=/; HttpOnly; SameSite=Lax"
    return f"{parts}; Secure" if secure else parts


def address(scope: Scope) -> str:
    """Where a request comes from, see `address_of`."""
    if ADDRESS not in scope:
        client = scope.get("client")
        scope[ADDRESS] = address_of(
            client[0] if client else "",
            Headers(scope=scope).getlist("x-forwarded-for"),
            trusted_proxies=policy().trusted_proxies,
        )
    found: str = scope[ADDRESS]
    return found


def _signed_in(session: object) -> str:
    """The user that Gradio's sign-in noted in its signed cookie, or nothing.

    Args:
        session: What the cookie holds; None where the page has no sign-in.
    """
    found = session
    for name in ("oauth_info", "userinfo", "sub"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
