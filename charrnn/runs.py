"""Trainings as processes of their own, with one folder between them and us.

A run is a model folder that has a history. Whoever starts it (the page or a
terminal) writes the folder and a trainer process works on it; everything else
goes through files, so a closed tab, a reload or a restart of the page loses
nothing, and each can watch and stop what the other began:

    lock            held by the living trainer; free and not ended: it died
    stop            asks the trainer to finish its step, validate, save and end
    learning_rate   a factor that the trainer applies from its next step on
    .queue/         tickets, first come first served, each with a held lock

Nothing here imports TensorFlow: the trainer does, when its turn has come.
"""

import contextlib
import dataclasses
import json
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import unicodedata
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

import charrnn
from charrnn import checkpoint, events, ngram
from charrnn import corpus as corpora
from charrnn.checkpoint import CorpusRecord, Record
from charrnn.config import (
    PRESETS,
    ModelConfig,
    TrainingConfig,
    from_preset,
    is_hosted,
)
from charrnn.corpus import Corpus
from charrnn.errors import CharrnnError, CheckpointError, RunError
from charrnn.events import Event, EventLog
from charrnn.preparation import Prepared, check_memory, limit_hosted, prepare
from charrnn.vocabulary import count_characters

PACKAGE_ROOT: Final = Path(charrnn.__file__).resolve().parent.parent
SHIPPED_FOLDER: Final = PACKAGE_ROOT / "checkpoints"
SHIPPED_ID: Final = "shakespeare"
STATE: Final = "state"
CORPUS_FILE: Final = "corpus.txt"
LOCK, STOP, LEARNING_RATE = "lock", "stop", "learning_rate"
QUEUE: Final = ".queue"
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
HOSTED_PATTERN: Final = re.compile(r"[0-9a-f]{32}")
HOSTED_WAITING: Final = 12  # trainings that run or wait on a hosted page
HOSTED_DISK: Final = 1_000_000_000  # bytes that a hosted page keeps free
START_GRACE: Final = 4.0  # seconds a spawned trainer may take to hold its lock
QUEUE_POLL: Final = 0.25  # seconds between two looks at the queue
FLOOR_ORDER: Final = 5
FLOOR_CHARACTERS: Final = 5_000_000
LIVE: Final = frozenset({"queued", "running", "stopping"})


# --- folders and names -----------------------------------------------------


def folder() -> Path:
    """The folder of models and runs: `CHARRNN_CHECKPOINTS`, else the project's."""
    text = os.environ.get("CHARRNN_CHECKPOINTS", "").strip()
    return Path(text).resolve() if text else SHIPPED_FOLDER


def find(model: str) -> Path:
    """The folder behind an id.

    An id is matched against a pattern without separators, so a name from a
    visitor can never become a path. The shipped model is found wherever the
    runs are kept. On a hosted page only ids that cannot be guessed are, so that
    what its owner trained from a terminal stays the owner's.

    Raises:
        RunError: If there is no such model.
    """
    pattern = HOSTED_PATTERN if is_hosted() and model != SHIPPED_ID else ID_PATTERN
    if pattern.fullmatch(model):
        places = [folder(), *([SHIPPED_FOLDER] if model == SHIPPED_ID else [])]
        for place in places:
            if (place / model / checkpoint.CONFIG).is_file():
                return place / model
    shown = model[:80] if model.isprintable() else ascii(model[:80])
    raise RunError(
        f"There is no model or run {shown!r} here: "
        "`python -m charrnn models` and `runs` list what there is."
    )


def resolve(model: str) -> Path:
    """A MODEL of the command line: an id, or a path when it looks like one.

    Raises:
        RunError: If there is no such id.
    """
    if "/" in model or os.sep in model or model.startswith("."):
        return Path(model)
    return find(model)


