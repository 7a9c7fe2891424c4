"""What is planted is found, where nothing is planted nothing is shown."""

import dataclasses

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.errors import ConfigError
from charrnn.inside import surprise, units
from charrnn.inside.marks import marks_of
from tests.builders import make_model

CHARACTERS = "\n ()abcdefgh"


def nested(length, rng):
    """Brackets up to six deep between letters, which come by chance."""
    depth, text = 0, []
    while len(text) < length:
        draw = rng.random()
        if draw < 0.15 and depth < 6:
            text.append("(")
            depth += 1
        elif draw < 0.3 and depth:
            text.append(")")
            depth -= 1
        else:
            text.append(str(rng.choice(list("\n abcdefgh"))))
    return "".join(text)


def counting(unit):
    """Random units in two layers of simple RNN, but for one that counts brackets.

    It adds 0.02 at an opening one and takes 0.02 at a closing one: so small a
    number is the same after its tanh.
    """
    model = make_model("rnn", 2, units=16, characters=CHARACTERS, scale=0.3)
    weights = {name: array.copy() for name, array in model.weights.items()}
    for layer, source in ((0, 0), (1, unit)):
        for name in ("kernel", "recurrent_kernel"):
            weights[f"rnn.{layer}.{name}"][:, unit] = 0
        weights[f"rnn.{layer}.bias"][unit] = 0
        weights[f"rnn.{layer}.kernel"][source, unit] = 1
    ids = model.vocabulary.encode("()")
    weights["embedding.weight"][:, 0] = 0
    weights["embedding.weight"][ids, 0] = 0.02, -0.02
    weights["rnn.0.recurrent_kernel"][unit, unit] = 1
    return dataclasses.replace(model, weights=weights)


def found_in(model, text, marks):
    _, states = surprise.read(model, text)
    return {f.mark: f for f in units.search(model.record.model, states, marks)}


def test_planted_brackets_are_found_in_the_unit_that_counts_them():
    text = nested(4000, np.random.default_rng(0))
    found = found_in(counting(5), text, marks_of(text))["bracket_depth"]
    assert found.unit == 5
    assert abs(found.correlation) > 0.98
    assert found.unit_shown
    assert found.probe_shown
    assert found.r2 > found.r2_control + 0.5
    assert found.control < 0.5


def exact(outputs, marks):
    """The search on outputs that are given: one layer of so many units."""
    config = ModelConfig(cell="rnn", rnn_units=outputs.shape[1], num_layers=1)
    states = (np.vstack([np.zeros(outputs.shape[1]), outputs]),)
    return units.search(config, states, marks)


def noise(rng, length):
    """Telegraph signals, a counter and rare events that know nothing of any text."""
    switches = rng.random((3, length)) < np.array([[0.5], [0.05], [0.01]])
    places = np.arange(length)
    resets = np.maximum.accumulate(np.where(switches[1], places, 0))
    return {
        "fast": np.cumsum(switches[0]) % 2.0,
        "slow": np.cumsum(switches[1]) % 2.0,
        "slower": np.cumsum(switches[2]) % 2.0,
        "counter": (places - resets).astype(float),
        "rare": (rng.random(length) < 0.01).astype(float),
    }


def random_networks(rng, trials, length, size=8):
    """Outputs of simple RNNs with weights and inputs of their own, all at once."""
    kernels = rng.standard_normal((trials, size, size)) / np.sqrt(size)
    outputs = np.zeros((length, trials, size))
    h = outputs[0]
    for t in range(length):
        x = rng.standard_normal((trials, size))
        h = np.tanh(x + (h[:, None] @ kernels)[:, 0])
        outputs[t] = h
    return outputs.swapaxes(0, 1)


def test_where_nothing_is_planted_at_most_one_of_200_trials_shows_anything():
    rng = np.random.default_rng(0)
    shown = 0
    for outputs in random_networks(rng, 200, 2000):
        found = exact(outputs, noise(rng, 2000))
        shown += any(f.unit_shown or f.probe_shown for f in found)
    assert shown <= 1


