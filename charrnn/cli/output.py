"""What the command line prints."""

import contextlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from charrnn.model.record import Record
from charrnn.runs import events
from charrnn.runs.events import Event
from charrnn.runs.view import Reducer


def say(text: str) -> None:
    """A line for the person, apart from what the command is asked for.

    Nothing depends on its reader: a training goes on when nobody hears of it.
    """
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def show(text: str, *, end: str = "\n") -> None:
    """What the command is asked for; a terminal gets no control characters.

    A stranger's model may write any character it has seen, escape included.
    """
    if sys.stdout.isatty():
        text = _printable(text)
    sys.stdout.buffer.write((text + end).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def show_json(value: Any) -> None:
    """One JSON value on standard output."""
    show(json.dumps(value, indent=2, ensure_ascii=False))


class Printer:
    """Turns events into lines; on a terminal, steps rewrite one line.

    Args:
        live: Whether standard error is a terminal.
    """

    def __init__(self, live: bool) -> None:
        self.live = live
        self.reducer = Reducer()
        self.open_line = False

    def __call__(self, event: Event) -> None:
        """Print one event, if it has something to say."""
        self.reducer.take(event)
        if isinstance(event, events.Step):
            if self.live:
                width = shutil.get_terminal_size().columns - 1
                line = self._step(event)[:width].ljust(width)
                print(f"\r{line}", end="", file=sys.stderr, flush=True)
                self.open_line = True
            return
        line = self._line(event)
        if line:
            if self.open_line:
                say("")
                self.open_line = False
            say(line)

    def _step(self, event: events.Step) -> str:
        planned = self.reducer.view().planned_steps
        text = f"step {event.step:,}"
        if planned:
            text += f" of {planned:,}"
        return (
            f"{text}, epoch {event.epoch}, loss {event.loss:.3f} nats/char, "
            f"{event.chars_per_second:,.0f} chars/s"
        )

    def _line(self, event: Event) -> str:
        match event:
            case events.Validation():
                return _validation(event)
            case events.Sample():
                text = _printable(event.text[:150]).replace("\n", "\n    ")
                return f"    {text} ..."
            case events.Queued() if event.position:
                return f"waiting for {event.position} earlier training(s) to end"
            case events.Notice():
                return f"note: {_printable(event.message)}"
            case events.Baseline():
                return f"a table of {event.order}-grams: {event.loss:.3f}"
            case events.LearningRate():
                return f"learning rate x {event.factor:g}"
        return _ending(event)


def _validation(event: events.Validation) -> str:
    loss = event.val_loss
    best = "  best so far" if event.best else ""
    return (
        f"step {event.step:,}: validation {loss:.4f} nats/char "
        f"({loss / math.log(2):.3f} bits){best}"
    )


def _ending(event: Event) -> str:
    match event:
        case events.Resumed():
            return f"resumed after step {event.step:,}"
        case events.Ended():
            return f"{event.reason} after step {event.step:,}"
        case events.Failed():
            return f"failed: {_printable(event.message)}"
    return ""


def stream_texts(texts: Iterator[list[str]], temperatures: list[float]) -> None:
    """Print the first text as it grows, the others below when all are done."""
    several = len(temperatures) > 1
    if several:
        show(f"--- temperature {temperatures[0]:g} ---")
    shown = 0
    rows: list[str] = [""]
    for rows in texts:
        show(rows[0][shown:], end="")
        shown = len(rows[0])
    show("")
    for temperature, text in zip(temperatures[1:], rows[1:], strict=True):
        show(f"--- temperature {temperature:g} ---")
        show(text)


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns, the first row as their heads."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        show("  ".join(cells).rstrip())


def loss_column(record: Record) -> str:
    """A model's validation loss in a list, or a hyphen."""
    return "-" if record.figures is None else f"{record.figures.val_loss:.4f}"


def transfer_progress() -> Callable[[str, int, int], None]:
    """A listener that prints bytes transferred, once a second."""
    last_line = [0.0]

    def progress(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if total and (done == total or now - last_line[0] > 1):
            last_line[0] = now
            say(f"{stage}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return progress
