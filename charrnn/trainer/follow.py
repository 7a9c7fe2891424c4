"""What the workers of a cluster do: one leads, the others follow.

Whatever one worker decided alone would part it from the others, whose collectives then
wait for each other without end. So everything that depends on a clock, a file or a
person is the chief's decision: it goes with a step, as the learning rate does and
whether the workers meet after that step. Where they meet, the carried states are
brought together, the chief plans, validates and saves as one process alone does, and
then tells whether that was the last step. Between two meetings nothing but the step
itself is exchanged.
"""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from charrnn.errors import TrainingError
from charrnn.files import redact
from charrnn.model import snapshots
from charrnn.model.record import Record
from charrnn.text.streams import Streams
from charrnn.text.vocabulary import Vocabulary
from charrnn.trainer.callbacks import Checkpointer
from charrnn.trainer.cluster import Member, Peers
from charrnn.trainer.distribute import MEETS, SharedNetwork, join, place
from charrnn.trainer.process import keep_memory
from charrnn.trainer.session import (
    Session,
    assign_state,
    begins_of,
    build_network,
    facts_of,
    parse_state,
    settled,
    state_parts,
    streams_of,
)
from charrnn.trainer.supervise import Stage

MEETING_APART: Final = 1.0  # seconds at most between two meetings of a long run
CONTEXT: Final = b"cluster"  # that a state's hash covers on its way to the others


class Lead(keras.callbacks.Callback):
    """The chief's: has the workers meet where something may have to be decided.

    Args:
        session: The chief's.
        checkpointer: What decides, validates and saves.
    """

    def __init__(self, session: Session, checkpointer: Checkpointer) -> None:
        super().__init__()
        self.session = session
        self.checkpointer = checkpointer
        self.meets = False
        self.last_met = time.monotonic()

    def set_model(self, model: SharedNetwork) -> None:
        super().set_model(model)
        self.checkpointer.set_model(model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.meets = self._may_decide(self.session.progress.step)
        self.model.decide(self.meets)

    def _may_decide(self, step: int) -> bool:
        """Whether anything may have to be planned, saved or ended after a step."""
        session, schedule = self.session, self.session.progress.schedule
        plans = session.pending_plans
        return (
            not schedule.is_complete
            or schedule.validates(step)
            or snapshots.is_due(step)
            or bool(plans and plans[0].step == step)
            or session.stop_asked()
            or time.monotonic() - self.last_met > MEETING_APART
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.meets:
            self.model.collect()
            self.checkpointer.on_train_batch_end(batch, logs)
            self.model.decide(self.model.stop_training)
            self.model.tell()
            self.last_met = time.monotonic()


class Follow(keras.callbacks.Callback):
    """Another worker's: meets the others where the chief has said so.

    Args:
        step: The last step before this training.
        steps_per_epoch: After so many, the streams begin anew.
    """

    def __init__(self, step: int, steps_per_epoch: int) -> None:
        super().__init__()
        self.step = step
        self.steps_per_epoch = steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        logs = logs or {}
        self.step += 1
        loss = np.asarray(logs["loss"]).item()
        if not math.isfinite(loss):
            raise TrainingError(f"The loss is {loss} at step {self.step}.")
        if self.step % self.steps_per_epoch == 0:
            self.model.reset_streams()
        if np.asarray(logs[MEETS]).item():
            self.model.collect()
            self.model.stop_training = self.model.tell()


def windows(streams: Streams, step: int) -> Iterator[tuple[Any, ...]]:
    """Window after window, epoch after epoch, from after a step on.

    Ids, targets and, where the text has such, where documents begin.
    """
    for index in itertools.count(step):
        place = divmod(index, streams.steps_per_epoch)
        window, begins = streams.window(*place), streams.starts(*place)
        yield window if begins is None else (*window, begins)


def dataset_of(streams: Streams, dtype: Any, step: int) -> Any:
    """The windows of a text as TensorFlow reads them, without end.

    Args:
        streams: The text.
        dtype: Of its ids.
        step: The last step before the first window.
    """
    shape = (streams.batch_size, streams.seq_length)
    spec = tf.TensorSpec(shape, dtype)
    begins = [tf.TensorSpec(shape, tf.bool)] * streams.has_documents
    dataset = tf.data.Dataset.from_generator(
        functools.partial(windows, streams, step),
        output_signature=(spec, spec, *begins),
    )
    # else the workers ask each other at each step whether there is another one
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return dataset.apply(endless).prefetch(2)


def share_state(session: Session, member: Member) -> None:
    """Give the other workers the state that the chief begins from; watch them."""
    if session.peers is not None:
        parts = state_parts(session.network, session.progress, CONTEXT)
        session.peers.send_state(parts)
        _watch(session.peers, member)


def _watch(peers: Peers, member: Member) -> None:
    peers.watch(lambda index: member.report(Stage.LOST, str(index)))


def follow(
    record: Record,
    vocabulary: Vocabulary,
    text: str,
    *,
    member: Member,
    devices: int | None = None,
) -> None:
    """Train with the chief of a cluster to the end that it tells, and keep nothing.

    Args:
        record: What is trained, as a new run's record has it.
        vocabulary: Of the text.
        text: The same as the chief's.
        member: This process.
        devices: How many here share each batch; None takes every GPU.

    Raises:
        CharrnnError: If the workers do not come or agree.
        TrainingError: If one was lost, or the training diverged.
    """
    workers = len(member.cluster.addresses)
    where, training, _ = place(
        record.training, asked=devices, begun=False, workers=workers
    )
    record = settled(dataclasses.replace(record, training=training), where)
    ids = vocabulary.encode(text)
    del text
    keep_memory()
    streams = streams_of(record, ids, begins_of(record, vocabulary, ids))
    strategy, peers = join(member, where, facts_of(record, vocabulary, where))
    network = build_network(record, strategy)
    saved = parse_state(peers.receive_state(), "the chief's state", CONTEXT)
    assign_state(network, saved)
    _watch(peers, member)
    step = saved.progress.step
    try:
        network.fit(
            dataset_of(streams, vocabulary.dtype, step),
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[Follow(step, streams.steps_per_epoch)],
        )
    except tf.errors.OpError as error:
        lost = peers.is_broken()
        message = peers.sentence() if lost else redact(f"The training failed: {error}")
        raise TrainingError(message[:500]) from error
    peers.leave()
