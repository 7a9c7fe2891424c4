"""A page that keeps nothing of its visitors between requests."""

import json

import gradio as gr
import httpx
import psutil
import pytest

import app
from charrnn.errors import CharrnnError
from charrnn.ui import sessions
from tests.builders import Served, form_of, make_folder, make_record
from tests.load import memory

MEGABYTE = 1_000_000
PASTED = 8 * MEGABYTE  # characters


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions") / "checkpoints"
    make_folder(folder / "m", make_record())
    running = Served(folder)
    yield running
    running.end()


@pytest.fixture(scope="module")
def config(served):
    return httpx.get(f"{served.url}config").json()


@pytest.fixture(scope="module")
def numbers(config):
    return {fn["api_name"]: fn["id"] for fn in config["dependencies"]}


def body(number, session, *data):
    return {"data": [*data], "fn_index": number, "session_hash": session}


def write(client, served, config, session):
    """What comparing in a session ends with."""
    (number,) = (
        f["id"] for f in config["dependencies"] if f["api_name"] == "compare_1"
    )
    changed = {"model": "m", "prompt": "the ", "length": 5}
    sent = body(number, session, *form_of(config, "compare_1", changed))
    client.post(f"{served.url}gradio_api/queue/join", json=sent).raise_for_status()
    address = f"{served.url}gradio_api/queue/data?session_hash={session}"
    with client.stream("GET", address) as answer:
        for line in answer.iter_lines():
            message = json.loads(line.removeprefix("data: ") or "{}")
            if message.get("msg") == "process_completed":
                return message
    raise AssertionError("no end")


def test_pasted_texts_leave_nothing_behind(served, numbers):
    page = psutil.Process(served.process.pid)
    address = f"{served.url}gradio_api/run/predict"
    text = "x" * PASTED

    def paste(session):
        sent = body(numbers["propose_prompt"], session, "m", text)
        assert httpx.post(address, json=sent, timeout=60).status_code == 200

    paste("first")
    before = memory(page)
    for number in range(20):
        paste(f"session {number}")
    # of twenty; copies of the last ones linger in the threads that took them
    assert memory(page) - before < 8 * PASTED


def test_a_tab_stays_open_whoever_else_comes(served, config, numbers):
    with httpx.Client(timeout=60) as client:
        client.post(
            f"{served.url}gradio_api/run/predict",
            json=body(numbers["opened"], "tab", "", {"run": None, "held": []}, True),
        ).raise_for_status()
        assert write(client, served, config, "tab")["success"]
        for number in range(1100):  # more than any table of sessions has
            client.post(
                f"{served.url}gradio_api/run/predict",
                json=body(numbers["rested"], f"other {number}"),
            ).raise_for_status()
        assert write(client, served, config, "tab")["success"]
        assert write(client, served, config, "never seen")["success"]


def test_an_id_that_is_not_there_is_a_sentence(served, config, numbers):
    form = form_of(config, "compare_1", {"model": "no-model"})
    sent = body(numbers["compare_1"], "s", *form)
    with httpx.Client(timeout=60) as client:
        client.post(f"{served.url}gradio_api/queue/join", json=sent)
        address = f"{served.url}gradio_api/queue/data?session_hash=s"
        said = client.get(address).text
    assert "There is no model or run" in said, said


@pytest.mark.parametrize("value", [None, "m", ["m", "other"], []])
def test_any_ids_reach_a_handler(value):
    assert sessions.take_ids(value) == value


@pytest.mark.parametrize("value", [3, {"a": 1}, ["m", 3], ["m"] * 1000])
def test_what_is_no_id_does_not(value):
    with pytest.raises(CharrnnError, match="something else than ids"):
        sessions.take_ids(value)


def test_every_list_of_models_takes_any_id():
    dropdowns = [b for b in app.demo.blocks.values() if isinstance(b, gr.Dropdown)]
    open_lists = [d for d in dropdowns if not d.choices]
    assert len(open_lists) >= 6
    for dropdown in open_lists:
        assert dropdown.preprocess("of a later list") == "of a later list"


def test_changes_of_one_request_are_not_seen_by_the_next():
    holder = sessions.NothingKept()
    holder.set_blocks(app.demo)
    number, block = next(iter(app.demo.blocks.items()))
    first = holder["s"]
    first[number] = "another"
    assert first[number] == "another"
    assert holder["s"][number] is block
    assert "s" not in holder
