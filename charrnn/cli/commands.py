"""What each command does: reads its arguments, calls, prints.

Exit codes: 0 done; 1 a training failed; 2 invalid input or configuration; 130
interrupted. What a command is asked for goes to standard output, all else to
standard error.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from charrnn import config
from charrnn.cli import comparison, workers
from charrnn.cli.output import (
    Printer,
    date,
    duration,
    emit,
    loss_column,
    say_outcome,
    show,
    show_curve,
    show_figures,
    show_json,
    show_parts,
    show_reliability,
    stream_texts,
    table,
    transfer_progress,
)
from charrnn.errors import CharrnnError, ConfigError
from charrnn.files import unescaped
from charrnn.hosting import policy
from charrnn.machine import LOWEST, give_way, program
from charrnn.model import checkpoint, snapshots
from charrnn.model.checkpoint import Model
from charrnn.model.generation import Written, samples_of, write
from charrnn.model.record import Record
from charrnn.presets import default_preset
from charrnn.runs import (
    baseline,
    control,
    curve,
    events,
    packing,
    preparation,
    status,
    store,
    sweeps,
    trackers,
)
from charrnn.runs.events import Baseline, Ended, Event, EventLog
from charrnn.runs.figures import TextFigures, count
from charrnn.runs.history import read_view
from charrnn.runs.listing import ModelEntry, Unreadable, list_runs, models, unreadable
from charrnn.runs.queue import turn
from charrnn.runs.states import LIVE, EndReason, RunState
from charrnn.runs.status import status_of
from charrnn.runs.view import damage_notices
from charrnn.text import documents, joined, parts, sources
from charrnn.text.corpus import Corpus, readable_size, split_at
from charrnn.trainer import process
from charrnn.trainer.cluster import Member
from charrnn.trainer.process import quiet_start
from charrnn.trainer.supervise import Stage

if TYPE_CHECKING:
    from charrnn.hub.push import Pushed

FINE, FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130
NO_LIMIT: Final = 2**62  # bytes of a text: its owner's disk and memory decide
MAX_INSPECTED = 20_000  # characters: all states of two layers of 384 take 60 MB


def _load_dataset(args: argparse.Namespace) -> Corpus:
    """A text from the Hub."""
    from charrnn.hub import datasets
    from charrnn.hub.names import parse_dataset
    from charrnn.hub.transfer import Connection, local_token

    if len(args.corpus) > 1:
        raise ConfigError(
            "--corpus has a dataset of the Hub among several texts: give it alone."
        )
    dataset = parse_dataset(args.corpus[0])
    connection = Connection(token=local_token(), on_progress=transfer_progress())
    found = datasets.look(dataset, connection)
    files = found.files[0] if len(found.files) == 1 else f"{len(found.files):,} files"
    emit(f"{found.dataset.address}: {files}, {readable_size(found.size)}")
    return datasets.read(
        dataclasses.replace(dataset, revision=found.dataset.revision),
        connection,
        max_bytes=NO_LIMIT,
        first_bytes=_first_bytes(args),
        separator=unescaped(args.separator),
    )


def _first_bytes(args: argparse.Namespace) -> int | None:
    if args.first_mb is None:
        return None
    if not 0 < args.first_mb < math.inf:
        raise ConfigError(
            f"first-mb is {args.first_mb}: expected a number of megabytes above 0."
        )
    return max(1, int(args.first_mb * 1e6))


def _load_corpus(args: argparse.Namespace) -> Corpus:
    if any(source.startswith("hf://") for source in args.corpus):
        return _load_dataset(args)
    if args.first_mb is not None:
        raise ConfigError("--first-mb is for a text from the Hub: leave it out.")
    last_line = [0.0]

    def progress(done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - last_line[0] > 1:
            last_line[0] = now
            emit(f"downloading: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return sources.load_all(
        args.corpus,
        max_bytes=NO_LIMIT,
        separator=unescaped(args.separator),
        progress=progress,
    )


def _load_documents(args: argparse.Namespace) -> Corpus:
    """The text to train on, and what its documents are."""
    corpus = _load_corpus(args)
    if args.documents is None:
        return corpus
    corpus = dataclasses.replace(corpus, documents=args.documents)
    notices = documents.check(corpus)
    return dataclasses.replace(corpus, notices=(*corpus.notices, *notices))


def _given_settings(args: argparse.Namespace) -> dict[str, Any]:
    names = (*config.MODEL_SETTINGS, *config.TRAINING_SETTINGS)
    return {n: getattr(args, n) for n in names if getattr(args, n) is not None}


def _prepare(args: argparse.Namespace) -> preparation.Prepared:
    init = None if args.init is None else store.resolve(args.init)
    return preparation.prepare(
        _load_documents(args),
        preset=args.preset,
        settings=_given_settings(args),
        init=init,
    )


def _prepare_new(args: argparse.Namespace) -> Path:
    prepared = _prepare(args)
    corpus = prepared.corpus
    path = control.create(prepared, title=args.title or "", model_id=args.id)
    for notice in prepared.notices:
        emit(f"note: {notice}")
    model = prepared.model
    joined = f" of {corpus.texts:,} texts" if corpus.texts > 1 else ""
    if separator := documents.separator_of(corpus.documents, corpus.separator):
        joined += f" in {corpus.text.count(separator) + 1:,} documents"
    emit(
        f"{corpus.name}: {len(corpus.text):,} characters{joined}, "
        f"{len(prepared.vocabulary) - 1:,} distinct; "
        f"{model.num_layers} x {model.cell} of {model.rnn_units}, "
        f"{model.num_parameters():,} parameters; "
        f"guessing costs {math.log(len(prepared.vocabulary)):.2f} nats/char"
    )
    return path


def _prepare_resumed(args: argparse.Namespace) -> Path:
    path = store.check_own_run(store.resolve(args.resume))
    given = [n for n in _given_settings(args) if n != "epochs"]
    names = ("preset", "id", "title", "init", "documents")
    given += [n for n in names if getattr(args, n)]
    if given:
        raise ConfigError(
            f"{given[0]} was given with --resume: a run keeps its settings; only "
            "--epochs N, that many more, can be given."
        )
    if not args.background:
        control.request_resume(path, more_epochs=args.epochs)
    return path


def run_train(args: argparse.Namespace) -> int:
    """`train`: write a run or take one up, wait for its turn, train it."""
    if (args.corpus is None) == (args.resume is None):
        raise ConfigError("train takes either --corpus NAME|PATH or --resume ID.")
    if args.log is not None:
        trackers.check(args.log)
    cluster = workers.cluster_of(args)
    if cluster is not None and args.report is None:
        return workers.run_watched(args, cluster)
    member = None if cluster is None else workers.member_of(args, cluster)
    with workers.reported(member):
        if member is not None and not member.cluster.is_chief:
            return workers.run_follower(args, member, lambda: _prepare(args))
        return _train(args, member)


def _train(args: argparse.Namespace, member: Member | None) -> int:
    path = _prepare_new(args) if args.resume is None else _prepare_resumed(args)
    emit(
        f"run {path.name}: follow it with `{program()} follow {path.name}`, "
        f"end it with Ctrl-C or `{program()} stop {path.name}`"
    )
    if member is not None:
        member.report(Stage.PREPARING, json.dumps(str(path)))
    printer = _printer(path)
    with store.hold(path), _listening(args, path, printer) as listener:
        if args.background:
            give_way(policy().trainer_niceness)  # someone looks at the page
            process.capture_output(path)
        log = EventLog(path, listener=listener)
        return _train_in_turn(path, log, listener, devices=args.devices, member=member)


@contextlib.contextmanager
def _listening(
    args: argparse.Namespace, path: Path, printer: Printer
) -> Iterator[Callable[[Event], None]]:
    """What hears of each event: the terminal and, where one is asked for, a tool."""
    if args.log is None:
        yield printer
        return
    record, step = checkpoint.read_record(path), read_view(path).step
    tracker = trackers.Tracker(args.log, path, record, step=step, say=emit)

    def both(event: Event) -> None:
        printer(event)
        tracker(event)

    try:
        yield both
    finally:
        tracker.close()


def run_export_log(args: argparse.Namespace) -> int:
    """`export-log`: the history of a run, to a tool that follows trainings."""
    path = store.resolve(args.id)
    trackers.check(args.to)
    history = trackers.whole_history(path)
    record = checkpoint.read_record(path)
    tracker = trackers.Tracker(args.to, path, record, say=emit)
    for event in history:
        tracker(event)
    tracker.close()
    if tracker.failed:
        return FAILED
    emit(f"{len(history):,} events of {path.name} are in {args.to} now")
    return FINE


def run_sweep(args: argparse.Namespace) -> int:
    """`sweep`: train each combination of settings; what is there already stays."""
    at_once = policy().at_once if args.at_once is None else args.at_once
    os.environ["CHARRNN_AT_ONCE"] = str(at_once)  # for the trainers' queue as well
    corpus = _load_documents(args)
    members = sweeps.plan(
        corpus, preset=args.preset, settings=_given_settings(args), sweep_id=args.id
    )
    for notice in members[0].prepared.notices:
        emit(f"note: {notice}")
    sweep_id = members[0].label.id
    emit(
        f"sweep {sweep_id} of {len(members):,} runs: see them with `{program()} runs "
        f"--sweep {sweep_id}`, end it with Ctrl-C or `{program()} stop {sweep_id}`; "
        "the same command goes on with it"
    )
    complete = sweeps.train(members, at_once=policy().at_once, say=emit)
    comparison.show_sweep(sweep_id)
    return FINE if complete else FAILED


def _printer(path: Path) -> Printer:
    """What prints a run's events on standard error."""
    return Printer(sys.stderr.isatty(), checkpoint.read_record(path).training)


