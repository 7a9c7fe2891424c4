"""A unit turned by hand on the page: three columns, a statistic, two controls."""

import re

import pytest

from charrnn.config import SamplingConfig
from charrnn.errors import CharrnnError, RunError
from charrnn.inside import holding, surprise, units
from charrnn.inside.marks import MARKS
from charrnn.model import checkpoint, generation
from charrnn.ui import by_hand, looking, writing_request
from tests.builders import ENGLISH, PageRequest, varied_text

TEXT = varied_text(600)
UNIT, MARK = "0.3", "word_position"


def turned(unit=UNIT, mark=MARK, value=None, text=TEXT, request=ENGLISH):
    return list(by_hand.hold(request, "m", text, unit, mark, value))


def expected_texts(loaded, hold):
    held = () if hold is None else (hold,)
    rows = [
        SamplingConfig(temperature=holding.TEMPERATURE, seed=seed, hold=held)
        for seed in range(holding.SAMPLES)
    ]
    prompt = (TEXT[: TEXT.rfind("\n") + 1] or TEXT)[-by_hand.BEFORE :]
    *_, texts = generation.generate(
        loaded, prompt, length=holding.CHARACTERS, rows=rows
    )
    return texts


def test_three_columns_are_written_with_the_statistic_beside_two_controls(model):
    loaded = checkpoint.load(model)
    _, states = surprise.read(loaded, TEXT)
    outputs = units.activations(loaded.record.model, states)
    updates = turned()
    cards = [u[1:4] for u in updates if isinstance(u[1], str)][-1]
    table = [u[4] for u in updates if isinstance(u[4], str)][-1]

    def hold(unit, end):
        return holding.Hold(0, unit, round(float(end(outputs[:, unit])), 2))

    kind = holding.statistic_of(MARK)
    free = expected_texts(loaded, None)
    rows = []
    controls = units.least_correlated(loaded.record.model, states, MARKS[MARK](TEXT), 0)
    for unit in (3, *controls):
        low, high = (expected_texts(loaded, hold(unit, end)) for end in (min, max))
        rows.append([holding.measure(kind, texts) for texts in (low, free, high)])
        if unit == 3:
            for card, texts in zip(cards, (low, free, high), strict=True):
                assert f'tabindex="0">{texts[0]}</div>' in card
                one = holding.measure(kind, texts)
                figure = f"Mean word, in letters: {one.value:.1f} ± {one.half:.1f}"
                assert f">{figure}</p></article>" in card
    cells = re.findall(r"<td>(.*?)</td>", table)
    assert cells == [f"{m.value:.1f} ± {m.half:.1f}" for row in rows for m in row]
    named = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert named == ["Unit 0.3", *(f"For comparison: unit 0.{c}" for c in controls)]
    assert "Mean word" in table
    low = float(outputs[:, 3].min())
    assert f"held at {low:+.2f}" in cards[0]
    assert "<h4>free</h4>" in cards[1]
    assert 'role="status">Over 5 texts of 400' in updates[-1][0]


@pytest.mark.parametrize(
    ("unit", "mark", "said"),
    [("0.99", MARK, "no unit"), ("x", MARK, "no unit"), (UNIT, "warmth", "no mark")],
)
def test_what_cannot_be_held_is_refused(model, unit, mark, said):
    with pytest.raises(CharrnnError, match=said):
        turned(unit, mark)


def test_a_unit_is_no_control_of_its_own(model):
    read = looking.read("en", "m", TEXT)
    first, second = read.controls(0, 99, MARK)
    assert first not in read.controls(0, first, MARK)
    assert read.controls(0, first, MARK)[0] == second
    assert len(read.controls(0, first, MARK)) == 2


def test_texts_that_are_held_count_among_what_a_visitor_has_asked_for(
    model, monkeypatch
):
    monkeypatch.setenv("CHARRNN_CHARACTERS_IN_FLIGHT", "5999")  # 15 texts of 400
    with pytest.raises(RunError, match="6,000 characters are asked for"):
        turned()
    assert writing_request.engine.active == 0


def test_a_share_is_told_in_per_cent_and_what_never_happens_is_none():
    assert by_hand._cell(holding.Measured(0.1234, 0.02), "share") == "12.3 ± 2.0 %"
    assert by_hand._cell(holding.Measured(1.234, 0.056), "mean") == "1.23 ± 0.06"
    assert by_hand._cell(None, "line") == by_hand.NO_VALUE


def test_japanese_requests_get_japanese(model):
    first = by_hand.hold(PageRequest(lang="ja"), "m", TEXT, UNIT, MARK, 0.1)
    status, *_ = next(first)
    assert "執筆中" in status
    first.close()
