"""What version 0.1.0 wrote is read, written with, scored, and trained to its end."""

import json
import shutil
import struct
from pathlib import Path

import pytest
import safetensors.numpy

from charrnn.cli.parser import main
from charrnn.model import checkpoint
from charrnn.model.record import Figures, Machine, parse_record
from charrnn.runs import control
from charrnn.runs.events import EventLog
from charrnn.runs.history import read_view
from charrnn.runs.status import read_status
from charrnn.trainer import train
from charrnn.trainer.session import Progress, _state_variables, open_session, read_state

FIXTURES = Path(__file__).parent.parent / "fixtures" / "v1"
# of the same run without a stop, by version 0.1.0
VAL_LOSSES = {160: 1.442844, 200: 1.225996, 240: 1.125730, 272: 1.089417}
TEXT = "rsa t sae ott oin stta la ia rit rst sntw ia rstt sta  sea o"


@pytest.fixture
def stopped(isolated: Path) -> Path:
    """The run that was stopped, where runs are looked for."""
    return Path(shutil.copytree(FIXTURES / "stopped", isolated / "stopped"))


def without_hash(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    assert "sha256" not in metadata
    return metadata


def test_the_shipped_record_has_its_odd_fields_in_their_places() -> None:
    data = (FIXTURES / "shipped" / "config.json").read_bytes()
    assert json.loads(data)["format_version"] == 1
    record = parse_record(data, old_license=lambda: "apache-2.0")
    assert record.scan_impl == "xla"
    assert record.machine == Machine(architecture="x86_64", cores=2)
    assert record.license == "apache-2.0"
    assert record.training.scheduled_sampling == 0  # which came later
    assert record.figures == Figures(
        val_loss=1.4156818935098834,
        cold256_val_loss=1.4315472562432905,
        kept_step=9800,
        total_steps=None,
        seconds=1921.8,
    )
    assert list(record.versions) == [
        *("charrnn", "tensorflow", "keras", "numpy", "python")
    ]
    again = json.loads(record.to_json())
    assert again["format_version"] == 2
    assert parse_record(record.to_json().encode()) == record


def test_a_record_of_version_1_without_what_may_be_absent() -> None:
    content = json.loads((FIXTURES / "shipped" / "config.json").read_bytes())
    content |= {"figures": None, "versions": {"charrnn": "0.1.0", "cores": "many"}}
    record = parse_record(json.dumps(content).encode())
    assert (record.figures, record.scan_impl, record.machine) == (None, None, None)
    assert (record.license, record.versions) == (None, {"charrnn": "0.1.0"})


def test_the_licence_comes_from_the_card(stopped: Path) -> None:
    assert checkpoint.read_record(stopped).license is None
    card = stopped / "README.md"
    text = card.read_text("utf-8")
    for ends in ("\n", "\r\n"):
        licensed = text.replace("---\n", "---\nlicense: mit\n", 1).replace("\n", ends)
        card.write_bytes(licensed.encode())
        assert checkpoint.read_record(stopped).license == "mit"
    checkpoint.save_record(stopped, checkpoint.read_record(stopped))
    card.unlink()
    assert checkpoint.read_record(stopped).license == "mit"


def test_it_writes_and_scores_as_it_did(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--length", "60", "--temperature", "0.8", "--seed", "1")
    assert main(["generate", "stopped", "--prompt", "sea ", *options]) == 0
    assert capsys.readouterr().out.rstrip("\n") == TEXT
    text = str(stopped / "state" / "corpus.txt")
    assert main(["evaluate", "stopped", "--corpus", text, "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["nats_per_char"] == pytest.approx(1.7018392951954564, abs=1e-6)


def test_its_state_is_taken_wholly(stopped: Path) -> None:
    state = stopped / "state" / "state.safetensors"
    progress = Progress.from_json(without_hash(state)["progress"])
    assert (progress.step, progress.best_step, progress.factor) == (130, 120, 0.9)
    saved = safetensors.numpy.load_file(state)
    best = (stopped / "state" / "best.safetensors").read_bytes()
    session = open_session(stopped, EventLog(stopped))
    assert session.progress == progress
    variables = _state_variables(session.network)
    assert variables.keys() == saved.keys()
    for name, variable in variables.items():
        assert variable.numpy().tobytes() == saved[name].tobytes(), name
    # the weights of the stop gave way to those an uninterrupted run would have
    kept = checkpoint.load(stopped)
    for name, array in safetensors.numpy.load(best).items():
        assert kept.weights[name].tobytes() == array.tobytes()
    assert kept.record.figures is not None
    assert kept.record.figures.kept_step == 120
    assert kept.record.scan_impl == "loop"


def test_it_is_trained_to_its_end_and_is_of_version_2_then(stopped: Path) -> None:
    control.request_resume(stopped)
    assert train.train(stopped) == "finished"
    told = read_view(stopped).validations
    found = {event.step: event.val_loss for event in told if event.step > 130}
    assert found == pytest.approx(VAL_LOSSES, rel=5e-3)
    assert [event.step for event in told if event.step < 130] == [40, 80, 120]
    assert read_status("stopped").state == "finished"
    content = json.loads((stopped / "config.json").read_text("utf-8"))
    assert content["format_version"] == 2
    assert (content["figures"]["kept_step"], content["figures"]["total_steps"]) == (
        *(272, 272),
    )
    checkpoint.load(stopped)
    state = read_state(stopped)
    assert state is not None
    assert state.progress.step == 272
    for path in (stopped / "model.safetensors", stopped / "state/state.safetensors"):
        with safetensors.safe_open(path, "numpy") as file:
            assert len(file.metadata()["sha256"]) == 64
