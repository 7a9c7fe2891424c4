"""The n-gram baseline against a text computed by hand, and against plain counting."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.text import baseline, corpus, sources
from charrnn.text.baseline import ngram_loss
from charrnn.text.vocabulary import Vocabulary


def ids(*numbers):
    return np.array(numbers, np.uint8)


ABAB = ids(1, 2, 1, 2)  # over three ids; 0 never occurs


@pytest.mark.parametrize(
    ("order", "probs"),
    [
        # p(a) = p(b) = (2 + 2/3) / (4 + 2)
        (1, (4 / 9, 4 / 9)),
        # p(b|a) = (2 + p(b)) / (2 + 1); p(a|b) = (1 + p(a)) / (1 + 1)
        (2, (22 / 27, 13 / 18)),
        # the first has one character of context still; p(a|ab) = (1 + p(a|b)) / 2
        (3, (22 / 27, 31 / 36)),
        (4, (22 / 27, 31 / 36)),
        (9, (22 / 27, 31 / 36)),
    ],
)
def test_a_text_computed_by_hand(order, probs):
    expected = -sum(map(math.log, probs)) / 2
    assert ngram_loss(ABAB, ids(1, 2, 1), 3, order=order) == pytest.approx(
        expected, rel=1e-14
    )


def test_unseen_characters_and_contexts():
    # p(0|a) = (0 + p(0)) / (2 + 1) with p(0) = (2/3) / 6; after 0 nothing is known
    expected = -(math.log(1 / 27) + math.log(4 / 9)) / 2
    assert ngram_loss(ABAB, ids(1, 0, 1), 3, order=5) == pytest.approx(
        expected, rel=1e-14
    )


@pytest.mark.parametrize("context", [(1,), (2, 1), (0,), (1, 2, 1), (2, 2, 2, 1, 2, 1)])
def test_probabilities_sum_to_one(context):
    train = np.random.default_rng(3).integers(0, 4, 200)
    before = (
        ngram_loss(train, ids(*context), 5) * (len(context) - 1) if context[1:] else 0
    )
    total = 0.0
    for character in range(5):
        after = ngram_loss(train, ids(*context, character), 5) * len(context)
        total += math.exp(before - after)
    assert total == pytest.approx(1, rel=1e-12)


def plainly(train, val, vocab_size, order):
    """The formula, a dictionary and a character at a time."""
    followers = defaultdict(Counter)
    for end in range(len(train)):
        for length in range(min(order, end + 1)):
            followers[tuple(train[end - length : end])][train[end]] += 1

    def prob(character, context):
        shorter = prob(character, context[1:]) if context else 1 / vocab_size
        seen = followers.get(context)
        if not seen:
            return shorter
        kinds = len(seen)
        return (seen[character] + kinds * shorter) / (seen.total() + kinds)

    losses = [
        -math.log(prob(val[i], tuple(val[max(i - order + 1, 0) : i])))
        for i in range(1, len(val))
    ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_equals_plain_counting_however_it_is_cut(order, chunk, monkeypatch):
    monkeypatch.setattr(baseline, "CHUNK", chunk)
    rng = np.random.default_rng(order)
    train, val = (rng.integers(0, 5, n) ** 2 for n in (300, 80))
    expected = plainly(train.tolist(), val.tolist(), 20, order)
    found = ngram_loss(train.astype(np.uint8), val.astype(np.uint8), 20, order=order)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_largest_vocabulary_does_not_overflow():
    rng = np.random.default_rng(0)
    train, val = (rng.integers(8000, 8192, n).astype(np.uint16) for n in (5000, 500))
    expected = plainly(train.tolist(), val.tolist(), 8192, 6)
    assert ngram_loss(train, val, 8192, order=6) == pytest.approx(expected, rel=1e-12)


def test_a_text_shorter_than_the_order():
    assert ngram_loss(ids(1), ids(1, 1), 2, order=5) == pytest.approx(-math.log(0.75))


@pytest.mark.parametrize(
    ("order", "expected"), [(2, 2.486), (3, 2.049), (4, 1.774), (5, 1.669), (6, 1.698)]
)
def test_shakespeare(order, expected):
    if not (sources.cache_folder() / "shakespeare.txt").is_file():
        pytest.skip("Shakespeare is not in the cache")
    text = sources.load("shakespeare", max_bytes=2_000_000).text
    vocabulary = Vocabulary.of(text)
    numbers = vocabulary.encode(text)
    split = corpus.split_at(len(text))
    assert split == 1_003_854
    loss = ngram_loss(numbers[:split], numbers[split:], len(vocabulary), order=order)
    assert loss == pytest.approx(expected, abs=0.001)
