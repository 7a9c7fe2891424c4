"""What the command line prints."""

import contextlib
import dataclasses
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from charrnn.config import MAX_ROWS, TrainingConfig
from charrnn.files import replace_unsafe
from charrnn.model.record import Figures, Record
from charrnn.model.reliability import Bin, overall
from charrnn.runs import events
from charrnn.runs.curve import (
    MAX_INVENTED,
    MAX_REPEATS,
    Point,
    knows_words,
    region,
)
from charrnn.runs.events import Event
from charrnn.runs.figures import TextFigures
from charrnn.runs.listing import ModelEntry
from charrnn.runs.quality import best_loss, has_diverged, worse_than_guessing
from charrnn.runs.view import Reducer, RunView
from charrnn.text.parts import Part
from charrnn.web.bundle import choose_format, known_costs
from charrnn.web.weights import MAX_COST

BEGUN: Final = 40  # characters of a text in a table
STEP_SECONDS: Final = 30.0  # between two lines of steps in a pipe


def emit(text: str) -> None:
    """A line for the person, apart from what the command is asked for.

    Nothing depends on its reader: a training goes on when nobody hears of it.
    Titles, samples and messages in it may be a stranger's.
    """
    with contextlib.suppress(BrokenPipeError):
        print(_safe_lines(text), file=sys.stderr, flush=True)


def _safe_lines(text: str) -> str:
    return replace_unsafe(text, keep="\n\t")


