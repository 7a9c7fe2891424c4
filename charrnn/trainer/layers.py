"""GRU and LSTM layers on our scan, with Keras' own weights and numbers.

They are subclasses of ``keras.layers.GRU`` and ``keras.layers.LSTM``, which keep the
weights; what differs is the scan over time, `charrnn.trainer.scan`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from charrnn.errors import ConfigError
from charrnn.trainer.choices import (
    GEMM_DTYPES,
    SCAN_IMPLS,
    choose_num_splits,
    choose_scan_impl,
)
from charrnn.trainer.scan import Shape, Tensor, gru_scan, lstm_scan, project


class _FastRecurrent:
    """What the fast layers share: a mixin in front of a Keras recurrent layer.

    Keras' layer keeps the weights (``cell.kernel`` and so on), their names, shapes
    and initialisers. On a machine with a GPU it also keeps the scan: cuDNN.
    """

    cell: Any
    units: int
    state_names: tuple[str, ...]
    input_bias: Callable[[], Tensor]
    scan: Callable[
        [Tensor, Tensor | None, list[Tensor], Tensor | None],
        tuple[Tensor, list[Tensor]],
    ]

    def __init__(
        self,
        units: int,
        *,
        gemm_dtype: str = "float32",
        scan_impl: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if scan_impl is None:
            scan_impl = choose_scan_impl(units, gemm_dtype)
        if gemm_dtype not in GEMM_DTYPES or scan_impl not in SCAN_IMPLS:
            raise ConfigError(
                f"gemm_dtype is {gemm_dtype!r} and scan_impl {scan_impl!r}: expected "
                f"one of {', '.join(GEMM_DTYPES)} and one of {', '.join(SCAN_IMPLS)}."
            )
        super().__init__(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
            seed=seed,  # of a dropout that is off, but whose state is saved
            return_sequences=True,
            return_state=True,
            **kwargs,
        )  # type: ignore[call-arg]
        self.gemm_dtype = gemm_dtype
        self.scan_impl = scan_impl
        self.seed = seed
        self.input_spec = None  # ids have one dimension less than Keras expects
        self.on_gpu = bool(tf.config.list_physical_devices("GPU"))

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Any = None,
        embedding_shape: Shape | None = None,
        keep_shape: Shape | None = None,
    ) -> None:
        del initial_state_shape, keep_shape
        if embedding_shape is not None:
            inputs_shape = (*inputs_shape, embedding_shape[-1])
        super().build(tuple(inputs_shape))  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        names = ("units", "gemm_dtype", "scan_impl", "seed")
        config = {name: getattr(self, name) for name in names}
        return {**keras.layers.Layer.get_config(self), **config}

    def compute_output_shape(
        self,
        inputs_shape: Shape,
        initial_state_shape: Any = None,
        embedding_shape: Shape | None = None,
        keep_shape: Shape | None = None,
    ) -> tuple[Shape, list[Shape]]:
        del initial_state_shape, embedding_shape, keep_shape
        state = (inputs_shape[0], self.units)
        return (*inputs_shape[:2], self.units), [state] * len(self.state_names)

    def call(
        self,
        inputs: Tensor,
        initial_state: Sequence[Tensor] | None = None,
        embedding: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        if initial_state is None:
            zeros = tf.zeros([tf.shape(inputs)[0], self.units])
            initial_state = [zeros] * len(self.state_names)
        states = [tf.convert_to_tensor(state) for state in initial_state]
        if self.on_gpu and keep is None:  # cuDNN keeps every state
            if embedding is not None:
                inputs = tf.gather(embedding, inputs)
            outputs, *states = super().call(inputs, initial_state=states)  # type: ignore[misc]
            return outputs, states
        kernel = tf.convert_to_tensor(self.cell.kernel)
        table = (
            None
            if embedding is None
            else project(embedding, kernel, self.input_bias(), self.gemm_dtype)
        )
        splits = choose_num_splits(self.units, inputs.shape[0])
        parts = [tf.split(x, splits) for x in (inputs, *states)]
        keeps = [None] * splits if keep is None else tf.split(keep, splits)
        results = [
            self._run(kernel, table, x, first, kept)
            for (x, *first), kept in zip(zip(*parts, strict=True), keeps, strict=True)
        ]
        if splits == 1:
            return results[0]
        outputs, *states = (
            tf.concat(x, axis=0)
            for x in zip(*((y, *last) for y, last in results), strict=True)
        )
        return outputs, states

    def _run(
        self,
        kernel: Tensor,
        table: Tensor | None,
        inputs: Tensor,
        states: list[Tensor],
        keep: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Project the inputs, or look them up, and scan; outputs ``(B, T, H)``."""
        if table is not None:
            source, ids = table, tf.transpose(tf.cast(inputs, tf.int32))
        else:
            inputs = tf.transpose(inputs, [1, 0, 2])  # (T, B, in)
            source = project(inputs, kernel, self.input_bias(), self.gemm_dtype)
            ids = None
        if keep is not None:
            keep = tf.transpose(keep)[:, :, None]  # (T, B, 1)
        outputs, states = self.scan(source, ids, states, keep)
        return tf.transpose(outputs, [1, 0, 2]), states


