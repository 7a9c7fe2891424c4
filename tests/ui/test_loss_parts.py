"""What stands on the page of the parts of a loss."""

import dataclasses
import re

import pytest

from charrnn.runs.states import RunState
from charrnn.runs.status import Status
from charrnn.text.parts import PARTS, Part
from charrnn.ui.loss_parts import COLOURS, MAX_COLUMNS, parts_html
from tests.builders import make_event, make_record, reduce

SPLIT = {"word_starts": Part(30, 1.5), "signs": Part(70, 0.5)}


def shown(told, state=RunState.RUNNING, **figures):
    record = make_record()
    known = dataclasses.replace(record.figures, **figures)
    status = Status(state, "", reduce(told), run_id="r", title="t")
    return parts_html("en", status, dataclasses.replace(record, figures=known))


def rows(html):
    cells = re.findall(
        r"<tr><th scope=\"row\"><i .*?></i>(.*?)</th><td>(.*?)</td><td>(.*?)</td>"
        "<td>(.*?)</td></tr>",
        html,
    )
    return [tuple(row) for row in cells]


def test_the_table_has_each_part_and_its_shares():
    told = [make_event("validation", 10, val_loss=2.0, parts=SPLIT)]
    html = shown(told)
    assert rows(html) == [
        ("first letters of words", "1.500", "75 %", "30 %"),
        ("spaces, punctuation, signs", "0.500", "25 %", "70 %"),
    ]
    assert "Of the sampled validation at step 10." in html
    assert re.findall(r"height:([\d.]+)%", html) == ["100.0"]
    assert html.count("<span>step 10</span>") == 1


def test_at_rest_it_is_of_the_exact_pass():
    told = [make_event("validation", 10, val_loss=2.0, parts=SPLIT)]
    exact = {"digits": Part(9, 1.25)}
    html = shown(told, RunState.FINISHED, parts=exact, kept_step=1200)
    assert rows(html) == [("digits", "1.250", "100 %", "100 %")]
    assert "Of the kept weights, from step 1,200" in html
    assert "step 10." in shown(told, RunState.RUNNING, parts=exact)  # it goes on


def test_a_column_is_as_high_as_its_loss():
    told = [
        make_event("validation", step, val_loss=loss, parts=SPLIT)
        for step, loss in ((10, 4.0), (20, 2.0), (30, 1.0))
    ]
    html = shown([*told, make_event("validation", 40, val_loss=9.0)])
    assert re.findall(r"height:([\d.]+)%", html) == ["100.0", "50.0", "25.0"]
    pieces = re.findall(r'flex:([\d.]+) 0 0;background:(#\w+)"', html)
    assert (
        pieces
        == [
            ("25.00", COLOURS["signs"]),
            ("75.00", COLOURS["word_starts"]),
        ]
        * 3
    )
    many = [
        make_event("validation", step, val_loss=1.0, parts=SPLIT)
        for step in range(1, 300)
    ]
    assert shown(many).count('<span title="') == MAX_COLUMNS
    assert "step 299: sampled validation 1.000" in shown(many)


@pytest.mark.parametrize(
    "told",
    [[], [make_event("validation", 10)], [make_event("validation", 9, parts={})]],
)
def test_an_older_run_has_none(told):
    assert shown(told, RunState.FINISHED) == ""
    assert "It comes with the first validation." in shown(told)
    assert "<table" not in shown(told)


def test_what_another_version_named_is_left_out():
    other = {"<b>odd": Part(1, 1.0), "signs": Part(1, 0.0)}
    told = [make_event("validation", 9, val_loss=0.0, parts=other)]
    html = shown([*told, *told])
    assert rows(html) == [("spaces, punctuation, signs", "0.000", "0.0 %", "50 %")]
    assert "odd" not in html
    assert set(COLOURS) == set(PARTS)
