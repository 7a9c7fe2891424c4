"""Which files of a dataset on the Hub are its text, and what of them is taken.

Plain text is taken as it is. Of parquet, tables with a row for each text, the column
`text` is taken, or the only one that holds strings; pyarrow, an extra, reads it.
"""

import importlib
import importlib.util
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from charrnn.errors import HubError
from charrnn.files import one_line, quoted
from charrnn.text.corpus import readable_size

PARQUET: Final = ".parquet"
COLUMN: Final = "text"
ROWS: Final = 500  # read at once
SHOWN: Final = 5  # names that a sentence holds
MAX_FILES: Final = 1000


def _shown(names: list[str]) -> str:
    """Some names from a stranger, and whether there are more."""
    told = ", ".join(quoted(one_line(name), 60) for name in names[:SHOWN])
    return told + (f" (+{len(names) - SHOWN:,})" if len(names) > SHOWN else "")


def choose(files: Mapping[str, int], wanted: str | None, repo: str) -> list[str]:
    """The files that are read, in their order.

    Args:
        files: Every file of the dataset and its bytes.
        wanted: The one that somebody names; None: its text files, else its parquet
            files, those of the part that trains where it has parts.
        repo: What the dataset is called.

    Raises:
        HubError: If there is none.

    Example:
        >>> choose({"b.txt": 1, "a.txt": 2, "train.parquet": 3}, None, "o/n")
        ['a.txt', 'b.txt']
        >>> choose({"d/test-0.parquet": 1, "d/train-0.parquet": 2}, None, "o/n")
        ['d/train-0.parquet']
    """
    names = sorted(name for name in files if not name.startswith("."))
    if wanted is not None:
        if wanted not in files:
            raise HubError(
                f"{repo} has no file {quoted(wanted, 60)}: it has {_shown(names)}."
            )
        return [wanted]
    tables = [name for name in names if name.endswith(PARQUET)]
    trained = [name for name in tables if "train" in name.lower()]
    plain = [name for name in names if name.lower().endswith(".txt")]
    found = plain or trained or tables
    if not found:
        raise HubError(
            f"{repo} has no text that can be read: expected files that end in .txt or "
            f".parquet, and it has {_shown(names)}. Name one of them that is text."
        )
    if len(found) > MAX_FILES:
        raise HubError(
            f"{repo} has {len(found):,} files of text: at most {MAX_FILES:,} are read. "
            "Name one of them."
        )
    return found


def check_parquet(names: list[str]) -> None:
    """Refuse parquet where pyarrow is not installed.

    Raises:
        HubError: With what to install.
    """
    if any(name.endswith(PARQUET) for name in names) and (
        importlib.util.find_spec("pyarrow") is None
    ):
        raise HubError(
            f"{_shown(names)} needs the library pyarrow, which is not installed: `pip "
            "install pyarrow`, or charrnn with the extra parquet."
        )


def _column(names: list[str], strings: list[str], file: str) -> str:
    """The column that holds the texts."""
    if COLUMN in strings:
        return COLUMN
    if len(strings) == 1:
        return strings[0]
    raise HubError(
        f"{quoted(one_line(file), 60)} has the columns {_shown(names)}: expected one "
        f"called {COLUMN}, or a single one of strings."
    )


def rows_of(file: io.RawIOBase, name: str) -> Iterator[str]:
    """The texts of a parquet file, row after row.

    Raises:
        HubError: If it is none, or no column is known to hold texts.
    """
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:
        table = parquet.ParquetFile(file)
        kinds = {field.name: field.type for field in table.schema_arrow}
        strings = [
            field
            for field, kind in kinds.items()
            if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
        ]
        column = _column(list(kinds), strings, name)
        for batch in table.iter_batches(batch_size=ROWS, columns=[column]):
            yield from (text for text in batch.column(0).to_pylist() if text)
    except pyarrow.ArrowException as error:
        raise HubError(
            f"{quoted(one_line(name), 60)} cannot be read as parquet "
            f"({one_line(str(error), 100)})."
        ) from error


class Taken:
    """What is taken of a dataset, one file on this disk for each of its own.

    Args:
        folder: Where they are written.
        max_bytes: Refuse more.
        first_bytes: Take so many and no more; None: all.
        repo: What the dataset is called.
        moved: Called with the bytes that are written so far.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        first_bytes: int | None,
        repo: str,
        moved: Callable[[int], None],
    ) -> None:
        self.folder, self.repo, self.moved = folder, repo, moved
        self.max_bytes, self.first_bytes = max_bytes, first_bytes
        self.done = 0
        self.files = 0
        self.is_cut = False

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken."""
        return self.first_bytes is not None and self.done >= self.first_bytes

    def take(self, pieces: Iterator[bytes]) -> None:
        """Write a file's bytes, as many as are taken."""
        path = self.folder / f"{self.files:06}.txt"
        self.files += 1
        with path.open("wb") as file:
            for piece in pieces:
                piece = self._part(piece)
                file.write(piece)
                self.done += len(piece)
                self.moved(self.done)
                if self.is_cut:
                    break
        if self.is_cut:
            _end_whole(path)

    def _part(self, piece: bytes) -> bytes:
        """What of a piece is taken."""
        most = self.max_bytes if self.first_bytes is None else self.first_bytes
        room = most - self.done
        if len(piece) <= room:
            return piece
        if self.first_bytes is None:
            raise HubError(
                f"{self.repo} has more than {readable_size(self.max_bytes)}, which is "
                "what is taken here: take the first megabytes of it."
            )
        self.is_cut = True
        return piece[:room]


def _end_whole(path: Path) -> None:
    """Take away the beginning of a character at a file's end, as UTF-8 has it."""
    with path.open("rb+") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 4))
        end = file.read()
        for back in range(1, min(4, len(end)) + 1):
            byte = end[-back]
            if byte < 0x80:  # ASCII: whole
                return
            if byte >= 0xC0:  # begins a character of so many bytes
                length = 2 + (byte >= 0xE0) + (byte >= 0xF0)
                if length > back:
                    file.truncate(size - back)
                return


def between(texts: Iterator[str], separator: str) -> Iterator[bytes]:
    """The texts in UTF-8 with the separator between them."""
    for index, text in enumerate(texts):
        yield ((separator if index else "") + text).encode("utf-8", "replace")
