"""Bytes to text: byte order marks, UTF-8, and a guess at other encodings."""

import codecs
from collections.abc import Iterator
from typing import Final

import charset_normalizer

from charrnn.errors import CorpusError

SAMPLE_BYTES: Final = 1 << 18  # that an unknown encoding is recognised by
_BOMS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# control characters that texts hold: tab, LF, VT, FF, CR, ESC
_BINARY: Final = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27}) + b"\x7f"


def _sample(data: bytes) -> bytes:
    """What an encoding is recognised by: of a long text, lines not in ASCII.

    No multi-byte encoding in use has a line feed inside a character, so lines
    can be judged apart from each other.
    """
    if len(data) <= SAMPLE_BYTES:
        return data
    picked, total = [], 0
    for line in _lines(data):
        if not line.isascii():
            picked.append(line)
            total += len(line)
            if total >= SAMPLE_BYTES:
                break
    return b"".join(picked)


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1 or len(data)
        yield data[start:stop]
        start = stop


def _candidates(sample: bytes) -> Iterator[str]:
    """Encodings that a text may be in, the likeliest first.

    Several give plausible letters for a Western European text, and
    charset-normalizer then names any of them, or even a Japanese one. Windows'
    Western encoding, by far the most frequent, goes first where it reads as
    cleanly as what it found and is at least as good a language.
    """
    matches = list(charset_normalizer.from_bytes(sample))
    best = max((m.coherence - m.chaos for m in matches[:1]), default=-1.0)
    for western in charset_normalizer.from_bytes(sample, cp_isolation=["cp1252"]):
        if western.chaos <= 0.02 and western.coherence - western.chaos >= best:
            yield western.encoding
    for match in matches:
        yield match.encoding


def _guess(data: bytes, name: str) -> tuple[str, str]:
    """Text and encoding of bytes that are neither UTF-8 nor marked."""
    # more than 1 % of control characters is no text in any 8-bit encoding
    if len(data) - len(data.translate(None, _BINARY)) <= len(data) // 100:
        for encoding in _candidates(_sample(data)):
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError:  # fitted the sample, not the rest
                continue
    raise CorpusError(
        f"{name} is no text: it is neither UTF-8 nor in any encoding that was "
        "recognised. Save it as plain text in UTF-8."
    )


def to_text(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Decoded, and what to say about the encoding."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), ()
            except UnicodeDecodeError as error:
                marked = encoding.removesuffix("-sig").upper()
                raise CorpusError(
                    f"{name} begins like {marked} but is damaged at byte "
                    f"{error.start:,}. Save it again as UTF-8."
                ) from error
    if 0 in data:
        raise CorpusError(
            f"{name} holds NUL bytes: it is a binary file, or UTF-16 without a byte "
            "order mark. Save it as plain text in UTF-8."
        )
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        text, encoding = _guess(data, name)
    return text, (
        f"{name} is not UTF-8: it was read as {encoding}. If characters look wrong, "
        "save it as UTF-8.",
    )
