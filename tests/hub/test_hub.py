"""Push and pull: the real client against a Hub of our own on this machine.

Whole transfers run as they do for a person, in the other process. The long
table of failures runs `hub.client` in this one, which is quicker; it is the
same code and the same library.
"""

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from charrnn import card
from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError, HubError, RunError
from charrnn.files import is_safe, one_line
from charrnn.hosting import Visitor, policy
from charrnn.hub import client as client_module
from charrnn.hub import names, transfer
from charrnn.hub.pull import _place, pull_model
from charrnn.hub.push import push_model, push_space
from charrnn.model import checkpoint, generation
from charrnn.model.record import PUBLIC_FILES, Origin, parse_record
from charrnn.runs import store
from charrnn.runs.owner import new_owner
from charrnn.text.vocabulary import Vocabulary
from charrnn.web import bundle
from tests.builders import (
    HOSTILE,
    make_folder,
    make_record,
    program_in,
    rows,
    run_program,
    unambiguous_text,
)
from tests.hub.hub_server import Hub

ALICE, READER, BOB = "hf_alice_secret", "hf_reader_secret", "hf_bob_secret"
PUBLIC = sorted(PUBLIC_FILES)
PATIENT = transfer.Limits(first=60.0)  # a busy machine is slow
SHORT = transfer.Limits(first=10.0, idle=1.0)  # the first byte may find a busy machine


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def there(server: Hub) -> Hub:
    """The server, empty but for its users."""
    server.repositories.clear()
    server.storage.clear()
    server.log.clear()
    server.faults.clear()
    server.bare_401 = False
    server.add_user("alice", token=ALICE)
    server.add_user("alice", token=READER, role="read")
    server.add_user("bob", token=BOB)
    return server


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model, card included; tests that change it take a copy."""
    folder = make_folder(tmp_path_factory.mktemp("models") / "finished", make_record())
    card.write_card(folder)
    return folder


@pytest.fixture
def model(finished: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in PUBLIC_FILES:
        (folder / name).write_bytes((finished / name).read_bytes())
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def public_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PUBLIC_FILES}


def texts(folder: Path) -> list[str]:
    loaded = checkpoint.load(folder)
    return list(
        generation.generate(loaded, "abc", length=50, rows=rows(0.0, 0.5, 1.0, seed=5))
    )[-1]


def connected(
    server: Hub, token: str | None, settings: dict[str, Any]
) -> transfer.Connection:
    """A connection to the server, with what the settings say of one taken out."""
    settings.setdefault("limits", PATIENT)
    fields = ("token", "endpoint", "on_progress", "limits")
    given = {name: settings.pop(name) for name in fields if name in settings}
    return transfer.Connection(**{"token": token, "endpoint": server.url, **given})


def push(folder: Path, server: Hub, repo: str = "alice/model", **settings: Any) -> Any:
    return push_model(folder, repo, connected(server, ALICE, settings), **settings)


def pull(source: str, models: Path, server: Hub, **settings: Any) -> Any:
    connection = connected(server, None, settings)
    return pull_model(source, connection, destination=models, **settings)


def nothing_in(folder: Path) -> bool:
    return list(folder.iterdir()) == []


# --- there and back --------------------------------------------------------


def test_a_pushed_and_pulled_model_writes_the_same(there, model, models):
    (model / ".env").write_text("SECRET=1")
    (model / "state").mkdir()
    (model / "state" / "corpus.txt").write_text("the corpus itself")
    (model / "events.jsonl").write_text("{}\n")
    (model / "link").symlink_to("/etc/hostname")
    stages: list[str] = []
    pushed = push(
        model,
        there,
        license="mit",
        message="Try\nthis",
        on_progress=lambda stage, *_: stages.append(stage),
    )
    repository = there.repositories["alice/model"]
    assert repository.private
    assert pushed.private
    assert not pushed.unchanged
    assert pushed.commit == repository.head.sha
    assert pushed.url == f"{there.url}/alice/model"
    assert sorted(repository.head.files) == sorted([".gitattributes", *PUBLIC])
    assert len(repository.commits) == 2  # the Hub's own first one, and one push
    assert repository.head.message == "Try this"
    assert repository.head.files["README.md"] == (model / "README.md").read_bytes()
    pushed_config = parse_record(repository.head.files["config.json"])
    assert pushed_config.license == "mit"
    assert checkpoint.read_record(model) == pushed_config
    assert 'given.get(1, "alice/model")' in (model / "README.md").read_text("utf-8")
    assert list(dict.fromkeys(stages)) == ["preparing", "connecting", "uploading"]

    pulled = pull(f"{there.url}/alice/model", models, there, token=ALICE)
    assert pulled.revision == pushed.commit
    assert (pulled.model_id, pulled.path) == ("model", models / "model")
    assert not pulled.unchanged
    assert sorted(file.name for file in pulled.path.iterdir()) == PUBLIC
    assert [entry.name for entry in models.iterdir()] == ["model"]  # no traces
    assert texts(pulled.path) == texts(model)
    origin = checkpoint.read_record(pulled.path).origin
    assert origin == Origin(repo="alice/model", revision=pushed.commit)
    for request in there.log:
        to_storage = request.host.startswith("localhost")
        assert request.authorization == (None if to_storage else f"Bearer {ALICE}")
    assert there.requests("PUT", "^/storage/")
    assert there.requests("GET", "^/storage/")
    sent = b"".join(request.body for request in there.log)
    assert b"SECRET" not in sent
    assert b"the corpus itself" not in sent


def test_the_same_again_changes_nothing_and_says_so(there, model, models):
    first = push(model, there, private=False, license="cc0-1.0")
    second = push(model, there, private=False)
    assert second == dataclasses.replace(first, unchanged=True)
    assert len(there.repositories["alice/model"].commits) == 2
    one = pull("alice/model", models, there)
    log = len(there.log)
    again = pull(f"hf://alice/model@{one.revision}", models, there)
    assert again == dataclasses.replace(one, unchanged=True)
    assert len(there.log) == log + 1  # asked whether it may, downloaded nothing


def test_an_existing_public_repository_is_not_taken_for_private(there, model):
    there.add_repository("alice/model", {})
    with pytest.raises(HubError, match=r"exists and is public: .* choose public"):
        push(model, there)
    assert not there.requests("POST", "commit|preupload|objects")


def test_a_private_repository_stays_private_when_public_was_chosen(there, model):
    there.add_repository("alice/model", {}, private=True)
    assert push(model, there, private=False, keep_card=False).private
    assert there.repositories["alice/model"].private
    assert "alice/model" not in (model / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", PUBLIC)
def test_no_link_is_followed_out_of_the_folder(there, model, tmp_path, name):
    (tmp_path / "elsewhere").write_bytes((model / name).read_bytes())
    (model / name).unlink()
    (model / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is a link to another file"):
        push(model, there)
    (model / name).unlink()
    os.mkfifo(model / name)
    with pytest.raises(CheckpointError, match="is no plain file"):
        push(model, there)
    assert there.log == []


def test_a_model_without_weights_is_not_pushed(there, model):
    (model / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="once its training has saved one"):
        push(model, there)
    assert there.log == []


def test_revisions_are_branches_tags_and_commits(there, model, models):
    old = public_files(model)
    new = dict(old) | {"README.md": b"# newer\n"}
    repository = there.add_repository("alice/model", old)
    first = repository.refs["main"]
    repository.refs["v1.0"] = first
    repository.refs["refs/pr/1"] = first
    second = repository.commit(new, "newer")
    assert pull("alice/model", models, there).revision == second
    tagged = pull("alice/model@v1.0", models, there)
    assert (tagged.revision, tagged.model_id) == (first, "model-2")
    repository.refs["feature/six"] = first
    found = pull(f"{there.url}/alice/model/tree/feature%2Fsix", models, there)
    assert (found.model_id, found.unchanged) == ("model-2", True)
    found = pull("alice/model@refs/pr/1", models, there)
    assert (found.model_id, found.unchanged) == ("model-2", True)
    assert sorted(path.name for path in models.iterdir()) == ["model", "model-2"]


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_the_cards_program_downloads_and_runs_the_model(there, tmp_path, cell):
    folder = make_folder(tmp_path / "m", make_record(cell, 2))
    program = program_in(card.write_card(folder, source="alice/model"))
    there.add_repository("alice/model", public_files(folder))
    environment = {
        "HF_ENDPOINT": there.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_TOKEN": "",
    }
    written = run_program(program, "alice/model", "", "0", "40", **environment)
    assert written == unambiguous_text(checkpoint.load(folder), "", 40)


# --- names, ids, visitors --------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice/play", ("alice/play", None)),
        ("  alice/play@v1 ", ("alice/play", "v1")),
        ("hf://alice/play", ("alice/play", None)),
        ("hf://models/alice/play@refs/pr/2", ("alice/play", "refs/pr/2")),
        ("https://huggingface.co/alice/play/", ("alice/play", None)),
        ("huggingface.co/alice/play?x=1#y", ("alice/play", None)),
        ("https://hf.co/alice/play/tree/v2", ("alice/play", "v2")),
        ("https://hf.co/alice/p/tree/refs%2Fpr%2F1", ("alice/p", "refs/pr/1")),
        ("https://hf.co/alice/play/tree/feature%2Fsix", ("alice/play", "feature/six")),
        ("https://hf.co/alice/play/tree/a%2Fb%2Fc/folder", ("alice/play", "a/b/c")),
        ("https://hf.co/alice/play/tree/v1%2B2%40x", ("alice/play", "v1+2@x")),
        ("https://hf.co/alice/play/tree/refs/pr/1/folder", ("alice/play", "refs/pr/1")),
        ("hf://alice/play@feature%2Fsix", ("alice/play", "feature/six")),
        ("https://hf.co/alice/play/blob/main/config.json", ("alice/play", "main")),
        ("https://hf.co/alice/play/commit/" + "a" * 40, ("alice/play", "a" * 40)),
        ("http://hub.example:8080/alice/play", ("alice/play", None)),
    ],
)
def test_a_source_is_understood_however_it_is_given(text, expected):
    assert names.parse_source(text, "http://hub.example:8080") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "play", "a/b/c", "../..", "a/..", "a/b--c", "a/b.git", "-a/b", "a /b"),
        *("a/" + "b" * 100, "alice/plä", "alice/play@../x", "alice/play@-x", "\x00/x"),
        *("https://example.com/alice/play", "file:///etc/passwd", "ftp://hf.co/a/b"),
        *("hf://datasets/alice/play", "https://hf.co/spaces/alice/play"),
        *("https://hf.co/a/b/tree/x%2F..%2Fy", "https://hf.co/a/b/tree/%00"),
        *("https://hf.co/a%2Fb/c/tree/main", "a/b@\u202emain"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(text):
    with pytest.raises(HubError, match=r"expected .*\.$") as caught:
        names.parse_source(text)
    assert is_safe(str(caught.value))


def test_a_token_in_the_wrong_field_is_not_repeated():
    with pytest.raises(HubError) as caught:
        names.parse_source(ALICE)
    assert "secret" not in str(caught.value)


def test_a_taken_id_is_never_replaced(there, model, models):
    there.add_repository("alice/model", public_files(model))
    (models / "mine").mkdir()
    with pytest.raises(HubError, match="'mine' is taken"):
        pull("alice/model", models, there, model_id="mine")
    with pytest.raises(HubError, match="cannot be an id"):
        pull("alice/model", models, there, model_id="../mine")
    with pytest.raises(HubError, match="Two revisions"):
        pull("alice/model@a", models, there, revision="b")
    assert there.log == []
    assert pull("alice/model", models, there, model_id="other").model_id == "other"
    there.repositories["alice/model"].commit({"README.md": b"x"}, "newer")
    with pytest.raises(HubError, match="'other' holds another commit"):
        pull("alice/model", models, there, model_id="other")
    assert (models / "other" / "README.md").read_bytes() != b"x"


def test_a_folder_that_appears_meanwhile_is_left_alone(model, models):
    ready = models / ".pull" / "model"
    ready.parent.mkdir()
    model.rename(ready)
    (models / "play").mkdir()
    (models / "play" / "theirs").write_text("theirs")
    placed = _place(ready, models, None, "alice/play")
    assert placed.name == "play-2"
    assert (models / "play" / "theirs").read_text() == "theirs"


def test_what_a_killed_page_left_behind_is_swept(there, model, models):
    old, young = models / ".pull-old", models / ".pull-young"
    for folder in (old, young):
        (folder / "files").mkdir(parents=True)
    os.utime(old, (0, 0))
    there.add_repository("alice/model", public_files(model))
    pull("alice/model", models, there)
    assert sorted(path.name for path in models.iterdir()) == [".pull-young", "model"]


def test_the_shipped_models_id_is_not_taken_over(models):
    assert store.is_taken(models, store.SHIPPED_ID) == (
        (store.shipped_folder() / store.SHIPPED_ID).exists()
    )


def test_visitors_of_a_hosted_page_learn_nothing_of_each_other(
    there, model, models, monkeypatch
):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    there.add_repository("alice/model", public_files(model), private=True)
    mine = pull("alice/model", models, there, token=ALICE)
    assert len(mine.model_id) == 32  # no name to guess
    with pytest.raises(HubError, match="this page's login opens only"):
        pull("alice/model", models, there, token=BOB)
    again = pull("alice/model", models, there, token=ALICE)
    assert not again.unchanged
    assert again.model_id != mine.model_id
    assert {path.name for path in models.iterdir()} == {mine.model_id, again.model_id}


def test_a_model_of_too_many_parameters_is_not_taken_in(
    there, model, models, monkeypatch
):
    there.add_repository("alice/model", public_files(model))
    monkeypatch.setenv("CHARRNN_MAX_PARAMETERS", "1000")
    with pytest.raises(HubError, match="at most 1,000 are taken in here"):
        pull("alice/model", models, there)
    assert list(models.iterdir()) == []


def test_a_visitor_who_pulls_twice_at_once_keeps_what_one_may_keep(
    there, model, models, monkeypatch
):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setenv("CHARRNN_RUNS_PER_VISITOR", "1")
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(models))
    there.add_repository("alice/model", public_files(model))
    who = new_owner(Visitor("a", "1.1.1.1"), page=True)

    def try_to_pull(_: int) -> str:
        try:
            return pull("alice/model", models, there, owner=who).model_id
        except RunError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(try_to_pull, range(2)), key=len, reverse=True)
    kept = [path.name for path in models.glob("[!.]*")]
    assert told[0] == "1 of your runs are kept here already: delete one first."
    assert told[1:] == kept


# --- tokens ----------------------------------------------------------------


def test_the_servers_own_token_is_never_used(there, model, models, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ALICE)
    monkeypatch.setenv("HF_DEBUG", "1")
    there.add_repository("alice/model", public_files(model), private=True)
    with pytest.raises(HubError, match="for a private one give an access token"):
        pull("alice/model", models, there)
    assert [request.authorization for request in there.log] == [None]
    with pytest.raises(HubError, match="needs an access token"):
        push(model, there, token=" ")
    assert transfer.local_token() == ALICE
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    assert transfer.local_token() is None


@pytest.mark.parametrize(
    "token", ["hf_a b c d", "hf_a\nb_secret", "hf_ümlaut", "short"]
)
def test_what_is_no_token_is_refused_without_repeating_it(there, model, token):
    with pytest.raises(HubError, match="no access token") as caught:
        push(model, there, token=token)
    assert token not in str(caught.value)
    assert there.log == []


def test_a_token_is_nowhere_to_be_read(there, model, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"error": f"you sent {ALICE}"}).encode()
    there.fail("POST", "/commit/", status=403, body=echo)
    told: list[object] = []
    with pytest.raises(HubError) as caught:
        push(model, there, token=f" {ALICE}\n", on_progress=lambda *a: told.append(a))
    assert "you sent [token]" in str(caught.value)
    output = capfd.readouterr()
    everything = [caught.value, caught.value.__cause__, told, output, caplog.text]
    assert ALICE not in repr(everything)
    assert ALICE not in (model / "README.md").read_text("utf-8")


# --- time ------------------------------------------------------------------


def timed(call: Any, *arguments: Any, **settings: Any) -> tuple[str, float]:
    """The sentence that a call fails with, and the seconds until then."""
    start = time.monotonic()
    with pytest.raises(HubError) as caught:
        call(*arguments, **settings)
    return str(caught.value), time.monotonic() - start


def large_model(folder: Path) -> Path:
    """Some 2 MB of weights: many pieces."""
    model = ModelConfig(
        cell="gru", embedding_dim=8, rnn_units=400, vocab_size=len("\n") + 1
    )
    record = dataclasses.replace(make_record(), model=model)
    make_folder(folder, dataclasses.replace(make_record(), title="large"))
    checkpoint.save_record(folder, record)
    checkpoint.save_vocabulary(folder, Vocabulary.of("\n"))
    zeros = {n: np.zeros(s, np.float32) for n, s in model.tensor_shapes().items()}
    checkpoint.save_weights(folder, model, zeros)
    return folder


@pytest.mark.parametrize(
    ("where", "limits", "told"),
    [
        (
            "/api/repos/create",
            transfer.Limits(first=1.0),
            "not answer within 1 seconds",
        ),
        ("/commit/", SHORT, "took nothing more for 1 seconds: push again"),
    ],
)
def test_a_server_that_never_answers_hangs_no_push(there, model, where, limits, told):
    there.fail("POST", where, hang=True)
    sentence, seconds = timed(push, model, there, limits=limits)
    assert f"127.0.0.1:{there.port}" in sentence
    assert told in sentence
    assert seconds < 12


def test_a_server_that_never_answers_hangs_no_pull(there, model, models):
    there.add_repository("alice/model", public_files(model))
    there.fail("GET", "/storage/", hang=True)
    sentence, seconds = timed(pull, "alice/model", models, there, limits=SHORT)
    assert "sent nothing more for 1 seconds: try again" in sentence
    assert seconds < 12
    assert nothing_in(models)


def test_a_long_upload_that_moves_is_no_failure(there, tmp_path):
    folder = large_model(tmp_path / "large")
    there.fail("PUT", "/storage/", slow=0.12)
    done: list[int] = []
    start = time.monotonic()
    limits = transfer.Limits(idle=2.0)
    push(folder, there, limits=limits, on_progress=lambda _, n, total: done.append(n))
    assert time.monotonic() - start > 1.5 * limits.idle
    assert done == sorted(done)
    assert len(set(done)) > 5


def test_an_upload_that_stops_moving_ends(there, tmp_path):
    folder = large_model(tmp_path / "large")
    there.fail("PUT", "/storage/", hang=True)
    sentence, _ = timed(push, folder, there, limits=SHORT)
    assert "took nothing more for 1 seconds: push again" in sentence
    assert len(there.repositories["alice/model"].commits) == 1


def test_retries_do_not_outlast_the_clock_and_say_why(there, model):
    there.fail("POST", "/preupload/", status=429, headers={"Retry-After": "300"})
    sentence, seconds = timed(push, model, there, limits=transfer.Limits(first=3.0))
    assert "limits how often it may be asked" in sentence
    assert seconds < 12


def test_who_calls_can_end_it(there, model):
    there.fail("POST", "/commit/", hang=True)

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "uploading":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(model, there, on_progress=progress)
    commands = [child.cmdline() for child in psutil.Process().children()]
    assert not [command for command in commands if "charrnn.hub.client" in command]


def test_the_other_process_ends_with_this_one(there, tmp_path):
    there.fail("GET", "/api/models/", hang=True)
    job = {"action": "pull", "repo": "alice/model", "token": None, "revision": None}
    job |= {"endpoint": there.url, "folder": str(tmp_path), "known": [], "max_bytes": 1}
    job["visitor"] = False
    with subprocess.Popen(
        [sys.executable, "-m", "charrnn.hub.client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=transfer._environment(tmp_path),
    ) as process:
        process.communicate(json.dumps(job).encode() + b"\n", timeout=20)
        assert process.returncode == 1


def test_a_process_that_breaks_down_is_a_sentence_too(there, models):
    there.fail("GET", "/api/models/", status=200, body=b'{"surprise": 1}')
    with pytest.raises(HubError, match=r"The pull broke off \(KeyError.*\): try again"):
        pull("alice/model", models, there, token=ALICE)


# --- every other failure, in this process ----------------------------------


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """`hub.client` without the library's pauses, telemetry and Xet."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    no_pause = types.SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(_http, "time", no_pause)
    monkeypatch.setattr(file_download, "time", no_pause)
    with warnings.catch_warnings():  # huggingface_hub 2.4 with httpx2
        warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
        yield client_module
    _http.set_client_factory(_http.default_client_factory)


