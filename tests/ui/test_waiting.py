"""A queue that no address takes from the others, on a page of Gradio's own."""

import json
import threading
import time
from collections.abc import Iterator

import gradio as gr
import httpx
import pytest

import app  # noqa: F401  sets what the server believes
from charrnn.ui import doors, waiting
from charrnn.ui.doors import Rules
from charrnn.ui.visitors import visitor_of

SLOTS = 4
BODY = 1_900_000  # of the 2 MB that a body may have beside the text


class Queueing:
    """A page whose functions wait, or say where their request comes from."""

    def __init__(self) -> None:
        self.go = threading.Event()
        with gr.Blocks() as blocks:
            gr.api(self.hold, api_name="hold", concurrency_limit=SLOTS)
            gr.api(self.origin, api_name="origin", concurrency_id="hold")
        self.blocks = blocks.queue()
        waiting.share(blocks._queue)
        self.queue: waiting.SharedQueue = blocks._queue
        _, self.url, _ = blocks.launch(
            prevent_thread_lock=True,
            quiet=True,
            app_kwargs={"lifespan": doors.lifespan(Rules.of())},
        )

    def hold(self, filling: str) -> int:
        self.go.wait(60)
        return len(filling)

    def origin(self, request: gr.Request | None = None) -> str:
        return visitor_of(request).address

    def join(
        self, name: str, session: str, sender: str, *data: str, **headers: str
    ) -> httpx.Response:
        number = ["hold", "origin"].index(name)
        sent = {"data": [*data], "fn_index": number, "session_hash": session}
        headers |= {"x-forwarded-for": sender}
        address = f"{self.url}gradio_api/queue/join"
        return httpx.post(address, json=sent, headers=headers, timeout=30)

    def told(self, session: str) -> object:
        """What a session's function answered, once it has."""
        address = f"{self.url}gradio_api/queue/data?session_hash={session}"
        with httpx.stream("GET", address, timeout=30) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix("data: ") or "{}")
                if message.get("msg") == "process_completed":
                    return message["output"]["data"][0]
        raise AssertionError("no end")

    def running(self) -> int:
        return sum(job is not None for job in self.queue.active_jobs)

    def until_running(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while self.running() < count and time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queueing]:
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setenv("CHARRNN_TRUSTED_PROXIES", "1")
    monkeypatch.setenv("CHARRNN_MAX_TEXT_MB", "0.001")
    running = Queueing()
    yield running
    running.go.set()
    running.blocks.close(verbose=False)


def test_an_address_with_many_sessions_leaves_others_their_places(page, monkeypatch):
    monkeypatch.setattr(waiting, "MAX_WAITING", 20)
    first = [page.join("hold", f"s{n}", "1.1.1.1", "") for n in range(SLOTS)]
    page.until_running(SLOTS // 2)
    answers = [*first, *(page.join("hold", f"t{n}", "1.1.1.1", "") for n in range(9))]
    codes = [answer.status_code for answer in answers]
    assert codes == [200] * 12 + [429]  # two run, ten wait
    assert answers[-1].json()["detail"].startswith("Too many requests from your netw")
    assert page.running() == SLOTS // 2
    assert page.join("origin", "other", "2.2.2.2").status_code == 200
    assert page.told("other") == "2.2.2.2"
    japanese = {"accept-language": "ja"}
    answer = page.join("hold", "x", "1.1.1.1", "", **japanese)
    assert "ネットワーク" in answer.json()["detail"]
    for address in range(12):  # the other half, of many addresses
        page.join("hold", f"o{address}", f"3.3.3.{address}", "")
    answer = page.join("hold", "y", "4.4.4.4", "")
    assert answer.status_code == 429
    assert answer.json()["detail"].startswith("Too many requests wait here")


def test_an_address_has_so_many_bytes_waiting(page):
    def fill(count: int) -> list[int]:
        bodies = [(f"s{n}", "1.1.1.1", "x" * BODY) for n in range(count)]
        return [page.join("hold", *body).status_code for body in bodies]

    assert fill(SLOTS) == [200] * SLOTS
    page.until_running(SLOTS // 2)
    assert fill(9) == [200] * 8 + [429]  # two run, ten wait
    assert page.join("hold", "other", "2.2.2.2", "x" * BODY).status_code == 200


def test_a_session_is_forgotten_when_its_events_have_ended(page, monkeypatch):
    page.join("hold", "busy", "1.1.1.1", "abc")
    for n in range(3):
        page.join("origin", f"s{n}", "2.2.2.2")
        assert page.told(f"s{n}") == "2.2.2.2"
    queue = page.queue
    assert queue.pending_messages_per_session.keys() == {"busy", "s0", "s1", "s2"}
    now = time.monotonic()
    queue.forget_ended(now)
    assert queue.ended.keys() == {"s0", "s1", "s2"}
    monkeypatch.setattr(waiting, "MAX_ENDED", 2)
    queue.forget_ended(now)
    assert len(queue.ended) == 2
    queue.forget_ended(now + waiting.FETCH_SECONDS)
    assert queue.pending_messages_per_session.keys() == {"busy"}
    assert queue.pending_event_ids_session.keys() == {"busy"}
    page.go.set()
    assert page.told("busy") == 3


def test_a_session_has_a_short_name(page):
    assert page.join("origin", "x" * 101, "1.1.1.1").status_code == 400
    assert page.join("origin", "x" * 100, "1.1.1.1").status_code == 200


def test_no_header_is_believed_where_no_proxy_is_trusted(page, monkeypatch):
    monkeypatch.setenv("CHARRNN_TRUSTED_PROXIES", "0")
    page.join("origin", "a", "6.6.6.6")
    assert page.told("a") == "127.0.0.1"
