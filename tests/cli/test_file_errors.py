"""Errors of files are sentences, as root too: full disks are limits of a process."""

import pytest

from charrnn.cli.parser import main
from charrnn.errors import CheckpointError, HubError
from charrnn.files import write_file
from charrnn.hub import push, transfer
from charrnn.runs import store
from charrnn.trainer.session import read_state
from tests.builders import make_folder, make_record


def told(capfd: pytest.CaptureFixture[str]) -> str:
    err = capfd.readouterr().err
    assert "Traceback" not in err
    return err


def test_a_score_without_a_window_says_so(isolated, tmp_path, capfd):
    make_folder(isolated / "m", make_record())
    text = tmp_path / "text.txt"
    text.write_text("ab c\n" * 40)
    command = ["evaluate", "m", "--corpus", str(text), "--split", "all"]
    assert main(command) == 0
    out, err = capfd.readouterr()
    assert "None" not in out
    assert "cold256" not in out
    assert "no window of 256 characters fits: 199 are predicted" in err
    assert main([*command, "--window", "100"]) == 0
    assert "cold100_nats_per_char" in capfd.readouterr().out


def test_a_push_without_a_temporary_folder_is_told(isolated, tmp_path, monkeypatch):
    folder = make_folder(isolated / "m", make_record())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    connection = transfer.Connection(token="hf_" + "a" * 30)
    with pytest.raises(HubError, match="temporary folder cannot be written") as caught:
        push.push_model(folder, "a/b", connection)
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_that_is_gone_does_not_ask_for_space(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        write_file(tmp_path / "none" / "x", b"")
    assert "No such file or directory): choose a folder that is there." in str(
        caught.value
    )
    assert "space" not in str(caught.value)


def test_a_run_that_cannot_be_changed_is_not_resumed(trained, capfd):
    (trained / store.STOP).mkdir()  # no more to be removed than on a read-only disk
    assert main(["train", "--resume", trained.name, "--epochs", "1"]) == 2
    assert "sea cannot be changed (Is a directory)" in told(capfd)


def test_a_state_that_may_not_be_read_is_not_called_damaged(trained):
    state = trained / "state" / "state.safetensors"
    state.unlink()
    state.symlink_to("x" * 300)
    with pytest.raises(CheckpointError) as caught:
        read_state(trained)
    assert "cannot be read (File name too long): make it readable" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_any_other_error_of_a_file_is_a_sentence(isolated, capfd, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "/private/place/lock")

    make_folder(isolated / "m", make_record())
    monkeypatch.setattr("charrnn.cli.commands.models", fail)
    assert main(["models"]) == 2
    err = told(capfd)
    assert err == "charrnn: 'lock' cannot be read or written (Read-only file system).\n"