def _train_in_turn(
    path: Path,
    log: EventLog,
    listener: Callable[[Event], None],
    *,
    devices: int | None,
    member: Member | None,
) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    stop_file = path / store.STOP
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(turn(path, log, stopped=stop_file.exists))
            if ours:
                emit("starting: it takes some seconds to the first step")
            with quiet_start():  # TensorFlow comes in here, not before our turn
                if ours:
                    from charrnn.trainer import train
        except KeyboardInterrupt:
            _record_stopped(log)
            raise
        if not ours:
            stop_file.unlink(missing_ok=True)
            _record_stopped(log)
            return FINE
        try:
            train.train(path, listener=listener, devices=devices, member=member)
        finally:
            with contextlib.suppress(CharrnnError):  # deleted meanwhile
                say_outcome(checkpoint.read_record(path), read_view(path))
    return FINE


def _record_stopped(log: EventLog) -> None:
    """The run has left the queue before its turn came."""
    step = read_view(log.path.parent).step
    log.append(Ended(step=step, reason=EndReason.STOPPED))


def _load_model(name: str, step: int | None = None) -> Model:
    model = snapshots.load(store.resolve(name), step)
    for notice in model.notices:
        emit(f"note: {notice}")
    return model


class _Asked(NamedTuple):
    """One of the texts that `generate` writes: by whose weights, and how drawn."""

    model: str
    step: int | None  # of its training; None: its kept weights
    prompt: str
    row: config.SamplingConfig

    def told(self, name: str) -> str:
        """What it is told by where texts are compared by this setting."""
        if name == "prompt":
            return f"prompt {self.prompt!r}"
        if name in ("model", "step"):
            return f"{name} {getattr(self, name)}"
        return f"{name.replace('_', '-')} {getattr(self.row, name):g}"


