"""Who a visitor is, for the limits that hold for each."""

import hashlib
from typing import Final

import gradio as gr
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from charrnn.hosting import UNKNOWN_VISITOR, Visitor, address_of, policy

ADDRESS: Final = "charrnn.address"  # in a request's scope, once it is known


def visitor_of(request: gr.Request | None) -> Visitor:
    """Who calls a handler. One that is called without a page has no request."""
    if request is None or request.request is None:
        return UNKNOWN_VISITOR
    return visitor_at(str(request.session_hash or ""), request.request)


def visitor_at(session: str, request: Request) -> Visitor:
    """Who is signed in, else the session of a browser or program, at its address.

    Args:
        session: Its name is whatever its client sent, of any length: its hash stands
            for it.
        request: Where it comes from.
    """
    user = _signed_in(request.scope.get("session"))
    name = f"user {user}" if user else f"session {session}"
    return Visitor(
        key=hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        address=address(request.scope),
    )


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