def slug(text: str) -> str:
    """A folder name out of any title: ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "text"


def _new_folder(parent: Path, wanted: str, *, exact: bool) -> Path:
    """Create a folder that was not there: `name`, `name-2`, `name-3`, ..."""
    if not ID_PATTERN.fullmatch(wanted):
        raise RunError(
            f"{wanted!r} cannot be an id: expected up to 80 letters, digits, "
            "hyphens and underscores, like shakespeare-2."
        )
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            name = wanted if number == 1 else f"{wanted}-{number}"
            taken = (SHIPPED_FOLDER / name).exists()
            if not taken:
                with contextlib.suppress(FileExistsError):
                    (parent / name).mkdir()
                    return parent / name
            if exact:
                raise RunError(f"The id {wanted!r} is taken: choose another one.")
    except OSError as error:
        raise RunError(
            f"The folder {parent.name} cannot be written ({error.strerror}): choose "
            "a writable one with the variable CHARRNN_CHECKPOINTS."
        ) from error
    raise RunError(f"There are too many folders named {wanted}: delete some.")


# --- writing a run ------------------------------------------------------------


def create(
    prepared: Prepared,
    *,
    title: str = "",
    model_id: str | None = None,
    init: Path | None = None,
) -> Path:
    """Write a run's folder, whole or not at all, before anything is trained.

    Args:
        prepared: What `prepare` settled.
        title: What people see; the text's name and preset if empty.
        model_id: The id to take; None takes a free slug of the title.
        init: Folder of the model whose weights the training begins with.

    Returns:
        The folder; its name is the run's id.

    Raises:
        CharrnnError: If the id is taken or the folder cannot be written.
    """
    corpus, training = prepared.corpus, prepared.training
    title = clean_title(title) or f"{corpus.name[:80]} {training.preset}"
    path = _new_folder(folder(), model_id or slug(title), exact=model_id is not None)
    record = Record(
        title=title,
        model=prepared.model,
        training=training,
        corpus=CorpusRecord(
            name=clean_title(corpus.name) or "text",
            characters=len(corpus.text),
            distinct=len(count_characters(corpus.text)),
            sha256=corpus.sha256,
        ),
        versions={"charrnn": charrnn.__version__},
    )
    try:
        _write_run(path, prepared, record, init)
    except BaseException:  # Ctrl-C too: half a run is no run, and holds the id
        shutil.rmtree(path, ignore_errors=True)
        raise
    return path


def _write_run(
    path: Path, prepared: Prepared, record: Record, init: Path | None
) -> None:
    try:
        (path / STATE).mkdir()
    except OSError as error:
        raise CheckpointError(
            f"{path.name}/{STATE} cannot be written ({error.strerror})."
        ) from error
    data = prepared.corpus.text.encode()
    checkpoint.write_file(path / STATE / CORPUS_FILE, data)
    checkpoint.save_vocabulary(path, prepared.vocabulary)
    if init is not None:
        weights, _ = checkpoint.load_weights(init, record.model)
        checkpoint.save_weights(path, record.model, weights)
    checkpoint.save_record(path, record)
    log = EventLog(path)
    for notice in prepared.notices:
        log.append("notice", 0, message=notice)
    log.append("queued", 0, position=0)


def clean_title(text: str) -> str:
    """One printable line of at most 200 characters."""
    spaced = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(spaced.split())[: checkpoint.TEXT_LIMIT]


# --- starting, stopping, changing ------------------------------------------


def spawn(path: Path) -> int:
    """Start a trainer process for a run's folder; returns its process id.

    It leads a session of its own, so it outlives whoever started it.
    """
    return _detach(path, ["train", "--resume", path.name, "--background"])


def start_floor(path: Path) -> None:
    """Have a process of lowest priority find the loss of a table of 5-grams."""
    _detach(path, ["floor", path.name])


def _detach(path: Path, arguments: list[str]) -> int:
    """Run a command of ours on a folder, in a session of its own."""
    environment = dict(os.environ)
    environment["CHARRNN_CHECKPOINTS"] = str(path.parent.resolve())
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    for name in list(environment):  # it needs nobody's secrets
        if "TOKEN" in name or "SECRET" in name:
            del environment[name]
    process = subprocess.Popen(
        [sys.executable, "-m", "charrnn", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # reap it when it ends, so that it leaves no zombie
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def start(
    corpus: Corpus,
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    title: str = "",
    model_id: str | None = None,
    init: Path | None = None,
) -> str:
    """Write a run and start its trainer; returns the run's id.

    Raises:
        CharrnnError: As `prepare` and `create`.
    """
    check_queue()
    prepared = prepare(corpus, preset=preset, settings=settings, init=init)
    path = create(prepared, title=title, model_id=model_id, init=init)
    spawn(path)
    return path.name


def hosted_id() -> str:
    """An id that cannot be guessed: on a hosted page it is the only key."""
    return secrets.token_hex(16)


def own_run(run_id: str) -> Path:
    """The folder of a run that was made here, not of a pulled or shipped model.

    Raises:
        RunError: If there is no such run, or only a model of that id.
    """
    path = find(run_id)
    strange = is_hosted() and is_shipped(path)  # its owner's, while it is retrained
    if strange or not (path / STATE).is_dir():
        raise RunError(
            f"{run_id} is a model without a training behind it: "
            "train from it with `--init`."
        )
    return path


def resume(run_id: str, *, more_epochs: int | None = None) -> None:
    """Go on with a run that stopped or died, in a process of its own.

    Raises:
        RunError: If it is being trained, or is finished and no more epochs
            are asked for.
    """
    check_queue()
    path = own_run(run_id)
    request_resume(path, more_epochs=more_epochs)
    EventLog(path).append("queued", last_step(run_id), position=0)
    spawn(path)


def request_resume(path: Path, *, more_epochs: int | None = None) -> None:
    """Check that a run can go on, and note how many more epochs it shall have.

    Raises:
        RunError: As `resume`.
    """
    if is_alive(path):
        raise RunError(f"{path.name} is being trained already: follow or stop it.")
    if more_epochs is not None and more_epochs < 1:
        raise RunError(f"{more_epochs} more epochs were asked for: expected 1 or more.")
    record = checkpoint.read_record(path)
    check_memory(record.model, record.training, record.corpus.characters)
    for name in (STOP, LEARNING_RATE):
        (path / name).unlink(missing_ok=True)
    if more_epochs is not None:
        _extend(path, more_epochs)
    elif _lifecycle(path.name) in ("finished", "early"):
        raise RunError(
            f"{path.name} has finished: continue it with a number of epochs "
            f"(`python -m charrnn train --resume {path.name} --epochs 5`)."
        )


def _extend(path: Path, more_epochs: int) -> None:
    record = checkpoint.read_record(path)
    per_epoch = max(1, status(path.name).steps_per_epoch)
    done = last_step(path.name) / per_epoch
    training = dataclasses.replace(
        record.training, epochs=math.ceil(done + more_epochs), minutes=None
    )
    training, _ = limit_hosted(training)
    checkpoint.save_record(path, dataclasses.replace(record, training=training))


def continue_for(run_id: str, epochs: int) -> None:
    """Train a run for some more epochs.

    Raises:
        RunError: If it is being trained.
    """
    resume(run_id, more_epochs=epochs)


def stop(run_id: str) -> None:
    """Ask a run to finish its step, validate, save and end.

    Raises:
        RunError: If it is not being trained.
    """
    path = own_run(run_id)
    if status(run_id).state not in LIVE:
        raise RunError(f"{run_id} is not being trained: there is nothing to stop.")
    checkpoint.write_file(path / STOP, b"")


def set_learning_rate_factor(run_id: str, factor: float) -> None:
    """Multiply a living run's learning rate from its next step on.

    Raises:
        RunError: If the factor is not from 0.01 to 100.
    """
    path = own_run(run_id)
    if not (math.isfinite(factor) and 0.01 <= factor <= 100):
        raise RunError(f"The factor is {factor}: expected a number from 0.01 to 100.")
    if status(run_id).state not in LIVE:
        raise RunError(f"{run_id} is not being trained: its learning rate rests.")
    checkpoint.write_file(path / LEARNING_RATE, repr(float(factor)).encode())


def rename(run_id: str, title: str) -> None:
    """Change a model's title; its id stays.

    Raises:
        RunError: If the title is empty or the model is the shipped one.
    """
    path = _own_model(run_id)
    title = clean_title(title)
    if not title:
        raise RunError("The title is empty: give it at least one character.")
    record = checkpoint.read_record(path)
    checkpoint.save_record(path, dataclasses.replace(record, title=title))


def delete(run_id: str) -> None:
    """Remove a model or run for good.

    Raises:
        RunError: If it is being trained, is the shipped one, or is locked by
            the file system.
    """
    path = _own_model(run_id)
    if is_alive(path):
        raise RunError(f"{run_id} is being trained: stop it first.")
    try:
        # one rename, and no reader meets half a folder
        aside = path.with_name(f".deleted-{secrets.token_hex(4)}")
        path.rename(aside)
        shutil.rmtree(aside)
        with _histories_lock:
            _histories.pop(path.resolve(), None)
    except OSError as error:
        raise RunError(f"{run_id} cannot be deleted ({error.strerror}).") from error


def _own_model(run_id: str) -> Path:
    path = find(run_id)
    if is_shipped(path):
        raise RunError("The shipped model stays as it is: train or pull your own.")
    return path


def is_shipped(path: Path) -> bool:
    """Whether a folder is the model that came with the program."""
    return path.resolve() == (SHIPPED_FOLDER / SHIPPED_ID).resolve()


def archive(run_id: str, destination: Path) -> Path:
    """Write a zip of what a model shows (and its history) and return its path.

    The training text, the optimiser's state and the log stay here.
    """
    path = find(run_id)
    record = checkpoint.read_record(path)
    target = destination / f"{slug(record.title)}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name in (*checkpoint.PUBLIC_FILES, events.FILE_NAME):
            if (path / name).is_file():
                file.write(path / name, name)
    return target


# --- looking ---------------------------------------------------------------


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Be the one trainer of a run's folder.

    Raises:
        RunError: If another process is.
    """
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=2)  # a reader that asks `is_alive` holds it briefly
    except Timeout as error:
        raise RunError(
            f"{path.name} is being trained already: follow or stop it."
        ) from error
    except OSError as error:
        raise RunError(
            f"{path.name} cannot be locked ({error.strerror}): is it writable?"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_alive(path: Path) -> bool:
    """Whether a living process holds the run's lock.

    The kernel frees the lock with the process, however it ends, so this tells
    a dead trainer at once.
    """
    return _is_locked(path / LOCK)


_probing = threading.Lock()  # two looks at a free lock would see each other


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with _probing:
        for _ in range(2):  # another process may be looking: over in a moment
            try:
                with FileLock(path).acquire(blocking=False):
                    return False
            except Timeout:
                time.sleep(0.004)
            except OSError:
                return False  # a read-only folder has no trainer
    return True


class _History:
    """A run's events as they count now, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.identity: tuple[int, int] | None = None
        self.events: list[Event] = []
        self.lock = threading.Lock()

    def update(self) -> list[Event]:
        with self.lock:
            try:
                stat = (self.path / events.FILE_NAME).stat()
            except OSError:
                self.events, self.offset = [], 0
                return []
            identity = (stat.st_dev, stat.st_ino)
            if identity != self.identity or stat.st_size < self.offset:
                self.identity, self.offset, self.events = identity, 0, []
            while True:
                more, following = events.read(self.path, self.offset)
                if following == self.offset:
                    return list(self.events)
                self.offset = following
                rewound = any(e["type"] == "resumed" for e in more)
                joined = self.events + more
                self.events = events.effective(joined) if rewound else joined


_histories: OrderedDict[Path, _History] = OrderedDict()
_histories_lock = threading.Lock()


def history(run_id: str) -> list[Event]:
    """A run's events without what was taken back; cheap to ask again."""
    path = find(run_id).resolve()
    with _histories_lock:
        entry = _histories.setdefault(path, _History(path))
        _histories.move_to_end(path)
        while len(_histories) > 64:
            _histories.popitem(last=False)
    return entry.update()


def last_step(run_id: str) -> int:
    """The last step that a run's history tells of."""
    return max((e["step"] for e in history(run_id)), default=0)


@dataclass(frozen=True)
class Status:
    """What there is to say of a run now."""

    run_id: str
    title: str
    state: str  # queued running stopping finished stopped early failed died model
    message: str
    position: int  # runs before it in the queue
    step: int
    planned_steps: int | None
    steps_per_epoch: int
    val_loss: float | None  # the best so far, nats per character
    best_step: int
    chars_per_second: float


DIED = (
    "The training ended without a word: most likely the system ended it because "
    "memory ran out, else it was killed or the computer went off. Resume it; if it "
    "happens again, reduce rnn_units, batch_size or seq_length."
)


def _lifecycle(run_id: str, recorded: list[Event] | None = None) -> str:
    """State by the history alone, as if its trainer were alive."""
    for event in reversed(history(run_id) if recorded is None else recorded):
        if event["type"] == "ended":
            return str(event.get("reason", "finished"))
        if event["type"] == "failed":
            return "failed"
        if event["type"] in ("started", "resumed"):
            return "running"
        if event["type"] == "queued":
            return "queued"
    return "model"


def _state(path: Path, recorded: list[Event]) -> str:
    state = _lifecycle(path.name, recorded)
    if state not in LIVE:
        return state
    if is_alive(path):
        return "stopping" if (path / STOP).exists() else state
    if state == "queued" and time.time() - recorded[-1]["time"] < START_GRACE:
        return state
    # it may have ended between our look at the history and at the lock
    state = _lifecycle(path.name)
    return "died" if state in LIVE else state


def status(run_id: str) -> Status:
    """The state of a run, from its folder alone.

    Raises:
        CharrnnError: If there is no such run or its record is damaged.
    """
    path = find(run_id)
    record = checkpoint.read_record(path)
    recorded = history(run_id)
    state = _state(path, recorded)
    last: dict[str, Event] = {event["type"]: event for event in recorded}
    begun = last.get("started", {})
    best = [e for e in recorded if e["type"] == "validation" and e.get("best")]
    message = DIED if state == "died" else ""
    if state == "failed":
        message = str(last["failed"].get("message", ""))
    planned = last.get("planned", begun).get("planned_steps")
    return Status(
        run_id=run_id,
        title=record.title,
        state=state,
        message=message,
        position=int(last.get("queued", {}).get("position", 0)),
        step=max((e["step"] for e in recorded), default=0),
        planned_steps=planned,
        steps_per_epoch=int(begun.get("steps_per_epoch", 0)),
        val_loss=best[-1]["val_loss"] if best else None,
        best_step=best[-1]["step"] if best else 0,
        chars_per_second=float(last.get("step", {}).get("chars_per_second", 0.0)),
    )


@dataclass(frozen=True)
class ModelEntry:
    """A folder of the list: a model, a run, or both."""

    model_id: str
    path: Path
    record: Record
    state: str  # as in Status
    has_weights: bool
    shipped: bool
    is_run: bool
    changed: float  # when its record was last written, seconds since the epoch


def _entries(place: Path) -> Iterator[ModelEntry]:
    if not place.is_dir():
        return
    for path in sorted(place.iterdir()):
        if not ID_PATTERN.fullmatch(path.name):
            continue
        try:
            record = checkpoint.read_record(path)
            recorded = history(path.name) if path.parent == folder() else []
            state = _state(path, recorded)
            changed = (path / checkpoint.CONFIG).stat().st_mtime
        except (CharrnnError, FileNotFoundError):
            continue  # no model, or no longer, or one that we cannot read
        yield ModelEntry(
            model_id=path.name,
            path=path,
            record=record,
            state=state,
            has_weights=(path / checkpoint.WEIGHTS).is_file(),
            shipped=is_shipped(path),
            is_run=(path / STATE).is_dir(),
            changed=changed,
        )


def entries() -> list[ModelEntry]:
    """All models and runs, the shipped one first, then the newest."""
    found = list(_entries(folder()))
    if folder() != SHIPPED_FOLDER:
        found += [entry for entry in _entries(SHIPPED_FOLDER) if entry.shipped]
    return sorted(found, key=lambda entry: (not entry.shipped, -entry.changed))


def models() -> list[ModelEntry]:
    """What text can be generated from."""
    return [entry for entry in entries() if entry.has_weights]


def list_runs() -> list[ModelEntry]:
    """What has been or is being trained here."""
    return [entry for entry in entries() if entry.is_run]


def expected_speed(model: ModelConfig, training: TrainingConfig) -> float | None:
    """Characters a second of an earlier run here with the same sizes, or None."""
    same = [
        entry.record
        for entry in list_runs()
        if entry.record.figures is not None
        and entry.record.figures.seconds > 0
        and dataclasses.replace(entry.record.model, vocab_size=model.vocab_size)
        == model
        and entry.record.training.batch_size == training.batch_size
    ]
    for record in same:  # the newest first
        figures = record.figures
        if figures is not None:
            window = record.training.batch_size * record.training.seq_length
            return figures.steps * window / figures.seconds
    return None


def expected_seconds(
    model: ModelConfig, training: TrainingConfig, characters: int
) -> float | None:
    """How long a training will take, from earlier runs here; None if unknown."""
    limit = math.inf if training.minutes is None else 60 * training.minutes
    speed = expected_speed(model, training)
    if training.epochs is None or speed is None:
        return None if math.isinf(limit) else limit
    split = corpora.split_at(characters)
    return min(limit, training.epochs * split / speed)


def command_line(
    corpus: str, preset: str, settings: Mapping[str, Any], *, title: str = ""
) -> str:
    """The `train` command that does the same."""
    parts = ["python -m charrnn train --corpus", _quote(corpus), "--preset", preset]
    for name, value in settings.items():
        if value is not None:
            parts += [f"--{name.replace('_', '-')}", _quote(str(value))]
    if title:
        parts += ["--title", _quote(title)]
    return " ".join(parts)


def _quote(text: str) -> str:
    plain = re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII)
    return text if plain else "'" + text.replace("'", "'\"'\"'") + "'"


