"""What lists say of runs: their losses, and how fast earlier ones were."""

import dataclasses
from pathlib import Path

import pytest

from charrnn import card
from charrnn.cli.output import loss_column
from charrnn.cli.parser import main
from charrnn.model import checkpoint
from charrnn.model.record import Figures
from charrnn.runs import control, preparation, quality
from charrnn.runs.events import EventLog
from charrnn.runs.listing import expected_seconds, expected_speed, list_runs
from charrnn.text.corpus import Corpus
from charrnn.ui import panel, shared
from tests.builders import make_event


def run_with(text: Corpus, figures: Figures) -> Path:
    prepared = preparation.prepare(text, settings={"epochs": 3, "minutes": None})
    folder = control.create(prepared)
    record = checkpoint.read_record(folder)
    checkpoint.save_record(folder, dataclasses.replace(record, figures=figures))
    return folder


def test_every_list_shows_the_loss_on_record_and_a_divergence(
    small_corpus: Corpus,
) -> None:
    figures = Figures(val_loss=904.0, kept_step=10, total_steps=10, seconds=20.0)
    folder = run_with(small_corpus, figures)
    for event in (
        make_event("validation", 10, val_loss=904.5),
        make_event("ended", 10),
    ):
        EventLog(folder).append(event)
    (entry,) = list_runs()
    assert loss_column(entry) == "904.0000 (worse than guessing)"
    assert "904.000 · worse than guessing" in panel.runs_table("en", [entry])
    assert "904.000 · worse than guessing" in shared.model_label("en", entry)
    guessing = quality.guessing_loss(entry.record.model)
    sentence = "**It predicts worse than guessing would** (2.7081 nats per character)"
    assert guessing == pytest.approx(2.7081, abs=1e-4)
    assert sentence in card.card(entry.record, samples={})
    close = dataclasses.replace(figures, val_loss=guessing)
    checkpoint.save_record(folder, dataclasses.replace(entry.record, figures=close))
    (entry,) = list_runs()
    assert loss_column(entry) == "2.7081"
    assert "guessing would" not in card.card(entry.record, samples={})


def test_the_terminal_says_at_the_end_what_a_training_amounts_to(
    small_corpus: Corpus, capfd: pytest.CaptureFixture[str]
) -> None:
    figures = Figures(
        val_loss=904.0,
        kept_step=10,
        total_steps=10,
        seconds=2.0,
        val_characters=300,
    )
    folder = run_with(small_corpus, figures)
    EventLog(folder).append(make_event("ended", 10))
    assert main(["follow", folder.name]) == 0
    assert capfd.readouterr().err.splitlines()[1:] == [
        "finished after step 10",
        "kept weights of step 10: validation 904.0000 nats/char (1304.196 bits) over "
        "the first 300 characters of the validation part",
        "note: It predicts worse than guessing would: 904.000 nats per character "
        "instead of 2.708. The training diverged: train anew with a smaller "
        "learning_rate.",
    ]


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
