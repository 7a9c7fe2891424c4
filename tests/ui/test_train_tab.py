import json
from dataclasses import replace

import gradio as gr
import pytest

from charrnn.errors import CorpusError
from charrnn.text import sources
from charrnn.ui import form, train_tab

TEXT = "To be, or not to be, that is the question.\n" * 40


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hamlet.txt"
    path.write_bytes(TEXT.encode("utf-16"))
    return str(path)


def quick(**settings):
    return list((form.preset_values("quick") | settings).values())


def test_a_text_comes_from_where_the_form_says(file):
    pasted = train_tab.read_corpus("paste", None, TEXT)
    uploaded = train_tab.read_corpus("upload", file, "")
    assert (pasted.name, uploaded.name) == ("pasted", "hamlet.txt")
    assert pasted.text == uploaded.text == TEXT
    assert train_tab.read_corpus("paste", None, "") is None
    assert train_tab.read_corpus("upload", None, TEXT) is None


def test_a_name_is_never_a_path(file):
    for name in (file, "/etc/passwd", "../x"):
        with pytest.raises(CorpusError, match="There is no text"):
            train_tab.read_corpus(name, None, "")


def test_the_facts_of_a_text_are_told():
    shown = train_tab.look("en", "paste", None, TEXT, None)
    assert "1,720 characters" in shown.facts
    assert "17 distinct" in shown.facts
    assert "1,548 to train on, 172 to validate" in shown.facts
    assert TEXT[:250] in shown.facts
    assert TEXT[:251] not in shown.facts
    assert json.loads(shown.known) == {"characters": 1720, "vocab_size": 18}


def test_facts_are_escaped():
    text = "<img src=x onerror=alert(1)>${alert(2)}" * 10
    shown = train_tab.look("en", "paste", None, text, None)
    assert "<img" not in shown.facts


def test_a_strange_encoding_is_told(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes(
        ("Der Müller über dem Fluß hört schöne Lieder. " * 60).encode("cp1252")
    )
    shown = train_tab.look("en", "upload", str(path), "", None)
    assert "is not UTF-8" in shown.facts


def test_a_text_that_is_missing_or_wrong_is_told():
    assert "Paste a text" in train_tab.look("en", "paste", None, "", None).facts
    assert "Choose a text file" in train_tab.look("en", "upload", None, "", None).facts
    assert (
        "at least 50 are needed"
        in train_tab.look("en", "paste", None, "short", None).facts
    )
    assert (
        "upload it again" in train_tab.look("en", "upload", "/gone.txt", "", None).facts
    )


def test_a_failed_download_offers_the_offline_text(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path))
    address = "http://127.0.0.1:9/shakespeare.txt"  # nobody listens there
    named = replace(sources.NAMED["shakespeare"], url=address)
    monkeypatch.setitem(sources.NAMED, "shakespeare", named)
    shown = train_tab.look("en", "shakespeare", None, "", None)
    assert "could not be downloaded" in shown.facts
    assert shown.offline["visible"]
    assert train_tab.take_offline() == "python-stdlib"
    assert train_tab.take_offline() in sources.NAMED


def test_size_time_and_command_are_told():
    seen = json.dumps({"characters": 1_115_394, "vocab_size": 66})
    given = quick(rnn_units=128, learning_rate=0.01)
    cost, command, *_ = train_tab.estimate(
        "en", seen, "shakespeare", "quick", "My 'run'", *given
    )
    # 66 x 64 + (64 + 128 + 2) x 384 + 129 x 66
    assert "87,234 parameters" in cost
    assert "about 2 min" in cost
    assert command == (
        '<pre class="command">python -m charrnn train --corpus shakespeare --preset '
        "quick --rnn-units 128 --learning-rate 0.01 --title "
        "&#x27;My &#x27;&quot;&#x27;&quot;&#x27;run&#x27;&quot;&#x27;&quot;&#x27;&#x27;"
        "</pre>"
    )


def test_without_a_text_or_with_wrong_settings_there_is_no_estimate():
    assert train_tab.estimate("en", "", "upload", "quick", "", *quick())[0] == ""
    assert train_tab.estimate("en", "[]", "x", "quick", "", *quick())[0] == ""
    assert train_tab.estimate("en", "", "x", "quick", "", *quick(rnn_units=0))[:2] == (
        "",
        "",
    )


def test_a_small_text_shrinks_the_batch_and_says_so():
    seen = json.dumps({"characters": 1720, "vocab_size": 17})
    cost, *_ = train_tab.estimate("en", seen, "paste", "quick", "", *quick())
    assert "too few for 32 streams" in cost


def test_wrong_settings_are_marked_and_nothing_else():
    marks = train_tab.estimate("en", "", "x", "quick", "", *quick(dropout=2))[2:]
    wrong = {
        name: mark["info"]
        for name, mark in zip(form.SETTINGS, marks, strict=True)
        if mark["elem_classes"]
    }
    assert wrong == {"dropout": "expected a number from 0 to 0.9"}


@pytest.mark.parametrize(
    ("source", "pasted", "values", "said"),
    [
        ("paste", "", quick(), "Paste a text"),
        ("paste", "short", quick(), "at least 50"),
        ("paste", TEXT, quick(rnn_units=0), "Units: expected"),
        ("/etc/passwd", "", quick(), "There is no text"),
    ],
)
def test_what_cannot_start_says_why(source, pasted, values, said, isolated):
    with pytest.raises(gr.Error, match=said):
        train_tab.start("en", source, None, pasted, "quick", "", {}, *values)
    assert list(isolated.iterdir()) == []
