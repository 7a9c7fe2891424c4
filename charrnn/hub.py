"""Push a model to the Hugging Face Hub, pull anyone's charrnn model from it.

What is done here is local: read exactly the four public files, write the card,
check what came, put it in its place. What talks to the Hub runs in a process of
its own, `charrnn.hub_client`, under a clock: 15 seconds to the first byte of a
file, then 30 without another one, and it is ended. A long transfer that moves is
left alone. Neither process ever uses a token but the one it is given.
"""

import contextlib
import dataclasses
import json
import os
import queue
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

from charrnn import card, checkpoint, runs
from charrnn.checkpoint import Origin
from charrnn.config import is_hosted
from charrnn.errors import CheckpointError, HubError
from charrnn.output import strip_line

Progress = Callable[[str, int, int], None]

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
MAX_BYTES: Final = 1_000_000_000  # of the weights: the largest settings have 0.7 GB
STALE: Final = 86_400  # seconds after which nobody works in a pull's folder any more
DEFAULT_MESSAGE: Final = "Share a charrnn model"
# The server's own secrets and caches, and what would make the library talkative.
HIDDEN: Final = frozenset(
    {
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_OIDC_RESOURCE"),
        *("HF_HUB_CACHE", "HF_XET_CACHE", "HF_ASSETS_CACHE", "HUGGINGFACE_HUB_CACHE"),
        *("HF_DEBUG", "HF_HUB_VERBOSITY", "OAUTH_CLIENT_SECRET"),
    }
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{8,8192}")
_PART: Final = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
_REVISION: Final = re.compile(r"\w[\w./-]{0,199}", re.ASCII)
_IN_URL: Final = frozenset({"tree", "blob", "resolve", "raw", "commit", "commits"})


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A finished push."""

    repo_id: str
    commit: str  # 40 hex digits
    url: str  # of the repository
    unchanged: bool  # the Hub had exactly this already: no new commit
    private: bool  # what the repository is, not what was asked for

    @property
    def commit_url(self) -> str:
        """The commit's page."""
        return f"{self.url}/commit/{self.commit}"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A finished pull."""

    model_id: str
    path: Path
    repo: str
    revision: str  # the commit that was asked for, resolved: 40 hex digits
    unchanged: bool  # this commit was here already: nothing was downloaded


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long to wait, in seconds.

    Args:
        start: For the process to be there, which is not the Hub's doing.
        first: From then to the first byte of a file, or to the end.
        idle: From each byte to the next one, or to the end.
    """

    start: float = 60.0
    first: float = 15.0
    idle: float = 30.0


LIMITS: Final = Limits()

# --- names -----------------------------------------------------------------


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


def _shown(text: str) -> str:
    """What somebody gave, to be shown: short, and without a token by mistake."""
    plain = text if text.isprintable() else ascii(text)
    return repr(re.sub(r"\bhf_\w+", "hf_...", plain[:100]))


def _check_repo(repo: str, given: str) -> str:
    parts = repo.split("/")
    good = len(parts) == 2 and all(_PART.fullmatch(part) for part in parts)
    if not good or len(repo) > 96 or re.search(r"--|\.\.|\.git$", repo):
        raise HubError(
            f"{_shown(given)} names no model on the Hub: expected owner/name, like "
            "alice/shakespeare-gru, letters, digits, hyphens, dots and underscores."
        )
    return repo


def _check_revision(revision: str | None) -> str | None:
    text = (revision or "").strip()
    if text and (not _REVISION.fullmatch(text) or ".." in text):
        raise HubError(
            f"{_shown(text)} is no revision: expected a branch, a tag or a commit."
        )
    return text or None


def _split_url(path: str) -> tuple[str, str]:
    """Repository and revision of the path in a web address."""
    segments = unquote(path).strip("/").split("/")
    if segments[0] == "models" and len(segments) > 2:
        segments = segments[1:]
    revision = ""
    if len(segments) > 3 and segments[2] in _IN_URL:
        whole = 3 if segments[3] == "refs" else 1  # refs/pr/1
        revision = "/".join(segments[3 : 3 + whole])
    return "/".join(segments[:2]), revision


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
    hosts = {"huggingface.co", "www.huggingface.co", "hf.co"}
    hosts.add(urlsplit(endpoint_of(endpoint)).netloc)
    scheme, has_scheme, rest = given.rpartition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0].rstrip("/")
    rest, _, revision = rest.partition("@")
    host, _, path = rest.partition("/")
    if host in hosts and scheme in ("", "http", "https"):
        rest, in_path = _split_url(path)
        revision = revision or in_path
    elif scheme == "hf":
        rest = rest.removeprefix("models/")
    elif has_scheme:
        raise HubError(
            f"{_shown(given)} is no address of the Hub: expected one like "
            f"{DEFAULT_ENDPOINT}/owner/name."
        )
    if rest.startswith(("datasets/", "spaces/", "kernels/", "buckets/")):
        raise HubError(f"{_shown(given)} is no model: expected owner/name of one.")
    return _check_repo(rest, given), _check_revision(revision)


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


