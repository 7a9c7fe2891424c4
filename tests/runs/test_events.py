"""The lines of a history: what is written, what is read, what is left out."""

import json
import math
import os
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import CheckpointError
from charrnn.runs import events
from charrnn.runs.events import FILE_NAME, EventLog, read
from tests.builders import EVENT_TYPES, make_event

STEP = {
    **{"type": "step", "time": 1.5, "step": 1, "epoch": 1, "loss": 2.5},
    **{"learning_rate": 0.01, "chars_per_second": 100.0},
}


def line(step=1, **fields):
    return json.dumps({**STEP, "step": step, **fields}).encode() + b"\n"


def without(key):
    return json.dumps({k: v for k, v in STEP.items() if k != key}).encode()


def write(folder, data):
    (folder / FILE_NAME).write_bytes(data)


def steps(found):
    return [event.step for event in found]


def test_what_is_appended_is_read(tmp_path):
    heard = []
    log = EventLog(tmp_path, listener=heard.append, clock=lambda: 1790000000.5)
    first = log.append(make_event("queued", 0, position=2))
    second = log.append(make_event("sample", 1, text="à\n\u2028\x85 🍰"))
    assert heard == [first, second]
    lines = (tmp_path / FILE_NAME).read_bytes().split(b"\n")
    assert json.loads(lines[0]) == {
        **{"type": "queued", "time": 1790000000.5, "step": 0, "position": 2}
    }
    assert lines[2:] == [b""]
    assert read(tmp_path).events == [first, second]
    assert second.text == "à\n\u2028\x85 🍰"


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_type_is_read_as_it_was_written(tmp_path, kind):
    written = EventLog(tmp_path).append(make_event(kind, 7))
    assert read(tmp_path) == ([written], (tmp_path / FILE_NAME).stat().st_size, 0)
    assert events.to_dict(written) == json.loads((tmp_path / FILE_NAME).read_bytes())


def test_a_history_of_the_first_version_is_read_whole(tmp_path):
    lines = [
        '{"type": "queued", "time": 1.5, "step": 0, "position": 0}',
        '{"type": "started", "time": 2.5, "step": 0, "planned_steps": null, '
        '"steps_per_epoch": 39, "parameters": 4531, "pid": 77}',
        '{"type": "validation", "time": 3.5, "step": 9, "val_loss": 2.5, "best": true}',
        '{"type": "validation", "time": 3.5, "step": 9, "val_loss": 2.5, "best": true, '
        '"scheduled": false}',
        '{"type": "floor", "time": 4.5, "step": 9, "order": 5, "loss": 1.75}',
        '{"type": "ended", "time": 5.5, "step": 9, "reason": "stopped"}',
        '{"type": "ended", "time": 5.5, "step": 9, "reason": "finished", '
        '"writing_seconds": 0.5}',
    ]
    write(tmp_path, "\n".join([*lines, ""]).encode())
    found = read(tmp_path)
    assert found.damaged == 0
    assert [type(event) for event in found.events] == [
        *(events.Queued, events.Started, events.Validation, events.Validation),
        *(events.Baseline, events.Ended, events.Ended),
    ]
    assert [found.events[2].scheduled, found.events[3].scheduled] == [True, False]


def test_no_history_yet(tmp_path):
    assert read(tmp_path) == ([], 0, 0)
    assert read(tmp_path, 100) == ([], 0, 0)


def test_offsets_go_on_where_the_last_read_ended(tmp_path):
    log = EventLog(tmp_path)
    log.append(make_event("step", 1))
    log.append(make_event("step", 2))
    found = read(tmp_path)
    assert steps(found.events) == [1, 2]
    assert found.next == (tmp_path / FILE_NAME).stat().st_size
    assert read(tmp_path, found.next) == ([], found.next, 0)
    log.append(make_event("step", 3))
    more = read(tmp_path, found.next)
    assert steps(more.events) == [3]
    assert more.next == (tmp_path / FILE_NAME).stat().st_size


