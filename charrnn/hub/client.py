"""What talks to the Hub: a process of its own that `charrnn.hub` starts.

The only file that imports huggingface_hub. A process, because that is what can
be ended for certain: the library has calls without a time limit, sleeps through
its retries, and a name look-up cannot be interrupted at all. It also starts
without the server's own token, so that nothing can fall back on it, and its
caches are a folder that goes when the transfer ends.

    stdin   one line: the job as JSON, the token in it; then open as long as
            the parent lives, and this process ends when it closes
    stdout  a JSON object a line: `ready`, `progress`, `trouble` (an answer that
            the library will try again after), `done` or `failed`

Uploads and downloads take the Git LFS way, which the Hub keeps open for every
client (https://huggingface.co/docs/hub/xet/legacy-git-lfs): unlike Xet's it can
be tested against a server of our own, and it tells of every byte that moves.
"""

import errno
import hashlib
import io
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import huggingface_hub
from huggingface_hub import CommitOperationAdd, HfApi, errors
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    get_session,
    httpx,
    set_client_factory,
)

import charrnn
from charrnn.errors import CharrnnError, HubError
from charrnn.files import one_line, quoted
from charrnn.hosting import policy
from charrnn.model import checkpoint
from charrnn.model.record import CONFIG, PUBLIC_FILES, VOCAB, WEIGHTS

Job = dict[str, Any]
Say = Callable[..., None]
Report = Callable[[str, int, int], None]
REPORT_SECONDS: Final = 0.1
# The system's own buffer hides what is not sent yet; kept small, so that a byte
# counted as sent has left within seconds even on a slow line.
SEND_BUFFER: Final = 131_072
RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})


class Progress:
    """Tells of bytes that moved, a few times a second."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.last = ("", 0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` bytes have moved, unless just said."""
        now = time.monotonic()
        known, then = self.last
        if stage == known and now - then < REPORT_SECONDS and done < total:
            return
        self.last = (stage, now)
        self.say("progress", stage=stage, done=done, total=total)


def _shrink_send_buffer(event: str, info: Mapping[str, Any]) -> None:
    if event == "connection.connect_tcp.complete":
        connection = info["return_value"].get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def _prepare_client(job: Job, say: Say) -> None:
    """Give the library's HTTP client our two hooks, and keep its own."""
    hooks = list(get_session().event_hooks["request"])

    def trace(request: Any) -> None:
        request.extensions["trace"] = _shrink_send_buffer

    def watch(response: Any) -> None:
        if response.status_code in RETRIED:
            say("trouble", message=_about_answer(response, "", job))

    def client() -> Any:
        return httpx.Client(
            event_hooks={"request": [*hooks, trace], "response": [watch]},
            follow_redirects=True,
            timeout=None,  # the parent's clock decides
        )

    set_client_factory(client)


def _api(job: Job) -> HfApi:
    return HfApi(
        endpoint=job["endpoint"],
        token=job["token"] or False,  # None would mean: look for one
        library_name="charrnn",
        library_version=charrnn.__version__,
    )


class _Upload(io.BufferedReader):
    """A file that tells how far it has been read once it is being sent."""

    def __init__(self, path: Path, report: Report) -> None:
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size
        self.report = report
        self.sending = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.sending and data:
            self.report("uploading", self.tell(), self.size)
        return data


def push(job: Job, report: Report) -> Job:
    """Commit a folder's public files to a repository, made where missing."""
    api, repo = _api(job), job["repo"]
    report("connecting", 0, 0)
    api.create_repo(repo, private=job["private"], exist_ok=True)
    head = api.model_info(repo)
    if job["private"] and not head.private:
        raise HubError(
            f"{repo} exists and is public: choose another name, choose public, or "
            "make it private in its settings on the Hub first."
        )
    folder = Path(job["folder"])
    with _Upload(folder / WEIGHTS, report) as weights:
        operations = [
            CommitOperationAdd(name, weights if name == WEIGHTS else folder / name)
            for name in PUBLIC_FILES
        ]
        weights.sending = True
        commit = api.create_commit(
            repo,
            operations,
            commit_message=job["message"],
            parent_commit=head.sha,
        )
    return {
        "commit": commit.oid,
        "unchanged": commit.oid == head.sha,
        "private": bool(head.private),
    }


class _Meter:
    """Stands in for the library's progress bar; counts over all files."""

    def __init__(self, total: int, report: Report) -> None:
        self.done = 0
        self.total = total
        self.report = report

    def __enter__(self) -> "_Meter":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: float | None = 1) -> None:
        self.done += int(count or 0)
        if self.done > self.total:
            raise HubError("The Hub sends more than the files' size: pull again.")
        self.report("downloading", self.done, self.total)


