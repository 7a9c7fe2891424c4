"""Train a run's folder: `model.fit` with the callbacks that record and save.

The folder says everything (`charrnn.runs.create` writes it): text, settings,
and, when the run was begun before, the whole state. `fit` sees one long
stream of windows; epochs are ours, since a resumed run begins in the middle
of one. After each step, in this order: the history is appended, the state is
saved, the best weights are written. Whatever moment the process is killed at,
what is on disk is a state from which the same numbers follow again.
"""

import contextlib
import dataclasses
import functools
import json
import math
import os
import platform
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its chatter is for developers
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf

import charrnn
from charrnn import card, checkpoint, corpus, events, output, plan, runs, scores
from charrnn.checkpoint import Figures, Model, Record, Weights
from charrnn.errors import CharrnnError, CheckpointError, TrainingError
from charrnn.events import Event, EventLog
from charrnn.generation import Ids, generate
from charrnn.model import Network, Validator, assign_weights, to_weights
from charrnn.quiet import keep_memory
from charrnn.recurrent import FORMS, choose_form, choose_gemm_dtype
from charrnn.streams import Streams, validation_windows
from charrnn.vocabulary import Vocabulary

STATE_FILE: Final = "state.safetensors"
BEST_FILE: Final = "best.safetensors"  # scheduled best, beside that of a stop
SAMPLE_LENGTH: Final = 300
SAMPLE_TEMPERATURE: Final = 0.8
VALIDATION_LIMIT: Final = 200_000  # characters: a large text is not read for minutes
EXACT_OPERATIONS: Final = 8e11  # weights times characters of the last, exact pass
VALIDATION_STREAMS: Final = 128
VALIDATION_WARMUP: Final = 150  # characters that bring a stream's state up
VALIDATION_WINDOW: Final = 64
EVENT_SECONDS: Final = 0.5
CHECKPOINT_SECONDS: Final = 25.0  # between two savings of the whole state
PROBE_STEPS: Final = 8  # steps whose speed makes the plan, and at least
PROBE_SECONDS: Final = 3.0
PROBE_QUANTILE: Final = 0.4  # of the steps' times: other work passes


@dataclass
class Progress:
    """Where a run stands: all of the state that is not an array."""

    plan: plan.Plan
    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    worse: int = 0  # scheduled validations since the best one
    factor: float = 1.0  # of the learning rate, by a person
    seconds: float = 0.0

    def to_json(self) -> str:
        """As the state's metadata."""
        values = {**dataclasses.asdict(self), "plan": self.plan.to_json()}
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """From the state's metadata."""
        values = json.loads(text)
        return cls(**{**values, "plan": plan.from_json(values["plan"])})


@dataclass
class Session:
    """One training process at work on one run's folder."""

    folder: Path
    record: Record
    vocabulary: Vocabulary
    network: Network
    streams: Streams
    validation: Ids
    validator: Validator
    progress: Progress
    log: EventLog
    prompt: str
    begun: float
    seconds_before: float = 0.0
    writing: float = 0.0  # seconds inside the writer
    outcome: str = ""
    pending_factors: list[tuple[int, float]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    interrupted: bool = False

    def kept(self) -> str:
        """What is left of a training that diverged."""
        if not self.progress.best_step:
            return "No weights were kept yet."
        return f"The best weights, of step {self.progress.best_step:,}, are kept."

    def elapsed(self) -> float:
        """Seconds of training, earlier processes included."""
        return self.seconds_before + time.monotonic() - self.begun

    def wish(self, step: int, factor: float) -> None:
        """Have a factor hold from a step on, until a later wish."""
        earlier = [wish for wish in self.pending_factors if wish[0] < step]
        self.pending_factors = [*earlier, (step, factor)]

    def stop_asked(self) -> bool:
        """Whether a stop file, Ctrl-C or a polite kill asks for the end."""
        return self.interrupted or (self.folder / runs.STOP).exists()


# --- state on disk ---------------------------------------------------------


def _state_variables(session: Session) -> dict[str, Any]:
    """Everything that the next step depends on, under stable names."""
    network = session.network
    groups = {
        "network": network.variables,
        "optimizer": network.optimizer.variables,
        "carried": network.carried_variables(),
        "average": network.averages,
    }
    return {
        f"{group}.{i}": variable
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }


def save_state(session: Session) -> None:
    """Write the whole state as one file, so that it is of one moment."""
    started = time.monotonic()
    session.progress.seconds = session.elapsed()
    arrays = {k: np.asarray(v.numpy()) for k, v in _state_variables(session).items()}
    data = checkpoint.tensors_to_bytes(
        {name: np.atleast_1d(array) for name, array in arrays.items()},
        {"progress": session.progress.to_json()},
    )
    checkpoint.write_file(session.folder / runs.STATE / STATE_FILE, data)
    session.writing += time.monotonic() - started


def _assign(variables: dict[str, Any], tensors: Weights) -> None:
    if tensors.keys() != variables.keys():
        raise ValueError("it has other parts than this network")
    for name, variable in variables.items():
        variable.assign(tensors[name].reshape(variable.shape))


def load_state(session: Session) -> None:
    """Put the saved state back into the network, optimiser and streams.

    Raises:
        CheckpointError: If it is damaged or does not fit the configuration.
    """
    data = (session.folder / runs.STATE / STATE_FILE).read_bytes()
    try:
        tensors = safetensors.numpy.load(data)
        _assign(_state_variables(session), tensors)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"The saved state of {session.folder.name} cannot be used: {error}. "
            "Start a new run with `--init` from its best weights."
        ) from error


