"""Who a request comes from."""

import gradio as gr
import pytest
from fastapi import Request

from charrnn.hosting import UNKNOWN_VISITOR
from charrnn.ui.visitors import COOKIE, new_cookie, visitor_of


def request(session, *headers, peer="1.1.1.1"):
    """As Gradio hands it to a function."""
    scope = {
        "type": "http",
        "client": (peer, 1234),
        "headers": [(b"x-forwarded-for", value.encode()) for value in headers],
    }
    return gr.Request(Request(scope), session_hash=session)


def test_a_session_is_known_by_its_hash_whatever_it_is_called():
    visitors = [
        visitor_of(request(session))
        for session in ("a", "b", "", None, "x" * 10**6, "\ud800")
    ]
    assert len({visitor.key for visitor in visitors}) == 5  # none is the empty one
    assert {len(visitor.key) for visitor in visitors} == {16}
    assert {visitor.address for visitor in visitors} == {"1.1.1.1"}
    assert visitor_of(request("a")) == visitors[0]


def with_cookie(session, cookie):
    made = request(session)
    made.request.scope["headers"].append((b"cookie", cookie.encode()))
    return visitor_of(made)


def test_a_browser_is_one_visitor_in_all_its_tabs_and_after_a_reload():
    cookies = [new_cookie(secure=False).partition(";")[0] for _ in range(2)]
    one, two = ([with_cookie(s, f"x=1; {c}") for s in "ab"] for c in cookies)
    assert one[0] == one[1] != two[0] == two[1]
    assert with_cookie(f"browser {cookies[0].partition('=')[2]}", "") not in one


@pytest.mark.parametrize("odd", ["", "A" * 32, "a" * 31, "a" * 33, '"a"', "\0" * 32])
def test_what_is_no_cookie_of_ours_is_nobody(odd):
    assert with_cookie("a", f"{COOKIE}={odd}") == visitor_of(request("a"))


def test_who_is_signed_in_is_one_visitor_in_all_sessions():
    def signed_in(user, session):
        made = request(session)
        info = {"userinfo": {"sub": user}, "access_token": "hf_secret"}
        made.request.scope["session"] = {"oauth_info": info}
        return visitor_of(made)

    assert signed_in("alice", "a") == signed_in("alice", "b")
    keys = {signed_in("alice", "a").key, signed_in("bob", "a").key}
    assert len(keys | {visitor_of(request("a")).key}) == 3
    assert visitor_of(request("user alice")).key not in keys  # a session of that name
    for odd in ({}, {"oauth_info": None}, {"oauth_info": {"userinfo": {"sub": 3}}}, 7):
        made = request("a")
        made.request.scope["session"] = odd
        assert visitor_of(made) == visitor_of(request("a"))


@pytest.mark.parametrize(("proxies", "address"), [(0, "1.1.1.1"), (1, "3.3.3.3")])
def test_an_address_is_believed_for_so_many_proxies(monkeypatch, proxies, address):
    """What a client wrote into a header of its own stands in the first one."""
    monkeypatch.setenv("CHARRNN_TRUSTED_PROXIES", str(proxies))
    assert visitor_of(request("a", "2.2.2.2", "3.3.3.3")).address == address


def test_a_function_called_without_a_page_has_no_visitor():
    assert visitor_of(None) == UNKNOWN_VISITOR
    assert visitor_of(gr.Request(username="a", session_hash="b")) == UNKNOWN_VISITOR
