"""The process that talks to the Hub; `charrnn.hub.transfer` starts and ends it.

The only module that imports huggingface_hub. A process of its own, because only a
process can be ended for certain: the library has calls without a time limit, sleeps
through its retries, and a name look-up cannot be interrupted at all. It starts
without the server's own token, so that nothing can fall back on it, and its caches
are a folder that is removed when the transfer ends.

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
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    httpx,
    set_client_factory,
)

import charrnn
from charrnn.card import SPACE_TAG
from charrnn.errors import CharrnnError, HubError
from charrnn.files import one_line
from charrnn.hub import dataset_files
from charrnn.hub.explain import Failure, Job, Kind, explain, host_of
from charrnn.model import checkpoint, tensors
from charrnn.model.record import CARD, CONFIG, PUBLIC_FILES, VOCAB, WEIGHTS

Emit = Callable[..., None]  # kind and fields of a line for the parent
Report = Callable[[str, int, int], None]  # stage, bytes done, bytes in all
Result = dict[str, Any]
REPORT_SECONDS: Final = 0.1
PIECE: Final = 1 << 16  # bytes
# The system's own buffer hides what is not sent yet; kept small, so that a byte
# counted as sent has left within seconds even on a slow line.
SEND_BUFFER: Final = 131_072
SPACE_FILES: Final = (CARD, "index.html")  # all that a Space of ours holds
RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})


class ProgressReporter:
    """Reports the bytes that moved, a few times a second."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.last = ("", 0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Emit that ``done`` of ``total`` bytes have moved, unless just said."""
        now = time.monotonic()
        known, then = self.last
        if stage == known and now - then < REPORT_SECONDS and done < total:
            return
        self.last = (stage, now)
        self.emit("progress", stage=stage, done=done, total=total)


def _shrink_send_buffer(event: str, info: Mapping[str, Any]) -> None:
    if event == "connection.connect_tcp.complete":
        connection = info["return_value"].get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def _prepare_client(job: Job, emit: Emit) -> None:
    """Give the library's HTTP client our two hooks, and keep its own."""
    hooks = list(get_session().event_hooks["request"])

    def trace(request: Any) -> None:
        request.extensions["trace"] = _shrink_send_buffer

    def watch(response: Any) -> None:
        if response.status_code in RETRIED:
            emit("trouble", message=explain(_of_answer(response, "", job), job))

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
    """A file that reports how far it has been read once it is being sent."""

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


def _check_privacy(job: Job, head: Any) -> None:
    """Refuse what is public where private was chosen."""
    if job["private"] and not head.private:
        raise HubError(
            f"{job['repo']} exists and is public: choose another name, choose public, "
            "or make it private in its settings on the Hub first."
        )


def push(job: Job, report: Report) -> Result:
    """Commit a folder's public files to a repository, made where missing."""
    api, repo = _api(job), job["repo"]
    report("connecting", 0, 0)
    api.create_repo(repo, private=job["private"], exist_ok=True)
    head = api.model_info(repo)
    _check_privacy(job, head)
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


def _check_space(api: HfApi, job: Job, head: Any) -> None:
    """Refuse a Space that is not ours to write: another kind, or another's files."""
    repo = job["repo"]
    if head.sdk != "static":
        raise HubError(
            f"{repo} is a Space that runs {head.sdk}, no static page: choose another "
            "name."
        )
    if len(api.list_repo_commits(repo, repo_type="space")) == 1:
        return  # as the Hub itself makes it: nobody's work is in there
    known = {".gitattributes", *SPACE_FILES}
    others = sorted({f.rfilename for f in head.siblings or ()} - known)
    tags = (*(head.tags or ()), *((head.card_data and head.card_data.tags) or ()))
    if others:
        raise HubError(
            f"{repo} is a Space with other files, like {one_line(others[0])}: choose "
            "another name, so that nothing of it is lost."
        )
    if SPACE_TAG not in tags:
        raise HubError(
            f"{repo} is a Space that charrnn has not made: choose another name, so "
            "that nothing of it is lost."
        )