def read_progress(folder: Path) -> Progress | None:
    """Where a run's saved state stands; None if nothing was saved yet.

    Raises:
        CheckpointError: If the state is damaged.
    """
    path = folder / runs.STATE / STATE_FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, checkpoint.MAX_HEADER)))
        return Progress.from_json(header["__metadata__"]["progress"])
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise CheckpointError(
            f"The saved state of {folder.name} is damaged: start a new run with "
            "`--init` from its best weights."
        ) from error


# --- setting up ------------------------------------------------------------


def _versions() -> dict[str, str]:
    """What the numbers of a run depend on, beside its settings."""
    return {
        "charrnn": charrnn.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
    }


def _settle(folder: Path, record: Record) -> Record:
    """Choose the GEMMs' dtype and the scan's form once, and note the versions.

    A resumed run keeps both, on whatever processor it goes on: its numbers depend
    on them.
    """
    training, units = record.training, record.model.rnn_units
    if training.compute_dtype == "auto":
        dtype = choose_gemm_dtype(units)
        training = dataclasses.replace(training, compute_dtype=dtype)
    form = record.versions.get("scan")
    if form not in FORMS:
        form = choose_form(units, training.compute_dtype)
    versions = {**_versions(), "scan": form}
    settled = dataclasses.replace(record, training=training, versions=versions)
    if settled != record:
        checkpoint.save_record(folder, settled)
    return settled


def _optimizer(record: Record) -> Any:
    training = record.training
    optimizer = keras.optimizers.AdamW(
        learning_rate=training.learning_rate,
        beta_2=training.beta_2,
        weight_decay=training.weight_decay,
        global_clipnorm=training.clipnorm or None,
    )
    # decay pulls on the matrices; a bias or a rare character's row is no excess
    optimizer.exclude_from_weight_decay(var_names=["bias", "embedding"])
    return optimizer


def _network(record: Record) -> Network:
    training = record.training
    network = Network(
        record.model,
        gemm_dtype=training.compute_dtype,
        form=record.versions["scan"],
        seed=training.seed,
    )
    network.start_training(training.batch_size)
    network.compile(optimizer=_optimizer(record))
    network.optimizer.build(network.trainable_variables)
    return network


def _sample_prompt(text: str) -> str:
    """The text's first line, as far as it is short."""
    return text[:200].lstrip("\n").split("\n", 1)[0][:24] + "\n"


