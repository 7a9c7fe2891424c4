"""The scan over time of a GRU and an LSTM, with gradients written out by hand.

The numbers are those of ``keras.layers.GRU`` (``reset_after=True``) and
``keras.layers.LSTM``. Keras lets TensorFlow differentiate a loop of some fifty
small operations; here the loop holds one matrix product and the gates:

* the input product leaves the loop: one GEMM for the whole sequence or, for
  characters, a ``(vocab_size, gates * units)`` table whose rows are gathered;
* the backward loop holds one GEMM as well, and the gradient of the recurrent kernel
  is one large GEMM over all steps instead of a sum made at each of them;
* bf16, where asked for, touches the GEMMs, what goes in and what comes out, and
  nothing else.

Between its two ends a layer is time-major: a step's slice of a saved tensor is then
contiguous and costs nothing.

The gradient, in the notation of Cho et al. (2014) as Keras' ``reset_after`` reads
it, with ``x'`` the input products, ``U`` the recurrent kernel and ``*`` elementwise::

    z_t = sigmoid(x'_z + U_z h_{t-1})        r_t = sigmoid(x'_r + U_r h_{t-1})
    q_t = U_n h_{t-1} + b_n                  n_t = tanh(x'_n + r_t * q_t)
    h_t = z_t * h_{t-1} + (1 - z_t) * n_t

With ``dv`` for the loss' derivative by ``v`` and ``da`` for the one by the argument
of ``v``'s nonlinearity, the chain rule from the last step to the first gives::

    dh_t     = (from the output) + (from step t + 1)
    da_n     = dh_t * (1 - z_t) * (1 - n_t^2)
    da_z     = dh_t * (h_{t-1} - n_t) * z_t * (1 - z_t)
    da_r     = da_n * q_t * r_t * (1 - r_t)
    dq       = da_n * r_t
    dh_{t-1} = dh_t * z_t + U^T [da_z, da_r, dq]
    dx'      = [da_z, da_r, da_n]      dU = sum_t [da_z, da_r, dq] h_{t-1}^T

and for the LSTM of Gers et al. (2000), Keras' gate order i, f, g, o::

    c_t = f_t * c_{t-1} + i_t * g_t          h_t = o_t * tanh(c_t)
    dc_t     = (from step t + 1) + dh_t * o_t * (1 - tanh^2(c_t))
    da_i     = dc_t * g_t * i_t * (1 - i_t)
    da_f     = dc_t * c_{t-1} * f_t * (1 - f_t)
    da_g     = dc_t * i_t * (1 - g_t^2)
    da_o     = dh_t * tanh(c_t) * o_t * (1 - o_t)
    dc_{t-1} = dc_t * f_t                    dh_{t-1} = U^T [da_i, da_f, da_g, da_o]

References:
    Werbos (1990), Backpropagation through time. https://doi.org/10.1109/5.58337
    Cho et al. (2014), eq. 5-8. https://arxiv.org/abs/1406.1078
    Gers, Schmidhuber & Cummins (2000). https://doi.org/10.1162/089976600300015015
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import tensorflow as tf

Tensor: TypeAlias = Any  # tensorflow ships no types
Shape: TypeAlias = Sequence[int | None]


def _matmul(a: Tensor, b: Tensor, dtype: str, **transpose: bool) -> Tensor:
    """``a @ b`` with operands in ``dtype`` and the result in float32."""
    return tf.cast(
        tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **transpose), tf.float32
    )


def _flat(x: Tensor) -> Tensor:
    return tf.reshape(x, [-1, x.shape[-1]])


def _stacks(*sizes: Tensor) -> tuple[tf.TensorArray, ...]:
    return tuple(
        tf.TensorArray(tf.float32, size=size, clear_after_read=False) for size in sizes
    )


def _write(
    stacks: tuple[tf.TensorArray, ...],
    steps: Sequence[Tensor],
    values: Sequence[Tensor],
) -> tuple[tf.TensorArray, ...]:
    rows = zip(stacks, steps, values, strict=True)
    return tuple(stack.write(step, value) for stack, step, value in rows)


class _Layout:
    """Which way round a step's tensors lie, and the few operations that care.

    Rows, ``(B, F)``, or columns, ``(F, B)``. Shapes in comments are those of rows.
    """

    def __init__(self, *, columns: bool, dtype: str) -> None:
        self.columns = columns
        self.axis = 0 if columns else 1
        self.dtype = dtype

    def turn(self, x: Tensor) -> Tensor:
        """Between rows and this layout, either way: swap the last two axes."""
        return tf.linalg.matrix_transpose(x) if self.columns else x

    def along(self, bias: Tensor) -> Tensor:
        """A bias that adds to each row's features."""
        return bias[:, None] if self.columns else bias

    def split(self, x: Tensor, sizes: int | list[int]) -> list[Tensor]:
        """The blocks of units that lie side by side in ``x``: their number or sizes."""
        blocks: list[Tensor] = tf.split(x, sizes, axis=self.axis)
        return blocks

    def concat(self, blocks: Sequence[Tensor]) -> Tensor:
        """The undoing of `split`."""
        return tf.concat(blocks, axis=self.axis)

    def operand(self, kernel: Tensor, *, transposed: bool = False) -> Tensor:
        """A kernel ``(in, out)``, or its transpose, made ready for `product`."""
        # Transposed once: products with transpose_b run at a quarter of the speed.
        kernel = tf.cast(kernel, self.dtype)
        return tf.transpose(kernel) if transposed != self.columns else kernel

    def product(self, x: Tensor, operand: Tensor) -> Tensor:
        """Each row of ``x`` times the kernel that ``operand`` was made from."""
        pair = (operand, x) if self.columns else (x, operand)
        return _matmul(*pair, self.dtype)


