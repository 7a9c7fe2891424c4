"""Bytes to text: byte order marks, UTF-8, and a guess at other encodings.

A file that was cut inside a character, joined from several or hit by a few stray
bytes is still UTF-8: what cannot be decoded is left out and told. How UTF-8 that is
damaged differs from text in another encoding: UTF-8 has whole characters of several
bytes. In another encoding bytes seldom form one by chance, and each that does not
counts as damage, so that damage outnumbers them by far. Where a few bytes are all
that is beyond ASCII, they are damage unless they are letters or quotes in Windows'
Western encoding, in places where those stand.
"""

import codecs
import contextlib
import re
from collections.abc import Iterator
from typing import Final

import charset_normalizer

from charrnn.errors import CorpusError
from charrnn.text.letters import is_western, likeliest

SAMPLE_BYTES: Final = 1 << 18  # that an unknown encoding is recognised by
_BOMS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MANY_LINES: Final = 10  # beside which the first and the last do not matter
_JAPANESE: Final = ("euc_jp", "cp932")
_ENOUGH: Final = 3  # characters at least
_EAST_ASIAN: Final = (  # first bytes of what is frequent, and its least share
    ("euc_jp", 0xA4, 0xA5, 0.2),
    ("cp932", 0x82, 0x83, 0.2),
    ("cp949", 0xB0, 0xC8, 0.9),
    ("gb18030", 0xB0, 0xD7, 0.9),
    ("big5", 0xA4, 0xC6, 0.9),
)
_IN_USE: Final = (  # the more frequent of those that may decode alike first
    *("cp1252", "iso8859_15", "cp1250", "iso8859_2", "cp1251", "koi8_r", "koi8_u"),
    *("iso8859_5", "cp866", "cp1253", "iso8859_7", "cp1254", "cp1255", "cp1256"),
    *("iso8859_6", "cp1257", "cp1258", "cp874", "cp850", "cp437", "cp852", "cp856"),
    *("mac_roman", "mac_cyrillic", "mac_latin2", "mac_greek"),
    *("cp932", "euc_jp", "cp949", "johab", "gb18030", "big5", "big5hkscs"),
)
_SIGNATURES: Final = (  # of files that people take for texts
    (b"PK\x03\x04", "a ZIP archive, as .docx, .odt and .epub files are"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "a document in Rich Text Format"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Microsoft Office"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"\x89PNG\r\n", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x7fELF", "a program"),
)
# control characters that texts hold: tab, LF, VT, FF, CR, ESC
_CONTROL: Final = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27}) + b"\x7f"
_ASCII: Final = bytes(range(128))
_CONTINUATION: Final = bytes(range(0x80, 0xC0))
# Begin a character of Western, Cyrillic or Greek letters, of punctuation or of emoji,
# and as letters of other encodings do not stand alone at the end of an English text.
_LIKELY_LEADS: Final = b"\xc2\xc3\xce\xcf\xd0\xd1\xe2\xf0"
_PAIR: Final = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_JAPANESE_ESCAPE: Final = b"\x1b$B"  # begins what is not ASCII in ISO-2022-JP
_FEW: Final = 3  # bytes that tell no encoding but Windows' Western one
_FILLED: Final = re.compile(rb"([\x80-\xff])\1{3,}")  # as lost blocks of a disk are
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]+")
_NEAR: Final = 40  # bytes that tell whether one between them is a letter of a word
MAX_DAMAGE: Final = 0.01  # share of damaged bytes in a file that says what it is


def _sample(data: bytes) -> bytes:
    """What an encoding is recognised by: of a long text, lines not in ASCII.

    No multi-byte encoding in use has a line feed inside a character, so lines
    can be judged apart from each other. The first and the last of many are left
    out: a file may be cut inside a character.
    """
    first, last = data.find(b"\n") + 1, data.rfind(b"\n", 0, -1) + 1
    if data.count(b"\n", first, last) >= MANY_LINES:
        data = data[first:last]
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


