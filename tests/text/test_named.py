"""A text is a named one by its hash, whatever it is called."""

import dataclasses
import json
import platform

import pytest

from charrnn import card
from charrnn.cli.parser import main
from charrnn.runs import control, preparation
from charrnn.runs.store import slug
from charrnn.text.corpus import decode, from_text
from charrnn.text.named import NAMED, library_name, named_key, own_name, shown_name
from charrnn.text.sources import cache_folder, load
from charrnn.ui import api
from tests.builders import make_folder, make_record, varied_text

OTHER = "0" * 64
SHAKESPEARE = NAMED["shakespeare"].sha256
CLAIMS = [
    *("shakespeare", "Shakespeare", " Tiny  Shakespeare ", "python-stdlib"),
    *("shake\u200bspeare", "\uff33hakespeare", "python\u00ad-stdlib"),
    *("Python's standard library", "python-stdlib (Python 3.12.1)"),
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_text_that_only_claims_to_be_a_named_one_is_a_text(claim):
    text = varied_text(600)
    assert own_name(claim, OTHER) == "text"
    assert from_text(text, name=claim, max_bytes=10**6).name == "text"
    assert decode(text.encode(), name=claim, max_bytes=10**6).name == "text"


@pytest.mark.parametrize("name", ["shakespeare.txt", "my python-stdlib", "pasted", "x"])
def test_other_names_stay(name):
    found = from_text(varied_text(600), name=name, max_bytes=10**6)
    assert found.name == name


def test_a_file_called_like_a_named_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shakespeare").write_text(varied_text(600))
    assert load("./shakespeare", max_bytes=10**6).name == "text"


def test_the_hash_decides():
    assert named_key("anything", SHAKESPEARE) == "shakespeare"
    assert own_name("shakespeare", SHAKESPEARE) == "shakespeare"
    assert own_name("plays.txt", SHAKESPEARE) == "plays.txt"
    assert named_key("shakespeare", OTHER) is None
    assert shown_name("shakespeare", OTHER) == "text"
    assert shown_name("novel.txt", OTHER) == "novel.txt"
    assert named_key("", "") is None


def test_shakespeare_is_shakespeare_under_any_name():
    path = cache_folder() / "shakespeare.txt"
    if not path.is_file():
        pytest.skip("Shakespeare is not in the cache")
    pasted = from_text(path.read_text(encoding="utf-8"), name="p", max_bytes=2_000_000)
    assert named_key(pasted.name, pasted.sha256) == "shakespeare"


def test_pythons_library_is_named_with_its_version():
    found = load("python-stdlib", max_bytes=200_000)
    assert found.name == f"python-stdlib (Python {platform.python_version()})"
    assert named_key(found.name, found.sha256) == "python-stdlib"
    assert shown_name(found.name, found.sha256) == found.name == library_name()
    assert named_key("python-stdlib", found.sha256) is None
    again = from_text(found.text, name=found.name, max_bytes=10**6)
    assert again.name == "text"


@pytest.mark.parametrize(
    ("name", "sha256", "shown", "kind", "corpus"),
    [
        ("shakespeare", SHAKESPEARE, "shakespeare", "shakespeare", "shakespeare"),
        ("plays.txt", SHAKESPEARE, "plays.txt", "shakespeare", "shakespeare"),
        ("shakespeare", OTHER, "text", "text", "YOUR-TEXT.txt"),
        ("Tiny Shakespeare", OTHER, "text", "text", "YOUR-TEXT.txt"),
        ("python-stdlib", OTHER, "text", "text", "YOUR-TEXT.txt"),
        ("My novel", OTHER, "My novel", "my_novel", "YOUR-TEXT.txt"),
        (library_name(), OTHER, library_name(), "python_stdlib", "python-stdlib"),
    ],
)
def test_a_card_names_a_text_as_far_as_it_is_known(name, sha256, shown, kind, corpus):
    record = make_record()
    record = dataclasses.replace(
        record, corpus=dataclasses.replace(record.corpus, name=name, sha256=sha256)
    )
    text = card.card(record, samples={})
    assert f"      name: {card._yaml(shown)}\n      type: {card._yaml(kind)}\n" in text
    assert f"--corpus {corpus} " in card.command_of(record)


def test_a_run_on_a_claimed_text_gets_neither_its_name_nor_its_title():
    corpus = from_text(varied_text(3000), name="shakespeare", max_bytes=10**6)
    prepared = preparation.prepare(corpus, preset="quick", settings={"rnn_units": 8})
    path = control.create(prepared)
    assert path.name == "text-quick"
    library = load("python-stdlib", max_bytes=200_000)
    path = control.create(preparation.prepare(library, preset="quick"))
    assert path.name == "python-stdlib-quick"


def test_lists_for_programs_say_what_the_hash_proves(isolated, capsys):
    record = make_record()
    for name in ("shakespeare", "My novel"):
        corpus = dataclasses.replace(record.corpus, name=name, sha256=OTHER)
        make_folder(isolated / slug(name), dataclasses.replace(record, corpus=corpus))
    # one's own folder stands in place of the project's
    shown = {"shakespeare": "text", "my-novel": "My novel"}
    shown["python"] = "python-stdlib (Python 3.11.7)"  # the shipped one
    assert {one["id"]: one["corpus"] for one in api.models()} == shown
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["id"]: one["corpus"] for one in listed} == shown
