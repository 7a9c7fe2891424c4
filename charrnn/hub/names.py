"""Names on the Hub: repositories, revisions, addresses, access tokens."""

import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from charrnn.errors import HubError
from charrnn.files import TEXT_LIMIT, is_safe, quoted

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
DATASETS: Final = "hf://datasets/"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{8,8192}")
_PART: Final = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
_REVISION: Final = re.compile(r"\w[\w./@+=,!&()-]{0,199}")  # Git allows more
_IN_URL: Final = frozenset({"tree", "blob", "resolve", "raw", "commit", "commits"})


def endpoint_of(endpoint: str | None = None) -> str:
    """The Hub's address: the one given, else `HF_ENDPOINT`, else the public one.

    Raises:
        HubError: If it is no http or https address.
    """
    text = (endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).strip("/ ")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise HubError("HF_ENDPOINT is no address: expected one like https://....")
    return text


def shown(text: str) -> str:
    """What somebody gave, to be shown: short, and without a token by mistake."""
    return quoted(re.sub(r"\bhf_\w+", "hf_...", text), 100)


def check_repo(repo: str, given: str) -> str:
    """The same repository id, if it is one."""
    parts = repo.split("/")
    good = len(parts) == 2 and all(_PART.fullmatch(part) for part in parts)
    if not good or len(repo) > 96 or re.search(r"--|\.\.|\.git$", repo):
        raise HubError(
            f"{shown(given)} names no repository on the Hub: expected owner/name, like "
            "alice/shakespeare-gru, letters, digits, hyphens, dots and underscores."
        )
    return repo


def check_revision(revision: str | None) -> str | None:
    """The same revision, if it can be one, as Git knows it; None for an empty one.

    In addresses, and so in what is copied from them, a slash is written ``%2F``.
    """
    text = unquote(revision or "").strip()
    if text and (not _REVISION.fullmatch(text) or ".." in text):
        raise HubError(
            f"{shown(text)} is no revision: expected a branch, a tag or a commit."
        )
    return text or None


def _split(given: str, endpoint: str | None) -> tuple[str, str, bool]:
    """What is before ``://``, what follows it, and whether that is a page of the Hub.

    Of such an address only the path is left, without query and fragment.
    """
    hosts = {"huggingface.co", "www.huggingface.co", "hf.co"}
    hosts.add(urlsplit(endpoint_of(endpoint)).netloc)
    scheme, _, rest = given.rpartition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0].rstrip("/")
    host, _, path = rest.partition("/")
    of_hub = host in hosts and scheme in ("", "http", "https")
    return scheme, path if of_hub else rest, of_hub


def _split_path(path: str) -> tuple[str, str, str]:
    """Repository, revision and file of the path in a web address."""
    # parted first: a revision with a slash in it is written with %2F
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    if segments[0] == "models" and len(segments) > 2:
        segments = segments[1:]
    revision, file = [], []
    if len(segments) > 3 and segments[2] in _IN_URL:
        end = 6 if segments[3] == "refs" else 4  # refs/pr/1
        revision, file = segments[3:end], segments[end:]
    return "/".join(segments[:2]), "/".join(revision), "/".join(file)


def parse_source(text: str, endpoint: str | None = None) -> tuple[str, str | None]:
    """Repository and revision out of what a person gives.

    Args:
        text: ``owner/name``, a web address or ``hf://owner/name``, each also
            with ``@revision`` at the end or, an address, ``/tree/revision``.
        endpoint: The Hub whose addresses are taken, beside the public one's.

    Raises:
        HubError: If it is none of these.

    Example:
        >>> parse_source("https://huggingface.co/alice/play/tree/v2")
        ('alice/play', 'v2')
        >>> parse_source("hf://alice/play@main")
        ('alice/play', 'main')
    """
    given = text.strip()
    scheme, rest, of_hub = _split(given, endpoint)
    rest, _, revision = rest.partition("@")
    if of_hub:
        rest, in_path, _ = _split_path(rest)
        revision = revision or in_path
    elif scheme == "hf":
        rest = rest.removeprefix("models/")
    elif "://" in given:
        raise HubError(
            f"{shown(given)} is no address of the Hub: expected one like "
            f"{DEFAULT_ENDPOINT}/owner/name."
        )
    if rest.startswith(("datasets/", "spaces/", "kernels/", "buckets/")):
        raise HubError(f"{shown(given)} is no model: expected owner/name of one.")
    return check_repo(rest, given), check_revision(revision)


@dataclass(frozen=True)
class Dataset:
    """Where a text lies on the Hub.

    Args:
        repo: ``owner/name``.
        revision: Branch, tag or commit; None for the default branch.
        path: One of its files; None: all that are text.
    """

    repo: str
    revision: str | None = None
    path: str | None = None

    @property
    def name(self) -> str:
        """What the text is called."""
        return f"{self.repo}/{self.path}" if self.path else self.repo

    @property
    def address(self) -> str:
        """As ``--corpus`` takes it."""
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        path = f"/{self.path}" if self.path else ""
        return f"{DATASETS}{self.repo}{revision}{path}"


def parse_dataset(text: str, endpoint: str | None = None) -> Dataset:
    """A dataset out of what a person gives.

    Args:
        text: ``hf://datasets/owner/name``, also with ``@revision`` and ``/file``
            behind it, the same without its beginning, or a web address.
        endpoint: The Hub whose addresses are taken, beside the public one's.

    Raises:
        HubError: If it is none of these.

    Example:
        >>> parse_dataset("hf://datasets/alice/plays@v2/one/hamlet.txt")
        Dataset(repo='alice/plays', revision='v2', path='one/hamlet.txt')
        >>> parse_dataset("https://huggingface.co/datasets/alice/plays/tree/v2").name
        'alice/plays'
    """
    given = text.strip()
    scheme, rest, of_hub = _split(given, endpoint)
    good = rest.startswith("datasets/") if of_hub else scheme in ("", "hf")
    if not good:
        raise HubError(
            f"{shown(given)} is no address of a dataset: expected one like "
            f"{DATASETS}owner/name."
        )
    rest = rest.removeprefix("datasets/")
    if of_hub:
        return _dataset(*_split_path(rest), given)
    parts = rest.split("/")
    name, _, revision = "/".join(parts[:2]).partition("@")
    return _dataset(name, revision, "/".join(parts[2:]), given)


def _dataset(repo: str, revision: str, path: str, given: str) -> Dataset:
    if not is_safe(path) or ".." in path.split("/") or len(path) > TEXT_LIMIT:
        raise HubError(f"{shown(path)} is no file of a dataset.")
    known = check_repo(repo, given)
    return Dataset(known, check_revision(revision), path or None)


def clean_token(token: str | None) -> str | None:
    """An access token without what copying adds; None stays anonymous.

    Raises:
        HubError: If it cannot be a token. The message does not repeat it.
    """
    text = (token or "").strip()
    if text and not _TOKEN.fullmatch(text):
        raise HubError(
            "That is no access token: expected letters and digits without spaces, "
            f"as shown once at {DEFAULT_ENDPOINT}/settings/tokens."
        )
    return text or None