def push_space(job: Job, report: Report) -> Result:
    """Commit a web page and its README to a static Space, made where missing."""
    api, repo = _api(job), job["repo"]
    report("connecting", 0, 0)
    api.create_repo(
        repo,
        repo_type="space",
        space_sdk="static",
        private=job["private"],
        exist_ok=True,
    )
    head = api.space_info(repo)
    _check_privacy(job, head)
    _check_space(api, job, head)
    folder = Path(job["folder"])
    ours = {".gitattributes", *SPACE_FILES}
    extra = [f.rfilename for f in head.siblings or () if f.rfilename not in ours]
    report("uploading", 1, 1)
    commit = api.create_commit(
        repo,
        [
            *(CommitOperationAdd(name, folder / name) for name in SPACE_FILES),
            *(CommitOperationDelete(name) for name in extra),  # the Hub's own samples
        ],
        repo_type="space",
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


def _check_names(job: Job, files: Mapping[str, Any]) -> None:
    """Refuse what lacks a file, before anything is downloaded."""
    repo = job["repo"]
    needed = (CONFIG, VOCAB, WEIGHTS)
    missing = [name for name in needed if name not in files]
    if missing:
        raise HubError(
            f"{repo} is not a charrnn model: it has no {' and no '.join(missing)}."
        )


def _check_sizes(job: Job, files: Mapping[str, Any]) -> None:
    """Refuse files by their sizes, before they are downloaded."""
    repo, limits = job["repo"], {**checkpoint.MAX_BYTES, WEIGHTS: job["max_bytes"]}
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
    if not least <= weights_size <= least + tensors.MAX_HEADER + 8:
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


def pull(job: Job, report: Report) -> Result:
    """Download a commit's public files into a folder and verify them."""
    api, repo, folder = _api(job), job["repo"], Path(job["folder"])
    report("connecting", 0, 0)
    info = api.model_info(repo, revision=job["revision"], files_metadata=True)
    _checked_commit(job, info.sha)
    if info.sha in job["known"]:
        return {"revision": info.sha, "known": True}
    listed = {file.rfilename: file for file in info.siblings or ()}
    files = {name: listed[name] for name in PUBLIC_FILES if name in listed}
    _check_names(job, files)
    meter: Any = _Meter(sum(file.size or 0 for file in files.values()), report)
    bar: Any = lambda **_: meter  # noqa: E731 - called as a class would be
    order = sorted(files, key=lambda name: (name != CONFIG, name == WEIGHTS, name))
    _check_sizes(job, {name: files[name] for name in (CONFIG, WEIGHTS)})
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
        if name == CONFIG:  # another library's is called so, whatever its sizes
            checkpoint.read_record(folder)
            _check_sizes(job, files)
    return {"revision": info.sha, "known": False}


def _checked_commit(job: Job, sha: str | None) -> str:
    """The commit that an answer names.

    Raises:
        HubError: If it names none.
    """
    if not re.fullmatch("[0-9a-f]{40}", sha or ""):
        raise HubError(f"The Hub names no commit of {job['repo']}: try again later.")
    return str(sha)


def _bytes_of(job: Job, url: str, start: int = 0, end: int = 0) -> Iterator[bytes]:
    """A file's bytes as they arrive, from a place to before ``end``; 0: to the last."""
    headers = build_hf_headers(
        token=job["token"] or False,
        library_name="charrnn",
        library_version=charrnn.__version__,
    )
    headers["Accept-Encoding"] = "identity"  # what is counted is what is stored
    if start or end:
        headers["Range"] = f"bytes={start}-{end - 1 if end else ''}"
    with get_session().stream("GET", url, headers=headers) as response:
        if response.status_code >= 400:
            response.read()  # the error's own words
        hf_raise_for_status(response)
        if end and response.status_code != httpx.codes.PARTIAL_CONTENT:
            raise HubError(f"The Hub sends {job['repo']} whole alone: try again later.")
        yield from response.iter_bytes(PIECE)


class _Remote(io.RawIOBase):
    """A file on the Hub that is read and sought in, by range requests."""

    def __init__(self, job: Job, url: str, size: int, moved: Callable[[], None]):
        super().__init__()
        self.job, self.url, self.size, self.moved = job, url, size, moved
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}
        self.place = begin[whence] + offset
        return self.place

    def readinto(self, buffer: Any, /) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        end = min(self.size, self.place + len(view))
        if end <= self.place:
            return 0
        for piece in _bytes_of(self.job, self.url, self.place, end):
            piece = piece[: len(view) - done]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self.moved()
        self.place += done
        return done


def read(job: Job, report: Report) -> Result:
    """Find the text of a dataset and, unless only that is asked, read it."""
    api, repo = _api(job), job["repo"]
    report("connecting", 0, 0)
    info = api.dataset_info(repo, revision=job["revision"], files_metadata=True)
    sha = _checked_commit(job, info.sha)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = dataset_files.choose(sizes, job["path"], repo)
    dataset_files.check_parquet(names)
    total = sum(sizes[name] for name in names)
    found: Result = {"revision": sha, "files": names, "size": total}
    if job["look"]:
        return found
    expected = min(total, job["first_bytes"] or total)
    taken = dataset_files.Taken(
        Path(job["folder"]),
        max_bytes=job["max_bytes"],
        first_bytes=job["first_bytes"],
        repo=repo,
        moved=lambda done: report("downloading", done, max(done, expected)),
    )
    for name in names:
        if taken.is_full:
            taken.is_cut = True
            break
        url = huggingface_hub.hf_hub_url(
            repo, name, repo_type="dataset", revision=sha, endpoint=job["endpoint"]
        )
        taken.take(_pieces(job, name, url, sizes[name], taken))
    return {**found, "is_cut": taken.is_cut, "done": taken.done}


