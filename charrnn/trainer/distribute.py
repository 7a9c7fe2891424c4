"""One run on several devices: each step's batch is shared equally among them.

Every device has a copy of the weights and reads its own streams of the batch. In each
step the gradients are averaged over all devices and only then clipped: clipped device
by device they would be others. So the losses, weights, averages and carried states are
those of one device with the whole batch, up to rounding. TensorFlow's `tf.distribute`
does the transport.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import ConfigError
from charrnn.trainer.cluster import Facts, Member, Peers, meet
from charrnn.trainer.network import RESET_EVERY, KerasNetwork, States, cross_entropy
from charrnn.trainer.supervise import Stage

MEETS: Final = "meets"  # in a step's logs: whether the workers meet after it


@dataclass(frozen=True)
class Placement:
    """Where a run's batches are worked on.

    Args:
        names: The devices here that share a batch; empty: one, which TensorFlow
            chooses.
        workers: How many processes share it, each with as many devices.
    """

    names: tuple[str, ...] = ()
    workers: int = 1

    @property
    def devices(self) -> int:
        """How many share a batch, of all workers."""
        return max(1, len(self.names)) * self.workers


def find_devices(asked: int | None, *, alone: bool = True) -> list[str]:
    """The devices here that a run shall use; none where one is enough.

    Args:
        asked: How many; None takes every GPU.
        alone: Whether no other process shares the batch. If one does, nothing may
            start TensorFlow's runtime yet, and the processor is one device.

    Raises:
        ConfigError: If there are not so many.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if asked is None and len(gpus) < 2:
        return []
    kind = "GPU" if gpus else "CPU"
    listed = (
        tf.config.list_logical_devices if alone else tf.config.list_physical_devices
    )
    found = [device.name for device in listed(kind)]
    count = len(found) if asked is None else asked
    if not 1 <= count <= len(found):
        raise ConfigError(
            f"{count} devices were asked for: expected 1 to {len(found)}, since this "
            f"machine has {len(found)} that TensorFlow trains on ({kind})."
        )
    return found[:count] if count > 1 else []


def place(
    training: TrainingConfig, *, asked: int | None, begun: bool, workers: int = 1
) -> tuple[Placement, TrainingConfig, list[str]]:
    """Choose the devices of a run, and make its streams ones that they can share.

    Args:
        training: The settings.
        asked: How many devices here; None takes every GPU.
        begun: Whether there is a saved state, whose number of streams holds.
        workers: How many processes share a batch, each with as many devices.

    Returns:
        The placement, the settings that it trains with, notices.

    Raises:
        ConfigError: If there are not so many devices, or they cannot share the
            streams of a run that has begun.
    """
    if asked is None and training.scheduled_sampling:
        asked = 1
    names = find_devices(asked, alone=workers == 1)
    if begun and asked is None and workers == 1:  # as many as can share what holds
        while training.batch_size % max(1, len(names)):
            names.pop()
    where = Placement(tuple(names), workers)
    if where.devices == 1:
        return Placement(), training, []
    training, notices = share_streams(training, where.devices, begun=begun)
    return where, training, notices


@functools.cache  # a process may have one: another's collectives clash with its own
def mirrored(names: tuple[str, ...]) -> Any:
    """TensorFlow's strategy for several devices of this machine."""
    return tf.distribute.MirroredStrategy(names)


def join(member: Member, where: Placement, facts: Facts) -> tuple[Any, Peers]:
    """Meet the other workers, then have TensorFlow connect them.

    Args:
        member: This worker.
        where: The devices here.
        facts: What it would train, which all have to agree about.

    Returns:
        TensorFlow's strategy, and the connections to the others.

    Raises:
        CharrnnError: As `cluster.meet`.
    """
    peers = meet(member.cluster, facts, seconds=member.seconds)
    member.report(Stage.CONNECTING)  # from here on it may not return
    os.environ["TF_CONFIG"] = member.cluster.to_tf_config()
    gpus = tf.config.list_physical_devices("GPU")
    tf.config.set_visible_devices(gpus[: max(1, len(where.names))], "GPU")
    # rings add up in one order, so that what is done again gives the same bits
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.AUTO if gpus else kinds.RING
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    member.report(Stage.TRAINING)
    return strategy, peers