COMPARED: Final = ("model", "step", "prompt", "temperature", "top_p")


def _prompts(args: argparse.Namespace) -> list[str]:
    """The prompts: the one that is given, or those of a file, one a line."""
    if args.prompts is None:
        return [args.prompt or ""]
    if args.prompt is not None:
        raise ConfigError("--prompt and --prompts are given: take one of them.")
    path = Path(args.prompts)
    lines = joined.decoded(path.read_bytes(), path.name).text.splitlines()
    found = [line for line in lines if line]
    if not found:
        raise ConfigError(f"{path.name} has no prompt: expected one a line.")
    return found


def _compared_by(args: argparse.Namespace) -> str:
    """The setting that has several values; temperature where none has."""
    values = {name: getattr(args, name) for name in COMPARED}
    several = [name for name in COMPARED if len(values[name]) > 1]
    if len(several) > 1:
        first, second = (name.replace("_", "-") for name in several[:2])
        raise ConfigError(
            f"Several values are given of {first} and of {second}: texts are compared "
            f"by one of them. Give one value of the other."
        )
    return several[0] if several else "temperature"


def _asked(args: argparse.Namespace, seed: int) -> list[_Asked]:
    """The texts that the arguments ask for, in their order."""
    settings = {
        **{"top_k": args.top_k, "stop": unescaped(args.stop), "seed": seed},
        "hold": tuple(map(config.Hold.parse, args.hold)),
    }
    rows = samples_of(
        [
            config.SamplingConfig(temperature=temperature, top_p=top_p, **settings)
            for temperature in args.temperature
            for top_p in args.top_p
        ],
        args.samples,
    )
    return [
        _Asked(model, step, prompt, row)
        for model in args.model
        for step in args.step
        for prompt in args.prompt
        for row in rows
    ]


