"""What can be counted of a written text: four figures, where they can be known."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charrnn.model.generation import Written
from charrnn.model.record import Record
from charrnn.runs import passages, store
from charrnn.text import words
from charrnn.text.corpus import split_at
from charrnn.text.verbatim import Span


@dataclass(frozen=True)
class TextFigures:
    """Figures of one text; None where one cannot be known.

    Args:
        invented: Share of its words that the training text does not have.
        repeats: Share of its runs of 4 words that stood in it before; of 20
            characters in scripts without spaces.
        surprise: Bits per character, at temperature 1 among what can be written.
        copied: Share of its characters inside of passages of at least 40 that stand
            in the training text.
    """

    invented: float | None
    repeats: float | None
    surprise: float | None
    copied: float | None


@dataclass(frozen=True)
class Counted:
    """What was counted of the texts of one request.

    Args:
        figures: Of each text.
        copied: The copied passages of each text; None where the training text is not
            on this machine.
    """

    figures: list[TextFigures]
    copied: list[list[Span]] | None


def known_words(path: Path, record: Record) -> frozenset[str] | None:
    """The words of the text that a model was trained on; None if they are not here.

    They stand beside the model; where they do not, in the text itself.

    Args:
        path: The model's folder.
        record: Its record.
    """
    kept = path / store.WORDS_FILE
    source = kept if kept.is_file() else passages.training_text(path, record)
    try:
        if source is None:
            return None
        status = source.stat()
        split = 1.0 if source == kept else record.corpus.split
        return _words_in(source, split, status.st_mtime_ns, status.st_size)
    except (OSError, UnicodeDecodeError):
        return None


@functools.lru_cache(maxsize=2)
def _words_in(source: Path, split: float, changed: int, size: int) -> frozenset[str]:
    """The words in the part of a file that trains; time and size tell it as it is."""
    return frozenset(words.complete_words("", training_part(source, split)))


def training_part(source: Path, split: float) -> str:
    """The part of a text that trains, as far as its words are listed."""
    with source.open(encoding="utf-8", newline="") as file:
        text = file.read(words.MAX_CHARACTERS)
    return text[: split_at(len(text), split)] if split < 1 else text


def count(
    path: Path, record: Record, prompt: str, written: Sequence[Written]
) -> Counted:
    """Count what can be counted of texts.

    Args:
        path: The folder of the model that wrote them.
        record: Its record.
        prompt: What stood before each of them.
        written: The texts.
    """
    texts = [one.text for one in written]
    copied = _copied(path, record, prompt, texts)
    known = known_words(path, record)
    spans: Sequence[list[Span] | None] = copied or [None] * len(texts)
    figures = [
        TextFigures(
            invented=_invented(prompt, one.text, known),
            repeats=words.repeats(one.text),
            surprise=_mean(one.bits),
            copied=None if found is None else _share(found, len(one.text)),
        )
        for one, found in zip(written, spans, strict=True)
    ]
    return Counted(figures, copied)


def _copied(
    path: Path, record: Record, prompt: str, texts: Sequence[str]
) -> list[list[Span]] | None:
    source = passages.training_text(path, record)
    try:
        return None if source is None else passages.find_copied(source, prompt, texts)
    except OSError:
        return None


def _invented(prompt: str, text: str, known: frozenset[str] | None) -> float | None:
    if known is None or not words.has_words(text):
        return None
    return words.invented(words.complete_words(prompt, text), known)


def _mean(bits: Sequence[float]) -> float | None:
    return sum(bits) / len(bits) if bits else None


def _share(spans: Sequence[Span], length: int) -> float | None:
    """The share of a text inside of spans, which do not overlap."""
    inside = itertools.starmap(lambda start, end: end - start, spans)
    return sum(inside) / length if length else None