def local_token() -> str | None:
    """The token of `hf auth login`, for the person at this computer.

    On a hosted page it would be the server's, so there is none there.
    """
    if is_hosted():
        return None
    from charrnn import hub_client  # imports the library, which a page may not need

    return clean_token(hub_client.local_token())


# --- the process that talks to the Hub -------------------------------------


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    return kept | {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONUNBUFFERED": "1",
    }


class _Clock:
    """Knows until when something must have happened."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.done = 0
        self._enter("starting", limits.start)

    def _enter(self, phase: str, allowed: float) -> None:
        self.phase = phase
        self.allowed = allowed
        self.since = time.monotonic()

    def ready(self) -> None:
        self._enter("waiting", self.limits.first)

    def moved(self, done: int) -> None:
        """Bytes were counted; what goes back to 0 to be sent again moves too."""
        if done != self.done:
            self.done = done
            self._enter("moving", self.limits.idle)

    def remaining(self) -> float:
        return max(0.0, self.since + self.allowed - time.monotonic())


def _listen(output: IO[bytes], answers: "queue.SimpleQueue[Any]") -> None:
    for line in output:
        answers.put(json.loads(line))
    answers.put(None)


def _too_slow(clock: _Clock, job: Mapping[str, Any], trouble: str) -> str:
    host, seconds = urlsplit(job["endpoint"]).netloc, f"{clock.allowed:g} seconds"
    if trouble:
        return trouble
    if clock.phase == "starting":
        return f"This computer is too busy: the {job['action']} did not start."
    if clock.phase == "waiting":
        return (
            f"{host} did not answer within {seconds}: check the connection, then "
            "try again."
        )
    if job["action"] == "push":
        return (
            f"{host} took nothing more for {seconds}: push again. If it had all "
            "arrived, that changes nothing."
        )
    return f"{host} sent nothing more for {seconds}: pull again."


def _last_words(errors: IO[bytes], token: str | None) -> str:
    """The last line that a process wrote before it broke down."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    text = lines[-1][:200] if lines else "it was killed"
    text = strip_line(text)
    return text.replace(token, "[token]") if token else text


def _follow(
    job: Mapping[str, Any],
    answers: "queue.SimpleQueue[Any]",
    limits: Limits,
    progress: Progress | None,
) -> dict[str, Any] | None:
    """Hear a transfer out; None if it broke down without a word.

    Raises:
        HubError: If it failed or nothing moved for too long.
    """
    clock, trouble = _Clock(limits), ""
    while True:
        try:
            answer = answers.get(timeout=clock.remaining())
        except queue.Empty:
            raise HubError(_too_slow(clock, job, trouble)) from None
        if answer is None or answer["kind"] == "done":
            return answer  # type: ignore[no-any-return]
        if answer["kind"] == "failed":
            raise HubError(answer["message"])
        if answer["kind"] == "trouble":
            trouble = answer["message"]
        elif answer["kind"] == "ready":
            clock.ready()
        else:
            clock.moved(answer["done"])
            trouble = "" if answer["done"] else trouble
            if progress is not None:
                progress(answer["stage"], answer["done"], answer["total"])


