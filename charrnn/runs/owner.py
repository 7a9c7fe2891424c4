"""Whose a run is, on a page that strangers share.

A run there has an id, which a link may carry and with which anyone may read, and a
key, which only the browser or program that started it holds. The run keeps the key's
SHA-256, and of the visitor and their address hashes with a salt of this folder, for
the limits that hold for each. All of it lies in `state/`, which is neither packed nor
pushed. On one's own computer there are no keys.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from filelock import FileLock

from charrnn.errors import CheckpointError, RunError
from charrnn.files import write_file
from charrnn.hosting import Visitor, policy
from charrnn.runs.store import HOSTED_PATTERN, QUEUE, STATE, is_shipped

OWNER: Final = "owner"
SEEN: Final = "seen"  # touched at each sign of life of the owner
SALT: Final = "salt"
KEY_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_OWNER_BYTES: Final = 2_000


@dataclass(frozen=True)
class Owner:
    """Who starts, resumes or pulls something on a hosted page."""

    key: str = field(repr=False)
    visitor: Visitor = field(repr=False)
    page: bool = True  # an open page shows signs of life, else a program


@dataclass(frozen=True)
class Recorded:
    """What a run keeps of its owner: hashes as hexadecimal digits."""

    key_sha256: str
    visitor: str
    address: str
    page: bool


def new_owner(visitor: Visitor, *, page: bool) -> Owner | None:
    """An owner with a new key of 32 random bytes; None on one's own computer."""
    if not policy().secret_ids:
        return None
    return Owner(secrets.token_urlsafe(32), visitor, page)


def split(text: str) -> tuple[str, str]:
    """Id and key of ``id.key`` or of an id alone, whose key is empty.

    On one's own computer there are no keys, and all of it is the id.

    Example:
        >>> split("shakespeare")
        ('shakespeare', '')
    """
    if not policy().secret_ids:
        return text, ""
    run_id, _, key = text.partition(".")
    return run_id, key if KEY_PATTERN.fullmatch(key) else ""


def save(path: Path, owner: Owner, *, place: Path | None = None) -> None:
    """Note in a run's folder whose it is, which also is a sign of life.

    Args:
        path: The folder, with its `state/`.
        owner: Whose it is.
        place: The folder of runs, where the run does not lie in it yet.

    Raises:
        CheckpointError: If it cannot be written.
    """
    place = place or path.parent
    recorded = {
        "key_sha256": _hash(owner.key),
        "visitor": visitor_hash(place, owner.visitor.key),
        "address": visitor_hash(place, owner.visitor.address),
        "page": owner.page,
    }
    write_file(path / STATE / OWNER, json.dumps(recorded).encode("ascii"))
    write_file(path / STATE / SEEN, b"")


def read(path: Path) -> Recorded | None:
    """What a run keeps of its owner; None if it has none or it is damaged."""
    try:
        with (path / STATE / OWNER).open("rb") as file:
            content = json.loads(file.read(MAX_OWNER_BYTES))
        found = Recorded(**content)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = (found.key_sha256, found.visitor, found.address)
    return found if all(isinstance(text, str) for text in texts) else None


def is_owner(path: Path, key: str) -> bool:
    """Whether a key is that of a run; everybody's on one's own computer.

    Takes the same time whatever the key is.
    """
    if not policy().secret_ids:
        return True
    recorded = read(path)
    expected = recorded.key_sha256 if recorded else ""
    return hmac.compare_digest(_hash(key).encode(), expected.encode())


def check_owner(path: Path, key: str) -> None:
    """Let the owner pass; a shipped model is everybody's to read.

    Raises:
        RunError: If the key is not that of the run.
    """
    if not is_shipped(path) and not is_owner(path, key):
        raise RunError(
            "That is for the run's owner: the browser or program that started it. "
            "With its link you can watch it and write with its model."
        )


def mark_seen(path: Path) -> None:
    """Note a sign of life of a run's owner."""
    try:
        os.utime(path / STATE / SEEN)
    except OSError:  # deleted meanwhile, or a disk that takes nothing
        return


def last_seen(path: Path) -> float:
    """When the owner showed the last sign of life, seconds since the epoch."""
    try:
        return (path / STATE / SEEN).stat().st_mtime
    except OSError:
        return 0.0


def is_strangers(path: Path) -> bool:
    """Whether a folder was made for a visitor of a hosted page."""
    return bool(HOSTED_PATTERN.fullmatch(path.name)) and not path.is_symlink()


def visitor_hash(place: Path, name: str) -> str:
    """What stands for a visitor's name or address in the runs of a folder."""
    return hmac.new(_salt(place), name.encode(), hashlib.sha256).hexdigest()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _salt(place: Path) -> bytes:
    """The salt of a folder of runs, made when it is first needed."""
    path = place / QUEUE / SALT
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(f"{SALT}.lock")):
                if not path.is_file():
                    write_file(path, secrets.token_bytes(32))
                    path.chmod(0o600)
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"The folder {place.name} cannot be written ({error.strerror})."
        ) from error