def test_correlation_and_r2_are_those_of_the_second_half():
    rng = np.random.default_rng(1)
    outputs = rng.standard_normal((3000, 4))
    mark = rng.standard_normal(3000)
    outputs[:, 2] = -mark + 0.5 * rng.standard_normal(3000)
    (found,) = exact(outputs, {"m": mark})
    assert (found.layer, found.unit) == (0, 2)
    expected = np.corrcoef(outputs[1500:, 2], mark[1500:])[0, 1]
    assert found.correlation == pytest.approx(expected)
    config = ModelConfig(cell="rnn", rnn_units=4)
    states = (np.vstack([np.zeros(4), outputs]),)
    output = units.output(config, states, (0, 2))
    assert np.array_equal(output, outputs[:, 2])
    assert units.correlation(output, mark) == pytest.approx(expected)
    known = np.column_stack([outputs, np.ones(3000)])
    weights, *_ = np.linalg.lstsq(known[:1500], mark[:1500], rcond=None)
    errors = mark[1500:] - known[1500:] @ weights
    assert found.r2 == pytest.approx(1 - errors.var() / mark[1500:].var(), abs=0.01)


def test_controls_are_shifted_by_a_thousand_characters_at_least():
    """A mark that comes again every 400 characters is found in its shifted self."""
    pattern = np.random.default_rng(2).standard_normal(400)
    mark = np.tile(pattern, 10)
    (found,) = exact(np.column_stack([mark, np.zeros(4000)]), {"m": mark})
    assert found.correlation == pytest.approx(1)
    shifts = np.linspace(1000, 3000, 20).round().astype(int)
    largest = max(
        abs(np.corrcoef(mark[2000:], np.roll(mark, n)[2000:])[0, 1]) for n in shifts
    )
    assert found.control == pytest.approx(largest)
    (alike,) = exact(
        np.tile(pattern[:100], 40)[:, None], {"m": np.tile(pattern[:100], 40)}
    )
    assert alike.correlation == pytest.approx(1)


def test_a_unit_that_never_moves_is_nothing():
    mark = np.random.default_rng(3).standard_normal(2500)
    (found,) = exact(np.full((2500, 3), 0.7), {"m": mark})
    assert found.correlation == 0
    assert not found.unit_shown
    assert not found.probe_shown


def test_units_are_counted_within_their_layer():
    text = nested(2500, np.random.default_rng(4))
    model = counting(3)
    _, states = surprise.read(model, text)
    outputs = units.activations(model.record.model, states)
    assert outputs.shape == (2500, 32)
    marks = {"m": outputs[:, 16 + 7]}
    (found,) = units.search(model.record.model, states, marks)
    assert (found.layer, found.unit) == (1, 7)


def test_an_lstm_s_cell_is_no_unit():
    model = make_model("lstm", 2, units=5)
    _, states = surprise.read(model, "abc" * 10)
    outputs = units.activations(model.record.model, states)
    assert np.array_equal(outputs[:, :5], states[0][1:])
    assert np.array_equal(outputs[:, 5:], states[2][1:])
    alone = units.output(model.record.model, states, (1, 3))
    assert np.array_equal(alone, outputs[:, 8])


def test_controls_of_a_held_unit_are_those_that_follow_the_mark_least():
    rng = np.random.default_rng(6)
    mark = rng.standard_normal(3000)
    noise = rng.standard_normal((3000, 8))
    weights = np.array([0.9, 0.5, 0, 0.8, 0.6, 0, 0.7, 0.4])  # two layers of four
    outputs = weights * mark[:, None] + 0.1 * noise
    states = tuple(np.vstack([np.zeros(4), part]) for part in np.hsplit(outputs, 2))
    config = ModelConfig(cell="rnn", rnn_units=4, num_layers=2)
    assert units.least_correlated(config, states, mark, 0) == [2, 1]
    assert units.least_correlated(config, states, mark, 1) == [1, 3]


def test_a_short_text_is_not_searched():
    states = (np.zeros((2000, 4)),)
    config = ModelConfig(cell="rnn", rnn_units=4)
    with pytest.raises(ConfigError, match="1,999 characters: expected at least 2,000"):
        units.search(config, states, {})
