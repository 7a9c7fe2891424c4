"""Small models with random weights, events, and running a card's program."""

import os
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Final

import numpy as np

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.model import checkpoint
from charrnn.model.record import CorpusRecord, Figures, Record
from charrnn.runs.events import Event
from charrnn.runs.states import EndReason
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
        figures=Figures(val_loss=1.5, cold256_val_loss=1.625, steps=1200, seconds=61.4),
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


EVENT_TYPES: Final = {
    cls.__dataclass_fields__["type"].default: cls for cls in typing.get_args(Event)
}
EVENT_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "queued": {"position": 0},
    "started": {
        **{"planned_steps": None, "steps_per_epoch": 10, "parameters": 9, "pid": 1},
    },
    "planned": {"planned_steps": 100},
    "step": {
        **{"epoch": 1, "loss": 2.0, "learning_rate": 0.01, "chars_per_second": 1000.0},
    },
    "validation": {"val_loss": 2.0, "best": True},
    "sample": {"temperature": 0.8, "prompt": "the", "text": " sea"},
    "baseline": {"order": 5, "loss": 1.75},
    "learning_rate": {"factor": 0.5},
    "ended": {"reason": "finished"},
    "failed": {"message": "because"},
    "notice": {"message": "by the way"},
}


def make_event(kind: str, step: int = 0, **fields: Any) -> Event:
    """An event of a type, with plain values for the fields that are not given."""
    values = {**EVENT_FIELDS.get(kind, {}), **fields}
    if kind == "ended":
        values["reason"] = EndReason(values["reason"])
    return EVENT_TYPES[kind](step=step, **values)


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
