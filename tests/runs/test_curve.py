"""The curve of temperature: its texts, and the region that its figures give."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.model import checkpoint
from charrnn.model.generation import write
from charrnn.runs import curve, figures
from charrnn.runs.curve import Point
from charrnn.runs.figures import TextFigures
from tests.builders import alone, make_folder, make_record


def made(repeats, invented):
    """A curve at these temperatures with these figures."""
    figures = [
        TextFigures(invented=i, repeats=r, surprise=1.0, copied=None)
        for r, i in zip(repeats, invented, strict=True)
    ]
    places = curve.TEMPERATURES[: len(figures)]
    return [Point(t, "", f) for t, f in zip(places, figures, strict=True)]


def test_the_temperatures_are_even_from_0_to_2_at_the_marks_of_the_slider():
    assert [
        round(round(2 * i / 7 / 0.05) * 0.05, 2) for i in range(8)
    ] == list(curve.TEMPERATURES)  # fmt: skip


def test_the_region_lies_between_the_two_crossings():
    """Repeats fall 0.5 by 0.3, invented words rise 0.1 from 0.85 to 1.15."""
    found = curve.region(
        made([0.5, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0.1, 0.3, 0.6, 1])
    )
    ((low, high),) = found
    assert low == pytest.approx(0.3 * (0.5 - 0.1) / 0.5, abs=1e-12)
    assert high == pytest.approx(0.85 + 0.3 * 0.05 / 0.1, abs=1e-12)


def test_a_region_may_have_gaps_or_be_none():
    few = [0.0] * 8
    bump = [0, 0, 0.2, 0, 0, 0, 0, 0]
    found = curve.region(made(bump, few))
    assert [len(found), found[0][0], found[1][1]] == [2, 0, 2]
    assert found[0][1] == pytest.approx(0.3 + 0.25 * 0.5)
    assert found[1][0] == pytest.approx(0.55 + 0.30 * 0.5)
    assert curve.region(made(few, few)) == [(0, 2)]
    assert curve.region(made([0.1] * 8, few)) == []  # under it, not at it
    assert curve.region(made([1, 0, 0, 0], [0, 1, 1, 1])) == []


def test_what_is_not_known_is_left_out():
    few, unknown = [0.0] * 4, [None] * 4
    assert curve.region(made(few, unknown)) == [(0, 0.85)]
    assert not curve.knows_words(made(few, unknown))
    assert curve.region(made(unknown, few)) == []
    assert curve.region(made(unknown, unknown)) == []
    assert curve.region(made([0, None, 0, 0], few)) == [(0, 0.85)]


@given(
    values=st.lists(st.integers(0, 20), min_size=2, max_size=8),
    limit=st.integers(1, 19),
    at=st.floats(0, 1),
)
def test_every_place_is_in_the_intervals_where_the_line_is_below(values, limit, at):
    line = [(float(place), float(value)) for place, value in enumerate(values)]
    found = curve.below(line, limit)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
    place = at * (len(values) - 1)
    left = min(int(place), len(values) - 2)
    value = values[left] + (place - left) * (values[left + 1] - values[left])
    if not math.isclose(value, limit, abs_tol=1e-9):
        inside = any(low <= place <= high for low, high in found)
        assert inside == (value < limit)


def test_the_texts_are_those_of_single_generations_with_the_seed(tmp_path):
    folder = make_folder(tmp_path / "m", make_record())
    model = checkpoint.load(folder)
    *_, written = write(model, "the ", length=120, rows=curve.rows(5))
    found = curve.points(folder, model.record, "the ", written)
    for one, (temperature, text, counted) in zip(written, found, strict=True):
        assert [text] == alone(model, "the ", 120, [temperature], seed=5)
        (expected,) = figures.count(folder, model.record, "the ", [one]).figures
        assert counted == expected
    told = curve.report("the ", 5, found)
    assert [one["temperature"] for one in told["points"]] == list(curve.TEMPERATURES)
    assert told["points"][3]["figures"]["surprise"] == found[3].figures.surprise
