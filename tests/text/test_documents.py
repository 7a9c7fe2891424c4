"""Documents in a text: where they begin, and that the split cuts none."""

import dataclasses

import numpy as np
import pytest

from charrnn.errors import CorpusError
from charrnn.text import corpus, documents

NAMES = "".join(f"name{i}\n" for i in range(100))


def test_a_document_begins_where_its_separator_is_complete():
    text = "ab\n\n\ncd\nef\n\n"
    ids = np.array([ord(c) for c in text])
    for separator, places in (
        ("\n", [2, 3, 4, 7, 10, 11]),
        ("\n\n", [3, 4, 11]),
        ("\n\n\n", [4]),
        ("d\ne", [8]),
        ("ab", [1]),
        (text + "x", []),
    ):
        found = documents.starts(ids, [ord(c) for c in separator])
        assert np.flatnonzero(found).tolist() == places
        rows = documents.starts(np.stack([ids, ids]), [ord(c) for c in separator])
        assert (rows == found).all()


@pytest.mark.parametrize("separator", ["\n", "\n\n", "--\n"])
def test_the_split_moves_to_the_next_document(separator):
    text = separator.join(f"a text of number {i}" for i in range(50))
    share = documents.split_between(text, separator)
    place = corpus.split_at(len(text), share)
    usual = corpus.split_at(len(text))
    assert usual <= place < usual + 25
    assert text[:place].endswith(separator[:-1])
    assert text[place:].startswith(separator[-1])


def test_without_a_later_document_the_split_moves_back():
    text = "a" * 60 + "\n" + "b" * 39
    assert corpus.split_at(100, documents.split_between(text, "\n")) == 60
    for alone in ("a" * 100, "a" * 20 + "\n" + "b" * 79, "a" * 97 + "\nbb"):
        with pytest.raises(CorpusError, match="between its half and 95 %"):
            documents.split_between(alone, "\n")


def test_files_are_documents_where_there_are_several():
    text = corpus.from_text(NAMES, name="names", max_bytes=10**6)
    one = dataclasses.replace(text, documents="files")
    with pytest.raises(CorpusError, match="takes several files"):
        documents.check(one)
    several = dataclasses.replace(one, texts=3, separator="\n")
    assert "98 times inside them" in documents.check(several)[0]
    assert documents.check(dataclasses.replace(several, texts=101)) == ()
    assert documents.separator_of("files", "--") == "--"
