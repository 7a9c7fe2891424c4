"""Train a run's folder: `model.fit` with the callbacks that record and save.

The folder holds all that is needed (`charrnn.runs.control.create` writes it): the
text, the settings and, when the run was begun before, the whole state. Keras' `fit`
sees one long sequence of windows as a single epoch; ours are counted by the schedule,
since a resumed run begins in the middle of one. After each step, in this order: the
history is appended, the state is saved, the best weights are written. Whenever the
process is killed, the state on disk leads to the same numbers again.
"""

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import tensorflow as tf

from charrnn import card
from charrnn.errors import (
    CharrnnError,
    CheckpointError,
    ConfigError,
    RunError,
    TrainingError,
)
from charrnn.files import redact, write_file
from charrnn.model import calibration, checkpoint, scores, snapshots
from charrnn.model.calibration import LogitScale
from charrnn.model.network import Ids
from charrnn.model.record import Figures
from charrnn.model.scores import WINDOW
from charrnn.runs import events, store
from charrnn.runs.events import Event, EventLog
from charrnn.runs.figures import training_part
from charrnn.runs.history import read_view
from charrnn.runs.states import EndReason
from charrnn.runs.view import damage_notices
from charrnn.text import words
from charrnn.trainer.callbacks import (
    Checkpointer,
    LossRecorder,
    Pacer,
    write_sample,
)
from charrnn.trainer.cluster import Member
from charrnn.trainer.follow import Lead, dataset_of, share_state
from charrnn.trainer.session import (
    VALIDATION_LIMIT,
    Session,
    keep_aside,
    open_session,
    update_figures,
)
from charrnn.web.weights import measure_costs

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
EXACT_OPERATIONS: Final = 8e11  # weights times characters of the final exact pass
COST_OPERATIONS: Final = 1e10  # likewise, of measuring what a smaller format costs


def _announce(session: Session) -> None:
    progress, log = session.progress, session.log
    view = read_view(session.folder)
    if view.started is not None or view.step:  # its `started` line may be damaged
        # events after the saved state's step are taken back and will come again
        log.append(events.Resumed(step=progress.step))
        snapshots.remove_beyond(session.folder, progress.step)
    log.append(
        events.Started(
            step=progress.step,
            planned_steps=progress.schedule.planned_steps,
            steps_per_epoch=session.streams.steps_per_epoch,
            parameters=session.record.model.num_parameters(),
            pid=os.getpid(),
        )
    )
    session.begun = time.monotonic()  # the minutes count from here
    session.notices += damage_notices(view.damaged)
    if session.record.machine is not None and session.record.machine.devices == 1:
        for device in tf.config.list_physical_devices("GPU")[:1]:
            session.notices.append(f"Training on a GPU: {device.name}.")
    for notice in session.notices:
        log.append(events.Notice(step=progress.step, message=notice))


def _format_costs(session: Session, model: checkpoint.Model) -> dict[str, float]:
    """What smaller formats of the weights lose; nothing where one cannot hold them."""
    parameters = session.record.model.num_parameters()
    limit = 1 + int(max(WINDOW, COST_OPERATIONS / parameters))
    try:
        costs = measure_costs(model, session.validation[:limit])
    except ConfigError:
        return {}
    return {"float16_cost": costs["float16"], "int8_cost": costs["int8"]}


def _kept_model(session: Session) -> checkpoint.Model:
    """The kept weights as they were trained, though they may have been published."""
    model = checkpoint.load(session.folder)
    figures = model.record.figures
    if figures is None or figures.logit_scale is None:
        return model
    aside = session.folder / store.STATE / store.BEST_FILE
    weights = calibration.unscaled(model.weights, figures)
    if aside.is_file():
        config = model.record.model
        weights, _ = checkpoint.load_weights(session.folder, config, path=aside)
    return dataclasses.replace(model, weights=weights)


def _score(
    session: Session, model: checkpoint.Model, fitted: LogitScale | None
) -> Figures:
    """The figures of the published weights, exact and rounded."""
    known, total = model.record.figures, session.progress.step
    ids = _scored_part(session)
    result = scores.evaluate(
        model,
        ids,
        codes=session.codes[: len(ids)],
        cold_factors=None if fitted is None else fitted.cross_fitted(len(ids) - 1),
    )
    partial = result.characters < len(session.validation) - 1
    return Figures(
        val_loss=result.nats_per_char,
        cold256_val_loss=result.cold_nats_per_char,
        val_characters=result.characters if partial else None,
        logit_scale=None if fitted is None else fitted.whole,
        kept_step=known.kept_step if known else total,
        total_steps=total,
        seconds=round(session.progress.seconds, 1),  # to the last update
        parts=result.parts,
        reliability=result.reliability,
        **_format_costs(session, model),
    )


def _scored_part(session: Session) -> Ids:
    """The validation part, as far as the exact pass covers it."""
    parameters = session.record.model.num_parameters()
    limit = int(min(VALIDATION_LIMIT, EXACT_OPERATIONS / parameters))
    return session.validation[: limit + 1]


