"""A text from the Hub in the form: what would be read, what is, and what goes wrong."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn.ui import corpus_form, hub_text
from charrnn.ui.corpus_form import HUB
from charrnn.ui.hub_text import Origin
from tests.builders import ENGLISH
from tests.hub.hub_server import Hub

PLAY = "To be, or not to be: that is the question.\n" * 100


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        files = {"play.txt": PLAY.encode(), "README.md": b"#"}
        running.add_repository("datasets/alice/plays", files)
        yield running


def test_a_dataset_is_looked_up_then_read_then_trained_on(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    sha = server.repositories["datasets/alice/plays"].refs["main"]
    address = f"hf://datasets/alice/plays@{sha}"
    told = hub_text.look_up(ENGLISH, None, None, "alice/plays", 0.002)
    assert f"{address}: play.txt (4,300 bytes as stored)" in told
    assert not server.requests("GET", "/resolve/")

    update = hub_text.read(ENGLISH, None, None, "alice/plays", 0.002)
    assert f"Read from {address}" in update.hub_told
    assert "its first 2,000 bytes are taken" in update.hub_told
    text = Path(update.fetched).read_text(encoding="utf-8")
    assert text == PLAY[:2000]
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert update.origin == {"sha256": digest, "source": address, "first_mb": 0.002}

    facts = corpus_form.look(ENGLISH, HUB, None, "", None, update.fetched, None)
    assert "2,000 characters" in facts.facts
    assert facts.train["interactive"] is True
    awaited = corpus_form.look(ENGLISH, HUB, ["x.txt"], "x" * 99, None, None, None)
    assert "then press Read" in awaited.facts
    assert awaited.train["interactive"] is False

    origin = Origin.of(update.origin)
    found = corpus_form.read_corpus(HUB, [update.fetched], "", None)
    assert origin is not None
    named = origin.told_by(found)
    assert (named.name, named.source) == ("alice/plays", address)
    other = corpus_form.read_corpus("paste", None, PLAY, None)
    assert origin.told_by(other) == other  # another text is not from there


@pytest.mark.parametrize(
    ("dataset", "first_mb", "sentence"),
    [
        ("", 5, "Give a dataset first"),
        ("alice/plays", None, "number of megabytes is missing"),
        ("alice/plays", 0, "at most 200"),
        ("alice/plays", 201, "at most 200"),
        ("alice/plays", float("nan"), "at most 200"),
        ("https://example.org/x", 5, "no address of a dataset"),
    ],
)
def test_what_is_wrong_is_told_in_its_place(server, dataset, first_mb, sentence):
    assert sentence in hub_text.look_up(ENGLISH, None, None, dataset, first_mb)
    update = hub_text.read(ENGLISH, None, None, dataset, first_mb)
    assert sentence in update.hub_told
    assert (update.fetched, update.origin) == (None, None)


@pytest.mark.parametrize(
    "value",
    [
        *(None, [], {}, {"sha256": 1, "source": "hf://datasets/a/b", "first_mb": 1}),
        {"sha256": "0", "source": "https://example.org", "first_mb": 1},
        {"sha256": "0", "source": "hf://datasets/a/b\n", "first_mb": "1"},
    ],
)
def test_an_odd_origin_counts_as_none(value):
    assert Origin.of(value) is None
