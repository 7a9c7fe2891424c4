"""The Keras network of a configuration, and its weights as named arrays and back.

Embedding -> recurrent layers -> dense head, as in TensorFlow's tutorial. The
first layer takes the characters' ids and the embedding's matrix and folds both
into its input products, see `charrnn.trainer.layers`.

While training, the network carries its states from one window to the next, so that
each stream of the text is read as one long sequence (truncated backpropagation
through time). The recurrent state of each stream is reset every `RESET_EVERY`
windows, staggered over the batch: every prompt starts from zeros, and a network that
has hardly seen that state writes its first characters badly.

Where ``scheduled_sampling`` asks for it, some of the characters of a window are not
the text's but the network's own (after Bengio et al., 2015): drawn from what it expects
there, given the text before. One pass over the window draws all of them side by side,
in the scan (after Duckworth et al., 2019), so that a sample does not depend on those
before it; a second pass reads the window so made and learns the text's next characters.

What is validated, sampled and kept is the exponential moving average of the weights
(after Polyak and Juditsky, 1992): it is near where they would settle if the learning
rate fell now. `docs/experiments.md` has what resetting and averaging gain.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from charrnn.config import ModelConfig
from charrnn.model.checkpoint import Weights
from charrnn.model.growing import EMBEDDING_RANGE
from charrnn.text.parts import Codes, Part, Sums
from charrnn.trainer.layers import FastGRU, FastLSTM
from charrnn.trainer.scan import project, simple_scan

States = list[list[Any]]
RESET_EVERY: Final = 8  # windows of a stream between two resets of its state
EMA_DECAY: Final = 0.99  # of the weights' average, at most


def _recurrent_layer(
    config: ModelConfig, index: int, *, dtype: str, scan_impl: str | None, seed: int
) -> Any:
    name = f"rnn_{index}"
    if config.cell == "rnn":
        return keras.layers.SimpleRNN(
            config.rnn_units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
            seed=seed,  # of a dropout that is off, but whose state is saved
            return_sequences=True,
            return_state=True,
            name=name,
        )
    layer = FastGRU if config.cell == "gru" else FastLSTM
    return layer(
        config.rnn_units, gemm_dtype=dtype, scan_impl=scan_impl, seed=seed, name=name
    )


class KerasNetwork(keras.Model):
    """The network of a configuration, to be trained.

    Args:
        config: Sizes and cell.
        gemm_dtype: ``"float32"`` or ``"bfloat16"``, for the recurrent layers.
        scan_impl: Of their scan, one of `choices.SCAN_IMPLS`; None: what fits.
        seed: Of the initial weights and of dropout.

    Call arguments:
        ids: ``(B, T)``, any integer type.
        states: Per layer a list of ``(B, rnn_units)``: one for ``gru`` and
            ``rnn``, two (h, c) for ``lstm``. None: zeros.
        begins: ``(B, T)``, true where a document begins: the states are zeroed before
            that character is read. None: nowhere.

    Returns:
        Logits ``(B, T, vocab_size)`` in nats, and the final states.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        gemm_dtype: str = "float32",
        scan_impl: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(name="charrnn")
        self.config = config
        seed %= 2**31 - 100
        self.first_seed = seed
        self.embedding = keras.layers.Embedding(
            config.vocab_size,
            config.embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(
                -EMBEDDING_RANGE, EMBEDDING_RANGE, seed=seed
            ),
            name="embedding",
        )
        self.rnn = [
            _recurrent_layer(
                config,
                i,
                dtype=gemm_dtype,
                scan_impl=scan_impl,
                seed=seed + 10 * (i + 1),
            )
            for i in range(config.num_layers)
        ]
        self.dropouts = [
            keras.layers.Dropout(config.dropout, seed=seed + 90 + i)
            for i in range(config.num_layers)
        ]
        self.head = keras.layers.Dense(
            config.vocab_size,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 99),
            name="head",
        )
        self.carried: States = []
        self.averages: list[Any] = []
        self.own_share: Any = None  # of the characters that are read, if any ever is
        self._make_weights()

    def _make_weights(self) -> None:
        # without a first call, which would compile the scan for a shape of no use
        self.embedding.build((None, None))
        width = self.config.embedding_dim
        for layer in self.rnn:
            layer.build((None, None, width))
            width = self.config.rnn_units
        self.head.build((None, None, width))
        self.built = True

    def call(  # noqa: D102 the class says it
        self,
        ids: Any,
        states: States | None = None,
        training: bool = False,
        begins: Any = None,
    ) -> tuple[Any, States]:
        x, final = None, []
        keep = None if begins is None else 1 - tf.cast(begins, tf.float32)
        for i, layer in enumerate(self.rnn):
            initial = None if states is None else states[i]
            if i == 0 and self.config.cell != "rnn":
                x, *last = _flatten(
                    layer(
                        ids,
                        initial_state=initial,
                        embedding=self.embedding.weights[0],
                        keep=keep,
                    )
                )
            else:
                inputs = self.embedding(ids) if i == 0 else x
                x, *last = self._read(layer, inputs, initial, keep)
            if self.config.dropout:
                x = self.dropouts[i](x, training=training)  # (B, T, H)
            final.append(last)
        return project(x, *self.head.weights), final  # (B, T, V)

    def _read(self, layer: Any, inputs: Any, initial: Any, keep: Any) -> list[Any]:
        """Outputs and states of a layer that reads ``(B, T, in)``."""
        if keep is None:
            return _flatten(layer(inputs, initial_state=initial))
        if self.config.cell != "rnn":
            return _flatten(layer(inputs, initial_state=initial, keep=keep))
        kernel, recurrent_kernel, bias = layer.weights
        products = project(tf.transpose(inputs, [1, 0, 2]), kernel, bias)  # (T, B, H)
        first = tf.zeros_like(products[0]) if initial is None else initial[0]
        kept = tf.transpose(keep)[:, :, None]
        outputs, states = simple_scan(
            products, first, tf.convert_to_tensor(recurrent_kernel), kept
        )
        return [tf.transpose(outputs, [1, 0, 2]), *states]

    def read_its_own(self) -> None:
        """Read characters of its own beside the text's: ``own_share`` of them.

        It is 0 until it is assigned.
        """
        self.own_share = tf.Variable(0.0, trainable=False, name="own_share")

    def start_training(self, batch_size: int) -> None:
        """Make the variables of training: carried states, zero, and the average."""
        shape = (batch_size, self.config.rnn_units)
        self.carried = [
            [
                tf.Variable(tf.zeros(shape), trainable=False, name=f"carried_{i}_{j}")
                for j in range(self.config.num_states)
            ]
            for i in range(self.config.num_layers)
        ]
        self.averages = [
            tf.Variable(variable, trainable=False, name=f"average_{i}")
            for i, variable in enumerate(self.trainable_variables)
        ]

    def reset_streams(self) -> None:
        """Set the carried states to zero, as at the start of an epoch."""
        for variable in self.carried_variables():
            variable.assign(tf.zeros_like(variable))

    def _window_states(self) -> States:
        """The states that a window starts from: carried, or zeros where reset."""
        turn = tf.range(self.carried[0][0].shape[0]) + tf.cast(
            self.optimizer.iterations, tf.int32
        )
        keep = tf.cast(turn % RESET_EVERY != 0, tf.float32)[:, None]  # (B, 1)
        return [[keep * state for state in layer] for layer in self.carried]

    def carried_variables(self) -> list[Any]:
        """The carried states, layer by layer."""
        return [variable for layer in self.carried for variable in layer]

    def train_step(self, data: tuple[Any, ...]) -> dict[str, Any]:
        """One update on one window of every stream.

        Returns the batch's own loss: without a metric in between, a callback
        sees exactly it and not Keras' running mean.
        """
        ids, targets, *rest = data  # (B, T); train_on_batch adds weights, None
        begins = rest[0] if rest else None  # where documents do, in their place
        initial = self._window_states()
        if self.own_share is not None:
            ids = self._mixed(ids, initial, begins)
        with tf.GradientTape() as tape:
            logits, states = self(ids, states=initial, training=True, begins=begins)
            loss = tf.reduce_mean(cross_entropy(targets, logits))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self._average()
        for variable, state in zip(
            self.carried_variables(), tf.nest.flatten(states), strict=True
        ):
            variable.assign(state)
        return {"loss": loss}

    def _mixed(self, ids: Any, states: States, begins: Any = None) -> Any:
        """A window in which about ``own_share`` of the characters are samples.

        They are drawn at temperature 1 and never [UNK], as texts are written. The
        first character of a window stays, and so does one that begins a document.
        All follows from the seed and the number of the update: a resumed run draws
        the same.

        Args:
            ids: The text, ``(B, T)``.
            states: That the window starts from.
            begins: Where documents begin, see `call`.

        Returns:
            Ids ``(B, T)``, int32.
        """
        ids = tf.cast(ids, tf.int32)
        update = tf.cast(self.optimizer.iterations, tf.int32)
        logits, _ = self(ids, states=states, begins=begins)
        expected = tf.reshape(logits[:, :-1, 1:], [-1, self.config.vocab_size - 1])
        drawn = 1 + tf.random.stateless_categorical(
            expected, 1, seed=[self.first_seed, update], dtype=tf.int32
        )
        rest = ids[:, 1:]
        chance = tf.random.stateless_uniform(
            tf.shape(rest), seed=[self.first_seed + 1, update]
        )
        own = chance < self.own_share
        if begins is not None:
            own &= ~begins[:, 1:]
        drawn = tf.reshape(drawn, tf.shape(rest))
        return tf.concat([ids[:, :1], tf.where(own, drawn, rest)], axis=1)

    def _average(self) -> None:
        """Move the average towards the weights that an update has just made.

        After update ``n`` it keeps ``min(EMA_DECAY, (n - 1) / (n + 8))`` of itself:
        it looks back over a ninth of the updates so far, over 100 at most.
        """
        updates = tf.cast(self.optimizer.iterations, tf.float32)
        kept = tf.minimum(EMA_DECAY, (updates - 1) / (updates + 8))
        for average, variable in zip(
            self.averages, self.trainable_variables, strict=True
        ):
            average.assign_add((1 - kept) * (variable - average))

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """A context in which the weights are their average; it restores them."""
        own = [variable.numpy() for variable in self.trainable_variables]
        try:
            for variable, average in zip(
                self.trainable_variables, self.averages, strict=True
            ):
                variable.assign(average)
            yield
        finally:
            for variable, value in zip(self.trainable_variables, own, strict=True):
                variable.assign(value)


