"""The number on the logits against texts that were drawn with a known one."""

import dataclasses

import numpy as np
import pytest

from charrnn.model import calibration, scores
from charrnn.model.calibration import LogitScale
from tests.builders import make_model, make_record, steady

LOGITS = np.linspace(-2, 3, 13).astype(np.float32)


def constant():
    """A model that always predicts the same."""
    model = make_model()
    weights = {name: np.zeros_like(array) for name, array in model.weights.items()}
    return dataclasses.replace(model, weights={**weights, "head.bias": LOGITS})


def drawn(count, scale, seed=0):
    """Ids with the frequencies of its logits times a number."""
    shares = np.exp(scale * LOGITS.astype(np.float64))
    rng = np.random.default_rng(seed)
    return rng.choice(13, count, p=shares / shares.sum()).astype(np.uint8)


def loss(model, ids, scale):
    weights = calibration.scaled(model.weights, scale)
    return scores.cold(dataclasses.replace(model, weights=weights), ids)


@pytest.mark.parametrize("scale", [0.7, 1.6])
def test_the_number_that_a_text_was_drawn_with_is_found(scale):
    model, ids = constant(), drawn(40 * scores.WINDOW + 1, scale)
    found = calibration.fit(model, ids)
    assert [found.whole, found.first, found.second] == pytest.approx(
        [scale] * 3, rel=0.06
    )
    least = loss(model, ids, found.whole)
    assert least < loss(model, ids, found.whole + 0.002)
    assert least < loss(model, ids, found.whole - 0.002)
    middle = 20 * scores.WINDOW  # characters that are predicted of each half
    for fitted, half in (
        (found.second, ids[: middle + 1]),
        (found.first, ids[middle:]),
    ):
        assert loss(model, half, fitted) < loss(model, half, fitted + 0.004)
        assert loss(model, half, fitted) < loss(model, half, fitted - 0.004)


def test_it_is_found_in_a_network_and_in_a_part_of_the_text(monkeypatch):
    model = steady(make_model("lstm", 2))
    rng = np.random.default_rng(3)
    ids = rng.integers(1, 13, 30 * scores.WINDOW + 1).astype(np.uint8)
    whole = calibration.fit(model, ids)  # nothing can be foretold
    assert whole.whole < 0.6
    assert loss(model, ids, whole.whole) < loss(model, ids, 1)
    monkeypatch.setattr(calibration, "MAX_CHARACTERS", 12 * scores.WINDOW)
    part = calibration.fit(model, ids)
    assert part.whole == pytest.approx(whole.whole, rel=0.1)


@pytest.mark.parametrize(
    ("limit", "expected"), [("MAX_LOGITS", 7), ("OPERATIONS", 7), (None, 78)]
)
def test_it_reads_no_more_than_its_limits(limit, expected, monkeypatch):
    model = constant()
    size = {"MAX_LOGITS": 13, "OPERATIONS": model.record.model.num_parameters()}
    if limit is not None:
        monkeypatch.setattr(calibration, limit, 2000 * size[limit])
    read = []

    def watched(network, ids):
        read.append(ids.shape)
        return scores.predict(network, ids)

    monkeypatch.setattr(calibration, "predict", watched)
    calibration.fit(model, drawn(30_000, 1.0))
    assert read == [(expected, scores.WINDOW + 1)]


def test_where_one_half_does_not_help_the_other_nothing_is_changed():
    count = 20 * scores.WINDOW
    ids = np.concatenate([drawn(count, 0.6), drawn(count + 1, 1.6)])
    assert calibration.fit(constant(), ids) is None
    assert calibration.fit(constant(), ids[:2]) is None


def test_no_number_is_far_from_one():
    surest = int(LOGITS.argmax())
    assert calibration.fit(constant(), np.full(300, surest)).whole == 2
    assert calibration.fit(constant(), np.zeros(300, np.uint8)).whole == 0.5


def test_each_half_is_scored_with_the_number_of_the_other():
    model = steady(make_model("gru", 2))
    ids = np.random.default_rng(1).integers(0, 13, 201).astype(np.uint8)
    fitted = LogitScale(0.5, 0.75, 1.5)
    factors = fitted.cross_fitted(200)
    assert factors.tolist() == [1.5] * 100 + [3.0] * 100
    weights = calibration.scaled(model.weights, fitted.whole)
    published = dataclasses.replace(model, weights=weights)
    found = scores.evaluate(published, ids, window=10, cold_factors=factors)
    halves = []
    for scale, part in ((0.75, ids[:101]), (1.5, ids[100:])):
        weights = calibration.scaled(model.weights, scale)
        read = dataclasses.replace(model, weights=weights)
        halves.append(scores.cold(read, part, window=10))
    assert found.cold_nats_per_char == pytest.approx(np.mean(halves), abs=1e-6)
    assert found.nats_per_char == pytest.approx(
        scores.evaluate(published, ids).nats_per_char, abs=1e-12
    )


def test_the_training_s_weights_come_back_but_for_rounding():
    weights = make_model().weights
    figures = make_record().figures
    assert calibration.unscaled(weights, None) is weights
    assert calibration.unscaled(weights, figures) is weights
    known = dataclasses.replace(figures, logit_scale=0.8366)
    published = calibration.scaled(weights, 0.8366)
    changed = {
        name for name in weights if not np.array_equal(published[name], weights[name])
    }
    assert changed == set(calibration.HEAD)
    for name, array in calibration.unscaled(published, known).items():
        np.testing.assert_allclose(array, weights[name], rtol=2e-7)
