"""Gradients against finite differences; shares and reach against closed forms."""

import dataclasses
import math
import time

import numpy as np
import pytest

from charrnn.errors import ConfigError
from charrnn.inside import memory
from charrnn.model.network import Network
from tests.builders import CELLS, large_model, make_model

PLACE = 9


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(x, states, kernel, recurrent, bias):
    (h,) = states
    own = np.split(x @ kernel + bias[0], 3)
    state = np.split(h @ recurrent + bias[1], 3)
    z, r = sigmoid(own[0] + state[0]), sigmoid(own[1] + state[1])
    return (z * h + (1 - z) * np.tanh(own[2] + r * state[2]),)


def lstm_step(x, states, kernel, recurrent, bias):
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def rnn_step(x, states, kernel, recurrent, bias):
    return (np.tanh(x @ kernel + states[0] @ recurrent + bias),)


STEPS = {"gru": gru_step, "lstm": lstm_step, "rnn": rnn_step}


def forward(model, embeddings):
    """Every state of a text in float64, by the cells' formulas."""
    config = model.record.model
    kept = []
    inputs = embeddings
    for layer in range(config.num_layers):
        names = ("kernel", "recurrent_kernel", "bias")
        weights = [model.weights[f"rnn.{layer}.{n}"].astype(float) for n in names]
        states = tuple(np.zeros((config.num_states, config.rnn_units)))
        history = [states]
        for x in inputs:
            states = STEPS[config.cell](x, states, *weights)
            history.append(states)
        arrays = [np.array(array) for array in zip(*history, strict=True)]
        kept += arrays
        inputs = arrays[0][1:]
    return kept


def log_prob(model, embeddings, target):
    states = forward(model, embeddings)
    output = states[-model.record.model.num_states][-1]
    logits = output @ model.weights["head.kernel"].astype(float)
    logits += model.weights["head.bias"]
    return logits[target] - np.log(np.exp(logits).sum())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_gradients_equal_finite_differences(cell, num_layers):
    model = make_model(cell, num_layers, units=6)
    ids = np.random.default_rng(3).integers(0, 13, 12)
    embeddings = model.weights["embedding.weight"][ids].astype(float)
    states = forward(model, embeddings)
    found = memory.gradients(model, ids, states, [PLACE], PLACE)[:, 0]
    expected = np.empty((PLACE, 7))
    for place in np.ndindex(expected.shape):
        values = []
        for change in (1e-5, -1e-5):
            moved = embeddings[:PLACE].copy()
            moved[place] += change
            values.append(log_prob(model, moved, ids[PLACE]))
        expected[place] = (values[0] - values[1]) / 2e-5
    norm = np.linalg.norm(expected)
    assert norm > 1e-3
    assert np.linalg.norm(found - expected) <= 1e-5 * norm


@pytest.mark.parametrize("cell", CELLS)
def test_the_network_s_own_states_give_the_same_gradients(cell):
    model = make_model(cell, 2, scale=0.3)
    ids = np.random.default_rng(3).integers(0, 13, 30)
    exact = forward(model, model.weights["embedding.weight"][ids].astype(float))
    states = Network(model.record.model, model.weights).trace(ids)
    for own, theirs in zip(states, exact, strict=True):
        assert own == pytest.approx(theirs, abs=1e-5)
    found = memory.gradients(model, ids, states, [29], 29)
    expected = memory.gradients(model, ids, exact, [29], 29)
    assert found.dtype == np.float32
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("cell", CELLS)
def test_several_places_at_once_and_a_shorter_window_change_nothing(cell):
    model = make_model(cell, 2, units=6)
    ids = np.random.default_rng(3).integers(0, 13, 30)
    states = forward(model, model.weights["embedding.weight"][ids].astype(float))
    together = memory.gradients(model, ids, states, [12, 20, 29], 8)
    for index, place in enumerate((12, 20, 29)):
        alone = memory.gradients(model, ids, states, [place], place)[-8:, 0]
        assert together[:, index] == pytest.approx(alone, rel=1e-9, abs=1e-15)