def open_session(folder: Path, log: EventLog) -> Session:
    """Read a run's folder and build everything that training needs.

    Raises:
        CharrnnError: If the folder is damaged.
    """
    stored = checkpoint.read_record(folder)
    record = _settle(folder, stored)
    vocabulary = checkpoint.read_vocabulary(folder, record)
    text = corpus.read_clean(folder / runs.STATE / runs.CORPUS_FILE)
    prompt = "".join(c for c in _sample_prompt(text) if not vocabulary.unknown(c))
    ids = vocabulary.encode(text)
    split = corpus.split_at(len(ids))
    del text  # from here on the ids are enough
    keep_memory()
    streams = Streams(
        ids[:split],
        batch_size=record.training.batch_size,
        seq_length=record.training.seq_length,
        seed=record.training.seed,
    )
    network = _network(record)
    count = max(
        1, min(VALIDATION_STREAMS, min(len(ids) - split, VALIDATION_LIMIT) // 800)
    )
    windows = validation_windows(
        ids[split:],
        streams=count,
        seq_length=VALIDATION_WINDOW,
        warmup=VALIDATION_WARMUP,
        limit=VALIDATION_LIMIT,
    )
    session = Session(
        folder=folder,
        record=record,
        vocabulary=vocabulary,
        network=network,
        streams=streams,
        validation=ids[split:],
        validator=Validator(network, list(windows)),
        progress=Progress(plan.begin(record.training, streams.steps_per_epoch)),
        log=log,
        prompt=prompt,
        begun=time.monotonic(),
    )
    for leftover in (*folder.glob(".*.tmp"), *(folder / runs.STATE).glob(".*.tmp")):
        leftover.unlink(missing_ok=True)  # of a write that a kill cut short
    _restore(session)
    if session.progress.step and stored.versions != record.versions:
        changed = {
            key: f"{stored.versions.get(key)} -> {value}"
            for key, value in record.versions.items()
            if stored.versions.get(key) != value
        }
        session.notices.append(
            "Resumed elsewhere than it was trained before, so not bit for bit what "
            f"an uninterrupted run would be: {changed}."
        )
    return session


def _restore(session: Session) -> None:
    """Bring back a saved state, or the weights that a new run begins with."""
    saved = read_progress(session.folder)
    if saved is None:
        if (session.folder / checkpoint.WEIGHTS).is_file():  # --init
            weights, _ = checkpoint.load_weights(session.folder, session.record.model)
            assign_weights(session.network, weights)
        return
    load_state(session)
    session.progress = saved
    session.seconds_before = saved.seconds
    _restore_best(session)
    training = session.record.training
    asked = (training.epochs, training.minutes)
    if saved.plan.complete and asked != (saved.plan.epochs, saved.plan.minutes):
        saved.worse = 0  # a run that ended early is given another chance
        saved.plan = plan.begin(
            training,
            session.streams.steps_per_epoch,
            step=saved.step,
            seconds=saved.seconds,
        )
    for event in events.read_all(session.folder):
        if event["type"] == "learning_rate":
            session.wish(event["step"], float(event["factor"]))
    session.pending_factors = [w for w in session.pending_factors if w[0] > saved.step]


def _restore_best(session: Session) -> None:
    """Make the best weights on disk those that the state knows of.

    The state is written before them; and a stop may have put other weights in
    their place, which an uninterrupted run would never have tried.
    """
    aside = session.folder / runs.STATE / BEST_FILE
    progress = session.progress
    if progress.best_step and progress.best_step == progress.step:
        with session.network.averaged():
            weights = to_weights(session.network)
        checkpoint.save_weights(session.folder, session.record.model, weights)
    elif aside.is_file():
        checkpoint.write_file(session.folder / checkpoint.WEIGHTS, aside.read_bytes())
        figures = Figures(
            val_loss=progress.best_loss,
            cold256_val_loss=None,
            steps=progress.best_step,
            seconds=round(progress.seconds, 1),
        )
        update_figures(session, figures)
    aside.unlink(missing_ok=True)


def _windows(streams: Streams, step: int) -> Iterator[tuple[Any, Any]]:
    """Window after window, epoch after epoch, from after a step on."""
    while True:
        yield streams.window(*divmod(step, streams.steps_per_epoch))
        step += 1


def _dataset(session: Session) -> Any:
    training = session.record.training
    dtype = session.vocabulary.dtype
    spec = tf.TensorSpec((training.batch_size, training.seq_length), dtype)
    dataset = tf.data.Dataset.from_generator(
        # bound now: by the time the first window is asked for, a step has begun
        functools.partial(_windows, session.streams, session.progress.step),
        output_signature=(spec, spec),
    )
    return dataset.prefetch(2)


# --- callbacks -------------------------------------------------------------


class _Callback(keras.callbacks.Callback):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session


class Schedule(_Callback):
    """Counts the steps, sets each one's learning rate, resets at an epoch's end."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        session, progress = self.session, self.session.progress
        progress.step += 1
        self._take_factor()
        while (
            session.pending_factors and session.pending_factors[0][0] <= progress.step
        ):
            progress.factor = session.pending_factors.pop(0)[1]
        rate = plan.learning_rate(session.record.training, progress.plan, progress.step)
        self.model.optimizer.learning_rate = rate * progress.factor

    def _take_factor(self) -> None:
        path = self.session.folder / runs.LEARNING_RATE
        if not path.exists():
            return
        step = self.session.progress.step
        aside = path.with_name(f".{path.name}.tmp")
        try:
            path.rename(aside)  # first: whatever happens, a wish holds only once
            factor = float(aside.read_text(encoding="ascii"))
        except (OSError, ValueError):
            factor = math.nan
        if 0.01 <= factor <= 100:
            self.session.log.append("learning_rate", step, factor=factor)
            self.session.wish(step, factor)
        aside.unlink(missing_ok=True)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.session.progress.plan.ends_epoch(self.session.progress.step):
            self.model.reset_streams()


class Recorder(_Callback):
    """Appends `step` events: the batches' own losses, at most two a second."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.losses: list[float] = []
        self.since = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} at step {self.session.progress.step}: the "
                f"training diverged. {self.session.kept()} Use a smaller "
                "learning_rate (a third, say) or a clipnorm of 1."
            )
        self.losses.append(loss)
        now = time.monotonic()
        if now - self.since >= EVENT_SECONDS:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Write what has gathered, if anything."""
        progress, training = self.session.progress, self.session.record.training
        if self.losses:
            characters = len(self.losses) * training.batch_size * training.seq_length
            self.session.log.append(
                "step",
                progress.step,
                epoch=progress.plan.epoch(progress.step),
                loss=sum(self.losses) / len(self.losses),
                learning_rate=float(self.model.optimizer.learning_rate),
                chars_per_second=characters / max(now - self.since, 1e-9),
            )
        self.losses = []
        self.since = now


class Keeper(_Callback):
    """Validates, keeps the best, saves the state, ends the run in time."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        super().__init__(session)
        self.recorder = recorder
        self.probe: list[float] = []  # moments of the first steps
        self.saved = time.monotonic()
        self.floor_asked = False  # after the first validation: it delays nothing

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        session, progress = self.session, self.session.progress
        if not progress.plan.complete:
            self._measure()
        step = progress.step
        if progress.plan.validates(step):
            self._validate(scheduled=True)
        elif session.stop_asked():
            self._validate(scheduled=False)
        elif time.monotonic() - self.saved > CHECKPOINT_SECONDS:
            self._save()
        self._end_if_due(step)

    def _end_if_due(self, step: int) -> None:
        session, progress = self.session, self.session.progress
        patience = session.record.training.early_stopping
        if step == progress.plan.planned_steps:
            session.outcome = "finished"
        elif patience and progress.worse >= patience:
            session.outcome = "early"
        elif session.stop_asked():
            session.outcome = "stopped"
        if session.outcome:
            self.model.stop_training = True

    def _measure(self) -> None:
        """Time the first steps; then make the plan, once, and save it."""
        self.probe.append(time.monotonic())
        warm = self.probe[2:]  # the first ones trace and fill caches
        enough = len(warm) > PROBE_STEPS and warm[-1] - warm[0] >= PROBE_SECONDS
        last = self.session.progress.plan.planned_steps
        if not enough and (last is None or self.session.progress.step < last):
            return
        gaps = np.diff(warm) if len(warm) > 1 else np.array([1.0])
        per_step = float(np.quantile(gaps, PROBE_QUANTILE))
        progress = self.session.progress
        progress.plan = plan.fulfil(
            progress.plan,
            step=progress.step,
            elapsed=self.session.elapsed(),
            seconds_per_step=per_step,
            overhead=self._validation_seconds(per_step),
        )
        self.session.log.append(
            "planned", progress.step, planned_steps=progress.plan.planned_steps
        )
        self._save()

    def _validation_seconds(self, per_step: float) -> float:
        """A guess before the first one, from what reading forwards costs."""
        training = self.session.record.training
        per_character = per_step / (training.batch_size * training.seq_length)
        characters: int = sum(
            inputs.size for inputs, _, _ in self.session.validator.windows
        )
        # a quarter of training, measured with two layers of 320; 0.2 s: sample, files
        return 0.25 * characters * per_character + 0.2

    def _save(self) -> None:
        self.session.log.append("checkpoint", self.session.progress.step)
        save_state(self.session)
        self.saved = time.monotonic()

    def _validate(self, *, scheduled: bool) -> None:
        session, progress = self.session, self.session.progress
        self.recorder.flush(time.monotonic())
        with self.model.averaged():
            loss = session.validator.loss()
            weights = to_weights(self.model)
        if not math.isfinite(loss):
            raise TrainingError(
                f"The validation loss is {loss} at step {progress.step}: the training "
                f"diverged. {session.kept()} Use a smaller learning_rate."
            )
        best = loss < progress.best_loss
        extra = {} if scheduled else {"scheduled": False}
        session.log.append(
            "validation", progress.step, val_loss=loss, best=best, **extra
        )
        self._sample(weights)
        if scheduled:
            progress.worse = 0 if best else progress.worse + 1
            if best:
                progress.best_loss, progress.best_step = loss, progress.step
        self._save()
        if best:
            self._keep(weights, loss, scheduled=scheduled)
        if not self.floor_asked:
            self.floor_asked = True
            if not any(e["type"] == "floor" for e in events.read_all(session.folder)):
                runs.start_floor(session.folder)
        self.recorder.since = time.monotonic()

    def _sample(self, weights: Weights) -> None:
        session = self.session
        model = Model(session.record, session.vocabulary, weights, "")
        *_, texts = generate(
            model,
            session.prompt,
            length=SAMPLE_LENGTH,
            temperatures=[SAMPLE_TEMPERATURE],
            seed=session.record.training.seed,
        )
        session.log.append(
            "sample",
            session.progress.step,
            temperature=SAMPLE_TEMPERATURE,
            prompt=session.prompt,
            text=texts[0],
        )

    def _keep(self, weights: Weights, loss: float, *, scheduled: bool) -> None:
        session = self.session
        started = time.monotonic()
        path = session.folder / checkpoint.WEIGHTS
        if not scheduled and session.progress.best_step:
            aside = session.folder / runs.STATE / BEST_FILE
            checkpoint.write_file(aside, path.read_bytes())
        checkpoint.save_weights(session.folder, session.record.model, weights)
        figures = Figures(
            val_loss=loss,
            cold256_val_loss=None,
            steps=session.progress.step,
            seconds=round(session.elapsed(), 1),
        )
        update_figures(session, figures)
        session.writing += time.monotonic() - started


