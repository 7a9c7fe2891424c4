"""Where models and runs are kept, in a checkout and where charrnn is installed."""

import sys
from pathlib import Path

import pytest

from charrnn.errors import RunError
from charrnn.hosting import Policy
from charrnn.runs import queue, store


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel's models beside the code, and a home that has never seen charrnn."""
    models = tmp_path / "charrnn" / "_models"
    models.mkdir(parents=True)
    monkeypatch.setattr(store, "INSTALLED_MODELS", models)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CHARRNN_CHECKPOINTS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return models


def test_a_checkout_keeps_its_runs_beside_the_shipped_model(monkeypatch) -> None:
    monkeypatch.delenv("CHARRNN_CHECKPOINTS")
    expected = Path(__file__).parents[2] / "checkpoints"
    assert (store.folder(), store.shipped_folder()) == (expected, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder of another name")
def test_an_installed_program_keeps_its_runs_with_the_user(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.shipped_folder() == installed
    assert store.folder() == tmp_path / "home/.local/share/charrnn/checkpoints"
    monkeypatch.setenv("CHARRNN_CHECKPOINTS", str(tmp_path / "elsewhere"))
    assert store.folder() == tmp_path / "elsewhere"


def test_without_a_home_folder_one_is_asked_for(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "nowhere")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)  # of no user
    with pytest.raises(RunError, match="set CHARRNN_CHECKPOINTS"):
        store.folder()


def test_the_disk_is_measured_before_anything_lies_there(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    assert not store.folder().exists()
    queue.check_disk()
    monkeypatch.setattr(Policy, "min_free_bytes", 10**18)
    with pytest.raises(RunError, match="disk of this page is full"):
        queue.check_disk()
