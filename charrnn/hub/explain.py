"""The sentence for each way in which a transfer with the Hub can fail.

`charrnn.hub.client`, which knows the library's errors, says what failed as a
`Failure`; here stands what a person reads then. Nothing of the library is imported.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from charrnn.files import quoted

Job: TypeAlias = Mapping[str, Any]  # what `charrnn.hub.transfer` asks the process for


class Kind(StrEnum):
    """What failed."""

    STATUS = "status"  # an answer with an HTTP status of 400 or more
    NO_REPOSITORY = "no repository"
    NO_REVISION = "no revision"
    NO_FILE = "no file"
    GATED = "gated"
    DISABLED = "disabled"
    OFFLINE = "offline"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BROKEN_OFF = "broken off"
    DISK_FULL = "disk full"
    NOT_THE_HUB = "not the Hub"
    BAD_NAME = "bad name"
    BAD_CARD = "bad card"
    UPLOAD_REFUSED = "upload refused"
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What is known of a failure.

    Args:
        kind: What failed.
        detail: The server's or the library's own words, one line; empty if none.
        status: The HTTP status, where there is one.
        storage: Whether not the Hub but the storage behind it answered.
    """

    kind: Kind
    detail: str = ""
    status: int = 0
    storage: bool = False


_SENTENCES: Final[dict[Kind, str]] = {
    Kind.NO_FILE: "A file of {repo} is gone: try again.",
    Kind.GATED: "{repo} is gated: open its page on the Hub, accept its conditions, "
    "then try again with your own access token.",
    Kind.DISABLED: "The Hub has disabled {repo}: it cannot be used.",
    Kind.OFFLINE: "huggingface_hub is set to work offline: unset HF_HUB_OFFLINE, then "
    "try again.",
    Kind.TIMEOUT: "{host} did not answer in time: check the connection, then try "
    "again.",
    Kind.UNREACHABLE: "{host} cannot be reached: check the connection, then try again.",
    Kind.BROKEN_OFF: "The connection to {host} broke off: try again.",
    Kind.DISK_FULL: "The disk is full: free some space, then try again.",
    Kind.NOT_THE_HUB: "{host} does not answer like the Hub: check HF_ENDPOINT, and "
    "whether a proxy or a login page stands between.",
    Kind.BAD_NAME: "{repo} is no name for a repository: expected owner/name.",
    Kind.BAD_CARD: "The Hub does not take the card ({detail}): choose another licence.",
    Kind.UPLOAD_REFUSED: "The Hub's file storage refused a file ({detail}): push "
    "again.",
    Kind.INCOMPLETE: "A file of {repo} arrived incomplete: try again.",
    Kind.UNKNOWN: "The {action} failed ({detail}): try again.",
}


def explain(failure: Failure, job: Job) -> str:
    """One sentence that says what went wrong and what to do."""
    if failure.kind is Kind.STATUS:
        return _about_status(failure, job)
    if failure.kind is Kind.NO_REPOSITORY:
        return _not_found(job)
    if failure.kind is Kind.NO_REVISION:
        return _no_revision(job["repo"], str(job.get("revision")))
    return _SENTENCES[failure.kind].format(
        action=job["action"],
        repo=job["repo"],
        host=host_of(job),
        detail=failure.detail,
    )


def host_of(job: Job) -> str:
    """Name and port of the Hub that a job goes to."""
    return urlsplit(job["endpoint"]).netloc


def _about_status(failure: Failure, job: Job) -> str:
    status, reason = failure.status, f" ({failure.detail})" if failure.detail else ""
    if failure.storage:
        return (
            f"The Hub's file storage answered HTTP {status}{reason}: "
            f"{job['action']} again."
        )
    if status >= 500:
        return (
            f"{host_of(job)} has a problem of its own (HTTP {status}): try again in a "
            "few minutes."
        )
    about = _STATUSES.get(status)
    if about is None:
        return f"The Hub refused (HTTP {status}){reason}."
    return about(job, reason)


def _not_found(job: Job) -> str:
    if job["action"] == "push":
        return (
            f"The Hub finds no {job['repo']} that this token may write to: check the "
            "owner's name and the token's permissions."
        )
    repo, host = job["repo"], host_of(job)
    if job["action"] == "read":
        return (
            f"There is no dataset {repo} on {host} that you may read: check the name; "
            "a private one takes an access token that may read it."
        )
    if not job["token"]:
        return (
            f"There is no model {repo} on {host} that you may read: check the name; "
            "for a private one give an access token or log in."
        )
    if job["visitor"]:
        return (
            f"There is no model {repo} on {host} that you may read: check the name; "
            "this page's login opens only those private ones that were made here."
        )
    return (
        f"There is no model {repo} on {host} that you may read: check the name and "
        "what your access token may read."
    )


def _no_revision(repo: str, revision: str) -> str:
    if re.fullmatch("[0-9a-fA-F]{4,39}", revision):
        return (
            f"{repo} has no revision {quoted(revision)}: expected a branch, a tag or "
            f"a commit with all 40 digits. This one has {len(revision)}: "
            "copy the whole of it from the repository's list of commits."
        )
    return (
        f"{repo} has no revision {quoted(revision)}: expected a branch, a tag or a "
        "commit."
    )


def _about_token(job: Job) -> str:
    if not job["token"]:
        return _not_found(job)
    return (
        "The Hub does not accept this access token: it is mistyped, expired or "
        f"revoked. Make a new one at {job['endpoint']}/settings/tokens or log in again."
    )


def _about_permission(job: Job, reason: str) -> str:
    text = (
        f"This access token may not {job['action']} {job['repo']}{reason}: use one "
        "with the permission, and an owner's name that is yours."
    )
    if job["visitor"]:
        text += " A login here opens only what was made here."
    return text


_STATUSES: Final[dict[int, Callable[[Job, str], str]]] = {
    401: lambda job, reason: _about_token(job),
    403: _about_permission,
    404: lambda job, reason: _not_found(job),
    409: lambda job, reason: (
        f"The Hub says that {job['repo']} conflicts with what is there{reason}: choose "
        "another name."
    ),
    412: lambda job, reason: (
        f"{job['repo']} was changed by someone else meanwhile: look at it, then push "
        "again."
    ),
    413: lambda job, reason: f"The Hub finds the files too large{reason}.",
    429: lambda job, reason: (
        f"The Hub limits how often it may be asked{reason}: wait a few minutes, then "
        "try again."
    ),
}
