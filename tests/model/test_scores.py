"""Scores against closed forms and Keras' own loss over the same network."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from charrnn.errors import ConfigError
from charrnn.model import reliability, scores
from charrnn.model.network import Network
from charrnn.model.reliability import Bin
from charrnn.text import parts
from tests.builders import keras_network, make_model, steady


def keras_nats(model, ids):
    """Mean cross-entropy of ids (B, T + 1) in Keras, from zero state."""
    import keras

    network = keras_network(model.record.model, model.weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(loss(ids[:, 1:], network(ids[:, :-1])))


@pytest.mark.parametrize(
    ("cell", "num_layers"), [("gru", 1), ("gru", 2), ("lstm", 2), ("rnn", 1)]
)
def test_both_scores_equal_keras(cell, num_layers, monkeypatch):
    monkeypatch.setattr(scores, "MAX_NUMBERS", 2000)  # several portions
    monkeypatch.setattr(scores, "COLD_ROWS", 4)
    model = steady(make_model(cell, num_layers, units=11))
    ids = np.random.default_rng(0).integers(0, 13, 200).astype(np.uint8)
    found = scores.evaluate(model, ids, window=30)
    wide = ids.astype(np.int64)
    windows = np.stack([wide[30 * i : 30 * i + 31] for i in range(6)])
    assert found.nats_per_char == pytest.approx(keras_nats(model, wide[None]), abs=1e-5)
    assert found.cold_nats_per_char == pytest.approx(
        keras_nats(model, windows), abs=1e-5
    )
    assert found.characters == 199
    assert found.unknown == int((ids[1:] == 0).sum())
    assert found.unknown > 0


@pytest.mark.parametrize(("cell", "num_layers"), [("gru", 3), ("lstm", 2), ("rnn", 1)])
def test_the_pass_over_portions_is_the_one_character_after_character(
    cell, num_layers, monkeypatch
):
    monkeypatch.setattr(scores, "MAX_NUMBERS", 3000)  # portions of 31 or more
    model = steady(make_model(cell, num_layers, units=24))
    ids = np.random.default_rng(1).integers(0, 13, 1000).astype(np.uint8)
    network = Network(model.record.model, model.weights)
    states, nats, sure = network.initial_states(1), [], []
    for now, following in itertools.pairwise(ids):
        logits, states = network.step(np.array([now]), states)
        shares = np.exp(logits[0].astype(np.float64))
        shares /= shares.sum()
        nats.append(-math.log(shares[following]))
        sure.append((shares.max(), shares.argmax() == following))
    found = scores.evaluate(model, ids)
    assert found.nats_per_char == pytest.approx(np.mean(nats), abs=1e-5)
    # ten bins of equal width, as far as anything falls into them
    bins = [
        [pair for pair in sure if tenth <= 10 * pair[0] < tenth + 1]
        for tenth in range(10)
    ]
    told = [np.mean(pairs, axis=0) for pairs in bins if pairs]
    assert len(told) > 2
    assert [len(pairs) for pairs in bins if pairs] == [
        each.characters for each in found.reliability
    ]
    assert [(each.said, each.right) for each in found.reliability] == [
        pytest.approx(tuple(pair), abs=1e-5) for pair in told
    ]
    whole = reliability.overall(found.reliability)
    assert (whole.said, whole.right) == pytest.approx(np.mean(sure, axis=0), abs=1e-5)
    assert whole.characters == 999


def test_a_character_that_is_certain_is_in_the_last_bin():
    logits = np.full(13, -200.0)
    logits[3] = 0
    ids = np.array([3, 3, 4, 3, 3])
    assert scores.evaluate(constant(logits), ids).reliability == (Bin(1.0, 0.75, 4),)


def constant(logits):
    model = make_model()
    weights = {name: np.zeros_like(array) for name, array in model.weights.items()}
    weights["head.bias"] = np.asarray(logits, np.float32)
    return dataclasses.replace(model, weights=weights)


def test_a_model_that_knows_nothing_scores_the_logarithm_of_its_alphabet():
    found = scores.evaluate(constant(np.zeros(13)), np.arange(12), window=4)
    assert found.nats_per_char == pytest.approx(math.log(13), abs=1e-7)
    assert found.cold_nats_per_char == pytest.approx(math.log(13), abs=1e-7)


def test_the_first_character_and_the_remainder_do_not_count():
    logits = np.full(13, -100.0)
    logits[[1, 2]] = 0  # both are certain to a half, anything else is 100 nats off
    ids = np.array([9, 1, 2, 1, 2, 5])
    found = scores.evaluate(constant(logits), ids, window=2)
    assert found.cold_nats_per_char == pytest.approx(math.log(2))
    assert found.nats_per_char == pytest.approx(math.log(2) + 100 / 5)
    assert found.characters == 5
    assert scores.evaluate(constant(logits), ids, window=5).cold_nats_per_char == (
        pytest.approx(math.log(2) + 100 / 5)
    )


def test_without_a_full_window_there_is_no_cold_score():
    found = scores.evaluate(constant(np.zeros(13)), np.arange(12))
    assert found.cold_nats_per_char is None
    assert found.characters == 11


def test_unknown_characters_are_scored_as_unk_and_counted():
    model = constant([-3.0, *np.zeros(12)])
    ids = model.vocabulary.encode("éaéa")
    found = scores.evaluate(model, ids)
    total = math.log(12 + math.exp(-3))
    assert found.unknown == 1  # the first one is context only
    assert found.nats_per_char == pytest.approx((3 * total + 3) / 3, abs=1e-6)


def test_parts_are_those_of_the_score(monkeypatch):
    monkeypatch.setattr(scores, "MAX_NUMBERS", 2000)  # several portions
    logits = np.zeros(13)
    logits[1] = math.log(9)  # a line break, of 12 + 9 in all
    model, text = constant(logits), "\nab a\nFA 3\n" * 20
    ids, codes = model.vocabulary.encode(text), parts.codes(text)
    found = scores.evaluate(model, ids, codes=codes).parts
    count = len(text) - 1
    assert {name: part.characters for name, part in found.items()} == {
        **{"word_starts": 40, "word_insides": 20, "capitals": 40},
        **{"digits": 20, "signs": 40, "line_breaks": 59},
    }
    assert found["line_breaks"].loss == pytest.approx(59 * math.log(21 / 9) / count)
    assert found["signs"].loss == pytest.approx(40 * math.log(21) / count)
    trained = steady(make_model("lstm", 2, characters="\n abFA3"))
    ids = trained.vocabulary.encode(text)
    whole = scores.evaluate(trained, ids, codes=codes)
    assert sum(part.loss for part in whole.parts.values()) == pytest.approx(
        scores.evaluate(trained, ids).nats_per_char, rel=1e-12
    )


def test_progress_rises_to_one(monkeypatch):
    monkeypatch.setattr(scores, "MAX_NUMBERS", 3000)
    shares = []
    ids = np.ones(1000, np.uint8)
    scores.evaluate(constant(np.zeros(13)), ids, window=50, progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 5
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(("ids", "window"), [([1], 256), ([], 256), ([1, 2, 3], 0)])
def test_what_cannot_be_scored_is_refused(ids, window):
    with pytest.raises(ConfigError):
        scores.evaluate(make_model(), np.array(ids, np.uint8), window=window)
