"""Zips: out with what was asked for, in only as any stranger's folder."""

import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from charrnn.errors import CharrnnError, CheckpointError, RunError
from charrnn.hosting import Visitor
from charrnn.model import checkpoint
from charrnn.model.record import PUBLIC_FILES
from charrnn.runs import control, owner, preparation, store
from charrnn.runs.events import EventLog
from charrnn.runs.packing import pack, unpack
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text.corpus import Corpus
from tests.builders import make_event, make_folder, make_record

SHOWN = {"config.json", "vocab.json", "model.safetensors"}


@pytest.fixture
def model(isolated: Path) -> Path:
    return make_folder(isolated / "m", make_record(title="Sea songs"))


@pytest.fixture
def untrained(small_corpus: Corpus) -> Path:
    """A run that has its text and nothing else yet."""
    prepared = preparation.prepare(
        small_corpus, settings={"rnn_units": 8, "minutes": 90}
    )
    path = control.create(prepared, model_id="begun")
    EventLog(path).append(make_event("ended", reason="stopped"))
    return path


def names_in(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as packed:
        return set(packed.namelist())


def here(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_comes_back_as_it_was(model, tmp_path, isolated):
    pack(model, tmp_path / "m.zip", state=False, text=False)
    assert names_in(tmp_path / "m.zip") == SHOWN
    taken = unpack(tmp_path / "m.zip", isolated)
    assert (taken.model_id, taken.title, taken.is_run) == ("sea-songs", "Sea songs", 0)
    assert unpack(tmp_path / "m.zip", isolated).model_id == "sea-songs-2"
    assert unpack(tmp_path / "m.zip", isolated, model_id="own").model_id == "own"
    for name in SHOWN:
        assert (taken.path / name).read_bytes() == (model / name).read_bytes()
    for wanted in ("own", "../out", "shakespeare"):
        with pytest.raises(RunError, match=r"taken|cannot be an id"):
            unpack(tmp_path / "m.zip", isolated, model_id=wanted)
    assert here(isolated) == ["m", "own", "sea-songs", "sea-songs-2"]


def test_a_folder_that_was_packed_by_hand_is_taken_in(model, tmp_path, isolated):
    source = tmp_path / "by-hand.zip"
    with zipfile.ZipFile(source, "w") as packed:
        packed.writestr("My songs/", b"")
        for name in SHOWN:
            packed.write(model / name, f"My songs/{name}")
        packed.writestr("My songs/.DS_Store", b"")
        packed.writestr("__MACOSX/My songs/._config.json", b"")
    taken = unpack(source, isolated)
    assert here(taken.path) == sorted(SHOWN)
    for name in SHOWN:
        assert (taken.path / name).read_bytes() == (model / name).read_bytes()
    assert taken.notices[0].startswith("2 files of the zip left out")
    with zipfile.ZipFile(source, "a") as packed:
        packed.write(model / "config.json", "other/config.json")
    with pytest.raises(CheckpointError, match="it has no config"):
        unpack(source, isolated)


def test_what_is_packed_is_what_was_asked_for(trained, tmp_path):
    os.utime(trained / "config.json", (0, 0))  # older than any zip can say
    state = {"state/state.safetensors", "state/best.safetensors"}
    shown = {*SHOWN, "README.md", "events.jsonl"}
    for index, (asked, names) in enumerate(
        [
            ((False, False), shown),
            ((True, False), shown | state),
            ((False, True), shown | {"state/corpus.txt"}),
            ((True, True), shown | state | {"state/corpus.txt"}),
        ]
    ):
        target = tmp_path / f"{index}.zip"
        pack(trained, target, state=asked[0], text=asked[1])
        assert names_in(target) == names
    with pytest.raises(RunError, match="choose another name"):
        pack(trained, target, state=False, text=False)
    with store.hold(trained), pytest.raises(RunError, match="stop it first"):
        pack(trained, tmp_path / "live.zip", state=True, text=False)
    with pytest.raises(CheckpointError, match="cannot be written"):
        pack(trained, tmp_path / "none" / "x.zip", state=False, text=False)
    assert here(tmp_path) == ["0.zip", "1.zip", "2.zip", "3.zip", "checkpoints"]


def test_a_model_has_neither_state_nor_text_to_pack(model, tmp_path):
    for asked in ({"state": True, "text": False}, {"state": False, "text": True}):
        with pytest.raises(RunError, match="pack it without"):
            pack(model, tmp_path / "m.zip", **asked)


def test_a_run_without_its_state_is_not_resumed(trained, tmp_path, isolated):
    pack(trained, tmp_path / "t.zip", state=False, text=True)
    taken = unpack(tmp_path / "t.zip", isolated)
    assert (taken.is_run, taken.can_go_on) == (True, False)
    with pytest.raises(RunError, match="no saved state"):
        control.request_resume(taken.path, more_epochs=1)


def test_a_state_without_its_text_is_left_out(trained, tmp_path, isolated):
    pack(trained, tmp_path / "s.zip", state=True, text=False)
    taken = unpack(tmp_path / "s.zip", isolated)
    assert not (taken.path / "state").exists()
    assert not taken.is_run
    (notice,) = taken.notices
    assert "without its text" in notice


def test_a_history_ends_where_it_was_packed(untrained, tmp_path, isolated):
    EventLog(untrained).append(make_event("started"))
    with store.hold(untrained):
        pack(untrained, tmp_path / "r.zip", state=False, text=True)
    taken = unpack(tmp_path / "r.zip", isolated)
    assert read_status(taken.model_id).state is RunState.STOPPED
    control.request_resume(taken.path)


def test_a_hosted_page_gives_a_key_of_its_own_and_its_limits(
    untrained, tmp_path, isolated, monkeypatch
):
    owner_file = untrained / "state" / "owner"
    owner_file.write_text('{"key_sha256": "stolen"}')
    target = tmp_path / "r.zip"
    pack(untrained, target, state=False, text=True)
    assert "state/owner" not in names_in(target)
    with zipfile.ZipFile(target, "a") as packed:
        packed.write(owner_file, "state/owner")
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    who = owner.new_owner(Visitor("session", "192.0.2.1"), page=True)
    taken = unpack(target, isolated, owner=who)
    assert store.HOSTED_PATTERN.fullmatch(taken.model_id)
    assert owner.is_owner(taken.path, who.key)
    assert "state/owner" in taken.notices[-1]
    assert checkpoint.read_record(taken.path).training.minutes == 30
    before = here(isolated)
    for variable, value, told in (
        ("CHARRNN_RUNS_PER_VISITOR", "1", "1 of your runs are kept here"),
        ("CHARRNN_MAX_PARAMETERS", "1000", "at most 1,000 are taken in here"),
        ("CHARRNN_MAX_TEXT_MB", "0.005", "at most 5,000 are taken"),
        ("CHARRNN_MAX_ZIP_MB", "0.001", "at most 0.001 MB"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            with pytest.raises(CharrnnError, match=told):
                unpack(target, isolated, owner=who)
    assert here(isolated) == before


def test_a_model_of_too_many_parameters_is_not_taken_in(
    model, tmp_path, isolated, monkeypatch
):
    target = tmp_path / "m.zip"
    pack(model, target, state=False, text=False)
    before = here(isolated)
    monkeypatch.setenv("CHARRNN_MAX_PARAMETERS", "1000")
    with pytest.raises(CheckpointError, match="at most 1,000 are taken in here"):
        unpack(target, isolated)
    assert here(isolated) == before


def repacked(target: Path, source: Path, **changed: bytes | None) -> None:
    """The zip of a model, files replaced, added or (None) left out."""
    with zipfile.ZipFile(target, "w") as packed:
        for path in source.rglob("*"):
            name = path.relative_to(source).as_posix()
            if path.is_file() and name not in changed:
                packed.write(path, name)
        for name, data in changed.items():
            if data is not None:
                packed.writestr(name, data)


def linked(target: Path, kind: int) -> None:
    info = zipfile.ZipInfo("README.md")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(target, "a") as packed:
        packed.writestr(info, "/etc/passwd")


def in_directory(data: bytes, name: str, offset: int, value: bytes) -> bytes:
    """A zip with other bytes in the directory's entry of a file."""
    place = data.rindex(name.encode()) - 46 + offset
    return data[:place] + value + data[place + len(value) :]


def changed_weights(model: Path) -> bytes:
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    return bytes(weights)


def huge_config(model: Path) -> bytes:
    content = json.loads((model / "config.json").read_text())
    content["model"]["rnn_units"] = 10**9
    return json.dumps(content).encode()


def twice(target: Path) -> None:
    with zipfile.ZipFile(target, "a") as packed:
        packed.writestr("config.json", "{}")


def long_directory(data: bytes) -> bytes:
    place = data.rindex(b"PK\x05\x06") + 12
    return data[:place] + b"\xff\xff\xff\x00" + data[place + 4 :]


FILES = {  # of the model: other ones (None: left out)
    "traversal": lambda _: {"../../evil.txt": b"x"},
    "inner traversal": lambda _: {"state/../../evil.txt": b"x"},
    "windows": lambda _: {"..\\evil.txt": b"x"},
    "absolute": lambda _: {"/tmp/evil.txt": b"x"},
    "drive": lambda _: {"C:evil.txt": b"x"},
    "many": lambda _: {f"{index}.txt": b"" for index in range(10_000)},
    "too many": lambda _: {f"{index}.txt": b"" for index in range(150)},
    "no weights": lambda _: {"model.safetensors": None},
    "no config": lambda _: {"config.json": None},
    "weights": lambda model: {"model.safetensors": changed_weights(model)},
    "config": lambda model: {"config.json": huge_config(model)},
    "large": lambda _: {"config.json": b" " * 70_000},
    "text": lambda _: {"state/corpus.txt": b"another text"},
}
ENTRIES = {  # one more entry
    "link": lambda target: linked(target, stat.S_IFLNK),
    "device": lambda target: linked(target, stat.S_IFCHR),
    "twice": twice,
}
BYTES = {
    "encrypted": lambda data: in_directory(data, "config.json", 8, b"\x01\x00"),
    "method": lambda data: in_directory(data, "config.json", 10, b"\x0e\x00"),
    "no zip": lambda _: b"\x89PNG" + bytes(1000),
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "long directory": long_directory,
}


def hostile(kind: str, target: Path, model: Path) -> None:
    repacked(target, model, **FILES.get(kind, lambda _: {})(model))
    ENTRIES.get(kind, lambda _: None)(target)
    target.write_bytes(BYTES.get(kind, bytes)(target.read_bytes()))


KINDS = {
    "traversal": "leads out of its folder",
    "inner traversal": "leads out of its folder",
    "windows": "leads out of its folder",
    "absolute": "leads out of its folder",
    "drive": "leads out of its folder",
    "many": "more than 100 files",
    "too many": "more than 100 files",
    "link": "a link or a device",
    "device": "a link or a device",
    "twice": "is in it twice",
    "encrypted": "without a password",
    "method": "another method than deflate",
    "no zip": "it is damaged",
    "cut": "it is damaged",
    "empty": "it is damaged",
    "long directory": "it is damaged|more than 100",
    "no weights": "neither weights nor a text",
    "no config": "has no config.json",
    "weights": "does not match the SHA-256",
    "config": "rnn_units",
    "large": "at most 65,536",
    "text": "not the text that the run began with",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_zip_is_a_sentence_and_leaves_nothing(
    kind, model, tmp_path, isolated
):
    target = tmp_path / "h.zip"
    hostile(kind, target, model)
    before = sorted(p for p in tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=KINDS[kind]) as caught:
        unpack(target, isolated)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("'h.zip' is no zip that can be taken in: ")
    assert sorted(p for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("declared", [50, 300_000])
def test_a_bomb_with_a_lying_size_is_not_unpacked(model, tmp_path, isolated, declared):
    target = tmp_path / "bomb.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("config.json", "vocab.json", "model.safetensors"):
            packed.write(model / name, name)
        packed.writestr("events.jsonl", bytes(50_000_000))
    data = in_directory(
        target.read_bytes(), "events.jsonl", 24, struct.pack("<I", declared)
    )
    target.write_bytes(data)
    with pytest.raises(CheckpointError, match="it is damaged"):
        unpack(target, isolated)
    assert here(isolated) == ["m"]


def test_a_bomb_that_says_so_is_refused(model, tmp_path, isolated, monkeypatch):
    monkeypatch.setenv("CHARRNN_MAX_ZIP_MB", "1")
    target = tmp_path / "bomb.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("config.json", "vocab.json", "model.safetensors"):
            packed.write(model / name, name)
        packed.writestr("events.jsonl", bytes(999_999))
    with pytest.raises(CheckpointError, match=r"unpacked, it has 1\.0 MB"):
        unpack(target, isolated)
    assert here(isolated) == ["m"]


def test_other_files_are_left_out_and_told(model, tmp_path, isolated):
    target = tmp_path / "m.zip"
    others = {"train.log": b"x", "lock": b"", "stop": b"", "\x1b[1m.txt": b""}
    repacked(target, model, **others)
    taken = unpack(target, isolated)
    assert set(here(taken.path)) == SHOWN <= set(PUBLIC_FILES)
    (notice,) = taken.notices
    assert notice.startswith("4 files of the zip left out, as none of a model's:")
    assert "'train.log'" in notice
    assert "\x1b" not in notice


def test_a_missing_zip_is_told(tmp_path, isolated):
    for name in ("none.zip", "checkpoints"):
        with pytest.raises(CheckpointError, match="there is no such file"):
            unpack(tmp_path / name, isolated)
