"""What a look inside a model found, as JSON takes it: `--json` and the endpoints."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from charrnn.errors import ConfigError
from charrnn.inside import surprise, units
from charrnn.inside.marks import MARKS
from charrnn.inside.memory import SHARES, Look, Reach
from charrnn.inside.surprise import Surprise
from charrnn.inside.units import Found
from charrnn.model.checkpoint import Model
from charrnn.text.vocabulary import Vocabulary


def totals(found: Surprise) -> dict[str, Any]:
    """The figures of a whole text; its first character is not counted."""
    return {
        "bits_per_char": found.bits_per_char,
        "perplexity": found.perplexity,
        "characters": len(found.bits),
        "unknown": found.unknown,
    }


def character(found: Surprise, place: int, vocabulary: Vocabulary) -> dict[str, Any]:
    """What the model said of one character.

    Args:
        found: Of the whole text.
        place: Of the character, from 1.
        vocabulary: The model's.
    """
    index = place - 1
    likeliest = zip(
        found.likeliest[index].tolist(),
        found.likeliest_probability[index].tolist(),
        strict=True,
    )
    return {
        "character": found.text[place],
        "probability": float(found.probability[index]),
        "rank": int(found.rank[index]),
        "bits": float(found.bits[index]),
        "likeliest": [
            {"character": vocabulary.entries[entry], "probability": share}
            for entry, share in likeliest
        ],
    }


def of_text(found: Surprise, vocabulary: Vocabulary) -> dict[str, Any]:
    """The figures of a text, and of each of its characters; the first has none."""
    places = range(1, len(found.text))
    rest = [character(found, place, vocabulary) for place in places]
    return {**totals(found), "text": [{"character": found.text[0]}, *rest]}


def of_difference(first: Surprise, second: Surprise) -> dict[str, Any]:
    """Bits of two models on one text, and how many more the first needs at each place.

    Raises:
        ConfigError: If the two are not of one text.
    """
    return {
        "bits_per_char": [first.bits_per_char, second.bits_per_char],
        "difference": [None, *surprise.difference(first, second).tolist()],
    }


def of_look(found: Surprise, look: Look, vocabulary: Vocabulary) -> dict[str, Any]:
    """One character, and what the model looked at when it predicted it."""
    before = found.text[look.place - len(look.norms) : look.place]
    return {
        "place": look.place,
        **character(found, look.place, vocabulary),
        "shares": {str(last): look.share(last) for last in SHARES},
        "looked_at": [
            {"character": one, "norm": norm}
            for one, norm in zip(before, look.norms.tolist(), strict=True)
        ],
    }


def measured(reach: Reach | None) -> Reach:
    """The same, where there is one.

    Raises:
        ConfigError: If no earlier character mattered anywhere.
    """
    if reach is None:
        raise ConfigError(
            "No earlier character mattered at any place of this text: the model has "
            "no memory to measure."
        )
    return reach


def of_reach(reach: Reach) -> dict[str, Any]:
    """How far back a model looks, on average over a text."""
    return {
        "characters": reach.characters,
        "half_within": reach.within(0.5),
        "all_but_one_percent_within": reach.within(0.99),
        "shares": reach.shares.tolist(),
    }


def course(
    models: Iterable[tuple[int, Model]],
    text: str,
    followed: Sequence[tuple[str, int, int]],
) -> list[tuple[int, list[float]]]:
    """How units follow their marks at each of some steps of a training.

    Args:
        models: Each step, and the model as it was then; one is held at a time.
        text: What they read.
        followed: Name of a mark, layer and unit from 0.

    Returns:
        Each step, and the correlations on the text's second half.
    """
    marks = {mark: MARKS[mark](text) for mark, _, _ in followed}
    found = []
    for step, model in models:
        _, states = surprise.read(model, text)
        config = model.record.model
        values = [
            units.correlation(units.output(config, states, (layer, unit)), marks[mark])
            for mark, layer, unit in followed
        ]
        found.append((step, values))
    return found


def of_units(found: Sequence[Found], characters: int) -> dict[str, Any]:
    """What follows each mark of a text of so many characters."""
    marks = [
        {
            **dataclasses.asdict(one),
            "unit_shown": one.unit_shown,
            "probe_shown": one.probe_shown,
        }
        for one in found
    ]
    return {"characters": characters, "marks": marks}
