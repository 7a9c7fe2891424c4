"""Settle what a training is made of, before anything is written: `prepare`.

The text's vocabulary, the preset with a person's settings on top, streams that
the text can fill, and whether all of it fits in memory.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from charrnn.config import GATES, MAX_VOCAB_SIZE, ModelConfig, TrainingConfig
from charrnn.errors import ConfigError, RunError
from charrnn.hosting import policy
from charrnn.machine import available_memory
from charrnn.model import checkpoint
from charrnn.presets import default_preset, from_preset
from charrnn.text import documents, streams
from charrnn.text.corpus import SPLIT, Corpus, vocabulary_of
from charrnn.text.vocabulary import Vocabulary, by_frequency

MOST_NAMED: Final = 40  # new characters that a notice shows
TENSORFLOW_BYTES: Final = 700_000_000  # what the trainer takes before any text
TEXT_BYTES: Final = 6  # of a character: in UTF-8 and decoded, or its id later
VALIDATION_POSITIONS: Final = 8192  # characters that a validation reads at once


def estimate_memory(
    model: ModelConfig, training: TrainingConfig, characters: int
) -> int:
    """Bytes that a training takes at its peak, from above.

    Memory that is freed is kept by the trainer and does not always fit what comes
    next, so the needs of its phases are added up. In copies of the parameters:

    * the state: weights, their average, two moments of Adam (4);
    * a step: gradients, and the same clipped (2);
    * a validation: the weights put aside, the averages as arrays (2);
    * a sample, and the exact pass at the end: a file's bytes, its arrays, a network
      in NumPy (3). The state is saved an array at a time.

    In arrays ``(batch_size, seq_length, rnn_units)``, for G gates, see
    `charrnn.trainer.scan`: each layer keeps its states in both layouts, its output, a
    second state, dropout's mask and result (6), its gates and its input's product
    (2G); one layer at a time also has the gradients of its output and of its gates
    in both layouts (3 + 2G). A validation goes through a layer at a time and keeps
    nothing of the one before. Beside them: logits, their softmax and its gradient;
    the table that the first layer reads from, its gradient and a sum for it.
    """
    gates, units = GATES[model.cell], model.rnn_units
    trained = training.batch_size * training.seq_length
    validated = min(VALIDATION_POSITIONS, characters)
    kept = model.num_layers * (6 + 2 * gates)
    logits = 3 * model.vocab_size
    activations = max(
        trained * ((kept + 3 + 2 * gates) * units + logits),
        validated * ((6 + 3 * gates) * units + logits),
    )
    table = 3 * model.vocab_size * gates * units
    numbers = 11 * model.num_parameters() + activations + table
    return TENSORFLOW_BYTES + 4 * numbers + TEXT_BYTES * characters


def check_memory(model: ModelConfig, training: TrainingConfig, characters: int) -> None:
    """Refuse a training that cannot fit, before it starts.

    Raises:
        RunError: With what it needs, what there is, and what to reduce.
    """
    needed = estimate_memory(model, training, characters)
    free = available_memory()
    if needed > free:
        raise RunError(
            f"This training needs about {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free: reduce rnn_units, batch_size or "
            "seq_length, or close other programs."
        )


@dataclass(frozen=True)
class Prepared:
    """A text and settings that fit together, before anything is written."""

    corpus: Corpus
    vocabulary: Vocabulary
    model: ModelConfig
    training: TrainingConfig
    notices: tuple[str, ...]
    init: Path | None = None  # folder of the model whose weights it begins with
    split: float = SPLIT  # share of the text that trains


def prepare(
    corpus: Corpus,
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    init: Path | None = None,
) -> Prepared:
    """Settle vocabulary, sizes and settings of a training.

    Args:
        corpus: The text.
        preset: A key of `PRESETS`; None takes the machine's default.
        settings: A person's own settings on top of the preset.
        init: Folder of a model to begin from: its sizes hold, and its vocabulary
            is grown by what the text has beyond it.

    Raises:
        CharrnnError: If a setting is wrong, or it would not fit in memory.
    """
    preset = preset or default_preset()
    settings = dict(settings or {})
    if init is None:
        vocabulary, notices = vocabulary_of(corpus.text)
    else:
        parent = checkpoint.read_record(init)
        known = checkpoint.read_vocabulary(init, parent)
        vocabulary, notices = _grown(known, corpus.text)
        settings = _sizes_of(parent.model, settings)
    model, training = from_preset(preset, settings, vocab_size=len(vocabulary))
    check_parameters(model)
    split = _split(corpus, vocabulary)
    shape = streams.fit_shape(
        len(corpus.text),
        batch_size=training.batch_size,
        seq_length=training.seq_length,
        split=split,
    )
    training = dataclasses.replace(
        training, batch_size=shape.batch_size, seq_length=shape.seq_length
    )
    training, limited = limit_minutes(training)
    check_memory(model, training, len(corpus.text))
    return Prepared(
        corpus,
        vocabulary,
        model,
        training,
        (*corpus.notices, *notices, *shape.notices, *limited),
        init,
        split,
    )


def _split(corpus: Corpus, vocabulary: Vocabulary) -> float:
    """The share of a text that trains; documents stay whole."""
    separator = documents.separator_of(corpus.documents, corpus.separator)
    if not separator:
        return SPLIT
    if unknown := vocabulary.unknown(separator):
        raise ConfigError(
            f"The separator holds {unknown!r}, which is too rare in the text to have "
            "an id of its own: choose a --separator of usual characters."
        )
    return documents.split_between(corpus.text, separator)


def _over_limit(model: ModelConfig) -> tuple[int, int] | None:
    """A network's parameters and the policy's limit, where they are over it."""
    limit, count = policy().max_parameters, model.num_parameters()
    return None if limit is None or count <= limit else (count, limit)


def check_parameters(model: ModelConfig) -> None:
    """Refuse a network that is larger than the policy lets anyone train.

    Raises:
        ConfigError: With its parameters and the limit.
    """
    if over := _over_limit(model):
        count, limit = over
        raise ConfigError(
            f"This network has {count:,} parameters, and at most {limit:,} are trained "
            "here: reduce rnn_units or num_layers."
        )


def check_taken_in(model: ModelConfig) -> None:
    """Refuse a stranger's network that is larger than the policy lets anyone bring.

    Raises:
        ConfigError: With its parameters and the limit.
    """
    if over := _over_limit(model):
        count, limit = over
        raise ConfigError(
            f"The model has {count:,} parameters, and at most {limit:,} are taken in "
            "here."
        )


def limit_minutes(training: TrainingConfig) -> tuple[TrainingConfig, tuple[str, ...]]:
    """A training that ends when the page's policy says, and a notice of it."""
    limit = policy().max_minutes
    if limit is None or (training.minutes or math.inf) <= limit:
        return training, ()
    notice = f"On this page a training ends after {limit:g} minutes."
    return dataclasses.replace(training, minutes=limit), (notice,)


def _sizes_of(parent: ModelConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A person's settings with the sizes of the model that is begun from."""
    sizes = dataclasses.asdict(parent)
    del sizes["vocab_size"], sizes["dropout"]
    for name, value in sizes.items():
        if settings.get(name, value) != value:
            raise ConfigError(
                f"{name} is {settings[name]} and the model to begin from has {value}: "
                f"leave {name} out, or begin from nothing.",
                field=name,
            )
    return {**settings, **sizes}


def _grown(known: Vocabulary, text: str) -> tuple[Vocabulary, tuple[str, ...]]:
    """A vocabulary with what a text has beyond it, and what to say about it.

    Where there is no room for all, the most frequent are taken.
    """
    new = by_frequency(text, without=known)
    room = MAX_VOCAB_SIZE - len(known)
    named = "".join(sorted(new[:room]))
    notices = []
    if named:
        notices.append(
            f"The model that the training begins from lacks {len(named):,} of the "
            f"text's characters; each gets a row of its own: {named[:MOST_NAMED]!r}."
        )
    if len(new) > room:
        notices.append(
            f"The model has room for {room:,} new characters: the {len(new) - room:,} "
            "rarest of the text are read as [UNK]."
        )
    return known.grown(named), tuple(notices)
