"""Which passages of a written text stand word for word in the training text."""

from collections.abc import Sequence
from pathlib import Path

from charrnn.errors import CorpusError
from charrnn.model.record import Record
from charrnn.runs import store
from charrnn.text import sources, verbatim


def training_text(path: Path, record: Record) -> Path | None:
    """The text that a model was trained on, if it lies on this machine.

    Args:
        path: The model's folder.
        record: Its record.
    """
    own = path / store.STATE / store.CORPUS_FILE
    if own.is_file():
        return own
    named = sources.NAMED.get(record.corpus.name)
    if named is None or not named.sha256 or named.sha256 != record.corpus.sha256:
        return None
    try:
        cached = sources.cache_folder() / f"{record.corpus.name}.txt"
        fits = cached.is_file() and cached.stat().st_size == named.size
    except (CorpusError, OSError):
        return None
    return cached if fits else None


def find_copied(
    source: Path, prompt: str, texts: Sequence[str]
) -> list[list[tuple[int, int]]]:
    """For each text, the passages (start, end) that also stand in the source.

    The prompt is searched together with the text, since a passage may begin
    there; positions count from the text's own beginning.

    Raises:
        OSError: If the source cannot be read.
    """
    found = []
    for text in texts:
        whole = verbatim.passages(prompt + text, verbatim.pieces(source))
        inside = [(max(0, a - len(prompt)), b - len(prompt)) for a, b in whole]
        found.append([(a, b) for a, b in inside if b > a])
    return found
