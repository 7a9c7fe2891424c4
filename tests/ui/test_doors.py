"""What passes the page's doors and what does not, tried on real servers."""

import asyncio
import http.server
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from charrnn.errors import CorpusError
from charrnn.text import sources
from charrnn.ui import corpus_form, doors
from charrnn.ui.doors import Rules
from charrnn.ui.next_character import PER_SECOND
from charrnn.ui.visitors import COOKIE
from tests.builders import Served, make_folder, make_record

ROOT = Path(__file__).parent.parent.parent
EVIL = "https://evil.example"
SPACE_HOST = "alice-page.hf.space"
MEGABYTE = 1_000_000
TEXT_LIMIT = MEGABYTE // 2  # of both pages
ENDLESS = 30 * MEGABYTE  # where the endless body ends after all
CROSS = {"sec-fetch-site": "cross-site"}
NAVIGATION = {**CROSS, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

# a name that resolves to a public address is stood in for by this computer's
APP = """
import runpy, safehttpx
async def any_address(host):
    return "127.0.0.1"
safehttpx.async_validate_url = any_address
runpy.run_path("app.py", run_name="__main__")
"""


class Elsewhere(http.server.ThreadingHTTPServer):
    """Another computer: HTML called a picture, an endless file, a sign-in."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.hits: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://elsewhere.example:{self.server_port}"

    @property
    def provider(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/oauth"


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        if self.path.startswith("/oauth/"):
            base = self.server.provider
            self._json({"authorization_endpoint": f"{base}/authorize"}, base)
            return
        self.server.hits.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        sent = 0
        while "endless" in self.path and sent < ENDLESS:
            sent += self.wfile.write(b"x" * 65536)
        self.wfile.write(b"<script>alert(1)</script>")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._json({"access_token": "hf_visitor", "token_type": "bearer"}, "")

    def _json(self, value: dict[str, str], base: str) -> None:
        body = json.dumps({**value, "token_endpoint": f"{base}/token"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Page(Served):
    """A page that takes this computer for any other."""

    def __init__(self, folder: Path, **environment: str) -> None:
        make_folder(folder / "m", make_record())
        limit = str(TEXT_LIMIT / MEGABYTE)
        limits = {"CHARRNN_MAX_TEXT_MB": limit, "CHARRNN_MAX_ZIP_MB": limit}
        super().__init__(folder, "-c", APP, **limits, **environment)
        self.url = self.url.rstrip("/")
        self.port = int(self.url.rsplit(":", 1)[1])
        known = environment.get("SPACE_HOST")
        self.origin = f"https://{known}" if known else self.url

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, timeout=30, **request)

    def numbers(self) -> dict[str, int]:
        """Gradio's number of each function, by its name."""
        config = self.ask("GET", "/config").json()
        return {fn["api_name"]: fn["id"] for fn in config["dependencies"]}

    def stored(self) -> set[Path]:
        return set(self.temporary.rglob("*"))


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    running = Page(tmp_path_factory.mktemp("local") / "checkpoints")
    yield running
    running.end()


@pytest.fixture(scope="module")
def space(
    tmp_path_factory: pytest.TempPathFactory, elsewhere: Elsewhere
) -> Iterator[Page]:
    running = Page(
        tmp_path_factory.mktemp("space") / "checkpoints",
        SYSTEM="spaces",
        SPACE_ID="alice/page",
        SPACE_HOST=SPACE_HOST,
        OAUTH_CLIENT_ID="id",
        OAUTH_CLIENT_SECRET="secret",
        OAUTH_SCOPES="openid",
        OPENID_PROVIDER_URL=elsewhere.provider,
    )
    yield running
    running.end()


@pytest.fixture(params=["local", "space"])
def page(request: pytest.FixtureRequest) -> Page:
    return request.getfixturevalue(request.param)


def event_of(stream: str, kind: str) -> Any:
    """The data of an event of a kind, in a text/event-stream."""
    lines = stream.splitlines()
    return json.loads(lines[lines.index(f"event: {kind}") + 1].removeprefix("data: "))


# --- remote files --------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/gradio_api", ""])
@pytest.mark.parametrize(
    "form",
    [
        "/file={}",
        "/file/{}",
        "/proxy={}",
        "/file=%68ttp{rest}",
        "/file=%2568ttp{rest}",
        "/%66ile={}",
        "/file=HTTP{rest}",
        "/file=%20{}",
        "/file=//{host}",
        "/file=%5C%5C{host}",
        "/file=ftp{rest}",
        "/file=http:/{host}",
    ],
)
def test_no_remote_file_is_served(page, elsewhere, prefix, form):
    elsewhere.hits.clear()
    address = f"{elsewhere.url}/x.png"
    host = address.removeprefix("http://")
    path = form.format(address, rest=address.removeprefix("http"), host=host)
    for method in ("GET", "HEAD"):
        answer = page.ask(method, prefix + path)
        assert answer.status_code == 403
        assert "text/html" not in answer.headers["content-type"]
        if method == "GET":
            assert "on other computers are not served" in answer.json()["detail"]
    assert elsewhere.hits == []


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/tmp/gradio/0af3/http-x.txt",
        "/gradio_api/file=C:/gradio/text.txt",
        "/file/tmp/https/x",
        "/assets/file.js",
        "/?file=http://x",
    ],
)
def test_what_lies_here_is_no_remote_file(path):
    assert not doors.names_remote_file(path)


