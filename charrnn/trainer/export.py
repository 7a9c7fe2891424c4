"""A model as a TensorFlow SavedModel that needs nothing of this package.

It is used as the one-step model of TensorFlow's tutorial,
https://www.tensorflow.org/text/tutorials/text_generation :

    one_step = tf.saved_model.load("one_step")
    states, next_char, result = None, tf.constant(["ROMEO:"]), []
    for _ in range(100):
        next_char, states = one_step.generate_one_step(next_char, states=states)
        result.append(next_char)

The module is built from the checkpoint's arrays with plain operations: Keras is
not needed to load it, and every cell has the numbers of Keras' own layers.
"""

# mypy: allow-subclassing-any
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import tensorflow as tf

from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError
from charrnn.model import checkpoint

Tensor: TypeAlias = Any  # tensorflow ships no usable types
Arrays: TypeAlias = dict[str, Tensor]


def _gru(x: Tensor, states: list[Tensor], kernel: Tensor, bias: Tensor) -> list[Tensor]:
    """Gates z, r, candidate n; the reset gate after the product."""
    (h,) = states
    xz, xr, xn = tf.split(x + bias[0], 3, axis=1)
    uz, ur, un = tf.split(h @ kernel + bias[1], 3, axis=1)
    z = tf.sigmoid(xz + uz)
    n = tf.tanh(xn + tf.sigmoid(xr + ur) * un)
    return [n + z * (h - n)]


