"""The statistic of a held unit: its value, and how often its interval covers it."""

import numpy as np
import pytest

from charrnn.config import Hold
from charrnn.inside.holding import BLOCK, SAMPLES, measure, rows_of, statistic_of
from charrnn.inside.marks import MARKS


@pytest.mark.parametrize(
    ("mark", "text", "value"),
    [
        ("line_position", "abcd\n\nab\n" * 30, 3),  # an empty line is none
        ("previous_line_length", "\nabcde\n" * 30, 5),
        ("word_position", "ab, cdéf. " * 30, 3),
        ("word_end", "a bc def " * 30, 2),
        ("capital", "aBCd" * 60, 0.5),
        ("digit", "a1" * 100, 0.5),
        ("bracket_depth", "(())" * 50, 1),
        ("indentation", "    ab\n" * 40, 8 / 7),
    ],
)
def test_the_statistic_of_a_mark(mark, text, value):
    assert measure(statistic_of(mark), [text, text]).value == pytest.approx(value)


def test_every_mark_stands_for_one():
    kinds = {name: statistic_of(name).kind for name in MARKS}
    assert set(kinds.values()) == {"line", "word", "share", "mean"}
    for name in MARKS:
        found = measure(statistic_of(name), ["Ab 12\n(x)\n" * 40] * 2)
        assert found is not None, name
        assert np.isfinite([found.value, found.half]).all(), name


def test_what_has_nothing_to_divide_by_or_does_not_vary_is_not_told():
    assert measure(statistic_of("line_position"), ["a" * 400]) is None
    assert measure(statistic_of("capital"), ["Ab" * 60]) is None  # one block
    assert measure(statistic_of("capital"), ["", ""]) is None


def test_the_interval_covers_the_true_value_in_95_of_100_trials():
    rng = np.random.default_rng(0)
    trials, covered = 400, 0
    for _ in range(trials):  # lines that are not empty have 30 on average
        ends = rng.random((5, 4 * BLOCK)) < 1 / 30
        texts = ["".join(np.where(row, "\n", "a")) for row in ends]
        found = measure(statistic_of("line_position"), texts)
        covered += abs(found.value - 30) <= found.half
    assert 0.91 * trials <= covered <= 0.98 * trials


def test_each_setting_is_drawn_with_the_same_seeds():
    rows = rows_of([Hold(0, 3, -0.5), None])
    assert [row.seed for row in rows] == [*range(SAMPLES)] * 2
    assert {row.hold for row in rows[:SAMPLES]} == {(Hold(0, 3, -0.5),)}
    assert {row.hold for row in rows[SAMPLES:]} == {()}
