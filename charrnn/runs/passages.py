"""Which passages of a written text stand word for word in the training text."""

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from charrnn.errors import CorpusError
from charrnn.model.record import Record
from charrnn.runs import store
from charrnn.text import sources, verbatim

MAX_INDEXED: Final = 2_000_000  # bytes of a text whose windows are kept, eight for each
_indexing: Final = threading.Lock()


def training_text(path: Path, record: Record) -> Path | None:
    """The text that a model was trained on, if it lies on this machine.

    Args:
        path: The model's folder.
        record: Its record.
    """
    own = path / store.STATE / store.CORPUS_FILE
    if own.is_file():
        return own
    key = record.corpus.key
    if key is None or not (named := sources.NAMED[key]).sha256:
        return None
    try:
        cached = sources.cache_folder() / f"{key}.txt"
        fits = cached.is_file() and cached.stat().st_size == named.size
    except (CorpusError, OSError):
        return None
    return cached if fits else None


def find_copied(
    source: Path, prompt: str, texts: Sequence[str]
) -> list[list[tuple[int, int]]]:
    """For each text, the passages (start, end) that also stand in the source.

    The prompt is searched together with the text, since a passage may begin
    there; positions count from the text's own beginning. A visitor's four texts
    together are one reading of the source, or none where it is small.

    Raises:
        OSError: If the source cannot be read.
    """
    wholes = [prompt + text for text in texts]
    status = source.stat()
    if status.st_size > MAX_INDEXED:
        all_found = verbatim.passages(wholes, verbatim.pieces(source))
    else:
        with _indexing:  # once, however many wait for it
            known = _index(source, status.st_mtime_ns, status.st_size)
        all_found = verbatim.look_up(wholes, known)
    inside = [
        [(max(0, a - len(prompt)), b - len(prompt)) for a, b in found]
        for found in all_found
    ]
    return [[(a, b) for a, b in found if b > a] for found in inside]


@functools.lru_cache(maxsize=2)
def _index(source: Path, changed: int, size: int) -> verbatim.Hashes:
    """The windows of a text as it is: time of change and size tell it from others."""
    return verbatim.index(verbatim.pieces(source))