def test_a_file_that_was_uploaded_is_still_served(page):
    (path,) = page.ask(
        "POST", "/gradio_api/upload", files={"files": ("a.txt", b"mine")}
    ).json()
    answer = page.ask("GET", f"/gradio_api/file={path}")
    assert answer.content == b"mine"


def test_a_remote_file_in_an_input_is_not_downloaded(page, elsewhere):
    elsewhere.hits.clear()
    before = page.stored()
    remote = {
        "path": f"{elsewhere.url}/endless.txt",
        "meta": {"_type": "gradio.FileData"},
    }
    for data in (["m", remote], [remote, "x"]):
        data += [20, 0.5, 1, 0, 1.0]
        call = page.ask("POST", "/gradio_api/call/generate", json={"data": data})
        number = call.json()["event_id"]
        told = page.ask("GET", f"/gradio_api/call/generate/{number}").text
        assert "downloads nothing" in event_of(told, "error")["error"]
    join = {"data": ["upload", [remote], "", "", ""], "session_hash": "s"}
    page.ask(
        "POST",
        "/gradio_api/queue/join",
        json={**join, "fn_index": page.numbers()["look"]},
    )
    told = page.ask("GET", "/gradio_api/queue/data?session_hash=s").text
    assert "downloads nothing" in told
    assert elsewhere.hits == []
    assert page.stored() == before


# --- sizes ---------------------------------------------------------------------


def test_an_upload_is_refused_by_its_size_before_it_is_read(tmp_path):
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole, which no memory would hold
    with pytest.raises(CorpusError, match=r"large\.txt has 1,099,511\.6 MB"):
        corpus_form.read_corpus(corpus_form.UPLOAD, [str(path)], "", None)
    many = [str(path)] * (corpus_form.MAX_FILES + 1)
    with pytest.raises(CorpusError, match="201 files are given: at most 200 are"):
        corpus_form.read_corpus(corpus_form.UPLOAD, many, "", None)
    with pytest.raises(CorpusError, match="at most 10 bytes"):
        sources.read_file(path, max_bytes=10)


def in_pieces(size: int) -> Iterator[bytes]:
    """A body whose length no header tells."""
    for _ in range(size // 50_000 + 1):
        yield b" " * 50_000


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/gradio_api/queue/join", TEXT_LIMIT + 2 * MEGABYTE),
        ("/gradio_api/call/train", TEXT_LIMIT + 2 * MEGABYTE),
        ("/gradio_api/run/models", TEXT_LIMIT + 2 * MEGABYTE),
        ("/gradio_api/cancel", 2 * MEGABYTE),
        ("/gradio_api/reset", 2 * MEGABYTE),
    ],
)
def test_a_body_has_a_limit(page, path, limit):
    kind = {"content-type": "application/json"}
    for body in (b" " * (limit + 1), in_pieces(limit)):
        answer = page.ask("POST", path, content=body, headers=kind)
        assert answer.status_code == 413
        assert f"at most {limit / MEGABYTE:.1f} MB" in answer.json()["detail"]
    answer = page.ask("POST", path, content=b" " * limit, headers=kind)
    assert answer.status_code != 413


