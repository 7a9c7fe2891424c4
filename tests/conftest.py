"""What the tests share: folders of their own, and small texts."""

import signal
from pathlib import Path

import numpy as np
import pytest

from charrnn.hosting import LIMITS
from charrnn.text import corpus
from charrnn.text.corpus import Corpus

# a background job of a script ignores Ctrl-C, and so would all that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)

SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog sleeps on.\n"


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own checkpoints folder and is not on a hosted page."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(folder))
    limits = (limit.metadata["variable"] for limit in LIMITS)
    for name in ("CHARRNN_HOSTED", "SPACE_ID", *limits):
        monkeypatch.delenv(name, raising=False)
    return folder


def varied_text(characters: int, *, seed: int = 0) -> str:
    """A text with some structure that no window repeats exactly."""
    rng = np.random.default_rng(seed)
    words = ["sea", "sand", "wind", "salt", "star", "stone", "rain", "root", "rust"]
    parts: list[str] = []
    while sum(len(part) + 1 for part in parts) < characters:
        parts.append(str(rng.choice(words)))
        if rng.random() < 0.1:
            parts.append("\n")
    return " ".join(parts)[:characters]


@pytest.fixture(scope="session")
def small_corpus() -> Corpus:
    """6,000 characters: epochs of a few dozen steps."""
    return corpus.from_text(varied_text(6000), name="small", max_bytes=10**6)
