"""A hosted page behind a reverse proxy, below a path: what docs/hosting.md promises."""

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from charrnn.ui import page
from tests.builders import make_folder, make_record

ROOT = Path(__file__).parent.parent.parent
BELOW = "/charrnn"
PUBLIC = "class.example"
FORWARDED = ("content-type", "origin", "sec-fetch-site", "cookie")


class Proxy(http.server.ThreadingHTTPServer):
    """Takes the path off, names itself as a proxy does, and passes all on."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.upstream = upstream
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{BELOW}"


class _Passing(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        assert self.path.startswith(BELOW)
        sent = {name: self.headers[name] for name in FORWARDED if name in self.headers}
        sent |= {
            "X-Forwarded-Host": self.headers["Host"],
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "203.0.113.5",
        }
        with httpx.stream(
            self.command,
            self.server.upstream + self.path.removeprefix(BELOW),
            content=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            headers=sent,
            timeout=30,
        ) as answer:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", ""))
            self.end_headers()
            for part in answer.iter_bytes():
                self.wfile.write(part)
                self.wfile.flush()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy") / "checkpoints"
    make_folder(folder / ("a" * 32), make_record())
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={
            **os.environ,
            "CHARRNN_CHECKPOINTS": str(folder),
            "CHARRNN_HOSTED": "1",
            "CHARRNN_TRUSTED_PROXIES": "1",
            "GRADIO_ROOT_PATH": BELOW,
            "GRADIO_TEMP_DIR": str(folder.parent / "gradio"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", started)
    assert found, started
    passing = Proxy(found[0])
    yield passing
    passing.shutdown()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def ask(proxy: Proxy, method: str, path: str, **request: Any) -> httpx.Response:
    headers = {"host": PUBLIC, **request.pop("headers", {})}
    url = proxy.url + path
    return httpx.request(method, url, headers=headers, timeout=30, **request)


def test_the_page_names_the_proxys_address_alone(proxy: Proxy) -> None:
    config = ask(proxy, "GET", "/config").json()
    assert config["root"] == f"https://{PUBLIC}{BELOW}"
    for path in ("/", "/config"):
        text = ask(proxy, "GET", path).text
        assert f"{PUBLIC}{BELOW}" in text
        assert "127.0.0.1" not in text
    found = re.findall(r'(?:src|href)="(\./[^"]+)"', ask(proxy, "GET", "/").text)
    assert found
    assert ask(proxy, "GET", found[0][1:]).status_code == 200


def test_text_is_written_through_it(proxy: Proxy) -> None:
    fields = {"data": ["a" * 32, "", 5, 0, 1, 0, 1]}
    own = {"origin": f"https://{PUBLIC}", "sec-fetch-site": "same-origin"}
    path = "/gradio_api/call/generate"
    event = ask(proxy, "POST", path, json=fields, headers=own).json()["event_id"]
    said = ask(proxy, "GET", f"{path}/{event}").text.strip()
    kind, data = said.split("\n\n")[-1].split("\n")
    assert kind == "event: complete"
    ((text, seed),) = json.loads(data.removeprefix("data: "))
    assert (len(text), seed) == (5, 1)


def test_another_website_starts_nothing_through_it(proxy: Proxy) -> None:
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    path = "/gradio_api/call/train"
    answer = ask(proxy, "POST", path, json={"data": []}, headers=foreign)
    assert answer.status_code == 403


def test_a_shared_page_says_where_others_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = "http://localhost:7861/"
    assert page.shared_address(local) == local
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    shared = page.shared_address(local)
    assert re.fullmatch(r"http://[^/]+:7861/", shared)
    assert "localhost" not in shared
