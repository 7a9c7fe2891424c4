"""The n-gram baseline: the loss that counting characters reaches, without a network.

A network that is not below it has learnt nothing that a table of counts does not
hold. From the bottom up: tables of n-grams, the interpolation, `ngram_loss`.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer]
Numbers = npt.NDArray[np.int64]
CHUNK = 1 << 21  # characters sorted at once: some 100 MB of temporary arrays
NO_CONTEXT = -1  # the text before does not reach back so far, or was never seen


def _merge(
    keys: Numbers, counts: Numbers, more: Numbers, more_counts: Numbers
) -> tuple[Numbers, Numbers]:
    """Two sorted tables of counts as one."""
    merged, where = np.unique(np.concatenate([keys, more]), return_inverse=True)
    total = np.zeros(len(merged), np.int64)
    total[where[: len(keys)]] = counts
    total[where[len(keys) :]] += more_counts
    return merged, total


def _keys(contexts: npt.NDArray[np.int32], ids: Ids, vocab_size: int) -> Numbers:
    """One number for each context followed by its character, or -1."""
    wide = contexts.astype(np.int64)
    return np.where(wide < 0, NO_CONTEXT, wide * vocab_size + ids)


def _count(
    contexts: npt.NDArray[np.int32], ids: Ids, vocab_size: int
) -> tuple[Numbers, Numbers]:
    """Distinct n-grams as sorted keys, and how often each occurs."""
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for start in range(0, len(ids), CHUNK):
        part = slice(start, start + CHUNK)
        found, often = np.unique(
            _keys(contexts[part], ids[part], vocab_size), return_counts=True
        )
        seen = found >= 0
        keys, counts = _merge(keys, counts, found[seen], often[seen])
    return keys, counts


def _find(table: Numbers, keys: Numbers) -> npt.NDArray[np.int32]:
    """Each key's index in a sorted table, -1 where it is not there."""
    # looking up distinct keys only is what keeps large texts quick
    distinct, where = np.unique(keys, return_inverse=True)
    index = np.minimum(np.searchsorted(table, distinct), len(table) - 1)
    index[table[index] != distinct] = NO_CONTEXT
    return index.astype(np.int32)[where]


def _advance(
    contexts: npt.NDArray[np.int32], ids: Ids, table: Numbers, vocab_size: int
) -> None:
    """Make each position's context one character longer, in place."""
    bounds = [*range(0, len(ids) - 1, CHUNK), len(ids) - 1]
    for start, stop in reversed(list(pairwise(bounds))):  # reads left of its writes
        keys = _keys(contexts[start:stop], ids[start:stop], vocab_size)
        contexts[start + 1 : stop + 1] = _find(table, keys)
    contexts[0] = NO_CONTEXT


def _mix(
    probs: npt.NDArray[np.float64],
    contexts: npt.NDArray[np.int32],
    keys: Numbers,
    table: tuple[Numbers, Numbers],
    vocab_size: int,
) -> None:
    """Mix the shorter context's probabilities with this one's, in place."""
    grams, counts = table
    owners = grams // vocab_size
    total = np.bincount(owners, weights=counts)
    distinct = np.bincount(owners)
    # contexts that nothing ever followed lie beyond the end
    rows = np.flatnonzero((contexts >= 0) & (contexts < len(total)))
    rows = rows[total[contexts[rows]] > 0]
    found = _find(grams, keys[rows])
    count = np.where(found < 0, 0, counts[found])
    followers, kinds = total[contexts[rows]], distinct[contexts[rows]]
    probs[rows] = (count + kinds * probs[rows]) / (followers + kinds)


def ngram_loss(
    train_ids: Ids, val_ids: Ids, vocab_size: int, *, order: int = 5
) -> float:
    """Loss of an interpolated Witten-Bell n-gram model.

    With ``c(h, w)`` the number of times character ``w`` follows context ``h``
    in the training part, ``c(h)`` their sum and ``n(h)`` the number of distinct
    characters that follow ``h``::

        p(w | h) = (c(h, w) + n(h) * p(w | h')) / (c(h) + n(h))

    where ``h'`` is ``h`` without its first character; below the empty context
    lies the uniform distribution over ``vocab_size`` ids. A context that was
    never seen leaves the decision to the shorter one. The first character of
    the validation part is context only, and those after it have as much
    context as the validation part gives them: nothing of the training part is
    looked at, as in the scores of the networks.

    Memory is about ``4 * N`` bytes and the tables of distinct n-grams.

    Args:
        train_ids: Ids of the training part, shape ``(N,)``, at least one.
        val_ids: Ids of the validation part, shape ``(M,)``, at least two.
        vocab_size: Ids of the vocabulary, [UNK] included.
        order: Characters of an n-gram; ``order - 1`` are context.

    Returns:
        Mean nats per character over ``M - 1`` characters.

    Reference:
        Witten & Bell (1991), method C, in the interpolated form of Chen &
        Goodman (1999), section 2.4. https://doi.org/10.1006/csla.1999.0128
    """
    train_contexts = np.zeros(len(train_ids), np.int32)  # all the empty one
    val_contexts = np.zeros(len(val_ids), np.int32)
    probs = np.full(len(val_ids), 1 / vocab_size)
    for length in range(order):  # of the context
        table = _count(train_contexts, train_ids, vocab_size)
        if not len(table[0]):  # a text shorter than the context
            break
        for start in range(0, len(val_ids), CHUNK):
            part = slice(start, start + CHUNK)
            keys = _keys(val_contexts[part], val_ids[part], vocab_size)
            _mix(probs[part], val_contexts[part], keys, table, vocab_size)
        if length + 1 < order:
            _advance(train_contexts, train_ids, table[0], vocab_size)
            _advance(val_contexts, val_ids, table[0], vocab_size)
    return float(-np.log(probs[1:]).mean())