def _inputs(source: Tensor, ids: Tensor | None, layout: _Layout) -> Tensor:
    """Input products of all steps: rows of the table per id, or as they are."""
    return layout.turn(source if ids is None else tf.gather(source, ids))


def _kept(keep: Tensor | None, step: Tensor, *states: Tensor) -> Any:
    """States, or their gradients, as far as a step keeps what came before it.

    Args:
        keep: 1 where a step keeps the state, 0 where it begins from zeros, in the
            layout of the states; None: every step keeps it.
        step: Which one.
        states: Each in that layout.
    """
    kept = states if keep is None else tuple(state * keep[step] for state in states)
    return kept if len(kept) > 1 else kept[0]


def _turned(keep: Tensor | None, layout: _Layout) -> Tensor | None:
    return None if keep is None else layout.turn(keep)


def _gru_forward(
    source: Tensor,
    ids: Tensor | None,
    states: list[Tensor],
    kernel: Tensor,
    bias: Tensor,
    keep: Tensor | None,
    *,
    layout: _Layout,
) -> list[Tensor]:
    """Run the GRU; rows of h (with the first state), then h, [z, r], n, q stacked."""
    units = kernel.shape[0]
    inputs = _inputs(source, ids, layout)  # (T, B, 3H)
    steps = tf.shape(inputs)[0]
    operand, bias = layout.operand(kernel), layout.along(bias)
    first, keep = layout.turn(states[0]), _turned(keep, layout)

    def body(step: Tensor, h: Tensor, stacks: Any) -> tuple[Tensor, Tensor, Any]:
        h = _kept(keep, step, h)
        x_zr, x_n = layout.split(inputs[step], [2 * units, units])
        u_zr, u_n = layout.split(layout.product(h, operand), [2 * units, units])
        zr = tf.sigmoid(x_zr + u_zr)  # (B, 2H)
        z, r = layout.split(zr, 2)
        q = u_n + bias
        n = tf.tanh(x_n + r * q)
        h = n + z * (h - n)
        stacks = _write(stacks, (step + 1, step, step, step), (h, zr, n, q))
        return step + 1, h, stacks

    hs, *rest = _stacks(steps + 1, steps, steps, steps)
    stacks = (hs.write(0, first), *rest)
    _, _, stacks = tf.while_loop(
        lambda step, *_: step < steps,
        body,
        (0, first, stacks),
        maximum_iterations=steps,
    )
    saved = [stack.stack() for stack in stacks]
    return [layout.turn(saved[0]), *saved]


