"""Who a visitor is, for the limits that hold for each."""

import hashlib

import gradio as gr
from starlette.requests import Request

from charrnn.hosting import UNKNOWN_VISITOR, Visitor, address_of, policy


def visitor_of(request: gr.Request | None) -> Visitor:
    """Who calls a handler. One that is called without a page has no request."""
    if request is None or request.request is None:
        return UNKNOWN_VISITOR
    return visitor_at(str(request.session_hash or ""), request.request)


def visitor_at(session: str, request: Request) -> Visitor:
    """The session of a browser, or of a program, at its address.

    Args:
        session: Its name is whatever its client sent, of any length: its hash stands
            for it.
        request: Where it comes from.
    """
    name = session.encode("utf-8", "surrogatepass")
    return Visitor(
        key=hashlib.sha256(name).hexdigest()[:16],
        address=address_of(
            request.client.host if request.client else "",
            request.headers.getlist("x-forwarded-for"),
            trusted_proxies=policy().trusted_proxies,
        ),
    )
