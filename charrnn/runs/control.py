"""Start, stop, resume, change and remove runs: what a page or a terminal asks for."""

import dataclasses
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import charrnn
from charrnn.errors import CheckpointError, RunError
from charrnn.files import escaped, is_there, one_line, write_file
from charrnn.hosting import policy
from charrnn.machine import NEEDED_TO_TRAIN, child_environment, program
from charrnn.model import calibration, checkpoint, growing
from charrnn.model.checkpoint import Weights
from charrnn.model.record import CorpusRecord, Parent, Record, SweepRecord
from charrnn.runs.events import MAX_FACTOR, MIN_FACTOR, EventLog, Notice, Queued
from charrnn.runs.history import read_view
from charrnn.runs.leftovers import discard, remove_leftovers
from charrnn.runs.owner import Owner, save
from charrnn.runs.preparation import Prepared, check_memory, limit_minutes, prepare
from charrnn.runs.queue import accepting, is_waiting_or_running
from charrnn.runs.states import COMPLETE, LIVE, RunState
from charrnn.runs.status import Status, read_status, status_of
from charrnn.runs.store import (
    CORPUS_FILE,
    LEARNING_RATE,
    PACKAGE_ROOT,
    STATE,
    STATE_FILE,
    STOP,
    UNWANTED,
    folder,
    hosted_id,
    is_alive,
    new_folder,
    own_model,
    own_run,
    slug,
)
from charrnn.text.corpus import Corpus
from charrnn.text.named import UNNAMED, named_key
from charrnn.text.vocabulary import count_characters


def create(
    prepared: Prepared,
    *,
    title: str = "",
    model_id: str | None = None,
    owner: Owner | None = None,
    sweep: SweepRecord | None = None,
) -> Path:
    """Write a run's folder, whole or not at all, before anything is trained.

    Args:
        prepared: What `prepare` settled.
        title: What people see; the text's name and preset if empty.
        model_id: The id to take; None takes a free slug of the title, or
            one that nobody can guess where the policy wants that.
        owner: Whose key shall open it on a hosted page.
        sweep: Which run of a sweep it is.

    Returns:
        The folder; its name is the run's id.

    Raises:
        CharrnnError: If the id is taken or the folder cannot be written.
    """
    record = new_record(prepared, title=title, sweep=sweep)
    if model_id is None and policy().secret_ids:
        model_id = hosted_id()  # nobody finds, or is told of, another's run
    remove_leftovers(folder())  # they would hold ids
    wanted = model_id or slug(record.title)
    path = new_folder(folder(), wanted, exact=model_id is not None)
    try:
        _write_run(path, prepared, record, owner)
    except BaseException:  # Ctrl-C too: half a run is no run, and holds the id
        shutil.rmtree(path, ignore_errors=True)
        raise
    return path


def new_record(
    prepared: Prepared, *, title: str = "", sweep: SweepRecord | None = None
) -> Record:
    """What the folder of a new run says of it.

    Args:
        prepared: What `prepare` settled.
        title: What people see; the text's name and preset if empty.
        sweep: Which run of a sweep it is.
    """
    corpus, training = prepared.corpus, prepared.training
    called = named_key(corpus.name, corpus.sha256) or corpus.name
    return Record(
        title=one_line(title) or f"{called[:80]} {training.preset}",
        model=prepared.model,
        training=training,
        corpus=CorpusRecord(
            name=one_line(corpus.name) or UNNAMED,
            characters=len(corpus.text),
            distinct=len(count_characters(corpus.text)),
            sha256=corpus.sha256,
            texts=corpus.texts,
            parts=corpus.parts,
            separator=escaped(corpus.separator),
            documents=corpus.documents,
            source=corpus.source,
            split=prepared.split,
        ),
        versions={"charrnn": charrnn.__version__},
        sweep=sweep,
    )