def _check_listing(job: Job, files: Mapping[str, Any]) -> None:
    """Refuse by names and sizes, before anything is downloaded."""
    repo = job["repo"]
    needed = (CONFIG, VOCAB, WEIGHTS)
    missing = [name for name in needed if name not in files]
    if missing:
        raise HubError(
            f"{repo} is not a charrnn model: it has no {' and no '.join(missing)}."
        )
    limits = {**checkpoint.MAX_BYTES, WEIGHTS: job["max_bytes"]}
    for name, file in files.items():
        if not isinstance(file.size, int) or not 0 <= file.size <= limits[name]:
            raise HubError(
                f"{name} of {repo} has {file.size} bytes: at most {limits[name]:,} "
                "are taken here."
            )


def _check_config(job: Job, folder: Path, weights_size: int) -> None:
    """Refuse by the configuration, before the weights are downloaded."""
    record = checkpoint.read_record(folder)
    least = 4 * record.model.num_parameters()
    if not least <= weights_size <= least + checkpoint.MAX_HEADER + 8:
        raise HubError(
            f"{WEIGHTS} of {job['repo']} has {weights_size:,} bytes, its "
            f"configuration implies {least:,} and a header: it is damaged."
        )


def _verify(job: Job, path: Path, file: Any) -> None:
    """Compare a file with the checksum that the commit names."""
    data = path.read_bytes()
    if file.lfs is not None:
        found, expected = hashlib.sha256(data).hexdigest(), file.lfs.sha256
    else:  # as Git names a blob
        blob = b"blob %d\0" % len(data) + data
        found = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
        expected = file.blob_id
    if found != expected:
        raise HubError(
            f"{path.name} of {job['repo']} was damaged on its way (its checksum "
            "differs): pull again."
        )


def pull(job: Job, report: Report) -> Job:
    """Download a commit's public files into a folder and verify them."""
    api, repo, folder = _api(job), job["repo"], Path(job["folder"])
    report("connecting", 0, 0)
    info = api.model_info(repo, revision=job["revision"], files_metadata=True)
    if not re.fullmatch("[0-9a-f]{40}", info.sha or ""):
        raise HubError(f"The Hub names no commit of {repo}: try again later.")
    if info.sha in job["known"]:
        return {"revision": info.sha, "known": True}
    listed = {file.rfilename: file for file in info.siblings or ()}
    files = {name: listed[name] for name in PUBLIC_FILES if name in listed}
    _check_listing(job, files)
    meter: Any = _Meter(sum(file.size or 0 for file in files.values()), report)
    bar: Any = lambda **_: meter  # noqa: E731 - called as a class would be
    order = sorted(files, key=lambda name: (name == WEIGHTS, name))
    for name in order:
        if name == WEIGHTS:
            _check_config(job, folder, files[name].size or 0)
        api.hf_hub_download(
            repo,
            name,
            revision=info.sha,
            local_dir=folder,
            tqdm_class=bar,
        )
        _verify(job, folder / name, files[name])
    return {"revision": info.sha, "known": False}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, what caused that: at most ten."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        hidden = found.__suppress_context__
        found = found.__cause__ or (None if hidden else found.__context__)


def _host(job: Job) -> str:
    return urlsplit(job["endpoint"]).netloc


def _not_found(job: Job) -> str:
    if job["action"] == "push":
        return (
            f"The Hub finds no {job['repo']} that this token may write to: check the "
            "owner's name and the token's permissions."
        )
    text = f"There is no model {job['repo']} on {_host(job)} that you may read: check "
    if not job["token"]:
        return text + "the name; for a private one give an access token or log in."
    if not policy().owner_token:
        return text + (
            "the name; this page's login opens only those private ones that were "
            "made here."
        )
    return text + "the name and what your access token may read."


def _about_token(job: Job) -> str:
    if not job["token"]:
        return _not_found(job)
    return (
        "The Hub does not accept this access token: it is mistyped, expired or "
        f"revoked. Make a new one at {job['endpoint']}/settings/tokens or log in again."
    )


def _about_status(status: int, detail: str, storage: bool, job: Job) -> str:
    """A sentence for an HTTP status.

    Args:
        status: 400 or more.
        detail: The server's own words, empty if none.
        storage: Whether not the Hub but the storage behind it answered.
        job: What was asked for.
    """
    reason = f" ({detail})" if detail else ""
    repo = job["repo"]
    if storage:
        return (
            f"The Hub's file storage answered HTTP {status}{reason}: "
            f"{job['action']} again."
        )
    sentences = {
        401: _about_token(job),
        403: f"This access token may not {job['action']} {repo}{reason}: use one with "
        "the permission, and an owner's name that is yours."
        + (
            " A login here opens only what was made here."
            if not policy().owner_token
            else ""
        ),
        404: _not_found(job),
        409: f"The Hub says that {repo} conflicts with what is there{reason}: choose "
        "another name.",
        412: f"{repo} was changed by someone else meanwhile: look at it, then push "
        "again.",
        413: f"The Hub finds the files too large{reason}.",
        429: f"The Hub limits how often it may be asked{reason}: wait a few minutes, "
        "then try again.",
    }
    if status >= 500:
        return (
            f"{_host(job)} has a problem of its own (HTTP {status}): try again in a "
            "few minutes."
        )
    return sentences.get(status, f"The Hub refused (HTTP {status}){reason}.")