def _flatten(result: Any) -> list[Any]:
    """Outputs and states in one list, whether a layer nests its states or not."""
    outputs, *states = result
    return [outputs, *tf.nest.flatten(states)]


def cross_entropy(targets: Any, logits: Any) -> Any:
    """Nats per character: ``-log softmax(logits)[target]``, shape ``(B, T)``."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.cast(targets, tf.int32), logits=logits
    )


def _named_variables(network: KerasNetwork) -> dict[str, Any]:
    named = {"embedding.weight": network.embedding.weights[0]}
    for i, layer in enumerate(network.rnn):
        for part, variable in zip(
            ("kernel", "recurrent_kernel", "bias"), layer.weights, strict=True
        ):
            named[f"rnn.{i}.{part}"] = variable
    named["head.kernel"], named["head.bias"] = network.head.weights
    return named


def to_weights(network: KerasNetwork) -> Weights:
    """The weights under the names of the checkpoint format, as copies."""
    return {
        name: np.array(variable.numpy(), dtype=np.float32)
        for name, variable in _named_variables(network).items()
    }


def assign_weights(
    network: KerasNetwork, weights: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """Put named arrays into a network of the same configuration."""
    for name, variable in _named_variables(network).items():
        variable.assign(weights[name])


class Validator:
    """Scores a split with a network, several streams side by side.

    Args:
        network: What to score.
        windows: Fixed-shape ``(inputs, targets, mask)``, each ``(B, T)``, in
            order: the states go from one to the next.
        codes: The part that each target of each window belongs to, ``(B, T)``
            each, see `charrnn.text.parts`.
        begins: Where documents begin in the inputs of each window; None: nowhere.
    """

    def __init__(
        self,
        network: KerasNetwork,
        windows: list[tuple[Any, Any, Any]],
        codes: Sequence[Codes],
        begins: Sequence[Any] | None = None,
    ) -> None:
        self.network = network
        self.windows = windows
        self.codes = codes
        self.begins = [None] * len(windows) if begins is None else begins
        self.score = tf.function(self._score, reduce_retracing=True)

    def _score(self, ids: Any, targets: Any, states: Any, begins: Any) -> Any:
        logits, states = self.network(ids, states=states, training=False, begins=begins)
        return cross_entropy(targets, logits), states

    def parts(self) -> dict[str, Part]:
        """What the mean nats per character are made of, masked-in characters alone.

        Their losses sum to that mean.
        """
        config = self.network.config
        zeros = tf.zeros((self.windows[0][0].shape[0], config.rnn_units))
        states: Any = [[zeros] * config.num_states for _ in range(config.num_layers)]
        sums = Sums()
        for (ids, targets, mask), codes, begins in zip(
            self.windows, self.codes, self.begins, strict=True
        ):
            anew = None if begins is None else tf.constant(begins)
            nats, states = self.score(
                tf.constant(ids), tf.constant(targets), states, anew
            )
            counted = mask > 0
            sums.add(codes[counted], nats.numpy()[counted])
        return sums.parts()
