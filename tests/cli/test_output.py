"""Lines of a training, in a pipe and on a terminal, and texts that are streamed."""

import dataclasses

import pytest

from charrnn.cli.output import (
    STEP_SECONDS,
    Printer,
    date,
    duration,
    say_outcome,
    show_parts,
    stream_texts,
)
from charrnn.model.generation import MAX_ROWS
from charrnn.runs.events import (
    Ended,
    Notice,
    Planned,
    Resumed,
    Started,
    Step,
    Validation,
)
from charrnn.runs.states import EndReason
from charrnn.runs.view import RunView
from charrnn.text.parts import Part
from tests.builders import make_record

PER_STEP = 1000


def started(time: float, planned: int | None, step: int = 0) -> Started:
    return Started(
        time=time,
        step=step,
        planned_steps=planned,
        steps_per_epoch=50,
        parameters=9,
        pid=1,
    )


def at(time: float, step: int) -> Step:
    return Step(
        time=time,
        step=step,
        epoch=1 + step // 50,
        loss=2.0,
        learning_rate=0.01,
        chars_per_second=2000.0,
    )


def printed(events, capfd, *, live: bool) -> str:
    printer = Printer(live, PER_STEP)
    for event in events:
        printer(event)
    out, err = capfd.readouterr()
    assert out == ""
    return err


def test_a_pipe_gets_the_first_step_and_then_one_each_half_minute(capfd):
    steps = [at(10 + 0.5 * i, 2 + i) for i in range(130)]
    err = printed([started(9, 200), *steps], capfd, live=False)
    assert err.splitlines() == [
        "200 steps are planned",
        "step 2 of 200, loss 2.000 nats/char, epoch 1, 2,000 chars/s",
        "step 62 of 200, 1 min 09 s left, loss 2.000 nats/char, epoch 2, 2,000 chars/s",
        "step 122 of 200, 39 s left, loss 2.000 nats/char, epoch 3, 2,000 chars/s",
    ]
    assert STEP_SECONDS == 30


def test_before_the_first_validation_the_plan_is_told_once(capfd):
    events = [started(9, None), at(10, 3), Planned(time=11, step=9, planned_steps=80)]
    events += [Planned(time=12, step=9, planned_steps=80)]
    assert printed(events, capfd, live=False).splitlines() == [
        "timing the first steps: how many are there time for?",
        "step 3, loss 2.000 nats/char, epoch 1, 2,000 chars/s",
        "80 steps are planned",
    ]


def test_the_first_step_of_a_process_says_nothing_of_the_time_left(capfd):
    events = [started(0, 90), at(1, 3), at(40, 4), Resumed(time=50, step=4)]
    events += [started(50, 90, 4), at(80, 5)]
    lines = printed(events, capfd, live=False).splitlines()
    assert [" left" in line for line in lines if line.startswith("step")] == [
        False,
        True,
        False,
    ]


def test_a_terminal_has_one_line_that_other_lines_take_the_place_of(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    validation = Validation(time=12, step=20, val_loss=1.5, best=True)
    ended = Ended(time=13, step=20, reason=EndReason.FINISHED)
    events = [started(9, 20), at(10, 9), at(10.5, 20), validation, ended]
    shown = [
        "20 steps are planned\n",
        "step 9 of 20, loss 2.000 nats/char, epoch 1, 2,000 chars/s"[:59].ljust(59),
        "step 20 of 20, 0 s left, loss 2.000 nats/char, epoch 1, 2,0",
        " " * 59,
        "step 20: sampled validation 1.5000 nats/char (2.164 bits)  best so far\n"
        "finished after step 20\n",
    ]
    assert printed(events, capfd, live=True) == "\r".join(shown)


def test_what_a_stranger_wrote_does_not_act_on_the_terminal(capfd):
    err = printed(
        [Notice(time=1, step=0, message="a\x1b[2Jb\u00a0c")], capfd, live=True
    )
    assert err == "note: a\ufffd[2Jb\u00a0c\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")),
        *((3599.6, "1 h 00 min"), (7380, "2 h 03 min"), (90_000, "25 h 00 min")),
    ],
)
def test_a_duration(seconds, text):
    assert duration(seconds) == text


def test_a_date():
    assert date(None) == "-"
    assert len(date(1_790_000_000)) == len("2026-09-21 14:13")


def test_texts_come_in_their_order_whatever_turn_writes_them(capfd):
    count = 2 * MAX_ROWS + 1
    texts = [f"text {i}" if i != 3 else "" for i in range(count)]
    frames = []
    for start in range(0, count, MAX_ROWS):
        for length in (3, 7):
            now = [t if i < start else "" for i, t in enumerate(texts)]
            for i in range(start, min(start + MAX_ROWS, count)):
                now[i] = texts[i][:length]
            frames.append(now)
    stream_texts(iter(frames), [f"head {i}" for i in range(count)])
    expected = "".join(f"--- head {i} ---\n{t}\n" for i, t in enumerate(texts))
    assert capfd.readouterr().out == expected
    stream_texts(iter([["ab"], ["abc"]]), [""])  # a single text has no head
    assert capfd.readouterr().out == "abc\n"


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        (
            {"float16_cost": 1e-5, "int8_cost": 0.0123},
            "in float16 by +0.0000, in int8 by +0.0123 nats/char; a web page of "
            "them takes float16, the smallest format that loses less than 0.005\n",
        ),
        (
            {"float16_cost": 0.005, "int8_cost": 1.0},
            "in float16 by +0.0050, in int8 by +1.0000 nats/char; a web page of "
            "them takes float32, since each smaller format loses 0.005 or more\n",
        ),
        ({}, None),
    ],
)
def test_the_end_tells_what_smaller_weights_cost(costs, told, capfd):
    record = make_record()
    figures = dataclasses.replace(record.figures, **costs)
    say_outcome(dataclasses.replace(record, figures=figures), RunView())
    kept, *more = capfd.readouterr().err.splitlines(keepends=True)
    assert kept.startswith("kept weights of step 1,200: validation 1.5000 nats/char")
    assert more == ([f"their loss changes {told}"] if told else [])


def test_parts_of_a_loss_are_a_table(capfd):
    show_parts({"word_starts": Part(30, 0.9), "signs": Part(70, 0.3)})
    assert capfd.readouterr().out.splitlines()[1:] == [
        "word_starts  0.9000     75.0%        30.0%        3.000",
        "signs        0.3000     25.0%        70.0%        0.429",
    ]