def test_an_upload_has_a_limit_and_leaves_nothing_beyond_it(page):
    limit = TEXT_LIMIT + 64_000
    before = page.stored()
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b"}

    def chunks() -> Iterator[bytes]:  # two files, each within the limit of one
        for _ in range(2):
            yield head
            yield from in_pieces(limit // 2)
            yield b"\r\n"

    for body in (head + b" " * limit, chunks()):
        answer = page.ask("POST", "/gradio_api/upload", content=body, headers=kind)
        assert answer.status_code == 413
        assert "at most 0.6 MB" in answer.json()["detail"]
    assert page.stored() == before
    fits = {"files": ("a.txt", b"x" * TEXT_LIMIT)}
    assert page.ask("POST", "/gradio_api/upload", files=fits).status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(page):
    before = page.stored()
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 400000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", page.port)) as connection:
        connection.sendall(head.encode() + part + b"x" * 300_000)
        wait_until(lambda: page.stored() != before)
    wait_until(lambda: page.stored() == before)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- other websites ------------------------------------------------------------

POSTS = ("/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/call/models")


def foreign_marks(page: Page) -> list[dict[str, str]]:
    return [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{page.port + 1}"},
        {"origin": f"http://localhost:{page.port}"},
        {"origin": page.url, **CROSS},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ]


def test_a_local_page_does_nothing_for_another_website(local):
    for mark in foreign_marks(local):
        for path in POSTS:
            answer = local.ask("POST", path, json={"data": []}, headers=mark)
            assert answer.status_code == 403, (path, mark)
            assert "Another website" in answer.json()["detail"]
            assert "access-control-allow-origin" not in answer.headers
        for path in ("/", "/config", "/gradio_api/info", "/theme.css"):
            assert local.ask("GET", path, headers=mark).status_code == 403, (path, mark)
        preflight = {**mark, "access-control-request-method": "POST"}
        answer = local.ask("OPTIONS", "/gradio_api/queue/join", headers=preflight)
        assert answer.status_code == 403
    navigating = {**NAVIGATION, "origin": "null"}  # a form that sends itself
    answer = local.ask("POST", "/gradio_api/upload", headers=navigating)
    assert answer.status_code == 403


def test_a_local_page_answers_itself_links_and_programs(local):
    assert local.ask("GET", "/", headers=NAVIGATION).status_code == 200
    assert local.ask("HEAD", "/", headers=NAVIGATION).status_code == 200
    other_name = f"localhost:{local.port}"
    for mark in (
        {},
        {"origin": local.url, "sec-fetch-site": "same-origin"},
        {"origin": f"http://{other_name}", "host": other_name},
        {"sec-fetch-site": "none"},
    ):
        call = {"json": {"data": []}, "headers": mark}
        assert local.ask("POST", "/gradio_api/call/models", **call).is_success, mark


def test_a_local_page_answers_to_no_other_name(local):
    for host in ("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "[::"):
        answer = local.ask("GET", "/", headers={"host": host})
        assert answer.status_code == 400
        assert "names of this computer" in answer.json()["detail"]
    for host in ("localhost:1", "[::1]:7860"):
        assert local.ask("GET", "/", headers={"host": host}).is_success


FOREIGN = {"origin": EVIL, "host": SPACE_HOST, **CROSS, "cookie": "session=x"}


def test_a_hosted_page_lets_websites_call_what_only_reads(space):
    for path in ("/config", "/gradio_api/info"):
        answer = space.ask("GET", path, headers=FOREIGN)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == EVIL
        assert "access-control-allow-credentials" not in answer.headers
    path = "/gradio_api/call/models"
    call = space.ask("POST", path, json={"data": []}, headers=FOREIGN).json()
    told = space.ask("GET", f"{path}/{call['event_id']}", headers=FOREIGN)
    assert isinstance(event_of(told.text, "complete")[0], list)
    join = {"data": [], "session_hash": "f", "fn_index": space.numbers()["models"]}
    answer = space.ask("POST", "/gradio_api/queue/join", json=join, headers=FOREIGN)
    assert answer.is_success
    told = space.ask("GET", "/gradio_api/queue/data?session_hash=f", headers=FOREIGN)
    assert "process_completed" in told.text
    for path in ("/gradio_api/queue/join", "/gradio_api/call/models"):
        asked = {**FOREIGN, "access-control-request-method": "POST"}
        answer = space.ask("OPTIONS", path, headers=asked)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == EVIL
        assert "access-control-allow-credentials" not in answer.headers


def test_a_hosted_page_does_nothing_else_for_websites(space):
    numbers = space.numbers()
    bodies: list[Any] = [
        {"data": [], "session_hash": "f", "fn_index": numbers[name]}
        for name in ("push", "pull", "start", "train", "stop", "delete")
    ]
    bodies += [{"fn_index": True}, {"fn_index": "0"}, {"fn_index": 10**6}, {}, [], 1]
    for body in bodies:
        answer = space.ask("POST", "/gradio_api/queue/join", json=body, headers=FOREIGN)
        assert answer.status_code == 403, body
        assert "access-control-allow-origin" not in answer.headers
    for path in (
        *("/gradio_api/call/train", "/gradio_api/call/stop", "/gradio_api/call/push"),
        *("/gradio_api/call/v2/models", "/gradio_api/run/models", "/gradio_api/upload"),
        *("/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/queue/status"),
        *("/config", "/login", "/"),
    ):
        for origin in (EVIL, "null", "https://huggingface.co"):
            mark = {**FOREIGN, "origin": origin}
            answer = space.ask("POST", path, json={"data": []}, headers=mark)
            assert answer.status_code == 403, path
    for path in ("/", "/gradio_api/heartbeat/f", "/gradio_api/user", "/logout"):
        assert space.ask("GET", path, headers=FOREIGN).status_code == 403, path


def test_a_hosted_page_answers_itself_frames_links_and_programs(space):
    for destination in ("document", "iframe"):
        mark = {**NAVIGATION, "sec-fetch-dest": destination, "host": SPACE_HOST}
        answer = space.ask("GET", "/?run=x", headers=mark)
        assert answer.is_success
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'self' https://huggingface.co" in policy
    for mark in ({}, {"host": SPACE_HOST, "origin": f"https://{SPACE_HOST}"}):
        body = {"data": [], "session_hash": "o", "fn_index": space.numbers()["push"]}
        answer = space.ask("POST", "/gradio_api/queue/join", json=body, headers=mark)
        assert answer.is_success, mark


def test_a_visitor_signs_in_and_no_website_pushes_as_them(space, elsewhere):
    said = space.ask("GET", "/login/huggingface", headers={"host": SPACE_HOST})
    assert said.status_code == 302
    assert said.headers["location"].startswith(elsewhere.provider)
    asked = urllib.parse.parse_qs(said.headers["location"])
    session = said.headers["set-cookie"].split(";")[0]
    back = f"/login/callback?code=c&state={asked['state'][0]}"
    mark = {**NAVIGATION, "host": SPACE_HOST, "cookie": session}
    signed_in = space.ask("GET", back, headers=mark)
    assert signed_in.status_code == 307
    session = signed_in.headers["set-cookie"].split(";")[0]
    body = {"data": [], "session_hash": "v", "fn_index": space.numbers()["push"]}
    mark = {**FOREIGN, "cookie": session}
    answer = space.ask("POST", "/gradio_api/queue/join", json=body, headers=mark)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        *("deep_link?session_hash=a", "deep_link/?session_hash=a", "dev/reload"),
        *("process_recording", "component_server/", "stream/a/b/1/playlist.m3u8"),
        *("vibe-edit", "vibe-code/", "vibe-starter-queries", "undo-vibe-edit"),
        *("run-history/connect", "runs", "profiling/traces"),
    ],
)
def test_what_the_page_does_not_use_of_gradio_is_refused(page, path):
    """A recording would leave files, a deep link keeps all that a visitor sees."""
    before = page.stored()
    video = {"video": ("v.webm", b"x")}
    for method, sent in (
        ("GET", {}),
        ("POST", {"json": {}}),
        ("POST", {"files": video}),
    ):
        answer = page.ask(method, f"/gradio_api/{path}", **sent)
        assert answer.status_code == 404
        assert "does not use" in answer.json()["detail"]
    assert page.stored() == before


def test_what_has_a_queue_is_not_called_beside_it(page):
    values = {
        "generate": ["m", "a", 10, 0.5, 1, 0, 1.0],
        "inspect": ["m", "abc", {}],
        "train": ["a" * 2000, "a", "quick", {}],
        "compare_1": ["m", "a", 10, 7, False, 0, 1, "", 2, 0.5, 0.8, 0.8, 1.1],
    }
    numbers = page.numbers()
    for name, data in values.items():
        for way in ("run", "api"):
            body = {"data": data, "fn_index": numbers[name], "session_hash": "s"}
            for sent in (body, {"data": data}):
                answer = page.ask("POST", f"/gradio_api/{way}/{name}", json=sent)
                assert answer.status_code == 404
                assert "join the queue" in answer.json()["detail"]


def test_the_python_client_works(page):
    client = Client(page.url, verbose=False, analytics_enabled=False)
    assert isinstance(client.predict(api_name="/models"), list)


@pytest.mark.parametrize(
    ("method", "path", "body", "passes"),
    [
        ("GET", "/config", {}, True),
        ("GET", "/gradio_api/queue/data", {}, True),
        ("POST", "/gradio_api/call/models", {}, True),
        ("POST", "/gradio_api/queue/join", {"fn_index": 3}, True),
        ("POST", "/gradio_api/queue/join", {"fn_index": 4}, False),
    ],
)
def test_no_cookie_of_a_foreign_request_is_seen(method, path, body, passes):
    class Function:
        def __init__(self, name: str, visibility: str) -> None:
            self.api_name, self.api_visibility = name, visibility

    functions = {3: Function("models", "public"), 4: Function("push", "private")}
    seen: list[tuple[Headers, bytes]] = []
    sent: list[Any] = []

    async def inner(scope, receive, send):
        seen.append((Headers(scope=scope), (await receive())["body"]))

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message):
        sent.append(message)

    layer = doors.Doors(inner, Rules.of({"CHARRNN_HOSTED": "1"}), lambda: functions)
    sent_headers = [(b"host", b"h"), (b"origin", EVIL.encode()), (b"cookie", b"a=b")]
    scope = {"type": "http", "method": method, "path": path, "headers": sent_headers}
    asyncio.run(layer(scope, receive, send))
    assert len(seen) == passes
    for headers, content in seen:
        assert "cookie" not in headers
        assert headers["origin"] == EVIL
        assert json.loads(content) == body  # what was read to decide is there again