def _same_texts_note(asked: list[_Asked], by: str, samples: int) -> str:
    """What to say where several texts are bound to be the same; empty if none are."""
    for one in asked:
        count = asked.count(one)
        if count > 1:
            return (
                f"{one.told(by)} is given {count} times with one seed, "
                "and writes the same text each time: "
                f"--samples {count * samples} writes different ones"
            )
    if samples > 1 and any(one.row.temperature == 0 for one in asked):
        return (
            "temperature 0 always takes the likeliest character: its "
            f"{samples} samples are the same text"
        )
    return ""


def _heads(asked: list[_Asked], by: str, samples: int) -> list[str]:
    """The line above each of several texts: what tells it from the others."""
    if asked[0].row.stop == "\n" and len(asked) == samples:
        return [""] * samples  # a list, one a line
    heads = [one.told(by) for one in asked]
    if samples == 1:
        return heads
    return [
        f"{head}, seed {one.row.seed}" for head, one in zip(heads, asked, strict=True)
    ]


def _generate_json(
    args: argparse.Namespace,
    asked: list[_Asked],
    written: list[Written],
    counted: list[TextFigures],
) -> dict[str, Any]:
    samples: list[dict[str, Any]] = [
        {
            **{"model": one.model, "step": one.step, "prompt": one.prompt},
            **{"temperature": one.row.temperature, "top_p": one.row.top_p},
            **{"seed": one.row.seed, "text": text.text},
        }
        for one, text in zip(asked, written, strict=True)
    ]
    for sample, figures in zip(samples, counted, strict=False):  # perhaps of none
        sample["figures"] = asdict(figures)
    first = asked[0].row
    return {
        "model": args.model[0] if len(args.model) == 1 else None,
        "prompt": args.prompt[0] if len(args.prompt) == 1 else None,
        "seed": first.seed,
        "hold": [hold._asdict() for hold in first.hold],
        "samples": samples,
    }


def run_generate(args: argparse.Namespace) -> int:
    """`generate`: text by one or several models, steps, temperatures or top-p."""
    args.prompt = _prompts(args)
    by = _compared_by(args)
    seed = int.from_bytes(os.urandom(4)) if args.seed is None else args.seed
    asked = _asked(args, seed)
    for name, step, *_ in asked:  # before anything is written
        path = store.resolve(name)
        checkpoint.read_record(path)
        snapshots.source_of(path, step)
    if note := _same_texts_note(asked, by, args.samples):
        emit(f"note: {note}")
    if args.seed is None and not args.json:
        last = f" to {seed + args.samples - 1}" if args.samples > 1 else ""
        emit(f"seed {seed}{last}")
    heads = _heads(asked, by, args.samples)
    written, counted = list[Written](), list[TextFigures]()
    for (name, step, prompt), group in itertools.groupby(asked, lambda one: one[:3]):
        rows = [one.row for one in group]
        model = _load_model(name, step)
        done = len(written)
        shown = heads[done : done + len(rows)] if len(asked) > 1 else [""]
        texts = _write(args, model, prompt, rows, shown)
        written += texts
        if args.figures:
            folder = store.resolve(name)
            counted += count(folder, model.record, prompt, texts).figures
    if args.json:
        show_json(_generate_json(args, asked, written, counted))
    else:
        show_figures(heads, counted)
    return FINE


