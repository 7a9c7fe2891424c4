import zipfile
from dataclasses import replace

import pytest

from charrnn.errors import CorpusError
from charrnn.text import sources
from charrnn.ui import corpus_form
from charrnn.ui.corpus_form import TextSize
from tests.builders import ENGLISH

TEXT = "To be, or not to be, that is the question.\n" * 40


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hamlet.txt"
    path.write_bytes(TEXT.encode("utf-16"))
    return str(path)


def test_a_text_comes_from_where_the_form_says(file):
    pasted = corpus_form.read_corpus("paste", None, TEXT, None)
    uploaded = corpus_form.read_corpus("upload", [file], "", None)
    assert (pasted.name, uploaded.name) == ("pasted", "hamlet.txt")
    assert pasted.text == uploaded.text == TEXT
    assert corpus_form.read_corpus("paste", None, "", None) is None
    assert corpus_form.read_corpus("upload", None, TEXT, None) is None


def test_a_name_is_never_a_path(file):
    for name in (file, "/etc/passwd", "../x"):
        with pytest.raises(CorpusError, match="There is no text"):
            corpus_form.read_corpus(name, None, "", None)


def test_the_facts_of_a_text_are_told():
    shown = corpus_form.look(ENGLISH, "paste", None, TEXT, None, None)
    assert "1,720 characters" in shown.facts
    assert "17 distinct" in shown.facts
    assert "1,548 to train on, 172 to validate" in shown.facts
    assert TEXT[:250] in shown.facts
    assert TEXT[:251] not in shown.facts
    assert shown.text_size == {"characters": 1720, "vocab_size": 18}
    assert shown.train["interactive"] is True


def test_several_uploads_and_zips_are_one_text(tmp_path):
    written, packed = tmp_path / "b.txt", tmp_path / "a.zip"
    written.write_text(TEXT)
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr("<i>.txt", "Who's there? Nay, answer me!\n")
    files = [str(written), str(packed)]
    found = corpus_form.read_corpus("upload", files, "", "\\n--\\n")
    assert found.text == f"Who's there? Nay, answer me!\n--\n{TEXT}"
    assert (found.name, found.parts) == ("a.zip (+1)", ("<i>.txt", "b.txt"))
    shown = corpus_form.look(ENGLISH, "upload", files, "", "", None)
    assert "2 texts" in shown.facts
    assert "&lt;i&gt;.txt, b.txt" in shown.facts
    assert shown.separator["visible"] is True
    assert shown.text_size["characters"] == len(TEXT) + 28
    one = corpus_form.look(ENGLISH, "upload", files[:1], "", "", None)
    assert one.separator["visible"] is False


def test_facts_are_escaped():
    text = "<img src=x onerror=alert(1)>${alert(2)}" * 10
    shown = corpus_form.look(ENGLISH, "paste", None, text, None, None)
    assert "<img" not in shown.facts


def test_a_strange_encoding_is_told(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes(
        ("Der Müller über dem Fluß hört schöne Lieder. " * 60).encode("cp1252")
    )
    shown = corpus_form.look(ENGLISH, "upload", [str(path)], "", None, None)
    assert "is not UTF-8" in shown.facts


@pytest.mark.parametrize(
    ("source", "file", "pasted", "said"),
    [
        ("paste", None, "", "Paste a text"),
        ("upload", None, "", "Choose a text file"),
        ("paste", None, "short", "at least 50 are needed"),
        ("upload", ["/gone.txt"], "", "upload it again"),
        ("upload", ["/gone.txt", "/lost.txt"], "", "upload it again"),
    ],
)
def test_a_text_that_is_missing_or_wrong_is_told(source, file, pasted, said):
    shown = corpus_form.look(ENGLISH, source, file, pasted, None, None)
    assert said in shown.facts
    assert shown.text_size is None
    assert shown.train["interactive"] is False


def test_a_failed_download_offers_the_offline_text(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path))
    address = "http://127.0.0.1:9/shakespeare.txt"  # nobody listens there
    named = replace(sources.NAMED["shakespeare"], url=address)
    monkeypatch.setitem(sources.NAMED, "shakespeare", named)
    shown = corpus_form.look(ENGLISH, "shakespeare", None, "", None, None)
    assert "could not be downloaded" in shown.facts
    assert shown.offline["visible"]
    assert corpus_form.take_offline() == "python-stdlib"
    assert corpus_form.take_offline() in sources.NAMED


@pytest.mark.parametrize(
    "value",
    [None, "x", [], {}, {"characters": 9}, {"characters": "9", "vocab_size": 3}],
)
def test_an_odd_size_from_the_browser_counts_as_none(value):
    assert TextSize.of(value) is None


def test_a_size_comes_back_from_the_browser():
    assert TextSize.of({"characters": 9, "vocab_size": 3}) == (9, 3)