def update_figures(session: Session, figures: Figures) -> None:
    """Write figures into `config.json`, keeping a title that was changed."""
    current = checkpoint.read_record(session.folder)
    session.record = dataclasses.replace(current, figures=figures)
    checkpoint.save_record(session.folder, session.record)


# --- the whole run ---------------------------------------------------------


def _announce(session: Session) -> None:
    progress, log = session.progress, session.log
    told = events.read_all(session.folder)
    if any(event["type"] == "started" for event in told):
        # what the history tells beyond the state is taken back and told anew
        log.append("resumed", progress.step)
    log.append(
        "started",
        progress.step,
        planned_steps=progress.plan.planned_steps,
        steps_per_epoch=session.streams.steps_per_epoch,
        parameters=session.record.model.num_parameters(),
        pid=os.getpid(),
    )
    for device in tf.config.list_physical_devices("GPU"):
        session.notices.append(f"Training on a GPU: {device.name}.")
    for notice in session.notices:
        log.append("notice", progress.step, message=notice)


def _final_figures(session: Session) -> None:
    """Score the kept weights exactly, and write the card."""
    model = checkpoint.load(session.folder)
    parameters = session.record.model.num_parameters()
    limit = int(min(VALIDATION_LIMIT, EXACT_OPERATIONS / parameters))
    result = scores.evaluate(model, session.validation[: limit + 1])
    known = model.record.figures
    update_figures(
        session,
        Figures(
            val_loss=result.nats_per_char,
            cold256_val_loss=result.cold_nats_per_char,
            steps=known.steps if known else session.progress.step,
            seconds=round(session.elapsed(), 1),
        ),
    )
    card.write_card(session.folder)


