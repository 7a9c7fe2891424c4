"""The figures of written texts, on texts whose figures are known."""

import pytest

from charrnn.model import checkpoint
from charrnn.model.generation import Written
from charrnn.runs import figures, store
from charrnn.runs.figures import TextFigures
from charrnn.text import sources, words
from tests.builders import make_folder, make_record

PASSAGE = "a rather long sentence that the model has learnt by heart, all of it"


@pytest.fixture
def model(tmp_path):
    folder = make_folder(tmp_path / "m", make_record())
    (folder / store.STATE).mkdir()
    return folder


def keep_text(folder, text):
    (folder / store.STATE / store.CORPUS_FILE).write_text(text, encoding="utf-8")


def counted(folder, prompt, *written):
    record = checkpoint.read_record(folder)
    return figures.count(folder, record, prompt, written)


def test_each_figure_is_exact(model):
    keep_text(model, PASSAGE + " " * 60)  # the validation part is spaces
    text = " sentence that the model has learnt by heart, yes, yes! "
    found = counted(model, "a rather long", Written(text, [0.5, 1.5] * 28))
    copied = text.index("yes")
    assert found.copied == [[(0, copied)]]
    assert found.figures == [
        TextFigures(
            invented=2 / 10, repeats=0.0, surprise=1.0, copied=copied / len(text)
        )
    ]


def test_what_cannot_be_known_is_left_out(model):
    found = counted(model, "the", Written(" sea and sky ", [2.0] * 13), Written("", []))
    assert found.copied is None
    assert found.figures == [
        TextFigures(invented=None, repeats=None, surprise=2.0, copied=None),
        TextFigures(invented=None, repeats=None, surprise=None, copied=None),
    ]
    keep_text(model, PASSAGE)
    japanese = counted(model, "春", Written("はあけぼの" * 6, [1.0] * 30)).figures[0]
    assert japanese == TextFigures(
        invented=None, repeats=6 / 11, surprise=1.0, copied=0.0
    )


def test_words_kept_beside_the_model_come_first_and_are_read_as_they_are_now(model):
    keep_text(model, "one two three " * 20 + "four " * 40)
    record = checkpoint.read_record(model)
    assert figures.known_words(model, record) == {"one", "two", "three", "four"}
    (model / store.WORDS_FILE).write_text("five\nsix\n", encoding="utf-8")
    assert figures.known_words(model, record) == {"five", "six"}
    (model / store.WORDS_FILE).write_text("five\nsix\nten\n", encoding="utf-8")
    assert figures.known_words(model, record) == {"five", "six", "ten"}
    (model / store.WORDS_FILE).write_bytes(b"\xff")
    assert figures.known_words(model, record) is None


def test_words_of_the_validation_part_are_not_known(model):
    keep_text(model, "one two " * 90 + "new " * 20)
    record = checkpoint.read_record(model)
    assert figures.known_words(model, record) == {"one", "two"}


def test_a_training_leaves_the_words_of_the_part_that_trains(trained):
    record = checkpoint.read_record(trained)
    kept = (trained / store.WORDS_FILE).read_text(encoding="utf-8")
    part = figures.training_part(
        trained / store.STATE / store.CORPUS_FILE, record.corpus.split
    )
    assert kept.split() == sorted(set(words.complete_words("", part)))
    assert figures.known_words(trained, record) == set(kept.split())


def test_the_shipped_words_are_those_of_the_shipped_text():
    kept = store.shipped_folder() / store.SHIPPED_ID / store.WORDS_FILE
    source = sources.cache_folder() / "shakespeare.txt"
    if not source.is_file():
        pytest.skip("Shakespeare is not in the cache")
    part = figures.training_part(
        source, checkpoint.read_record(kept.parent).corpus.split
    )
    assert kept.read_text(encoding="utf-8") == words.listed(part)