def _pieces(
    job: Job, name: str, url: str, size: int, taken: dataset_files.Taken
) -> Iterator[bytes]:
    """What of a dataset's file is text."""
    if not name.endswith(dataset_files.PARQUET):
        return _whole(job, name, url, size)
    read = 0

    def moved() -> None:  # a long row group, too, is no standstill
        nonlocal read
        read += 1
        taken.moved(taken.done + read)

    rows = dataset_files.rows_of(_Remote(job, url, size, moved), name)
    return dataset_files.between(rows, job["separator"])


def _whole(job: Job, name: str, url: str, size: int) -> Iterator[bytes]:
    """A file's bytes, which end where they shall."""
    done = 0
    for piece in _bytes_of(job, url):
        done += len(piece)
        yield piece
    if done != size:
        raise HubError(
            f"{one_line(name)} of {job['repo']} arrived incomplete: read it again."
        )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, what caused that: at most ten."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        hidden = found.__suppress_context__
        found = found.__cause__ or (None if hidden else found.__context__)


def _of_answer(response: Any, detail: str, job: Job) -> Failure:
    """What an answer of 400 or more means."""
    answered = urlsplit(str(response.request.url)).netloc
    return Failure(
        kind=Kind.STATUS,
        status=response.status_code,
        detail=detail,
        storage=answered != host_of(job),
    )


def _of_response(error: errors.HfHubHTTPError, job: Job) -> Failure:
    """What an error with an answer means."""
    kinds: dict[type[Exception], Kind] = {  # the more special one first
        errors.GatedRepoError: Kind.GATED,
        errors.DisabledRepoError: Kind.DISABLED,
        errors.RepositoryNotFoundError: Kind.NO_REPOSITORY,
        errors.RevisionNotFoundError: Kind.NO_REVISION,
        errors.RemoteEntryNotFoundError: Kind.NO_FILE,
    }
    for kind, found in kinds.items():
        if isinstance(error, kind):
            return Failure(kind=found)
    return _of_answer(error.response, one_line(error.server_message or ""), job)


def _kind_of(error: BaseException) -> Kind | None:
    """What an error without an answer means; None if that is not known."""
    by_type: tuple[tuple[type[BaseException], Kind], ...] = (  # the special ones first
        (errors.OfflineModeIsEnabled, Kind.OFFLINE),
        (httpx.TimeoutException, Kind.TIMEOUT),
        (httpx.ConnectError, Kind.UNREACHABLE),
        (httpx.TransportError, Kind.BROKEN_OFF),
        (json.JSONDecodeError, Kind.NOT_THE_HUB),
        (errors.HFValidationError, Kind.BAD_NAME),
    )
    by_words = (  # told apart by their words alone
        (ValueError, "metadata", Kind.BAD_CARD),
        (ValueError, "LFS", Kind.UPLOAD_REFUSED),
        (OSError, "Consistency check", Kind.INCOMPLETE),
    )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Kind.DISK_FULL
    for owner, kind in by_type:
        if isinstance(error, owner):
            return kind
    for owner, word, kind in by_words:
        if isinstance(error, owner) and word in str(error):
            return kind
    return None


def sentence_of(error: BaseException, job: Job) -> str:
    """One sentence that says what went wrong and what to do.

    The outermost error that is understood decides: the library wraps the
    answer of a storage, for one, in errors that say less.
    """
    for found in _chain(error):
        if isinstance(found, CharrnnError):
            return str(found)
        if isinstance(found, errors.HfHubHTTPError):
            return explain(_of_response(found, job), job)
        kind = _kind_of(found)
        if kind is not None:
            return explain(Failure(kind=kind, detail=one_line(str(found))), job)
    *_, root = _chain(error)
    detail = f"{type(root).__name__}: {one_line(str(root))}"
    return explain(Failure(kind=Kind.UNKNOWN, detail=detail), job)


def local_token() -> str | None:
    """The token that huggingface_hub itself would use."""
    return huggingface_hub.get_token()


def _end_with_parent() -> None:
    """Wait until stdin closes; nobody is there to hear the answer then."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _emitter(output: IO[str], token: str | None) -> Emit:
    """Writes a JSON line at a time, from any thread, never with the token in it."""
    lock = threading.Lock()

    def emit(kind: str, **fields: object) -> None:
        line = json.dumps({"kind": kind, **fields})
        if token:
            line = line.replace(token, "[token]")
        with lock:
            output.write(line + "\n")
            output.flush()

    return emit


def run(job: Job, emit: Emit) -> int:
    """Do a job and emit how it went; returns the exit status."""
    _prepare_client(job, emit)
    kind = "space" if job.get("space") else job["action"]
    actions = {"push": push, "pull": pull, "space": push_space, "read": read}
    action = actions[kind]
    emit("ready")
    try:
        result = action(job, ProgressReporter(emit))
    except (CharrnnError, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        emit("failed", message=sentence_of(error, job))
        return 1
    emit("done", **result)
    return 0


def main() -> int:
    """Read a job from stdin and do it."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not mix with the answers
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return run(job, _emitter(output, job["token"]))


if __name__ == "__main__":
    sys.exit(main())