def settings_beyond_preset(
    model: ModelConfig, training: TrainingConfig
) -> dict[str, Any]:
    """The settings that differ from what the preset alone would give."""
    if training.preset not in PRESETS:
        return {}
    plain_model, plain_training = from_preset(
        training.preset, {}, vocab_size=model.vocab_size
    )
    pairs = ((model, plain_model), (training, plain_training))
    return {
        item.name: getattr(mine, item.name)
        for mine, plain in pairs
        for item in dataclasses.fields(mine)
        if getattr(mine, item.name) != getattr(plain, item.name)
    }


# --- the floor -------------------------------------------------------------


def floor(path: Path) -> float:
    """The loss of a table of 5-grams on a run's text, as a line to compare with.

    Of the first `FLOOR_CHARACTERS`; found once for a text and then cached.

    Raises:
        CharrnnError: If the run's text cannot be read.
    """
    record = checkpoint.read_record(path)
    cached = corpora.cache_folder() / f"floor{FLOOR_ORDER}-{record.corpus.sha256}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return float(json.loads(cached.read_text(encoding="ascii")))
    text = corpora.read_clean(path / STATE / CORPUS_FILE)[:FLOOR_CHARACTERS]
    vocabulary = checkpoint.read_vocabulary(path, record)
    ids, split = vocabulary.encode(text), corpora.split_at(len(text))
    loss = ngram.floor(ids[:split], ids[split:], len(vocabulary), order=FLOOR_ORDER)
    with contextlib.suppress(OSError, CheckpointError):  # a cache may be missing
        cached.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_file(cached, json.dumps(loss).encode())
    return loss


