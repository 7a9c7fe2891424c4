"""Push a model to the Hub: exactly its four public files, in one commit."""

import contextlib
import dataclasses
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from charrnn import card
from charrnn.errors import CheckpointError, HubError
from charrnn.files import one_line, write_file
from charrnn.hub.names import check_repo
from charrnn.hub.transfer import Connection, transfer
from charrnn.model import checkpoint
from charrnn.model.record import CARD, CONFIG, VOCAB, WEIGHTS, Record

DEFAULT_MESSAGE: Final = "Share a charrnn model"
DEFAULT_SPACE_MESSAGE: Final = "Share a charrnn model's web page"
PAGE: Final = "index.html"
SLOWEST: Final = 20_000  # bytes a second: a page goes in one piece, and tells nothing


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


def _check_token(connection: Connection) -> None:
    if connection.token is None:
        raise HubError(
            "A push needs an access token that may write, from "
            f"{connection.endpoint}/settings/tokens: log in with `hf auth login` or "
            "give one."
        )


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
    _check_token(connection)
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
    return _pushed(repo, f"{connection.endpoint}/{repo}", result)


def _pushed(repo: str, url: str, result: Mapping[str, Any]) -> Pushed:
    return Pushed(
        repo_id=repo,
        commit=result["commit"],
        url=url,
        unchanged=result["unchanged"],
        private=result["private"],
    )


def _origin_of(record: Record) -> str | None:
    """The repository a model came from; a stranger may have written anything there."""
    if record.origin is None:
        return None
    try:
        return check_repo(record.origin.repo, record.origin.repo)
    except HubError:
        return None


def push_space(
    page: str,
    record: Record,
    repo_id: str,
    connection: Connection,
    *,
    private: bool = True,
    model_repo: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Commit a model's web page to a static Space, and nothing else.

    The Space is made if there is none. One of another kind, or with files that are
    not of this program, is refused. The same page again changes nothing.

    Args:
        page: The HTML, from `web.bundle`.
        record: Of the model: its title and licence, and where it comes from.
        repo_id: ``owner/name`` of the Space.
        connection: With a token that may write there.
        private: As in `push_model`.
        model_repo: ``owner/name`` of the model itself; None for its origin, if any.
        message: The commit's; None for a plain one.

    Raises:
        HubError: If it failed: one sentence that says what to do.
    """
    repo = check_repo(repo_id.strip(), repo_id)
    source = _origin_of(record)
    if model_repo is not None:
        source = check_repo(model_repo.strip(), model_repo)
    _check_token(connection)
    data = page.encode()
    limits = connection.limits
    patient = dataclasses.replace(limits, idle=limits.idle + len(data) / SLOWEST)
    with _temporary_folder() as place:
        files = Path(place, "files")
        files.mkdir()
        (files / PAGE).write_bytes(data)
        readme = card.space_card(record, source, str(connection.endpoint))
        (files / CARD).write_text(readme, encoding="utf-8")
        result = transfer(
            {
                "action": "push",
                "space": True,
                "repo": repo,
                "folder": str(files),
                "private": private,
                "message": one_line(message or "") or DEFAULT_SPACE_MESSAGE,
            },
            Path(place, "home"),
            dataclasses.replace(connection, limits=patient),
        )
    return _pushed(repo, f"{connection.endpoint}/spaces/{repo}", result)
