from dataclasses import replace

import pytest

from charrnn.model import checkpoint
from charrnn.model.record import CorpusRecord
from charrnn.runs import passages
from charrnn.text import sources
from tests.builders import make_folder, make_record


@pytest.fixture
def model(tmp_path):
    return make_folder(tmp_path / "m", make_record())


def test_a_passage_that_begins_in_the_prompt_counts(model):
    (model / "state").mkdir()
    text = "a rather long sentence that the model has learnt by heart, all of it"
    source = model / "state" / "corpus.txt"
    source.write_text(text, encoding="utf-8")
    assert passages.find_copied(source, text[:30], [text[30:45]]) == [[(0, 15)]]
    assert passages.find_copied(source, text, ["quite"]) == [[]]


def test_only_the_very_text_of_a_name_counts(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path))
    record = checkpoint.read_record(model)
    assert passages.training_text(model, record) is None
    (tmp_path / "shakespeare.txt").write_text("another")
    named = sources.NAMED["shakespeare"]
    pretended = CorpusRecord(
        name="shakespeare", characters=1, distinct=1, sha256=named.sha256
    )
    assert passages.training_text(model, replace(record, corpus=pretended)) is None
    evil = replace(pretended, name="../shakespeare")
    assert passages.training_text(model, replace(record, corpus=evil)) is None
