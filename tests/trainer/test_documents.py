"""Documents while training: the states are zeroed where one begins."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from charrnn.config import ModelConfig, SamplingConfig
from charrnn.errors import CheckpointError
from charrnn.model import checkpoint, generation, scores
from charrnn.runs import control, preparation
from charrnn.runs.events import EventLog
from charrnn.text import corpus, documents
from charrnn.trainer import export, train
from charrnn.trainer.network import KerasNetwork, cross_entropy
from charrnn.trainer.session import open_session
from tests.builders import CELLS, TINY, with_baseline

BREAK = 1  # the id that begins a document


def network(cell: str, scan_impl: str) -> KerasNetwork:
    config = ModelConfig(
        cell=cell, rnn_units=12, embedding_dim=5, num_layers=2, vocab_size=7
    )
    return KerasNetwork(config, scan_impl=scan_impl, seed=3)


def step(of: KerasNetwork, ids, begins=None):
    """Logits, final states, and gradients of the sum of losses, of one window."""

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            logits, states = of(ids[:, :-1], begins=begins)
            loss = tf.reduce_sum(cross_entropy(ids[:, 1:], logits))
        gradients = tape.gradient(loss, of.trainable_variables)
        return (
            logits,
            tf.nest.flatten(states),
            [tf.convert_to_tensor(g) for g in gradients],
        )

    logits, states, gradients = run()
    return logits.numpy(), states, [gradient.numpy() for gradient in gradients]


@pytest.mark.parametrize(
    ("cell", "scan_impl"),
    [*((cell, "loop") for cell in CELLS), ("gru", "columns"), ("lstm", "columns")],
)
def test_a_window_of_documents_is_these_documents_one_by_one(cell, scan_impl):
    rng, of = np.random.default_rng(1), network(cell, scan_impl)
    pieces = [[BREAK, *rng.integers(2, 7, size)] for size in (3, 1, 6)]
    whole = np.array([[c for piece in pieces for c in piece]] * 2)
    begins = documents.starts(whole[:, :-1], [BREAK])
    logits, states, gradients = step(of, whole, begins)
    alone, sums, at = [], [np.zeros_like(g) for g in gradients], 0
    for piece in pieces:
        at += len(piece)
        following = whole[0, at : at + 1].tolist()  # it is predicted from this one
        found, last, own = step(of, np.array([[*piece, *following]] * 2))
        alone.append(found)
        sums = [a + b for a, b in zip(sums, own, strict=True)]
    np.testing.assert_allclose(logits, np.concatenate(alone, axis=1), atol=1e-6)
    for one, other in zip(states, last, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    for one, other in zip(gradients, sums, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_run_of_names_writes_names_without_a_prompt(isolated: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcde"), rng.integers(2, 6))) for _ in range(900)]
    text = corpus.from_text("\n".join(names), name="names", max_bytes=10**6)
    text = dataclasses.replace(text, documents="lines")
    prepared = preparation.prepare(text, settings={**TINY, "epochs": 1})
    folder = with_baseline(control.create(prepared))
    session = open_session(folder, EventLog(folder))
    begins = session.streams.starts(0, 0)
    inputs, _ = session.streams.window(0, 0)
    newline = prepared.vocabulary.encode("\n")[0]
    np.testing.assert_array_equal(begins, inputs == newline)
    train.train(folder)
    record = checkpoint.read_record(folder)
    assert record.corpus.documents == "lines"
    place = corpus.split_at(len(text.text), record.corpus.split)
    assert text.text[place] == "\n"
    model = checkpoint.load(folder)
    ids = model.vocabulary.encode(text.text)
    found = scores.evaluate(model, ids[place:])
    assert record.figures is not None
    assert found.nats_per_char == pytest.approx(record.figures.val_loss, abs=1e-6)
    rows = generation.samples_of([SamplingConfig(stop="\n", seed=5)], 20)
    *_, written = generation.generate(model, "", length=400, rows=rows)
    assert len(set(written)) > 5
    assert all("\n" not in name and len(name) < 400 for name in written)
    longer = dataclasses.replace(model.record.corpus, documents="blank-lines")
    other = dataclasses.replace(
        model, record=dataclasses.replace(model.record, corpus=longer)
    )
    with pytest.raises(CheckpointError, match="cannot tell where they begin"):
        export.export(other, isolated / "saved")
