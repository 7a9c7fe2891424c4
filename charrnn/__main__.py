"""The command line: parses, calls, prints. `python -m charrnn --help`.

Exit codes: 0 fine; 1 a training failed; 2 something that the person can mend;
130 interrupted. What a command is asked for goes to standard output, all else
to standard error.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import charrnn
from charrnn import checkpoint, config, events, output, preparation, runs
from charrnn import corpus as corpora
from charrnn.checkpoint import Model, Record
from charrnn.config import SamplingConfig
from charrnn.corpus import Corpus
from charrnn.errors import CharrnnError, ConfigError, TrainingError
from charrnn.events import Event, EventLog
from charrnn.quiet import quiet_start

FINE, FAILED, MENDABLE, INTERRUPTED = 0, 1, 2, 130


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


# --- train -----------------------------------------------------------------


def _load_corpus(source: str) -> Corpus:
    told = [0.0]

    def progress(done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - told[0] > 1:
            told[0] = now
            say(f"downloading: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return corpora.load(source, max_bytes=config.max_text_bytes(), progress=progress)


def _given_settings(args: argparse.Namespace) -> dict[str, Any]:
    names = (*config.MODEL_SETTINGS, *config.TRAINING_SETTINGS)
    return {n: getattr(args, n) for n in names if getattr(args, n) is not None}


def _prepare_new(args: argparse.Namespace) -> Path:
    init = None if args.init is None else runs.resolve(args.init)
    corpus = _load_corpus(args.corpus)
    prepared = preparation.prepare(
        corpus, preset=args.preset, settings=_given_settings(args), init=init
    )
    path = runs.create(prepared, title=args.title or "", model_id=args.id, init=init)
    for notice in prepared.notices:
        say(f"note: {notice}")
    model = prepared.model
    say(
        f"{corpus.name}: {len(corpus.text):,} characters, "
        f"{len(prepared.vocabulary) - 1:,} distinct; "
        f"{model.num_layers} x {model.cell} of {model.rnn_units}, "
        f"{model.num_parameters():,} parameters; "
        f"guessing costs {math.log(len(prepared.vocabulary)):.2f} nats/char"
    )
    return path


def _prepare_resumed(args: argparse.Namespace) -> Path:
    path = runs.own_run(args.resume)
    given = [n for n in _given_settings(args) if n != "epochs"]
    given += [n for n in ("preset", "id", "title", "init") if getattr(args, n)]
    if given:
        raise ConfigError(
            f"{given[0]} was given with --resume: a run keeps its settings; only "
            "--epochs N, that many more, can be given."
        )
    if not args.background:
        runs.request_resume(path, more_epochs=args.epochs)
    return path


def run_train(args: argparse.Namespace) -> int:
    """`train`: write a run or take one up, wait for its turn, train it."""
    if (args.corpus is None) == (args.resume is None):
        raise ConfigError("train takes either --corpus NAME|PATH or --resume ID.")
    path = _prepare_new(args) if args.resume is None else _prepare_resumed(args)
    say(
        f"run {path.name}: follow it with `python -m charrnn follow {path.name}`, "
        f"end it with Ctrl-C or `python -m charrnn stop {path.name}`"
    )
    printer = Printer(sys.stderr.isatty())
    with runs.hold(path):
        if args.background:
            os.nice(5)  # the page, which someone looks at, goes first
            output.capture_output(path)
        log = EventLog(path, listener=printer)
        return _train_in_turn(path, log, printer)


def _train_in_turn(path: Path, log: EventLog, printer: "Printer") -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    stop_file = path / runs.STOP
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(runs.turn(path, log, stopped=stop_file.exists))
            with quiet_start():  # TensorFlow comes in here, not before our turn
                if ours:
                    from charrnn import training
        except KeyboardInterrupt:
            log.append("ended", runs.last_step(path.name), reason="stopped")
            raise
        if not ours:
            stop_file.unlink(missing_ok=True)
            log.append("ended", runs.last_step(path.name), reason="stopped")
            return FINE
        training.train(path, listener=printer)
    return FINE


class Printer:
    """Turns events into lines; on a terminal, steps rewrite one line.

    Args:
        live: Whether standard error is a terminal.
    """

    def __init__(self, live: bool) -> None:
        self.live = live
        self.planned: int | None = None
        self.open_line = False

    def __call__(self, event: Event) -> None:
        """Print one event, if it has something to say."""
        self.planned = event.get("planned_steps", self.planned)
        if event["type"] == "step":
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

    def _step(self, event: Event) -> str:
        speed = event["chars_per_second"]
        text = f"step {event['step']:,}"
        if self.planned:
            text += f" of {self.planned:,}"
        return (
            f"{text}, epoch {event['epoch']}, loss {event['loss']:.3f} nats/char, "
            f"{speed:,.0f} chars/s"
        )

    def _line(self, event: Event) -> str:
        kind, step = event["type"], event["step"]
        if kind == "validation":
            loss = event["val_loss"]
            mark = "  best so far" if event["best"] else ""
            return (
                f"step {step:,}: validation {loss:.4f} nats/char "
                f"({loss / math.log(2):.3f} bits){mark}"
            )
        if kind == "sample":
            text = _printable(str(event["text"])[:150]).replace("\n", "\n    ")
            return f"    {text} ..."
        lines: dict[str, Callable[[], str]] = {
            "queued": lambda: _queued(event),
            "notice": lambda: f"note: {event['message']}",
            "failed": lambda: f"failed: {event['message']}",
            "resumed": lambda: f"resumed after step {step:,}",
            "ended": lambda: f"{event['reason']} after step {step:,}",
            "learning_rate": lambda: f"learning rate x {event['factor']:g}",
            "floor": lambda: f"a table of {event['order']}-grams: {event['loss']:.3f}",
        }
        return lines.get(kind, str)()


def _queued(event: Event) -> str:
    count = event["position"]
    return f"waiting for {count} earlier training(s) to end" if count else ""


# --- writing and scoring ---------------------------------------------------


def _load_model(name: str) -> Model:
    return checkpoint.load(runs.resolve(name))


def run_generate(args: argparse.Namespace) -> int:
    """`generate`: text at one or several temperatures."""
    from charrnn.generation import generate

    model = _load_model(args.model)
    seed = int.from_bytes(os.urandom(4)) if args.seed is None else args.seed
    unknown = model.vocabulary.unknown(args.prompt)
    if unknown:
        say(f"note: the model does not know {unknown!r}: read as [UNK]")
    if args.seed is None and not args.json:
        say(f"seed {seed}")
    texts = generate(
        model,
        args.prompt,
        length=args.length,
        temperatures=args.temperature,
        seed=seed,
        top_k=args.top_k,
        top_p=args.top_p,
        stop=args.stop,
    )
    if args.json:
        *_, final = texts
        samples = [
            {"temperature": t, "text": text}
            for t, text in zip(args.temperature, final, strict=True)
        ]
        show_json(
            {
                "model": args.model,
                "prompt": args.prompt,
                "seed": seed,
                "samples": samples,
            }
        )
        return FINE
    _stream(texts, args.temperature)
    return FINE


def _stream(texts: Iterator[list[str]], temperatures: list[float]) -> None:
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


def run_evaluate(args: argparse.Namespace) -> int:
    """`evaluate`: nats per character on a text."""
    from charrnn.scores import evaluate

    model = _load_model(args.model)
    text = _load_corpus(args.corpus).text
    split = corpora.split_at(len(text))
    part = {"val": text[split:], "train": text[:split], "all": text}[args.split]
    scores = evaluate(model, model.vocabulary.encode(part), window=args.window)
    result = {
        "nats_per_char": scores.nats_per_char,
        "bits_per_char": scores.nats_per_char / math.log(2),
        f"cold{args.window}_nats_per_char": scores.cold_nats_per_char,
        "characters": scores.characters,
        "unknown": scores.unknown,
    }
    if args.json:
        show_json(result)
        return FINE
    for name, value in result.items():
        shown = f"{value:.4f}" if isinstance(value, float) else f"{value}"
        show(f"{name:24} {shown}")
    return FINE


# --- looking ---------------------------------------------------------------


def _record_json(entry: runs.ModelEntry) -> dict[str, Any]:
    record: Record = entry.record
    return {
        "id": entry.model_id,
        "title": record.title,
        "state": entry.state,
        "shipped": entry.shipped,
        "parameters": record.model.num_parameters(),
        "corpus": record.corpus.name,
        "figures": None if record.figures is None else asdict(record.figures),
        "origin": None if record.origin is None else asdict(record.origin),
    }


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        show("  ".join(cells).rstrip())


def _loss(record: Record) -> str:
    return "-" if record.figures is None else f"{record.figures.val_loss:.4f}"


def run_models(args: argparse.Namespace) -> int:
    """`models`: what text can be generated from."""
    found = runs.models()
    if args.json:
        show_json([_record_json(entry) for entry in found])
        return FINE
    rows = [("ID", "NATS/CHAR", "PARAMETERS", "TITLE")]
    for entry in found:
        count = f"{entry.record.model.num_parameters():,}"
        rows.append((entry.model_id, _loss(entry.record), count, entry.record.title))
    _table(rows)
    return FINE


def run_runs(args: argparse.Namespace) -> int:
    """`runs`: what has been or is being trained here."""
    found = runs.list_runs()
    if args.json:
        show_json([_record_json(entry) for entry in found])
        return FINE
    rows = [("ID", "STATE", "NATS/CHAR", "TEXT", "TITLE")]
    for entry in found:
        record = entry.record
        rows.append(
            (
                entry.model_id,
                entry.state,
                _loss(record),
                record.corpus.name,
                record.title,
            )
        )
    _table(rows)
    return FINE


def run_stop(args: argparse.Namespace) -> int:
    """`stop`: ask a training to end well."""
    waiting = runs.status(args.id).state == "queued"
    runs.stop(args.id)
    done = "leaves the queue" if waiting else "ends after its step, validated and saved"
    say(f"{args.id} {done}")
    return FINE


def run_follow(args: argparse.Namespace) -> int:
    """`follow`: what a run has told and tells, until it ends."""
    path = runs.find(args.id)
    printer = Printer(sys.stderr.isatty())
    offset = 0
    while True:
        state = runs.status(args.id).state  # before reading: nothing is missed
        told, offset = events.read(path, offset)
        for event in told:
            printer(event)
        if state not in runs.LIVE and not told:
            break
        time.sleep(0 if told else 0.5)
    if state == "died":
        say(runs.DIED)
    return FAILED if state in ("died", "failed") else FINE


def run_floor(args: argparse.Namespace) -> int:
    """`floor`: append the loss of a table of 5-grams to a run's history."""
    os.nice(19)  # it must not delay the training that it is for
    path = runs.own_run(args.id)
    loss = runs.floor(path)
    EventLog(path).append(
        "floor", runs.last_step(args.id), order=runs.FLOOR_ORDER, loss=loss
    )
    return FINE