class FastGRU(_FastRecurrent, keras.layers.GRU):
    """``keras.layers.GRU`` (``reset_after=True``) with a scan made for a CPU.

    Args:
        units: Number of units, ``H``.
        gemm_dtype: ``"float32"``, or ``"bfloat16"`` for the operands of the GEMMs.
        scan_impl: One of `SCAN_IMPLS`; None: what `choose_scan_impl` says.
        seed: Of the initial weights.
        **kwargs: ``name`` and what else ``keras.layers.Layer`` takes.

    Call arguments:
        inputs: Float ``(B, T, in)``, or ids ``(B, T)`` where ``embedding`` is given.
        initial_state: ``[h]``, ``(B, H)``; None: zeros.
        embedding: ``(V, in)``, whose rows the ids choose.
        keep: ``(B, T)``, 0 where a step begins from a zero state, else 1; None: 1.

    Returns:
        Outputs ``(B, T, H)`` and the final states, ``[h]``.

    Raises:
        ConfigError: If ``gemm_dtype`` or ``scan_impl`` is unknown.
    """

    state_names = ("h",)

    def input_bias(self) -> Tensor:
        """What is added to the input products, ``(gates * H,)``."""
        # The recurrent biases of z and r join the input's; the candidate's lies
        # inside the reset gate's product and cannot.
        zr = 2 * self.units
        bias = tf.convert_to_tensor(self.cell.bias)
        return tf.concat([bias[0, :zr] + bias[1, :zr], bias[0, zr:]], axis=0)

    def scan(
        self,
        source: Tensor,
        ids: Tensor | None,
        states: list[Tensor],
        keep: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run over projected inputs; outputs ``(T, B, H)`` and final states."""
        return gru_scan(
            source,
            ids,
            states,
            (
                tf.convert_to_tensor(self.cell.recurrent_kernel),
                tf.convert_to_tensor(self.cell.bias)[1, 2 * self.units :],
            ),
            keep,
            dtype=self.gemm_dtype,
            scan_impl=self.scan_impl,
        )


class FastLSTM(_FastRecurrent, keras.layers.LSTM):
    """``keras.layers.LSTM`` with a scan made for a CPU.

    Args:
        units: Number of units, ``H``.
        gemm_dtype: ``"float32"``, or ``"bfloat16"`` for the operands of the GEMMs.
        scan_impl: One of `SCAN_IMPLS`; None: what `choose_scan_impl` says.
        seed: Of the initial weights.
        **kwargs: ``name`` and what else ``keras.layers.Layer`` takes.

    Call arguments:
        inputs: Float ``(B, T, in)``, or ids ``(B, T)`` where ``embedding`` is given.
        initial_state: ``[h, c]``, both ``(B, H)``; None: zeros.
        embedding: ``(V, in)``, whose rows the ids choose.
        keep: ``(B, T)``, 0 where a step begins from a zero state, else 1; None: 1.

    Returns:
        Outputs ``(B, T, H)`` and the final states, ``[h, c]``.

    Raises:
        ConfigError: If ``gemm_dtype`` or ``scan_impl`` is unknown.
    """

    state_names = ("h", "c")

    def input_bias(self) -> Tensor:
        """What is added to the input products, ``(gates * H,)``."""
        return tf.convert_to_tensor(self.cell.bias)

    def scan(
        self,
        source: Tensor,
        ids: Tensor | None,
        states: list[Tensor],
        keep: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run over projected inputs; outputs ``(T, B, H)`` and final states."""
        return lstm_scan(
            source,
            ids,
            states,
            tf.convert_to_tensor(self.cell.recurrent_kernel),
            keep,
            dtype=self.gemm_dtype,
            scan_impl=self.scan_impl,
        )