def test_a_line_being_written_is_left_for_next_time(tmp_path):
    whole = line(step=1)
    torn = line(step=2)[:-1]  # all but the newline
    write(tmp_path, whole + torn)
    found = read(tmp_path)
    assert (steps(found.events), found.next, found.damaged) == ([1], len(whole), 0)
    write(tmp_path, whole + torn + b"\n")
    assert steps(read(tmp_path, found.next).events) == [2]


def test_an_event_after_a_torn_line_stands_alone(tmp_path):
    write(tmp_path, line(step=1) + line(step=2)[:20])
    log = EventLog(tmp_path)
    log.append(make_event("resumed", 1))
    with (tmp_path / FILE_NAME).open("ab") as file:  # a second crash
        file.write(line(step=3)[:-5])
    log.append(make_event("step", 2))
    found = read(tmp_path)
    assert [(e.type, e.step) for e in found.events] == [
        *(("step", 1), ("resumed", 1), ("step", 2))
    ]
    assert found.damaged == 2
    assert b"\n\n" not in (tmp_path / FILE_NAME).read_bytes()


@pytest.mark.parametrize(
    "garbage",
    [
        b"not json",
        b"\xff\xfe\x00\x80",
        b"null",
        b"[1]",
        b"5",
        b"{}",
        b"[" * 100_000,
        b"9" * 10_000,
        without("type"),
        without("time"),
        without("step"),
        without("loss"),
        without("epoch"),
        line(type="unheard-of"),
        line(type=["step"]),
        line(step=-1),
        line(step=1.0),
        line(step=True),
        line(step="1"),
        line(step=None),
        line(step=10**400),
        line(step=2**53),
        line(time=True),
        line(time="now"),
        line(time=math.nan),
        line(time=math.inf),
        line(time=-1),
        line(time=10**400),
        line(loss=None),
        line(loss="high"),
        line(loss=True),
        line(loss=[]),
        line(loss=math.nan),
        line(loss=1e300),
        line(epoch=0),
        line(type="sample", temperature=0.8, prompt="", text=None),
        line(type="sample", temperature=0.8, prompt="", text="\ud83d"),
        line(type="notice", message={"a": 1}),
        line(type="ended", reason="died"),
        line(type="learning_rate", factor=0),
        line(type="validation", val_loss=2.0, best=1),
    ],
)
def test_what_does_not_fit_the_schema_is_left_out_and_counted(tmp_path, garbage):
    write(tmp_path, line(step=1) + garbage.rstrip(b"\n") + b"\n" + line(step=2))
    found = read(tmp_path)
    assert (steps(found.events), found.damaged) == ([1, 2], 1)


@pytest.mark.parametrize("nothing", [b"\n", b"\r\n", b"  \n"])
def test_an_empty_line_is_no_damage_nor_is_an_unknown_key(tmp_path, nothing):
    write(tmp_path, line(step=1) + nothing + line(step=2, later="version"))
    found = read(tmp_path)
    assert (steps(found.events), found.damaged) == ([1, 2], 0)


