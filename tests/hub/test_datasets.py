"""Texts from the Hub: the real client against a Hub of our own on this machine."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from charrnn.cli.parser import main
from charrnn.errors import CorpusError, HubError
from charrnn.files import is_safe
from charrnn.hub import client, dataset_files, datasets
from charrnn.hub.names import Dataset, parse_dataset
from charrnn.hub.transfer import Connection, Limits
from charrnn.model import checkpoint
from charrnn.runs import control, preparation
from tests.builders import make_folder, make_record, varied_text
from tests.hub.hub_server import Hub

ALICE = "hf_alice_secret"
PLAY = "Ännchen: the sea, the sea.\n" * 200
ESSAY = "An essay on salt.\n" * 100


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def there(server: Hub) -> Hub:
    """The server with one dataset."""
    server.repositories.clear()
    server.log.clear()
    server.faults.clear()
    server.add_user("alice", token=ALICE)
    files = {"b.txt": ESSAY.encode(), "a/play.txt": PLAY.encode(), "README.md": b"#"}
    server.add_repository("datasets/alice/plays", files)
    return server


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The Hub's process runs in this one, which is quicker: the same code."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)

    def transfer(job, home, connection):
        told: list[dict[str, Any]] = []
        common = {"token": connection.token, "endpoint": connection.endpoint}
        client.run(
            {**job, **common, "visitor": False},
            lambda kind, **fields: told.append({"kind": kind, **fields}),
        )
        if told[-1]["kind"] == "failed":
            raise HubError(told[-1]["message"])
        return told[-1]

    monkeypatch.setattr(datasets, "transfer", transfer)
    yield
    _http.set_client_factory(_http.default_client_factory)


def connected(server: Hub, token: str | None = None, **settings) -> Connection:
    return Connection(token=token, endpoint=server.url, **settings)


def read(server: Hub, dataset: Dataset, token: str | None = None, **settings):
    settings = {"max_bytes": 10**6, **settings}
    return datasets.read(dataset, connected(server, token), **settings)


def requests(server: Hub, pattern: str) -> list[str]:
    return [request.path for request in server.requests("GET", pattern)]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("hf://datasets/alice/plays", "alice/plays"),
        (" alice/plays ", "alice/plays"),
        ("datasets/alice/plays@v2", "alice/plays@v2"),
        ("hf://datasets/alice/plays@v2/a/b c.txt", "alice/plays@v2/a/b c.txt"),
        ("https://huggingface.co/datasets/alice/plays", "alice/plays"),
        (
            "https://hf.co/datasets/alice/plays/blob/main/a/b.txt?x=1",
            "alice/plays@main/a/b.txt",
        ),
        ("huggingface.co/datasets/alice/plays", "alice/plays"),
        (
            "https://huggingface.co/datasets/alice/plays/tree/refs/convert/parquet",
            "alice/plays@refs%2Fconvert%2Fparquet",
        ),
        ("alice/plays@refs%2Fpr%2F1/a.txt", "alice/plays@refs%2Fpr%2F1/a.txt"),
    ],
)
def test_a_dataset_is_understood_however_it_is_given(given, address):
    found = parse_dataset(given)
    assert found.address == f"hf://datasets/{address}"
    assert parse_dataset(found.address) == found


@pytest.mark.parametrize(
    "given",
    [
        *("", "plays", "https://example.org/datasets/a/b", "hf://datasets/a"),
        *("https://huggingface.co/datasets/alice", "huggingface.co/alice/play"),
        *("a/b/../c.txt", "a/b/c\x1b.txt", "a/b@../x", "a/b/" + "c" * 300),
    ],
)
def test_anything_else_is_refused_in_a_sentence(given):
    with pytest.raises(HubError) as refused:
        parse_dataset(given)
    assert str(refused.value).endswith(".")
    assert is_safe(str(refused.value))


def test_its_text_files_are_found_read_joined_and_pinned(there, in_this_process):
    dataset, sha = (
        Dataset("alice/plays"),
        there.repositories["datasets/alice/plays"].refs["main"],
    )
    found = datasets.look(dataset, connected(there))
    assert found.files == ("a/play.txt", "b.txt")
    assert found.size == len(PLAY.encode()) + len(ESSAY)
    assert found.dataset.revision == sha
    assert not requests(there, "/resolve/")  # looking reads nothing
    text = read(there, dataset, separator="--\n")
    assert text.text == PLAY.rstrip("\n") + "--\n" + ESSAY
    assert (text.texts, text.parts) == (2, ("a/play.txt", "b.txt"))
    assert text.source == f"hf://datasets/alice/plays@{sha}"
    assert all(f"/resolve/{sha}/" in path for path in requests(there, "/resolve/"))
    one = read(there, Dataset("alice/plays", "main", "b.txt"))
    assert (one.text, one.name) == (ESSAY, "alice/plays/b.txt")
    assert one.source == f"hf://datasets/alice/plays@{sha}/b.txt"


def test_the_first_bytes_are_taken_whole_characters_alone(there, in_this_process):
    data = PLAY.encode()
    for first in (1000, 28, 29, len(data), len(data) + 60):
        wanted = max(first, 60)
        text = read(there, Dataset("alice/plays"), first_bytes=wanted)
        begin = data[:wanted].decode("utf-8", "ignore")
        if wanted <= len(data):
            assert text.text == begin
        else:
            assert text.text.startswith(PLAY.rstrip("\n") + "\n\n" + ESSAY[:30])
        assert "its first" in text.notices[0]
    cut = data[: 28 * 7 + 1]  # in the middle of Ä
    assert cut[-1] == 0xC3
    assert read(there, Dataset("alice/plays"), first_bytes=len(cut)).text == (
        cut[:-1].decode()
    )


def test_a_long_file_is_read_no_further_than_asked(there):
    there.add_repository("datasets/alice/long", {"t.txt": b"a line of it\n" * 10**6})
    moved: list[int] = []
    connection = connected(
        there, on_progress=lambda stage, done, total: moved.append(done)
    )
    text = datasets.read(
        Dataset("alice/long"), connection, max_bytes=10**9, first_bytes=100_000
    )
    assert len(text.text) == 100_000
    assert max(moved) == 100_000
    with pytest.raises(HubError, match="take the first megabytes"):
        read(there, Dataset("alice/long"), max_bytes=10**6)


def test_a_hub_that_hangs_ends_by_the_clock(there):
    there.fail("GET", "/resolve/", hang=True)
    with pytest.raises(HubError, match="did not answer within"):
        datasets.read(
            Dataset("alice/plays"),
            connected(there, limits=Limits(first=2.0)),
            max_bytes=10**6,
        )


def test_every_failure_is_a_sentence_without_the_token(there, in_this_process):
    there.add_repository("datasets/alice/diary", {"t.txt": PLAY.encode()}, private=True)
    there.add_repository("datasets/alice/bare", {"README.md": b"#"})
    cases: list[tuple[Dataset, str | None, str]] = [
        (Dataset("alice/nothing"), None, "There is no dataset alice/nothing"),
        (Dataset("alice/diary"), None, "There is no dataset alice/diary"),
        (Dataset("alice/diary"), "hf_wrong_secret", "access token"),
        (Dataset("alice/plays", "v9"), None, "has no revision"),
        (Dataset("alice/plays", None, "c.txt"), None, "it has 'README.md', 'a/play"),
        (Dataset("alice/bare"), None, "no text that can be read"),
    ]
    for dataset, token, sentence in cases:
        with pytest.raises(HubError) as failed:
            read(there, dataset, token)
        assert sentence in str(failed.value)
        assert "secret" not in str(failed.value)
    assert read(there, Dataset("alice/diary"), ALICE).text == PLAY
    for fault, sentence in (
        ({"status": 500}, "HTTP 500"),
        ({"cut_after": 99}, "broke off"),
        ({"status": 429}, "how often"),
    ):
        there.faults.clear()
        there.fail("GET", "/resolve/", **fault)
        with pytest.raises(HubError, match=sentence):
            read(there, Dataset("alice/plays"))
    there.faults.clear()
    there.add_repository("datasets/alice/odd", {"t.txt": bytes(range(256)) * 9})
    with pytest.raises(CorpusError):
        read(there, Dataset("alice/odd"))


def test_a_command_reads_a_dataset_and_a_run_keeps_where_it_lies(
    there, isolated: Path, monkeypatch, capfd
):
    monkeypatch.setenv("HF_ENDPOINT", there.url)
    monkeypatch.setenv("HF_TOKEN", ALICE)
    sea = {"sea.txt": varied_text(4000).encode()}
    there.add_repository("datasets/alice/sea", sea, private=True)
    make_folder(isolated / "m", make_record())
    asked = ["evaluate", "m", "--json", "--split", "all", "--corpus"]
    assert main([*asked, "hf://datasets/alice/sea", "--first-mb", "0.003"]) == 0
    out, err = capfd.readouterr()
    sha = there.repositories["datasets/alice/sea"].refs["main"]
    assert f"hf://datasets/alice/sea@{sha}: sea.txt, 4,000 bytes" in err
    assert json.loads(out)["characters"] == 2999
    for wrong in (["shakespeare", "--first-mb", "1"], ["hf://datasets/a/b", "c.txt"]):
        assert main([*asked, *wrong]) == 2
    text = read(there, Dataset("alice/sea"), ALICE)
    settings = {"rnn_units": 8, "batch_size": 4, "seq_length": 20}
    folder = control.create(preparation.prepare(text, settings=settings))
    corpus = checkpoint.read_record(folder).corpus
    assert corpus.source == f"hf://datasets/alice/sea@{sha}"
    assert (corpus.name, corpus.characters) == ("alice/sea", 4000)


def test_a_missing_pyarrow_is_said(monkeypatch):
    monkeypatch.setattr(dataset_files.importlib.util, "find_spec", lambda name: None)
    dataset_files.check_parquet(["a.txt"])
    with pytest.raises(HubError, match=r"pyarrow, which is not installed: `pip"):
        dataset_files.check_parquet(["a.txt", "b.parquet"])


def test_parquet_is_read_by_its_text_column_in_pieces(there, in_this_process):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def table(**columns) -> bytes:
        file = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), file, row_group_size=100)
        return file.getvalue()

    rows = [f"Story {i}: {'ä' * 40}." for i in range(1000)]
    there.add_repository(
        "datasets/alice/stories",
        {
            "data/train-0.parquet": table(text=rows, title=["x"] * 1000),
            "data/test-0.parquet": table(text=["no"] * 9),
            "odd.parquet": table(a=["x"], b=["y"]),
            "bad.parquet": b"PAR1 is not enough" * 9,
        },
    )
    dataset = Dataset("alice/stories")
    assert read(there, dataset).text == "\n\n".join(rows)
    short = read(there, dataset, first_bytes=500).text
    assert "\n\n".join(rows).startswith(short)
    assert 495 <= len(short.encode()) <= 500
    for name, sentence in (("odd", "columns 'a', 'b'"), ("bad", "as parquet")):
        with pytest.raises(HubError, match=sentence):
            read(there, Dataset("alice/stories", None, f"{name}.parquet"))
