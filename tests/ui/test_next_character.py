"""What the page is told of the characters that may come next."""

import asyncio
import contextlib
import dataclasses
import math
import threading
import time

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from charrnn.hosting import VISITORS_PER_ADDRESS, Visitor
from charrnn.model import checkpoint
from charrnn.ui import api, next_character
from charrnn.ui.next_character import (
    MAX_TEXT,
    PENDING,
    PENDING_OF_ADDRESS,
    Pace,
    Pending,
)
from charrnn.ui.writing_request import engine
from tests.builders import make_folder, make_record, wait_until


@pytest.fixture
def client():
    with TestClient(Starlette(routes=[next_character.route()])) as running:
        yield running


def ask(client, model="m", prompt="the", session="s"):
    asked = {"model": model, "prompt": prompt, "session": session}
    return client.post(next_character.PATH, json=asked).raise_for_status().json()


def test_the_answer_holds_what_can_be_written_and_its_logits(model, client):
    found = ask(client)
    assert found["characters"] == list(checkpoint.load(model).vocabulary.entries[1:])
    assert found["logits"] == engine.next_logits(model, "the")


def test_the_endpoint_tells_probabilities_the_likeliest_first(model, client):
    found = ask(client)
    ranked = api.next_character("m", "the")
    assert sum(prob for _, prob in ranked) == pytest.approx(1)
    assert [p for _, p in ranked] == sorted((p for _, p in ranked), reverse=True)
    (first, prob), (second, less) = ranked[:2]
    logits = dict(zip(found["characters"], found["logits"], strict=True))
    assert math.log(prob / less) == pytest.approx(logits[first] - logits[second])


def test_what_cannot_be_answered_is_a_sentence(isolated, client):
    assert "nothing" in ask(client, "nothing")["error"]
    for odd in (b"", b"[]", b'{"model": 1}', b"[" * 100_000, b"\xff"):
        answer = client.post(next_character.PATH, content=odd)
        assert answer.status_code == 400
        assert "Expected" in answer.json()["error"]
    long = {"model": "m", "prompt": "a" * (MAX_TEXT + 1), "session": "s"}
    assert client.post(next_character.PATH, json=long).status_code == 400


def test_a_hosted_page_answers_no_guessed_id_and_so_often_a_second(
    model, client, monkeypatch
):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    answers = [ask(client) for _ in range(next_character.PER_SECOND + 1)]
    assert all("no such model" in answer["error"] for answer in answers[:-1])
    assert 0 < answers[-1]["wait"] <= 1
    assert "error" in ask(client, session="another")


def test_a_visitor_and_an_address_have_a_pace_each():
    pace, one = Pace(), Visitor("one", "here")
    times = [0.0, 0.1, 0.2, 0.3]
    assert [pace.wait(one, now) for now in times] == [0.0] * 4
    assert pace.wait(one, 0.5) == pytest.approx(0.5)
    assert pace.wait(one, 1.05) == 0
    assert pace.wait(one, 1.06) == pytest.approx(0.04)
    pace = Pace()
    everybody = [Visitor(str(i), "here") for i in range(VISITORS_PER_ADDRESS * 4)]
    assert not any(pace.wait(visitor, 5.0) for visitor in everybody)
    assert pace.wait(dataclasses.replace(one, key="more"), 5.5) == pytest.approx(0.5)
    assert pace.wait(Visitor("more", "there"), 5.5) == 0
    pace.wait(Visitor("late", "elsewhere"), 99.0)
    assert len(pace._asked) == 2  # nobody else is remembered


def test_so_many_questions_wait_of_a_visitor_and_an_address():
    pending, one = Pending(), Visitor("one", "here")
    with contextlib.ExitStack() as first:
        for _ in range(PENDING):
            assert not pending.is_full(one)
            first.enter_context(pending.one_more(one))
        assert pending.is_full(one)
        assert not pending.is_full(Visitor("two", "here"))
        for number in range(PENDING_OF_ADDRESS - PENDING):
            first.enter_context(pending.one_more(Visitor(str(number), "here")))
        assert pending.is_full(Visitor("two", "here"))
        assert not pending.is_full(Visitor("two", "there"))
    assert not pending.is_full(one)
    assert not pending._count


@pytest.fixture
def served(monkeypatch):
    """The route of a hosted page on a real server; its address."""
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setenv("CHARRNN_TRUSTED_PROXIES", "1")
    app = Starlette(routes=[next_character.route()])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 20)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{next_character.PATH}"
    server.should_exit = True
    thread.join()


async def put(client, url, session, address, prompt):
    """The answer, and the seconds that it took."""
    asked = {"model": "shakespeare", "prompt": prompt, "session": session}
    begun = time.monotonic()
    answer = await client.post(url, json=asked, headers={"x-forwarded-for": address})
    return answer.json(), time.monotonic() - begun


async def beside_a_flood(url):
    """Answers to a flood of long prompts, and the seconds of a visitor beside it.

    Whoever poured it leaves at the end, and asks once more.
    """
    flood = []

    async def pour(client):
        for number in range(200):  # 40 a second, as many as an address may ask
            prompt = f"{number}" + "To be, or not to be. " * 940
            question = put(client, url, f"s{number}", "1.1.1.1", prompt)
            flood.append(asyncio.create_task(question))
            await asyncio.sleep(1 / 40)

    async with httpx.AsyncClient(timeout=60) as client:
        await put(client, url, "other", "2.2.2.2", "")  # the model is loaded
        async with httpx.AsyncClient(timeout=60) as other:
            pouring = asyncio.create_task(pour(other))
            await asyncio.sleep(1)
            beside = []
            for number in range(1, 6):
                prompt = "ROMEO:"[:number]
                answer, seconds = await put(client, url, "other", "2.2.2.2", prompt)
                assert len(answer["logits"]) == len(answer["characters"])
                beside.append(seconds)
                await asyncio.sleep(0.26)
            answers = [task.result()[0] for task in flood if task.done()]
            for task in (pouring, *flood):
                task.cancel()
            await asyncio.gather(pouring, *flood, return_exceptions=True)
        await asyncio.sleep(1)  # of the pace
        return answers, beside, await put(client, url, "s0", "1.1.1.1", "a")


def test_a_flood_of_long_prompts_leaves_others_their_answers(served):
    flood, beside, (after, seconds) = asyncio.run(beside_a_flood(served))
    assert len(flood) > 20
    assert sum("wait" in answer for answer in flood) >= len(flood) - PENDING_OF_ADDRESS
    # one of the long prompts takes seconds to read, and ten of them wait
    assert max(beside) < 5.0
    assert "logits" in after  # who has gone has nothing waiting
    assert seconds < 5.0


def test_two_models_of_one_page_are_told_apart(isolated, client):
    for seed in (1, 2):
        make_folder(isolated / f"m{seed}", make_record(), seed=seed)
    first, second = ask(client, "m1"), ask(client, "m2")
    assert first["logits"] != second["logits"]
    assert ask(client, "m1") == first
