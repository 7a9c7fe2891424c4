"""The comparison that a first visitor finds is the shipped model's own."""

import numpy as np
import pytest

from charrnn.config import SamplingConfig
from charrnn.model import checkpoint
from charrnn.model.generation import Written, prompt_ids
from charrnn.model.network import Network
from charrnn.model.sampling import next_char_probs, surprise, uniform_stream
from charrnn.runs import figures, store
from charrnn.ui import generate_form, labels, stored
from charrnn.ui.shared import NEW_BROWSER
from tests.builders import ENGLISH, PageRequest, make_folder, make_record

NEAR = 1e-4  # of a boundary: two processors add up in different orders


@pytest.fixture(scope="module")
def shipped() -> checkpoint.Model:
    return checkpoint.load(store.shipped_folder() / store.SHIPPED_ID)


def is_drawn(probs: np.ndarray, chosen: int, uniform: float) -> bool:
    """Whether a uniform falls on a candidate's share, or all but."""
    end = probs[: chosen + 1].sum()
    return end - probs[chosen] - NEAR <= uniform < end + NEAR


def test_every_character_is_the_one_that_the_model_draws_there(shipped):
    found = stored.read()
    assert found.weights_hash == shipped.weights_hash
    network = Network(shipped.record.model, shipped.weights)
    start = prompt_ids(shipped.vocabulary, found.prompt)
    states = network.prefill(start[:-1], network.initial_states(1))
    states = tuple(np.repeat(state, len(found.texts), axis=0) for state in states)
    ids = [shipped.vocabulary.encode(one.text) for one in found.texts]
    assert [len(one) for one in ids] == [found.length] * len(found.texts)
    last, uniforms = np.repeat(start[-1:], len(ids)), uniform_stream(found.seed)
    for place, uniform in zip(range(found.length), uniforms, strict=False):
        logits, states = network.step(last, states)
        last = np.array([one[place] for one in ids])
        bits = surprise(logits[:, 1:], last - 1)
        for row, one in enumerate(found.texts):
            config = SamplingConfig(
                temperature=one.temperature, top_k=found.top_k, top_p=found.top_p
            )
            probs = next_char_probs(
                logits[row, 1:],
                temperature=config.temperature,
                top_k=config.top_k,
                top_p=config.top_p,
            )
            assert is_drawn(probs, last[row] - 1, uniform), (row, place)
            assert one.bits[place] == pytest.approx(bits[row], abs=1e-3)


def test_the_figures_are_those_of_the_texts(shipped):
    found = stored.read()
    path = store.shipped_folder() / store.SHIPPED_ID
    written = [Written(one.text, one.bits) for one in found.texts]
    counted = figures.count(path, shipped.record, found.prompt, written)
    for one, again in zip(found.texts, counted.figures, strict=True):
        kept = one.figures
        if counted.copied is None:  # the training text is not on this machine
            again = stored.TextFigures(
                again.invented, again.repeats, again.surprise, kept.copied
            )
        assert kept == again
    if counted.copied is not None:
        assert [one.copied for one in found.texts] == counted.copied


def test_a_first_visitor_finds_it_marked_as_such_with_its_seed():
    opened = generate_form.fill(ENGLISH, "", NEW_BROWSER, first=True)
    found = stored.read()
    assert opened.model["value"] == found.model
    assert (opened.prompt, opened.seed) == (found.prompt, found.seed)
    assert "before you came" in opened.status
    for card, one in zip(opened.cards, found.texts, strict=True):
        assert 'class="card stored"' in card
        assert f'data-temperature="{one.temperature:g}"' in card
        assert f"{one.figures.surprise:.2f} bits per character" in card
        assert card.count("<") == card.count(">")
    japanese = generate_form.fill(PageRequest(lang="ja"), "", {}, first=True)
    assert "前もって書いた" in japanese.status


def test_nothing_else_is_stood_before(isolated):
    later = generate_form.fill(ENGLISH, "", NEW_BROWSER)
    linked = generate_form.fill(
        PageRequest("?model=shakespeare&prompt=so"), "", {}, first=True
    )
    resting = labels.i18n.translations_dict["en"]["card"]
    assert later.cards == linked.cards == (resting,) * 4
    assert later.status == ""
    assert stored.shown("en", "another") is None
    make_folder(isolated / store.SHIPPED_ID, make_record())  # with other weights
    assert stored.shown("en", store.SHIPPED_ID) is None
    assert generate_form.fill(ENGLISH, "", {}, first=True).cards == (resting,) * 4
