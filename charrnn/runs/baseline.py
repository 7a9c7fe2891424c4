"""The loss of a table of 5-grams on a run's text, as a line to compare with."""

import contextlib
import json
from pathlib import Path
from typing import Final

from charrnn.errors import CheckpointError
from charrnn.files import write_file
from charrnn.model import checkpoint
from charrnn.runs.store import CORPUS_FILE, STATE
from charrnn.text import baseline, sources
from charrnn.text.corpus import read_clean, split_at

FLOOR_ORDER: Final = 5
FLOOR_CHARACTERS: Final = 5_000_000


def floor(path: Path) -> float:
    """The loss of a table of 5-grams on a run's text, as a line to compare with.

    Of the first `FLOOR_CHARACTERS`; found once for a text and then cached.

    Raises:
        CharrnnError: If the run's text cannot be read.
    """
    record = checkpoint.read_record(path)
    cached = sources.cache_folder() / f"floor{FLOOR_ORDER}-{record.corpus.sha256}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return float(json.loads(cached.read_text(encoding="ascii")))
    text = read_clean(path / STATE / CORPUS_FILE, record.corpus.sha256)
    text = text[:FLOOR_CHARACTERS]
    vocabulary = checkpoint.read_vocabulary(path, record)
    ids, split = vocabulary.encode(text), split_at(len(text), record.corpus.split)
    loss = baseline.ngram_loss(
        ids[:split], ids[split:], len(vocabulary), order=FLOOR_ORDER
    )
    with contextlib.suppress(OSError, CheckpointError):  # a cache may be missing
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_file(cached, json.dumps(loss).encode())
    return loss