def _write(
    args: argparse.Namespace,
    model: Model,
    prompt: str,
    rows: list[config.SamplingConfig],
    heads: list[str],
) -> list[Written]:
    """Write the texts and, unless they are wanted as JSON, print them as they grow."""
    if unknown := model.vocabulary.unknown(prompt):
        emit(f"note: the model does not know {unknown!r}: read as [UNK]")
    written: list[Written] = []

    def texts() -> Iterator[list[str]]:
        for written[:] in write(model, prompt, length=args.length, rows=rows):
            yield [one.text for one in written]

    if args.json:
        *_, _ = texts()
    else:
        stream_texts(texts(), heads)
    return written


def run_curve(args: argparse.Namespace) -> int:
    """`curve`: texts from temperature 0 to 2, and what is counted of them."""
    model = _load_model(args.model)
    seed = int.from_bytes(os.urandom(4)) if args.seed is None else args.seed
    rows = curve.rows(seed)
    *_, written = write(model, args.prompt, length=args.length, rows=rows)
    path = store.resolve(args.model)
    found = curve.points(path, model.record, args.prompt, written)
    if args.json:
        told = curve.report(args.prompt, seed, found)
        show_json({"model": args.model, "length": args.length, **told})
        return FINE
    if args.seed is None:
        emit(f"seed {seed}")
    show_curve(found)
    return FINE


def _part(model: Model, args: argparse.Namespace, split: str) -> str:
    """A text, or the part of it that trains or validates."""
    corpus = _load_corpus(args)
    for notice in corpus.notices:
        emit(f"note: {notice}")
    text = corpus.text
    at = split_at(len(text), model.record.corpus.split)
    return {"val": text[at:], "train": text[:at], "all": text}[split]


def run_evaluate(args: argparse.Namespace) -> int:
    """`evaluate`: nats per character on a text."""
    from charrnn.model.scores import evaluate

    model = _load_model(args.model)
    text = _part(model, args, args.split)
    codes = parts.codes(text) if args.parts else None
    ids = model.vocabulary.encode(text)
    scores = evaluate(model, ids, window=args.window, codes=codes)
    result: dict[str, Any] = {
        "nats_per_char": scores.nats_per_char,
        "bits_per_char": scores.nats_per_char / math.log(2),
        f"cold{args.window}_nats_per_char": scores.cold_nats_per_char,
        "characters": scores.characters,
        "unknown": scores.unknown,
    }
    if args.json:
        result["reliability"] = [asdict(each) for each in scores.reliability]
        if args.parts:
            split = {name: asdict(part) for name, part in scores.parts.items()}
            result["parts"] = split
        show_json(result)
        return FINE
    if scores.cold_nats_per_char is None:
        emit(
            f"note: no window of {args.window} characters fits: {scores.characters:,} "
            "are predicted. Take a longer text or a smaller --window for its score"
        )
    for name, value in result.items():
        if value is None:
            continue
        shown = f"{value:.4f}" if isinstance(value, float) else f"{value}"
        show(f"{name:24} {shown}")
    if args.parts:
        show("")
        show_parts(scores.parts)
    show("")
    show_reliability(scores.reliability)
    return FINE


def _text_to_inspect(args: argparse.Namespace, model: Model) -> str:
    if (args.text is None) == (args.corpus is None):
        raise ConfigError("inspect takes either --text TEXT or --corpus NAME|PATH.")
    if not 2 <= args.characters <= MAX_INSPECTED:
        raise ConfigError(
            f"characters is {args.characters:,}: expected 2 to {MAX_INSPECTED:,}.",
            field="characters",
        )
    if args.text is None:
        return _part(model, args, args.split)[: args.characters]
    if len(args.text) > MAX_INSPECTED:
        raise ConfigError(
            f"The text has {len(args.text):,} characters: at most {MAX_INSPECTED:,} "
            "are looked at.",
            field="text",
        )
    return str(args.text)