def work(client: Any, server: Hub, folder: Path, action: str, **job: Any) -> dict:
    """Do a job; its last answer."""
    defaults = {
        "push": {"private": True, "message": "m"},
        "pull": {"revision": None, "known": [], "max_bytes": 10**6},
    }
    common = {"action": action, "repo": "alice/model", "token": ALICE}
    common |= {"endpoint": server.url, "folder": str(folder)}
    common["visitor"] = not policy().owner_token
    answers: list[dict] = []
    job = common | defaults[action] | job
    client.run(job, lambda kind, **fields: answers.append({"kind": kind, **fields}))
    return answers[-1]


def failure(*arguments: Any, **job: Any) -> str:
    answer = work(*arguments, **job)
    assert answer["kind"] == "failed"
    sentence = answer["message"]
    assert sentence.endswith(".")
    assert is_safe(sentence)
    assert "hf_" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ({"token": "hf_wrong_secret"}, "does not accept this access token: it is mis"),
        ({"token": READER}, "may not push alice/model (You have no rights to write"),
        ({"repo": "bob/model"}, "may not push bob/model (You have no rights to write"),
        ({"token": None}, "finds no alice/model that this token may write to"),
        ({"endpoint": "http://127.0.0.1:9"}, "127.0.0.1:9 cannot be reached"),
        ({"repo": "alice/mo..del"}, "expected owner/name"),
    ],
)
def test_a_push_that_is_not_allowed_says_so(client, there, model, job, sentence):
    assert sentence in failure(client, there, model, "push", **job)
    assert "alice/model" not in there.repositories


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (("POST", "/commit/", {"status": 412}), "changed by someone else meanwhile"),
        (("POST", "/commit/", {"status": 500}), "has a problem of its own (HTTP 500)"),
        (("POST", "/create", {"status": 503}), "has a problem of its own (HTTP 503)"),
        (("POST", "/preupload/", {"status": 502}), "problem of its own (HTTP 502)"),
        (("POST", "/create", {"status": 429}), "limits how often it may be asked"),
        (("POST", "/create", {"status": 418}), "refused (HTTP 418) (injected)."),
        (("POST", "/commit/", {"status": 413}), "finds the files too large"),
        (("PUT", "/storage/", {"status": 403}), "file storage answered HTTP 403"),
        (("PUT", "/storage/", {"status": 503}), "file storage answered HTTP 503"),
        (("POST", "/verify", {"status": 404}), "finds no alice/model"),
        (("POST", "validate-yaml", {"status": 200, "body": b"<html>"}), "HF_ENDPOINT"),
        (("GET", "/api/models/", {"status": 200, "body": b"<html>"}), "HF_ENDPOINT"),
        (("POST", "/commit/", {"cut_after": 5}), "broke off: try again"),
    ],
)
def test_a_push_that_fails_says_what_to_do(client, there, model, fault, sentence):
    method, pattern, settings = fault
    there.fail(method, pattern, **settings)
    assert sentence in failure(client, there, model, "push")


