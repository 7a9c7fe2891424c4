"""The example with Optuna, where Optuna is installed."""

import importlib.util

import pytest

from charrnn.model import checkpoint
from charrnn.runs.history import read_view
from charrnn.runs.quality import best_loss
from tests.builders import ROOT, varied_text

pytest.importorskip("optuna")


def test_the_example_searches(tmp_path, isolated):
    spec = importlib.util.spec_from_file_location(
        "search_with_optuna", ROOT / "docs/search_with_optuna.py"
    )
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    text = tmp_path / "sea.txt"
    text.write_text(varied_text(4000))
    study = example.search(str(text), 2, minutes=0.02)
    losses = {}
    for trial in study.trials:
        path = isolated / trial.user_attrs["run"]
        record = checkpoint.read_record(path)
        assert record.model.rnn_units == trial.params["rnn_units"]
        losses[trial.number] = best_loss(record, read_view(path)).loss
    assert study.best_value == min(losses.values())