def run_export(args: argparse.Namespace) -> int:
    """`export`: a TensorFlow SavedModel that stands alone."""
    model = _load_model(args.model)
    with quiet_start():
        from charrnn.export import export

    export(model, Path(args.path))
    say(f"written: {args.path}")
    return FINE


def _told_transfer() -> Callable[[str, int, int], None]:
    told = [0.0]

    def progress(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if total and (done == total or now - told[0] > 1):
            told[0] = now
            say(f"{stage}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return progress


def run_push(args: argparse.Namespace) -> int:
    """`push`: a model to the Hub, private unless --public."""
    from charrnn import hub

    path = runs.resolve(args.model)
    pushed = hub.push(
        path,
        args.repo_id,
        token=hub.local_token(),
        private=not args.public,
        license=args.license,
        message=args.message,
        keep_card=not runs.is_shipped(path),
        progress=_told_transfer(),
    )
    kind = "private" if pushed.private else "public"
    done = "is already what this model is" if pushed.unchanged else "now holds it"
    say(f"{pushed.repo_id} ({kind}) {done}: commit {pushed.commit[:12]}")
    show(pushed.url)
    return FINE


def run_pull(args: argparse.Namespace) -> int:
    """`pull`: a model from the Hub, to be used like one's own."""
    from charrnn import hub

    pulled = hub.pull(
        args.repo,
        destination=runs.folder(),
        model_id=args.id,
        revision=args.revision,
        token=hub.local_token(),
        progress=_told_transfer(),
    )
    done = "is here already" if pulled.unchanged else "is here"
    say(f"{pulled.repo} at commit {pulled.revision} {done} as {pulled.model_id}")
    show(pulled.model_id)
    return FINE


def run_bench(args: argparse.Namespace) -> int:
    """`bench`: this machine beside stock Keras, or a preset's quality in time."""
    with quiet_start():
        from charrnn import bench

    if args.quality:
        found = bench.quality(args.preset or preparation.default_preset(), tell=say)
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
        _table([head, *rows])
        return FINE
    timed = bench.steps(tell=say)
    if args.json:
        show_json(bench.as_json(timed))
        return FINE
    show(", ".join(f"{k} {v}" for k, v in bench.machine().items()))
    titles = ("UNITS", "STOCK CHARS/S", "OURS", "RATIO", "FP32 GFLOP/S", "BF16")
    _table(
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


# --- the parser ------------------------------------------------------------


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings, instead of the preset's")
    for name in (*config.MODEL_SETTINGS, *config.TRAINING_SETTINGS):
        item = config.setting_field(name)
        kind = str if item.metadata["choices"] else _number
        bounds = ""
        if item.metadata["low"] is not None:
            bounds = f" ({item.metadata['low']:g} to {item.metadata['high']:g})"
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            choices=item.metadata["choices"] or None,
            metavar=None if item.metadata["choices"] else "N",
            help=item.metadata["help"].replace("%", "%%") + bounds,
        )


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a model on a text")
    named = ", ".join(corpora.NAMED)
    train.add_argument("--corpus", metavar="NAME|PATH", help=f"{named}, or a file")
    train.add_argument("--resume", metavar="ID", help="go on with a run")
    train.add_argument("--preset", choices=tuple(config.PRESETS))
    train.add_argument("--id", help="name of the run's folder")
    train.add_argument("--title", help="what people see")
    train.add_argument("--init", metavar="MODEL", help="begin with its weights")
    train.add_argument("--background", action="store_true", help=argparse.SUPPRESS)
    _add_settings(train)
    train.set_defaults(run=run_train)


def _add_generate(commands: Any) -> None:
    generate = commands.add_parser("generate", help="write text")
    generate.add_argument("model", metavar="MODEL")
    generate.add_argument("--prompt", default="", help="text to go on from")
    generate.add_argument("--length", type=int, default=500, help="characters")
    generate.add_argument(
        "--temperature", type=float, nargs="+", default=[0.8], metavar="T"
    )
    generate.add_argument("--seed", type=int, help="drawn and told if absent")
    defaults = SamplingConfig()
    generate.add_argument("--top-k", type=int, default=defaults.top_k, metavar="K")
    generate.add_argument("--top-p", type=float, default=defaults.top_p, metavar="P")
    generate.add_argument("--stop", default="", metavar="STRING")
    generate.add_argument("--json", action="store_true")
    generate.set_defaults(run=run_generate)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="score a model on a text")
    evaluate.add_argument("model", metavar="MODEL")
    evaluate.add_argument("--corpus", required=True, metavar="NAME|PATH")
    evaluate.add_argument("--split", choices=("val", "train", "all"), default="val")
    evaluate.add_argument("--window", type=int, default=256, metavar="N")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=run_evaluate)