def test_a_storage_that_refuses_a_file_is_understood(client, there, model):
    answer = {"oid": "a" * 64, "size": 1, "error": {"code": 422, "message": "too big"}}
    body = json.dumps({"objects": [answer]}).encode()
    there.fail("POST", "/objects/batch", status=200, body=body)
    assert "file storage refused a file (LFS batch" in failure(
        client, there, model, "push"
    )


def test_a_licence_that_the_hub_does_not_know_is_understood(client, there, model):
    card.write_card(model, license="bad")
    sentence = failure(client, there, model, "push")
    assert "does not take the card (Invalid metadata in README.md." in sentence
    assert '"license" must be one of' in sentence


def test_a_commit_in_between_is_not_overwritten(client, there, model):
    repository = there.add_repository("alice/model", {}, private=True)
    original = there.storage

    class Storage(dict):  # somebody commits while we upload
        def __setitem__(self, key: str, value: bytes) -> None:
            super().__setitem__(key, value)
            repository.commit({"theirs": b"1"}, "theirs")

    there.storage = Storage()
    try:
        assert "changed by someone else" in failure(client, there, model, "push")
    finally:
        there.storage = original
    assert sorted(repository.head.files) == [".gitattributes", "theirs"]


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ({"repo": "alice/none"}, "no model alice/none on 127.0.0.1"),
        ({"repo": "alice/none", "token": None}, "for a private one give an access"),
        ({"token": None}, "for a private one give an access token or log in"),
        ({"token": BOB}, "check the name and what your access token may read"),
        ({"token": "hf_wrong_secret"}, "does not accept this access token"),
        ({"revision": "v9"}, "has no revision 'v9': expected a branch, a tag or a c"),
        ({"revision": "0a1b2c3"}, "all 40 digits. This one has 7: copy the whole"),
        ({"revision": "ein\u00a0Zweig\u202e"}, "no revision 'ein\u00a0Zweig\\u202e'"),
        ({"endpoint": "http://127.0.0.1:9"}, "127.0.0.1:9 cannot be reached"),
        ({"max_bytes": 100}, "bytes: at most 100 are taken here"),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_a_pull_that_is_not_allowed_says_so(
    client, there, model, tmp_path, job, sentence, bare
):
    there.bare_401 = bare
    there.add_repository("alice/model", public_files(model), private=True)
    assert sentence in failure(client, there, tmp_path / "f", "pull", **job)
    assert not there.requests("GET", "/resolve/")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ((403, {"X-Error-Code": "GatedRepo"}, "Gated"), "accept its conditions"),
        (
            (
                403,
                {"X-Error-Message": "Access to this resource is disabled."},
                "Access to this resource is disabled.",
            ),
            "has disabled alice/model",
        ),
    ],
)
def test_a_gated_or_disabled_model_says_so(client, there, tmp_path, error, sentence):
    there.add_repository("alice/model", {}).error = error
    assert sentence in failure(client, there, tmp_path, "pull")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (("GET", "/api/models/", {"status": 500}), "problem of its own (HTTP 500)"),
        (("GET", "/api/models/", {"status": 429}), "limits how often"),
        (("GET", "/api/models/", {"status": 200, "body": b"<html>"}), "HF_ENDPOINT"),
        (("HEAD", "/resolve/", {"status": 500}), "problem of its own (HTTP 500)"),
        (("HEAD", "config.json", {"status": 404}), "alice/model"),
        (("GET", "/storage/", {"status": 403}), "file storage answered HTTP 403"),
        (("GET", "/storage/", {"corrupt": True}), "its checksum differs"),
        (("GET", "vocab.json", {"corrupt": True}), "its checksum differs"),
        (("GET", "/storage/", {"cut_after": 9}), "broke off: try again"),
    ],
)
def test_a_pull_that_fails_says_what_to_do(
    client, there, model, tmp_path, fault, sentence
):
    method, pattern, settings = fault
    there.add_repository("alice/model", public_files(model))
    there.fail(method, pattern, **settings)
    assert sentence in failure(client, there, tmp_path / "f", "pull")


