import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

from charrnn.runs.quality import BestLoss
from charrnn.ui import chart, loss_parts
from charrnn.ui.texts import TABLES, translate
from charrnn.ui.theme import theme
from tests.builders import make_event, reduce

NAMES = {key: key for key in chart.COLOURS}


def view_of(losses, validations=(), **baseline):
    recorded = [make_event("step", step, loss=x) for step, x in enumerate(losses, 1)]
    recorded += [make_event("validation", s, val_loss=loss) for s, loss in validations]
    return reduce([*recorded, make_event("baseline", 1, **baseline)])


def series(rows, name):
    return [(s, v) for s, v, n in rows if n == name and not math.isnan(v)]


def test_every_series_is_there_from_the_first_frame():
    rows = chart.rows(reduce([]), 65, NAMES)
    seeded = [name for _, loss, name in rows if math.isnan(loss)]
    assert seeded == [*chart.SERIES, *chart.OVERLAYS]
    assert series(rows, "train") == []
    assert series(rows, "guessing") == []  # a level alone gives the axis no scale
    rows = chart.rows(view_of([3.0]), 65, NAMES)
    assert series(rows, "guessing") == [(0, 4.1744), (1, 4.1744)]


def test_each_line_says_what_the_events_said():
    view = view_of([3.0, 2.0], [(1, 2.5), (2, 2.25)], loss=1.669)
    best = BestLoss(step=2, loss=2.24, exact=True)
    rows = chart.rows(view, 66, NAMES, best)
    assert series(rows, "train") == [(1, 3.0), (2, 2.0)]
    assert series(rows, "smooth") == [(1, 3.0), (2, 2.0)]
    assert series(rows, "validation") == [(1, 2.5), (2, 2.25)]
    assert series(rows, "baseline") == [(0, 1.669), (2, 1.669)]
    assert series(rows, "best") == [(2, 2.24)]  # what its tooltip shows


def test_reference_lines_reach_to_the_planned_end():
    recorded = [make_event("step", 2), make_event("planned", 2, planned_steps=500)]
    rows = chart.rows(reduce(recorded), 66, NAMES)
    assert [s for s, _ in series(rows, "guessing")] == [0, 500]


def test_a_long_run_has_few_points_and_keeps_its_spikes():
    losses = [2.0] * 20_000
    losses[12_345], losses[777] = 9.0, 0.5
    rows = chart.rows(view_of(losses), 66, NAMES)
    for name in chart.SERIES:
        assert len(series(rows, name)) <= 300
    assert (12_346, 9.0) in series(rows, "train")
    assert (778, 0.5) in series(rows, "train")
    assert len(rows) < 1000  # beyond that the browser thins once more


def test_smoothing_is_the_mean_of_a_centred_neighbourhood():
    assert chart.smooth(np.array([1.0, 2.0, 4.0])).tolist() == [1.0, 2.0, 4.0]
    values = np.zeros(100)
    values[50] = 1.0
    smoothed = chart.smooth(values)  # reach 2 either side
    assert smoothed[48:53] == pytest.approx([0.2] * 5)
    assert smoothed[47] == smoothed[53] == 0
    assert chart.smooth(np.full(1000, 3.0)) == pytest.approx(np.full(1000, 3.0))


def test_colours_are_known_in_every_language():
    tables = [
        {k: translate(lang, f"series.{k}") for k in chart.COLOURS} for lang in TABLES
    ]
    colours = chart.colour_map(tables)
    assert colours["validation, sampled"] == chart.COLOURS["validation"]
    assert colours["検証(抽出)"] == chart.COLOURS["validation"]
    for table in tables:
        assert len(set(table.values())) == len(chart.COLOURS)


def luminance(colour):
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [chart.COLOURS, loss_parts.COLOURS])
@pytest.mark.parametrize("dark", [False, True])
def test_every_line_and_part_stands_out_from_its_ground(colours, dark):
    look = theme()
    ending = "_dark" if dark else ""
    grounds = {getattr(look, f"block_background_fill{ending}")}
    grounds.add(getattr(look, f"body_background_fill{ending}"))
    for ground, (name, colour) in itertools.product(grounds, colours.items()):
        behind = {"white": "#ffffff"}.get(ground, ground)
        low, high = sorted([luminance(behind), luminance(colour)])
        assert (high + 0.05) / (low + 0.05) >= 3, name


def test_the_style_sheet_knows_the_lines_by_their_colours():
    css = (Path(chart.__file__).parent / "page.css").read_text(encoding="utf-8")
    styled = re.findall(r'\[stroke="(#[0-9a-f]+)"\]', css)
    named = ("train", "best", "guessing", "baseline")
    assert list(dict.fromkeys(styled)) == [chart.COLOURS[name] for name in named]


def test_a_loss_in_other_units():
    assert chart.in_unit(math.log(2), "bits") == pytest.approx(1)
    assert chart.in_unit(math.log(5), "characters") == pytest.approx(5)
    assert math.isfinite(chart.in_unit(904, "characters"))
    rows = [(0, math.nan, "train"), (3, math.log(4), "train")]
    for unit, value in (("nats", 1.3863), ("bits", 2.0), ("characters", 4.0)):
        data = chart.frame(rows, unit)["data"]
        assert data == [(0, None, "train"), (3, value, "train")]


def test_a_tooltip_tells_time_and_both_losses():
    recorded = [make_event("started", 0, time=1000.0)]
    recorded += [make_event("step", s, loss=5.0 - s, time=1000.0) for s in (1, 2, 3)]
    recorded.append(make_event("validation", 2, val_loss=2.5, time=1000.0))
    recorded.append(make_event("step", 4, loss=1.0, time=1060.0))
    names = ("time", "training", "validation")
    hover = chart.Hover(names, reduce(recorded), lambda seconds: f"{seconds:.0f} s")
    shown = chart.frame([(0, 4.0, "x"), (2, 4.0, "x"), (4, 4.0, "x")], "nats", hover)
    assert shown["columns"] == ["step", "loss", "series", *names]
    assert [row[3:] for row in shown["data"]] == [
        ("0 s", None, None),
        ("30 s", 3.0, 2.5),
        ("60 s", 1.0, 2.5),
    ]
