"""What a training uses where nothing else was asked for, by its sizes and processor.

Each choice is a function of what it is given, and a run keeps what was chosen: its
numbers depend on it. The measurements behind the limits stand in
`docs/experiments.md`.
"""

from pathlib import Path
from typing import Final

GEMM_DTYPES: Final = ("float32", "bfloat16")
SCAN_IMPLS: Final = ("xla", "columns", "loop")
BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm


def choose_gemm_dtype(units: int, *, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Choose the dtype of the GEMMs' operands: the fastest that is worth it here.

    bf16 pays where the processor multiplies it natively and the product is large
    enough to outweigh the casts. Elsewhere TensorFlow emulates it, slowly. It costs
    no quality that three seeds could show.

    Args:
        units: Units of the layer.
        cpuinfo: Where Linux lists the processor's features. A system without it
            gets float32.

    Returns:
        One of `GEMM_DTYPES`.
    """
    if units < 128 or not cpuinfo.is_file():
        return "float32"
    for line in cpuinfo.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return "bfloat16" if BF16_FLAGS & set(value.split()) else "float32"
    return "float32"


def choose_scan_impl(units: int, gemm_dtype: str) -> str:
    """Choose how the scan over time is implemented.

    ``xla`` is compiled by XLA, a step's tensors in rows, ``(B, H)``; ``columns`` is
    compiled too, a step's tensors turned, ``(H, B)``; ``loop`` is a plain graph loop,
    in rows.

    XLA fuses the gates, and its fp32 products are the faster ones at this shape; it
    takes one to two seconds longer to the first step, and from 32 units down gains
    nothing. Its bf16 products are slower than TensorFlow's. Turned, the gates of a
    step are contiguous and the recurrent kernel is the left factor, which pays where
    the product is large; turning costs more than it gains where it is small.

    Args:
        units: Units of the layer.
        gemm_dtype: One of `GEMM_DTYPES`.

    Returns:
        One of `SCAN_IMPLS`.
    """
    if gemm_dtype != "float32" or units < 64:
        return "loop"
    return "columns" if units >= 512 else "xla"


def choose_num_splits(units: int, batch_size: int | None) -> int:
    """Choose into how many splits of the batch, scanned side by side.

    A product of a small layer is too short to be shared well among threads, and
    the gates run on one. Two independent halves keep two cores busy; with large
    layers, products of half the rows lose more than this gains.

    Args:
        units: Units of the layer.
        batch_size: Rows; None: not known when the graph is made.

    Returns:
        1 or 2.
    """
    halves = batch_size is not None and batch_size >= 16 and batch_size % 2 == 0
    return 2 if halves and 64 <= units <= 640 else 1