def run_inspect(args: argparse.Namespace) -> int:
    """`inspect`: what a model makes of each character of a text."""
    from charrnn.cli import inspection

    if args.steps and not args.units:
        raise ConfigError("--steps is told of --units: give both.", field="steps")
    model = _load_model(args.model)
    text = _text_to_inspect(args, model)
    unknown = model.vocabulary.unknown(text)
    if unknown:
        emit(f"note: the model does not know {unknown!r}: read as [UNK]")
    if args.against is not None:
        inspection.show_difference(args, (model, _load_model(args.against)), text)
    elif args.at is not None:
        inspection.show_look(args, model, text)
    elif args.reach:
        inspection.show_reach(args, model, text)
    elif args.units:
        inspection.show_units(args, model, text)
    else:
        inspection.show_surprise(args, model, text)
    return FINE


def _record_json(entry: ModelEntry) -> dict[str, Any]:
    record: Record = entry.record
    return {
        "id": entry.model_id,
        "title": record.title,
        "state": entry.state,
        "started": entry.now.view.started,
        "seconds": entry.now.view.seconds,
        "shipped": entry.shipped,
        "parameters": record.model.num_parameters(),
        "corpus": record.corpus.shown_name,
        "figures": None if record.figures is None else asdict(record.figures),
        "origin": None if record.origin is None else asdict(record.origin),
        "sweep": None if record.sweep is None else record.sweep.id,
        "problem": entry.problem,
    }


def _unreadable_json(folder: Unreadable) -> dict[str, Any]:
    keys = (
        *("title", "started", "seconds", "parameters", "corpus", "figures"),
        *("origin", "sweep"),
    )
    return {
        "id": folder.model_id,
        "state": RunState.UNREADABLE,
        "shipped": folder.shipped,
        "problem": folder.problem,
        **dict.fromkeys(keys),
    }


def _list_json(found: list[ModelEntry], damaged: list[Unreadable]) -> None:
    show_json(
        [*(_record_json(entry) for entry in found), *map(_unreadable_json, damaged)]
    )


def _say_problems(found: list[ModelEntry], damaged: list[Unreadable]) -> None:
    """Below a list: what of it cannot be read, and why."""
    problems = {entry.model_id: entry.problem for entry in found if entry.problem}
    problems |= {folder.model_id: folder.problem for folder in damaged}
    for model_id, problem in problems.items():
        emit(f"note: {model_id} is unreadable: {problem}")


def _date_and_duration(entry: ModelEntry) -> tuple[str, str]:
    """Columns of a list: when it was trained or came here, and for how long."""
    begun, seconds = entry.now.view.started, entry.now.view.seconds
    if begun is None and not entry.shipped:
        begun = entry.changed
    if not seconds and entry.record.figures is not None:
        seconds = entry.record.figures.seconds
    return date(begun), duration(seconds) if seconds else "-"


def run_models(args: argparse.Namespace) -> int:
    """`models`: what text can be generated from."""
    found, damaged = models(), unreadable()
    if args.json:
        _list_json(found, damaged)
        return FINE
    rows = [("ID", "NATS/CHAR", "PARAMETERS", "DATE", "TRAINED", "TITLE")]
    for entry in found:
        count = f"{entry.record.model.num_parameters():,}"
        rows.append(
            (
                *(entry.model_id, loss_column(entry), count),
                *(*_date_and_duration(entry), entry.record.title),
            )
        )
    table(rows)
    _say_problems(found, damaged)
    return FINE


def run_runs(args: argparse.Namespace) -> int:
    """`runs`: what has been or is being trained here."""
    if args.sweep is not None:
        return comparison.show_sweep(args.sweep, as_json=args.json)
    found = list_runs()
    damaged = [folder for folder in unreadable() if folder.is_run]
    if args.json:
        _list_json(found, damaged)
        return FINE
    rows = [("ID", "STATE", "NATS/CHAR", "TEXT", "DATE", "TRAINED", "TITLE")]
    for entry in found:
        record = entry.record
        rows.append(
            (
                entry.model_id,
                entry.state,
                loss_column(entry),
                record.corpus.shown_name,
                *_date_and_duration(entry),
                record.title,
            )
        )
    rows += [(d.model_id, RunState.UNREADABLE, *"-----") for d in damaged]
    table(rows)
    _say_problems(found, damaged)
    return FINE