def test_a_warm_hub_that_fails_gives_no_old_copy(client, there, model, tmp_path):
    """The library would answer from its cache; there is none."""
    there.add_repository("alice/model", public_files(model), private=True)
    assert work(client, there, tmp_path, "pull")["kind"] == "done"
    assert "give an access" in failure(client, there, tmp_path, "pull", token=None)
    there.fail("GET", "/api/models/", status=500)
    assert "HTTP 500" in failure(client, there, tmp_path, "pull")


def test_a_download_that_is_cut_once_goes_on(client, there, model, tmp_path):
    there.add_repository("alice/model", public_files(model))
    there.fail("GET", "/storage/", cut_after=1000, times=1)
    assert work(client, there, tmp_path, "pull")["kind"] == "done"
    assert public_files(tmp_path) == public_files(model)


def test_working_offline_is_said(client, there, model, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "unset HF_HUB_OFFLINE" in failure(client, there, model, "push")


def test_xet_would_fail_in_a_sentence(client, there, model, tmp_path, monkeypatch):
    """It is switched off; were it on, a Hub without it must not puzzle anyone."""
    error = ConnectionError("Xet: no such endpoint")
    job = {"action": "push", "repo": "a/b", "token": None, "endpoint": there.url}
    assert client.sentence_of(error, job) == (
        "The push failed (ConnectionError: Xet: no such endpoint): try again."
    )
    assert transfer._environment(tmp_path)["HF_HUB_DISABLE_XET"] == "1"
    full = OSError(28, "No space left on device")
    assert client.sentence_of(full, job).startswith("The disk is full")


def test_only_the_four_files_are_ever_downloaded(client, there, model, tmp_path):
    extra = {"evil.pkl": b"\x80", "pytorch_model.bin": b"x", "a/config.json": b"{}"}
    there.add_repository("alice/model", public_files(model) | extra)
    assert work(client, there, tmp_path, "pull")["kind"] == "done"
    asked = {r.path.rpartition("/")[2] for r in there.requests("GET", "/resolve/")}
    assert asked == set(PUBLIC) - {"model.safetensors"}  # that one is redirected


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"config.json": None}, "is not a charrnn model: it has no config.json"),
        ({"model.safetensors": None}, "it has no model.safetensors"),
        ({"config.json": b" " * 70_000}, "config.json of alice/model has 70000 bytes"),
        ({"vocab.json": b" " * 1_000_001}, "at most 1,000,000 are taken"),
        ({"config.json": b"{}"}, "config.json has no format_version"),
        ({"config.json": b"[" * 60_000}, "is not JSON"),
        ({"config.json": b'{"format_version": 3}'}, "format_version 3"),
        ({"config.json": b'{"model_type": "gpt2"}'}, "another library (transformers)"),
        (
            {"config.json": b'{"model_type": "gpt2"}', "vocab.json": b" " * 1_000_001},
            "another library (transformers)",
        ),
        ({"model.safetensors": b"short"}, "configuration implies"),
    ],
)
def test_a_hostile_repository_is_refused_early(
    client, there, model, tmp_path, change, sentence
):
    files = {n: d for n, d in (public_files(model) | change).items() if d is not None}
    there.add_repository("alice/model", files)
    assert sentence in failure(client, there, tmp_path / "f", "pull")
    assert not there.requests("GET", "/storage/")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("vocab.json", b'["[UNK]"]'),
        ("model.safetensors", None),  # the right size, garbage
    ],
)
def test_a_damaged_model_never_appears(there, model, models, name, data):
    files = public_files(model)
    files[name] = data if data is not None else b"\x07" * len(files[name])
    there.add_repository("alice/model", files)
    with pytest.raises(HubError, match="no model that charrnn can open: "):
        pull("alice/model", models, there)
    assert nothing_in(models)


