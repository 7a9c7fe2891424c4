"""A text to learn from: decoded, checked, cleaned, split into two parts.

Every text, named, uploaded or pasted, becomes a `Corpus`: characters with LF line
ends, no NUL, no byte order mark, no damaged bytes, nothing else changed (no Unicode
normalisation: a model should write what its text holds). A refusal says what was
received, what is expected and what to do.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn.config import MAX_VOCAB_SIZE
from charrnn.errors import CorpusError
from charrnn.files import one_line
from charrnn.text.encoding import line_of, to_text
from charrnn.text.named import UNNAMED, own_name
from charrnn.text.vocabulary import Vocabulary, count_characters

SPLIT: Final = 0.9  # share that trains; the rest validates
CHUNK: Final = 1 << 20  # characters encoded at once
MAX_PARTS: Final = 50  # names that are kept of texts that were joined
MIN_CHARACTERS: Final = 50  # one stream with windows of four characters


@dataclass(frozen=True)
class Corpus:
    """A text, ready to be split and encoded."""

    name: str
    text: str
    sha256: str  # of the text in UTF-8
    notices: tuple[str, ...] = ()  # what a person should know about it
    parts: tuple[str, ...] = ()  # names of the texts it was joined of, `MAX_PARTS` of
    texts: int = 1  # how many they are
    separator: str = ""  # what stands between two of them
    source: str = ""  # where on the Hub it lies, with its commit
    documents: str = ""  # one of `documents.KINDS`; empty: it is one document


def split_at(characters: int, split: float = SPLIT) -> int:
    """How many of a text's first characters train; the rest validates.

    Args:
        characters: Length of the text.
        split: Share that trains: a model's record has its own.

    Example:
        >>> split_at(1_115_394)
        1003854
    """
    return int(split * characters)


def readable_size(count: int) -> str:
    """A number of bytes in megabytes, or in bytes where it is small."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def check_limit(count: int, name: str, max_bytes: int) -> None:
    """Refuse a text of more bytes than are taken."""
    if count > max_bytes:
        raise CorpusError(
            f"{name} has {readable_size(count)}: at most {readable_size(max_bytes)} "
            "are taken here. Use a part of it, or raise the limit "
            "(CHARRNN_MAX_TEXT_MB) on a machine of your own."
        )


def _sha256(text: str, name: str) -> tuple[str, int]:
    """Hash and length of the text in UTF-8, without a copy of the whole."""
    digest, size = hashlib.sha256(), 0
    try:
        for start in range(0, len(text), CHUNK):
            data = text[start : start + CHUNK].encode()
            digest.update(data)
            size += len(data)
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{name} holds half a character (a lone surrogate) at "
            f"{start + error.start:,}: remove it or save the text again as UTF-8."
        ) from error
    return digest.hexdigest(), size


def _marks_notice(text: str, name: str) -> str:
    count, at = text.count("\ufeff"), text.index("\ufeff")
    what, left_out = "a byte order mark inside the text,", "it is"
    if count > 1:
        what = f"{count:,} byte order marks inside the text, the first"
        left_out = "they are"
    return (
        f"{name} holds {what} at character {at:,}, line "
        f"{line_of(text, at):,}, as files do that were joined: {left_out} left out."
    )


def check_no_nul(text: str, name: str) -> None:
    """Refuse a text with a character that no plain text has.

    Raises:
        CorpusError: If it holds NUL, with its place.
    """
    if "\0" in text:
        at = text.index("\0")
        raise CorpusError(
            f"{name} holds the character NUL at {at:,} (line {line_of(text, at):,}): "
            "it is no plain text. Remove it."
        )


def clean(
    text: str, name: str, max_bytes: int, notices: tuple[str, ...] = ()
) -> Corpus:
    """A `Corpus` of decoded text: line ends made LF, length checked, hash computed.

    Byte order marks of files that were joined are left out.

    Raises:
        CorpusError: If it holds NUL or half a character, is too short or too long.
    """
    check_no_nul(text, name)
    if "\ufeff" in text:
        notices = (*notices, _marks_notice(text, name))
        text = text.replace("\ufeff", "")
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # no copy without a CR
    if not text.strip():
        raise CorpusError(
            f"{name} is empty: at least {MIN_CHARACTERS} characters are needed, and "
            "some hundred thousand are a good start."
        )
    if len(text) < MIN_CHARACTERS:
        raise CorpusError(
            f"{name} has {len(text)} characters: at least {MIN_CHARACTERS} are needed, "
            "and some hundred thousand are a good start. Add more text."
        )
    digest, size = _sha256(text, name)
    check_limit(size, name, max_bytes)
    return Corpus(own_name(name, digest), text, digest, notices)


def decode(data: bytes, *, name: str, max_bytes: int) -> Corpus:
    """A text from a file's bytes.

    UTF-8 with or without a byte order mark, UTF-16 and UTF-32 with one; other
    encodings are recognised and named in a notice, and so are damaged bytes.

    Args:
        data: The whole file.
        name: What to call it.
        max_bytes: Largest text that is taken, as a file and as UTF-8.

    Raises:
        CorpusError: If it is empty, binary, damaged, too short or too long.
    """
    name = one_line(name) or UNNAMED
    check_limit(len(data), name, max_bytes)
    text, notices = to_text(data, name)
    return clean(text, name, max_bytes, notices)


def from_text(text: str, *, name: str, max_bytes: int) -> Corpus:
    """A text that is characters already: pasted, say.

    Args:
        text: Any characters; a byte order mark before them is dropped.
        name: What to call it.
        max_bytes: Largest text that is taken, in bytes of UTF-8.

    Raises:
        CorpusError: If it is empty, too short or too long, or holds NUL.
    """
    name = one_line(name) or UNNAMED
    check_limit(len(text), name, max_bytes)  # a character has at least one byte
    return clean(text.removeprefix("\ufeff"), name, max_bytes)


def read_clean(path: Path, sha256: str) -> str:
    """The text that a run keeps beside its state: UTF-8, LF, nothing to clean.

    Args:
        path: Of the text.
        sha256: What the run's record says of it.

    Raises:
        CorpusError: If it cannot be read or is not the text on record.
    """
    remedy = (
        "Put the text back as it was, or train a new run, with `--init` from this one."
    )
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CorpusError(
                f"The run's own copy of its text, {path.name}, is not the text that "
                f"the run began with: its SHA-256 is not the recorded one. {remedy}"
            )
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"The run's own copy of its text, {path.name}, cannot be read "
            f"({getattr(error, 'strerror', None) or 'it is not UTF-8'}). {remedy}"
        ) from error


def vocabulary_of(text: str) -> tuple[Vocabulary, tuple[str, ...]]:
    """The vocabulary of a whole text, and what to say about it.

    Where there are more distinct characters than ids, the rarest fold into
    [UNK]; among equally rare ones those with the higher code points.
    """
    counts = count_characters(text)
    room = MAX_VOCAB_SIZE - 1
    if len(counts) <= room:
        return Vocabulary.of(counts), ()
    by_use = sorted(counts, key=lambda character: (-counts[character], character))
    folded = sum(counts[character] for character in by_use[room:])
    notice = (
        f"The text has {len(counts):,} distinct characters: the {room:,} most frequent "
        f"have ids of their own, the other {len(counts) - room:,} ({folded:,} of "
        f"{len(text):,} characters) are read as [UNK]."
    )
    return Vocabulary.of(by_use[:room]), (notice,)