def share_streams(
    training: TrainingConfig, devices: int, *, begun: bool
) -> tuple[TrainingConfig, list[str]]:
    """Round the streams down to a number that so many devices share equally.

    Args:
        training: The settings.
        devices: How many share a batch.
        begun: Whether there is a saved state, whose number of streams holds.

    Returns:
        The settings to train with, notices.

    Raises:
        ConfigError: If there are fewer streams than devices, the run has begun with
            a number that they cannot share, or it reads its own characters.
    """
    if training.scheduled_sampling:
        raise ConfigError(
            f"scheduled_sampling is {training.scheduled_sampling:g}: one device draws "
            "what it asks for, not several. Train on one device, or set it to 0.",
            field="scheduled_sampling",
        )
    streams = training.batch_size
    each, rest = divmod(streams, devices)
    if each == 0 or (begun and rest):
        fitting = [n for n in range(1, streams + 1) if streams % n == 0]
        raise ConfigError(
            f"{streams} streams (batch_size) cannot be shared equally among {devices} "
            f"devices: use {' or '.join(map(str, fitting))}."
        )
    notices = [f"Training on {devices} devices, {each} streams each."]
    if rest:
        notices.append(
            f"{streams} streams cannot be shared equally among {devices} devices: the "
            f"text is read as {each * devices}."
        )
    return dataclasses.replace(training, batch_size=each * devices), notices


