"""A model of documents reads and writes each as if it stood alone."""

import dataclasses

import numpy as np
import pytest

from charrnn.config import SamplingConfig
from charrnn.inside import memory, surprise
from charrnn.model import generation, scores
from charrnn.model.checkpoint import Model
from charrnn.model.network import Network
from charrnn.text.parts import codes
from tests.builders import CELLS, make_model

TEXTS = ["abc", "d", "eabfgh", "ij a"]
KINDS = {"lines": "\n", "blank-lines": "\n\n", "files": "fa"}


def of_documents(cell: str, kind: str) -> Model:
    """A model that has learnt of a text of documents."""
    model = make_model(cell, num_layers=2)
    text = dataclasses.replace(
        model.record.corpus, documents=kind, separator=KINDS["files"]
    )
    return dataclasses.replace(
        model, record=dataclasses.replace(model.record, corpus=text)
    )


def alone(model: Model) -> Model:
    """The same model without documents."""
    text = dataclasses.replace(model.record.corpus, documents="")
    return dataclasses.replace(
        model, record=dataclasses.replace(model.record, corpus=text)
    )


def network(model: Model, **kind: bool) -> Network:
    return Network(model.record.model, model.weights, separator=model.separator, **kind)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_however_it_is_read_each_document_begins_from_zeros(cell, kind):
    model, separator = of_documents(cell, kind), KINDS[kind]
    text = separator.join(TEXTS)
    ids = model.vocabulary.encode(text)
    reading, plain = network(model), network(alone(model))
    # what each piece leaves that is read from zeros: it begins at a separator's end
    pieces = text.replace(separator, separator[:-1] + "|" + separator[-1]).split("|")
    expected = []
    for piece in pieces:
        states = plain.initial_states(1)
        for index in model.vocabulary.encode(piece):
            logits, states = plain.step(np.array([index]), states)
            expected.append(logits[0])
    states, found = reading.initial_states(1), []
    for index in ids:
        logits, states = reading.step(np.array([index]), states)
        found.append(logits[0])
    np.testing.assert_array_equal(found, expected)
    half = len(ids) // 2
    read = reading.prefill(ids[half:], reading.prefill(ids[:half], states))
    again = reading.prefill(ids, states)
    for one, other in zip(read, again, strict=True):
        np.testing.assert_array_equal(one, other)
    first, middle = reading.scan(ids[None, :half], reading.initial_states(1))
    second, _ = reading.scan(ids[None, half:], middle)
    outputs = np.concatenate([first, second])[:, 0]
    np.testing.assert_allclose(reading.logits(outputs), expected, atol=1e-5)
    traced = reading.trace(ids)[-model.record.model.num_states][1:]
    np.testing.assert_allclose(reading.logits(traced), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_is_that_of_the_documents_one_by_one(kind):
    model, separator = of_documents("gru", kind), KINDS[kind]
    text = (separator + separator.join(TEXTS * 3))[len(separator) - 1 :]
    found = scores.evaluate(
        model, model.vocabulary.encode(text), window=5, codes=codes(text)
    )
    pieces = (text[0] + text[1:].replace(separator, separator + "|")).split("|")
    pieces = [separator[-1] * (at > 0) + piece for at, piece in enumerate(pieces)]
    plain, total = alone(model), 0.0
    for piece in pieces:
        part = scores.evaluate(plain, plain.vocabulary.encode(piece))
        total += part.nats_per_char * part.characters
    assert found.nats_per_char == pytest.approx(total / (len(text) - 1), abs=1e-6)
    told = surprise.surprise(model, text)
    assert told.bits.mean() * np.log(2) == pytest.approx(found.nats_per_char, abs=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_before_a_document_was_looked_at(cell):
    model = of_documents(cell, "lines")
    text = "abcd\nefgh"
    _, states = surprise.read(model, text)
    look = memory.look(model, model.vocabulary.encode(text), states, 8)
    assert (look.norms[:4] == 0).all()
    piece = "\nefgh"
    _, own = surprise.read(model, piece)
    expected = memory.look(model, model.vocabulary.encode(piece), own, 4)
    np.testing.assert_allclose(look.norms[4:], expected.norms, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_goes_on_with_a_new_document_as_if_it_began(kind):
    """What is drawn after a separator is drawn from it alone."""
    model, separator = of_documents("gru", kind), KINDS[kind]
    rows = [SamplingConfig(temperature=1.0, seed=3)]

    def written(prompt: str) -> str:
        *_, (text,) = generation.generate(model, prompt, length=40, rows=rows)
        return text

    begun = written("")
    assert begun == written("abc" + separator) == written("jih" + separator)
    assert begun != written("abc")
