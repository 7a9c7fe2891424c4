"""How fast earlier runs were, and so how long the next one will take."""

import dataclasses
from pathlib import Path

import pytest

from charrnn.model import checkpoint
from charrnn.model.record import Figures
from charrnn.runs import control, preparation
from charrnn.runs.listing import expected_seconds, expected_speed
from charrnn.text.corpus import Corpus


def run_with(text: Corpus, figures: Figures) -> Path:
    prepared = preparation.prepare(text, settings={"epochs": 3, "minutes": None})
    folder = control.create(prepared)
    record = checkpoint.read_record(folder)
    checkpoint.save_record(folder, dataclasses.replace(record, figures=figures))
    return folder


def test_the_speed_is_of_all_steps_not_of_the_kept_one(small_corpus: Corpus) -> None:
    figures = Figures(val_loss=1.0, kept_step=100, total_steps=1000, seconds=20.0)
    record = checkpoint.read_record(run_with(small_corpus, figures))
    training = record.training
    window = training.batch_size * training.seq_length
    assert expected_speed(record.model, training) == 1000 * window / 20
    assert expected_seconds(record.model, training, 10_000) == pytest.approx(
        3 * 9000 / (50 * window)
    )


def test_a_run_that_does_not_know_its_steps_says_no_speed(
    small_corpus: Corpus,
) -> None:
    figures = Figures(val_loss=1.0, kept_step=100, total_steps=None, seconds=20.0)
    record = checkpoint.read_record(run_with(small_corpus, figures))
    assert expected_speed(record.model, record.training) is None
    assert expected_seconds(record.model, record.training, 10_000) is None
