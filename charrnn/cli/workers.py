"""`train` as one of several workers: a parent, and the process that it watches.

The parent starts the same command anew with `--report`, as the process that trains.
"""

import argparse
import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from charrnn.cli.output import emit
from charrnn.errors import CharrnnError, ConfigError, RunError, TrainingError
from charrnn.files import quoted
from charrnn.machine import NEEDED_TO_TRAIN, child_environment
from charrnn.model import checkpoint
from charrnn.model.record import Record
from charrnn.runs import control, store
from charrnn.runs.events import EventLog, Failed
from charrnn.runs.history import read_view
from charrnn.runs.preparation import Prepared
from charrnn.runs.states import LIVE
from charrnn.text import corpus
from charrnn.text.vocabulary import Vocabulary
from charrnn.trainer.cluster import Cluster, Member, find_cluster
from charrnn.trainer.process import quiet_start
from charrnn.trainer.supervise import (
    ENDED,
    UNCONNECTED,
    Outcome,
    Report,
    Stage,
    end_with_parent,
    supervise,
)

FINE, FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130
COMMAND: Final = ("-m", "charrnn")


def cluster_of(args: argparse.Namespace) -> Cluster | None:
    """The workers that `train` names, or the environment; None where it is alone."""
    return None if args.background else find_cluster(args.workers, args.worker)


def member_of(args: argparse.Namespace, cluster: Cluster) -> Member:
    """This process, which its parent watches, as a worker."""
    end_with_parent()
    return Member(cluster, Report(args.report), args.wait)


def run_watched(args: argparse.Namespace, cluster: Cluster) -> int:
    """Run the worker in a process of its own; returns the exit code."""
    environment = child_environment(*NEEDED_TO_TRAIN)
    paths = [str(store.PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    outcome = supervise(
        lambda descriptor: (*COMMAND, *args.arguments, f"--report={descriptor}"),
        environment=environment,
        leaves=None if cluster.is_chief else _say_where_it_ends,
    )
    return _code_of(outcome, cluster)


def _say_where_it_ends() -> None:
    emit("the training ends where worker 0 runs; once more: this worker leaves it")


def _code_of(outcome: Outcome, cluster: Cluster) -> int:
    """The exit code of a worker's end, which is told where the worker could not."""
    if Stage.DONE in outcome.details:
        return int(outcome.details[Stage.DONE])
    if outcome.interrupted and outcome.code < 0:
        return INTERRUPTED
    if not outcome.overdue and outcome.code >= 0:
        return outcome.code
    code, message = FAILED, ENDED
    if outcome.stage is Stage.CONNECTING:
        code, message = INVALID, UNCONNECTED
    elif outcome.stage is Stage.LOST:
        message = cluster.lost(int(outcome.details[Stage.LOST]))
    if Stage.PREPARING in outcome.details:
        _record_failure(Path(json.loads(outcome.details[Stage.PREPARING])), message)
    emit(f"charrnn: {message}")
    return code


def _record_failure(path: Path, message: str) -> None:
    with contextlib.suppress(CharrnnError):
        view = read_view(path)
        if view.state in LIVE:
            EventLog(path).append(Failed(step=view.step, message=message))


@contextlib.contextmanager
def reported(member: Member | None) -> Iterator[None]:
    """Tell the parent the exit code as soon as it is known.

    What TensorFlow still does until the process ends changes nothing then.
    """
    code = FAILED
    try:
        yield
        code = FINE
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    except CharrnnError as error:
        failed = isinstance(error, TrainingError) and not error.invalid
        code = FAILED if failed else INVALID
        raise
    finally:
        if member is not None:
            member.report(Stage.DONE, str(code))


def run_follower(
    args: argparse.Namespace, member: Member, prepare: Callable[[], Prepared]
) -> int:
    """Train with worker 0, whose run it is, and keep nothing here.

    Args:
        args: Of `train`.
        member: This process.
        prepare: Gives the text and settings where no run is named.
    """
    if args.resume:
        record, vocabulary, text = _resumed(args)
    else:
        prepared = prepare()
        record, vocabulary = control.new_record(prepared), prepared.vocabulary
        text = prepared.corpus.text
    emit(
        f"{member.cluster.named(member.cluster.index)}: trains with "
        f"{member.cluster.named(0)}, which keeps the run and tells how it goes"
    )
    with quiet_start():
        from charrnn.trainer import follow
    follow.follow(record, vocabulary, text, member=member, devices=args.devices)
    return FINE


def _resumed(args: argparse.Namespace) -> tuple[Record, Vocabulary, str]:
    """The run of a disk that the workers share, read only."""
    try:
        path = store.check_own_run(store.resolve(args.resume))
    except RunError as error:
        raise ConfigError(
            f"The run {quoted(args.resume)} is not here: give this worker the --corpus "
            "and the settings that it was begun with; only worker 0 needs --resume."
        ) from error
    record = checkpoint.read_record(path)
    vocabulary = checkpoint.read_vocabulary(path, record)
    kept = path / store.STATE / store.CORPUS_FILE
    return record, vocabulary, corpus.read_clean(kept, record.corpus.sha256)
