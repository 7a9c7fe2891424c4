"""Several texts as one: files, folders and zips, decoded one by one and joined.

The files of a folder or zip are taken in the order of their paths, hidden ones are
left out, and so is what is no text, which a notice names. A file that somebody names
has to be a text.
"""

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from charrnn.errors import CorpusError
from charrnn.files import escaped, is_safe, one_line, quoted
from charrnn.hosting import policy
from charrnn.text.corpus import MAX_PARTS, Corpus, check_limit, check_no_nul, clean
from charrnn.text.encoding import to_text
from charrnn.text.named import UNNAMED
from charrnn.zips import ZipError, check_declared, content_of, files_of, opened

SEPARATOR: Final = "\n\n"  # an empty line
MAX_SEPARATOR: Final = 100  # characters
MAX_ZIP_FILES: Final = 1000
MAX_PART_NAME: Final = 80  # characters that are kept of a name
SAID: Final = 3  # names or notices that are told; of the others, how many they are


@dataclass(frozen=True)
class Part:
    """One of several texts, decoded."""

    name: str
    text: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """A file that was found, not decoded yet."""

    name: str
    size: int  # bytes
    data: bytes | Path | Part  # what it holds, or where that is read
    chosen: bool  # somebody named it: it has to be a text


def is_zip(path: Path) -> bool:
    """Whether a file is taken as a zip of texts: by its name."""
    return path.suffix.lower() == ".zip"


def name_of_all(names: Sequence[str]) -> str:
    """What several texts are called together: the first, and how many more."""
    return names[0] if len(names) == 1 else f"{names[0]} (+{len(names) - 1:,})"


def check_separator(separator: str) -> None:
    r"""Refuse what cannot stand between texts.

    Raises:
        CorpusError: If it is too long, or has a control character that is neither
            ``\n`` nor ``\t``.
    """
    if len(separator) > MAX_SEPARATOR or not is_safe(escaped(separator)):
        raise CorpusError(
            f"The separator {quoted(separator, 40)} cannot stand between texts: "
            f"expected at most {MAX_SEPARATOR} characters, line ends among them."
        )


def join(
    parts: Sequence[Part],
    *,
    name: str,
    max_bytes: int,
    separator: str = SEPARATOR,
    notices: tuple[str, ...] = (),
) -> Corpus:
    r"""One text of several, in their order.

    Line ends at the end of each but the last are left out, so that the separator
    alone stands between two of them. Those without a character to read are left out.

    Args:
        parts: The texts.
        name: What to call all of them.
        max_bytes: Largest text that is taken, in bytes of UTF-8.
        separator: What stands between two texts.
        notices: What a person should know already.

    Raises:
        CorpusError: If there is none, or together they are too short or too long.

    Example:
        >>> parts = [Part(n, f"Text {n} of thirty characters\r\n") for n in "ab"]
        >>> join(parts, name="two", max_bytes=999, separator="\n--\n").text[20:45]
        'racters\n--\nText b of thir'
    """
    check_separator(separator)
    empty = [part.name for part in parts if not part.text.strip()]
    parts = [part for part in parts if part.text.strip()]
    if not parts:
        raise CorpusError(
            f"{name} holds no text: expected files of plain text that are not hidden."
        )
    if empty:
        notices += (f"Left out, since they are empty: {_told(empty)}.",)
    said = [notice for part in parts for notice in part.notices]
    notices += tuple(said[:SAID])
    if len(said) > SAID:
        notices += (f"Notices about texts that are not shown: {len(said) - SAID:,}.",)
    *most, last = (part.text for part in parts)
    whole = separator.join([*(text.rstrip("\r\n") for text in most), last])
    found = clean(whole, name, max_bytes, notices)
    names = [one_line(part.name, MAX_PART_NAME) or UNNAMED for part in parts]
    return replace(
        found, parts=tuple(names[:MAX_PARTS]), texts=len(parts), separator=separator
    )