# --- the queue -------------------------------------------------------------


@contextlib.contextmanager
def turn(path: Path, log: EventLog, *, stopped: Callable[[], bool]) -> Iterator[bool]:
    """Wait until no earlier training of this folder lives, then be the one.

    A ticket is a file named by the time it was taken, with a held lock. Taking
    one and looking through them happen under one more lock, so their order is
    the order of arrival; the ticket of a process that died is free and swept.

    Args:
        path: The run's folder.
        log: Where `queued` events go, each time the position changes.
        stopped: Asked while waiting; true gives the turn up.

    Yields:
        Whether it is our turn: False if `stopped` said so first.
    """
    queue = path.parent / QUEUE
    try:
        queue.mkdir(exist_ok=True)
        mutex = FileLock(queue / "mutex")
        with mutex:
            ticket = queue / f"{_next_number(queue):020d}-{path.name}"
            lock = FileLock(ticket)
            lock.acquire()
    except OSError as error:
        raise RunError(
            f"The queue in {path.parent.name} cannot be written ({error.strerror})."
        ) from error
    try:
        yield _wait(mutex, ticket, log, stopped)
    finally:
        with mutex:
            lock.release()
            ticket.unlink(missing_ok=True)


def check_queue() -> None:
    """Refuse one more training where strangers already queue for the machine.

    Raises:
        RunError: If so many run or wait on a hosted page, or its disk is full.
    """
    if not is_hosted():
        return
    check_disk()
    waiting = sum(entry.state in LIVE for entry in list_runs())
    if waiting >= HOSTED_WAITING:
        raise RunError(
            f"{waiting} trainings run or wait on this page already: come back later, "
            "or run charrnn on your own computer."
        )


