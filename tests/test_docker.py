"""The Dockerfile as far as it can be tried without an engine, and the page it runs."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
STEPS = [
    line.split(maxsplit=1)
    for line in LINES.splitlines()
    if line and not line.startswith("#")
]
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def steps(name: str) -> list[str]:
    return [rest for step, rest in STEPS if step == name]


def health_command() -> list[str]:
    (check,) = steps("HEALTHCHECK")
    return list(json.loads(check.split(" CMD ", 1)[1]))


def test_its_base_is_one_version_that_the_package_supports() -> None:
    (base,) = steps("FROM")
    assert re.fullmatch(r"python:3\.(11|12|13)\.\d+-slim-\w+", base)


def test_it_runs_as_nobody_in_particular_on_the_known_port() -> None:
    (user,) = steps("USER")
    assert user not in ("root", "0")
    made = [line for line in steps("RUN") if "useradd" in line]
    assert any(re.search(rf"useradd .*\b{user}\b", line) for line in made)
    names = [step for step, _ in STEPS]
    assert names.index("USER") > max(i for i, n in enumerate(names) if n == "RUN")
    assert steps("EXPOSE") == ["7860"]
    assert ":7860/" in health_command()[-1]
    assert [json.loads(line) for line in steps("CMD")] == [["python", "app.py"]]


def test_it_installs_as_the_readme_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    installs = [line for line in steps("RUN") if line.startswith("pip")]
    assert installs
    for line in installs:
        assert f"\n{line}\n" in readme


def environment() -> dict[str, str]:
    return dict(
        part.split("=", 1) for line in steps("ENV") for part in shlex.split(line)
    )


def test_what_is_kept_lies_in_its_volume() -> None:
    (volume,) = steps("VOLUME")
    for name in ("CHARRNN_CHECKPOINTS", "CHARRNN_CACHE"):
        assert environment()[name].startswith(f"{volume}/")
    assert environment()["CHARRNN_HOSTED"] == "1"
    assert environment()["GRADIO_SERVER_NAME"] == "0.0.0.0"


def test_only_what_it_copies_is_sent_to_the_engine() -> None:
    copied = {source for line in steps("COPY") for source in line.split()[:-1]}
    for source in copied:
        assert (ROOT / source).exists(), source
    assert IGNORED[1] == "*"
    sent = {line[1:] for line in IGNORED if line.startswith("!")} - {"checkpoints"}
    assert sent == copied
    assert "checkpoints/*" in IGNORED  # before the shipped model, its one exception


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The page as a container has it: of the copied files alone."""
    for line in steps("COPY"):
        source, target = line.split()
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "state", "lock")
            shutil.copytree(ROOT / source, tmp_path / "app" / target, ignore=ignore)
        else:
            (tmp_path / "app").mkdir(exist_ok=True)
            shutil.copy(ROOT / source, tmp_path / "app" / target)
    (volume,) = steps("VOLUME")
    given = {
        name: value.replace(volume, str(tmp_path / "data"))
        for name, value in environment().items()
    }
    number = free_port()
    process = subprocess.Popen(
        [sys.executable, *json.loads(steps("CMD")[0])[1:]],
        cwd=tmp_path / "app",
        env={**os.environ, **given, "GRADIO_SERVER_PORT": str(number)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = process.stdout.readline()
    assert f":{number}" in started, started
    yield number
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def healthy(port: int) -> bool:
    command = [part.replace("7860", str(port)) for part in health_command()]
    return subprocess.run([sys.executable, *command[1:]], timeout=60).returncode == 0


def test_the_health_check_tells_a_page_from_none(port: int) -> None:
    assert healthy(port)
    started = time.monotonic()
    assert not healthy(free_port())
    assert time.monotonic() - started < 30
