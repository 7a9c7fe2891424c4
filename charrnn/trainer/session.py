"""One training process at work on one run's folder: its objects and saved state."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

import charrnn
from charrnn.errors import CheckpointError
from charrnn.files import is_there, write_file
from charrnn.hosting import policy, training_threads
from charrnn.model import checkpoint
from charrnn.model.network import Ids
from charrnn.model.record import VOCAB, WEIGHTS, Figures, Machine, Record
from charrnn.model.tensors import (
    MAX_HEADER,
    Tensors,
    bytes_to_tensors,
    read_header,
    tensors_to_parts,
)
from charrnn.runs import store
from charrnn.runs.events import EventLog, Planned
from charrnn.runs.history import read_view
from charrnn.runs.states import EndReason
from charrnn.text import corpus, documents, parts
from charrnn.text.documents import Starts
from charrnn.text.parts import Codes
from charrnn.text.streams import Streams, validation_windows
from charrnn.text.vocabulary import Vocabulary
from charrnn.trainer.choices import SCAN_IMPLS, choose_gemm_dtype, choose_scan_impl
from charrnn.trainer.cluster import Facts, Member, Peers
from charrnn.trainer.distribute import (
    Placement,
    ReducedAdamW,
    SharedNetwork,
    join,
    mirrored,
    place,
)
from charrnn.trainer.network import KerasNetwork, Validator, assign_weights, to_weights
from charrnn.trainer.process import keep_memory
from charrnn.trainer.schedule import (
    Schedule,
    begin_schedule,
    plans_ahead,
    read_schedule,
)

PROMPT_LENGTH: Final = 24  # characters at most that a sample begins with
VALIDATION_LIMIT: Final = 200_000  # characters: a large text is not read for minutes
VALIDATION_STREAMS: Final = 128
VALIDATION_WARMUP: Final = 150  # characters that bring a stream's state up
VALIDATION_WINDOW: Final = 64
# A plan is in steps, and one that came in a zip may say anything: times the minutes
# that the policy allows, by the clock
OVERTIME: Final = 2.0


@dataclass
class Progress:
    """Where a run stands: all of the state that is not an array."""

    schedule: Schedule
    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    worse: int = 0  # scheduled validations since the best one
    factor: float = 1.0  # of the learning rate, by a person
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no training leaves; the state may be a stranger's.

        Raises:
            ValueError: If a count or a time is none.
        """
        counts = (self.step, self.best_step, self.worse)
        times = (self.best_loss, self.factor, self.seconds)
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("one of its counts is none")
        if not all(isinstance(time, int | float) and time >= 0 for time in times):
            raise ValueError("one of its numbers is none")

    def to_json(self) -> str:
        """As the state's metadata."""
        values = dataclasses.asdict(self)
        del values["schedule"]
        return json.dumps({"plan": self.schedule.to_json(), **values})

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """From the state's metadata."""
        values = json.loads(text)
        return cls(schedule=read_schedule(values.pop("plan")), **values)


@dataclass
class Session:
    """One training process at work on one run's folder."""

    folder: Path
    record: Record
    vocabulary: Vocabulary
    network: KerasNetwork
    streams: Streams
    validation: Ids
    codes: Codes  # of the beginning of the validation part: what of it is scored
    validator: Validator
    progress: Progress
    log: EventLog
    prompt: str
    begun: float
    seconds_before: float = 0.0
    writing: float = 0.0  # seconds inside the writer
    outcome: EndReason | None = None
    pending_factors: list[tuple[int, float]] = field(default_factory=list)
    pending_plans: list[Planned] = field(default_factory=list)  # on record, ahead
    notices: list[str] = field(default_factory=list)
    interrupted: bool = False
    peers: Peers | None = None  # the other workers of a cluster
    longest: float = (
        math.inf
    )  # seconds after which this process ends, whatever its plan

    def kept(self) -> str:
        """The sentence on what a training that diverged has left."""
        if not self.progress.best_step:
            return "No weights were kept yet."
        return f"The best weights, of step {self.progress.best_step:,}, are kept."

    def elapsed(self) -> float:
        """Seconds of training, earlier processes included."""
        return self.seconds_before + time.monotonic() - self.begun

    def request_factor(self, step: int, factor: float) -> None:
        """Multiply the learning rate by a factor from a step on.

        A factor that was to begin at a later step is dropped.
        """
        earlier = [item for item in self.pending_factors if item[0] < step]
        self.pending_factors = [*earlier, (step, factor)]

    def stop_asked(self) -> bool:
        """Whether a stop file, Ctrl-C, SIGTERM or the clock asks for the end."""
        late = time.monotonic() - self.begun > self.longest
        return late or self.interrupted or (self.folder / store.STOP).exists()


def _state_variables(network: KerasNetwork) -> dict[str, Any]:
    """Everything that the next step depends on, under stable names."""
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


def _to_array(variable: Any) -> Any:
    return np.atleast_1d(variable.numpy())


def save_state(session: Session) -> None:
    """Write the whole state as one file, so that it is of one moment."""
    started = time.monotonic()
    session.progress.seconds = session.elapsed()
    context = checkpoint.read_bounded(session.folder, VOCAB)
    parts = state_parts(session.network, session.progress, context)
    write_file(session.folder / store.STATE / store.STATE_FILE, parts)
    session.writing += time.monotonic() - started


def state_parts(
    network: KerasNetwork, progress: Progress, context: bytes
) -> Iterable[memoryview]:
    """The whole state as the pieces of a safetensors file.

    Args:
        network: With all that its next step depends on.
        progress: Where the run stands.
        context: What the file's hash covers beside itself.
    """
    arrays = {
        name: functools.partial(_to_array, variable)
        for name, variable in _state_variables(network).items()
    }
    return tensors_to_parts(arrays, {"progress": progress.to_json()}, context=context)


@dataclass(frozen=True)
class SavedState:
    """What `save_state` wrote, of one moment."""

    tensors: Tensors
    progress: Progress


def assign_state(network: KerasNetwork, saved: SavedState) -> None:
    """Put a state into a network.

    Raises:
        ValueError: If it does not fit.
    """
    variables, tensors = _state_variables(network), saved.tensors
    if tensors.keys() != variables.keys():
        raise ValueError("it has other parts than this network")
    for name, variable in variables.items():
        variable.assign(tensors[name].reshape(variable.shape))


def parse_state(data: bytes, name: str, context: bytes) -> SavedState:
    """The state of a safetensors file, compared with its hash.

    Raises:
        CheckpointError, ValueError, KeyError, TypeError, AttributeError: If it is
            damaged.
    """
    tensors = bytes_to_tensors(data, name, context=context)
    progress = read_header(data[: MAX_HEADER + 8], name).metadata["progress"]
    return SavedState(tensors, Progress.from_json(progress))


def read_state(folder: Path) -> SavedState | None:
    """A run's saved state, compared with its hash; None if nothing was saved yet.

    Raises:
        CheckpointError: If it cannot be read or is damaged.
    """
    path = folder / store.STATE / store.STATE_FILE
    try:
        if not path.is_file():
            return None
        data = path.read_bytes()
        context = checkpoint.read_bounded(folder, VOCAB)
        return parse_state(data, path.name, context)
    except OSError as error:
        raise CheckpointError(
            f"The saved state of {folder.name}, {path.name}, cannot be read "
            f"({error.strerror}): make it readable, then resume."
        ) from error
    except CheckpointError as error:
        raise _unusable(folder, error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(folder, "it does not say where the run stands") from error


def _unusable(folder: Path, reason: object) -> CheckpointError:
    return CheckpointError(
        f"The saved state of {folder.name} cannot be used: {str(reason).rstrip('.')}. "
        "Or start a new run with `--init` from its best weights."
    )


def _load_state(session: Session, saved: SavedState) -> None:
    """Put a saved state back into the network, optimiser and streams.

    Raises:
        CheckpointError: If it does not fit the configuration or the text.
    """
    planned = saved.progress.schedule.steps_per_epoch
    given = session.streams.steps_per_epoch
    if planned != given:
        raise _unusable(
            session.folder,
            f"its plan has {planned:,} steps an epoch, the text gives {given:,}",
        )
    try:
        assign_state(session.network, saved)
    except ValueError as error:
        raise _unusable(session.folder, error) from error


def _versions() -> dict[str, str]:
    """What the numbers of a run depend on, beside its settings."""
    return {
        "charrnn": charrnn.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def settled(record: Record, where: Placement) -> Record:
    """Choose the GEMMs' dtype and the scan once; note machine and versions.

    A resumed run keeps both, on whatever processor it goes on: its numbers depend
    on them.
    """
    training, units = record.training, record.model.rnn_units
    if training.compute_dtype == "auto":
        dtype = choose_gemm_dtype(units)
        training = dataclasses.replace(training, compute_dtype=dtype)
    scan_impl = record.scan_impl
    if scan_impl not in SCAN_IMPLS:
        scan_impl = choose_scan_impl(units, training.compute_dtype)
    return dataclasses.replace(
        record,
        training=training,
        scan_impl=scan_impl,
        machine=Machine(
            architecture=platform.machine() or "unknown",
            cores=training_threads(),
            devices=where.devices,
            workers=where.workers,
        ),
        versions=_versions(),
    )


def facts_of(record: Record, vocabulary: Vocabulary, where: Placement) -> Facts:
    """What all workers of a run have to agree about.

    How long it trains is the chief's to say, and may have changed since it began.
    """
    training = dataclasses.asdict(record.training)
    for name in ("preset", "epochs", "minutes"):
        del training[name]
    characters = json.dumps(vocabulary.entries).encode()
    return {
        "text": record.corpus.sha256,
        "split": record.corpus.split,
        "documents": record.corpus.document_separator,
        "vocabulary": hashlib.sha256(characters).hexdigest(),
        **dataclasses.asdict(record.model),
        **training,
        "scan_impl": record.scan_impl,
        "devices": where.devices,
        **record.versions,
    }


def _changes(stored: Record, record: Record) -> dict[str, str]:
    """What a run's numbers depend on that is not as it was, "before -> now"."""

    def circumstances(of: Record) -> dict[str, Any]:
        machine = {} if of.machine is None else dataclasses.asdict(of.machine)
        return {**of.versions, **machine, "scan_impl": of.scan_impl}

    before = circumstances(stored)
    return {
        name: f"{before.get(name)} -> {now}"
        for name, now in circumstances(record).items()
        if before.get(name) != now
    }


def _optimizer(record: Record, *, shared: bool) -> Any:
    training = record.training
    kind = ReducedAdamW if shared else keras.optimizers.AdamW
    optimizer = kind(
        learning_rate=training.learning_rate,
        beta_2=training.beta_2,
        weight_decay=training.weight_decay,
        global_clipnorm=None if shared else training.clipnorm or None,
    )
    # decay pulls on the matrices; a bias or a rare character's row is no excess
    optimizer.exclude_from_weight_decay(var_names=["bias", "embedding"])
    return optimizer


def build_network(record: Record, strategy: Any = None) -> KerasNetwork:
    """The network of a run, ready to train.

    Args:
        record: With number format and scan settled.
        strategy: TensorFlow's, where several devices share a batch.
    """
    training = record.training
    kind = KerasNetwork if strategy is None else SharedNetwork
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        network = kind(
            record.model,
            gemm_dtype=training.compute_dtype,
            scan_impl=str(record.scan_impl),
            seed=training.seed,
        )
        if strategy is not None:
            network.clipnorm = training.clipnorm
        network.start_training(training.batch_size)
        if training.scheduled_sampling:
            network.read_its_own()
        network.compile(optimizer=_optimizer(record, shared=strategy is not None))
        network.optimizer.build(network.trainable_variables)
    return network


def begins_of(record: Record, vocabulary: Vocabulary, ids: Ids) -> Starts | None:
    """Where documents begin in a run's text, ``(N,)``; None: nowhere."""
    separator = record.corpus.document_separator
    if not separator:
        return None
    return documents.starts(ids, vocabulary.encode(separator).tolist())


def streams_of(record: Record, ids: Ids, begins: Starts | None) -> Streams:
    """The part of a run's text that trains, as its settings have it read."""
    split = corpus.split_at(len(ids), record.corpus.split)
    return Streams(
        ids[:split],
        starts=None if begins is None else begins[:split],
        batch_size=record.training.batch_size,
        seq_length=record.training.seq_length,
        seed=record.training.seed,
    )


def _sample_prompt(text: str) -> str:
    """The text's first line; of a long one its first words, without a line's end."""
    line = text[:200].lstrip("\n").split("\n", 1)[0]
    if len(line) <= PROMPT_LENGTH:
        return line + "\n"
    cut = line[: PROMPT_LENGTH + 1]
    return cut.rpartition(" ")[0] or cut[:-1]


def _validator(
    network: KerasNetwork, ids: Ids, codes: Codes, begins: Starts | None
) -> Validator:
    """What scores the beginning of a validation part, from many places at once."""
    cut = functools.partial(
        validation_windows,
        streams=max(1, min(VALIDATION_STREAMS, len(codes) // 800)),
        seq_length=VALIDATION_WINDOW,
        warmup=VALIDATION_WARMUP,
        limit=VALIDATION_LIMIT,
    )
    windows = list(cut(ids[: len(codes)]))
    return Validator(
        network,
        windows,
        [targets for _, targets, _ in cut(codes)],
        None
        if begins is None
        else [inputs for inputs, _, _ in cut(begins[: len(codes)])],
    )


def open_session(
    folder: Path,
    log: EventLog,
    *,
    devices: int | None = None,
    member: Member | None = None,
) -> Session:
    """Read a run's folder and build everything that training needs.

    Args:
        folder: The run's.
        log: Its history.
        devices: How many share each batch; None takes every GPU.
        member: This process as the chief of a cluster; None: it is alone.

    Raises:
        CharrnnError: If the folder is damaged, there are not so many devices, or
            other workers have not come or do not train the same.
    """
    stored = checkpoint.read_record(folder)
    record, where, notices = _place(folder, stored, devices, member)
    vocabulary = checkpoint.read_vocabulary(folder, record)
    path = folder / store.STATE / store.CORPUS_FILE
    text = corpus.read_clean(path, record.corpus.sha256)
    prompt = "".join(c for c in _sample_prompt(text) if not vocabulary.unknown(c))
    ids = vocabulary.encode(text)
    split = corpus.split_at(len(ids), record.corpus.split)
    codes = parts.codes(text[split : split + VALIDATION_LIMIT + 1])
    del text  # from here on the ids are enough
    begins = begins_of(record, vocabulary, ids)
    keep_memory()
    streams = streams_of(record, ids, begins)
    strategy, peers = _strategy(member, where, facts_of(record, vocabulary, where))
    network = build_network(record, strategy)
    session = Session(
        folder=folder,
        record=record,
        vocabulary=vocabulary,
        network=network,
        streams=streams,
        validation=ids[split:],
        codes=codes,
        validator=_validator(
            network, ids[split:], codes, None if begins is None else begins[split:]
        ),
        progress=Progress(begin_schedule(record.training, streams.steps_per_epoch)),
        log=log,
        prompt=prompt,
        begun=time.monotonic(),
        longest=OVERTIME * 60 * (policy().max_minutes or math.inf),
        notices=notices,
        peers=peers,
    )
    for leftover in (*folder.glob(".*.tmp"), *(folder / store.STATE).glob(".*.tmp")):
        leftover.unlink(missing_ok=True)  # of a write that a kill cut short
    _restore(session)
    changes = _changes(stored, record)
    if session.progress.step and changes:
        session.notices.append(
            "Resumed elsewhere than it was trained before, so not bit for bit what "
            f"an uninterrupted run would be: {changes}."
        )
    return session


def _place(
    folder: Path, stored: Record, devices: int | None, member: Member | None
) -> tuple[Record, Placement, list[str]]:
    """Settle where and how a run trains, in its record as well."""
    begun = is_there(folder / store.STATE / store.STATE_FILE)
    workers = 1 if member is None else len(member.cluster.addresses)
    where, training, notices = place(
        stored.training, asked=devices, begun=begun, workers=workers
    )
    record = settled(dataclasses.replace(stored, training=training), where)
    if record != stored:
        checkpoint.save_record(folder, record)
    return record, where, notices


def _strategy(
    member: Member | None, where: Placement, facts: Facts
) -> tuple[Any, Peers | None]:
    """TensorFlow's strategy, None for one device, and the other workers, if any."""
    if member is not None:
        return join(member, where, facts)
    return mirrored(where.names) if where.names else None, None


def _restore(session: Session) -> None:
    """Bring back a saved state, or the weights that a new run begins with."""
    state = read_state(session.folder)
    if state is not None:
        _restore_state(session, state)
    elif (session.folder / WEIGHTS).is_file():  # --init
        weights, _ = checkpoint.load_weights(session.folder, session.record.model)
        assign_weights(session.network, weights)
    view, progress = read_view(session.folder), session.progress
    for event in view.factors:
        session.request_factor(event.step, event.factor)
    session.pending_factors = [
        item for item in session.pending_factors if item[0] > progress.step
    ]
    session.pending_plans = plans_ahead(view.plans, progress.schedule, progress.step)


def _restore_state(session: Session, state: SavedState) -> None:
    _load_state(session, state)
    session.progress = saved = state.progress
    session.seconds_before = saved.seconds
    _restore_best(session)
    training = session.record.training
    asked = (training.epochs, training.minutes)
    before = saved.schedule
    if before.is_complete and asked != (before.epochs, before.minutes):
        saved.worse = 0  # a run that ended early is given another chance
        saved.schedule = begin_schedule(
            training,
            session.streams.steps_per_epoch,
            step=saved.step,
            seconds=saved.seconds,
        )


def _restore_best(session: Session) -> None:
    """Make weights and figures on disk those of the best step that the state knows.

    The state is written before them, and a kill may come in between; and a stop may
    have put other weights in their place, which an uninterrupted run would never
    have tried. What was published of that step stays until there is a better one.
    """
    aside = session.folder / store.STATE / store.BEST_FILE
    progress, model = session.progress, session.record.model
    known = session.record.figures
    of_best = known is not None and known.kept_step == progress.best_step
    published = of_best and known is not None and known.logit_scale is not None
    if progress.step and progress.best_step == progress.step and not published:
        with session.network.averaged():
            weights = to_weights(session.network)
    elif aside.is_file() and not published:
        weights, _ = checkpoint.load_weights(session.folder, model, path=aside)
    else:
        if (session.folder / WEIGHTS).is_file():  # damage is told now, not at the end
            checkpoint.load_weights(session.folder, model)
        return
    checkpoint.save_weights(session.folder, model, weights)
    aside.unlink(missing_ok=True)
    if not of_best:
        figures = Figures(
            val_loss=progress.best_loss,
            kept_step=progress.best_step,
            total_steps=progress.step,
            seconds=round(progress.seconds, 1),
        )
        update_figures(session, figures)


def keep_aside(session: Session) -> None:
    """Keep the best weights as they were trained, before others take their place.

    They are there already where others did before. A run that was not validated by its
    schedule goes on from no best ones.
    """
    aside = session.folder / store.STATE / store.BEST_FILE
    if session.progress.best_step and not aside.exists():
        write_file(aside, (session.folder / WEIGHTS).read_bytes())


def update_figures(session: Session, figures: Figures) -> None:
    """Write figures into `config.json`, keeping a title that was changed."""
    current = checkpoint.read_record(session.folder)
    session.record = dataclasses.replace(current, figures=figures)
    checkpoint.save_record(session.folder, session.record)
