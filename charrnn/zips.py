"""Zips from strangers: nothing is read before it is known to fit.

A zip says of itself how many files it has, how large they are and what they are
called. What only a hostile or a foreign one says is refused; of what is read, not a
byte more is taken than was declared.
"""

import contextlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from charrnn.files import one_line, quoted
from charrnn.hosting import MEGABYTE, policy

MAX_READ: Final = 262_144  # bytes at once: more than a directory of 1,000 usual names
CHUNK: Final = 65_536
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, ValueError, RuntimeError),  # what `zipfile` raises of odd bytes
)


class ZipError(Exception):
    """Why a zip is not taken, as the end of a sentence about it."""


class _Reader(io.FileIO):
    """A file that is never read in large pieces.

    `zipfile` reads a zip's whole directory at once, as long as the zip says it is.
    """

    def __init__(self, file: Path, most: int) -> None:
        super().__init__(file)
        self.most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size <= MAX_READ:
            return super().read(size) or b""
        data = super().read(MAX_READ + 1) or b""
        if len(data) > MAX_READ:
            raise zipfile.BadZipFile(f"it has more than {self.most} files")
        return data


@contextlib.contextmanager
def opened(file: Path, *, most: int) -> Iterator[zipfile.ZipFile]:
    """A zip of at most so many files, read in small pieces.

    Raises:
        ZipError: If it is not there, too large or damaged, when it is opened or
            while it is read.
    """
    try:
        size = file.stat().st_size if file.is_file() else None
        if size is None:
            raise ZipError("there is no such file")
        if size > policy().max_zip_bytes:
            raise ZipError(too_large(size))
        reader = _Reader(file, most)
    except OSError as error:
        raise ZipError(f"it cannot be read ({error.strerror})") from error
    with reader:
        try:
            with zipfile.ZipFile(reader) as packed:
                yield packed
        except DAMAGE as error:
            raise ZipError(f"it is damaged ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    return one_line(str(error), 80).rstrip(".") or type(error).__name__


def too_large(size: int) -> str:
    """That so many bytes are too many, in words."""
    limit = policy().max_zip_bytes
    return (
        f"it has {size / MEGABYTE:,.1f} MB, and at most {limit / MEGABYTE:,g} MB are "
        "taken here"
    )


def files_of(packed: zipfile.ZipFile, *, most: int) -> list[zipfile.ZipInfo]:
    """The files of a zip, as they stand in it, without its folders.

    Raises:
        ZipError: If they are too many, or one of them is none that a zip of
            ours could have.
    """
    entries = packed.infolist()
    if len(entries) > most:
        raise ZipError(f"it has more than {most} files")
    names: set[str] = set()
    for info in entries:
        _check_entry(info)
        if info.filename in names:
            raise ZipError(f"{quoted(info.filename)} is in it twice")
        names.add(info.filename)
    return [info for info in entries if not info.is_dir()]


def _check_entry(info: zipfile.ZipInfo) -> None:
    """Refuse what only a hostile or a foreign zip has.

    Raises:
        ZipError: For a name that leads elsewhere, a link or a device.
    """
    name = info.orig_filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name or "\0" in name:
        raise ZipError(f"{quoted(name)} leads out of its folder")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ZipError(f"{quoted(name)} is a link or a device, no file")


def check_declared(info: zipfile.ZipInfo, limit: int) -> None:
    """Refuse a file by what the zip says of it.

    Raises:
        ZipError: If it is encrypted, packed in a way that is not read, or larger
            than it may be.
    """
    name = quoted(info.filename)
    if info.flag_bits & 0x41:  # encrypted, or strongly so
        raise ZipError(f"{name} is encrypted: pack it without a password")
    if info.compress_type not in _METHODS:
        raise ZipError(f"{name} is packed by another method than deflate")
    if info.file_size > limit:
        raise ZipError(
            f"{name} has {info.file_size:,} bytes unpacked, and at most {limit:,} are "
            "taken here"
        )


def content_of(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """A file of a zip part after part, and no byte more than the zip has declared.

    Raises:
        BadZipFile: If it has another size or sum than declared.
    """
    read = 0
    with packed.open(info) as source:
        while part := source.read(CHUNK):
            read += len(part)
            if read > info.file_size:
                break
            yield part
    if read != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} has another size than it says")