def _lstm(
    x: Tensor, states: list[Tensor], kernel: Tensor, bias: Tensor
) -> list[Tensor]:
    h, c = states
    i, f, g, o = tf.split(x + h @ kernel + bias, 4, axis=1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return [tf.sigmoid(o) * tf.tanh(c), c]


def _rnn(x: Tensor, states: list[Tensor], kernel: Tensor, bias: Tensor) -> list[Tensor]:
    return [tf.tanh(x + states[0] @ kernel + bias)]


_CELLS: Final[dict[str, Callable[..., list[Tensor]]]] = {
    "gru": _gru,
    "lstm": _lstm,
    "rnn": _rnn,
}


class OneStep(tf.Module):
    """Strings in, the next character of each out.

    Args:
        model: From `checkpoint.load`.
    """

    def __init__(self, model: checkpoint.Model) -> None:
        super().__init__()
        self.config: ModelConfig = model.record.model
        self.separator = model.separator
        self.arrays = {
            name: tf.Variable(array, trainable=False, name=name.replace(".", "_"))
            for name, array in model.weights.items()
        }
        characters = model.vocabulary.entries[1:]  # id 0, [UNK], is none
        self.points = tf.constant([ord(c) for c in characters], tf.int32)
        self.characters = tf.constant([c.encode() for c in characters])
        self.generate_one_step = tf.function(self._generate_one_step)
        self._trace()

    @property
    def _all_states(self) -> int:
        return self.config.num_layers * self.config.num_states

    def _trace(self) -> None:
        """Fix the two forms that the SavedModel will hold."""
        states = tf.TensorSpec([self._all_states, None, self.config.rnn_units])
        for given in (None, states):
            self.generate_one_step.get_concrete_function(
                tf.TensorSpec([None], tf.string), given, tf.TensorSpec([], tf.float32)
            )

    def _ids(self, inputs: Tensor) -> Tensor:
        """Ids (B, T) of strings (B,); [UNK] for what the model does not know."""
        points = tf.strings.unicode_decode(inputs, "UTF-8")
        lengths = points.row_lengths()
        tf.debugging.assert_equal(
            lengths,
            tf.reduce_max(lengths),
            "The prompts have unequal lengths: give prompts of as many characters "
            "each, or call once for each prompt.",
        )
        tf.debugging.assert_positive(
            lengths, "A prompt is empty: give at least one character, a newline say."
        )
        dense = points.to_tensor()
        # The characters are in ascending order, so that a search finds the id.
        flat = tf.reshape(dense, [-1])
        index = tf.searchsorted(self.points, flat)
        index = tf.minimum(index, tf.size(self.points) - 1)
        known = tf.gather(self.points, index) == flat
        return tf.reshape(tf.where(known, index + 1, 0), tf.shape(dense))

    def _advance(self, ids: Tensor, states: Tensor) -> Tensor:
        """Read one character a row; states (layers * num_states, B, H)."""
        count = self.config.num_states
        for index in self.separator:  # one: it begins a document
            states *= tf.cast(ids != index, tf.float32)[:, None]
        old = tf.unstack(states, num=self._all_states)
        new: list[Tensor] = []
        x = tf.gather(self.arrays["embedding.weight"], ids)
        for index in range(self.config.num_layers):
            name = f"rnn.{index}."
            layer = _CELLS[self.config.cell](
                x @ self.arrays[name + "kernel"],
                old[index * count : (index + 1) * count],
                self.arrays[name + "recurrent_kernel"],
                self.arrays[name + "bias"],
            )
            x = layer[0]
            new += layer
        return tf.stack(new)

    def _read(self, ids: Tensor, states: Tensor) -> Tensor:
        """The states after ids (B, T)."""
        length = tf.shape(ids)[1]
        _, states = tf.while_loop(
            lambda time, _: time < length,
            lambda time, states: (time + 1, self._advance(ids[:, time], states)),
            (0, states),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([self._all_states, None, self.config.rnn_units]),
            ),
        )
        return states

    def _generate_one_step(
        self, inputs: Tensor, states: Tensor = None, temperature: Tensor = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Read the inputs and draw the character after each.

        Args:
            inputs: UTF-8 strings of equally many characters, shape ``(batch,)``.
            states: What the previous call returned; None at a text's start.
            temperature: 0 takes the likeliest character, the first on a tie.

        Returns:
            The characters, shape ``(batch,)``, never [UNK], and the states.
        """
        tf.debugging.assert_non_negative(
            temperature, "temperature is negative: expected 0 or more."
        )
        ids = self._ids(inputs)
        if states is None:
            shape = [self._all_states, tf.shape(ids)[0], self.config.rnn_units]
            states = tf.zeros(shape)
        states = self._read(ids, states)
        outputs = states[-self.config.num_states]
        logits = outputs @ self.arrays["head.kernel"] + self.arrays["head.bias"]
        chosen = self._draw(logits[:, 1:], temperature)
        return tf.gather(self.characters, chosen), states

    def _draw(self, logits: Tensor, temperature: Tensor) -> Tensor:
        """Candidates (B,) of logits (B, V - 1), in float64."""
        logits = tf.cast(logits, tf.float64)

        def sample() -> Tensor:
            scaled = logits / tf.cast(temperature, tf.float64)
            return tf.random.categorical(scaled, num_samples=1)[:, 0]

        return tf.cond(temperature > 0, sample, lambda: tf.argmax(logits, axis=1))


def _reason(error: Exception) -> str:
    """Why a write failed; TensorFlow puts its operation's name and paths around it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error).rsplit("; ", 1)[-1].split(" [Op:")[0]


def export(model: checkpoint.Model, path: Path) -> None:
    """Write a model as a SavedModel, whole or not at all.

    Args:
        model: From `checkpoint.load`.
        path: A new folder, or one that is empty.

    Raises:
        CheckpointError: If something is in the way or cannot be written, or more than
            one character separates the documents of its text.
    """
    if len(model.separator) > 1:
        raise CheckpointError(
            "The model reads documents that several characters separate: a SavedModel "
            "cannot tell where they begin. Export one of --documents lines."
        )
    target = Path(path)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise CheckpointError(
                f"{target.name} exists already and is not empty: choose a new folder "
                "for the SavedModel, or remove it first."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(OneStep(model), str(aside))
        aside.replace(target)
    except (OSError, tf.errors.OpError) as error:
        raise CheckpointError(
            f"The SavedModel cannot be written to {target.name} ({_reason(error)}): "
            "free some space or choose a writable folder."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
