"""Errors and notices of the program in the language of whoever reads them.

The program says them in English, in its processes, files and histories. A locale file
has its `sentences`: the English with a place for each value, `{0}`, `{1}` and so on,
and what it is in that language. `say` finds the one that a sentence was made from. A
value that is a sentence or phrase itself is said in that language, too.
"""

import functools
import json
import re
import string
from collections.abc import Iterator, Sequence
from typing import Final

from charrnn.ui.texts import LOCALES

MAX_DEPTH: Final = 4  # of sentences in sentences
MAX_CHARACTERS: Final = 2000  # of a sentence that is looked up
_BETWEEN: Final = re.compile(r"(?<=\.) ")


def load(lang: str) -> dict[str, str]:
    """The sentences of a language by their English; English itself has none."""
    content = json.loads((LOCALES / f"{lang}.json").read_text(encoding="utf-8"))
    sentences: dict[str, str] = content.get("sentences", {})
    return sentences


def pieces_of(template: str) -> list[str]:
    """The text before, between and after the values of a template."""
    pieces = [""]
    for text, field, _, _ in string.Formatter().parse(template):
        pieces[-1] += text
        if field is not None:
            pieces.append("")
    return pieces


def values_in(sentence: str, pieces: Sequence[str]) -> list[str] | None:
    """The values that a sentence has between the pieces of a template.

    Each piece is taken where it first appears, so that the time is linear in the
    sentence, whatever a stranger has put into it.

    Returns:
        The values; None if the sentence was not made from the template.

    Example:
        >>> values_in("toy has 5 units.", ["", " has ", " units."])
        ['toy', '5']
    """
    first, *middle = pieces
    if not middle:
        return [] if sentence == first else None
    last, end = middle[-1], len(sentence) - len(middle[-1])
    if not (sentence.startswith(first) and sentence.endswith(last)):
        return None
    values, start = [], len(first)
    for piece in middle[:-1]:
        found = sentence.find(piece, start, end)
        if found < 0:
            return None
        values.append(sentence[start:found])
        start = found + len(piece)
    if start > end:
        return None
    values.append(sentence[start:end])
    for place, piece in enumerate(middle[:-1]):
        if not piece:  # nothing tells these two apart: the first has it all
            values[place : place + 2] = [values[place] + values[place + 1], ""]
    return values


@functools.cache
def _templates(lang: str) -> tuple[tuple[list[str], str], ...]:
    """The templates of a language, those with the most text of their own first."""
    known = [(pieces_of(english), said) for english, said in load(lang).items()]
    return tuple(sorted(known, key=lambda one: -sum(map(len, one[0]))))


def _splits(sentence: str) -> Iterator[tuple[str, str]]:
    for space in _BETWEEN.finditer(sentence):
        yield sentence[: space.start()], sentence[space.end() :]


def _said(lang: str, sentence: str, depth: int) -> str | None:
    """The sentence in a language; None if it is none that is known."""
    if depth > MAX_DEPTH:
        return None
    for pieces, said in _templates(lang):
        values = values_in(sentence, pieces)
        if values is not None:
            return said.format(*(_said(lang, v, depth + 1) or v for v in values))
    return None


def say(lang: str, sentence: str) -> str:
    """An error or notice of the program in a language, not yet escaped for HTML.

    Args:
        lang: A key of `texts.TABLES`.
        sentence: In English, as the program made it; one or several sentences.

    Returns:
        The same in that language; what is not known stays as it is.
    """
    if len(sentence) > MAX_CHARACTERS or not _templates(lang):
        return sentence
    whole = _said(lang, sentence, 0)
    if whole is not None:
        return whole
    for one, rest in _splits(sentence):
        first, second = _said(lang, one, 0), _said(lang, rest, 0)
        if first is not None and second is not None:
            return f"{first}{second}"
    return sentence