def fit(session: Session) -> str:
    """Train to the planned end, a stop or an early end; returns which."""
    progress = session.progress
    if progress.plan.complete and progress.step >= (progress.plan.planned_steps or 0):
        return "finished"  # killed between the last step and the last line
    patience = session.record.training.early_stopping
    if patience and progress.worse >= patience:
        return "early"  # likewise
    recorder = Recorder(session)
    session.network.fit(
        _dataset(session),
        epochs=1,
        shuffle=False,
        verbose=0,
        callbacks=[Schedule(session), recorder, Keeper(session, recorder)],
    )
    recorder.flush(time.monotonic())
    return session.outcome or "finished"


def _catch_signals(session: Session) -> Callable[[], None]:
    """Let Ctrl-C and a polite kill end the run as Stop does; returns the undoing."""

    def ask(number: int, frame: Any) -> None:
        del frame
        session.interrupted = True
        os.write(2, b"\nending after this step, validated and saved; once more: now\n")
        signal.signal(number, signal.default_int_handler)

    numbers: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():
        numbers = ()  # only the main thread may; others have the stop file
    previous = {number: signal.signal(number, ask) for number in numbers}

    def undo() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    return undo


def _work(session: Session) -> str:
    undo = _catch_signals(session)
    try:
        _announce(session)
        reason = fit(session)
        _final_figures(session)
    finally:
        undo()
    (session.folder / runs.STOP).unlink(missing_ok=True)
    session.log.append(
        "ended",
        session.progress.step,
        reason=reason,
        writing_seconds=round(session.writing, 3),
    )
    return reason