def _write_run(
    path: Path,
    prepared: Prepared,
    record: Record,
    owner: Owner | None,
) -> None:
    try:
        (path / STATE).mkdir()
    except OSError as error:
        raise CheckpointError(
            f"{path.name}/{STATE} cannot be written ({error.strerror})."
        ) from error
    if owner is not None:
        save(path, owner)
    data = prepared.corpus.text.encode()
    write_file(path / STATE / CORPUS_FILE, data)
    checkpoint.save_vocabulary(path, prepared.vocabulary)
    if prepared.init is not None:
        weights, parent = _inherited(prepared, prepared.init)
        checkpoint.save_weights(path, record.model, weights)
        record = dataclasses.replace(record, parent=parent)
    log = EventLog(path)
    for notice in prepared.notices:
        log.append(Notice(step=0, message=notice))
    log.append(Queued(step=0, position=0))
    checkpoint.save_record(path, record)  # the last: now it is a run


def _inherited(prepared: Prepared, init: Path) -> tuple[Weights, Parent]:
    """The weights of the model to begin from, for the new vocabulary, and its name."""
    parent = checkpoint.load(init)
    weights = growing.grow(
        calibration.unscaled(parent.weights, parent.record.figures),
        parent.record.model,
        parent.vocabulary,
        prepared.vocabulary,
        seed=prepared.training.seed,
    )
    return weights, Parent(
        title=parent.record.title,
        weights=parent.weights_hash,
        new_characters=len(prepared.vocabulary) - len(parent.vocabulary),
        origin=parent.record.origin,
    )


def spawn(path: Path) -> int:
    """Start a trainer process for a run's folder; returns its process id.

    It leads a session of its own, so it outlives whoever started it.
    """
    return _detach(path, ["train", f"--resume={path.name}", "--background"])


def start_baseline(path: Path) -> None:
    """Have a process of lowest priority find the loss of a table of n-grams."""
    _detach(path, ["baseline", "--", path.name])


def _detach(path: Path, arguments: list[str]) -> int:
    """Run a command of ours on a folder, in a session of its own."""
    environment = child_environment(*NEEDED_TO_TRAIN)  # nobody's secrets
    environment["CHARRNN_CHECKPOINTS"] = str(path.parent.resolve())
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
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
    owner: Owner | None = None,
) -> str:
    """Write a run and start its trainer; returns the run's id.

    Raises:
        CharrnnError: As `prepare`, `accepting` and `create`.
    """
    prepared = prepare(corpus, preset=preset, settings=settings, init=init)
    with accepting(owner):
        path = create(prepared, title=title, model_id=model_id, owner=owner)
    spawn(path)
    return path.name


def resume(
    run_id: str, *, more_epochs: int | None = None, owner: Owner | None = None
) -> None:
    """Go on with a run that stopped or died, in a process of its own.

    Args:
        run_id: The run.
        more_epochs: How many more it shall have.
        owner: Who asks, with the run's key, where each visitor has limits.

    Raises:
        RunError: If it is being trained, or is finished and no more epochs
            are asked for, or `accepting` lets nothing in.
    """
    path = own_run(run_id)
    with accepting(owner, again=path):
        request_resume(path, more_epochs=more_epochs)
        if owner is not None:
            save(path, owner)  # it counts for the visitor who has it go on
        EventLog(path).append(Queued(step=read_view(path).step, position=0))
    spawn(path)


def can_go_on(path: Path, record: Record) -> bool:
    """Whether a run has what its training needs to go on.

    One that has been validated has a saved state, unless it was packed without.
    """
    return record.figures is None or is_there(path / STATE / STATE_FILE)


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
    if not can_go_on(path, record):
        raise RunError(
            f"{path.name} has no saved state to go on from, as when it was packed "
            "without: train a new run from its weights with `--init`."
        )
    check_memory(record.model, record.training, record.corpus.characters)
    for name in (STOP, LEARNING_RATE):
        _remove(path / name)
    if more_epochs is not None:
        _extend(path, more_epochs)
    elif read_view(path).state in COMPLETE:
        raise RunError(
            f"{path.name} has finished: continue it with a number of epochs "
            f"(`{program()} train --resume {path.name} --epochs 5`)."
        )


