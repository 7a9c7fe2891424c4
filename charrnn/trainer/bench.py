"""Time this machine: this package beside stock Keras, and loss against seconds.

`steps` times the training step of TensorFlow's tutorial as written and of this
package, each in a process of its own, in turn, so that a machine whose speed
drifts is fair to both. `quality` trains a preset as a person would and gives the
validation loss at the seconds since the command began.
"""

import dataclasses
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

import charrnn
from charrnn.config import ModelConfig
from charrnn.errors import TrainingError
from charrnn.hosting import policy
from charrnn.machine import NEEDED_TO_TRAIN, child_environment
from charrnn.model import checkpoint, record, scores
from charrnn.presets import from_preset
from charrnn.runs import store
from charrnn.runs.events import Validation
from charrnn.runs.history import read_view
from charrnn.text import corpus, sources
from charrnn.trainer.choices import choose_gemm_dtype
from charrnn.trainer.network import KerasNetwork
from charrnn.trainer.process import keep_memory, quiet_start

VOCAB_SIZE: Final = 66
EMBEDDING_DIM: Final = 256
BATCH_SIZE: Final = 64
SEQ_LENGTH: Final = 100
UNITS: Final = (256, 512, 1024)
ROUNDS: Final = 5
ROUND_SECONDS: Final = 0.7
COLD_WINDOWS: Final = (256, 64)


@dataclass(frozen=True)
class StepRow:
    """One size: characters a second of both, and what the machine could do."""

    units: int
    parameters: int
    stock_chars_per_second: float
    chars_per_second: float
    ratio: float  # median of the rounds' own ratios
    matmul_fp32_gflops: float
    matmul_bf16_gflops: float
    share_of_fp32: float  # of the multiply rate, by the whole step
    stock_peak_mb: float
    peak_mb: float


def flops_per_character(units: int) -> float:
    """Of a whole step of the tutorial's model: six for each weight of a matrix.

    Two forward (multiply, add) and four backward. The embedding's lookup and
    the biases are left out: 24.0 million at 1024 units.
    """
    weights = EMBEDDING_DIM * 3 * units + units * 3 * units + units * VOCAB_SIZE
    return 6.0 * weights