def show(text: str, *, end: str = "\n") -> None:
    """What the command is asked for; a terminal gets no control characters.

    A stranger's model may write any character it has seen, escape included.
    """
    if sys.stdout.isatty():
        text = _safe_lines(text)
    sys.stdout.buffer.write((text + end).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def show_json(value: Any) -> None:
    """One JSON value on standard output."""
    show(json.dumps(value, indent=2, ensure_ascii=False))


def duration(seconds: float) -> str:
    """A time as people read it.

    Example:
        >>> duration(7.4), duration(125), duration(3_900)
        ('7 s', '2 min 05 s', '1 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def date(seconds: float | None) -> str:
    """A moment in local time, to the minute, or a hyphen."""
    if seconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


class Printer:
    """Turns events into lines.

    On a terminal, steps rewrite one line. Elsewhere (a pipe, a log) the first
    step has a line, then at most one each `STEP_SECONDS` does.

    Args:
        live: Whether standard error is a terminal.
        training: The run's settings, for the time left.
    """

    def __init__(self, live: bool, training: TrainingConfig) -> None:
        self.live = live
        self.minutes = training.minutes
        self.characters_per_step = training.batch_size * training.seq_length
        self.reducer = Reducer()
        self.planned: int | None = None  # steps, as last printed
        self.last_line = -math.inf  # time of the step that had a line
        self.steps = 0  # events of this process
        self.open_line = False

    def __call__(self, event: Event) -> None:
        """Print one event, if it has something to say."""
        self.reducer.take(event)
        if isinstance(event, events.Step):
            self.steps += 1
            self._print_step(event)
        elif line := self._line(event):
            self._clear()
            emit(line)

    def _print_step(self, event: events.Step) -> None:
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            line = self._step(event)[:width].ljust(width)
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            self.open_line = True
        elif event.time - self.last_line >= STEP_SECONDS:
            self.last_line = event.time
            emit(self._step(event))

    def _clear(self) -> None:
        """Take the rewritten line away: what follows stands in its place."""
        if self.open_line:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{' ' * width}\r", end="", file=sys.stderr, flush=True)
            self.open_line = False

    def _step(self, event: events.Step) -> str:
        view = self.reducer.view()
        left = None
        if self.steps > 1:  # the first one's speed is that of making the graph
            left = view.seconds_left(self.characters_per_step, self.minutes)
        planned = f" of {view.planned_steps:,}" if view.planned_steps else ""
        time_left = "" if left is None else f", {duration(left)} left"
        return (
            f"step {event.step:,}{planned}{time_left}, loss {event.loss:.3f} "
            f"nats/char, epoch {event.epoch}, {event.chars_per_second:,.0f} chars/s"
        )

    def _validated(self, step: int) -> bool:
        """Whether the last line is of this step's validation.

        The published weights write one more sample of it, which has no line.
        """
        view = self.reducer.view()
        known = [event.step for event in view.validations[-1:]]
        return known == [step] == [s.step for s in view.samples if s.step == step]

    def _plan(self, event: events.Started | events.Planned) -> str:
        planned, known = event.planned_steps, self.planned
        self.planned = planned
        if isinstance(event, events.Started):
            self.steps = 0
        if planned is None:
            return "timing the first steps: how many are there time for?"
        return "" if planned == known else f"{planned:,} steps are planned"

    def _line(self, event: Event) -> str:
        match event:
            case events.Started() | events.Planned():
                return self._plan(event)
            case events.Validation():
                return _validation(event)
            case events.Sample() if self._validated(event.step):
                text = event.text[:150].replace("\n", "\n    ")
                return f"    {text} ..."
            case events.Queued() if event.position:
                return f"waiting for {event.position} earlier training(s) to end"
            case events.Notice():
                return f"note: {event.message}"
            case events.Baseline():
                return f"a table of {event.order}-grams: {event.loss:.3f}"
            case events.LearningRate():
                return f"learning rate x {event.factor:g}"
        return _ending(event)


def _validation(event: events.Validation) -> str:
    loss = event.val_loss
    best = "  best so far" if event.best else ""
    return (
        f"step {event.step:,}: sampled validation {loss:.4f} nats/char "
        f"({loss / math.log(2):.3f} bits){best}"
    )


def _ending(event: Event) -> str:
    match event:
        case events.Resumed():
            return f"resumed after step {event.step:,}"
        case events.Ended():
            return f"{event.reason} after step {event.step:,}"
        case events.Failed():
            return f"failed: {event.message}"
    return ""


def stream_texts(texts: Iterator[list[str]], heads: Sequence[str]) -> None:
    """Print texts in their order, the first of each turn as it grows.

    Args:
        texts: From `charrnn.model.generation.generate`.
        heads: The line above each text; a text may have none.
    """
    printer, rows = _TextPrinter(heads), [""]
    for rows in texts:
        begun = max((i for i, row in enumerate(rows) if row), default=0)
        turn = begun - begun % MAX_ROWS  # its first text
        printer.finish(rows[:turn])
        printer.grow(rows[turn])
    printer.finish(rows)


def show_figures(heads: Sequence[str], counted: Sequence[TextFigures]) -> None:
    """Print the figures of texts, a line each.

    Args:
        heads: What is told of each text.
        counted: Their figures; none where none were asked for.
    """
    for head, figures in zip(heads, counted, strict=False):
        told = (
            f"{name} {value:.4f} bits/char"
            if name == "surprise"
            else f"{name} {100 * value:.1f} %"
            for name, value in dataclasses.asdict(figures).items()
            if value is not None
        )
        show(f"--- {head}: {', '.join(told)}")


def show_parts(parts: Mapping[str, Part]) -> None:
    """Print what a loss is made of, a line each part: the second column sums to it.

    Args:
        parts: By name; at least one.
    """
    loss = sum(part.loss for part in parts.values())
    characters = sum(part.characters for part in parts.values())
    rows = [("PART", "NATS/CHAR", "OF THE LOSS", "OF THE TEXT", "NATS IN IT")]
    for name, part in parts.items():
        share = part.characters / characters
        rows.append(
            (
                *(name, f"{part.loss:.4f}"),
                f"{part.loss / loss:.1%}" if loss else "-",
                *(f"{share:.1%}", f"{part.loss / share:.3f}"),
            )
        )
    table(rows)


def show_reliability(bins: Sequence[Bin]) -> None:
    """Print how sure predictions were and how often they were right, a line a bin.

    Args:
        bins: Of a score; at least one.
    """
    rows = [("SAID", "RIGHT", "CHARACTERS")]
    named = [(f"{each.said:.1%}", each) for each in bins]
    whole = overall(bins)
    for said, each in [*named, (f"{whole.said:.1%} (all)", whole)]:
        rows.append((said, f"{each.right:.1%}", f"{each.characters}"))
    table(rows)


def show_curve(curve: Sequence[Point]) -> None:
    """Print the figures of a curve, a line a temperature, and its region in words."""
    lines: list[tuple[str, ...]] = [
        ("TEMPERATURE", "INVENTED", "REPEATS", "BITS/CHAR", "COPIED", "TEXT")
    ]
    for temperature, text, found in curve:
        shares = (found.invented, found.repeats, found.copied)
        invented, repeats, copied = (
            "-" if share is None else f"{100 * share:.1f} %" for share in shares
        )
        bits = "-" if found.surprise is None else f"{found.surprise:.3f}"
        begun = " ".join(text.split())[:BEGUN]
        lines.append((f"{temperature:g}", invented, repeats, bits, copied, begun))
    table(lines)
    wanted = f"repeats under {100 * MAX_REPEATS:g} %"
    if knows_words(curve):
        wanted += f" and invented words under {100 * MAX_INVENTED:g} %"
    places = [f"{low:.2f} to {high:.2f}" for low, high in region(curve)]
    at = f"temperature {', '.join(places)}" if places else "no temperature"
    show(f"{wanted}: {at}")


class _TextPrinter:
    def __init__(self, heads: Sequence[str]) -> None:
        self.heads = heads
        self.index = 0  # of the text that is being printed
        self.shown: int | None = None  # its characters; None before its head

    def grow(self, text: str) -> None:
        """Print what was added to the present text."""
        if self.shown is None and self.heads[self.index]:
            show(f"--- {self.heads[self.index]} ---")
        show(text[self.shown :], end="")
        self.shown = len(text)

    def finish(self, rows: Sequence[str]) -> None:
        """Print these texts to their ends, as far as they are not printed."""
        for row in rows[self.index :]:
            self.grow(row)
            show("")
            self.index, self.shown = self.index + 1, None


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns, the first row as their heads."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        show("  ".join(cells).rstrip())


def loss_column(entry: ModelEntry) -> str:
    """A model's validation loss in a list, or a hyphen."""
    best = best_loss(entry.record, entry.now.view)
    if best is None:
        return "-"
    worse = " (worse than guessing)" if has_diverged(entry.record, entry.now) else ""
    return f"{best.loss:.4f}{worse}"


def say_outcome(record: Record, view: RunView) -> None:
    """What a training that has ended amounts to: the loss of its kept weights."""
    best = best_loss(record, view)
    if best is None:
        return
    where = "" if best.exact else ", sampled"
    if best.characters is not None:
        where = f" over the first {best.characters:,} characters of the validation part"
    emit(
        f"kept weights of step {best.step:,}: validation {best.loss:.4f} nats/char "
        f"({best.loss / math.log(2):.3f} bits){where}"
    )
    if record.figures is not None and record.figures.logit_scale is not None:
        emit(
            f"their logits are multiplied by {record.figures.logit_scale:.4f}, which "
            "fits the validation part best"
        )
    if costs := _format_costs(record.figures):
        emit(costs)
    if warning := worse_than_guessing(record, view):
        emit(f"note: {warning}")


def _format_costs(figures: Figures | None) -> str:
    """What smaller formats of the weights lose, and which a web page would take."""
    costs = known_costs(figures)
    told = [
        f"in {name} by {costs[name]:+.4f}"
        for name in ("float16", "int8")
        if name in costs
    ]
    if not told:
        return ""
    chosen, limit = choose_format(costs), f"{MAX_COST:g}"
    reason = (
        f"the smallest format that loses less than {limit}"
        if chosen != "float32"
        else f"since each smaller format loses {limit} or more"
    )
    return (
        f"their loss changes {', '.join(told)} nats/char; a web page of them takes "
        f"{chosen}, {reason}"
    )


def transfer_progress() -> Callable[[str, int, int], None]:
    """A listener that prints bytes transferred, once a second."""
    last_line = [0.0]

    def progress(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if total and (done == total or now - last_line[0] > 1):
            last_line[0] = now
            emit(f"{stage}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return progress
