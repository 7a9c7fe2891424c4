"""Where texts come from: named ones, which are downloaded or made here, and files.

`load` is the way in, and `load_all` that for several texts, a folder or a zip of
texts. They hand the bytes to `charrnn.text.corpus`, which decodes, checks and cleans
them. A download is compared with its known SHA-256 and cached.
"""

import hashlib
import http.client
import os
import queue
import sysconfig
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from charrnn.errors import CheckpointError, CorpusError
from charrnn.files import quoted, write_file
from charrnn.text.corpus import Corpus, check_limit, clean, decode, readable_size
from charrnn.text.joined import SEPARATOR, Part, is_zip, join, name_of_all, read_parts
from charrnn.text.named import LIBRARY, NamedText, library_name
from charrnn.text.named import NAMED as NAMED  # for those who offer them

OnBytes = Callable[[int, int], None]  # bytes so far, bytes in all
STDLIB_BYTES: Final = 10_000_000
CONNECT_SECONDS: Final = 10.0  # until the answer's headers are there
DOWNLOAD_SECONDS: Final = 300.0  # the whole of it: 4 kB/s are enough
_NOT_LIBRARY: Final = frozenset(  # folders whose files are left out
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """A file's bytes; its size is looked at before any are read.

    Raises:
        CorpusError: If it is too large.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        check_limit(size, path.name, max_bytes)
        return file.read(size)  # what is written meanwhile is left out


def load(
    source: str,
    *,
    max_bytes: int,
    cache: Path | None = None,
    progress: OnBytes | None = None,
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
    if source == LIBRARY:
        return standard_library(
            Path(sysconfig.get_path("stdlib")), min(max_bytes, STDLIB_BYTES)
        )
    if source in NAMED:
        return fetch(source, NAMED[source], max_bytes, cache, progress)
    _check_there(source)
    path = Path(source)
    try:
        data = read_file(path, max_bytes=max_bytes)
    except OSError as error:
        raise CorpusError(f"{source} cannot be read ({error.strerror}).") from error
    return decode(data, name=path.name, max_bytes=max_bytes)


def load_all(
    chosen: Sequence[str],
    *,
    max_bytes: int,
    separator: str = SEPARATOR,
    progress: OnBytes | None = None,
) -> Corpus:
    """Named texts, files, folders and zips of texts as one text.

    Args:
        chosen: Each as `load` takes it, or a folder, or a file whose name ends with
            ``.zip``. Several are taken in sorted order.
        max_bytes: Largest text that is taken, all together.
        separator: What stands between two texts.
        progress: As `load`.

    Raises:
        CorpusError: As `load`, or if a separator cannot stand between texts.
    """
    first = Path(chosen[0])
    is_file = chosen[0] in NAMED or not (first.is_dir() or is_zip(first))
    if len(chosen) == 1 and is_file:
        return load(chosen[0], max_bytes=max_bytes, progress=progress)
    chosen = sorted(chosen)
    name = name_of_all([Path(source).absolute().name for source in chosen])
    found: list[Part | Path] = []
    for source in chosen:
        if source in NAMED:
            text = load(source, max_bytes=max_bytes, progress=progress)
            found.append(Part(text.name, text.text, text.notices))
            continue
        _check_there(source, folder=True)
        found.append(Path(source).resolve())
    try:
        parts, notices = read_parts(found, name, max_bytes)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read ({error.strerror}).") from error
    return join(
        parts, name=name, max_bytes=max_bytes, separator=separator, notices=notices
    )


def _check_there(source: str, *, folder: bool = False) -> None:
    """Refuse a path at which there is no file, or no folder either.

    Raises:
        CorpusError: If it is not there, or a pipe that would hang.
    """
    path = Path(source)
    try:
        if path.is_file() or (folder and path.is_dir()):
            return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{source} cannot be read ({reason}).") from error
    raise CorpusError(
        f"There is no text {quoted(source, 200)}: expected a file, or one of "
        f"{', '.join(NAMED)}."
    )


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
            continue  # a file in another encoding is left out
        if b"\0" in data:
            continue
        room -= len(data) + 1
        if room < 0:
            break
        texts.append(text if text.endswith("\n") else text + "\n")
    if not texts:
        raise CorpusError(
            f"No source files of Python's standard library were found in {folder}, or "
            f"none fit into {readable_size(max_bytes)}: use a text of your own."
        )
    found = clean("".join(texts), LIBRARY, max_bytes)
    return replace(found, name=library_name())


def _library_files(folder: Path) -> list[Path]:
    """Source files by path, without tests and installed packages."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_LIBRARY]
        # _sysconfigdata is made by the build and describes the builder's machine
        found += [
            Path(parent, name)
            for name in files
            if name.endswith(".py") and not name.startswith("_sysconfigdata")
        ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def fetch(
    key: str,
    named: NamedText,
    max_bytes: int,
    cache: Path | None = None,
    progress: OnBytes | None = None,
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
    check_limit(named.size, named.title, max_bytes)
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
    return clean(data.decode("utf-8"), key, max_bytes, notices)


def cache_folder() -> Path:
    """`CHARRNN_CACHE`, else this user's cache folder.

    Raises:
        CorpusError: If there is neither the variable nor a home folder.
    """
    if os.environ.get("CHARRNN_CACHE"):
        return Path(os.environ["CHARRNN_CACHE"])
    try:
        return user_cache_path("charrnn", appauthor=False)
    except RuntimeError as error:
        raise CorpusError(
            "There is no home folder to keep a downloaded text in: set CHARRNN_CACHE "
            "to a folder."
        ) from error


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
    named: NamedText, progress: OnBytes | None, connect_seconds: float
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
    the request is made in a thread, which is abandoned if it takes too long.
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


def _receive(response: IO[bytes], size: int, progress: OnBytes | None) -> bytes:
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