def _east_asian(sample: bytes) -> Iterator[str]:
    """Encodings of two bytes a character in which the sample is what those hold.

    By the frequency of letters alone a text in EUC-JP is Korean as well. Of a
    Japanese text much is kana, a Korean one is Hangul; a Chinese one is nearly all
    from the first half of its code, where the frequent characters are.
    """
    for encoding, first, last, share in _EAST_ASIAN:
        with contextlib.suppress(UnicodeDecodeError):
            text = sample.decode(encoding)
            leads = [c.encode(encoding)[0] for c in text if "\u2fff" < c < "\uff00"]
            fitting = sum(first <= lead <= last for lead in leads)
            if fitting > max(_ENOUGH, share * len(leads)):
                yield encoding


def _candidates(sample: bytes) -> Iterator[str]:
    """Encodings that a text may be in, the likeliest first."""
    if len(sample.translate(None, _ASCII)) <= _FEW and is_western(sample):
        yield "cp1252"
    asian = list(_east_asian(sample))
    yield from (encoding for encoding in asian if encoding in _JAPANESE)
    single = likeliest(sample)
    if single is not None:
        yield single
    yield from asian
    for match in charset_normalizer.from_bytes(sample, cp_isolation=list(_IN_USE)):
        yield min(match.could_be_from_charset, key=_IN_USE.index)
    for match in charset_normalizer.from_bytes(sample):
        yield match.encoding


def _has_controls(data: bytes) -> bool:
    """Whether more than 1 % are control characters: no text in any encoding."""
    return len(data) - len(data.translate(None, _CONTROL)) > len(data) // 100


def line_of(text: str, position: int) -> int:
    r"""The line that a character stands in, from 1, with whatever line ends.

    Example:
        >>> line_of("a\r\nb\n", 3)
        2
    """
    feeds, returns, both = (
        text.count(end, 0, position) for end in ("\n", "\r", "\r\n")
    )
    return 1 + feeds + returns - both


def _other_notice(name: str, encoding: str) -> str:
    return (
        f"{name} is not UTF-8: it was read as {encoding}. If characters look wrong, "
        "save it as UTF-8."
    )


def _damage_notice(
    data: bytes, name: str, encoding: str, damaged: int, first: int
) -> str:
    """What to say of bytes that were left out; ``first`` is the first one's index."""
    before = data[:first].decode(encoding, "ignore")
    what = f"{damaged:,} damaged bytes, the first"
    left_out = "they are"
    if damaged == 1:
        what, left_out = "1 damaged byte,", "it is"
    return (
        f"{name} is {encoding.upper()} with {what} at byte {first:,}, line "
        f"{line_of(before, len(before)):,}: {left_out} left out. If characters are "
        "missing, save the whole text again as UTF-8."
    )


def _cut_ends(data: bytes) -> tuple[int, int]:
    """Bytes of a UTF-8 character that was cut at the beginning, and at the end."""
    head = data[:3]
    head_bytes = len(head) - len(head.lstrip(_CONTINUATION))
    for tail_bytes in (1, 2, 3):
        try:
            data[-tail_bytes:].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                return head_bytes, tail_bytes
    return head_bytes, 0


def _around(data: bytes) -> bytes:
    """The few bytes beyond ASCII with what stands near them."""
    places = (found.start() for found in _BEYOND_ASCII.finditer(data))
    return b" ".join(data[max(0, at - _NEAR) : at + _NEAR] for at in places)


def _is_damaged_utf8(data: bytes, text: str, damaged: int) -> bool:
    """Whether bytes are UTF-8 in spite of damage rather than another encoding.

    Args:
        data: All bytes.
        text: Decoded from them, the damaged ones left out.
        damaged: How many those are.
    """
    beyond = len(data.translate(None, _ASCII))
    whole = len(text) - (len(data) - beyond)
    head, tail = _cut_ends(data)
    filled = sum(len(run[0]) - 1 for run in _FILLED.finditer(data))
    strays = damaged - head - tail - filled
    if whole and strays <= whole:  # characters of several bytes
        return True
    if strays:
        return damaged - filled <= _FEW and not is_western(_around(data))
    # nothing but ASCII and one cut character: two bytes of one are no accident
    return max(head, tail) > 1 or (tail == 1 and data[-1] in _LIKELY_LEADS)