def run_stop(args: argparse.Namespace) -> int:
    """`stop`: ask a training, or all of a sweep, to end well."""
    if sweeps.is_sweep(args.id):
        count = sweeps.stop(args.id)
        emit(f"{args.id}: {count} end after their steps; no other run is begun")
        return FINE
    path = store.check_own_run(store.resolve(args.id))
    waiting = status_of(path).state is RunState.QUEUED
    control.ask_to_stop(path)
    done = "leaves the queue" if waiting else "ends after its step, validated and saved"
    emit(f"{path.name} {done}")
    return FINE


def run_follow(args: argparse.Namespace) -> int:
    """`follow`: print a run's events, those so far and those to come, to its end."""
    path = store.resolve(args.id)
    printer = _printer(path)
    offset = damaged = 0
    while True:
        state = status_of(path).state  # before reading: nothing is missed
        part = events.read(path, offset)
        for event in part.events:
            printer(event)
        damaged += part.damaged
        if state not in LIVE and part.next == offset:
            break
        time.sleep(0 if part.next != offset else 0.5)
        offset = part.next
    for notice in damage_notices(damaged):
        emit(f"note: {notice}")
    say_outcome(checkpoint.read_record(path), read_view(path))
    if state is RunState.DIED:
        emit(status.DIED)
    return FAILED if state in (RunState.DIED, RunState.FAILED) else FINE


def run_baseline(args: argparse.Namespace) -> int:
    """`baseline`: append the loss of a table of n-grams to a run's history."""
    give_way(LOWEST)  # it must not delay the training that it is for
    path = store.check_own_run(store.resolve(args.id))
    loss = baseline.baseline_loss(path)
    step = read_view(path).step
    EventLog(path).append(Baseline(step=step, order=baseline.ORDER, loss=loss))
    return FINE


def run_export(args: argparse.Namespace) -> int:
    """`export`: a TensorFlow SavedModel that stands alone."""
    model = _load_model(args.model)
    with quiet_start():
        from charrnn.trainer.export import export

    export(model, Path(args.path))
    emit(f"written: {args.path}")
    return FINE


def run_page(_: argparse.Namespace) -> int:
    """`page`: open the web page and stay until Ctrl-C."""
    from charrnn.ui import page  # Gradio comes in here

    page.main()
    return FINE


def run_push(args: argparse.Namespace) -> int:
    """`push`: a model to the Hub, private unless --public."""
    from charrnn.hub.push import push_model
    from charrnn.hub.transfer import Connection, local_token

    if args.space:
        return _push_space(args)
    given = [n for n in ("weights", "model_repo") if getattr(args, n) is not None]
    if given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')} is of a web page: give --space with it."
        )
    path = store.resolve(args.model)
    pushed = push_model(
        path,
        args.repo_id,
        Connection(token=local_token(), on_progress=transfer_progress()),
        private=not args.public,
        license=args.license,
        message=args.message,
        keep_card=not store.is_shipped(path),
    )
    _show_pushed(pushed)
    return FINE


def _show_pushed(pushed: "Pushed") -> None:
    kind = "private" if pushed.private else "public"
    done = "is already what this model is" if pushed.unchanged else "now holds it"
    emit(f"{pushed.repo_id} ({kind}) {done}: commit {pushed.commit[:12]}")
    show(pushed.url)


def _push_space(args: argparse.Namespace) -> int:
    """`push --space`: a model's web page to a static Space."""
    from charrnn.card import check_license
    from charrnn.hub.push import push_space
    from charrnn.hub.transfer import Connection, local_token
    from charrnn.web import bundle

    model = _load_model(args.model)
    chosen = check_license(args.license) or model.record.license
    record = dataclasses.replace(model.record, license=chosen)
    pushed = push_space(
        bundle.page(dataclasses.replace(model, record=record), args.weights),
        record,
        args.repo_id,
        Connection(token=local_token(), on_progress=transfer_progress()),
        private=not args.public,
        model_repo=args.model_repo,
        message=args.message,
    )
    _show_pushed(pushed)
    return FINE


