"""The fast layers against Keras' own: numbers, gradients, and the same twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import ConfigError
from charrnn.trainer.choices import (
    SCAN_IMPLS,
    choose_gemm_dtype,
    choose_num_splits,
    choose_scan_impl,
)
from charrnn.trainer.layers import FastGRU, FastLSTM
from charrnn.trainer.scan import project

CELLS = {"gru": (FastGRU, keras.layers.GRU), "lstm": (FastLSTM, keras.layers.LSTM)}
# Relative norm per tensor with bf16 operands: 8 bits of mantissa, compounded in time.
BF16_BOUND = 0.04


def normal(rng: np.random.Generator, *shape: int) -> tf.Tensor:
    return tf.constant(rng.normal(size=shape), tf.float32)


def make_pair(cell: str, units: int, inputs: int, **kwargs: Any) -> tuple[Any, Any]:
    """A fast layer and Keras' own with the same weights, biases not zero."""
    fast_class, keras_class = CELLS[cell]
    fast = fast_class(units, **kwargs)
    slow = keras_class(units, return_sequences=True, return_state=True)
    fast.build((None, None, inputs))
    slow.build((None, None, inputs))
    rng = np.random.default_rng(5)
    weights = [w + 0.2 * rng.normal(size=w.shape) / len(w) for w in fast.get_weights()]
    for layer in (fast, slow):
        layer.set_weights(weights)
    return fast, slow


