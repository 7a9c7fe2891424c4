"""Small models with random weights, and running a card's program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.model import checkpoint
from charrnn.model.record import CorpusRecord, Figures, Record
from charrnn.text.vocabulary import Vocabulary

CHARACTERS = "\n abcdefghijklmnopqrstuvwxyzäß😀"


def make_record(cell: str = "gru", layers: int = 1, title: str = "Test") -> Record:
    model = ModelConfig(
        cell=cell,
        embedding_dim=6,
        rnn_units=16,
        num_layers=layers,
        vocab_size=len(CHARACTERS) + 1,
    )
    return Record(
        title=title,
        model=model,
        training=TrainingConfig(epochs=3, seed=7),
        corpus=CorpusRecord(
            name="Some text", characters=1234, distinct=30, sha256="0" * 64
        ),
        figures=Figures(
            val_loss=1.5,
            cold256_val_loss=1.625,
            kept_step=1200,
            total_steps=1500,
            seconds=61.4,
        ),
        versions={"charrnn": "0.1.0"},
    )


def make_folder(folder: Path, record: Record, seed: int = 1) -> Path:
    """A complete model with random weights, large enough to write variedly."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, 1.2, shape).astype(np.float32)
        for name, shape in record.model.tensor_shapes().items()
    }
    checkpoint.save_record(folder, record)
    checkpoint.save_vocabulary(folder, Vocabulary.of(CHARACTERS))
    checkpoint.save_weights(folder, record.model, weights)
    return folder


def program_in(text: str) -> str:
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    return program


def run_program(program: str, *arguments: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=60,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout
