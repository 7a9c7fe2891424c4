"""The page's endpoints, asked by gradio_client on a live server."""

import signal
import time
import typing
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import app
from charrnn.model import checkpoint, generation
from charrnn.runs import control, events, preparation, store
from charrnn.ui import form, generate_form, page, preset_choice, training, writing
from tests.builders import ENGLISH, Served, make_folder, make_record, rows

ROOT = Path(__file__).parent.parent.parent
PUBLIC = {
    "/inspect",
    "/units",
    "/curve",
    "/next",
    "/write",
    "/generate",
    "/compare",
    "/models",
    "/train",
    "/status",
    "/stop",
}
TEXT = "The quick brown fox jumps over the lazy dog. " * 100
TINY = {
    "rnn_units": 8,
    "embedding_dim": 4,
    "epochs": 2000,
    "seq_length": 20,
    "batch_size": 4,
}


def client_of(served: Served) -> Client:
    return Client(served.url, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page") / "checkpoints"
    make_folder(folder / "m", make_record(title="A model"))
    running = Served(folder, CHARRNN_CHARACTERS_IN_FLIGHT="41000")
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return client_of(served)


def test_the_address_that_is_printed_answers(served):
    assert served.said().startswith("charrnn is at http://127.0.0.1:")
    assert httpx.get(served.url).status_code == 200


def test_the_endpoints_are_the_documented_ones(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == PUBLIC
    for name, endpoint in described.items():
        assert endpoint["description"], name
    names = [p["parameter_name"] for p in described["/compare"]["parameters"]]
    assert names == [
        *("model", "prompt", "length", "temperatures", "seed", "top_k", "top_p")
    ]


def test_generate_writes_what_the_model_writes(served, client):
    text, seed = client.predict("m", "the ", 50, 0.8, 7, 0, 1.0, api_name="/generate")
    model = checkpoint.load(served.folder / "m")
    *_, expected = generation.generate(model, "the ", length=50, rows=rows(0.8, seed=7))
    assert [text] == expected
    assert seed == 7


def test_what_one_session_asks_for_at_once_is_limited_and_no_other_ones(served, client):
    much = ("shakespeare", "the ", 10_000, [0.2, 0.5, 0.8, 1.1])  # it takes seconds
    busy = client.submit(*much, api_name="/compare")
    while not busy.outputs():
        time.sleep(0.01)
    with pytest.raises(Exception, match="a visitor may have 41,000 at once"):
        client.predict(*much, api_name="/compare")
    job = client_of(served).submit(*much, api_name="/compare")
    while not job.outputs():
        time.sleep(0.01)
    for one in (busy, job):
        one.cancel()


def test_generate_streams_and_draws_a_seed(client):
    job = client.submit("m", "the ", 5000, api_name="/generate")
    text, seed = job.result(timeout=60)
    assert len(text) == 5000
    texts = [part[0] for part in job.outputs()]
    assert all(text.startswith(part) for part in texts)
    again = client.predict("m", "the ", 5000, seed=seed, api_name="/generate")
    assert list(again) == [text, seed]


def test_compare_writes_all_temperatures_with_one_seed(client):
    texts, seed = client.predict("m", "the ", 40, [0.0, 0.5], None, api_name="/compare")
    alone, _ = client.predict("m", "the ", 40, 0.5, seed, api_name="/generate")
    assert len(texts) == 2
    assert texts[1] == alone


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("../m", ""), "There is no model"),
        (("m", "", 10_001), "10,000"),
        (("m", "", 10, 3.0), "0 to 2"),
        (("<b>x</b>", ""), "'<b>x</b>'"),
    ],
)
def test_wrong_requests_are_told_why(client, arguments, said):
    with pytest.raises(AppError, match=said):
        client.predict(*arguments, api_name="/generate")


def test_models_are_listed(client):
    listed = {model["id"]: model for model in client.predict(api_name="/models")}
    assert listed["m"]["title"] == "A model"
    assert listed["m"]["val_loss"] == 1.5
    assert listed["m"]["parameters"] == make_record().model.num_parameters()


