"""What a visitor, an address and everybody may have asked for at once."""

import pytest

from charrnn.errors import RunError
from charrnn.hosting import HOSTED, LOCAL, Visitor
from charrnn.runs import in_flight
from charrnn.runs.in_flight import InFlight

COMPARISON = 4 * 400


def visitors(count, address="1"):
    return [Visitor(f"session {index}", address) for index in range(count)]


def accepted(counts, asked, characters, policy=HOSTED):
    """The claims that were taken, of a request by each visitor."""
    claims = []
    for visitor in asked:
        try:
            claims.append(counts.take(visitor, characters, policy))
        except RunError:
            continue
    return claims


def test_one_visitor_may_ask_for_so_much_and_is_told_what_is_too_much():
    counts, (visitor, other) = InFlight(), visitors(2)
    claim = counts.take(visitor, 39_000, HOSTED)
    sentence = (
        "1,600 characters are asked for and 39,000 of yours are still to be written: a "
        "visitor may have 40,000 at once. Wait, or ask for less."
    )
    with pytest.raises(RunError) as error:
        counts.take(visitor, COMPARISON, HOSTED)
    assert str(error.value) == sentence
    counts.take(other, COMPARISON, HOSTED)
    counts.done(claim, 600)  # what is written is in flight no longer
    claim = counts.take(visitor, COMPARISON, HOSTED)
    with pytest.raises(RunError):
        counts.take(visitor, 1, HOSTED)
    counts.release(claim)
    counts.take(visitor, COMPARISON, HOSTED)
    with pytest.raises(RunError, match=r"^160,000 characters are asked for: a visitor"):
        counts.take(Visitor("new", "2"), 160_000, HOSTED)


def test_a_burst_of_240_requests_is_cut_to_what_a_visitor_may_have():
    (visitor,) = visitors(1)
    assert len(accepted(InFlight(), [visitor] * 240, 40_000)) == 1
    # on one's own computer no characters are counted, but there is a queue
    counts = InFlight()
    found = accepted(counts, [visitor] * 240, 40_000, LOCAL)
    assert len(found) == in_flight.REQUESTS_PER_VISITOR
    with pytest.raises(RunError, match="One more request is made and 32 of yours"):
        counts.take(visitor, 1, LOCAL)


def test_a_class_behind_one_address_compares_all_at_once():
    assert len(accepted(InFlight(), visitors(30), COMPARISON)) == 30


def test_a_thousand_sessions_get_what_one_address_gets():
    counts = InFlight()
    claims = accepted(counts, visitors(1000), 40_000)
    assert len(claims) == 5  # half of the 400,000 of all, less than ten visitors'
    with pytest.raises(RunError, match="200,000 from your network are still"):
        counts.take(Visitor("one more", "1"), COMPARISON, HOSTED)
    others = accepted(counts, visitors(1000, address="2"), 40_000)
    assert len(others) == 5
    with pytest.raises(RunError, match="400,000 of all visitors are still"):
        counts.take(Visitor("late", "3"), COMPARISON, HOSTED)


def test_what_is_to_be_read_is_counted_apart_and_says_so():
    counts = InFlight(in_flight.ASKED_TO_READ, in_flight.LEFT_TO_READ)
    (visitor,) = visitors(1)
    counts.take(visitor, 39_000, HOSTED)
    sentence = (
        "1,001 characters are to be read and 39,000 of yours are still to be read: a "
        "visitor may have 40,000 at once. Wait, or ask for less."
    )
    with pytest.raises(RunError) as error:
        counts.take(visitor, 1_001, HOSTED)
    assert str(error.value) == sentence


@pytest.mark.parametrize("policy", [HOSTED, LOCAL])
def test_requests_are_counted_like_characters(policy):
    counts = InFlight()
    half = in_flight.MAX_REQUESTS // 2
    assert len(accepted(counts, visitors(1000), 1, policy)) == half
    assert len(accepted(counts, visitors(1000, "2"), 1, policy)) == half
    with pytest.raises(RunError, match="128 of all visitors"):
        counts.take(Visitor("late", "3"), 1, policy)


def test_whoever_has_nothing_in_flight_leaves_no_trace():
    counts = InFlight()
    claims = accepted(counts, [*visitors(50), *visitors(50, "2")], COMPARISON)
    assert len(claims) == 100
    for claim in claims:
        counts.done(claim, 100)
        counts.release(claim)
    last = counts.take(Visitor("a", "3"), 5, HOSTED)
    counts.done(last, 5)
    assert not counts._characters
    assert set(counts._requests) == {last.visitor, "3", None}
