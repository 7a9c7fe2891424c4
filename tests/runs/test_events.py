"""The history of a run: whole lines, torn lines, garbage, and going back."""

import json
import math
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import CheckpointError
from charrnn.runs import events
from charrnn.runs.events import FILE_NAME, EventLog, effective, read, read_all


def line(kind="step", step=1, **fields):
    event = {"type": kind, "time": 1.5, "step": step, **fields}
    return json.dumps(event).encode() + b"\n"


def write(folder, data):
    (folder / FILE_NAME).write_bytes(data)


def steps(found):
    return [event["step"] for event in found]


def test_what_is_appended_is_read(tmp_path):
    heard = []
    log = EventLog(tmp_path, listener=heard.append, clock=lambda: 1790000000.5)
    first = log.append("started", 0, planned_steps=10)
    second = log.append("sample", 1, text="à\n\u2028\x85 🍰 \ud83d")
    assert first == {
        "type": "started",
        "time": 1790000000.5,
        "step": 0,
        "planned_steps": 10,
    }
    assert heard == [first, second]
    data = (tmp_path / FILE_NAME).read_bytes()
    assert data.count(b"\n") == 2
    found = read_all(tmp_path)
    assert found[0] == first
    assert found[1]["text"] == "à\n\u2028\x85 🍰 \ud83d"


def test_no_history_yet(tmp_path):
    assert read(tmp_path) == ([], 0)
    assert read(tmp_path, 100) == ([], 0)
    assert read_all(tmp_path) == []


def test_offsets_go_on_where_the_last_read_ended(tmp_path):
    log = EventLog(tmp_path, clock=lambda: 1.0)
    log.append("step", 1)
    log.append("step", 2)
    found, offset = read(tmp_path)
    assert steps(found) == [1, 2]
    assert offset == (tmp_path / FILE_NAME).stat().st_size
    assert read(tmp_path, offset) == ([], offset)
    log.append("step", 3)
    found, following = read(tmp_path, offset)
    assert steps(found) == [3]
    assert following == (tmp_path / FILE_NAME).stat().st_size


def test_a_line_being_written_is_left_for_next_time(tmp_path):
    whole = line(step=1)
    torn = line(step=2)[:-1]  # all but the newline
    write(tmp_path, whole + torn)
    found, offset = read(tmp_path)
    assert steps(found) == [1]
    assert offset == len(whole)
    write(tmp_path, whole + torn + b"\n")
    found, offset = read(tmp_path, offset)
    assert steps(found) == [2]


def test_an_event_after_a_torn_line_stands_alone(tmp_path):
    write(tmp_path, line(step=1) + line(step=2)[:20])
    log = EventLog(tmp_path)
    log.append("resumed", 1)
    with (tmp_path / FILE_NAME).open("ab") as file:  # a second crash
        file.write(line(step=3)[:-5])
    log.append("step", 2)
    assert [(e["type"], e["step"]) for e in read_all(tmp_path)] == [
        ("step", 1),
        ("resumed", 1),
        ("step", 2),
    ]
    assert b"\n\n" not in (tmp_path / FILE_NAME).read_bytes()


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\r",
        b"not json",
        b"\xff\xfe\x00\x80",
        b"null",
        b"[1]",
        b"5",
        b"{}",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"type": "step"}',
        b'{"type": "step", "time": 1}',
        b'{"type": "step", "step": 1}',
        b'{"type": "unheard-of", "time": 1, "step": 1}',
        b'{"type": ["step"], "time": 1, "step": 1}',
        b'{"type": "step", "time": 1, "step": -1}',
        b'{"type": "step", "time": 1, "step": 1.0}',
        b'{"type": "step", "time": 1, "step": true}',
        b'{"type": "step", "time": 1, "step": "1"}',
        b'{"type": "step", "time": 1, "step": null}',
        b'{"type": "step", "time": true, "step": 1}',
        b'{"type": "step", "time": "now", "step": 1}',
        b'{"type": "step", "time": NaN, "step": 1}',
        b'{"type": "step", "time": Infinity, "step": 1}',
        b'{"type": "step", "time": 1, "step": 1' + b"0" * 400 + b"}",
        b'{"type": "step", "time": 1' + b"0" * 400 + b', "step": 1}',
    ],
)
def test_garbage_is_passed_over(tmp_path, garbage):
    write(tmp_path, line(step=1) + garbage + b"\n" + line(step=2))
    assert steps(read_all(tmp_path)) == [1, 2]