def check_disk() -> None:
    """Keep some room on the disk of a hosted page.

    Raises:
        RunError: If there is too little left to take a stranger's model in.
    """
    if is_hosted() and shutil.disk_usage(folder()).free < HOSTED_DISK:
        raise RunError("The disk of this page is full: come back after its restart.")


def _next_number(queue: Path) -> int:
    """The time, or more where a clock that was set back would jump the queue."""
    taken = [int(t.name[:20]) for t in queue.iterdir() if t.name[:20].isdigit()]
    return max([time.time_ns(), *(number + 1 for number in taken)])


def _wait(
    mutex: FileLock, ticket: Path, log: EventLog, stopped: Callable[[], bool]
) -> bool:
    told = 0
    while not stopped():
        with mutex:
            position = _earlier(ticket)
        if position != told:
            log.append("queued", last_step(log.path.parent.name), position=position)
            told = position
        if position == 0:
            return True
        time.sleep(QUEUE_POLL)
    return False


def _earlier(ticket: Path) -> int:
    """Living tickets before ours; sweeps the dead ones. The mutex is held."""
    count = 0
    for other in sorted(ticket.parent.iterdir()):
        if other.name >= ticket.name or not other.name[:1].isdigit():
            continue
        if _is_locked(other):
            count += 1
        else:
            other.unlink(missing_ok=True)
    return count
