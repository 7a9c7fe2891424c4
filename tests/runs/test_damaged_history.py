"""Whatever bit or value of a history is damaged, every reader goes on.

What is not damaged is read as before, what is left out is counted, and the
page, the command line and the card show the rest.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn import card
from charrnn.cli.parser import main
from charrnn.runs import events, listing, preparation
from charrnn.runs.control import create
from charrnn.runs.events import FILE_NAME, read
from charrnn.runs.history import forget
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.ui import following
from charrnn.ui.shared import Browser
from tests.builders import make_event, reduce

# long ago: no damaged time is that of a trainer that may yet start
HISTORY = [
    json.dumps(events.to_dict(event), ensure_ascii=False).encode()
    for event in (
        make_event("queued", time=9.5, position=2),
        make_event("notice", time=10.5, message="ein Wort 🍰"),
        make_event("started", time=11.5),
        make_event("step", 8, time=12.5),
        make_event("planned", 8, time=13.5),
        make_event("learning_rate", 9, time=14.5),
        make_event("validation", 50, time=15.5),
        make_event("sample", 50, time=16.5, text=" sea\n"),
        make_event("checkpoint", 50, time=16.5),
        make_event("baseline", 50, time=16.5),
        make_event("validation", 60, time=17.5, scheduled=False),
        make_event("ended", 60, time=18.5, reason="stopped"),
        make_event("resumed", 50, time=19.5),
        make_event("started", 50, time=19.5, planned_steps=100),
        make_event("step", 70, time=21.5, loss=1.5),
        make_event("failed", 70, time=22.5),
    )
]
WHOLE = [events.parse(line) for line in HISTORY]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**53, 2**63, 2**64, 10**400, -1, 0]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["\ud83d", "NaN", "", "step", "died", "\x1b[2J"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
)


@pytest.fixture
def run(small_corpus):
    small = {"rnn_units": 8, "embedding_dim": 4}
    return create(preparation.prepare(small_corpus, settings=small), model_id="run")


def check(run, capsys, data, damaged):
    """Read it in every way; only the damaged lines may have changed."""
    (run / FILE_NAME).write_bytes(data)
    forget(run)
    found = read(run)
    lines = [line for line in data.split(b"\n") if line.strip()]
    assert len(found.events) + found.damaged == len(lines)
    assert found.damaged <= 2  # a new newline makes two lines of one
    kept = [event for i, event in enumerate(WHOLE) if i not in damaged]
    assert [event for event in found.events if event in kept] == kept
    status = read_status("run")
    assert status.view.damaged == found.damaged
    assert status.view.taken == len(found.events)
    assert [entry.problem for entry in listing.list_runs()] == [""]
    assert card.curve_of(run) == [
        (event.step, event.val_loss) for event in status.view.validations
    ]
    code = main(["follow", "run"])
    assert code == (1 if status.state in (RunState.DIED, RunState.FAILED) else 0)
    shown = following.whole_panel("en", "run", Browser())
    for told in (capsys.readouterr().err, shown.news):
        assert ("The history of this run is damaged" in told) == (found.damaged > 0)


SETTINGS = settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_each_bit_of_each_line_is_read_and_reduced():
    for number, line in enumerate(HISTORY):
        for bit in range(8 * len(line)):
            flipped = bytearray(line)
            flipped[bit // 8] ^= 1 << bit % 8
            parts = bytes(flipped).split(b"\n")
            found = [event for part in parts if (event := events.parse(part))]
            if found:  # else the line is left out
                history = [*WHOLE[:number], *found, *WHOLE[number + 1 :]]
                assert reduce(history).taken == len(history)


@SETTINGS
@given(place=st.data())
def test_any_one_bit_may_be_flipped(run, capsys, place):
    number = place.draw(st.integers(0, len(HISTORY) - 1))
    bit = place.draw(st.integers(0, 8 * len(HISTORY[number]) - 1))
    line = bytearray(HISTORY[number])
    line[bit // 8] ^= 1 << bit % 8
    lines = [*HISTORY[:number], bytes(line), *HISTORY[number + 1 :], b""]
    check(run, capsys, b"\n".join(lines), {number})


@SETTINGS
@given(place=st.data())
def test_any_one_value_may_be_another(run, capsys, place):
    number = place.draw(st.integers(0, len(HISTORY) - 1))
    event = json.loads(HISTORY[number])
    key = place.draw(st.sampled_from(sorted(event)))
    event[key] = place.draw(ODD)
    line = json.dumps(event).encode()
    lines = [*HISTORY[:number], line, *HISTORY[number + 1 :], b""]
    check(run, capsys, b"\n".join(lines), {number})


@SETTINGS
@given(cut=st.data())
def test_any_lines_may_be_missing(run, capsys, cut):
    present = cut.draw(st.sets(st.integers(0, len(HISTORY) - 1)))
    lines = [*(HISTORY[number] for number in sorted(present)), b""]
    missing = set(range(len(HISTORY))) - present
    check(run, capsys, b"\n".join(lines), missing)


def test_the_newlines_between_lines_are_damaged_too(run, capsys):
    for number in range(len(HISTORY) - 1):
        joined = HISTORY[number] + b"\x0b" + HISTORY[number + 1]
        lines = [*HISTORY[:number], joined, *HISTORY[number + 2 :], b""]
        check(run, capsys, b"\n".join(lines), {number, number + 1})