def _line(text: object) -> str:
    """A server's words: one line of at most 200 characters."""
    return one_line(str(text or ""))


def _about_answer(response: Any, detail: str, job: Job) -> str:
    answered = urlsplit(str(response.request.url)).netloc
    return _about_status(response.status_code, detail, answered != _host(job), job)


def _no_revision(repo: str, revision: str) -> str:
    sentence = f"{repo} has no revision {quoted(revision)}: expected a branch, a tag or"
    if re.fullmatch("[0-9a-fA-F]{4,39}", revision):
        return (
            f"{sentence} a commit with all 40 digits. This one has {len(revision)}: "
            "copy the whole of it from the repository's list of commits."
        )
    return f"{sentence} a commit."


def _about_response(error: errors.HfHubHTTPError, job: Job) -> str:
    repo = job["repo"]
    by_type: dict[type[Exception], str] = {  # the more special one first
        errors.GatedRepoError: f"{repo} is gated: open its page on the Hub, accept its "
        "conditions, then pull with your own access token.",
        errors.DisabledRepoError: f"The Hub has disabled {repo}: it cannot be used.",
        errors.RepositoryNotFoundError: _not_found(job),
        errors.RevisionNotFoundError: _no_revision(repo, str(job.get("revision"))),
        errors.RemoteEntryNotFoundError: f"A file of {repo} is gone: pull again.",
    }
    for kind, sentence in by_type.items():
        if isinstance(error, kind):
            return sentence
    return _about_answer(error.response, _line(error.server_message), job)


def _about_connection(error: BaseException, job: Job) -> str | None:
    host = _host(job)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return (
            "huggingface_hub is set to work offline: unset HF_HUB_OFFLINE, then try "
            "again."
        )
    if isinstance(error, httpx.TimeoutException):
        return f"{host} did not answer in time: check the connection, then try again."
    if isinstance(error, httpx.ConnectError):
        return f"{host} cannot be reached: check the connection, then try again."
    if isinstance(error, httpx.TransportError):
        return f"The connection to {host} broke off: try again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full: free some space, then try again."
    return None


def _about_value(error: BaseException, job: Job) -> str | None:
    if isinstance(error, json.JSONDecodeError):
        return (
            f"{_host(job)} does not answer like the Hub: check HF_ENDPOINT, and "
            "whether a proxy or a login page stands between."
        )
    if isinstance(error, errors.HFValidationError):
        return f"{job['repo']} is no name for a repository: expected owner/name."
    if isinstance(error, ValueError) and "metadata" in str(error):
        return (
            f"The Hub does not take the card ({_line(error)}): choose another licence."
        )
    if isinstance(error, ValueError) and "LFS" in str(error):
        return f"The Hub's file storage refused a file ({_line(error)}): push again."
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return f"A file of {job['repo']} arrived incomplete: pull again."
    return None


def explain(error: BaseException, job: Job) -> str:
    """One sentence that says what went wrong and what to do.

    The outermost error that is understood decides: the library wraps the
    answer of a storage, for one, in errors that say less.
    """
    for found in _chain(error):
        if isinstance(found, CharrnnError):
            return str(found)
        if isinstance(found, errors.HfHubHTTPError):
            return _about_response(found, job)
        sentence = _about_connection(found, job) or _about_value(found, job)
        if sentence:
            return sentence
    *_, root = _chain(error)
    kind = type(root).__name__
    return f"The {job['action']} failed ({kind}: {_line(root)}): try again."


def local_token() -> str | None:
    """The token that huggingface_hub itself would use."""
    return huggingface_hub.get_token()


def _end_with_parent() -> None:
    """Wait until stdin closes; nobody is there to hear the answer then."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _speaker(output: IO[str], token: str | None) -> Say:
    """Writes a JSON line at a time, from any thread, never with the token in it."""
    lock = threading.Lock()

    def say(kind: str, **fields: object) -> None:
        line = json.dumps({"kind": kind, **fields})
        if token:
            line = line.replace(token, "[token]")
        with lock:
            output.write(line + "\n")
            output.flush()

    return say


def run(job: Job, say: Say) -> int:
    """Do a job and say how it went; the exit status."""
    _prepare_client(job, say)
    action = {"push": push, "pull": pull}[job["action"]]
    say("ready")
    try:
        result = action(job, Progress(say))
    except (CharrnnError, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        say("failed", message=explain(error, job))
        return 1
    say("done", **result)
    return 0


def main() -> int:
    """Read a job from stdin and do it."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not mix with the answers
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return run(job, _speaker(output, job["token"]))


if __name__ == "__main__":
    sys.exit(main())
