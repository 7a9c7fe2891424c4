"""`inspect`: a look inside a model with one text, as JSON or for a terminal."""

import argparse
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from charrnn.cli.output import show, show_json, table
from charrnn.inside import memory, report, surprise, units
from charrnn.inside.marks import marks_of
from charrnn.inside.surprise import Surprise
from charrnn.inside.units import Found
from charrnn.model import snapshots
from charrnn.model.checkpoint import Model
from charrnn.runs.store import resolve
from charrnn.text.vocabulary import Vocabulary

LINE: Final = 72  # characters of a line of the map
WORST: Final = 10  # characters that are listed as the most surprising
CONTEXT: Final = 20  # characters before one that are shown with it
VISIBLE: Final = {"\n": "⏎", " ": "␣", "\t": "⇥"}
DISTANCES: Final = (1, 2, 3, 5, 10, 20, 50, 100, 200)  # of the table of the reach
WIDE: Final = ("W", "F")  # two columns of a terminal each


def visible(entry: str) -> str:
    """A character as it is shown where it stands alone."""
    return VISIBLE.get(entry, entry)


def map_lines(text: str, steps: Sequence[int], first: int = 0) -> Iterator[str]:
    """The text in lines, under each a line with the step of every character.

    Step 0 is a blank, so that what was expected stays quiet. A character that takes
    two columns of a terminal has a blank after its step.

    Args:
        text: Any.
        steps: One digit, of each character but the first.
        first: Of the first one.
    """
    line = marks = ""
    for character, step in zip(text, (first, *steps), strict=True):
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
        show_json({"model": args.model, **report.of_text(found, model.vocabulary)})
        return
    _show_totals(report.totals(found))
    _show_map(found)
    _show_worst(found, model.vocabulary)


def show_difference(
    args: argparse.Namespace, models: tuple[Model, Model], text: str
) -> None:
    """What two models say of a text, and where they differ."""
    first, second = (surprise.surprise(model, text) for model in models)
    bits = surprise.difference(first, second)
    if args.json:
        names = {"model": args.model, "other": args.against}
        show_json({**names, **report.of_difference(first, second)})
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


def show_look(args: argparse.Namespace, model: Model, text: str) -> None:
    """What stood behind the prediction of one character."""
    network, states = surprise.read(model, text)
    look = memory.look(model, model.vocabulary.encode(text), states, args.at)
    found = surprise.surprise_of(model, text, network, states)
    values = report.of_look(found, look, model.vocabulary)
    if args.json:
        show_json({"model": args.model, **values})
        return
    show(
        f"{visible(values['character'])} at {look.place}: probability "
        f"{values['probability']:.3g}, rank {values['rank']}, "
        f"{values['bits']:.2f} bits\n"
    )
    rows = [("LIKELIEST", "PROBABILITY")]
    for other in values["likeliest"]:
        rows.append((visible(other["character"]), f"{other['probability']:.4f}"))
    table(rows)
    before = text[look.place - len(look.norms) : look.place]
    largest = look.norms.max() or 1.0
    steps = (look.norms / largest * 9).round().astype(int).tolist()
    show("\nlooked at (9: most):")
    for line in map_lines(before, steps[1:], first=steps[0]):
        show(line)
    if look.share(1) is None:
        show("\nnothing before it mattered")
        return
    parts = [f"the last {n} hold {look.share(n):.0%}" for n in memory.SHARES]
    show(f"\n{', '.join(parts)}")


def show_reach(args: argparse.Namespace, model: Model, text: str) -> None:
    """How far back the model looks, on average over the text."""
    _, states = surprise.read(model, text)
    found = memory.reach(model, model.vocabulary.encode(text), states)
    reach = report.measured(found)
    if args.json:
        show_json({"model": args.model, **report.of_reach(reach)})
        return
    show(f"{reach.sentence}\n")
    rows = [("LAST CHARACTERS", "SHARE")]
    for last in DISTANCES:
        if last <= len(reach.shares):
            rows.append((str(last), f"{reach.shares[:last].sum():.1%}"))
    table(rows)


def show_units(args: argparse.Namespace, model: Model, text: str) -> None:
    """Which unit follows which mark of the text, and what all hold together."""
    units.check_count(len(text))
    _, states = surprise.read(model, text)
    found = units.search(model.record.model, states, marks_of(text))
    if args.steps:
        _show_course(args, text, [one for one in found if one.unit_shown])
        return
    if args.json:
        show_json({"model": args.model, **report.of_units(found, len(text))})
        return
    rows = [("MARK", "UNIT", "CORRELATION", "CONTROLS", "PROBE'S R2", "CONTROLS")]
    for one in found:
        unit = (f"{one.layer}.{one.unit}", f"{one.correlation:+.2f}")
        probe = (f"{one.r2:.2f}", f"{one.r2_control:.2f}")
        rows.append(
            (
                one.mark,
                *((*unit, f"{one.control:.2f}") if one.unit_shown else "---"),
                *(probe if one.probe_shown else "--"),
            )
        )
    table(rows)
    show("\n-: not more than the same mark shifted against the text")


def _show_course(args: argparse.Namespace, text: str, found: Sequence[Found]) -> None:
    """How the units that follow something came to follow it, step by step."""
    path = resolve(args.model)
    models = ((step, snapshots.load(path, step)) for step in snapshots.steps(path))
    followed = [(one.mark, one.layer, one.unit) for one in found]
    course = report.course(models, text, followed)
    if args.json:
        marks = [
            {
                "mark": mark,
                "layer": layer,
                "unit": unit,
                "course": [
                    {"step": step, "correlation": values[index]}
                    for step, values in course
                ],
            }
            for index, (mark, layer, unit) in enumerate(followed)
        ]
        show_json({"model": args.model, "characters": len(text), "marks": marks})
        return
    rows = [("MARK", "UNIT", *(f"{step:,}" for step, _ in course))]
    for index, (mark, layer, unit) in enumerate(followed):
        shown = (f"{values[index]:+.2f}" for _, values in course)
        rows.append((mark, f"{layer}.{unit}", *shown))
    table(rows)
    show("\ncorrelation of the unit with its mark after each step that was kept")