class ReducedAdamW(keras.optimizers.AdamW):
    """AdamW for gradients that are the same on every device already.

    Keras' own would add them up over the devices.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return list(grads_and_vars)


def _of_first(values: Sequence[Any]) -> list[Any]:
    """Numbers as the first device of all has them, on every device."""
    context = tf.distribute.get_replica_context()
    first = tf.cast(tf.equal(context.replica_id_in_sync_group, 0), tf.float32)
    own = [first * tf.convert_to_tensor(value) for value in values]
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, own))


class SharedRows:
    """A carried state of every stream of the batch, whichever device has its row.

    Reads and writes as a variable of shape ``(B, H)`` does.

    Args:
        network: Whose state it is.
        index: Which of its states, layer by layer.
    """

    def __init__(self, network: "SharedNetwork", index: int) -> None:
        self.network = network
        self.index = index
        rows, units = network.own_variables()[index].shape
        self.shape = (rows * network.devices, units)

    def numpy(self) -> Any:
        """All rows in their order; of several workers, as they were collected last."""
        return self.network.rows_of(self.index)

    def assign(self, values: Any) -> None:
        """Set all rows, ``(B, H)``; each device keeps its own."""
        self.network.set_rows(self.index, np.asarray(values))


class SharedNetwork(KerasNetwork):
    """The network of a configuration on several devices; make it in their scope.

    Where they belong to several workers, each step carries what the first one, the
    chief, decides: the learning rate, and whether the workers meet after the step.

    Attributes:
        clipnorm: Bound of the global norm of a batch's gradients; 0: none. The
            optimiser has none: what it would clip is reduced after that.
        worker: Which of the workers this is, from 0.
        is_clustered: Whether there are several.
    """

    def __init__(self, config: ModelConfig, **settings: Any) -> None:
        super().__init__(config, **settings)
        self.clipnorm = 0.0
        self.strategy = tf.distribute.get_strategy()
        self.devices = self.strategy.num_replicas_in_sync
        resolver = self.strategy.cluster_resolver
        self.worker = resolver.task_id if resolver else 0
        self.is_clustered = bool(resolver)
        self._rows = np.zeros(0, np.float32)  # (B, states, H), as collected last
        self._gather = tf.function(self._gather_rows)
        self._tell = tf.function(self._tell_all)

    def start_training(self, batch_size: int) -> None:
        """Make the variables of training: carried states, zero, and the average.

        Args:
            batch_size: Streams of the whole batch.
        """
        shape = (batch_size // self.devices, self.config.rnn_units)
        self.carried = [
            [self._own_variable(shape, f"carried_{i}_{j}") for j in range(count)]
            for i, count in enumerate([self.config.num_states] * self.config.num_layers)
        ]
        states = self.config.num_layers * self.config.num_states
        self._rows = np.zeros((batch_size, states, shape[1]), np.float32)
        self.decision = self._own_variable((), "decision")
        self.averages = [
            tf.Variable(
                variable.value,
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name=f"average_{i}",
            )
            for i, variable in enumerate(self.trainable_variables)
        ]

    def _own_variable(self, shape: Sequence[int], name: str) -> Any:
        """A variable of which each device has a value of its own."""
        return tf.Variable(
            tf.zeros(shape),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.NONE,
            name=name,
        )

    def own_variables(self) -> list[Any]:
        """The carried states, layer by layer, each device with its rows."""
        return [variable for layer in self.carried for variable in layer]

    def carried_variables(self) -> list[Any]:
        """The carried states of the whole batch, layer by layer."""
        return [SharedRows(self, i) for i in range(len(self.own_variables()))]

    def reset_streams(self) -> None:
        """Set the carried states to zero, as at the start of an epoch."""
        for rows in self.carried_variables():
            rows.assign(np.zeros(rows.shape, np.float32))

    def rows_of(self, index: int) -> Any:
        """All rows of a carried state, see `SharedRows`."""
        if not self.is_clustered:
            self.collect()
        return np.ascontiguousarray(self._rows[:, index])

    def set_rows(self, index: int, values: Any) -> None:
        """Set all rows of a carried state; each device keeps its own."""
        self._rows[:, index] = values
        local = self.strategy.experimental_local_results(self.own_variables()[index])
        for place, variable in enumerate(local, self.worker * len(local)):
            size = variable.shape[0]
            variable.assign(values[place * size : (place + 1) * size])

    def collect(self) -> None:
        """Bring the rows of all devices together; every worker calls it at one step."""
        gathered = self.strategy.experimental_local_results(self._gather())
        self._rows = gathered[0].numpy().copy()

    def _gather_rows(self) -> Any:
        def own() -> Any:
            rows = tf.stack(self.own_variables(), axis=1)  # (B / devices, states, H)
            return tf.distribute.get_replica_context().all_gather(rows, axis=0)

        return self.strategy.run(own)

    def decide(self, value: bool) -> None:
        """Set what the chief decides; of another worker it counts for nothing."""
        local = self.strategy.experimental_local_results(self.decision)
        for variable in local:
            variable.assign(float(value))

    def tell(self) -> bool:
        """What the chief has decided; every worker calls it at one step."""
        return bool(self.strategy.experimental_local_results(self._tell())[0])

    def _tell_all(self) -> Any:
        return self.strategy.run(lambda: _of_first([self.decision])[0])

    def _window_states(self) -> States:
        """The states that a window starts from, as if one device had all streams."""
        rows = self.carried[0][0].shape[0]
        context = tf.distribute.get_replica_context()
        turn = (
            tf.cast(context.replica_id_in_sync_group, tf.int32) * rows
            + tf.range(rows)
            + tf.cast(self.optimizer.iterations, tf.int32)
        )
        keep = tf.cast(turn % RESET_EVERY != 0, tf.float32)[:, None]  # (rows, 1)
        return [[keep * state for state in layer] for layer in self.carried]

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Nothing: all is built. Keras would fail on batches of several devices."""

    def train_step(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """One update on one window of every stream, this device's rows of them.

        Returns the whole batch's loss in shape ``(1,)``, which is what Keras reduces
        over several devices; of several workers also whether they meet after the step.
        """
        ids, targets, *rest = data
        begins = rest[0] if rest else None  # where documents do
        meets = self._obey() if self.is_clustered else {}
        with tf.GradientTape() as tape:
            logits, states = self(
                ids, states=self._window_states(), training=True, begins=begins
            )
            loss = tf.reduce_mean(cross_entropy(targets, logits))
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, loss = self._reduce(gradients, loss)
        self.optimizer.apply(gradients, self.trainable_variables)
        self._average()
        for variable, state in zip(
            self.own_variables(), tf.nest.flatten(states), strict=True
        ):
            variable.assign(state)
        return {"loss": tf.reshape(loss, [1]), **meets}

    def _obey(self) -> dict[str, Any]:
        """Take the chief's learning rate, and whether the workers meet."""
        rate = self.optimizer.learning_rate
        chosen, meets = _of_first([rate, self.decision])
        rate.assign(chosen)
        return {MEETS: tf.reshape(meets, [1])}

    def _reduce(self, gradients: Sequence[Any], loss: Any) -> tuple[list[Any], Any]:
        """The whole batch's gradients, clipped, and its loss.

        The embedding's gradient of cell ``rnn`` is one slice for each character read.
        Keras' norm is that of the slices, and so is this one: the slices of all
        devices, each a part of a mean over the batch.
        """
        sliced = [isinstance(gradient, tf.IndexedSlices) for gradient in gradients]
        parts = [
            tf.reduce_sum(tf.square(g.values)) / self.devices
            if slices
            else tf.zeros(())
            for g, slices in zip(gradients, sliced, strict=True)
        ]
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        dense, parts, loss = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN, (dense, parts, loss)
        )
        if not self.clipnorm:
            return dense, loss
        squares = [
            part if slices else tf.reduce_sum(tf.square(gradient))
            for gradient, part, slices in zip(dense, parts, sliced, strict=True)
        ]
        norm = tf.sqrt(tf.add_n(squares))
        scale = self.clipnorm / tf.maximum(norm, self.clipnorm)
        return [scale * gradient for gradient in dense], loss