def _mended_utf8(data: bytes, name: str, first: int) -> tuple[str, str] | None:
    """Text and notice of UTF-8 that is damaged from a byte on, or None if it is not."""
    text = data.decode("utf-8", "ignore")
    damaged = len(data) - len(text.encode())
    if not _is_damaged_utf8(data, text, damaged):
        return None
    return text, _damage_notice(data, name, "utf-8", damaged, first)


def _with_pairs(data: bytes, name: str) -> tuple[str, str] | None:
    """Text and notice of CESU-8: UTF-8 but for emoji, which are pairs of surrogates.

    Some databases write it so.

    Returns:
        None where it is no such text.
    """
    plain = _PAIR.sub(
        lambda pair: (
            pair[0]
            .decode("utf-8", "surrogatepass")
            .encode("utf-16", "surrogatepass")
            .decode("utf-16")
            .encode()
        ),
        data,
    )
    with contextlib.suppress(UnicodeDecodeError):
        return plain.decode("utf-8"), _other_notice(name, "CESU-8")
    return None


def _marked(data: bytes, name: str, mark: bytes, encoding: str) -> tuple[str, str]:
    """Text of a file that begins with a byte order mark, and a notice or nothing."""
    try:
        return data.decode(encoding), ""
    except UnicodeDecodeError as error:
        first = error.start
    text = data.decode(encoding, "ignore")
    order = {b"\xff": "-le", b"\xfe": "-be", b"\x00": "-be", b"\xef": ""}[mark[:1]]
    plain = encoding.removesuffix("-sig")
    damaged = len(data) - len(mark) - len(text.encode(plain + order))
    if encoding == "utf-8-sig":
        first += len(mark)  # its decoder counts from behind the mark
    # an odd byte more or less turns every line feed behind it into U+0A00
    shifted = plain == "utf-16" and not {"\u0a00", "\u2000"}.isdisjoint(text)
    if shifted or damaged > max(3, MAX_DAMAGE * len(data)):
        raise CorpusError(
            f"{name} begins like {plain.upper()} but is damaged at byte {first:,}. "
            "Save it again as UTF-8."
        )
    return text, _damage_notice(data, name, plain, damaged, first)


def _decoded_as(data: bytes, name: str, encoding: str) -> tuple[str, str] | None:
    """Text and notice in an encoding that fits a sample, if it fits the rest too."""
    try:
        return data.decode(encoding), _other_notice(name, encoding)
    except UnicodeDecodeError as error:
        first = error.start
    text = data.decode(encoding, "ignore")
    damaged = len(data) - len(text.encode(encoding, "ignore"))
    if not 0 < damaged <= 3 + len(data) // 1000:
        return None
    return text, _damage_notice(data, name, encoding, damaged, first)


def _guess(data: bytes, name: str) -> tuple[str, str]:
    """Text and notice of bytes that are neither UTF-8 nor marked."""
    if not _has_controls(data):
        plain = data.translate(None, b"\0")  # a NUL is told later, with its place
        for encoding in _candidates(_sample(plain)):
            found = _decoded_as(data, name, encoding)
            if found is not None:
                return found
    raise CorpusError(
        f"{name} is no text: it is neither UTF-8 nor in any encoding that was "
        "recognised. Save it as plain text in UTF-8."
    )


def _refuse_binary(data: bytes, name: str) -> None:
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            raise CorpusError(
                f"{name} is no plain text but {kind}: open it with its own program "
                "and save it as plain text in UTF-8."
            )


def to_text(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Decoded, and what to say about the encoding.

    Raises:
        CorpusError: If it is no text, or too damaged to be read.
    """
    _refuse_binary(data, name)
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            text, notice = _marked(data, name, mark, encoding)
            return text, (notice,) if notice else ()
    if 0 in data and _has_controls(data):
        raise CorpusError(
            f"{name} holds NUL bytes: it is a binary file, or UTF-16 without a byte "
            "order mark. Save it as plain text in UTF-8."
        )
    if data.isascii() and _JAPANESE_ESCAPE in data:
        found = _decoded_as(data, name, "iso2022_jp")
        if found is not None:
            return found[0], (found[1],)
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        mended = _with_pairs(data, name) or _mended_utf8(data, name, error.start)
    text, notice = mended or _guess(data, name)
    return text, (notice,)