def train(folder: Path, *, listener: Callable[[Event], None] | None = None) -> str:
    """Train a run's folder in this process, alone with it.

    The caller has waited for its turn (`charrnn.runs.turn`) and holds the
    folder (`charrnn.runs.hold`).

    Args:
        folder: As `charrnn.runs.create` writes it.
        listener: Called with each event after it is written.

    Returns:
        Why it ended: ``finished``, ``stopped`` or ``early``.

    Raises:
        TrainingError: If the run could not go on; the history says why.
        KeyboardInterrupt: If Ctrl-C ended it, after everything is saved.
    """
    log = EventLog(folder, listener=listener)
    session = None
    try:
        session = open_session(folder, log)
        reason = _work(session)
    except (CharrnnError, MemoryError, OSError, tf.errors.OpError) as error:
        message = _explain(error)
        told = _record_failure(log, session, message)
        raise TrainingError(message, told=told) from error
    except KeyboardInterrupt:
        if session is None:
            log.append("ended", 0, reason="stopped")
        else:
            _record_failure(log, session, "Interrupted before it was saved: resume.")
        raise
    if session.interrupted:
        raise KeyboardInterrupt
    return reason


def _explain(error: BaseException) -> str:
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return (
            "The memory ran out: reduce rnn_units, batch_size or seq_length, "
            "then start anew."
        )
    if isinstance(error, CharrnnError):
        return str(error)
    return output.strip_line(f"The training failed: {type(error).__name__}: {error}")[
        :500
    ]


def _record_failure(log: EventLog, session: Session | None, message: str) -> bool:
    """Whether it could be recorded: a full disk is what a message may be about."""
    step = 0 if session is None else session.progress.step
    with contextlib.suppress(CheckpointError):
        log.append("failed", step, message=message)
        return True
    return False
