"""A model's weights for a larger vocabulary: old rows move, new rows are drawn.

The embedding has a row for each id, the head a column and a bias. Those of a
character that the old vocabulary holds, and of [UNK], are copied bit for bit to the
place that the character has now; the recurrent layers stay as they are. What the
network says of the characters that it knew is therefore what it said before.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from charrnn.config import ModelConfig
from charrnn.model.checkpoint import Weights
from charrnn.text.vocabulary import Vocabulary

EMBEDDING_RANGE: Final = 0.05  # a new network's embedding is uniform within it


def _places(old: Vocabulary, new: Vocabulary) -> npt.NDArray[np.intp]:
    """The id that each entry of the old vocabulary has in the new one."""
    ids = {entry: index for index, entry in enumerate(new.entries)}
    return np.array([ids[entry] for entry in old.entries], np.intp)


def grow(
    weights: Weights, model: ModelConfig, old: Vocabulary, new: Vocabulary, *, seed: int
) -> Weights:
    """Weights of the same network over a vocabulary that holds the old one.

    New rows are drawn as those of a new network of the new size are: the embedding's
    uniform within 0.05, the head's columns after Glorot and Bengio (2010), its biases
    zero.

    Args:
        weights: Of ``model``, left as they are.
        model: The old configuration.
        old: Its vocabulary.
        new: Every entry of ``old``, and others.
        seed: Of what is drawn.

    Returns:
        The weights for ``len(new)`` ids.
    """
    if old.entries == new.entries:
        return dict(weights)
    rng, size, places = np.random.default_rng(seed), len(new), _places(old, new)
    limit = math.sqrt(6 / (model.rnn_units + size))
    embedding = rng.uniform(
        -EMBEDDING_RANGE, EMBEDDING_RANGE, (size, model.embedding_dim)
    ).astype(np.float32)
    kernel = rng.uniform(-limit, limit, (model.rnn_units, size)).astype(np.float32)
    bias = np.zeros(size, np.float32)
    embedding[places] = weights["embedding.weight"]
    kernel[:, places] = weights["head.kernel"]
    bias[places] = weights["head.bias"]
    return {
        **weights,
        "embedding.weight": embedding,
        "head.kernel": kernel,
        "head.bias": bias,
    }