def _finish(session: Session) -> None:
    """Scale the kept weights' logits, score them, and write the card."""
    model = _kept_model(session)
    fitted = calibration.fit(model, _scored_part(session))
    if fitted is not None:
        weights = calibration.scaled(model.weights, fitted.whole)
        model = dataclasses.replace(model, weights=weights)
    figures = _score(session, model, fitted)
    if fitted is not None:
        keep_aside(session)
    checkpoint.save_weights(session.folder, session.record.model, model.weights)
    update_figures(session, figures)
    if fitted is not None:  # the film ends with what the published weights write
        write_sample(session, model.weights, figures.kept_step)
    card.write_card(session.folder)


def _keep_words(session: Session) -> None:
    """Write the words of the text that trained beside the model."""
    source = session.folder / store.STATE / store.CORPUS_FILE
    part = training_part(source, session.record.corpus.split)
    if words.has_words(part):
        write_file(session.folder / store.WORDS_FILE, words.listed(part).encode())


def fit(session: Session) -> EndReason:
    """Train to the planned end, a stop or an early end; returns which."""
    progress = session.progress
    if progress.schedule.is_complete and progress.step >= (
        progress.schedule.planned_steps or 0
    ):
        return EndReason.FINISHED  # killed between the last step and the last line
    patience = session.record.training.early_stopping
    if patience and progress.worse >= patience:
        return EndReason.EARLY  # likewise
    recorder = LossRecorder(session)
    last: Any = Checkpointer(session, recorder)
    if session.peers is not None:
        last = Lead(session, last)
    session.network.fit(
        dataset_of(session.streams, session.vocabulary.dtype, progress.step),
        epochs=1,
        shuffle=False,
        verbose=0,
        callbacks=[Pacer(session), recorder, last],
    )
    recorder.flush(time.monotonic())
    return session.outcome or EndReason.FINISHED


def _catch_signals(session: Session) -> Callable[[], None]:
    """Let Ctrl-C and SIGTERM end the run as Stop does.

    Returns:
        A function that brings the former handlers back.
    """

    def ask(number: int, frame: Any) -> None:
        del frame
        session.interrupted = True
        os.write(2, b"\nending after this step, validated and saved; once more: now\n")
        signal.signal(number, signal.default_int_handler)

    numbers: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():
        numbers = ()  # only the main thread may; others have the stop file
    previous = {number: signal.signal(number, ask) for number in numbers}

    def restore_handlers() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    return restore_handlers


def _work(session: Session) -> EndReason:
    restore_handlers = _catch_signals(session)
    try:
        _announce(session)
        reason = fit(session)
        _finish(session)
        _keep_words(session)
    finally:
        restore_handlers()
    (session.folder / store.STOP).unlink(missing_ok=True)
    session.log.append(
        events.Ended(
            step=session.progress.step,
            reason=reason,
            writing_seconds=round(session.writing, 3),
        )
    )
    return reason


def train(
    folder: Path,
    *,
    listener: Callable[[Event], None] | None = None,
    devices: int | None = None,
    member: Member | None = None,
) -> EndReason:
    """Train a run's folder in this process, alone with it.

    The caller has waited for its turn (`charrnn.runs.queue.turn`) and holds the
    folder (`charrnn.runs.store.hold`).

    Args:
        folder: As `charrnn.runs.control.create` writes it.
        listener: Called with each event after it is written.
        devices: How many here share each batch; None takes every GPU.
        member: This process as the chief of a cluster; None: it is alone.

    Returns:
        Why it ended.

    Raises:
        TrainingError: If the run could not go on; the history says why.
        KeyboardInterrupt: If Ctrl-C ended it, after everything is saved.
    """
    log = EventLog(folder, listener=listener)
    session = None
    try:
        session = open_session(folder, log, devices=devices, member=member)
        if member is not None:
            share_state(session, member)
        reason = _work(session)
    except (CharrnnError, MemoryError, OSError, tf.errors.OpError) as error:
        message = _explain(error, session)
        recorded = _record_failure(log, session, message)
        invalid = session is None and isinstance(error, ConfigError | RunError)
        raise TrainingError(message, recorded=recorded, invalid=invalid) from error
    except KeyboardInterrupt:
        if session is None:
            log.append(events.Ended(step=0, reason=EndReason.STOPPED))
        else:
            _record_failure(log, session, "Interrupted before it was saved: resume.")
        raise
    if session.peers is not None:
        session.peers.wait_until_left()
    if session.interrupted:
        raise KeyboardInterrupt
    return reason


def _explain(error: BaseException, session: Session | None) -> str:
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return (
            "The memory ran out: reduce rnn_units, batch_size or seq_length, "
            "then start anew."
        )
    if isinstance(error, CharrnnError):
        return str(error)
    peers = None if session is None else session.peers
    if peers is not None and peers.is_broken():
        return peers.sentence()
    return redact(f"The training failed: {type(error).__name__}: {error}")[:500]


def _record_failure(log: EventLog, session: Session | None, message: str) -> bool:
    """Whether it could be recorded: a full disk is what a message may be about."""
    step = 0 if session is None else session.progress.step
    with contextlib.suppress(CheckpointError):
        log.append(events.Failed(step=step, message=message))
        return True
    return False
