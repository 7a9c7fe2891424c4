"""Old rows keep their bits and their meaning; new ones are as new networks' are."""

import dataclasses

import numpy as np
import pytest

from charrnn.model.growing import grow
from charrnn.model.network import Network
from charrnn.text.vocabulary import Vocabulary
from tests.builders import CELLS, make_model

OLD, TEXT = "\n abcdefghij", "bad\n cafe dig"
NEW = Vocabulary.of(OLD + "!Aあ~")  # before, between and behind the old ones


def logits(weights, outputs):
    """The head for (1, H), added up column by column: no column sees how many are."""
    products = outputs[0][:, None] * weights["head.kernel"]
    return products.sum(axis=0) + weights["head.bias"]


@pytest.mark.parametrize("cell", CELLS)
def test_for_old_characters_the_logits_are_the_old_models_exactly(cell):
    model = make_model(cell, num_layers=2, characters=OLD)
    old, before = model.vocabulary, model.record.model
    grown = grow(model.weights, before, old, NEW, seed=1)
    after = dataclasses.replace(before, vocab_size=len(NEW))
    first, second = Network(before, model.weights), Network(after, grown)
    places = [NEW.entries.index(entry) for entry in old.entries]
    states = first.initial_states(1)
    for character in TEXT:
        found, moved = second.step(NEW.encode(character), states)
        expected, states = first.step(old.encode(character), states)
        for state, other in zip(states, moved, strict=True):
            np.testing.assert_array_equal(state, other)
        outputs = states[-before.num_states]
        np.testing.assert_array_equal(
            logits(grown, outputs)[places], logits(model.weights, outputs)
        )
        # BLAS adds a column up in an order that depends on how many there are
        np.testing.assert_allclose(found[:, places], expected, rtol=0, atol=1e-5)


def test_new_rows_are_drawn_as_those_of_a_new_network():
    model = make_model(units=64, characters=OLD)
    new = Vocabulary.of([*OLD, *map(chr, range(0x4E00, 0x4E00 + 1000))])
    weights = grow(model.weights, model.record.model, model.vocabulary, new, seed=1)
    added = [i for i, entry in enumerate(new.entries) if ord(entry[0]) >= 0x4E00]
    limit = np.sqrt(6 / (64 + len(new)))
    for rows, bound in (
        (weights["embedding.weight"][added], 0.05),
        (weights["head.kernel"][:, added], limit),
    ):
        assert np.abs(rows).max() <= bound
        assert rows.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)  # uniform
    assert not weights["head.bias"][added].any()
    again = grow(model.weights, model.record.model, model.vocabulary, new, seed=1)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)
