"""The shipped model: what holding the unit does that follows the position in a line."""

from pathlib import Path

import numpy as np
import pytest

from charrnn.config import Hold, SamplingConfig
from charrnn.inside import marks, surprise, units
from charrnn.model import checkpoint, generation

MODEL = Path(__file__).parent.parent.parent / "checkpoints" / "shakespeare"
ROWS = 16
CHARACTERS = 60_000  # a setting


def text_with(model, *holds):
    rows = [SamplingConfig(temperature=0.8, seed=s, hold=holds) for s in range(ROWS)]
    length = CHARACTERS // ROWS
    *_, texts = generation.generate(model, "\n", length=length, rows=rows)
    return texts


def mean_line(texts):
    return np.mean([len(line) for text in texts for line in text.split("\n") if line])


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_unit_of_the_line_changes_its_length_twofold_and_controls_do_not():
    model = checkpoint.load(MODEL)
    config = model.record.model
    text = "".join(text_with(model))[:10_000]
    _, states = surprise.read(model, text)
    mark = marks.line_position(text)
    (found,) = units.search(config, states, {"line_position": mark})
    assert found.unit_shown
    outputs = units.activations(config, states)
    controls = units.least_correlated(config, states, mark, found.layer)

    def ratio(unit):
        """Mean lines of a unit held at its lowest and its highest value."""
        own = outputs[:, found.layer * config.rnn_units + unit]
        ends = float(own.min()), float(own.max())
        means = [
            mean_line(text_with(model, Hold(found.layer, unit, end))) for end in ends
        ]
        return max(means) / min(means)

    assert ratio(found.unit) >= 2
    for control in controls:
        assert ratio(control) < 1.5
