import random
from pathlib import Path

import pytest

from charrnn.text import verbatim

RNG = random.Random(5)
SOURCE = "".join(RNG.choice("abcdefgh ") for _ in range(30_000))


def found(text, source):
    """The passages, scanned for and looked up in an index."""
    (scanned,) = verbatim.passages([text], source)
    (looked_up,) = verbatim.look_up([text], verbatim.index(source))
    assert scanned == looked_up
    return scanned


def naive(text, source):
    """The same by looking each window up."""
    width = verbatim.WINDOW
    hit = [text[i : i + width] in source for i in range(max(0, len(text) - width + 1))]
    marked = [any(hit[max(0, i - width + 1) : i + 1]) for i in range(len(text))]
    spans, start = [], None
    for i, on in enumerate([*marked, False]):
        if on and start is None:
            start = i
        elif not on and start is not None:
            spans.append((start, i))
            start = None
    return spans


@pytest.mark.parametrize("length", [39, 40, 41, 63, 64, 65, 200])
def test_a_passage_of_forty_characters_is_found_to_the_character(length):
    text = "XYZ" + SOURCE[1000 : 1000 + length] + "QQ" + SOURCE[5:30]
    expected = [(3, 3 + length)] if length >= 40 else []
    assert found(text, [SOURCE]) == expected == naive(text, SOURCE)


def test_passages_apart_stay_apart_and_touching_ones_join():
    text = SOURCE[0:50] + "#" + SOURCE[900:960] + SOURCE[7000:7045]
    assert found(text, [SOURCE]) == naive(text, SOURCE)


def test_a_passage_across_two_pieces_is_found():
    text = SOURCE[480:560]
    cut = [SOURCE[:500], SOURCE[500:510], SOURCE[510:]]
    assert found(text, cut) == [(0, 80)]


def test_repetitive_texts_are_no_trouble():
    assert found(" " * 5000, [" " * 200_000]) == [(0, 5000)]
    assert found(" " * 5000, ["x" * 200_000]) == []


def test_any_characters_compare():
    source = "日本語の文章がここに続き、絵文字😀も混ざっている。" * 3
    assert found("😀" + source[:60], [source]) == [(1, 61)]


def test_short_texts_hold_no_passage():
    assert found("", [SOURCE]) == []
    assert found(SOURCE[:39], [SOURCE]) == []
    assert found(SOURCE[:40], [SOURCE[:39]]) == []


def test_a_file_is_read_in_pieces_and_not_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verbatim, "PIECE", 1000)
    monkeypatch.setattr(verbatim, "MAX_CHARACTERS", 2500)
    path = tmp_path / "corpus.txt"
    path.write_text(SOURCE + "é", encoding="utf-8")
    pieces = list(verbatim.pieces(path))
    assert [len(piece) for piece in pieces] == [1000, 1000, 500]
    assert "".join(pieces) == SOURCE[:2500]


def test_several_texts_are_found_in_one_reading():
    texts = [SOURCE[:50], "", "x" * 60, SOURCE[700:790]]
    expected = [[(0, 50)], [], [], [(0, 90)]]
    once = iter([SOURCE])
    assert verbatim.passages(texts, once) == expected
    assert verbatim.look_up(texts, verbatim.index([SOURCE])) == expected
    assert verbatim.passages([], [SOURCE]) == []