def _gru_backward(
    saved: list[Tensor],
    d_outputs: Tensor,
    d_states: list[Tensor],
    kernel: Tensor,
    keep: Tensor | None,
    *,
    layout: _Layout,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Gradients: first states, [da_z, da_r, dq] and da_n of every step."""
    hs, zrs, ns, qs = saved
    d_outputs, keep = layout.turn(d_outputs), _turned(keep, layout)
    steps = tf.shape(d_outputs)[0]
    operand = layout.operand(kernel, transposed=True)

    def body(step: Tensor, d_h: Tensor, stacks: Any) -> tuple[Tensor, Tensor, Any]:
        z, r = layout.split(zrs[step], 2)
        n = ns[step]
        d_h += d_outputs[step]
        d_n = d_h * (1 - z) * (1 - n * n)
        d_z = d_h * (_kept(keep, step, hs[step]) - n) * z * (1 - z)
        d_r = d_n * qs[step] * r * (1 - r)
        d_gates = layout.concat([d_z, d_r, d_n * r])  # (B, 3H)
        d_h = _kept(keep, step, d_h * z + layout.product(d_gates, operand))
        return step - 1, d_h, _write(stacks, (step, step), (d_gates, d_n))

    _, d_h, stacks = tf.while_loop(
        lambda step, *_: step >= 0,
        body,
        (steps - 1, layout.turn(d_states[0]), _stacks(steps, steps)),
        maximum_iterations=steps,
    )
    d_gates, d_n = (layout.turn(stack.stack()) for stack in stacks)
    return [layout.turn(d_h)], d_gates, d_n


def _lstm_forward(
    source: Tensor,
    ids: Tensor | None,
    states: list[Tensor],
    kernel: Tensor,
    keep: Tensor | None,
    *,
    layout: _Layout,
) -> list[Tensor]:
    """Run the LSTM; rows of h and c (with the first states), then c, [i, f, g, o]."""
    inputs = _inputs(source, ids, layout)  # (T, B, 4H)
    steps = tf.shape(inputs)[0]
    operand, keep = layout.operand(kernel), _turned(keep, layout)
    first = [layout.turn(state) for state in states]

    def body(
        step: Tensor, h: Tensor, c: Tensor, stacks: Any
    ) -> tuple[Tensor, Tensor, Tensor, Any]:
        h, c = _kept(keep, step, h, c)
        gates = inputs[step] + layout.product(h, operand)
        i, f, g, o = layout.split(gates, 4)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        gates = layout.concat([i, f, g, o])  # (B, 4H)
        stacks = _write(stacks, (step + 1, step + 1, step), (h, c, gates))
        return step + 1, h, c, stacks

    hs, cs, gates = _stacks(steps + 1, steps + 1, steps)
    stacks = (hs.write(0, first[0]), cs.write(0, first[1]), gates)
    _, _, c, stacks = tf.while_loop(
        lambda step, *_: step < steps,
        body,
        (0, *first, stacks),
        maximum_iterations=steps,
    )
    hs, cs, gates = (stack.stack() for stack in stacks)
    return [layout.turn(hs), layout.turn(c), cs, gates]


def _lstm_backward(
    saved: list[Tensor],
    d_outputs: Tensor,
    d_states: list[Tensor],
    kernel: Tensor,
    keep: Tensor | None,
    *,
    layout: _Layout,
) -> tuple[list[Tensor], Tensor]:
    """Gradients: first states, and [da_i, da_f, da_g, da_o] of every step."""
    cs, gates = saved
    d_outputs, keep = layout.turn(d_outputs), _turned(keep, layout)
    steps = tf.shape(d_outputs)[0]
    operand = layout.operand(kernel, transposed=True)

    def body(
        step: Tensor, d_h: Tensor, d_c: Tensor, stacks: Any
    ) -> tuple[Tensor, Tensor, Tensor, Any]:
        i, f, g, o = layout.split(gates[step], 4)
        tanh_c = tf.tanh(cs[step + 1])
        d_h += d_outputs[step]
        d_c += d_h * o * (1 - tanh_c * tanh_c)
        d_i = d_c * g * i * (1 - i)
        d_f = d_c * _kept(keep, step, cs[step]) * f * (1 - f)
        d_g = d_c * i * (1 - g * g)
        d_o = d_h * tanh_c * o * (1 - o)
        d_gates = layout.concat([d_i, d_f, d_g, d_o])  # (B, 4H)
        d_h, d_c = _kept(keep, step, layout.product(d_gates, operand), d_c * f)
        return step - 1, d_h, d_c, _write(stacks, (step,), (d_gates,))

    _, d_h, d_c, stacks = tf.while_loop(
        lambda step, *_: step >= 0,
        body,
        (steps - 1, *(layout.turn(state) for state in d_states), _stacks(steps)),
        maximum_iterations=steps,
    )
    d_first = [layout.turn(d_h), layout.turn(d_c)]
    return d_first, layout.turn(stacks[0].stack())


@cache  # the splits of a batch, and layers of one shape, share a compilation
def _compiled(function: Callable[..., Any], scan_impl: str, dtype: str) -> Any:
    layout = _Layout(columns=scan_impl == "columns", dtype=dtype)
    function = partial(function, layout=layout)
    return function if scan_impl == "loop" else tf.function(function, jit_compile=True)


def _kernel_gradient(
    hs: Tensor, d_gates: Tensor, keep: Tensor | None, dtype: str
) -> Tensor:
    """One GEMM over all steps: sum_t h_{t-1}^T dgates_t."""
    before = hs[:-1] if keep is None else hs[:-1] * keep
    return _matmul(_flat(before), _flat(d_gates), dtype, transpose_a=True)


def _table_gradient(ids: Tensor, vocab_size: int, d_rows: Tensor) -> Tensor:
    """Sum the gradients of the gathered rows by id.

    The same bits come out each time: the resumed runs of the tests rest on it.
    """
    flat_ids = tf.reshape(ids, [-1])
    return tf.math.unsorted_segment_sum(_flat(d_rows), flat_ids, vocab_size)


def project(x: Tensor, kernel: Tensor, bias: Tensor, dtype: str = "float32") -> Tensor:
    """``x @ kernel + bias``, with gradients arranged to run fast.

    TensorFlow's own gradient of a product with a small side (a vocabulary of 66)
    takes two to three times as long: it multiplies by a transposed view where a
    transposed copy is cheap, and leaves the small side in the wrong place.

    Args:
        x: ``(..., in)``, float32.
        kernel: ``(in, out)``.
        bias: ``(out,)``.
        dtype: Of the GEMMs' operands.

    Returns:
        ``(..., out)``, float32.
    """
    kernel, bias = tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def rows(x: Tensor, kernel: Tensor, bias: Tensor) -> Any:
        def grad(d_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            d_x = _matmul(d_y, tf.transpose(kernel), dtype)
            if kernel.shape[1] < kernel.shape[0]:
                d_kernel = tf.transpose(_matmul(d_y, x, dtype, transpose_a=True))
            else:
                d_kernel = _matmul(x, d_y, dtype, transpose_a=True)
            return d_x, d_kernel, tf.reduce_sum(d_y, axis=0)

        return tf.nn.bias_add(_matmul(x, kernel, dtype), bias), grad

    y = rows(_flat(x), kernel, bias)
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], axis=0))


def simple_scan(
    inputs: Tensor, state: Tensor, kernel: Tensor, keep: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """A simple RNN that begins from zeros where it is told to.

    Args:
        inputs: Input products and bias, ``(T, B, H)``.
        state: The first, ``(B, H)``.
        kernel: The recurrent one.
        keep: ``(T, B, 1)``, 0 where a step begins from a zero state, else 1.

    Returns:
        Outputs ``(T, B, H)`` and the final states, one.
    """

    def step(h: Tensor, given: tuple[Tensor, Tensor]) -> Tensor:
        x, kept = given
        return tf.tanh(x + (h * kept) @ kernel)

    outputs = tf.scan(step, (inputs, keep), state)
    return outputs, [outputs[-1]]


def gru_scan(
    source: Tensor,
    ids: Tensor | None,
    states: list[Tensor],
    weights: tuple[Tensor, Tensor],
    keep: Tensor | None = None,
    *,
    dtype: str,
    scan_impl: str,
) -> tuple[Tensor, list[Tensor]]:
    """Outputs ``(T, B, H)`` and final states, with the gradient of the module.

    Args:
        source: Input products ``(T, B, 3H)``, or the table of them.
        ids: ``(T, B)``, which rows of the table; None without one.
        states: ``[h]``, ``(B, H)``.
        weights: Recurrent kernel and the candidate's recurrent bias.
        keep: ``(T, B, 1)``, 0 where a step begins from a zero state, else 1.
        dtype: Of the GEMMs' operands.
        scan_impl: One of `choices.SCAN_IMPLS`.
    """
    kernel, bias = weights
    zr = 2 * kernel.shape[0]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def scan(source: Tensor, h: Tensor, kernel: Tensor, bias: Tensor) -> Any:
        forward = _compiled(_gru_forward, scan_impl, dtype)
        hs, *saved = forward(source, ids, [h], kernel, bias, keep)

        def grad(d_outputs: Tensor, d_last: Tensor) -> tuple[Tensor, ...]:
            backward = _compiled(_gru_backward, scan_impl, dtype)
            (d_h,), d_gates, d_n = backward(saved, d_outputs, [d_last], kernel, keep)
            d_kernel = _kernel_gradient(hs, d_gates, keep, dtype)
            d_bias = tf.reduce_sum(d_gates[:, :, zr:], axis=[0, 1])
            if ids is None:
                d_source = tf.concat([d_gates[:, :, :zr], d_n], axis=2)
            else:
                d_zrq = _table_gradient(ids, source.shape[0], d_gates)
                d_n = _table_gradient(ids, source.shape[0], d_n)
                d_source = tf.concat([d_zrq[:, :zr], d_n], axis=1)
            return d_source, d_h, d_kernel, d_bias

        return (hs[1:], hs[-1]), grad

    outputs, last = scan(source, states[0], kernel, bias)
    return outputs, [last]


def lstm_scan(
    source: Tensor,
    ids: Tensor | None,
    states: list[Tensor],
    kernel: Tensor,
    keep: Tensor | None = None,
    *,
    dtype: str,
    scan_impl: str,
) -> tuple[Tensor, list[Tensor]]:
    """Outputs ``(T, B, H)`` and final states, with the gradient of the module.

    Arguments as those of `gru_scan`, but that there is no bias.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def scan(source: Tensor, h: Tensor, c: Tensor, kernel: Tensor) -> Any:
        forward = _compiled(_lstm_forward, scan_impl, dtype)
        hs, last_c, *saved = forward(source, ids, [h, c], kernel, keep)

        def grad(d_outputs: Tensor, *d_last: Tensor) -> tuple[Tensor, ...]:
            backward = _compiled(_lstm_backward, scan_impl, dtype)
            d_states, d_gates = backward(saved, d_outputs, list(d_last), kernel, keep)
            d_kernel = _kernel_gradient(hs, d_gates, keep, dtype)
            if ids is None:
                return d_gates, *d_states, d_kernel
            d_table = _table_gradient(ids, source.shape[0], d_gates)
            return d_table, *d_states, d_kernel

        return (hs[1:], hs[-1], last_c), grad

    outputs, *last = scan(source, *states, kernel)
    return outputs, last