def values_and_gradients(
    layer: Any, inputs: tf.Tensor, states: list[tf.Tensor], **kwargs: Any
) -> Callable[[], list[np.ndarray]]:
    """Outputs, last states and the gradients by inputs, first states and weights.

    Returns:
        What computes them, compiled with its first call.
    """
    rng = np.random.default_rng(3)
    batch, steps, units = inputs.shape[0], inputs.shape[1], layer.units
    weights = [normal(rng, batch, steps, units)] + [
        normal(rng, *s.shape) for s in states
    ]
    watched = [*kwargs.values(), *states]
    watched += [inputs] if inputs.dtype == tf.float32 else []

    @tf.function
    def run() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(watched)
            results = tf.nest.flatten(layer(inputs, initial_state=states, **kwargs))
            pairs = zip(results, weights, strict=True)
            loss = tf.add_n([tf.reduce_sum(a * b) for a, b in pairs])
        sources = watched + [v.value for v in layer.trainable_variables]
        gradients = tape.gradient(loss, sources)
        return [*results, *map(tf.convert_to_tensor, gradients)]

    return lambda: [value.numpy() for value in run()]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the norm."""
    return float(np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-30))


def worst(cell: str, batch: int, steps: int, units: int, **kwargs: Any) -> float:
    rng = np.random.default_rng(batch + steps + units)
    fast, slow = make_pair(cell, units, 3, **kwargs)
    inputs = normal(rng, batch, steps, 3)
    states = [normal(rng, batch, units) for _ in fast.state_names]
    got = values_and_gradients(fast, inputs, states)()
    expected = values_and_gradients(slow, inputs, states)()
    assert len(got) == len(expected)
    return max(apart(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("scan_impl", SCAN_IMPLS)
@pytest.mark.parametrize("cell", CELLS)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=2, deadline=None, derandomize=True)
def test_equals_keras(
    cell: str, scan_impl: str, batch: int, steps: int, units: int
) -> None:
    assert worst(cell, batch, steps, units, scan_impl=scan_impl) < 1e-5


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("batch", "steps", "units"), [(1, 1, 1), (3, 200, 33)])
def test_equals_keras_at_the_ends(
    cell: str, batch: int, steps: int, units: int
) -> None:
    assert worst(cell, batch, steps, units) < 1e-5


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("scan_impl", ["xla", "columns"])
def test_two_halves_equal_keras(cell: str, scan_impl: str) -> None:
    assert choose_num_splits(64, 16) == 2
    assert worst(cell, 16, 5, 64, scan_impl=scan_impl) < 1e-5


@pytest.mark.parametrize("batch", [None, 1, 15, 17])
def test_what_has_no_good_halves_stays_whole(batch: int | None) -> None:
    assert choose_num_splits(256, batch) == 1


@pytest.mark.parametrize("out", [3, 20])
def test_projection_equals_autodiff(out: int) -> None:
    rng = np.random.default_rng(out)
    sources = [normal(rng, 4, 5, 9), normal(rng, 9, out), normal(rng, out)]
    weights = normal(rng, 4, 5, out)
    results = []
    for function in (project, lambda x, kernel, bias: x @ kernel + bias):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            y = function(*sources)
            loss = tf.reduce_sum(y * weights)
        results.append([y, *tape.gradient(loss, sources)])
    for a, b in zip(*results, strict=True):
        assert a.shape == b.shape
        assert apart(a.numpy(), b.numpy()) < 1e-6


@pytest.mark.parametrize("cell", CELLS)
def test_bf16_stays_within_its_bound(cell: str) -> None:
    assert 1e-5 < worst(cell, 4, 200, 48, gemm_dtype="bfloat16") < BF16_BOUND


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int16, tf.int64])
@pytest.mark.parametrize(("cell", "scan_impl"), [("gru", "loop"), ("lstm", "columns")])
def test_folded_embedding_equals_gathered(
    cell: str, scan_impl: str, dtype: tf.DType
) -> None:
    rng = np.random.default_rng(1)
    fast, slow = make_pair(cell, 7, 4, scan_impl=scan_impl)
    embedding = normal(rng, 11, 4)
    ids = rng.integers(0, 11, (3, 15))
    states = [normal(rng, 3, 7) for _ in fast.state_names]

    class Embedded:
        units = 7
        trainable_variables = slow.trainable_variables

        def __call__(self, ids: Any, initial_state: Any, embedding: Any) -> Any:
            return slow(tf.gather(embedding, ids), initial_state=initial_state)

    got = values_and_gradients(
        fast, tf.constant(ids, dtype), states, embedding=embedding
    )()
    expected = values_and_gradients(
        Embedded(), tf.constant(ids), states, embedding=embedding
    )()
    for a, b in zip(got, expected, strict=True):
        assert apart(a, b) < 1e-5


@pytest.mark.parametrize("scan_impl", SCAN_IMPLS)
def test_same_bits_twice(scan_impl: str) -> None:
    rng = np.random.default_rng(2)
    fast, _ = make_pair("gru", 64, 16, scan_impl=scan_impl)
    ids = tf.constant(rng.integers(0, 60, (32, 40)))
    states, embedding = [normal(rng, 32, 64)], normal(rng, 60, 16)
    compute = values_and_gradients(fast, ids, states, embedding=embedding)
    first = compute()
    for _ in range(5):
        for a, b in zip(first, compute(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_with_two_layers_and_unknown_batch_and_time() -> None:
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, 6)(ids)
    x, _ = FastGRU(8, seed=1)(x)
    x, _ = FastLSTM(5, seed=2)(keras.layers.Dropout(0.2)(x))
    model = keras.Model(ids, keras.layers.Dense(9)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss, jit_compile=False)
    text = np.arange(400) % 9
    inputs, targets = text[:-1][:390].reshape(30, 13), text[1:][:390].reshape(30, 13)
    losses = model.fit(inputs, targets, batch_size=8, epochs=8, verbose=0).history
    assert losses["loss"][-1] < 0.5 * losses["loss"][0]
    assert model.predict(inputs[:, :7], verbose=0).shape == (30, 7, 9)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_those_of_keras_with_their_seed(cell: str) -> None:
    fast_class, keras_class = CELLS[cell]
    fast, again, slow = fast_class(6, seed=4), fast_class(6, seed=4), keras_class(6)
    for layer in (fast, again, slow):
        layer.build((None, None, 3))
    for a, b, c in zip(fast.weights, again.weights, slow.weights, strict=True):
        assert (a.name, a.shape) == (c.name, c.shape)
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    copy = fast_class.from_config(fast.get_config())
    assert copy.get_config() == fast.get_config()


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(ConfigError, match="float16"):
        FastGRU(3, gemm_dtype="float16")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", "bfloat16"),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", "bfloat16"),
        ("Features\t: fp asimd bf16 i8mm", "bfloat16"),
        ("flags\t\t: fpu avx2 fma", "float32"),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16_not", "float32"),
        ("", "float32"),
    ],
)
def test_dtype_follows_the_processor(tmp_path: Path, line: str, expected: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: bf16 amx_bf16\n{line}\n")
    assert choose_gemm_dtype(512, cpuinfo=cpuinfo) == expected
    assert choose_gemm_dtype(16, cpuinfo=cpuinfo) == "float32"
    assert choose_gemm_dtype(512, cpuinfo=tmp_path / "none") == "float32"


@pytest.mark.parametrize(
    ("units", "gemm_dtype", "expected"),
    [
        (16, "float32", "loop"),
        (256, "float32", "xla"),
        (512, "float32", "columns"),
        (256, "bfloat16", "loop"),
    ],
)
def test_the_scan_follows_size_and_dtype(
    units: int, gemm_dtype: str, expected: str
) -> None:
    assert choose_scan_impl(units, gemm_dtype) == expected
