"""A stand-in for the Hugging Face Hub on this machine, for the real client.

In memory, on a free port of 127.0.0.1; its file storage answers as `localhost`,
which is another origin, so that a token sent along to it would be seen. Every
request is logged, and any of them can be made to fail.

    with Hub() as hub:
        hub.add_user("alice", token="hf_alice")
        hub.fail("POST", "/commit/", status=412)
        HfApi(endpoint=hub.url, token="hf_alice").create_repo("alice/model")

What it is not: Xet's transfers, the live site's wording and rate limits.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class User:
    name: str
    role: str  # read or write


@dataclass
class Commit:
    sha: str
    message: str
    parent: str | None
    files: dict[str, bytes]


@dataclass
class Repository:
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    sdk: str | None = None  # of a Space
    error: tuple[int, dict[str, str], str] | None = None  # gated, disabled, ...

    def commit(
        self, files: dict[str, bytes | None], message: str, ref: str = "main"
    ) -> str:
        parent = self.refs.get(ref)
        kept = dict(self.commits[parent].files) if parent else {}
        kept.update({k: data for k, data in files.items() if data is not None})
        for name in (name for name, data in files.items() if data is None):
            del kept[name]
        named = {name: sha256(data) for name, data in kept.items()}
        text = json.dumps([parent, message, named, len(self.commits)])
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = Commit(sha, message, parent, kept)
        self.refs[ref] = sha
        return sha

    def find(self, revision: str) -> Commit | None:
        return self.commits.get(self.refs.get(revision, revision))

    @property
    def head(self) -> Commit:
        return self.commits[self.refs["main"]]


@dataclass
class Request:
    method: str
    host: str
    path: str
    authorization: str | None
    body: bytes


@dataclass
class Fault:
    """What happens instead of an answer, to requests that match."""

    method: str
    pattern: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": "injected"}'
    hang: bool = False  # accept, read nothing more, never answer
    cut_after: int | None = None  # bytes of the true answer that are sent
    corrupt: bool = False  # the true answer with its last byte changed
    slow: float = 0.0  # seconds between two pieces of the request's body
    times: int = -1  # how often; -1 always

    @property
    def alters(self) -> bool:
        return self.cut_after is not None or self.corrupt or bool(self.slow)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha1(data: bytes) -> str:
    blob = b"blob %d\0" % len(data) + data
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def is_lfs(name: str) -> bool:
    return name.endswith((".safetensors", ".parquet"))


def tags_of(commit: Commit) -> list[str]:
    """The tags in the front matter of the README."""
    readme = commit.files.get("README.md", b"").decode()
    front = readme.split("---\n")[1] if readme.startswith("---\n") else ""
    found = re.search(r"^tags:\n((?:- .*\n)+)", front, re.M)
    return re.findall(r"^- (.*)$", found[1], re.M) if found else []


def describe(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"size": len(data), "blobId": git_sha1(data)}
    if is_lfs(name):
        entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
    return {"rfilename": name, **entry}


class RefusalError(Exception):
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


class Hub:
    """The server; start and stop it with ``with``."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.storage: dict[str, bytes] = {}
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self.bare_401 = False
        self.closing = threading.Event()
        self.lock = threading.RLock()

    def __enter__(self) -> "Hub":
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        # Small, so that bytes wait at the sender and not unread in our system.
        self.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_url(self) -> str:
        return f"http://localhost:{self.port}/storage"

    def add_user(self, name: str, *, token: str, role: str = "write") -> None:
        self.users[token] = User(name, role)

    def add_repository(
        self, name: str, files: dict[str, bytes], *, private: bool = False
    ) -> Repository:
        repository = Repository(private)
        repository.commit({".gitattributes": b""}, "initial commit")
        if files:
            repository.commit(files, "files")
        self.repositories[name] = repository
        return repository

    def fail(self, method: str, pattern: str, **settings: Any) -> Fault:
        fault = Fault(method, pattern, **settings)
        self.faults.append(fault)
        return fault

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                matches = fault.method == method and re.search(fault.pattern, path)
                if matches and fault.times:
                    fault.times -= 1
                    return fault
        return None

    def requests(self, method: str = "", pattern: str = "") -> list[Request]:
        return [
            request
            for request in self.log
            if request.method.startswith(method) and re.search(pattern, request.path)
        ]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests; routes are tried in order."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    # --- reading and writing -----------------------------------------------

    def handle_any(self) -> None:
        split = urlsplit(self.path)
        self.fault = self.hub.take_fault(self.command, split.path)
        if self.fault and self.fault.hang:
            self.note(b"")
            self.hub.closing.wait(60)
            self.close_connection = True
            return
        self.note(self.read_body())
        if self.fault and not self.fault.alters:
            self.answer(self.fault.status, self.fault.body, self.fault.headers)
            return
        try:
            self.route(split.path)
        except RefusalError as refusal:
            body = json.dumps({"error": str(refusal)}).encode()
            headers = {"X-Error-Message": str(refusal), **refusal.headers}
            self.answer(refusal.status, body, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

    def note(self, body: bytes) -> None:
        self.body = body
        self.hub.log.append(
            Request(
                self.command,
                self.headers.get("Host", ""),
                self.path,
                self.headers.get("Authorization"),
                body,
            )
        )

    def read_body(self) -> bytes:
        left = int(self.headers.get("Content-Length") or 0)
        pause = self.fault.slow if self.fault else 0.0
        pieces = []
        while left:
            piece = self.rfile.read(min(left, 65_536))
            if not piece:
                break
            left -= len(piece)
            pieces.append(piece)
            time.sleep(pause)
        return b"".join(pieces)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self.fault and self.fault.corrupt:
            body = body[:-1] + bytes([body[-1] ^ 1])
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if self.fault and self.fault.cut_after is not None:
                self.wfile.write(body[: self.fault.cut_after])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.wfile.write(body)

    def json(self, content: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.answer(status, body, {"Content-Type": "application/json", **headers})

    def sent(self) -> Any:
        return json.loads(self.body)

    # --- who may do what ---------------------------------------------------

    def user(self) -> User | None:
        header = self.headers.get("Authorization")
        if header is None:
            return None
        found = self.hub.users.get(header.removeprefix("Bearer "))
        if found is None:
            raise RefusalError(401, "Invalid credentials in Authorization header")
        return found

    def repository(self, name: str, *, write: bool = False) -> Repository:
        user, found = self.user(), self.hub.repositories.get(name)
        owner = name.removeprefix("spaces/").removeprefix("datasets/").split("/")[0]
        if found is None or (found.private and (user is None or user.name != owner)):
            if user is not None:
                raise RefusalError(
                    404, "Repository not found", X_Error_Code="RepoNotFound"
                )
            if self.hub.bare_401:
                raise RefusalError(401, "Invalid username or password.")
            raise RefusalError(401, "Repository not found", X_Error_Code="RepoNotFound")
        if found.error is not None:
            status, headers, message = found.error
            refusal = RefusalError(status, message)
            refusal.headers = headers
            raise refusal
        if write:
            self.check_write(owner)
        return found

    def check_write(self, owner: str) -> None:
        user = self.user()
        if user is None:
            raise RefusalError(401, "Invalid username or password.")
        if user.role != "write" or user.name != owner:
            raise RefusalError(403, f"You have no rights to write to {owner}")

    def revision(self, repository: Repository, name: str) -> Commit:
        commit = repository.find(unquote(name))
        if commit is None:
            raise RefusalError(
                404, "Invalid rev id: " + name, X_Error_Code="RevisionNotFound"
            )
        return commit

    # --- routes ------------------------------------------------------------

    def route(self, path: str) -> None:
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method:
                with self.hub.lock:
                    action(self, *match.groups())
                return
        raise RefusalError(404, f"No such page: {self.command} {path}")

    def whoami(self) -> None:
        user = self.user()
        if user is None:
            raise RefusalError(401, "Invalid username or password.")
        access = {"accessToken": {"role": user.role}}
        self.json({"type": "user", "name": user.name, "orgs": [], "auth": access})

    def create(self) -> None:
        sent = self.sent()
        user = self.user()
        owner = sent.get("organization") or (user.name if user else "")
        kind = "spaces/" if sent.get("type") == "space" else ""
        name = f"{kind}{owner}/{sent['name']}"
        self.check_write(owner)
        url = f"{self.hub.url}/{name}"
        if name in self.hub.repositories:
            self.json({"error": "You already created this model repo", "url": url}, 409)
            return
        private = sent.get("visibility") == "private"
        repository = self.hub.add_repository(name, {}, private=private)
        repository.sdk = sent.get("sdk")
        if kind:  # what the Hub itself puts into a static Space
            files = {"README.md": b"---\nsdk: static\n---\n", "style.css": b"p {}"}
            repository.head.files.update({**files, "index.html": b"<p>Welcome"})
        self.json({"url": url})

    def validate(self) -> None:
        _, front, _ = self.sent()["content"].split("---\n", 2)
        if "license: bad" in front:
            errors = [{"message": '"license" must be one of [mit, ...]'}]
            self.json({"errors": errors, "warnings": []}, 400)
        else:
            self.json({"errors": [], "warnings": []})

    def info(self, name: str, revision: str | None = None) -> None:
        repository = self.repository(name)
        commit = self.revision(repository, revision or "main")
        self.json(
            {
                "id": name,
                "modelId": name,
                "sha": commit.sha,
                "private": repository.private,
                "tags": tags_of(commit),
                "sdk": repository.sdk,
                "siblings": [describe(n, d) for n, d in commit.files.items()],
            }
        )

    def preupload(self, name: str, revision: str) -> None:
        commit = self.revision(self.repository(name, write=True), revision)
        answers = []
        for file in self.sent()["files"]:
            data, lfs = commit.files.get(file["path"]), is_lfs(file["path"])
            digest = sha256 if lfs else git_sha1
            answers.append(
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if lfs else "regular",
                    "shouldIgnore": False,
                    "oid": None if data is None else digest(data),
                }
            )
        self.json({"files": answers})

    def batch(self, name: str) -> None:
        self.repository(name, write=True)
        objects = []
        for item in self.sent()["objects"]:
            answer = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.storage:
                answer["actions"] = {
                    "upload": {"href": f"{self.hub.storage_url}/{item['oid']}?sign=1"},
                    "verify": {"href": f"{self.hub.url}/verify"},
                }
            objects.append(answer)
        self.json({"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if sha256(self.body) != oid:
            raise RefusalError(400, "The checksum differs")
        self.hub.storage[oid] = self.body
        self.json({})

    def verify(self) -> None:
        if len(self.hub.storage.get(self.sent()["oid"], b"")) != self.sent()["size"]:
            raise RefusalError(404, "No such object")
        self.json({})

    def commit(self, name: str, revision: str) -> None:
        repository = self.repository(name, write=True)
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        parent = header.get("parentCommit")
        if parent is not None and parent != repository.refs[unquote(revision)]:
            raise RefusalError(412, "A commit has happened since. Please refresh.")
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.storage[value["oid"]]
            elif line["key"] == "deletedFile":
                files[value["path"]] = None
            elif line["key"] != "header":
                raise RefusalError(400, f"Unexpected {line['key']}")
        sha = repository.commit(files, header["summary"])
        url = f"{self.hub.url}/{name}/commit/{sha}"
        self.json({"success": True, "commitOid": sha, "commitUrl": url})

    def resolve(self, name: str, revision: str, path: str) -> None:
        commit = self.revision(self.repository(name), revision)
        data = commit.files.get(unquote(path))
        if data is None:
            raise RefusalError(404, "Entry not found", X_Error_Code="EntryNotFound")
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{git_sha1(data)}"'}
        if not is_lfs(path):
            self.send_data(data, headers)
            return
        oid = sha256(data)
        self.hub.storage[oid] = data
        headers |= {
            "X-Linked-Etag": f'"{oid}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.hub.storage_url}/{oid}?sign=1",
        }
        self.answer(302, b"", headers)

    def fetch(self, oid: str) -> None:
        self.send_data(self.hub.storage[oid], {"ETag": f'"{oid}"'})

    def send_data(self, data: bytes, headers: dict[str, str]) -> None:
        headers = {"Accept-Ranges": "bytes", **headers}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if self.command == "HEAD":
            self.answer(200, b"", {"Content-Length": str(len(data)), **headers})
        elif asked is None:
            self.answer(200, data, headers)
        else:
            start, last = int(asked[1]), int(asked[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
            self.answer(206, data[start : last + 1], headers)

    def commits(self, name: str, revision: str) -> None:
        repository = self.repository(name)
        self.revision(repository, revision)
        about = {"authors": [], "date": "2024-01-01T00:00:00.000Z", "message": ""}
        self.json(
            [
                {"id": sha, "title": commit.message, **about}
                for sha, commit in repository.commits.items()
            ]
        )

    def tree(self, name: str, revision: str) -> None:
        commit = self.revision(self.repository(name), revision)
        entries = []
        for path, data in commit.files.items():
            about = describe(path, data)
            entry = {"type": "file", "path": path, "size": len(data)}
            entry["oid"] = about["blobId"]
            if "lfs" in about:
                entry["lfs"] = {
                    "oid": about["lfs"]["sha256"],
                    "size": len(data),
                    "pointerSize": 134,
                }
            entries.append(entry)
        self.json(entries)


_NAME, _ANY = r"((?:spaces/|datasets/)?[^/]+/[^/]+)", r"([^/]+)"
_API = r"/api/(?:models/)?" + _NAME  # spaces keep their prefix as part of the name
ROUTES: list[tuple[tuple[str, ...], str, Callable[..., None]]] = [
    (("GET",), r"/api/whoami-v2", Handler.whoami),
    (("POST",), r"/api/repos/create", Handler.create),
    (("POST",), r"/api/validate-yaml", Handler.validate),
    (("GET",), rf"{_API}", Handler.info),
    (("GET",), rf"{_API}/revision/{_ANY}", Handler.info),
    (("GET",), rf"{_API}/commits/{_ANY}", Handler.commits),
    (("GET",), rf"{_API}/tree/{_ANY}", Handler.tree),
    (("POST",), rf"{_API}/preupload/{_ANY}", Handler.preupload),
    (("POST",), rf"{_API}/commit/{_ANY}", Handler.commit),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (("POST",), r"/verify", Handler.verify),
    (("PUT",), r"/storage/([0-9a-f]{64})", Handler.store),
    (("GET", "HEAD"), r"/storage/([0-9a-f]{64})", Handler.fetch),
    (("GET", "HEAD"), rf"/{_NAME}/resolve/{_ANY}/(.+)", Handler.resolve),
]