def test_a_line_longer_than_a_read_is_stepped_over(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MAX_READ", 200)
    write(tmp_path, line(step=1) + b"x" * 1000 + b"\n" + line(step=2))
    assert steps(read_in_parts(tmp_path)) == [1, 2]


def read_in_parts(folder):
    found, offset = [], 0
    while True:
        part = read(folder, offset)
        found += part.events
        if part.next == offset:
            return found
        offset = part.next


def test_a_long_history_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MAX_READ", 300)
    write(tmp_path, b"".join(line(step=n) for n in range(50)))
    part = read(tmp_path)
    assert part.next <= 300
    assert 0 < len(part.events) < 50
    assert steps(read_in_parts(tmp_path)) == list(range(50))


def test_a_replaced_file_is_read_from_its_start(tmp_path):
    write(tmp_path, line(step=1) * 5)
    offset = read(tmp_path).next
    write(tmp_path, line(step=9))
    found = read(tmp_path, offset)
    assert steps(found.events) == [9]
    assert found.next == len(line(step=9))
    assert steps(read(tmp_path, -5).events) == [9]


@settings(deadline=None, max_examples=40)
@given(
    parts=st.lists(
        st.one_of(
            st.builds(line, st.integers(0, 9)),
            st.binary(max_size=20).map(lambda b: b + b"\n"),
            st.builds(line).map(lambda b: b[:-7]),  # torn: eats the next line
        ),
        max_size=6,
    ),
    chunk=st.integers(1, 9),
)
def test_following_a_growing_file_is_reading_it_all(tmp_path_factory, parts, chunk):
    folder = tmp_path_factory.mktemp("run")
    data = b"".join(parts)
    followed, damaged, offset = [], 0, 0
    with (folder / FILE_NAME).open("wb", buffering=0) as file:
        for start in range(0, len(data), chunk):
            file.write(data[start : start + chunk])
            part = read(folder, offset)
            followed, damaged = followed + part.events, damaged + part.damaged
            offset = part.next
    assert (followed, offset, damaged) == read(folder)


def test_a_history_that_cannot_be_written(tmp_path):
    log = EventLog(tmp_path / "gone")
    with pytest.raises(CheckpointError, match=r"cannot be written \(No such file"):
        log.append(make_event("step", 1))
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        EventLog(tmp_path).append(make_event("step", 1))
    with pytest.raises(CheckpointError, match=r"events\.jsonl\) cannot be read"):
        read(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")  # noqa: PTH110
def test_a_full_disk_is_a_sentence_and_nobody_hears_of_the_event(tmp_path):
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    heard = []
    with pytest.raises(CheckpointError, match=r"No space left.*free some space"):
        EventLog(tmp_path, listener=heard.append).append(make_event("step", 1))
    assert heard == []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("step", {"loss": math.nan}),
        ("step", {"loss": "2.0"}),
        ("step", {"epoch": 1.0}),
        ("validation", {"val_loss": math.inf}),
        ("notice", {"message": None}),
        ("learning_rate", {"factor": 1000.0}),
    ],
)
def test_an_event_that_breaks_the_schema_cannot_be_made(kind, fields):
    with pytest.raises(ValueError, match="1 validation error"):
        make_event(kind, **fields)


def test_what_is_no_event_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        EventLog(tmp_path).append({"type": "step", "time": 1.0, "step": 1})
    with pytest.raises(TypeError):
        EventLog(tmp_path).append(SimpleNamespace(type="step", time=1.0, step=1))
    with pytest.raises(ValueError, match="3 validation errors"):
        events.Step(step=1, epoch=1)
    unheard_of = events._Event(type="unheard-of", step=1)
    with pytest.raises(ValueError, match="not an event of the schema"):
        EventLog(tmp_path).append(unheard_of)
    assert not (tmp_path / FILE_NAME).exists()


def test_half_a_surrogate_pair_is_written_as_a_replacement(tmp_path):
    EventLog(tmp_path).append(make_event("notice", message="a\ud83d b 🍰 \udcff"))
    (event,) = read(tmp_path).events
    assert event.message == "a\ufffd b 🍰 \ufffd"


def test_several_writers_do_not_mix_their_lines(tmp_path):
    def append(writer):
        log = EventLog(tmp_path)
        for step in range(100):
            message = f"{writer}" * (1 + 50 * writer)
            log.append(make_event("notice", step, message=message))

    threads = [threading.Thread(target=append, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(tmp_path)
    assert (len(found.events), found.damaged) == (400, 0)
    for writer in range(4):
        own = [e for e in found.events if e.message.startswith(f"{writer}")]
        assert steps(own) == list(range(100))
