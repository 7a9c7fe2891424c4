"""The curve of temperature on the page: what is plotted and said of it."""

import re

import pytest

from charrnn.errors import ConfigError, RunError
from charrnn.model import checkpoint
from charrnn.model.generation import write
from charrnn.runs import curve
from charrnn.runs.curve import Point
from charrnn.runs.figures import TextFigures
from charrnn.ui import curve_panel
from charrnn.ui.curve_panel import CurveUpdate
from tests.builders import ENGLISH, writing_request


def made(repeats, invented):
    return [
        Point(t, "<b>text", TextFigures(i, r, 1.25, None))
        for t, r, i in zip(curve.TEMPERATURES, repeats, invented, strict=False)
    ]


def test_the_region_is_said_in_words():
    both = made([0.3, 0, 0, 0], [0, 0, 0, 0.1])
    said = curve_panel.sentence("en", both)
    assert "at temperature 0.20 to 0.70 repeats are under 10 %" in said
    assert "温度 0.20〜0.70 では" in curve_panel.sentence("ja", both)
    gap = curve_panel.sentence("en", made([0, 0.5, 0], [0] * 3))
    assert "0.00 to 0.06, 0.50 to 0.55" in gap
    repeats = curve_panel.sentence("en", made([0.3, 0], [None] * 2))
    assert repeats.startswith("At temperature 0.20 to 0.30 repeats")
    assert "cannot be told" in repeats
    assert "At no temperature" in curve_panel.sentence("en", made([1, 1], [0, 0]))
    assert "known" in curve_panel.sentence("en", made([None] * 2, [None] * 2))


def test_what_is_plotted_is_the_figures_and_the_region_as_a_bar():
    points = made([0.3, 0], [0, None])
    assert curve_panel.share_rows("en", points) == [
        (0.0, 0, "invented words"),
        (0.0, 30.0, "repeats"),
        (0.3, 0.0, "repeats"),
    ]
    points = made([0.3, 0], [0, 0])
    low, high, _ = curve_panel.share_rows("en", points)[-3:]
    assert low == (pytest.approx(0.2), 0.0, "both rare")
    assert high == (0.3, 0.0, "both rare")
    assert curve_panel.bit_rows("en", points) == [
        (0.0, 1.25, "bits per character"),
        (0.3, 1.25, "bits per character"),
    ]
    table = curve_panel.table_html("en", made([0.3, None], [0, 0]))
    assert re.findall(r"<td>(.*?)</td>", table) == [
        *("0.0 %", "30 %", "1.25", "&lt;b&gt;text"),
        *("0.0 %", "-", "1.25", "&lt;b&gt;text"),
    ]


def test_the_curve_is_of_the_form_s_model_prompt_length_and_seed(model):
    asked = writing_request(by="top_p", top_ps=(), top_k=3, top_p=0.2, stop="e")
    first, *_, last = curve_panel.updates("en", asked)
    assert first.panel["visible"]
    assert (first.seed, first.stop_button["interactive"]) == (7, True)
    assert re.search(r"from temperature 0 to 2: \d+ %", first.said)
    loaded = checkpoint.load(model)
    *_, written = write(loaded, "the ", length=30, rows=curve.rows(7))
    points = curve.points(model, loaded.record, "the ", written)
    assert last.bits["value"]["data"] == curve_panel.bit_rows("en", points)
    assert last.shares["value"]["data"] == curve_panel.share_rows("en", points)
    assert last.table == curve_panel.table_html("en", points)
    for changed, field in ({"length": 0}, "length"), ({"model": None}, "model"):
        with pytest.raises(ConfigError) as caught:
            next(curve_panel.updates("en", writing_request(**changed)))
        assert caught.value.field == field


def test_a_curve_counts_like_any_writing_of_a_visitor(model, monkeypatch):
    monkeypatch.setenv("CHARRNN_CHARACTERS_IN_FLIGHT", "239")
    asked = writing_request()
    with pytest.raises(RunError, match="240 characters are asked for"):
        next(curve_panel.updates("en", asked))
    assert len(CurveUpdate._fields) == 8
    values = ("m", "the ", 29, 7, False, 0, 1, "", None, *[0.5] * 4, 0.5, "model")
    values += (*["m"] * 4, *[None] * 4, *[1] * 4)
    *_, last = curve_panel.draw(ENGLISH, *values)
    assert len(last) == 8
