r"""A text of many documents: where each begins, and where the text is split.

Documents are separated by a string: a line end, an empty line, or what several files
were joined by. The separator's last character begins the next document: that one
starts has to be known when this character is read, also while a text is written. Of a
separator of one character, ``\n`` between the lines, a document is therefore its
separator and then its text. The state is zeroed before that character is read.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.errors import CorpusError
from charrnn.text.corpus import SPLIT, Corpus, split_at

Starts = npt.NDArray[np.bool_]
LINES, BLANK_LINES, FILES = "lines", "blank-lines", "files"
KINDS: Final = (LINES, BLANK_LINES, FILES)
EARLIEST, LATEST = 0.5, 0.95  # shares of a text between which it is split


def separator_of(documents: str, joined_by: str) -> str:
    r"""What separates the documents of a text.

    Args:
        documents: One of `KINDS`; empty: the text is one document.
        joined_by: What its files were joined by.

    Example:
        >>> separator_of("blank-lines", "")
        '\n\n'
    """
    if documents == FILES:
        return joined_by
    return {LINES: "\n", BLANK_LINES: "\n\n"}.get(documents, "")


def starts(ids: npt.NDArray[np.number[Any]], separator: Sequence[int]) -> Starts:
    """Where a separator is complete, so that a document begins.

    Args:
        ids: Of texts, shape ``(..., length)``, each from its beginning.
        separator: Its ids, at least one.

    Returns:
        Of the shape of ``ids``.

    Example:
        >>> starts(np.array([2, 1, 1, 3, 1, 1, 1]), (1, 1)).astype(int).tolist()
        [0, 0, 1, 0, 0, 1, 1]
    """
    found: Starts = np.equal(ids, separator[-1])
    for back, wanted in enumerate(reversed(separator[:-1]), start=1):
        found[..., back:] &= ids[..., :-back] == wanted
        found[..., :back] = False
    return found


def _starts_in(text: str, separator: str) -> list[int]:
    """The places near the usual split at which a document begins."""
    first, last = split_at(len(text), EARLIEST), split_at(len(text), LATEST)
    places, at = [], text.find(separator, first)
    while at != -1 and (place := at + len(separator) - 1) <= last:
        places.append(place)
        at = text.find(separator, at + 1)
    return places


def split_between(text: str, separator: str) -> float:
    """The share of a text that trains, so that no document is split.

    The usual split moves to the next document that begins; where none begins soon
    enough after it, to the last one before.

    Returns:
        A share from which `split_at` finds exactly that place.

    Raises:
        CorpusError: If no document begins between the text's half and 95 % of it.
    """
    places, usual = _starts_in(text, separator), split_at(len(text), SPLIT)
    if not places:
        raise CorpusError(
            "No document of the text begins between its half and 95 % of it: it "
            "cannot be split into a part that trains and one that validates. Use more "
            "documents, or leave --documents out."
        )
    place = next((p for p in places if p >= usual), places[-1])
    return (place + 0.5) / len(text)


def check(corpus: Corpus) -> tuple[str, ...]:
    """What to say about a text's documents.

    Raises:
        CorpusError: If they are the files that the text was joined of, but it is of
            one file alone, or nothing stands between them.
    """
    if corpus.documents != FILES:
        return ()
    if corpus.texts < 2 or not corpus.separator:
        raise CorpusError(
            "--documents files takes several files and a separator between them: give "
            "more with --corpus, or take --documents lines or blank-lines."
        )
    inside = corpus.text.count(corpus.separator) - (corpus.texts - 1)
    if inside <= 0:
        return ()
    return (
        f"What separates the files stands {inside:,} times inside them, too: documents "
        "begin there as well. A --separator that no file holds prevents that.",
    )
