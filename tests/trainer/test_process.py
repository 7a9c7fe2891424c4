"""What a trainer's process does before TensorFlow is there."""

import os
import subprocess
import sys

import pytest

from charrnn import hosting

PRODUCT = """
import time
from charrnn.trainer.process import quiet_start
with quiet_start():
    import tensorflow as tf
a = tf.ones((1500, 1500))
tf.matmul(a, a)
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(20):
    b = tf.matmul(a, a)
b.numpy()
print((time.process_time() - cpu) / (time.perf_counter() - wall))
"""


def test_a_training_takes_its_share_of_the_cores(monkeypatch) -> None:
    cores = os.cpu_count() or 1
    assert hosting.training_threads() == cores
    monkeypatch.setenv("CHARRNN_AT_ONCE", "64")
    assert hosting.training_threads() == max(1, cores // 64)
    if hosting.training_threads() > 1:
        pytest.skip("more than 64 cores")
    result = subprocess.run(
        [sys.executable, "-c", PRODUCT], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 1.2  # processor seconds a second