def test_a_training_from_beginning_to_end(served, client):
    run = client.predict(TEXT, "my text", "quick", TINY, api_name="/train")
    deadline = time.monotonic() + 90
    seen, since, state = [], 0, {}
    while time.monotonic() < deadline:
        state = client.predict(run, since, api_name="/status")
        seen += state["events"]
        since = state["next"]
        if any(event["type"] == "validation" for event in seen):
            break
        time.sleep(0.3)
    assert state["state"] == "running"
    assert client.predict(run, api_name="/stop") in ("stopping", "stopped")
    while state["state"] in ("running", "stopping") and time.monotonic() < deadline:
        time.sleep(0.3)
        state = client.predict(run, since, api_name="/status")
        seen += state["events"]
        since = state["next"]
    assert state["state"] == "stopped"
    assert seen[-1]["type"] in ("ended", "baseline")  # which may come at any time
    history = [events.to_dict(e) for e in events.read(served.folder / run).events]
    assert seen == history[: len(seen)]
    text, _ = client.predict(run, "The ", 20, api_name="/generate")
    assert len(text) == 20


def test_a_named_text_never_becomes_a_path(client):
    with pytest.raises(AppError, match="There is no text"):
        client.predict("", "/etc/passwd", "quick", {}, api_name="/train")
    with pytest.raises(AppError, match="no setting"):
        client.predict(TEXT, "x", "quick", {"units": 3}, api_name="/train")


def test_files_of_the_project_are_not_served(served):
    for name in ("app.py", "m/config.json", str(served.folder / "m" / "config.json")):
        answer = httpx.get(f"{served.url}gradio_api/file={name}")
        assert answer.status_code in (403, 404), name


def test_a_taken_port_gives_the_next_one_and_a_hosted_page_lists_nobodys(
    served, tmp_path
):
    folder = tmp_path / "checkpoints"
    make_folder(folder / "private", make_record())
    port = served.url.rsplit(":", 1)[1].strip("/")
    other = Served(folder, GRADIO_SERVER_PORT=port, GRADIO_SERVER_NAME="0.0.0.0")
    try:
        assert other.url != served.url
        address = f"http://127.0.0.1:{other.url.rsplit(':', 1)[1]}"
        other.url = address
        listed = client_of(other).predict(api_name="/models")
        assert "private" not in {model["id"] for model in listed}
    finally:
        assert "goes on" not in other.end(signal.SIGINT)


@pytest.mark.parametrize(
    ("name", "loopback"),
    [
        ("", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.org", False),
    ],
)
def test_what_counts_as_this_computer_alone(name, loopback):
    assert page.is_loopback(name) is loopback


def test_no_component_holds_a_connection_per_tab():
    kinds = {block.__class__.__name__ for block in app.demo.blocks.values()}
    assert "State" not in kinds
    assert not any(
        fn.targets and fn.targets[0][1] == "unload" for fn in app.demo.fns.values()
    )


def test_handlers_return_as_many_values_as_their_events_have_outputs():
    named = 0
    for fn in app.demo.fns.values():
        update = typing.get_type_hints(fn.fn).get("return") if fn.fn else None
        if isinstance(update, type) and hasattr(update, "_fields"):
            kinds = typing.get_type_hints(update).values()
            assert tuple not in map(typing.get_origin, kinds), f"flatten {update}"
            assert len(update._fields) == len(fn.outputs), update
            named += 1
    assert named > 15


def test_flattened_updates_have_as_many_values_too(model):
    several = [*[0.5, 0.6, None, None], 0.5, "temperature"]
    several += [*["m"] * 4, *["25"] * 4, *[0.5] * 4]
    text = ["m", "so", 5, 1, False, 0, 1, "", 2, *several]
    values = form.preset_values("quick").values()
    training_form = (None, "paste", None, "", "quick", "epochs", "", *values)
    returned = {
        generate_form.opened: generate_form.opened(ENGLISH, "", {}, True),
        writing.generate: next(writing.generate(ENGLISH, *text)),
        writing.compare: next(writing.compare(ENGLISH, *text)),
        training.estimate: training.estimate(ENGLISH, *training_form),
        preset_choice.fill: preset_choice.fill(ENGLISH, None, "quick", "", {}, *values),
    }
    events = {fn.fn: fn.outputs for fn in app.demo.fns.values()}
    for handler, values in returned.items():
        assert len(values) == len(events[handler]), handler


def test_every_html_block_has_the_default_template():
    blocks = [b for b in app.demo.blocks.values() if b.__class__.__name__ == "HTML"]
    assert len(blocks) > 10
    for block in blocks:
        assert block.html_template == "${value}"
        assert block.css_template == ""
        assert not block.props


def test_at_the_end_ctrl_c_says_which_runs_go_on(served, small_corpus, monkeypatch):
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(served.folder))
    path = control.create(preparation.prepare(small_corpus), title="Going on")
    with store.hold(path):  # as its trainer does
        said = served.end(signal.SIGINT)
    assert said.partition("\n")[2] == (
        "Going on goes on: stop it with `python -m charrnn stop going-on`\n"
    )
    assert served.process.returncode == 0
