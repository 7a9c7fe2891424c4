"""Push a model to the Hub: exactly its four public files, in one commit."""

import contextlib
import dataclasses
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn import card
from charrnn.errors import CheckpointError, HubError
from charrnn.files import one_line, write_file
from charrnn.hub.names import check_repo
from charrnn.hub.transfer import Connection, transfer
from charrnn.model import checkpoint
from charrnn.model.record import CARD, CONFIG, VOCAB, WEIGHTS

DEFAULT_MESSAGE: Final = "Share a charrnn model"


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A finished push."""

    repo_id: str
    commit: str  # 40 hex digits
    url: str  # of the repository
    unchanged: bool  # the Hub had exactly this already: no new commit
    private: bool  # what the repository is, not what was asked for


def _read_public(folder: Path, name: str) -> bytes:
    """A public file's bytes; never those of a file it merely points to.

    Raises:
        CheckpointError: If it is missing, or a link, or no plain file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe would hang
    try:
        with os.fdopen(os.open(folder / name, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CheckpointError(f"{name} is no plain file: it is not pushed.")
            return file.read()
    except OSError as error:
        if (folder / name).is_symlink():
            raise CheckpointError(
                f"{name} is a link to another file: it is not pushed. Put the file "
                "itself there."
            ) from error
        raise CheckpointError(
            f"{name} of {folder.name} cannot be read ({error.strerror}): a model can "
            "be pushed once its training has saved one."
        ) from error


def _snapshot(folder: Path, into: Path) -> None:
    """Copy config, vocabulary and weights as they stood at one moment.

    A training may be writing them: where the configuration has changed by the
    end, its figures may belong to other weights, and it is done again.
    """
    names = (CONFIG, VOCAB, WEIGHTS)
    for _ in range(5):
        files = {name: _read_public(folder, name) for name in names}
        if _read_public(folder, CONFIG) == files[CONFIG]:
            break
    for name, data in files.items():
        (into / name).write_bytes(data)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder for the files of a push and the library's caches.

    Raises:
        HubError: If it cannot be made, or what lies in it not be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="charrnn-push-") as place:
            yield place
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # `tempfile`'s own names folders
        raise HubError(
            f"The temporary folder cannot be written ({reason}): free some "
            "space, or name another folder with TMPDIR, then push again."
        ) from error


def push_model(
    folder: Path,
    repo_id: str,
    connection: Connection,
    *,
    private: bool = True,
    license: str | None = None,
    message: str | None = None,
    keep_card: bool = True,
) -> Pushed:
    """Commit a model's four public files to the Hub, nothing else.

    The repository is made if there is none. Pushing the same model again
    changes nothing and says so. The call blocks. The stages are preparing,
    connecting and uploading.

    Args:
        folder: A complete model.
        repo_id: ``owner/name``.
        connection: With a token that may write there.
        private: Whether only the owner may see it. An existing repository
            keeps what it is: a public one is refused then.
        license: One of the Hub's identifiers, see `card.LICENSES`; None keeps
            the one on record.
        message: The commit's; None for a plain one.
        keep_card: Whether the card is written into the folder as well. False
            for a folder that is not this person's.

    Raises:
        HubError: If it failed: one sentence that says what to do.
        CheckpointError: If the folder is no model that can be pushed.
    """
    repo, chosen = check_repo(repo_id.strip(), repo_id), card.check_license(license)
    if connection.token is None:
        raise HubError(
            "A push needs an access token that may write, from "
            f"{connection.endpoint}/settings/tokens: log in with `hf auth login` or "
            "give one."
        )
    if connection.on_progress is not None:
        connection.on_progress("preparing", 0, 0)
    with _temporary_folder() as place:
        files = Path(place, "files")
        files.mkdir()
        _snapshot(folder, files)
        record = checkpoint.read_record(folder)
        if (folder / CARD).exists():
            _read_public(folder, CARD)
        text = card.write_card(
            files,
            history=folder,
            source=repo,
            license=chosen or record.license,
        )
        if keep_card:
            write_file(folder / CARD, text.encode())
            if chosen not in (None, record.license):
                record = dataclasses.replace(record, license=chosen)
                checkpoint.save_record(folder, record)
        result = transfer(
            {
                "action": "push",
                "repo": repo,
                "folder": str(files),
                "private": private,
                "message": one_line(message or "") or DEFAULT_MESSAGE,
            },
            Path(place, "home"),
            connection,
        )
    return Pushed(
        repo_id=repo,
        commit=result["commit"],
        url=f"{connection.endpoint}/{repo}",
        unchanged=result["unchanged"],
        private=result["private"],
    )
