"""The command line: its commands, arguments and exit codes."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import charrnn
from charrnn import config, presets
from charrnn.cli.commands import (
    FAILED,
    FINE,
    INTERRUPTED,
    INVALID,
    run_baseline,
    run_bench,
    run_curve,
    run_evaluate,
    run_export,
    run_export_log,
    run_follow,
    run_generate,
    run_inspect,
    run_models,
    run_pack,
    run_page,
    run_pull,
    run_push,
    run_runs,
    run_stop,
    run_sweep,
    run_train,
    run_unpack,
    run_web,
)
from charrnn.cli.output import emit
from charrnn.config import DEFAULT_LENGTH, SamplingConfig
from charrnn.errors import CharrnnError, TrainingError
from charrnn.files import escaped, quoted
from charrnn.machine import program
from charrnn.runs import trackers
from charrnn.text import documents, sources
from charrnn.text.joined import SEPARATOR
from charrnn.trainer.cluster import MEETING_SECONDS

FORMATS = ("int8", "float16", "float32")  # of a web page's weights


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _add_settings(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
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
            nargs="+" if several else None,
            help=item.metadata["help"].replace("%", "%%") + bounds,
        )


def _add_corpus(
    parser: argparse.ArgumentParser, text: str = "", *, required: bool = False
) -> None:
    """The text, of whatever it is put together."""
    named = ", ".join(sources.NAMED)
    parser.add_argument(
        "--corpus",
        nargs="+",
        required=required,
        metavar="NAME|PATH",
        help=text
        or f"{named}, files, folders and zips of texts, or a dataset of the "
        "Hub, hf://datasets/OWNER/NAME[@REVISION][/FILE]",
    )
    parser.add_argument(
        "--first-mb",
        type=float,
        metavar="N",
        help="of a dataset of the Hub, its first megabytes",
    )
    parser.add_argument(
        "--separator",
        default=escaped(SEPARATOR),
        metavar="STRING",
        help="between two texts; the default is an empty line, as \\n\\n",
    )


def _add_documents(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--documents",
        choices=documents.KINDS,
        help="what to read each from an empty state: lines, parts between empty lines, "
        "or the files",
    )


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a model on a text")
    _add_corpus(train)
    _add_documents(train)
    train.add_argument("--resume", metavar="RUN", help="go on with a run")
    train.add_argument("--preset", choices=tuple(presets.PRESETS))
    train.add_argument("--id", help="name of the run's folder")
    train.add_argument("--title", help="what people see")
    train.add_argument("--init", metavar="MODEL", help="begin with its weights")
    train.add_argument(
        "--log",
        choices=tuple(trackers.LIBRARIES),
        help="hand the run's events to a tool that follows trainings, too",
    )
    train.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="that share each batch; if absent, every GPU",
    )
    train.add_argument(
        "--workers",
        metavar="A:2222,B:2222",
        help="addresses of processes that share each batch, as in TF_CONFIG, which is "
        "read if absent. TensorFlow's transport between them has no authentication and "
        "no encryption: in private networks only",
    )
    train.add_argument(
        "--worker", type=int, metavar="K", help="which of them this is; 0 keeps the run"
    )
    train.add_argument(
        "--wait",
        type=float,
        default=MEETING_SECONDS,
        metavar="SECONDS",
        help=f"for all workers to come, {MEETING_SECONDS:g} if absent",
    )
    train.add_argument("--report", type=int, help=argparse.SUPPRESS)
    train.add_argument("--background", action="store_true", help=argparse.SUPPRESS)
    _add_settings(train)
    train.set_defaults(run=run_train)


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep", help="train a model with each combination of some settings"
    )
    _add_corpus(sweep, required=True)
    _add_documents(sweep)
    sweep.add_argument("--preset", choices=tuple(presets.PRESETS))
    sweep.add_argument("--id", help="name of the sweep, made of all else if absent")
    sweep.add_argument(
        "--at-once", type=int, metavar="N", help="runs that train side by side"
    )
    _add_settings(sweep, several=True)
    sweep.set_defaults(run=run_sweep)


def _add_generate(commands: Any) -> None:
    generate = commands.add_parser("generate", help="write text")
    generate.add_argument("model", nargs="+", metavar="MODEL")
    generate.add_argument("--prompt", help="text to go on from")
    generate.add_argument("--prompts", metavar="FILE", help="prompts, one a line")
    generate.add_argument(
        "--length", type=int, default=DEFAULT_LENGTH, help="characters"
    )
    generate.add_argument(
        "--temperature",
        type=float,
        nargs="+",
        default=[SamplingConfig.temperature],
        metavar="T",
    )
    generate.add_argument(
        "--step",
        type=int,
        nargs="+",
        default=[None],
        metavar="S",
        help="of a run, as it was then; if absent, its kept weights",
    )
    generate.add_argument(
        "--samples", type=int, default=1, metavar="N", help="texts, each its own seed"
    )
    generate.add_argument("--seed", type=int, help="of the first; drawn if absent")
    defaults = SamplingConfig()
    generate.add_argument("--top-k", type=int, default=defaults.top_k, metavar="K")
    generate.add_argument(
        "--top-p", type=float, nargs="+", default=[defaults.top_p], metavar="P"
    )
    generate.add_argument(
        "--stop", default="", metavar="STRING", help="ends a text; \\n is a line end"
    )
    generate.add_argument(
        "--hold",
        action="append",
        default=[],
        metavar="LAYER.UNIT=VALUE",
        help="hold a unit's output while writing, up to 8 times; see inspect --units",
    )
    generate.add_argument(
        "--figures", action="store_true", help="invented words, repeats and more"
    )
    generate.add_argument("--json", action="store_true")
    generate.set_defaults(run=run_generate)


def _add_curve(commands: Any) -> None:
    curve = commands.add_parser(
        "curve", help="write from temperature 0 to 2, and count"
    )
    curve.add_argument("model", metavar="MODEL")
    curve.add_argument("--prompt", default="", help="text to go on from")
    curve.add_argument("--length", type=int, default=DEFAULT_LENGTH, help="characters")
    curve.add_argument("--seed", type=int, help="of all texts; drawn if absent")
    curve.add_argument("--json", action="store_true")
    curve.set_defaults(run=run_curve)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="score a model on a text")
    evaluate.add_argument("model", metavar="MODEL")
    _add_corpus(evaluate, required=True)
    evaluate.add_argument("--split", choices=("val", "train", "all"), default="val")
    evaluate.add_argument("--window", type=int, default=256, metavar="N")
    evaluate.add_argument(
        "--parts", action="store_true", help="what the score is made of, by place"
    )
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=run_evaluate)


def _add_inspect(commands: Any) -> None:
    inspect = commands.add_parser("inspect", help="look inside a model with a text")
    inspect.add_argument("model", metavar="MODEL")
    inspect.add_argument("--text", metavar="T", help="a text as it is")
    _add_corpus(inspect, "or one that lies here")
    inspect.add_argument("--split", choices=("val", "train", "all"), default="val")
    inspect.add_argument(
        "--characters", type=int, default=2000, metavar="N", help="of the corpus"
    )
    what = inspect.add_mutually_exclusive_group()
    what.add_argument(
        "--against", metavar="MODEL", help="another model: where the two differ"
    )
    what.add_argument(
        "--at", type=int, metavar="N", help="what was looked at for character N, from 0"
    )
    what.add_argument(
        "--reach", action="store_true", help="how far back the model looks"
    )
    what.add_argument(
        "--units", action="store_true", help="which unit follows what in the text"
    )
    inspect.add_argument(
        "--steps", action="store_true", help="of --units: how they came to be in a run"
    )
    inspect.add_argument("--json", action="store_true")
    inspect.set_defaults(run=run_inspect)


def _add_hub(commands: Any) -> None:
    push = commands.add_parser("push", help="share a model on the Hub")
    push.add_argument("model", metavar="MODEL")
    push.add_argument("repo_id", metavar="OWNER/NAME")
    push.add_argument("--public", action="store_true", help="for everybody to see")
    push.add_argument("--license", metavar="L", help="of the weights, like mit")
    push.add_argument(
        "--space", action="store_true", help="its web page, as a static Space"
    )
    push.add_argument(
        "--model-repo", metavar="OWNER/NAME", help="which model the Space links"
    )
    push.add_argument("--weights", choices=FORMATS, help="of the Space's page")
    push.add_argument("--message", metavar="M", help="of the commit")
    push.set_defaults(run=run_push)
    pull = commands.add_parser("pull", help="take a model from the Hub")
    pull.add_argument("repo", metavar="OWNER/NAME|URL|hf://...")
    pull.add_argument("--revision", metavar="R", help="branch, tag or commit")
    pull.add_argument("--id", help="name of the folder here")
    pull.set_defaults(run=run_pull)


def _add_zips(commands: Any) -> None:
    pack = commands.add_parser("pack", help="write a model or run as a zip")
    pack.add_argument("run_or_model", metavar="RUN")
    pack.add_argument("file", metavar="FILE.zip")
    pack.add_argument("--state", action="store_true", help="what training goes on from")
    pack.add_argument("--text", action="store_true", help="the text that it trains on")
    pack.set_defaults(run=run_pack)
    unpack = commands.add_parser("unpack", help="take such a zip in")
    unpack.add_argument("file", metavar="FILE.zip")
    unpack.add_argument("--id", help="name of the folder here")
    unpack.set_defaults(run=run_unpack)


def _add_web(commands: Any) -> None:
    web = commands.add_parser("web", help="write a model as one web page")
    web.add_argument("model", metavar="MODEL")
    web.add_argument("file", metavar="PAGE.html")
    web.add_argument(
        "--weights",
        choices=FORMATS,
        help="their format; if absent, the smallest that costs little",
    )
    _add_corpus(web, "its text: measure what formats cost")
    web.set_defaults(run=run_web)


def _add_runs(commands: Any) -> None:
    for name, run, text in (
        ("models", run_models, "list what text can be generated from"),
        ("runs", run_runs, "list trainings and their states"),
    ):
        listing = commands.add_parser(name, help=text)
        listing.add_argument("--json", action="store_true")
        if name == "runs":
            listing.add_argument("--sweep", metavar="ID", help="of a sweep, compared")
        listing.set_defaults(run=run)
    for name, run, text in (
        ("stop", run_stop, "end a training well"),
        ("follow", run_follow, "watch a training"),
        ("baseline", run_baseline, "score a run's text with a table of 5-grams"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("id", metavar="RUN|SWEEP" if name == "stop" else "RUN")
        one.set_defaults(run=run)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog=program(), description=charrnn.__doc__)
    top.add_argument("--version", action="version", version=charrnn.__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    page = commands.add_parser("page", help="open the web page")
    page.set_defaults(run=run_page)
    _add_train(commands)
    _add_sweep(commands)
    _add_generate(commands)
    _add_curve(commands)
    _add_evaluate(commands)
    _add_inspect(commands)
    _add_runs(commands)
    export = commands.add_parser("export", help="write a TensorFlow SavedModel")
    export.add_argument("model", metavar="MODEL")
    export.add_argument("path", metavar="PATH")
    export.set_defaults(run=run_export)
    log = commands.add_parser(
        "export-log", help="hand a run's history to a tool that follows trainings"
    )
    log.add_argument("id", metavar="RUN")
    log.add_argument("--to", choices=tuple(trackers.LIBRARIES), required=True)
    log.set_defaults(run=run_export_log)
    _add_hub(commands)
    _add_zips(commands)
    _add_web(commands)
    bench = commands.add_parser("bench", help="time this machine beside stock Keras")
    bench.add_argument("--quality", action="store_true", help="loss against seconds")
    bench.add_argument("--preset", choices=tuple(presets.PRESETS))
    bench.add_argument("--json", action="store_true")
    bench.set_defaults(run=run_bench)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    args = parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return int(args.run(args))
    except TrainingError as error:
        if not error.recorded:  # else the history's last line has shown it
            emit(f"charrnn: {error}")
        return INVALID if error.invalid else FAILED
    except CharrnnError as error:
        emit(f"charrnn: {error}")
        return INVALID
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except OSError as error:  # of a file: all else is told where it happens
        name = quoted(Path(os.fsdecode(error.filename)).name) if error.filename else ""
        reason = error.strerror or type(error).__name__
        emit(f"charrnn: {name or 'A file'} cannot be read or written ({reason}).")
        return INVALID