def _told(names: Sequence[str]) -> str:
    """Some names, in quotes, and how many more there are."""
    more = f" (+{len(names) - SAID:,})" if len(names) > SAID else ""
    return ", ".join(quoted(name, 40) for name in names[:SAID]) + more


def decoded(data: bytes, name: str) -> Part:
    """A text from a file's bytes.

    Raises:
        CorpusError: If it is no text.
    """
    name = one_line(name) or UNNAMED
    text, notices = to_text(data, name)
    check_no_nul(text, name)
    return Part(name, text, notices)


def read_parts(
    chosen: Sequence[Path | Part], name: str, max_bytes: int
) -> tuple[list[Part], tuple[str, ...]]:
    """The texts of files, folders and zips, in this order, and what to know of them.

    Args:
        chosen: Where they lie; a text that is read already stands for itself.
        name: What to call all of them.
        max_bytes: Of all files together, before anything is read.

    Raises:
        CorpusError: If they are too large, or a file that is named is no text.
        OSError: If one cannot be read.
    """
    files: list[_File] = []
    for item in chosen:
        taken = sum(file.size for file in files)
        files += list(_files_at(item, name, taken, max_bytes))
    check_limit(sum(file.size for file in files), name, max_bytes)
    parts, others = [], []
    for file in files:
        try:
            parts.append(_part(file))
        except CorpusError:
            if file.chosen:
                raise
            others.append(file.name)
    if not others:
        return parts, ()
    return parts, (f"Left out, since they are no texts: {_told(others)}.",)


def _part(file: _File) -> Part:
    match file.data:
        case Part() as part:
            return part
        case Path() as path:
            return decoded(path.read_bytes(), file.name)
        case data:
            return decoded(data, file.name)


def _files_at(
    path: Path | Part, name: str, taken: int, max_bytes: int
) -> Iterator[_File]:
    """The files at a path; ``taken`` is what others have of the bytes that are left."""
    if isinstance(path, Part):
        yield _File(path.name, len(path.text), path, chosen=True)
    elif path.is_dir():
        for file in _in_folder(path):
            where = file.relative_to(path).as_posix()
            yield _File(where, file.stat().st_size, file, chosen=False)
    elif is_zip(path):
        # who packed it need not be who names it: what it unpacks to stays bounded
        limit = min(max_bytes, taken + policy().max_text_bytes)
        yield from _in_zip(path, name, taken, limit)
    else:
        yield _File(path.name, path.stat().st_size, path, chosen=True)


def _is_hidden(path: str) -> bool:
    """Whether a file, or a folder that it lies in, is hidden; macOS' zips have such."""
    return any(part.startswith(".") for part in path.split("/"))


def _in_folder(folder: Path) -> list[Path]:
    """The files that are not hidden, in the order of their paths.

    Raises:
        OSError: If a folder cannot be read.
    """

    def fail(error: OSError) -> NoReturn:
        raise error

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        found += [Path(parent, name) for name in files if not _is_hidden(name)]
    found = [path for path in found if path.is_file()]  # no pipe that would hang
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _in_zip(path: Path, name: str, taken: int, max_bytes: int) -> list[_File]:
    """The files of a zip that are not hidden, in the order of their paths."""
    try:
        with opened(path, most=MAX_ZIP_FILES) as packed:
            files = [
                info
                for info in files_of(packed, most=MAX_ZIP_FILES)
                if not _is_hidden(info.filename)
            ]
            total = sum(info.file_size for info in files)
            check_limit(taken + total, name, max_bytes)
            return [
                _File(
                    info.filename,
                    info.file_size,
                    _unpacked(packed, info, max_bytes),
                    chosen=False,
                )
                for info in sorted(files, key=lambda info: info.filename)
            ]
    except ZipError as error:
        raise CorpusError(
            f"{quoted(path.name)} is no zip of texts that can be taken: {error}."
        ) from error


def _unpacked(packed: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> bytes:
    check_declared(info, max_bytes)
    return b"".join(content_of(packed, info))
