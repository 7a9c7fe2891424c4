"""A run's events in other tools: what arrives, and that none can end a run."""

import importlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.cli.parser import main
from charrnn.errors import ConfigError
from charrnn.runs import trackers
from charrnn.runs.events import EventLog
from charrnn.runs.trackers import Tracker
from tests.builders import make_event, make_folder, make_record, varied_text

LIBRARY = """
import json, pathlib
def Table(columns, data):
    return dict(zip(columns, data[0]))
class Run:
    def log(self, values, step):
        {log}
        with pathlib.Path({path!r}).open("a") as file:
            file.write(json.dumps([step, values]) + "\\n")
    def finish(self):
        pass
def init(**given):
    print("a greeting")
    return Run()
"""


@pytest.fixture
def run_folder(isolated: Path) -> Path:
    folder = make_folder(isolated / "sea", make_record())
    log = EventLog(folder)
    for kind, step, fields in (
        ("started", 0, {}),
        ("step", 10, {"loss": 3.0}),
        ("step", 20, {"loss": 2.5}),
        ("validation", 20, {"val_loss": 2.25}),
        ("sample", 20, {}),
        ("validation", 15, {"val_loss": 9.0, "scheduled": False}),
        ("resumed", 15, {}),
        ("baseline", 15, {}),
        ("step", 20, {"loss": 2.75}),
        ("validation", 20, {"val_loss": 2.5}),
        ("sample", 20, {"text": " sand\n<b>"}),
        ("ended", 20, {}),
    ):
        log.append(make_event(kind, step, **fields))
    return folder


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a module called wandb, whose calls end in a file or as told."""
    (tmp_path / "lib").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "lib")
    path = tmp_path / "calls"

    def make(log: str = "pass") -> Path:
        code = LIBRARY.replace("{log}", log).replace("{path!r}", repr(str(path)))
        (tmp_path / "lib" / "wandb.py").write_text(code)
        importlib.invalidate_caches()
        return path

    yield make
    sys.modules.pop("wandb", None)


def test_what_counts_of_a_history_arrives(run_folder, library, capfd):
    path = library()
    assert main(["export-log", "sea", "--to", "wandb"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "a greeting\n8 events of sea are in wandb now\n"
    calls = [json.loads(line) for line in path.read_text().splitlines()]
    told = {"learning_rate": 0.01, "chars_per_second": 1000.0, "epoch": 1}
    assert calls == [
        [10, {"loss": 3.0, **told}],
        [15, {"5_gram_loss": 1.75}],
        [20, {"loss": 2.75, **told}],
        [20, {"val_loss": 2.5}],
        [20, {"sample": {"temperature": 0.8, "prompt": "the", "text": " sand\n<b>"}}],
    ]


def test_a_tool_that_fails_ends_no_training(library, isolated, capfd):
    library("raise RuntimeError('no network')")
    text = isolated.parent / "sea.txt"
    text.write_text(varied_text(3000))
    sizes = ["--rnn-units", "8", "--embedding-dim", "4", "--seq-length", "20"]
    trained = ["train", "--corpus", str(text), *sizes, "--epochs", "1", "--id", "sea"]
    assert main([*trained, "--log", "wandb"]) == 0
    err = capfd.readouterr().err
    assert "finished after step" in err
    assert "note: wandb failed and gets nothing more (RuntimeError: no network)" in err


def test_a_tool_that_wants_to_end_the_program_ends_nothing(run_folder, library):
    library("raise SystemExit(3)")
    said: list[str] = []
    tracker = Tracker("wandb", run_folder, make_record(), say=said.append)
    for event in trackers.whole_history(run_folder):
        tracker(event)
    tracker.close()
    assert tracker.failed
    assert said == ["note: wandb failed and gets nothing more (SystemExit: 3)"]


def test_a_tool_that_hangs_is_waited_for_and_left(run_folder, library, monkeypatch):
    library("import threading; threading.Event().wait()")
    monkeypatch.setattr(trackers, "PATIENCE", 0.2)
    said: list[str] = []
    tracker = Tracker("wandb", run_folder, make_record(), say=said.append)
    for event in trackers.whole_history(run_folder):
        tracker(event)
    tracker.close()
    assert said == ["note: wandb does not end: it may lack the last events"]


def test_a_missing_library_and_a_hosted_page_are_refused(run_folder, monkeypatch):
    monkeypatch.setitem(trackers.LIBRARIES, "wandb", "charrnn_has_no_such_module")
    with pytest.raises(ConfigError, match=r"not installed: `pip install charrnn_has"):
        trackers.check("wandb")
    assert main(["train", "--corpus", "shakespeare", "--log", "wandb"]) == 2
    assert main(["export-log", "sea", "--to", "wandb"]) == 2
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setitem(trackers.LIBRARIES, "wandb", "json")
    with pytest.raises(ConfigError, match="hosted page"):
        trackers.check("wandb")


def test_trackio_keeps_a_run_offline(run_folder, tmp_path):
    pytest.importorskip("trackio")
    code = (
        "import sys; from charrnn.cli.parser import main; sys.exit(main(sys.argv[1:]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "export-log", "sea", "--to", "trackio"],
        env={
            **os.environ,
            "TRACKIO_DIR": str(tmp_path / "trackio"),
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    (database,) = (tmp_path / "trackio").rglob("*.db")
    with sqlite3.connect(database) as found:
        rows = found.execute(
            "SELECT run_name, step, metrics FROM metrics ORDER BY id"
        ).fetchall()
    assert {name for name, _, _ in rows} == {"sea"}
    numbers = [(step, json.loads(metrics)) for _, step, metrics in rows]
    assert [s for s, _ in numbers] == [10, 15, 20, 20, 20]
    assert numbers[0][1]["loss"] == 3.0
    assert numbers[3][1] == {"val_loss": 2.5}


def test_tensorboard_gets_its_files(run_folder):
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    assert main(["export-log", "sea", "--to", "tensorboard"]) == 0
    (written,) = (run_folder / trackers.LOG_FOLDER).iterdir()
    data, found = written.read_bytes(), {}
    while data:  # length, its checksum, the event, its checksum
        size = int.from_bytes(data[:8], "little")
        event = event_pb2.Event.FromString(data[12 : 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        data = data[16 + size :]
    assert found["loss"] == [(10, 3.0), (20, 2.75)]
    assert found["val_loss"] == [(20, 2.5)]
    assert "sample/text_summary" in found