def _transfer(
    job: dict[str, Any], home: Path, limits: Limits, progress: Progress | None
) -> dict[str, Any]:
    """Have the other process do a job, and end it whatever happens.

    Raises:
        HubError: If the transfer failed; one sentence, without the token.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-m", "charrnn.hub_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=runs.PACKAGE_ROOT,
            env=_environment(home),
            start_new_session=True,  # Ctrl-C is for us; we end it
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise HubError("The transfer could not be started: try again.")
        listener = threading.Thread(
            target=_listen, args=(process.stdout, answers), daemon=True
        )
        listener.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            result = _follow(job, answers, limits, progress)
        finally:
            process.kill()
            listener.join()
        if result is None:
            words = _last_words(errors, job["token"])
            raise HubError(f"The {job['action']} broke off ({words}): try again.")
        return result


# --- push ------------------------------------------------------------------


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
    names = (checkpoint.CONFIG, checkpoint.VOCAB, checkpoint.WEIGHTS)
    for _ in range(5):
        files = {name: _read_public(folder, name) for name in names}
        if _read_public(folder, checkpoint.CONFIG) == files[checkpoint.CONFIG]:
            break
    for name, data in files.items():
        (into / name).write_bytes(data)


def push(
    folder: Path,
    repo_id: str,
    *,
    token: str | None,
    private: bool = True,
    license: str | None = None,
    message: str | None = None,
    keep_card: bool = True,
    endpoint: str | None = None,
    progress: Progress | None = None,
    limits: Limits = LIMITS,
) -> Pushed:
    """Commit a model's four public files to the Hub, nothing else.

    The repository is made if there is none. Pushing the same model again
    changes nothing and says so. The call blocks; an exception out of
    ``progress`` ends the transfer.

    Args:
        folder: A complete model.
        repo_id: ``owner/name``.
        token: An access token, or a visitor's login, that may write there.
        private: Whether only the owner may see it. An existing repository
            keeps what it is: a public one is refused then.
        license: One of the Hub's identifiers, see `card.LICENSES`; None keeps
            the one that the card names.
        message: The commit's; None for a plain one.
        keep_card: Whether the card is written into the folder as well. False
            for a folder that is not this person's.
        endpoint: The Hub's address; None for `HF_ENDPOINT` or the public one.
        progress: Called with stage (preparing, connecting, uploading), bytes
            done and bytes in all (0 where unknown).
        limits: How long to wait.

    Raises:
        HubError: If it failed: one sentence that says what to do.
        CheckpointError: If the folder is no model that can be pushed.
    """
    repo, address = _check_repo(repo_id.strip(), repo_id), endpoint_of(endpoint)
    key, chosen = clean_token(token), card.check_license(license)
    if key is None:
        raise HubError(
            "A push needs an access token that may write, from "
            f"{address}/settings/tokens: log in with `hf auth login` or give one."
        )
    if progress is not None:
        progress("preparing", 0, 0)
    with tempfile.TemporaryDirectory(prefix="charrnn-push-") as place:
        files = Path(place, "files")
        files.mkdir()
        _snapshot(folder, files)
        if (folder / checkpoint.CARD).exists():
            _read_public(folder, checkpoint.CARD)
        text = card.write_card(
            files,
            history=folder,
            source=repo,
            license=chosen or card.license_of(folder),
        )
        if keep_card:
            checkpoint.write_file(folder / checkpoint.CARD, text.encode())
        result = _transfer(
            {
                "action": "push",
                "repo": repo,
                "token": key,
                "endpoint": address,
                "folder": str(files),
                "private": private,
                "message": runs.clean_title(message or "") or DEFAULT_MESSAGE,
            },
            Path(place, "home"),
            limits,
            progress,
        )
    return Pushed(
        repo_id=repo,
        commit=result["commit"],
        url=f"{address}/{repo}",
        unchanged=result["unchanged"],
        private=result["private"],
    )


# --- pull ------------------------------------------------------------------


def _known_commits(repo: str, folders: Iterable[Path]) -> dict[str, str]:
    """Commits of a repository that are here already, and under which id."""
    known = {}
    for folder in folders:
        with contextlib.suppress(CheckpointError):  # no model, or a damaged one
            origin = checkpoint.read_record(folder).origin
            if origin is not None and origin.repo == repo:
                checkpoint.load(folder)
                known[origin.revision] = folder.name
    return known


def _look_around(destination: Path, model_id: str | None, repo: str) -> dict[str, str]:
    """What `_known_commits` may tell for this pull.

    With an id asked for only that folder counts: on a hosted page each visitor
    gives one of their own, and nobody learns what another one has pulled.

    Raises:
        HubError: If the id is no id or taken by another model.
    """
    if model_id is None:
        here = sorted(destination.glob("[!.]*"))
        return _known_commits(repo, (path for path in here if path.is_dir()))
    if not runs.ID_PATTERN.fullmatch(model_id):
        raise HubError(
            f"{_shown(model_id)} cannot be an id: expected up to 80 letters, digits, "
            "hyphens and underscores."
        )
    known = _known_commits(repo, [destination / model_id])
    if not known and _is_taken(destination, model_id):
        raise HubError(f"The id {model_id!r} is taken: choose another one.")
    return known


def _is_taken(destination: Path, model_id: str) -> bool:
    return any((p / model_id).exists() for p in (destination, runs.SHIPPED_FOLDER))


def _sweep(destination: Path) -> None:
    """Remove what a pull left that was killed: a visitor's model, it may be."""
    for path in destination.glob(".pull-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE:
                shutil.rmtree(path, ignore_errors=True)


def _check_pulled(folder: Path, origin: Origin) -> None:
    """Validate what came as any stranger's folder, and note where from.

    Raises:
        HubError: If it is no model that charrnn can open.
    """
    try:
        record = checkpoint.load(folder).record
    except CheckpointError as error:
        raise HubError(
            f"{origin.repo} is no model that charrnn can open: {error}"
        ) from error
    checkpoint.save_record(folder, dataclasses.replace(record, origin=origin))


def _place(ready: Path, destination: Path, model_id: str | None, repo: str) -> Path:
    """Let a finished folder appear at once under a free id.

    The name is first taken with an empty folder, which the rename replaces: so
    nothing that somebody else puts there in between is ever lost.

    Raises:
        HubError: If the id is taken.
    """
    wanted = model_id or re.sub(r"[^A-Za-z0-9_-]", "-", repo.split("/")[1])[:70]
    wanted = wanted if runs.ID_PATTERN.fullmatch(wanted) else f"model-{wanted}"
    for number in range(1, 2 if model_id else 10_000):
        name = wanted if number == 1 else f"{wanted}-{number}"
        if not _is_taken(destination, name):
            with contextlib.suppress(FileExistsError):
                (destination / name).mkdir()
                ready.rename(destination / name)
                return destination / name
    raise HubError(f"The id {wanted!r} is taken: choose another one.")


def _merge(first: str | None, second: str | None) -> str | None:
    if first and second and first != second:
        raise HubError(
            f"Two revisions are given, {first} and {second}: leave one of them out."
        )
    return first or second


def pull(
    source: str,
    *,
    destination: Path,
    model_id: str | None = None,
    revision: str | None = None,
    token: str | None,
    endpoint: str | None = None,
    progress: Progress | None = None,
    max_bytes: int = MAX_BYTES,
    limits: Limits = LIMITS,
) -> Pulled:
    """Bring a charrnn model from the Hub into the folder of models.

    Names and sizes are checked before anything is downloaded, checksums and
    contents before the model appears, which it does whole or not at all. No
    cache is kept: the model's folder is the only copy, and it needs the Hub no
    more. The call blocks; an exception out of ``progress`` ends it.

    Args:
        source: See `parse_source`.
        destination: The folder of models.
        model_id: Name for the new folder, with which a page keeps visitors
            apart; None takes a free one after the repository, or finds the same
            commit that was pulled before.
        revision: Branch, tag or commit; None for the default branch.
        token: For what is private; None asks anonymously.
        endpoint: The Hub's address; None for `HF_ENDPOINT` or the public one.
        progress: Called with stage (connecting, downloading), bytes done and
            bytes in all (0 where unknown).
        max_bytes: The largest weights that are taken.
        limits: How long to wait.

    Raises:
        HubError: If it failed: one sentence that says what to do.
        CheckpointError: If the folder cannot be written.
    """
    address, key = endpoint_of(endpoint), clean_token(token)
    repo, in_source = parse_source(source, address)
    wanted = _merge(in_source, _check_revision(revision))
    if model_id is None and is_hosted():
        model_id = runs.hosted_id()  # nobody finds, or is told of, another's model
    known = _look_around(destination, model_id, repo)
    aside = destination / f".pull-{secrets.token_hex(8)}"
    try:
        _sweep(destination)
        (aside / "files").mkdir(parents=True)
        result = _transfer(
            {
                "action": "pull",
                "repo": repo,
                "revision": wanted,
                "token": key,
                "endpoint": address,
                "folder": str((aside / "files").resolve()),
                "known": sorted(known),
                "max_bytes": max_bytes,
            },
            aside.resolve() / "home",
            limits,
            progress,
        )
        commit = result["revision"]
        if result["known"]:
            path = destination / known[commit]
        elif known and model_id is not None:
            raise HubError(
                f"The id {model_id!r} holds another commit of {repo}: choose another."
            )
        else:
            path = _take(aside, Origin(repo=repo, revision=commit), model_id)
    except OSError as error:
        raise CheckpointError(
            f"The folder {destination.name} cannot be written ({error.strerror}): "
            "free some space or choose a writable one."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Pulled(
        model_id=path.name,
        path=path,
        repo=repo,
        revision=commit,
        unchanged=result["known"],
    )


def _take(aside: Path, origin: Origin, model_id: str | None) -> Path:
    """Out of what was downloaded, the public files alone; checked and placed."""
    ready = aside / "model"
    ready.mkdir()
    for name in checkpoint.PUBLIC_FILES:
        file = aside / "files" / name
        if file.is_file() and not file.is_symlink():
            file.replace(ready / name)
    _check_pulled(ready, origin)
    return _place(ready, aside.parent, model_id, origin.repo)