def test_limits_hold_below_a_proxys_path():
    rules = Rules.of({"CHARRNN_HOSTED": "1"})
    reached: list[str] = []

    async def inner(scope, receive, send):
        await receive()
        reached.append(scope["path"])

    async def receive():
        return {"type": "http.request", "body": bytes(rules.text_bytes)}

    async def send(_message):
        pass

    layer = doors.Doors(inner, rules, dict)
    for path in ("/below/gradio_api/upload", "/below/gradio_api/cancel"):
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        asyncio.run(layer({**scope, "root_path": "/below"}, receive, send))
    assert reached == ["/below/gradio_api/upload"]


class Bodies:
    """The doors in front of an application that reads a body and then waits."""

    def __init__(self, **environment: str) -> None:
        rules = Rules.of({"CHARRNN_HOSTED": "1", **environment})
        self.layer = doors.Doors(self._read, rules, dict)
        self.go = asyncio.Event()
        self.go.set()

    async def _read(self, scope, receive, send):
        await receive()
        await self.go.wait()
        await JSONResponse(None)(scope, receive, send)

    async def send(
        self, path: str, sender: str, size: int, content: bytes = b""
    ) -> tuple[int, str]:
        """Send a body; the status and what is answered."""
        sent: list[Any] = []

        async def receive():
            return {"type": "http.request", "body": content + bytes(size)}

        async def take(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        await self.layer({**scope, "client": (sender, 1)}, receive, take)
        return sent[0]["status"], sent[1]["body"].decode()


def test_bodies_on_their_way_have_a_limit_for_each_address_and_all():
    async def scenario():
        bodies = Bodies(CHARRNN_MAX_TEXT_MB="0.001")
        bodies.go.clear()  # 20 of 2,001,000 bytes, an address ten
        path, size = "/gradio_api/queue/join", 2_001_000
        waiting = [
            asyncio.create_task(bodies.send(path, sender, size))
            for sender in ("1.1.1.1", "2.2.2.2")
            for _ in range(10)
        ]
        await asyncio.sleep(0)
        refused = [await bodies.send(path, "1.1.1.1", 1)]
        refused.append(await bodies.send(path, "3.3.3.3", 1))
        bodies.go.set()
        accepted = await asyncio.gather(*waiting)
        return refused, accepted, await bodies.send(path, "1.1.1.1", size)

    refused, accepted, later = asyncio.run(scenario())
    assert [status for status, _ in refused] == [503, 503]
    assert "Too much is being sent to this page at once" in refused[0][1]
    assert {status for status, _ in (*accepted, later)} == {200}


def test_uploads_of_an_hour_have_a_limit_for_each_address(monkeypatch):
    small = {"CHARRNN_MAX_TEXT_MB": "0.5", "CHARRNN_MAX_ZIP_MB": "0.5"}
    now = [1000.0]
    monkeypatch.setattr(doors.time, "monotonic", lambda: now[0])

    async def scenario():
        uploads = Bodies(**small, CHARRNN_MAX_DISK_GB="0.02")  # 2 MB, an address 1 MB
        path, found = "/gradio_api/upload", []
        for sender in ("1.1.1.1", "1.1.1.1", "1.1.1.1", "2.2.2.2"):
            found.append(await uploads.send(path, sender, 400_000))
        now[0] += 3_599
        found.append(await uploads.send(path, "1.1.1.1", 400_000))
        now[0] += 1
        found.append(await uploads.send(path, "1.1.1.1", 400_000))
        files = b'Content-Disposition: form-data; FileName="a"\r\n' * 100
        for _ in range(2):  # of nearly nothing, but each takes a block of the disk
            found.append(await uploads.send(path, "3.3.3.3", 0, files))
        return found

    found = asyncio.run(scenario())
    assert [status for status, _ in found] == [200, 200, 503, 200, 503, 200, 200, 503]
    assert "Too many files were uploaded" in found[2][1]


def test_ones_own_computer_takes_any_number_of_uploads():
    assert Rules.of({"CHARRNN_HOSTED": "0"}).uploads_bytes is None
    assert Rules.of({"CHARRNN_HOSTED": "1"}).uploads_bytes == 2_000 * MEGABYTE


def test_there_is_no_websocket():
    sent: list[Any] = []

    async def send(message):
        sent.append(message)

    layer = doors.Doors(None, Rules.of({}), dict)
    asyncio.run(layer({"type": "websocket", "path": "/"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("environ", "headers", "foreign"),
    [
        ({}, {"host": "h:1", "origin": "http://h:1"}, False),
        ({}, {"host": "h:1", "origin": "https://h:1"}, False),
        ({}, {"host": "H:1", "origin": "http://h:1"}, False),
        ({}, {"host": "h:1", "origin": "http://h"}, True),
        ({}, {"host": "h", "origin": "ftp://h"}, True),
        ({}, {"host": "h", "x-forwarded-host": "e", "origin": "https://e"}, True),
        (
            {"CHARRNN_TRUSTED_PROXIES": "1"},
            {"host": "h", "x-forwarded-host": "e, p", "origin": "https://p"},
            False,
        ),
        (
            {"CHARRNN_TRUSTED_PROXIES": "1"},
            {"host": "h", "x-forwarded-host": "e, p", "origin": "https://e"},
            True,
        ),
        (
            {"CHARRNN_TRUSTED_PROXIES": "2"},
            {"host": "h", "x-forwarded-host": "e, p, q", "origin": "https://p"},
            False,
        ),
        (
            {"CHARRNN_TRUSTED_PROXIES": "1"},
            {"host": "h", "origin": "https://h"},
            False,
        ),
        (
            {"SPACE_ID": "a/b"},
            {"host": "h", "x-forwarded-host": "p", "origin": "https://p"},
            False,
        ),
        (
            {"SPACE_HOST": "a.hf.space,own.example"},
            {"host": "h", "origin": "https://own.example"},
            False,
        ),
        (
            {"SPACE_HOST": "a.hf.space"},
            {"host": "h", "x-forwarded-host": "h", "origin": "https://h"},
            True,
        ),
    ],
)
def test_which_origin_is_the_pages_own(environ, headers, foreign):
    assert Rules.of(environ).is_foreign(Headers(headers)) is foreign


# --- headers -------------------------------------------------------------------


def test_a_hosted_page_knows_a_browser_again(space, local):
    answer = space.ask("GET", "/")
    (cookie,) = answer.headers.get_list("set-cookie")
    named, *attributes = cookie.split("; ")
    assert re.fullmatch(f"{COOKIE}=[0-9a-f]{{32}}", named)
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]
    assert space.ask("GET", "/").headers["set-cookie"] != cookie
    for page, path, headers in (
        (space, "/", {"cookie": named}),  # it has one
        (space, "/config", {}),  # no page
        (local, "/", {}),  # has no limits
    ):
        assert COOKIE not in str(page.ask("GET", path, headers=headers).headers)

    def waits(cookie: str) -> list[bool]:
        """Of questions that as many sessions ask, one more than a visitor may."""
        body = {"model": "m", "prompt": "a"}
        answers = [
            space.ask(
                "POST",
                "/charrnn/next",
                json={**body, "session": f"{cookie}{number}"},
                headers={"cookie": cookie},
            ).json()
            for number in range(PER_SECOND + 1)
        ]
        return ["wait" in answer for answer in answers]

    assert not any(waits("a=b"))
    assert waits(named) == [False] * PER_SECOND + [True]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "encrypted"),
    [(0, "https", False), (1, "http, https", True), (1, "https, http", False)],
)
def test_a_cookie_is_for_https_where_a_trusted_proxy_says_so(
    proxies, forwarded, encrypted
):
    hosted = {"CHARRNN_HOSTED": "1", "CHARRNN_TRUSTED_PROXIES": str(proxies)}
    headers = [(b"x-forwarded-proto", forwarded.encode())]
    scope = {"type": "http", "scheme": "http", "headers": headers}
    assert Rules.of(hosted).is_encrypted(scope) == encrypted