def run_pull(args: argparse.Namespace) -> int:
    """`pull`: a model from the Hub, to be used like one's own."""
    from charrnn.hub.pull import pull_model
    from charrnn.hub.transfer import Connection, local_token

    pulled = pull_model(
        args.repo,
        Connection(token=local_token(), on_progress=transfer_progress()),
        destination=store.folder(),
        model_id=args.id,
        revision=args.revision,
    )
    for notice in pulled.notices:
        emit(f"note: {notice}")
    done = "is here already" if pulled.unchanged else "is here"
    emit(f"{pulled.repo} at commit {pulled.revision} {done} as {pulled.model_id}")
    show(pulled.model_id)
    return FINE


def run_pack(args: argparse.Namespace) -> int:
    """`pack`: a model or run as a zip."""
    packing.pack(
        store.resolve(args.run_or_model),
        Path(args.file),
        state=args.state,
        text=args.text,
    )
    if args.state != args.text:
        missing = "--text" if args.state else "--state"
        emit(f"note: without {missing} the training cannot go on elsewhere")
    emit(f"written: {args.file}")
    return FINE


def run_web(args: argparse.Namespace) -> int:
    """`web`: a model as one web page."""
    from charrnn.web import bundle
    from charrnn.web.weights import measure_costs

    path = Path(args.file)
    bundle.check_name(path)
    model = _load_model(args.model)
    costs = bundle.known_costs(model.record.figures)
    if args.corpus is not None:
        part = _part(model, args, "val")
        costs = measure_costs(model, model.vocabulary.encode(part))
    chosen = args.weights or bundle.choose_format(costs)
    for name, cost in costs.items():
        if name != "float32":
            emit(f"{name} weights cost {round(cost, 4) + 0:.4f} nats per character")
    if chosen not in costs:
        emit(
            f"note: what {chosen} weights cost is not measured: "
            "--corpus NAME|PATH measures it"
        )
    size = bundle.write_page(path, bundle.page(model, chosen, costs))
    emit(f"written: {args.file}, {size / 1e6:.1f} MB with {chosen} weights")
    return FINE


def run_unpack(args: argparse.Namespace) -> int:
    """`unpack`: a zip of `pack`, to be used like one's own."""
    taken = packing.unpack(Path(args.file), store.folder(), model_id=args.id)
    for notice in taken.notices:
        emit(f"note: {notice}")
    more = f": `{program()} train --resume {taken.model_id}` goes on with it"
    emit(f"{taken.title} is here as {taken.model_id}{more if taken.can_go_on else ''}")
    show(taken.model_id)
    return FINE


def run_bench(args: argparse.Namespace) -> int:
    """`bench`: this machine beside stock Keras, or a preset's quality in time."""
    with quiet_start():
        from charrnn.trainer import bench

    if args.quality:
        found = bench.quality(args.preset or default_preset(), log=emit)
        if args.json:
            show_json(bench.as_json(found))
            return FINE
        head = ("SECONDS", "STEP", "STATEFUL", *(f"COLD {w}" for w in found[0].cold))
        rows = [
            (
                *(f"{r.seconds:.1f}", f"{r.step:,}", f"{r.val_loss:.4f}"),
                *("-" if c is None else f"{c:.4f}" for c in r.cold.values()),
            )
            for r in found
        ]
        table([head, *rows])
        return FINE
    timed = bench.steps(log=emit)
    if args.json:
        show_json(bench.as_json(timed))
        return FINE
    show(", ".join(f"{k} {v}" for k, v in bench.machine().items()))
    titles = ("UNITS", "STOCK CHARS/S", "OURS", "RATIO", "FP32 GFLOP/S", "BF16")
    table(
        [
            (*titles, "SHARE", "STOCK MB", "MB"),
            *(
                (
                    str(row.units),
                    f"{row.stock_chars_per_second:,.0f}",
                    f"{row.chars_per_second:,.0f}",
                    f"{row.ratio:.2f}",
                    f"{row.matmul_fp32_gflops:.0f}",
                    f"{row.matmul_bf16_gflops:.0f}",
                    f"{row.share_of_fp32:.0%}",
                    f"{row.stock_peak_mb:,.0f}",
                    f"{row.peak_mb:,.0f}",
                )
                for row in timed
            ),
        ]
    )
    return FINE