def test_more_bytes_than_announced_are_not_taken(client, tmp_path):
    meter = client._Meter(10, lambda *_: None)
    meter.update(10)
    with pytest.raises(HubError, match="more than the files' size"):
        meter.update(1)


def test_a_byte_order_mark_in_a_pulled_configuration_is_said(there, model, models):
    files = public_files(model)
    whole = files["config.json"]
    there.add_repository(
        "alice/model", files | {"config.json": b"\xef\xbb\xbf" + whole}
    )
    pulled = pull("alice/model", models, there)
    (notice,) = pulled.notices
    assert notice.startswith("config.json begins with a byte-order mark")
    assert checkpoint.load(pulled.path).notices == ()  # it is written without


def test_a_card_is_not_needed_to_pull(there, model, models):
    files = public_files(model)
    del files["README.md"]
    there.add_repository("alice/model", files)
    pulled = pull("alice/model", models, there)
    assert not (pulled.path / "README.md").exists()
    assert texts(pulled.path) == texts(model)


# --- a model's web page as a static Space ------------------------------------------

SPACE_FILES = [".gitattributes", "README.md", "index.html"]


def share(folder: Path, server: Hub, repo: str = "alice/page", **settings: Any) -> Any:
    """Push the web page of a model to a Space."""
    connection = connected(server, ALICE, settings)
    loaded = checkpoint.load(folder)
    told = [name for name in ("title", "origin") if name in settings]
    changes = {name: settings.pop(name) for name in told}
    record = dataclasses.replace(loaded.record, **changes)
    content = bundle.page(dataclasses.replace(loaded, record=record))
    return push_space(content, record, repo, connection, **settings)


