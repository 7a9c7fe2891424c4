"""A dataset on the Hub as a text: what would be read, and reading it.

The process that talks to the Hub writes the text's files into a folder that is removed
afterwards; here they are decoded and joined like any others.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from charrnn.errors import CorpusError, HubError
from charrnn.files import TEXT_LIMIT
from charrnn.hub.names import Dataset
from charrnn.hub.transfer import Connection, transfer
from charrnn.text import corpus, joined
from charrnn.text.corpus import Corpus, readable_size
from charrnn.text.joined import SEPARATOR

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Found:
    """What would be read of a dataset.

    Args:
        dataset: Where it lies, at the commit that was found.
        files: The files that are its text, in order.
        size: Bytes of all of them, as they are stored.
    """

    dataset: Dataset
    files: tuple[str, ...]
    size: int


def look(dataset: Dataset, connection: Connection) -> Found:
    """Find what would be read, without reading it.

    Raises:
        HubError: If it failed, or there is no text; one sentence.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = _ask(dataset, connection, Path(folder), look=True)
    return Found(
        dataset=replace(dataset, revision=result["revision"]),
        files=tuple(result["files"]),
        size=result["size"],
    )


def read(
    dataset: Dataset,
    connection: Connection,
    *,
    max_bytes: int,
    first_bytes: int | None = None,
    separator: str = SEPARATOR,
) -> Corpus:
    """Read a dataset as one text.

    Args:
        dataset: Which, and what of it.
        connection: With a token for what is private.
        max_bytes: Largest text that is taken.
        first_bytes: Take its beginning of so many bytes; None: all of it.
        separator: What stands between two rows or files.

    Returns:
        The text; its ``source`` names the commit.

    Raises:
        HubError: If it failed; one sentence that says what to do.
        CorpusError: If it is no text.
    """
    joined.check_separator(separator)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        settings = {
            "look": False,
            "max_bytes": max_bytes,
            "first_bytes": first_bytes,
            "separator": separator,
        }
        result = _ask(dataset, connection, folder, **settings)
        try:
            text = _decoded(dataset, folder / "files", result, max_bytes, separator)
        except OSError as error:
            raise CorpusError(
                f"{dataset.name} cannot be read ({error.strerror})."
            ) from error
    found = replace(dataset, revision=result["revision"])
    notices = text.notices
    if result["is_cut"]:
        notices = (
            f"{dataset.name} is longer: its first {readable_size(result['done'])} are "
            "taken.",
            *notices,
        )
    return replace(text, notices=notices, source=found.address[:TEXT_LIMIT])


def _decoded(
    dataset: Dataset,
    folder: Path,
    result: dict[str, Any],
    max_bytes: int,
    separator: str,
) -> Corpus:
    """The files that were written as one text."""
    written = sorted(folder.glob("*.txt"))
    named = list(zip(written, result["files"], strict=False))  # a cut leaves some out
    if len(named) == 1:
        data = named[0][0].read_bytes()
        return corpus.decode(data, name=dataset.name, max_bytes=max_bytes)
    parts = [joined.decoded(path.read_bytes(), name) for path, name in named]
    return joined.join(
        parts, name=dataset.name, max_bytes=max_bytes, separator=separator
    )


def _ask(
    dataset: Dataset, connection: Connection, folder: Path, **settings: Any
) -> dict[str, Any]:
    (folder / "files").mkdir()
    job = {
        "action": "read",
        "repo": dataset.repo,
        "revision": dataset.revision,
        "path": dataset.path,
        "folder": str(folder / "files"),
        **settings,
    }
    result = transfer(job, folder / "home", connection)
    if not isinstance(result.get("files"), list):
        raise HubError(f"The Hub told nothing of {dataset.name}: try again later.")
    return result