def _add_hub(commands: Any) -> None:
    push = commands.add_parser("push", help="share a model on the Hub")
    push.add_argument("model", metavar="MODEL")
    push.add_argument("repo_id", metavar="OWNER/NAME")
    push.add_argument("--public", action="store_true", help="for everybody to see")
    push.add_argument("--license", metavar="L", help="of the weights, like mit")
    push.add_argument("--message", metavar="M", help="of the commit")
    push.set_defaults(run=run_push)
    pull = commands.add_parser("pull", help="take a model from the Hub")
    pull.add_argument("repo", metavar="OWNER/NAME|URL|hf://...")
    pull.add_argument("--revision", metavar="R", help="branch, tag or commit")
    pull.add_argument("--id", help="name of the folder here")
    pull.set_defaults(run=run_pull)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="python -m charrnn", description=charrnn.__doc__)
    top.add_argument("--version", action="version", version=charrnn.__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_generate(commands)
    _add_evaluate(commands)
    for name, run, text in (
        ("models", run_models, "list what text can be generated from"),
        ("runs", run_runs, "list trainings and their states"),
    ):
        listing = commands.add_parser(name, help=text)
        listing.add_argument("--json", action="store_true")
        listing.set_defaults(run=run)
    for name, run, text in (
        ("stop", run_stop, "end a training well"),
        ("follow", run_follow, "watch a training"),
        ("floor", run_floor, "score a run's text with a table of 5-grams"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("id", metavar="ID")
        one.set_defaults(run=run)
    export = commands.add_parser("export", help="write a TensorFlow SavedModel")
    export.add_argument("model", metavar="MODEL")
    export.add_argument("path", metavar="PATH")
    export.set_defaults(run=run_export)
    _add_hub(commands)
    bench = commands.add_parser("bench", help="time this machine beside stock Keras")
    bench.add_argument("--quality", action="store_true", help="loss against seconds")
    bench.add_argument("--preset", choices=tuple(config.PRESETS))
    bench.add_argument("--json", action="store_true")
    bench.set_defaults(run=run_bench)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    args = parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except TrainingError as error:
        if not error.told:  # else the history's last line has said it
            say(f"charrnn: {error}")
        return FAILED
    except CharrnnError as error:
        say(f"charrnn: {error}")
        return MENDABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE


if __name__ == "__main__":
    sys.exit(main())
