"""How a unit came to be: its film and correlation at each step that was kept."""

import html
import re

import numpy as np
import pytest

from charrnn.errors import CharrnnError
from charrnn.inside import surprise, units
from charrnn.inside.marks import MARKS
from charrnn.model import snapshots
from charrnn.ui import generate_form, inside_course, inside_map
from tests.builders import ENGLISH, PageRequest, make_stepped, varied_text

TEXT = varied_text(900)
UNIT, MARK = "0.3", "word_position"
STEPS = (25, 50, 100)
PICTURE = re.compile(
    r'<article class="sample[^"]*" data-step="(\d+)"><h4>(.*?)</h4>(.*?)</article>',
    re.DOTALL,
)


@pytest.fixture
def stepped(isolated):
    return make_stepped(isolated / "m", 100, 25, 50)


def show(request=ENGLISH, unit=UNIT, mark=MARK):
    return inside_course.show(request, "m", TEXT, unit, mark)


def outputs_at(folder, step):
    loaded = snapshots.load(folder, step)
    _, states = surprise.read(loaded, TEXT)
    return units.activations(loaded.record.model, states)[:, 3]


def test_a_film_and_a_table_show_the_unit_at_each_step_that_was_kept(stepped):
    shown = show()
    outputs = {step: outputs_at(stepped, step) for step in STEPS}
    half, mark = len(TEXT) // 2, MARKS[MARK](TEXT)
    told = [
        f"{np.corrcoef(outputs[step][half:], mark[half:])[0, 1]:+.2f}" for step in STEPS
    ]
    found = re.findall(r'<th scope="row">(\d+)</th><td>([-+.\d]+)</td>', shown)
    assert found == list(zip(map(str, STEPS), told, strict=True))
    assert len(set(told)) > 1
    # one picture a step: the beginning of the text, all on one scale
    first = {step: values[:600] for step, values in outputs.items()}
    low = min(values.min() for values in first.values())
    high = max(values.max() for values in first.values())
    pictures = PICTURE.findall(shown)
    assert [int(step) for step, *_ in pictures] == list(STEPS)
    for (step, heads, body), value in zip(pictures, told, strict=True):
        assert heads == f"<span>step {step}</span><span>correlation {value}</span>"
        spans = re.findall(r'<span class="ch (p\d)[^>]*>(.*?)</span>', body, re.DOTALL)
        assert html.unescape("".join(text for _, text in spans)) == TEXT[:600]
        steps = inside_map.steps_between(first[int(step)], low, high)
        assert [kind for kind, _ in spans] == [f"p{step}" for step in steps]
    assert f"{low:+.2f} …" in shown
    assert f"… {high:+.2f}" in shown
    assert "相関" in show(PageRequest(lang="ja"))


def test_what_is_no_unit_or_no_mark_is_refused(stepped):
    with pytest.raises(CharrnnError, match=r"no unit 0\.99"):
        show(unit="0.99")
    with pytest.raises(CharrnnError, match="no mark"):
        show(mark="warmth")


def test_it_is_offered_where_steps_are_here(stepped):
    row, told = inside_course.offer("en", "m")
    assert row["visible"] is True
    assert told == ""
    make_stepped(stepped.parent / "single", 100)
    row, told = inside_course.offer("en", "single")
    assert row["visible"] is False
    assert "no earlier steps" in told


def test_writing_at_several_steps_is_one_press_away(stepped):
    browser = {"run": None, "held": []}
    tabs, model, prompt, by = inside_course.write(ENGLISH, "m", browser, "my own")
    assert tabs["selected"] == "generate"
    assert model["value"] == "m"
    assert "value" not in prompt  # it stays
    assert by == "step"
    # what the tab then offers in its columns
    _, _, _, *columns = generate_form.show_compared(
        ENGLISH, by, "m", browser, *[None] * 4
    )
    assert [column["value"] for column in columns] == ["25", "50", "100", None]
    with pytest.raises(CharrnnError, match="no model or run 'gone'"):
        inside_course.write(ENGLISH, "gone", browser, "")
