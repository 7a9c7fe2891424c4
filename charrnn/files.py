"""Files and lines that are safe to keep: atomic writing, one line, redaction."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from charrnn.errors import CheckpointError

TEXT_LIMIT: Final = 200  # characters of a title or a corpus' name
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
            f"{path.name} cannot be written ({error.strerror}): free some space or "
            "choose a writable folder. The previous file is unchanged."
        ) from error
    finally:  # gone already unless something went wrong, Ctrl-C included
        with contextlib.suppress(OSError):
            aside.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):  # the file is in place; some systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def one_line(text: str, limit: int | None = TEXT_LIMIT) -> str:
    r"""The text as one printable line of at most so many characters.

    What cannot be printed counts as a space; runs of spaces become one.

    Example:
        >>> one_line("  a title\n\x1b[1m ")
        'a title [1m'
    """
    spaced = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(spaced.split())[:limit]


def redact(line: str) -> str:
    """The line without names of folders and without access tokens."""
    return _PATH.sub("", _TOKEN.sub("hf_***", line))