def test_a_space_holds_the_page_and_links_the_model(there, model):
    (model / ".env").write_text("SECRET=1")
    pushed = share(model, there, origin=Origin(repo="bob/original", revision="0" * 40))
    repository = there.repositories["spaces/alice/page"]
    assert (repository.private, repository.sdk) == (True, "static")
    assert (pushed.private, pushed.unchanged) == (True, False)
    assert pushed.url == f"{there.url}/spaces/alice/page"
    assert pushed.commit == repository.head.sha
    assert len(repository.commits) == 2  # the Hub's own first one, and one push
    assert sorted(repository.head.files) == SPACE_FILES  # its samples are gone
    page = repository.head.files["index.html"].decode()
    assert page.startswith("<!doctype html>")
    front, text = repository.head.files["README.md"].decode().split("---\n")[1:]
    assert yaml.safe_load(front) == {
        **{"title": "Test", "emoji": "📜", "colorFrom": "green", "colorTo": "gray"},
        **{"sdk": "static", "app_file": "index.html", "pinned": False},
        **{"models": ["bob/original"], "tags": ["charrnn-web-page"]},
    }
    assert f"({there.url}/bob/original)" in text
    assert "alice/page" not in there.repositories  # the model's repository is another
    assert b"SECRET" not in b"".join(request.body for request in there.log)


