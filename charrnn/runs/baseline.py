"""The loss of a table of n-grams on a run's text, as a line to compare with."""

import contextlib
import json
from pathlib import Path
from typing import Final

from charrnn.errors import CheckpointError
from charrnn.files import write_file
from charrnn.model import checkpoint
from charrnn.runs.store import CORPUS_FILE, STATE
from charrnn.text import sources
from charrnn.text.baseline import ngram_loss
from charrnn.text.corpus import read_clean, split_at

ORDER: Final = 5
MAX_CHARACTERS: Final = 5_000_000


def baseline_loss(path: Path) -> float:
    """The loss of a table of `ORDER`-grams on a run's text, nats per character.

    Of the first `MAX_CHARACTERS`; found once for a text and then cached.

    Raises:
        CharrnnError: If the run's text cannot be read.
    """
    record = checkpoint.read_record(path)
    name = f"baseline{ORDER}-{record.corpus.sha256}.json"
    cached = sources.cache_folder() / name
    with contextlib.suppress(OSError, ValueError, TypeError):
        return float(json.loads(cached.read_text(encoding="ascii")))
    text = read_clean(path / STATE / CORPUS_FILE, record.corpus.sha256)
    text = text[:MAX_CHARACTERS]
    vocabulary = checkpoint.read_vocabulary(path, record)
    ids, split = vocabulary.encode(text), split_at(len(text), record.corpus.split)
    loss = ngram_loss(ids[:split], ids[split:], len(vocabulary), order=ORDER)
    with contextlib.suppress(OSError, CheckpointError):  # a cache may be missing
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_file(cached, json.dumps(loss).encode())
    return loss
