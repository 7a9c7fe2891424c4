"""Surprise against `evaluate`, closed forms, and the time of the bare products."""

import dataclasses
import math
import time

import numpy as np
import pytest

from charrnn.errors import ConfigError
from charrnn.inside import surprise
from charrnn.model.network import Network
from charrnn.model.scores import evaluate
from tests.builders import CELLS, large_model, make_model, steady

TEXT = "abc ab\ncdéa bca jihgf bade\n"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_the_sums_are_those_of_evaluate(cell, num_layers, monkeypatch):
    monkeypatch.setattr(surprise, "MAX_NUMBERS", 100)  # several portions
    model = steady(make_model(cell, num_layers))
    found = surprise.surprise(model, TEXT)
    scores = evaluate(model, model.vocabulary.encode(TEXT))
    assert found.bits_per_char == pytest.approx(
        scores.nats_per_char / math.log(2), abs=1e-6
    )
    assert found.perplexity == pytest.approx(math.exp(scores.nats_per_char), abs=1e-6)
    assert len(found.bits) == scores.characters
    assert found.unknown == scores.unknown == 1


@pytest.mark.parametrize("cell", CELLS)
def test_each_character_is_scored_from_the_step_before_it(cell):
    model = steady(make_model(cell, 2))
    found = surprise.surprise(model, TEXT)
    network = Network(model.record.model, model.weights)
    states, ids = network.initial_states(1), model.vocabulary.encode(TEXT)
    for index in range(len(TEXT) - 1):
        logits, states = network.step(ids[index : index + 1], states)
        probs = np.exp(logits[0].astype(float))
        probs /= probs.sum()
        wanted = probs[ids[index + 1]]
        assert found.probability[index] == pytest.approx(wanted, abs=1e-5)
        assert found.rank[index] == 1 + (probs > wanted).sum()
        assert found.likeliest[index].tolist() == np.argsort(-probs)[:10].tolist()
        assert found.likeliest_probability[index] == pytest.approx(
            np.sort(probs)[::-1][:10], abs=1e-5
        )


def constant(logits):
    model = make_model()
    weights = {name: np.zeros_like(array) for name, array in model.weights.items()}
    weights["head.bias"] = np.asarray(logits, np.float32)
    return dataclasses.replace(model, weights=weights)


def test_bits_stay_exact_where_the_probability_vanishes():
    logits = np.zeros(13)
    logits[0] = 1000.0  # [UNK] is certain
    found = surprise.surprise(constant(logits), "aba")
    assert found.probability.tolist() == [0, 0]
    assert found.bits == pytest.approx([1000 / math.log(2)] * 2)
    assert found.rank.tolist() == [2, 2]
    assert found.steps.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("probability", "step"),
    [(1, 0), (0.5, 0), (0.49, 1), (0.25, 1), (0.24, 2), (0.05, 3), (0.02, 4), (0, 5)],
)
def test_steps_rise_as_the_probability_falls(probability, step):
    found = surprise.surprise(make_model(), "ab")
    given = dataclasses.replace(found, probability=np.array([probability]))
    assert given.steps.tolist() == [step]


def test_the_difference_of_two_models_changes_its_sign_and_equal_ones_have_none():
    first, second = (surprise.surprise(make_model(seed=s), TEXT) for s in (0, 1))
    bits = surprise.difference(first, second)
    assert np.array_equal(bits, -surprise.difference(second, first))
    assert np.count_nonzero(bits) == len(bits)
    again = surprise.surprise(make_model(seed=0), TEXT)
    assert not surprise.difference(first, again).any()


def test_what_cannot_be_scored_or_compared_is_refused():
    model = make_model()
    with pytest.raises(ConfigError, match="1 characters: expected at least 2"):
        surprise.surprise(model, "a")
    with pytest.raises(ConfigError, match="different ones"):
        surprise.difference(
            surprise.surprise(model, "ab"), surprise.surprise(model, "ba")
        )


def test_reading_costs_little_more_than_its_matrix_products():
    model = large_model()
    text = "".join(
        np.random.default_rng(0).choice(list(model.vocabulary.entries[1:]), 1000)
    )
    kernels = [
        np.ascontiguousarray(model.weights[f"rnn.{i}.recurrent_kernel"].T)
        for i in (0, 1)
    ]
    row = np.ones((1, 384), np.float32)
    ratios = []
    for _ in range(5):  # in turn: both meet the same machine
        start = time.perf_counter()
        for kernel in kernels:
            for _ in range(1000):
                row @ kernel.T
        bare = time.perf_counter() - start
        start = time.perf_counter()
        network, states = surprise.read(model, text)
        surprise.surprise_of(model, text, network, states)
        ratios.append((time.perf_counter() - start) / bare)
    # 5,000 characters in 0.7 s, where the bare products take 0.24 s
    assert min(ratios) < 2.9