def test_the_same_page_again_changes_nothing_and_another_one_replaces_it(there, model):
    first = share(model, there, private=False, model_repo="alice/model")
    assert not there.repositories["spaces/alice/page"].private
    again = share(model, there, private=False, model_repo="alice/model")
    assert again == dataclasses.replace(first, unchanged=True)
    assert len(there.repositories["spaces/alice/page"].commits) == 2
    other = share(model, there, private=False, title="Another", message="New\ntitle")
    head = there.repositories["spaces/alice/page"].head
    assert (other.unchanged, head.message) == (False, "New title")
    assert b'<h1 dir="auto">Another</h1>' in head.files["index.html"]
    assert sorted(head.files) == SPACE_FILES


@pytest.mark.parametrize("title", [*HOSTILE, "a: b\n- c", "---", "[x](javascript:1)"])
def test_a_strangers_title_stays_text_in_a_spaces_readme(title):
    record = dataclasses.replace(make_record(), title=title, license="mit")
    text = card.space_card(record, "alice/model", "https://hub.example")
    _, front, body = text.split("---\n", 2)
    found = yaml.safe_load(front)
    assert found["title"] == one_line(title, None)
    assert found["license"] == "mit"
    assert "<" not in body.replace("\\<", "")
    assert "](javascript" not in body


