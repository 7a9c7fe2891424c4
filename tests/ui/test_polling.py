"""What `page.js` is told when it asks whether anything is new."""

import time

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from charrnn.runs import store
from charrnn.runs.events import EventLog
from charrnn.ui import polling
from tests.builders import make_event, make_folder, make_record


@pytest.fixture
def client():
    with TestClient(Starlette(routes=[polling.route()])) as running:
        yield running


def ask(client, run="", seen=""):
    """The token, which is None where nothing is new, and the seconds to wait."""
    answer = client.get(polling.PATH, params={"run": run, "seen": seen})
    wait = float(answer.headers[polling.WAIT])
    if answer.status_code == 204:
        assert not answer.content
        return None, wait
    return answer.json()["token"], wait


def test_a_page_is_told_of_what_is_new_and_of_nothing_else(run, client):
    with store.hold(run):
        token, wait = ask(client, "my-run")
        assert ask(client, "my-run", token) == (None, 1.0)
        assert wait == 1.0
        EventLog(run).append(make_event("step", 12, loss=2.0))
        time.sleep(polling.LOOK_SECONDS)
        newer, _ = ask(client, "my-run", token)
        assert newer not in (None, token)
    EventLog(run).append(make_event("ended", 12, reason="stopped"))
    time.sleep(polling.LOOK_SECONDS)
    ended, wait = ask(client, "my-run", newer)
    assert ended not in (None, token, newer)
    assert wait == polling.IDLE_SECONDS  # a baseline may come


def test_all_who_follow_a_run_share_a_look(run, client, monkeypatch):
    looks = []
    look = polling.look
    monkeypatch.setattr(polling, "look", lambda name: looks.append(name) or look(name))
    token, _ = ask(client, "my-run")
    assert {ask(client, "my-run", token)[0] for _ in range(50)} == {None}
    assert looks.count("my-run") < 10


def test_a_page_that_follows_nothing_finds_what_a_terminal_started(run, client):
    assert ask(client) == (None, polling.IDLE_SECONDS)
    time.sleep(polling.LOOK_SECONDS)
    with store.hold(run):
        assert ask(client) == ("my-run", polling.IDLE_SECONDS)


def test_a_hosted_page_tells_nothing_of_runs_that_can_be_guessed(
    isolated, run, client, monkeypatch
):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    make_folder(isolated / "owners", make_record())
    for name in ("my-run", "owners", "nothing-there", "../my-run", "x" * 10_000):
        assert ask(client, name)[0] == polling.GONE, name
    with store.hold(run):
        assert ask(client) == (None, 0)  # nothing to ask for


def test_the_state_of_other_runs_is_news_where_one_person_uses_the_page(
    isolated, run, client, small_corpus
):
    token, _ = ask(client, "my-run")
    other = make_folder(isolated / "other", make_record())
    (other / store.STATE).mkdir()
    (other / store.STATE / store.CORPUS_FILE).write_text("a text")
    time.sleep(polling.LOOK_SECONDS)
    assert ask(client, "my-run", token)[0] is not None


def test_a_page_is_told_whether_something_trains(run, client, monkeypatch, isolated):
    def running(followed):
        time.sleep(polling.LOOK_SECONDS)
        answer = client.get(polling.PATH, params={"run": followed})
        return answer.headers[polling.RUNNING]

    make_folder(isolated / "other", make_record())
    with store.hold(run):
        # the followed one; any on one's own computer; never a stranger's
        assert [running(name) for name in ("my-run", "other", "")] == ["1", "1", "1"]
        monkeypatch.setenv("CHARRNN_HOSTED", "1")
        assert running("") == "0"
    monkeypatch.delenv("CHARRNN_HOSTED")
    EventLog(run).append(make_event("ended", 12, reason="stopped"))
    assert [running(name) for name in ("my-run", "other", "")] == ["0", "0", "0"]
