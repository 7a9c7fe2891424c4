"""What a process of ours inherits."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from charrnn.hub import transfer
from charrnn.machine import NEEDED_TO_TRAIN, child_environment
from charrnn.runs import control

SECRETS = {
    "HF_TOKEN": "hf_secret",
    "OAUTH_CLIENT_SECRET": "sesame",
    "AWS_SECRET_ACCESS_KEY": "sesame",
    "DATABASE_URL": "postgres://sesame",
    "MY_PASSWORD": "sesame",
    "HF_TOKEN_PATH": "/sesame",
}


def inherited(environment: dict[str, str]) -> dict[str, str]:
    """The variables that a process sees which is started with an environment."""
    shown = subprocess.run(
        [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(json.loads(shown))


def test_a_planted_secret_reaches_no_process_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHARRNN_CACHE", "/needed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for environment in (
        child_environment(*NEEDED_TO_TRAIN),
        transfer._environment(tmp_path),
    ):
        seen = inherited(environment)
        assert seen["CHARRNN_CACHE"] == "/needed"
        assert seen["PATH"] == os.environ["PATH"]
        assert not SECRETS.keys() & seen.keys()
        assert not [value for value in seen.values() if "sesame" in value]


def test_what_a_process_needs_beside_is_named() -> None:
    given = {"LC_ALL": "C", "OMP_NUM_THREADS": "1", "HF_ENDPOINT": "x", "OMPX": "y"}
    assert child_environment(environ=given) == {"LC_ALL": "C"}
    training = child_environment(*NEEDED_TO_TRAIN, environ=given)
    assert training == {"LC_ALL": "C", "OMP_NUM_THREADS": "1"}


def test_a_trainer_is_started_without_what_was_planted(
    monkeypatch: pytest.MonkeyPatch, isolated: Path
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    seen = psutil.Process(control._detach(isolated / "none", ["models"])).environ()
    assert seen["CHARRNN_CHECKPOINTS"] == str(isolated)
    assert seen["CUDA_VISIBLE_DEVICES"] == "-1"
    assert not SECRETS.keys() & seen.keys()
    assert "sesame" not in json.dumps(seen)


@pytest.mark.parametrize(
    ("niceness", "batch"), [(5, False), (19, True)], ids=["local", "hosted"]
)
def test_a_trainer_gives_way(niceness: int, batch: bool) -> None:
    code = (
        "import os, sys; from charrnn.machine import give_way; "
        f"give_way({niceness}); "
        "batch = hasattr(os, 'SCHED_BATCH') and os.sched_getscheduler(0) == "
        "os.SCHED_BATCH; "
        "sys.stdout.write(f'{os.nice(0)} {batch}')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    ).stdout
    nice, is_batch = said.split()
    assert int(nice) == min(19, os.nice(0) + niceness)
    assert is_batch == str(batch and hasattr(os, "SCHED_BATCH"))


ARRAYS = """
import psutil, sys
from charrnn import machine
if "given back" in sys.argv:
    machine.give_back_large_arrays()
process = psutil.Process()
before = process.memory_info().rss
bytearray(24 << 20)  # from which glibc learns that as much is nothing large
arrays = [bytearray(8 << 20) for _ in range(10)]
behind = bytearray(100_000)
arrays.clear()
print((process.memory_info().rss - before) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc keeps them")
def test_memory_of_large_arrays_is_given_back() -> None:
    kept = {
        how: int(subprocess.check_output([sys.executable, "-c", ARRAYS, how]))
        for how in ("given back", "as it is")
    }
    assert kept["given back"] < 8  # MB
    assert kept["as it is"] > 40  # what this is for