def test_every_answer_has_the_policy_headers(page):
    api = "/gradio_api"
    asked = [
        (200, "GET", "/", {}),
        (200, "GET", "/theme.css", {}),
        (200, "GET", "/config", {"headers": {"origin": page.origin}}),
        (404, "GET", "/nothing", {}),
        (405, "PUT", "/config", {}),
        (403, "GET", f"{api}/file=/etc/passwd", {}),
        (403, "POST", f"{api}/upload", {"headers": CROSS}),
        (413, "POST", f"{api}/cancel", {"content": in_pieces(2 * MEGABYTE)}),
        (422, "POST", f"{api}/queue/join", {"json": {}}),
        (404, "POST", f"{api}/call/v2/nothing", {"json": {}}),
    ]
    for status, method, path, request in asked:
        answer = page.ask(method, path, **request)
        assert answer.status_code == status, path
        check_headers(answer.headers)
    call = page.ask("POST", f"{api}/call/models", json={"data": []}).json()
    stream = page.ask("GET", f"{api}/call/models/{call['event_id']}")
    assert stream.headers["content-type"].startswith("text/event-stream")
    check_headers(stream.headers)


def check_headers(headers: httpx.Headers) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "access-control-allow-credentials" not in headers
    (policy,) = headers.get_list("content-security-policy")
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules["default-src"] == "'self'"
    assert rules["object-src"] == "'none'"
    allowed = {"'self'", "'none'", "data:", "blob:", "'unsafe-inline'", "'unsafe-eval'"}
    ancestors = set(rules.pop("frame-ancestors").split())
    assert ancestors <= {"'self'", "https://huggingface.co"}
    for name, allowed_here in rules.items():
        assert set(allowed_here.split()) <= allowed, name
    assert "data:" not in rules["script-src"]
