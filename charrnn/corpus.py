"""Texts to learn from: named, own, uploaded, pasted.

Whatever comes in leaves as a `Corpus`: characters with LF line ends, no NUL,
no byte order mark, nothing else changed (no Unicode normalisation: a model
should write what its text holds). What is refused is refused with what was
received, what is needed and what to do.
"""

import codecs
import hashlib
import http.client
import os
import queue
import sysconfig
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import charset_normalizer

from charrnn.checkpoint import TEXT_LIMIT, write_file
from charrnn.config import MAX_VOCAB_SIZE
from charrnn.errors import CheckpointError, CorpusError
from charrnn.vocabulary import Vocabulary, count_characters

Progress = Callable[[int, int], None]  # bytes so far, bytes in all

SPLIT: Final = 0.9  # share that trains; the rest validates
MIN_CHARACTERS: Final = 50  # one stream with windows of four characters
STDLIB_BYTES: Final = 10_000_000
CHUNK: Final = 1 << 20

CONNECT_SECONDS: Final = 10.0  # until the answer's headers are there
DOWNLOAD_SECONDS: Final = 300.0  # the whole of it: 4 kB/s are enough

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


@dataclass(frozen=True)
class Corpus:
    """A text, ready to be split and encoded."""

    name: str
    text: str
    sha256: str  # of the text in UTF-8
    notices: tuple[str, ...] = ()  # what a person should know about it


@dataclass(frozen=True)
class NamedText:
    """A text that is known by name; without an address it is made here."""

    title: str
    description: str
    url: str = ""
    sha256: str = ""
    size: int = 0  # bytes


NAMED: Final[dict[str, NamedText]] = {
    "shakespeare": NamedText(
        "Tiny Shakespeare",
        "1.1 million characters of Shakespeare's plays, downloaded once",
        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
    ),
    "python-stdlib": NamedText(
        "Python's standard library",
        "about 10 million characters of source code, without any network",
    ),
}


def split_at(characters: int) -> int:
    """How many of a text's first characters train; the rest validates.

    Example:
        >>> split_at(1_115_394)
        1003854
    """
    return int(SPLIT * characters)


# --- from bytes to a text ------------------------------------------------------


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def _check_limit(count: int, name: str, max_bytes: int) -> None:
    if count > max_bytes:
        raise CorpusError(
            f"{name} has {_size(count)}: at most {_size(max_bytes)} are taken here. "
            "Use a part of it, or raise the limit (CHARRNN_MAX_TEXT_MB) on a machine "
            "of your own."
        )


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


def _to_text(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
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


def _finish(
    text: str, name: str, max_bytes: int, notices: tuple[str, ...] = ()
) -> Corpus:
    """Line ends, length and hash: what every text goes through."""
    if "\0" in text:
        raise CorpusError(
            f"{name} holds the character NUL at {text.index(chr(0)):,}: it is no plain "
            "text. Remove it."
        )
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
    _check_limit(size, name, max_bytes)
    return Corpus(name, text, digest, notices)


def _presentable(name: str) -> str:
    """A file's name may hold anything; what is recorded must be printable."""
    printable = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name
    )
    return printable[:TEXT_LIMIT] or "text"


def decode(data: bytes, *, name: str, max_bytes: int) -> Corpus:
    """A text from a file's bytes.

    UTF-8 with or without a byte order mark, UTF-16 and UTF-32 with one; other
    encodings are recognised and named in a notice.

    Args:
        data: The whole file.
        name: What to call it.
        max_bytes: Largest text that is taken, as a file and as UTF-8.

    Raises:
        CorpusError: If it is empty, binary, damaged, too short or too long.
    """
    name = _presentable(name)
    _check_limit(len(data), name, max_bytes)
    text, notices = _to_text(data, name)
    return _finish(text, name, max_bytes, notices)


def from_text(text: str, *, name: str, max_bytes: int) -> Corpus:
    """A text that is characters already: pasted, say.

    Args:
        text: Any characters; a byte order mark before them is dropped.
        name: What to call it.
        max_bytes: Largest text that is taken, in bytes of UTF-8.

    Raises:
        CorpusError: If it is empty, too short or too long, or holds NUL.
    """
    name = _presentable(name)
    _check_limit(len(text), name, max_bytes)  # a character has at least one byte
    return _finish(text.removeprefix("\ufeff"), name, max_bytes)


