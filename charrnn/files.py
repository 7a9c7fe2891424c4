"""Files and lines that are safe to keep: atomic writing, safe characters, redaction."""

import contextlib
import errno
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from charrnn.errors import CheckpointError

TEXT_LIMIT: Final = 200  # characters of a title or a corpus' name
# What acts on a terminal or on the order of a line instead of being read: control
# characters, line and paragraph separators, bidirectional embeddings, overrides and
# isolates, and surrogates, which no encoding can write. `str.isprintable` is another
# question: it is false for spaces that French, Chinese or Persian texts are full of.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PATH: Final = re.compile(r"(?<![\w.])(?:/[\w.+@ -]+?)+/(?=[\w.])")
_TOKEN: Final = re.compile(r"\bhf_[A-Za-z0-9]{4,}")


def write_file(path: Path, data: bytes | Iterable[memoryview]) -> None:
    """Put a file in place whole or not at all; the previous one stays if not.

    Args:
        path: The file.
        data: What it will hold, at once or part after part.

    Raises:
        CheckpointError: If the disk is full or the folder not writable.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with aside.open("xb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{path.name} cannot be written ({error.strerror}): {remedy(error)}. The "
            "previous file is unchanged."
        ) from error
    finally:  # gone already unless something went wrong, Ctrl-C included
        with contextlib.suppress(OSError):
            aside.unlink()
    _sync_folder(path.parent)


def remedy(error: OSError) -> str:
    """What to do about a file or folder that could not be written."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space"
        case errno.ENOENT | errno.ENOTDIR:
            return "choose a folder that is there"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "choose a writable folder"
    return "free some space or choose a writable folder"


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):  # the file is in place; some systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_there(path: Path) -> bool:
    """Whether a path has something behind it, a broken link included.

    True where one may not look: whoever reads it says so.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def replace_unsafe(text: str, by: str = "\ufffd", *, keep: str = "") -> str:
    r"""The text without characters that act instead of being read.

    Args:
        text: Any text, a stranger's too.
        by: What stands in the place of each of them.
        keep: Those that stay all the same: newline and tab in a text of lines.

    Example:
        >>> replace_unsafe("a\u3000title\x1b[1m\u202e\n", "?", keep="\n")
        'a\u3000title?[1m?\n'
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else by, text)


def is_safe(text: str) -> bool:
    """Whether `replace_unsafe` would leave a text as it is."""
    return _UNSAFE.search(text) is None


def quoted(text: str, limit: int = 80) -> str:
    r"""What somebody gave, in quotes, to be shown: short, unsafe characters escaped.

    Example:
        >>> print(quoted("my novel\x1b"))
        'my novel\x1b'
    """
    return f"'{_UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text[:limit])}'"


def escaped(text: str) -> str:
    r"""A text in one line: line feeds and tabs as ``\n`` and ``\t``, a backslash twice.

    Example:
        >>> print(escaped("a\n\tb"))
        a\n\tb
    """
    return text.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t")


def unescaped(text: str) -> str:
    r"""The reverse of `escaped`; any other backslash is one.

    Example:
        >>> unescaped(escaped("a\n\\n")) == "a\n\\n"
        True
        >>> print(unescaped(r"C:\docs"))
        C:\docs
    """
    plain = {"n": "\n", "t": "\t", "\\": "\\"}
    return re.sub(r"\\([nt\\])", lambda found: plain[found[1]], text)


def one_line(text: str, limit: int | None = TEXT_LIMIT) -> str:
    r"""The text as one line of at most so many characters, empty if none is seen.

    What is not safe counts as a space; runs of spaces become one.

    Example:
        >>> one_line("  a title\n\x1b[1m ")
        'a title [1m'
    """
    line = re.sub(" +", " ", replace_unsafe(text, " ")).strip()[:limit].rstrip()
    return line if any(_is_seen(character) for character in line) else ""


def _is_seen(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) != "Cf"


def redact(line: str) -> str:
    """The line without names of folders and without access tokens."""
    return _PATH.sub("", _TOKEN.sub("hf_***", line))