def test_a_line_longer_than_a_read_is_stepped_over(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MAX_READ", 100)
    write(tmp_path, line(step=1) + b"x" * 1000 + b"\n" + line(step=2))
    assert steps(read_all(tmp_path)) == [1, 2]


def test_a_long_history_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MAX_READ", 200)
    write(tmp_path, b"".join(line(step=n) for n in range(50)))
    found, offset = read(tmp_path)
    assert offset <= 200
    assert 0 < len(found) < 50
    assert steps(read_all(tmp_path)) == list(range(50))


def test_a_replaced_file_is_read_from_its_start(tmp_path):
    write(tmp_path, line(step=1) * 5)
    _, offset = read(tmp_path)
    write(tmp_path, line(step=9))
    found, following = read(tmp_path, offset)
    assert steps(found) == [9]
    assert following == len(line(step=9))
    assert steps(read(tmp_path, -5)[0]) == [9]


def test_resuming_takes_back_what_lies_ahead():
    def event(kind, step):
        return {"type": kind, "time": 1.0, "step": step}

    history = [
        *(event("started", 0), event("step", 10), event("validation", 10)),
        *(event("step", 20), event("sample", 20), event("notice", 20)),
        *(event("checkpoint", 20), event("learning_rate", 20), event("floor", 20)),
        event("resumed", 10),
        *(event("step", 15), event("step", 20), event("validation", 20)),
        event("resumed", 15),
        event("ended", 15),
    ]
    kept = [(e["type"], e["step"]) for e in effective(history)]
    assert kept == [
        *(("started", 0), ("step", 10), ("validation", 10), ("notice", 20)),
        *(("learning_rate", 20), ("floor", 20), ("resumed", 10), ("step", 15)),
        *(("resumed", 15), ("ended", 15)),
    ]


@settings(deadline=None, max_examples=40)
@given(
    parts=st.lists(
        st.one_of(
            st.builds(
                line,
                st.sampled_from(["step", "validation", "resumed", "notice", "odd"]),
                st.integers(0, 9),
            ),
            st.binary(max_size=20).map(lambda b: b + b"\n"),
            st.builds(line).map(lambda b: b[:-7]),  # torn: eats the next line
        ),
        max_size=8,
    ),
    chunk=st.integers(1, 5),
)
def test_following_a_growing_file_is_reading_it_all(tmp_path_factory, parts, chunk):
    folder = tmp_path_factory.mktemp("run")
    data = b"".join(parts)
    followed, offset = [], 0
    with (folder / FILE_NAME).open("wb", buffering=0) as file:
        for start in range(0, len(data), chunk):
            file.write(data[start : start + chunk])
            more, offset = read(folder, offset)
            followed += more
    assert effective(followed) == read_all(folder)


def test_a_history_that_cannot_be_written(tmp_path):
    log = EventLog(tmp_path / "gone")
    with pytest.raises(CheckpointError, match=r"cannot be written \(No such file"):
        log.append("step", 1)
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        EventLog(tmp_path).append("step", 1)
    with pytest.raises(CheckpointError, match=r"events\.jsonl cannot be read"):
        read(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")  # noqa: PTH110
def test_a_full_disk_is_a_sentence_and_nobody_hears_of_the_event(tmp_path):
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    heard = []
    with pytest.raises(CheckpointError, match=r"No space left.*free some space"):
        EventLog(tmp_path, listener=heard.append).append("step", 1)
    assert heard == []


def test_a_number_that_json_lacks_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        EventLog(tmp_path).append("step", 1, loss=math.nan)
    assert read_all(tmp_path) == []


def test_several_writers_do_not_mix_their_lines(tmp_path):
    def append(writer):
        log = EventLog(tmp_path)
        for step in range(100):
            log.append("notice", step, writer=writer, text="x" * (50 * writer))

    threads = [threading.Thread(target=append, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_all(tmp_path)
    assert len(found) == 400
    for writer in range(4):
        assert steps(e for e in found if e["writer"] == writer) == list(range(100))


def test_a_resume_takes_back_the_validation_of_a_stop(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.append("validation", 5, val_loss=2.0, best=True)
    log.append("validation", 7, val_loss=1.5, best=True, scheduled=False)
    assert len(events.read_all(tmp_path)) == 2
    log.append("resumed", 7)
    kept = [e for e in events.read_all(tmp_path) if e["type"] == "validation"]
    assert [e["step"] for e in kept] == [5]
