"""`inspect`: a look inside a model with one text, as JSON or for a terminal."""

import argparse
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from charrnn.cli.output import show, show_json, table
from charrnn.inside import surprise
from charrnn.inside.surprise import Surprise
from charrnn.model.checkpoint import Model
from charrnn.text.vocabulary import Vocabulary

LINE: Final = 72  # characters of a line of the map
WORST: Final = 10  # characters that are listed as the most surprising
CONTEXT: Final = 20  # characters before one that are shown with it
VISIBLE: Final = {"\n": "⏎", " ": "␣", "\t": "⇥"}
WIDE: Final = ("W", "F")  # two columns of a terminal each


def visible(entry: str) -> str:
    """A character as it is shown where it stands alone."""
    return VISIBLE.get(entry, entry)


def as_json(found: Surprise, vocabulary: Vocabulary) -> dict[str, Any]:
    """The figures of a text, and of each of its characters; the first has none."""
    entries = vocabulary.entries
    characters: list[dict[str, Any]] = [{"character": found.text[0]}]
    rows = zip(
        found.text[1:],
        found.probability.tolist(),
        found.rank.tolist(),
        found.bits.tolist(),
        found.likeliest.tolist(),
        found.likeliest_probability.tolist(),
        strict=True,
    )
    for character, probability, rank, bits, ids, theirs in rows:
        likeliest = [
            {"character": entries[index], "probability": share}
            for index, share in zip(ids, theirs, strict=True)
        ]
        characters.append(
            {
                "character": character,
                "probability": probability,
                "rank": rank,
                "bits": bits,
                "likeliest": likeliest,
            }
        )
    return {**_totals(found), "text": characters}


def _totals(found: Surprise) -> dict[str, Any]:
    return {
        "bits_per_char": found.bits_per_char,
        "perplexity": found.perplexity,
        "characters": len(found.bits),
        "unknown": found.unknown,
    }


def map_lines(text: str, steps: Sequence[int]) -> Iterator[str]:
    """The text in lines, under each a line with the step of every character.

    Step 0 is a blank, so that what was expected stays quiet. A character that takes
    two columns of a terminal has a blank after its step.

    Args:
        text: Any.
        steps: 0 to 5, of each character but the first.
    """
    line = marks = ""
    for character, step in zip(text, (0, *steps), strict=True):
        shown = visible(character) if character in "\n\t" else character
        line += shown
        marks += str(step) if step else " "
        marks += " " if unicodedata.east_asian_width(shown) in WIDE else ""
        if character == "\n" or len(line) >= LINE:
            yield line
            yield marks.rstrip()
            line = marks = ""
    if line:
        yield line
        yield marks.rstrip()


def _show_totals(values: dict[str, Any]) -> None:
    for name, value in values.items():
        shown = f"{value:.4f}" if isinstance(value, float) else f"{value}"
        show(f"{name:24} {shown}")


def _show_map(found: Surprise) -> None:
    show("")
    for line in map_lines(found.text, found.steps.tolist()):
        show(line)
    parts = [f"{n} under {share:g}" for n, share in enumerate(surprise.STEPS, 1)]
    show(f"\nprobability: blank from {surprise.STEPS[0]:g}, {', '.join(parts)}\n")


def _show_worst(found: Surprise, vocabulary: Vocabulary) -> None:
    rows = [("PLACE", "BEFORE", "CHARACTER", "PROBABILITY", "RANK", "BITS", "EXPECTED")]
    for index in found.bits.argsort(kind="stable")[::-1][:WORST].tolist():
        before = found.text[max(0, index + 1 - CONTEXT) : index + 1]
        expected = [
            f"{visible(vocabulary.entries[i])} {share:.2f}"
            for i, share in zip(
                found.likeliest[index, :3].tolist(),
                found.likeliest_probability[index, :3].tolist(),
                strict=True,
            )
        ]
        rows.append(
            (
                *(str(index + 1), "".join(map(visible, before))),
                visible(found.text[index + 1]),
                f"{found.probability[index]:.2g}",
                *(str(found.rank[index]), f"{found.bits[index]:.2f}"),
                ", ".join(expected),
            )
        )
    table(rows)


def show_surprise(args: argparse.Namespace, model: Model, text: str) -> None:
    """What one model says of a text."""
    found = surprise.surprise(model, text)
    if args.json:
        show_json({"model": args.model, **as_json(found, model.vocabulary)})
        return
    _show_totals(_totals(found))
    _show_map(found)
    _show_worst(found, model.vocabulary)


def show_difference(
    args: argparse.Namespace, models: tuple[Model, Model], text: str
) -> None:
    """What two models say of a text, and where they differ."""
    first, second = (surprise.surprise(model, text) for model in models)
    bits = surprise.difference(first, second)
    if args.json:
        values = {
            "model": args.model,
            "other": args.against,
            "bits_per_char": [first.bits_per_char, second.bits_per_char],
            "difference": [None, *bits.tolist()],
        }
        show_json(values)
        return
    show(f"{args.model:24} {first.bits_per_char:.4f} bits per character")
    show(f"{args.against:24} {second.bits_per_char:.4f} bits per character")
    show(f"{'difference':24} {bits.mean():+.4f}\n")
    rows = [("PLACE", "BEFORE", "CHARACTER", args.model, args.against, "DIFFERENCE")]
    for index in abs(bits).argsort(kind="stable")[::-1][:WORST].tolist():
        before = text[max(0, index + 1 - CONTEXT) : index + 1]
        rows.append(
            (
                *(str(index + 1), "".join(map(visible, before))),
                visible(text[index + 1]),
                f"{first.bits[index]:.2f} bits",
                f"{second.bits[index]:.2f} bits",
                f"{bits[index]:+.2f}",
            )
        )
    table(rows)
