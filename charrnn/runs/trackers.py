"""A run's events for the tools that people follow trainings with elsewhere.

Each tool's library is an optional extra, imported only when somebody asks for it. The
calls are made in a thread of their own: whatever a library does or fails to do, the
training goes on. Losses, speed and rate become numbers by step, samples a table.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from charrnn.errors import ConfigError
from charrnn.files import redact
from charrnn.hosting import policy
from charrnn.model.record import Record
from charrnn.runs import events
from charrnn.runs.events import Event

LIBRARIES: Final = {  # the tool: the module that is imported
    "trackio": "trackio",
    "tensorboard": "tensorboardX",
    "wandb": "wandb",
}
PROJECT: Final = "charrnn"  # that runs are filed under
LOG_FOLDER: Final = "tensorboard"  # in a run's folder
PATIENCE: Final = 60.0  # seconds that the end of a training waits for a library


class _Sink(Protocol):
    """What is asked of a library."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Take what was measured at a step."""

    def text(self, sample: events.Sample) -> None:
        """Take a text that the network wrote."""

    def close(self) -> None:
        """Write what is not written yet."""


class _Service:
    """trackio or Weights & Biases, which are called alike."""

    def __init__(self, library: Any, folder: Path, record: Record) -> None:
        self.library = library
        more: dict[str, Any] = {"id": folder.name}
        if library.__name__ == "trackio":
            more = {"embed": False, "auto_log_cpu": False, "auto_log_gpu": False}
        self.run = library.init(
            project=PROJECT,
            name=folder.name,
            config=_config(record),
            resume="allow",
            **more,
        )

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def text(self, sample: events.Sample) -> None:
        table = self.library.Table(
            columns=["temperature", "prompt", "text"],
            data=[[sample.temperature, sample.prompt, sample.text]],
        )
        self.run.log({"sample": table}, step=sample.step)

    def close(self) -> None:
        self.run.finish()


class _Board:
    """TensorBoard's files in the run's folder, by tensorboardX."""

    def __init__(self, library: Any, folder: Path, record: Record, step: int) -> None:
        # what an earlier process wrote from this step on is taken back
        self.writer = library.SummaryWriter(
            str(folder / LOG_FOLDER), purge_step=step, write_to_disk=True
        )
        lines = (f"    {name}: {value}" for name, value in _config(record).items())
        self.writer.add_text("settings", "\n".join(lines), step)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def text(self, sample: events.Sample) -> None:
        # four spaces: in Markdown a block of text as it is
        text = (sample.prompt + sample.text).replace("\n", "\n    ")
        self.writer.add_text("sample", f"    {text}", sample.step)

    def close(self) -> None:
        self.writer.close()


def _config(record: Record) -> dict[str, Any]:
    """What a run is told by: its title, its text's name and its settings."""
    settings = {
        **dataclasses.asdict(record.model),
        **dataclasses.asdict(record.training),
    }
    return {"title": record.title, "corpus": record.corpus.shown_name, **settings}


def check(kind: str) -> None:
    """Refuse a tool whose library is not installed, or any on a hosted page.

    Raises:
        ConfigError: With what to install.
    """
    if policy().secret_ids:
        raise ConfigError(
            "Runs of a hosted page are handed to no other service: leave it out here."
        )
    if importlib.util.find_spec(LIBRARIES[kind]) is None:
        raise ConfigError(
            f"{kind} needs the library {LIBRARIES[kind]}, which is not installed: "
            f"`pip install {LIBRARIES[kind]}`, or charrnn with the extra {kind}."
        )


def _measured(event: Event) -> dict[str, float]:
    """The numbers of an event, by name; empty where it has none."""
    match event:
        case events.Step():
            names = ("loss", "learning_rate", "chars_per_second", "epoch")
            return {name: getattr(event, name) for name in names}
        case events.Validation():
            return {"val_loss": event.val_loss}
        case events.Baseline():
            return {f"{event.order}_gram_loss": event.loss}
    return {}


def not_taken_back(history: Iterable[Event]) -> list[Event]:
    """A history without what a later `resumed` took back."""
    kept: list[Event] = []
    for event in history:
        if isinstance(event, events.Resumed):
            kept = [
                one
                for one in kept
                if one.step <= event.step and getattr(one, "scheduled", True)
            ]
        kept.append(event)
    return kept


def whole_history(folder: Path) -> list[Event]:
    """Every event of a run that counts.

    Raises:
        CheckpointError: If it cannot be read.
    """
    found: list[Event] = []
    offset = -1
    part = events.read(folder)
    while part.next != offset:
        found += part.events
        offset = part.next
        part = events.read(folder, offset)
    return not_taken_back(found)


class Tracker:
    """Hands a run's events to a tool.

    Args:
        kind: One of `LIBRARIES`; `check` has let it pass.
        folder: The run's.
        record: Of the run.
        step: From which on its events come.
        say: Called, from any thread, with what a person should know.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        record: Record,
        *,
        step: int = 0,
        say: Callable[[str], None],
    ) -> None:
        self.kind, self.folder, self.record, self.step = kind, folder, record, step
        self.say = say
        self.failed = False
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Hand over an event; returns at once and raises nothing."""
        if not self.failed:
            self._queue.put(event)

    def close(self) -> None:
        """Wait until all is handed over, or for `PATIENCE` seconds."""
        self._queue.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.failed = True
            self.say(f"note: {self.kind} does not end: it may lack the last events")

    def _work(self) -> None:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what it greets with
                sink = self._open()
            while (event := self._queue.get()) is not None:
                if values := _measured(event):
                    sink.numbers(values, event.step)
                elif isinstance(event, events.Sample):
                    sink.text(event)
            with contextlib.redirect_stdout(sys.stderr):
                sink.close()
        except (Exception, SystemExit) as error:  # noqa: BLE001 whatever it is
            self.failed = True
            reason = redact(f"{type(error).__name__}: {error}")[:300]
            self.say(f"note: {self.kind} failed and gets nothing more ({reason})")

    def _open(self) -> _Sink:
        library = importlib.import_module(LIBRARIES[self.kind])
        if self.kind == "tensorboard":
            return _Board(library, self.folder, self.record, self.step)
        return _Service(library, self.folder, self.record)