# --- where texts come from -----------------------------------------------------


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """A file's bytes; its size is looked at before any are read.

    Raises:
        CorpusError: If it is too large.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        _check_limit(os.fstat(file.fileno()).st_size, path.name, max_bytes)
        return file.read(max_bytes + 1)


def load(
    source: str,
    *,
    max_bytes: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """A named text, or a file.

    Args:
        source: A key of `NAMED`, or a path (`./shakespeare` for a file that is
            called like a named text).
        max_bytes: Largest text that is taken; Python's library is cut to it.
        cache: Where downloads are kept; default `cache_folder`.
        progress: Called with bytes so far and in all while downloading.

    Raises:
        CorpusError: If there is no such text, it cannot be read or downloaded,
            or it is no text.
    """
    if source == "python-stdlib":
        return standard_library(
            Path(sysconfig.get_path("stdlib")), min(max_bytes, STDLIB_BYTES)
        )
    if source in NAMED:
        return fetch(source, NAMED[source], max_bytes, cache, progress)
    path = Path(source)
    try:
        if not path.is_file():  # a folder, a pipe that would hang
            raise CorpusError(
                f"There is no text {source!r}: expected a file, or one of "
                f"{', '.join(NAMED)}."
            )
        data = read_file(path, max_bytes=max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{source} cannot be read ({reason}).") from error
    return decode(data, name=path.name, max_bytes=max_bytes)


def read_clean(path: Path | str) -> str:
    """The text that a run keeps beside its state: UTF-8, LF, nothing to clean.

    Raises:
        CorpusError: If it is missing or damaged.
    """
    try:
        return Path(path).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"The run's own copy of its text, {Path(path).name}, cannot be read "
            f"({getattr(error, 'strerror', None) or 'it is damaged'}): the run cannot "
            "be resumed."
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


# --- the standard library ------------------------------------------------------

_NOT_LIBRARY: Final = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)


def _library_files(folder: Path) -> list[Path]:
    """Source files in the order of their paths, tests and guests left out."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_LIBRARY]
        # _sysconfigdata is made by the build and tells of the builder's machine
        found += [
            Path(parent, name)
            for name in files
            if name.endswith(".py") and not name.startswith("_sysconfigdata")
        ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def standard_library(folder: Path, max_bytes: int) -> Corpus:
    """The library's files one after the other, whole, while there is room.

    Args:
        folder: Where the library lies.
        max_bytes: The file that would go beyond it ends the text.

    Raises:
        CorpusError: If there are no source files, or none fits.
    """
    texts: list[str] = []
    room = max_bytes
    for path in _library_files(folder):
        try:
            data = path.read_bytes()
            text = data.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # a file or two in another encoding are not missed
        if b"\0" in data:
            continue
        room -= len(data) + 1
        if room < 0:
            break
        texts.append(text if text.endswith("\n") else text + "\n")
    if not texts:
        raise CorpusError(
            f"No source files of Python's standard library were found in {folder}, or "
            f"none fit into {_size(max_bytes)}: use a text of your own."
        )
    return _finish("".join(texts), "python-stdlib", max_bytes)


# --- downloads -----------------------------------------------------------------


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`CHARRNN_CACHE`, else this user's cache as the XDG specification has it.

    Raises:
        CorpusError: If there is neither the variable nor a home folder.
    """
    if environ.get("CHARRNN_CACHE"):
        return Path(environ["CHARRNN_CACHE"])
    if Path(environ.get("XDG_CACHE_HOME", "")).is_absolute():
        return Path(environ["XDG_CACHE_HOME"]) / "charrnn"
    try:
        return Path.home() / ".cache" / "charrnn"
    except RuntimeError as error:
        raise CorpusError(
            "There is no home folder to keep a downloaded text in: set CHARRNN_CACHE "
            "to a folder."
        ) from error


def fetch(
    key: str,
    named: NamedText,
    max_bytes: int,
    cache: Path | None = None,
    progress: Progress | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Corpus:
    """A text from the cache, or from its address and then kept in the cache.

    Args:
        key: Name of the text and of its file in the cache.
        named: Address, hash and size that are expected.
        max_bytes: Largest text that is taken.
        cache: Where downloads are kept; default `cache_folder`.
        progress: Called with bytes so far and in all.
        connect_seconds: How long an answer is waited for.

    Raises:
        CorpusError: If it cannot be downloaded or is not what was expected.
    """
    _check_limit(named.size, named.title, max_bytes)
    folder = cache_folder() if cache is None else cache
    path = folder / f"{key}.txt"
    notices: tuple[str, ...] = ()
    data = _cached(path, named)
    if data is None:
        data = _download(named, progress, connect_seconds)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(path, data)
        except (OSError, CheckpointError):
            notices = (
                f"{named.title} could not be kept in {folder}: it will be downloaded "
                "again next time. Set CHARRNN_CACHE to a writable folder.",
            )
    return _finish(data.decode("utf-8"), key, max_bytes, notices)


def _cached(path: Path, named: NamedText) -> bytes | None:
    """The cached file if it is whole; what is damaged is downloaded again."""
    try:
        if not path.is_file() or path.stat().st_size != named.size:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == named.sha256 else None


def _download(
    named: NamedText, progress: Progress | None, connect_seconds: float
) -> bytes:
    try:
        with _open(named.url, connect_seconds) as response:
            data = _receive(response, named.size, progress)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise CorpusError(
            f"{named.title} could not be downloaded from {urlsplit(named.url).netloc} "
            f"({reason}). Check the connection, or take python-stdlib, which needs "
            "none."
        ) from error
    if hashlib.sha256(data).hexdigest() != named.sha256:
        raise CorpusError(
            f"What {urlsplit(named.url).netloc} sent is not {named.title}: "
            f"{len(data):,} bytes whose SHA-256 is not the known one. Try again later, "
            "or take python-stdlib, which needs no download."
        )
    return data


def _open(url: str, seconds: float) -> IO[bytes]:
    """The answer to a request, or a TimeoutError.

    A socket's own limit covers neither the look-up of the name nor the second
    of several addresses: without a network either can hang for minutes. So
    the request waits in a thread, which is left behind if it takes too long.
    """
    answer: queue.SimpleQueue[IO[bytes] | Exception] = queue.SimpleQueue()

    def request() -> None:
        try:
            answer.put(urllib.request.urlopen(url, timeout=seconds))
        except (OSError, http.client.HTTPException) as error:
            answer.put(error)

    threading.Thread(target=request, daemon=True).start()
    try:
        result = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _receive(response: IO[bytes], size: int, progress: Progress | None) -> bytes:
    """The answer's body, at most one byte more than expected."""
    data = bytearray()
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    while len(data) <= size:
        # read1 returns what has arrived, so that a trickle meets the deadline
        part = response.read1(min(1 << 16, size + 1 - len(data)))  # type: ignore[attr-defined]
        if not part:
            break
        data += part
        if progress is not None:
            progress(min(len(data), size), size)
        if time.monotonic() > deadline:
            raise TimeoutError(f"too slow: {len(data):,} of {size:,} bytes")
    return bytes(data)
