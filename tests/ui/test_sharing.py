import dataclasses
from collections.abc import Iterator

import gradio as gr
import pytest

from charrnn.errors import HubError
from charrnn.model import checkpoint, record
from charrnn.runs import store
from charrnn.ui import shared, sharing
from charrnn.ui.shared import NEW_BROWSER, Browser
from charrnn.ui.wiring import SKIP
from charrnn.web import bundle
from tests.builders import ENGLISH, make_folder, make_record
from tests.hub.hub_server import Hub

TOKEN = "hf_" + "a" * 30
EVIL = "<img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with Hub() as running:
        running.add_user("alice", token=TOKEN)
        yield running


@pytest.fixture
def there(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_ID", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    return server


def test_a_model_goes_to_the_hub_and_comes_back(there, isolated):
    make_folder(isolated / "m", make_record(title=f"Mine {EVIL}"))
    said, token = sharing.push(
        ENGLISH, None, None, "m", "model", "alice/mine", False, "", TOKEN, NEW_BROWSER
    )
    assert "Pushed" in said
    assert f'href="{there.url}/alice/mine"' in said
    assert token == ""
    assert there.repositories["alice/mine"].private
    again, _ = sharing.push(
        ENGLISH, None, None, "m", "model", "alice/mine", False, "", TOKEN, NEW_BROWSER
    )
    assert "Nothing had changed" in again
    pulled = sharing.pull(ENGLISH, None, None, "alice/mine", "", TOKEN, NEW_BROWSER)
    assert "is in the Generate tab now" in pulled.pulled
    assert "<img" not in pulled.pulled
    assert pulled.pull_token == ""
    model_id = pulled.model["value"]
    assert checkpoint.read_record(store.find(model_id)).origin.repo == "alice/mine"
    assert model_id in pulled.browser["held"]
    assert TOKEN not in pulled.pulled + said


def test_a_models_web_page_goes_to_a_static_space(there, isolated):
    folder = make_folder(isolated / "m", make_record(title=f"Mine {EVIL}"))
    asked = ("m", "space", "alice/shown", False, "mit", TOKEN, NEW_BROWSER)
    said, token = sharing.push(ENGLISH, None, None, *asked)
    assert f'href="{there.url}/spaces/alice/shown"' in said
    assert token == ""
    space = there.repositories["spaces/alice/shown"]
    assert space.private
    model = checkpoint.load(folder)
    licensed = dataclasses.replace(model.record, license="mit")
    page = bundle.page(dataclasses.replace(model, record=licensed))
    assert space.head.files["index.html"] == page.encode()
    assert "sdk: static" in space.head.files["README.md"].decode()
    again, _ = sharing.push(ENGLISH, None, None, *asked)
    assert "Nothing had changed" in again


def test_what_one_visitor_pulls_another_does_not_see(there, isolated, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    folder = make_folder(isolated / "m", make_record())
    files = {name: (folder / name).read_bytes() for name in record.PUBLIC_FILES[:3]}
    foreign = {"README.md": b"# x", "state/owner": b'{"key_sha256": ""}', "owner": b"x"}
    there.add_repository("alice/secret", {**files, **foreign}, private=True)
    pulled = sharing.pull(ENGLISH, None, None, "alice/secret", "", TOKEN, NEW_BROWSER)
    model_id = pulled.model["value"]
    assert store.ID_PATTERN.fullmatch(model_id)
    assert len(model_id) == 32
    assert Browser.of(pulled.browser).owns(isolated / model_id)  # by a key of its own
    assert not Browser().owns(isolated / model_id)
    inside = {path.name for path in (isolated / model_id).rglob("*")}
    assert inside == {*record.PUBLIC_FILES, "state", "owner", "seen"}
    mine = shared.model_choices("en", Browser.of(pulled.browser))
    nobody = shared.model_choices("en", Browser())
    assert model_id in {value for _, value in mine}
    assert model_id not in {value for _, value in nobody}


def test_a_failure_is_one_sentence_and_escaped(there):
    failed = sharing.pull(ENGLISH, None, None, EVIL, "", TOKEN, NEW_BROWSER)
    assert "names no repository on the Hub" in failed.pulled
    assert "<img" not in failed.pulled
    assert failed.pull_token == SKIP  # never sent back
    assert failed.browser == SKIP


def test_whose_token_is_used(there, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    login = gr.OAuthToken("hf_login", "write", 0)
    assert sharing.token_for("en", " hf_given ", None) == "hf_given"
    assert sharing.token_for("en", "", None) == TOKEN  # the computer's own
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    assert sharing.token_for("en", "", None) is None  # never the page's
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    assert not sharing.has_login()
    monkeypatch.setenv("SPACE_ID", "alice/page")
    assert sharing.token_for("en", "", login) == "hf_login"
    with pytest.raises(HubError, match="Sign in"):
        sharing.token_for("en", "", None)
    assert sharing.reading_token("en", "", None) is None


def test_a_push_needs_a_model_and_a_token(there, isolated, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    make_folder(isolated / "m", make_record())
    said, _ = sharing.push(
        ENGLISH, None, None, None, "model", "a/b", False, "", TOKEN, NEW_BROWSER
    )
    assert "Choose a model" in said
    said, _ = sharing.push(
        ENGLISH, None, None, "m", "model", "a/b", False, "", "", NEW_BROWSER
    )
    assert "access token with write permission is needed" in said
    assert f'href="{there.url}/settings/tokens"' in said
    said, _ = sharing.push(
        ENGLISH, None, None, "m", "model", " ", False, "", "", NEW_BROWSER
    )
    assert "Give the repository" in said
    assert "token" not in said
    assert TOKEN not in said


def test_what_was_chosen_or_followed_last_is_proposed(isolated):
    for name in ("a", "b", "c"):
        make_folder(isolated / name, make_record())
    following = {"run": "c", "held": []}
    for chosen, browser, writing, proposed in (
        (None, NEW_BROWSER, None, None),
        (None, following, None, "c"),
        (None, following, "b", "b"),
        ("a", following, "b", "a"),
        ("gone", following, "gone", "c"),
    ):
        update = sharing.refresh(ENGLISH, chosen, browser, writing)
        assert update.get("value", chosen) == proposed


def test_what_is_odd_in_a_pulled_model_is_shown(there, isolated):
    folder = make_folder(isolated / "m", make_record())
    files = {name: (folder / name).read_bytes() for name in record.PUBLIC_FILES[:3]}
    marked = {"config.json": b"\xef\xbb\xbf" + files["config.json"]}
    there.add_repository("alice/marked", files | marked)
    pulled = sharing.pull(ENGLISH, None, None, "alice/marked", "", TOKEN, NEW_BROWSER)
    assert "config.json begins with a byte-order mark" in pulled.pulled
