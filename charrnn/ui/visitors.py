"""Who a visitor is, for the limits that hold for each."""

import hashlib

import gradio as gr

from charrnn.hosting import UNKNOWN_VISITOR, Visitor, address_of, policy


def visitor_of(request: gr.Request | None) -> Visitor:
    """The session of a browser, or of a program, at its address.

    A session's name is whatever its client sent, of any length: its hash stands for
    it. Only a function that is called without a page has no request.
    """
    if request is None or request.request is None:
        return UNKNOWN_VISITOR
    session = str(request.session_hash or "").encode("utf-8", "surrogatepass")
    client = request.request.client
    return Visitor(
        key=hashlib.sha256(session).hexdigest()[:16],
        address=address_of(
            client.host if client else "",
            request.request.headers.getlist("x-forwarded-for"),
            trusted_proxies=policy().trusted_proxies,
        ),
    )