def _stock(units: int) -> Any:
    """The tutorial's model, as written there."""
    model = keras.Sequential(
        [
            keras.layers.Embedding(VOCAB_SIZE, EMBEDDING_DIM),
            keras.layers.GRU(units, return_sequences=True),
            keras.layers.Dense(VOCAB_SIZE),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss)
    return model


def _ours(units: int) -> Any:
    config = ModelConfig(
        embedding_dim=EMBEDDING_DIM, rnn_units=units, vocab_size=VOCAB_SIZE
    )
    keep_memory()
    network = KerasNetwork(config, gemm_dtype=choose_gemm_dtype(units))
    network.start_training(BATCH_SIZE)
    network.compile(optimizer=keras.optimizers.AdamW(1e-3, global_clipnorm=1.0))
    return network


def _worker(kind: str, units: int, connection: Connection) -> None:
    """Make so many steps as are asked for; answer with their seconds."""
    model = {"stock": _stock, "ours": _ours}[kind](units)
    ids = np.random.default_rng(0).integers(
        1, VOCAB_SIZE, (BATCH_SIZE, SEQ_LENGTH + 1), dtype=np.int32
    )
    inputs, targets = tf.constant(ids[:, :-1]), tf.constant(ids[:, 1:])
    while count := connection.recv():
        started = time.perf_counter()
        for _ in range(count):
            model.train_on_batch(inputs, targets)
        connection.send(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kilobyte = 1 if platform.system() == "Darwin" else 1024
    connection.send((peak * kilobyte / 1e6, int(model.count_params())))


class _TimedProcess:
    """One of the two processes that are timed in turn."""

    def __init__(self, kind: str, units: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_worker, args=(kind, units, other))
        with quiet_start():
            self.process.start()
        other.close()  # so that a worker that dies ends the wait
        self.times: list[float] = []  # seconds a step, round by round
        self.run(2)  # traces
        self.count = max(1, round(ROUND_SECONDS / self.run(2)))

    def run(self, count: int) -> float:
        """Seconds a step."""
        self.pipe.send(count)
        return float(self.pipe.recv()) / count

    def close(self) -> tuple[float, int]:
        """End the process; its peak memory in MB and its parameters."""
        self.pipe.send(0)
        peak, parameters = self.pipe.recv()
        self.process.join()
        return peak, parameters


def matmul_gflops(units: int, dtype: str, *, seconds: float = 0.5) -> float:
    """Rate of ``(64 x units) @ (units x 3 units)`` through `tf.matmul`."""
    a = tf.cast(tf.random.stateless_normal((BATCH_SIZE, units), (1, 2)), dtype)
    b = tf.cast(tf.random.stateless_normal((units, 3 * units), (3, 4)), dtype)
    repeats = 20

    @tf.function  # type: ignore[untyped-decorator]
    def many() -> Any:
        # each product needs the one before it, as in a recurrent layer
        x = a
        for _ in range(repeats):
            x = tf.matmul(x, b)[:, :units] * tf.cast(1e-2, dtype)
        return x

    many()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        many().numpy()
        best = min(best, (time.perf_counter() - started) / repeats)
    return 2 * BATCH_SIZE * units * 3 * units / best / 1e9


def steps(
    units: tuple[int, ...] = UNITS, *, log: Callable[[str], None] = lambda text: None
) -> list[StepRow]:
    """Time training steps, ours and stock Keras', in turn.

    Args:
        units: Sizes to time.
        log: Called with a line at each size.
    """
    rows = []
    for size in units:
        log(f"timing {size} units ...")
        stock, ours = _TimedProcess("stock", size), _TimedProcess("ours", size)
        for _ in range(ROUNDS):
            for side in (stock, ours):
                side.times.append(side.run(side.count))
        stock_peak, _ = stock.close()
        peak, parameters = ours.close()
        characters = BATCH_SIZE * SEQ_LENGTH
        speed = characters / statistics.median(ours.times)
        rate = matmul_gflops(size, "float32")
        ratios = [a / b for a, b in zip(stock.times, ours.times, strict=True)]
        rows.append(
            StepRow(
                units=size,
                parameters=parameters,
                stock_chars_per_second=characters / statistics.median(stock.times),
                chars_per_second=speed,
                ratio=statistics.median(ratios),
                matmul_fp32_gflops=rate,
                matmul_bf16_gflops=matmul_gflops(size, "bfloat16"),
                share_of_fp32=speed * flops_per_character(size) / (rate * 1e9),
                stock_peak_mb=stock_peak,
                peak_mb=peak,
            )
        )
    return rows


def machine() -> dict[str, str]:
    """The processor, cores and versions that the figures are valid for."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "gemm_dtype": choose_gemm_dtype(1024),
        "charrnn": charrnn.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


@dataclass(frozen=True)
class QualityRow:
    """One validation: when it was there, and how good."""

    seconds: float  # since the command began
    step: int
    val_loss: float
    cold: dict[str, float | None]  # by window length


def quality(
    preset: str,
    name: str = "shakespeare",
    *,
    settings: dict[str, Any] | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> list[QualityRow]:
    """Train a preset as a person would; score each kept model afterwards.

    Args:
        preset: A key of `charrnn.presets.PRESETS`.
        name: The text.
        settings: Settings on top of the preset.
        log: Called with a line at the first step and at each validation.

    Raises:
        TrainingError: If the training failed.
    """
    from_preset(preset, settings or {}, vocab_size=2)  # refuse a typo at once
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = _train_and_keep(folder, preset, name, settings or {}, log)
        return [_score(folder, name, *item) for item in kept]


def _train_and_keep(
    folder: Path,
    preset: str,
    name: str,
    settings: dict[str, Any],
    log: Callable[[str], None],
) -> list[tuple[float, int, float]]:
    options = [f"--{k.replace('_', '-')}={v}" for k, v in settings.items()]
    command = [sys.executable, "-m", "charrnn", "train", "--id", "run"]
    started, path = time.time(), folder / "run"
    process = subprocess.Popen(
        [*command, "--corpus", name, "--preset", preset, *options],
        cwd=store.PACKAGE_ROOT,
        env={**child_environment(*NEEDED_TO_TRAIN), "CHARRNN_CHECKPOINTS": str(folder)},
        stderr=subprocess.DEVNULL,
    )
    kept: list[tuple[float, int, float]] = []
    begun = False
    waiting: list[Validation] = []
    while process.poll() is None or waiting:
        view = read_view(path)
        if view.steps.size and not begun:
            begun = True
            log(f"{time.time() - started:6.1f} s  step {view.steps[0]:6,}")
        waiting = [v for v in view.validations if v.best][len(kept) :]
        if waiting and _is_kept(path, waiting[0].step):
            event = waiting.pop(0)
            shutil.copy(_trained(path), folder / f"{event.step}.st")
            seconds = event.time - started
            kept.append((seconds, event.step, event.val_loss))
            log(f"{seconds:6.1f} s  step {event.step:6,}  {event.val_loss:.4f}")
        elif process.poll() is not None:
            break
        time.sleep(0.05)
    if process.returncode != 0:
        raise TrainingError(f"The training ended with code {process.returncode}.")
    return kept


def _is_kept(path: Path, step: int) -> bool:
    figures = checkpoint.read_record(path).figures
    return figures is not None and figures.kept_step >= step


def _trained(path: Path) -> Path:
    """The kept weights, not those whose logits a run scales at its end."""
    aside = path / store.STATE / store.BEST_FILE
    return aside if aside.exists() else path / record.WEIGHTS


def _score(
    folder: Path, name: str, seconds: float, step: int, val_loss: float
) -> QualityRow:
    path = folder / "run"
    shutil.copy(folder / f"{step}.st", path / record.WEIGHTS)
    model = checkpoint.load(path)
    text = sources.load(name, max_bytes=policy().max_text_bytes).text
    split = corpus.split_at(len(text), model.record.corpus.split)
    ids = model.vocabulary.encode(text[split:])
    cold = {str(w): scores.cold(model, ids, window=w) for w in COLD_WINDOWS}
    return QualityRow(seconds, step, val_loss, cold)


def as_json(rows: list[StepRow] | list[QualityRow]) -> dict[str, Any]:
    """The figures with the machine that they are valid for."""
    return {
        "machine": machine(),
        "batch_size": BATCH_SIZE,
        "seq_length": SEQ_LENGTH,
        "rows": [dataclasses.asdict(row) for row in rows],
    }
