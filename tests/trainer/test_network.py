"""The network against Keras' own words for the same thing."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from charrnn.config import ModelConfig
from charrnn.presets import PRESETS
from charrnn.text.parts import Part, Sums
from charrnn.text.streams import validation_windows
from charrnn.trainer.network import (
    RESET_EVERY,
    KerasNetwork,
    Validator,
    assign_weights,
    cross_entropy,
    to_weights,
)


def network(**sizes: object) -> KerasNetwork:
    defaults = {"embedding_dim": 5, "rnn_units": 7, "vocab_size": 11}
    return KerasNetwork(ModelConfig(**{**defaults, **sizes}), seed=1)


def ids(*shape: int, vocab_size: int = 11) -> np.ndarray:
    return np.random.default_rng(0).integers(0, vocab_size, shape).astype(np.uint8)


def test_tutorial_has_its_parameters_and_starts_by_guessing() -> None:
    config = ModelConfig(vocab_size=66, **PRESETS["tutorial"].model)
    tutorial = KerasNetwork(config)
    by_layer = [layer.count_params() for layer in tutorial.layers[:2]]
    assert by_layer == [16_896, 3_938_304]
    assert tutorial.head.count_params() == 67_650
    assert tutorial.count_params() == config.num_parameters() == 4_022_850
    text = ids(2, 30, vocab_size=66)
    logits, _ = tutorial(text[:, :-1])
    loss = float(tf.reduce_mean(cross_entropy(text[:, 1:], logits)))
    assert loss == pytest.approx(math.log(66), abs=0.02)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_logits_equal_keras_own_layers(cell: str, num_layers: int) -> None:
    ours = network(cell=cell, num_layers=num_layers)
    kinds = {
        "gru": keras.layers.GRU,
        "lstm": keras.layers.LSTM,
        "rnn": keras.layers.SimpleRNN,
    }
    theirs = keras.Sequential(
        [
            keras.layers.Embedding(11, 5),
            *(kinds[cell](7, return_sequences=True) for _ in range(num_layers)),
            keras.layers.Dense(11),
        ]
    )
    theirs.build((None, 9))
    theirs.set_weights(list(to_weights(ours).values()))
    text = ids(4, 9)
    logits, states = ours(text)
    np.testing.assert_allclose(logits, theirs(text), atol=2e-6)
    assert len(states) == num_layers
    assert len(states[0]) == (2 if cell == "lstm" else 1)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_weights_go_out_and_come_back(cell: str) -> None:
    first, second = network(cell=cell, num_layers=2), network(cell=cell, num_layers=2)
    weights = {k: v + 0.125 for k, v in to_weights(first).items()}
    assign_weights(second, weights)
    returned = to_weights(second)
    assert list(returned) == list(second.config.tensor_shapes())
    for name, array in weights.items():
        assert returned[name].shape == second.config.tensor_shapes()[name]
        np.testing.assert_array_equal(returned[name], array)


def test_a_step_returns_its_own_loss_and_carries_the_states() -> None:
    ours = network(cell="lstm", num_layers=2)
    ours.start_training(3)
    ours.compile(optimizer=keras.optimizers.SGD(0.5))
    text = ids(3, 13)
    first, second = (text[:, :6], text[:, 1:7]), (text[:, 6:12], text[:, 7:13])
    expected, losses, states = [], [], None

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            nonlocal states
            inputs, targets = (first, second)[batch]
            logits, states = ours(inputs, states=states)
            expected.append(float(tf.reduce_mean(cross_entropy(targets, logits))))

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            losses.append(float(logs["loss"]))

    windows = tf.data.Dataset.from_tensor_slices(
        tuple(np.stack(part) for part in zip(first, second, strict=True))
    )
    ours.fit(windows, epochs=1, shuffle=False, verbose=0, callbacks=[Watch()])
    assert losses == pytest.approx(expected, abs=1e-6)
    for carried, state in zip(
        ours.carried_variables(), tf.nest.flatten(states), strict=True
    ):
        np.testing.assert_allclose(carried, state, atol=1e-6)
    ours.reset_streams()
    assert all(not np.any(variable.numpy()) for variable in ours.carried_variables())


def trained_beside(cell: str, *, share: float | None) -> KerasNetwork:
    """A network after three updates in which it reads a share of its own characters."""
    ours = network(cell=cell, num_layers=2, dropout=0.2)
    ours.start_training(3)
    ours.compile(optimizer=keras.optimizers.SGD(0.5))
    if share is not None:
        ours.read_its_own()
        ours.own_share.assign(share)
    text = ids(3, 7)
    for _ in range(3):
        ours.train_on_batch(text[:, :-1], text[:, 1:])
    return ours


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_reading_none_of_its_own_is_ordinary_training_bit_for_bit(cell: str) -> None:
    plain, none, half = (
        to_weights(trained_beside(cell, share=share)) for share in (None, 0.0, 0.5)
    )
    for name, array in plain.items():
        np.testing.assert_array_equal(none[name], array)
        assert np.any(half[name] != array)


def test_its_own_characters_are_drawn_from_what_it_expects() -> None:
    ours = network(vocab_size=4)
    ours.start_training(200)
    ours.read_its_own()
    ours.compile(optimizer=keras.optimizers.SGD(0.5))
    expected = np.array([0.0, 0.2, 0.5, 0.3])  # whatever was read; never [UNK]
    weights = {name: np.zeros_like(a) for name, a in to_weights(ours).items()}
    weights["head.bias"] = np.log(np.maximum(expected, [0.9, 0, 0, 0]), dtype="f4")
    assign_weights(ours, weights)
    text, states = ids(200, 51, vocab_size=4), ours._window_states()

    def read(share: float, update: int = 0) -> np.ndarray:
        ours.own_share.assign(share)
        ours.optimizer.iterations.assign(update)
        return ours._mixed(text, states, None).numpy()

    assert np.array_equal(read(0), text)
    every = read(1)
    assert np.array_equal(every[:, 0], text[:, 0])
    drawn = np.bincount(every[:, 1:].ravel(), minlength=4) / 10_000
    assert drawn == pytest.approx(expected, abs=0.02)  # 4 standard deviations
    changed = [np.mean(read(share) != text) for share in (0.3, 1)]
    assert changed[0] / changed[1] == pytest.approx(0.3, abs=0.03)
    # the seed and the number of the update say all
    assert np.array_equal(read(1), every)
    assert not np.array_equal(read(1, update=1), every)


def test_each_streams_state_is_reset_in_its_turn() -> None:
    ours = network()
    ours.start_training(5)
    ours.compile(optimizer=keras.optimizers.SGD(0.0))  # the weights stay
    text = ids(5, 4)
    fresh, states = [], None
    _, [[begun]] = ours(text[:, :-1])
    for _ in range(2 * RESET_EVERY):
        ours.train_on_batch(text[:, :-1], text[:, 1:])
        _, [[gone_on]] = ours(text[:, :-1], states=states)
        states = [[tf.identity(variable) for variable in ours.carried_variables()]]
        fresh.append(np.all(np.isclose(states[0][0], begun, atol=1e-6), axis=1))
        expected = np.where(fresh[-1][:, None], begun, gone_on)
        np.testing.assert_allclose(states[0][0], expected, atol=1e-6)
    counts = np.sum(fresh[1:], axis=0)  # all begin from zeros in the first step
    assert counts.tolist() == [1, 2, 2, 2, 2]


def test_the_average_follows_its_formula_and_is_only_lent() -> None:
    ours = network()
    ours.start_training(3)
    ours.compile(optimizer=keras.optimizers.SGD(0.5))
    text = ids(3, 7)
    expected = dict.fromkeys(to_weights(ours), 0.0)
    updates = [*range(1, 6), 2000]  # so late, 0.99 is the most that is kept
    for n in updates:
        ours.optimizer.iterations.assign(n - 1)
        ours.train_on_batch(text[:, :-1], text[:, 1:])
        own, kept = to_weights(ours), min(0.99, (n - 1) / (n + 8))
        expected = {k: kept * expected[k] + (1 - kept) * own[k] for k in own}
    with ours.averaged():
        lent = to_weights(ours)
    for name, array in to_weights(ours).items():
        np.testing.assert_allclose(lent[name], expected[name], atol=1e-6)
        np.testing.assert_array_equal(array, own[name])
        assert np.any(array != lent[name])


def test_reading_side_by_side_comes_to_one_pass() -> None:
    ours = network()
    text, codes = ids(700), np.arange(700, dtype=np.uint8) % 3

    def read(streams, warmup):
        options = {"seq_length": 50, "warmup": warmup, "limit": 10**6}
        windows = validation_windows(text, streams=streams, **options)
        places = validation_windows(codes, streams=streams, **options)
        return Validator(ours, list(windows), [after for _, after, _ in places]).parts()

    logits, _ = ours(text[None, :-1])
    nats = cross_entropy(text[None, 1:], logits).numpy()[0].astype(float)
    sums = Sums()
    sums.add(codes[1:], nats)
    exact, parallel = read(1, 0), read(4, 60)
    assert exact.keys() == parallel.keys() == sums.parts().keys()
    assert sum(part.loss for part in exact.values()) == pytest.approx(nats.mean())
    for name, part in sums.parts().items():
        assert exact[name] == Part(part.characters, pytest.approx(part.loss, abs=1e-6))
        assert parallel[name].characters == part.characters
        assert parallel[name].loss == pytest.approx(part.loss, abs=1e-5)