def without_memory(model):
    """A simple RNN whose state is that of the last character alone."""
    weights = {**model.weights}
    weights["rnn.0.recurrent_kernel"] = np.zeros_like(weights["rnn.0.recurrent_kernel"])
    return dataclasses.replace(model, weights=weights)


def test_shares_and_reach_of_a_network_without_memory():
    model = without_memory(make_model("rnn"))
    ids = np.random.default_rng(3).integers(0, 13, 500)
    states = Network(model.record.model, model.weights).trace(ids)
    look = memory.look(model, ids, states, 400)
    assert len(look.norms) == 200
    assert look.norms[-1] > 0
    assert not look.norms[:-1].any()
    assert [look.share(n) for n in (5, 20, 100)] == [1, 1, 1]
    reach = memory.reach(model, ids, states)
    assert reach.shares[0] == 1
    assert not reach.shares[1:].any()
    assert reach.within(0.5) == reach.within(0.99) == 1


def test_shares_and_reach_follow_the_norms():
    look = memory.Look(3, np.array([1.0, 2.0, 5.0]))
    assert look.share(1) == 5 / 8
    assert look.share(2) == 7 / 8
    assert look.share(20) == 1
    assert memory.Look(1, np.zeros(1)).share(5) is None
    reach = memory.Reach(np.array([0.4, 0.3, 0.2, 0.1]), 9)
    assert [reach.within(s) for s in (0.4, 0.5, 0.7, 0.9, 0.99)] == [1, 2, 2, 3, 4]


def test_the_reach_is_the_mean_of_what_each_place_looked_at():
    model = make_model("gru", 2)
    ids = np.random.default_rng(3).integers(0, 13, 120)
    states = Network(model.record.model, model.weights).trace(ids)
    reach = memory.reach(model, ids, states, window=100)
    assert len(reach.shares) == 60  # half of the text
    assert reach.characters == 32
    places = np.linspace(60, 119, 32).round().astype(int)
    looks = [memory.look(model, ids, states, int(p), 60).norms for p in places]
    mean = np.mean([norms[::-1] / norms.sum() for norms in looks], axis=0)
    assert reach.shares == pytest.approx(mean, rel=1e-4, abs=1e-8)
    assert math.isclose(reach.shares.sum(), 1)


def test_where_nothing_mattered_that_is_said():
    model = make_model("rnn")
    weights = {**model.weights, "head.kernel": np.zeros((16, 13), np.float32)}
    model = dataclasses.replace(model, weights=weights)
    ids = np.random.default_rng(3).integers(0, 13, 50)
    states = Network(model.record.model, model.weights).trace(ids)
    assert memory.look(model, ids, states, 40).share(5) is None
    assert memory.reach(model, ids, states) is None


@pytest.mark.parametrize("place", [0, -1, 30])
def test_only_a_character_that_was_predicted_has_a_look(place):
    model = make_model()
    ids = np.ones(30, int)
    states = Network(model.record.model, model.weights).trace(ids)
    with pytest.raises(ConfigError, match="expected 1 to 29"):
        memory.look(model, ids, states, place)


def test_looking_back_costs_little_more_than_its_matrix_products():
    model = large_model()
    ids = np.random.default_rng(0).integers(0, 66, 202)
    states = Network(model.record.model, model.weights).trace(ids)
    kernel = model.weights["rnn.1.recurrent_kernel"]
    row, rows = np.ones((1, 1152), np.float32), np.ones((200, 384), np.float32)
    ratios = []
    for _ in range(5):  # in turn: both meet the same machine
        start = time.perf_counter()
        for _ in range(400):  # two layers, 200 steps
            row @ kernel.T
        for _ in range(5):  # gates anew and inputs: 2 at the first layer, 3 at the next
            rows @ kernel
        bare = time.perf_counter() - start
        start = time.perf_counter()
        memory.look(model, ids, states, 201)
        ratios.append((time.perf_counter() - start) / bare)
    # 30 ms, where the bare products take 20: not quite, for a busy machine
    assert min(ratios) < 2