def _remove(path: Path) -> None:
    """Remove a file that asks something of a trainer, if it is there.

    Raises:
        RunError: If it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"{path.parent.name} cannot be changed ({error.strerror}): its folder must "
            "be writable for a training to go on in it."
        ) from error


def _extend(path: Path, more_epochs: int) -> None:
    record = checkpoint.read_record(path)
    view = read_view(path)
    per_epoch = view.steps_per_epoch  # 0 where the line that tells it is damaged
    done = view.step / per_epoch if per_epoch else view.epoch
    training = dataclasses.replace(
        record.training, epochs=math.ceil(done + more_epochs), minutes=None
    )
    training, notices = limit_minutes(training)
    checkpoint.save_record(path, dataclasses.replace(record, training=training))
    for notice in notices:
        EventLog(path).append(Notice(step=view.step, message=notice))


def continue_for(run_id: str, epochs: int, *, owner: Owner | None = None) -> None:
    """Train a run for some more epochs.

    Raises:
        RunError: As `resume`.
    """
    resume(run_id, more_epochs=epochs, owner=owner)


def _check_live(status: Status, otherwise: str) -> None:
    if status.state is RunState.UNREADABLE:
        raise RunError(status.message)
    if status.state not in LIVE:
        raise RunError(f"{status.run_id} is not being trained: {otherwise}.")


def stop(run_id: str) -> None:
    """Ask a run to finish its step, validate, save and end.

    Raises:
        RunError: If it is not being trained.
    """
    ask_to_stop(own_run(run_id))


def ask_to_stop(path: Path) -> None:
    """The same for a run's folder, wherever it lies.

    Raises:
        RunError: As `stop`.
    """
    _check_live(status_of(path), "there is nothing to stop")
    write_file(path / STOP, b"")


def set_learning_rate_factor(run_id: str, factor: float) -> None:
    """Multiply a living run's learning rate from its next step on.

    Raises:
        RunError: If the factor is not from 0.01 to 100.
    """
    path = own_run(run_id)
    if not MIN_FACTOR <= factor <= MAX_FACTOR:  # NaN neither
        raise RunError(
            f"The factor is {factor}: expected a number from {MIN_FACTOR:g} to "
            f"{MAX_FACTOR:g}."
        )
    _check_live(read_status(run_id), "its learning rate rests")
    write_file(path / LEARNING_RATE, repr(float(factor)).encode())


def rename(run_id: str, title: str) -> None:
    """Change a model's title; its id stays.

    Raises:
        RunError: If the title is empty or the model is a shipped one.
    """
    path = own_model(run_id)
    title = one_line(title)
    if not title:
        raise RunError("The title is empty: give it at least one character.")
    record = checkpoint.read_record(path)
    checkpoint.save_record(path, dataclasses.replace(record, title=title))


def delete(run_id: str) -> None:
    """Remove a model or run for good.

    Raises:
        RunError: If it is being trained, is a shipped one, or is locked by
            the file system.
    """
    path = own_model(run_id)
    if is_alive(path):
        raise RunError(f"{run_id} is being trained: stop it first.")
    try:
        discard(path)
    except OSError as error:
        raise RunError(f"{run_id} cannot be deleted ({error.strerror}).") from error


def give_up(run_id: str) -> bool:
    """Have a run's folder removed, at once or as soon as its trainer has ended.

    Returns:
        Whether it is gone now; else the sweeper of a hosted page removes it.

    Raises:
        RunError: As `delete`, but that the run may be training.
    """
    path = own_model(run_id)
    if is_waiting_or_running(path):
        write_file(path / STATE / UNWANTED, b"")
        write_file(path / STOP, b"")
        return False
    delete(run_id)
    return True
