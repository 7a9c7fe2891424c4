"""Keys of runs: who owns one, and what its folder keeps of that."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from charrnn.errors import RunError
from charrnn.hosting import Visitor
from charrnn.runs import control, owner, packing, preparation, store
from charrnn.text.corpus import Corpus

ALICE = Visitor("alice's session", "192.0.2.7")
BOB = Visitor("bob's session", "192.0.2.7")


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARRNN_HOSTED", "1")


def owned(text: Corpus, visitor: Visitor = ALICE) -> tuple[Path, owner.Owner]:
    who = owner.new_owner(visitor, page=True)
    assert who is not None
    prepared = preparation.prepare(text, settings={"rnn_units": 8})
    return control.create(prepared, owner=who), who


@pytest.mark.usefixtures("hosted")
def test_the_key_alone_opens_the_run(small_corpus: Corpus) -> None:
    path, who = owned(small_corpus)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", who.key)  # 32 bytes
    assert owner.is_owner(path, who.key)
    owner.check_owner(path, who.key)
    digest = json.loads((path / "state" / "owner").read_text())["key_sha256"]
    for wrong in ("", who.key[:-1], who.key.swapcase(), digest, path.name, "\ud800"):
        assert not owner.is_owner(path, wrong)
        with pytest.raises(RunError, match="for the run's owner"):
            owner.check_owner(path, wrong)


@pytest.mark.usefixtures("hosted")
@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"key_sha256": 1}', "null", "[" * 9]
)
def test_a_run_without_a_sound_owner_has_none(
    small_corpus: Corpus, content: str
) -> None:
    path, who = owned(small_corpus)
    (path / "state" / "owner").write_text(content)
    assert not owner.is_owner(path, who.key)
    assert not owner.is_owner(path, "")


@pytest.mark.usefixtures("hosted")
def test_nothing_in_the_folder_tells_key_visitor_or_address(
    small_corpus: Corpus, isolated: Path, tmp_path: Path
) -> None:
    path, who = owned(small_corpus)
    other, _ = owned(small_corpus, BOB)
    written = b"".join(p.read_bytes() for p in isolated.rglob("*") if p.is_file())
    for secret in (who.key, ALICE.key, ALICE.address):
        assert secret.encode() not in written
        assert secret not in repr(who)
    mine, theirs = owner.read(path), owner.read(other)
    assert mine is not None
    assert theirs is not None
    assert mine.address == theirs.address  # they count together
    assert mine.visitor != theirs.visitor
    with zipfile.ZipFile(packing.archive(path.name, tmp_path)) as file:
        assert not [name for name in file.namelist() if "state" in name]


def test_an_id_and_its_key_are_taken_apart_on_a_hosted_page_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "k" * 43
    assert owner.split(f"gru-v1.{key}") == (f"gru-v1.{key}", "")
    assert owner.new_owner(ALICE, page=True) is None
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    run_id = store.hosted_id()
    assert owner.split(f"{run_id}.{key}") == (run_id, key)
    assert owner.split(run_id) == (run_id, "")
    assert owner.split(f"{run_id}.{key}x") == (run_id, "")
    assert owner.split(f"{run_id}.") == (run_id, "")


def test_on_ones_own_computer_everybody_owns(small_corpus: Corpus) -> None:
    path = control.create(preparation.prepare(small_corpus))
    assert owner.is_owner(path, "")
    assert not (path / "state" / "owner").exists()


@pytest.mark.usefixtures("hosted")
def test_a_run_that_goes_on_counts_for_who_resumed_it(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, who = owned(small_corpus)
    monkeypatch.setattr(control, "spawn", lambda path: 0)  # no trainer
    before = owner.read(path)
    later = owner.Owner(who.key, Visitor("alice's next session", "192.0.2.8"))
    control.resume(path.name, owner=later)
    after = owner.read(path)
    assert before is not None
    assert after is not None
    assert before.key_sha256 == after.key_sha256
    assert before.visitor != after.visitor
    assert owner.is_owner(path, who.key)