def test_a_hostile_origin_is_not_linked(there, model):
    origin = Origin(repo="x](javascript:alert(1))", revision="0")
    share(model, there, origin=origin)
    readme = there.repositories["spaces/alice/page"].head.files["README.md"]
    assert b"javascript" not in readme
    assert b"models:" not in readme


@pytest.mark.parametrize(
    ("sdk", "files", "sentence"),
    [
        ("gradio", {"app.py": b"1"}, "is a Space that runs gradio, no static page"),
        ("static", {"game.js": b"1"}, "a Space with other files, like game.js"),
        ("static", {"index.html": b"mine"}, "is a Space that charrnn has not made"),
    ],
)
def test_a_space_that_is_not_ours_is_left_alone(there, model, sdk, files, sentence):
    repository = there.add_repository("spaces/alice/page", files, private=True)
    repository.sdk = sdk
    with pytest.raises(HubError, match=re.escape(sentence)):
        share(model, there)
    assert len(repository.commits) == 2
    assert not there.requests("POST", "commit/|preupload|objects")


def test_a_public_space_is_not_taken_for_private(there, model):
    share(model, there, private=False)
    with pytest.raises(HubError, match=r"exists and is public: .* choose public"):
        share(model, there, title="Another")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (("POST", "/commit/", {"status": 412}), "changed by someone else meanwhile"),
        (("POST", "/commit/", {"status": 413}), "finds the files too large"),
        (("POST", "/create", {"status": 503}), "has a problem of its own (HTTP 503)"),
        (("GET", "/api/spaces/", {"status": 200, "body": b"<html>"}), "HF_ENDPOINT"),
        (("POST", "/commit/", {"cut_after": 5}), "broke off: try again"),
    ],
)
def test_a_space_that_fails_says_what_to_do(
    client, there, model, tmp_path, fault, sentence
):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "README.md").write_text(card.space_card(make_record(), None, there.url))
    (folder / "index.html").write_text("<!doctype html>")
    method, pattern, settings = fault
    there.fail(method, pattern, **settings)
    assert sentence in failure(client, there, folder, "push", space=True)


def test_a_space_needs_a_token_and_a_name(there, model):
    with pytest.raises(HubError, match="A push needs an access token"):
        share(model, there, token=None)
    for settings in ({"repo": "page"}, {"model_repo": "a/b/c"}):
        with pytest.raises(HubError, match="names no repository on the Hub"):
            share(model, there, **settings)
    with pytest.raises(HubError, match="You have no rights to write"):
        share(model, there, repo="bob/page")
    assert there.repositories == {}
