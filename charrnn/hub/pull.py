"""Take anyone's charrnn model from the Hub, checked before it is placed."""

import contextlib
import dataclasses
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from charrnn.errors import CheckpointError, ConfigError, HubError, RunError
from charrnn.files import remedy
from charrnn.hosting import policy
from charrnn.hub.names import check_revision, parse_source, shown
from charrnn.hub.transfer import Connection, transfer
from charrnn.model import checkpoint
from charrnn.model.record import PUBLIC_FILES, Origin
from charrnn.runs import store
from charrnn.runs.leftovers import PULLING, remove_leftovers
from charrnn.runs.owner import Owner, save
from charrnn.runs.preparation import check_taken_in
from charrnn.runs.queue import check_kept, one_at_a_time


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A finished pull."""

    model_id: str
    path: Path
    repo: str
    revision: str  # the commit that was asked for, resolved: 40 hex digits
    unchanged: bool  # this commit was here already: nothing was downloaded
    notices: tuple[str, ...] = ()  # what a person should know about its files


def pull_model(
    source: str,
    connection: Connection,
    *,
    destination: Path,
    model_id: str | None = None,
    revision: str | None = None,
    owner: Owner | None = None,
) -> Pulled:
    """Bring a charrnn model from the Hub into the folder of models.

    Names and sizes are checked before anything is downloaded, checksums and
    contents before the model appears, which it does whole or not at all. No
    cache is kept: the model's folder is the only copy, and it needs the Hub no
    more. The call blocks. The stages are connecting and downloading.

    Args:
        source: See `parse_source`.
        connection: With a token for what is private.
        destination: The folder of models.
        model_id: Name for the new folder, with which a page keeps visitors
            apart; None takes a free one after the repository, or finds the same
            commit that was pulled before.
        revision: Branch, tag or commit; None for the default branch.
        owner: Whose key shall open the model on a hosted page.

    Raises:
        HubError: If it failed: one sentence that says what to do.
        CheckpointError: If the folder cannot be written.
        RunError: If the owner keeps as many runs and models as one may.
    """
    repo, in_source = parse_source(source, connection.endpoint)
    wanted = _one_revision(in_source, check_revision(revision))
    if model_id is None and policy().secret_ids:
        model_id = store.hosted_id()  # nobody finds, or is told of, another's model
    known = _commits_here(destination, model_id, repo)
    aside = destination / f"{PULLING}{secrets.token_hex(8)}"
    notices: tuple[str, ...] = ()
    try:
        remove_leftovers(destination)  # it may be a visitor's model
        (aside / "files").mkdir(parents=True)
        result = transfer(
            {
                "action": "pull",
                "repo": repo,
                "revision": wanted,
                "folder": str((aside / "files").resolve()),
                "known": sorted(known),
                "max_bytes": policy().max_pull_bytes,
            },
            aside.resolve() / "home",
            connection,
        )
        commit = result["revision"]
        if result["known"]:
            path = destination / known[commit]
        elif known and model_id is not None:
            raise HubError(
                f"The id {model_id!r} holds another commit of {repo}: choose another."
            )
        else:
            origin = Origin(repo=repo, revision=commit)
            path, notices = _take(aside, origin, model_id, owner)
    except OSError as error:
        raise CheckpointError(
            f"The folder {destination.name} cannot be written ({error.strerror}): "
            f"{remedy(error)}."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Pulled(
        model_id=path.name,
        path=path,
        repo=repo,
        revision=commit,
        unchanged=result["known"],
        notices=notices,
    )


def _one_revision(in_source: str | None, given: str | None) -> str | None:
    if in_source and given and in_source != given:
        raise HubError(
            f"Two revisions are given, {in_source} and {given}: leave one of them out."
        )
    return in_source or given


def _commits_here(destination: Path, model_id: str | None, repo: str) -> dict[str, str]:
    """Commits of a repository that are here already, and under which id.

    With an id asked for only that folder counts: on a hosted page each visitor
    gives one of their own, and nobody learns what another one has pulled.

    Raises:
        HubError: If the id is no id or taken by another model.
    """
    if model_id is None:
        here = sorted(destination.glob("[!.]*"))
        return _pulled_commits(repo, (path for path in here if path.is_dir()))
    if not store.ID_PATTERN.fullmatch(model_id):
        raise HubError(
            f"{shown(model_id)} cannot be an id: expected up to 80 letters, digits, "
            "hyphens and underscores."
        )
    known = _pulled_commits(repo, [destination / model_id])
    if not known and store.is_taken(destination, model_id):
        raise HubError(f"The id {model_id!r} is taken: choose another one.")
    return known


def _pulled_commits(repo: str, folders: Iterable[Path]) -> dict[str, str]:
    found = {}
    for folder in folders:
        with contextlib.suppress(CheckpointError):  # no model, or a damaged one
            origin = checkpoint.read_record(folder).origin
            if origin is not None and origin.repo == repo:
                checkpoint.load(folder)
                found[origin.revision] = folder.name
    return found


def _take(
    aside: Path, origin: Origin, model_id: str | None, owner: Owner | None
) -> tuple[Path, tuple[str, ...]]:
    """The public files alone out of what was downloaded; checked and placed.

    Returns:
        The new folder, and what a person should know about its files.
    """
    ready = aside / "model"
    ready.mkdir()
    for name in PUBLIC_FILES:
        file = aside / "files" / name
        if file.is_file() and not file.is_symlink():
            file.replace(ready / name)
    notices = _check_pulled(ready, origin)
    if owner is None:
        return _place(ready, aside.parent, model_id, origin.repo), notices
    (ready / store.STATE).mkdir()
    save(ready, owner, place=aside.parent)
    with one_at_a_time():  # others may have kept one more meanwhile
        check_kept(owner)
        return _place(ready, aside.parent, model_id, origin.repo), notices


def _check_pulled(folder: Path, origin: Origin) -> tuple[str, ...]:
    """Validate what came as any stranger's folder, and note where from.

    Returns:
        What a person should know about its files.

    Raises:
        HubError: If it is no model that charrnn can open.
    """
    try:
        check_taken_in(checkpoint.read_record(folder).model)
        model = checkpoint.load(folder)
    except ConfigError as error:
        raise HubError(f"{origin.repo} cannot be taken in: {error}") from error
    except CheckpointError as error:
        raise HubError(
            f"{origin.repo} is no model that charrnn can open: {error}"
        ) from error
    checkpoint.save_record(folder, dataclasses.replace(model.record, origin=origin))
    return model.notices


def _place(ready: Path, destination: Path, model_id: str | None, repo: str) -> Path:
    """Let a finished folder appear at once under a free id.

    Raises:
        HubError: If the id is taken.
    """
    wanted = model_id or re.sub(r"[^A-Za-z0-9_-]", "-", repo.split("/")[1])[:70]
    wanted = wanted if store.ID_PATTERN.fullmatch(wanted) else f"model-{wanted}"
    try:
        return store.place(ready, destination, wanted, exact=model_id is not None)
    except RunError as error:
        raise HubError(str(error)) from error
