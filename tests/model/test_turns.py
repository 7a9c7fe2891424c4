"""Whose turn it is, pass after pass."""

import collections
import pathlib

from charrnn.config import SamplingConfig
from charrnn.hosting import VISITORS_PER_ADDRESS, Visitor
from charrnn.model import turns
from charrnn.model.request import Job, Request, TextStream
from charrnn.model.turns import Turns


def ask(queue, key, *, address="", count=1, rows=4):
    """Requests that are ready at once; the models do not matter here."""
    made = []
    for _ in range(count):
        configs = (SamplingConfig(),) * rows
        visitor = Visitor(key, address or key)
        job = Job(pathlib.Path("m"), "a", 10, configs, visitor)
        request = Request(job, TextStream(rows))
        request.loaded = object()
        queue.add(request)
        made.append(request)
    queue.admit()
    return made


def keys(requests):
    return [request.visitor.key for request in requests]


def test_every_visitor_has_one_request_in_a_pass_and_their_own_take_turns():
    queue = Turns()
    many = ask(queue, "a", count=240)
    (one,) = ask(queue, "b")
    seen = []
    for _ in range(8):
        chosen = queue.choose()
        assert sorted(keys(chosen)) == ["a", "b"]
        assert one in chosen
        seen += [many.index(request) for request in chosen if request is not one]
    assert seen == [0, 1, 2, 3] * 2
    assert len(queue) == 241


def test_a_visitor_alone_has_all_active_requests_advanced_together():
    queue = Turns()
    many = ask(queue, "a", count=9)
    assert queue.choose() == many[: turns.MAX_ACTIVE]
    many[1].done = True
    assert queue.remove_done() == [many[1]]
    assert queue.admit() == [many[turns.MAX_ACTIVE]]
    assert set(queue.choose()) == {many[i] for i in (0, 2, 3, 4)}


def test_a_thousand_sessions_of_one_address_get_what_an_address_gets():
    queue = Turns()
    for index in range(1000):
        ask(queue, f"attacker {index}", address="1")
    ask(queue, "b")
    counts = collections.Counter()
    for _ in range(100):
        chosen = queue.choose()
        assert "b" in keys(chosen)
        assert len(chosen) == VISITORS_PER_ADDRESS + 1
        counts.update(keys(chosen))
    del counts["b"]
    assert set(counts.values()) == {1}  # each session in its turn
    assert len(counts) == 1000


def test_a_pass_is_bounded_and_who_is_left_out_comes_first():
    queue = Turns()
    visitors = [str(index) for index in range(3 * turns.MAX_PASS_ROWS // 16)]
    for visitor in visitors:
        ask(queue, visitor, rows=16)
    served = []
    for _ in range(3):
        chosen = queue.choose()
        assert sum(request.num_rows for request in chosen) == turns.MAX_PASS_ROWS
        served += keys(chosen)
    assert served == visitors


def test_what_is_done_leaves_no_trace_and_what_is_not_ready_has_no_turn():
    queue = Turns()
    requests = ask(queue, "a", count=6)
    requests[0].loaded = None
    assert requests[0] not in queue.choose()
    for request in requests:
        request.done = True
    assert queue.choose() == []
    assert set(queue.remove_done()) == set(requests)
    assert len(queue) == 0
    assert not queue._lines
