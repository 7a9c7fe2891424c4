"""What the tests share: who runs which, folders of their own, a text and its run."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from filelock import FileLock

from charrnn.hosting import LIMITS
from charrnn.runs import control, preparation
from charrnn.text import corpus
from charrnn.text.corpus import Corpus
from tests.builders import TINY, varied_text, with_baseline

# a background job of a script ignores Ctrl-C, and so would all that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)

# what takes longest, a worker's share each; then all others, short ones last
SLOWEST_FIRST = (
    "tests/browser/test_page.py",
    "tests/trainer/",
    "tests/browser/",
    "tests/cli/",
    "tests/hub/",
    "tests/ui/",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each core and one for the browser, which often waits; for files none.

    More than five would not have the memory: most of them load TensorFlow and Gradio.
    """
    if all(Path(argument.split("::")[0]).is_file() for argument in config.args):
        return 0
    return min(os.cpu_count() or 1, 4) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first, so that no worker is left alone with one."""

    def rank(item: pytest.Item) -> int:
        slow = [item.nodeid.startswith(start) for start in SLOWEST_FIRST]
        return slow.index(True) if any(slow) else len(slow)

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own checkpoints folder and is not on a hosted page."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(folder))
    limits = (limit.metadata["variable"] for limit in LIMITS)
    for name in ("CHARRNN_HOSTED", "SPACE_ID", *limits):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def small_corpus() -> Corpus:
    """6,000 characters: epochs of a few dozen steps."""
    return corpus.from_text(varied_text(6000), name="small", max_bytes=10**6)


@pytest.fixture(scope="session")
def trained_once(
    small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run, trained by the first worker that asks; nobody changes it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which all workers share
    finished = base / "trained"
    with FileLock(f"{finished}.lock"), pytest.MonkeyPatch.context() as patch:
        if not finished.exists():
            from charrnn.trainer import train  # TensorFlow, for those who need the run

            patch.setenv("CHARRNN_CHECKPOINTS", str(tmp_path_factory.mktemp("begun")))
            prepared = preparation.prepare(small_corpus, settings=TINY)
            folder = with_baseline(control.create(prepared))
            train.train(folder)
            folder.rename(finished)
    return finished


@pytest.fixture
def trained(trained_once: Path, isolated: Path) -> Path:
    """A finished run of the test's own, called sea."""
    return Path(shutil.copytree(trained_once, isolated / "sea"))
