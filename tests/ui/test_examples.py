import dataclasses

from charrnn.runs import listing
from charrnn.runs.events import EventLog
from charrnn.text.named import NAMED
from charrnn.ui import examples, generate_form
from tests.builders import ENGLISH, HOSTILE, make_event, make_folder, make_record


def entry_of(name):
    (entry,) = [one for one in listing.models() if one.model_id == name]
    return entry


def test_each_named_text_has_three():
    assert examples.EXAMPLES.keys() == NAMED.keys()
    assert all(len(some) == examples.COUNT for some in examples.EXAMPLES.values())


def test_a_run_has_those_of_its_latest_sample_and_another_model_none(isolated):
    make_folder(isolated / "m", make_record())
    folder = make_folder(isolated / "r", make_record())
    (folder / "state").mkdir()
    (folder / "state" / "corpus.txt").touch()
    assert examples.examples_of(entry_of("r")) == ()
    log = EventLog(folder)
    log.append(make_event("sample", 1, prompt="old", text="older"))
    text = "rest of it\na ship sails out to sea\n\n a ship sails on\nthe sand\nhal"
    log.append(make_event("sample", 2, prompt="the sea\n", text=text))
    found = examples.examples_of(entry_of("r"))
    assert found == ("the sea\n", "a ship sails", "the sand")
    assert examples.examples_of(entry_of("m")) == ()
    assert generate_form.show_examples(ENGLISH, "m") == ""
    shown = generate_form.show_examples(ENGLISH, "r")
    assert shown.count('data-act="example"') == 3
    assert 'data-prompt="the sea\n"' in shown


def test_a_named_text_is_known_by_its_hash(isolated):
    record = make_record()
    corpus = dataclasses.replace(record.corpus, sha256=NAMED["shakespeare"].sha256)
    make_folder(isolated / "m", dataclasses.replace(record, corpus=corpus))
    assert examples.examples_of(entry_of("m")) == examples.EXAMPLES["shakespeare"]


def test_a_strangers_beginning_stays_a_text():
    for text in HOSTILE:
        shown = examples.example_chips("en", (text,))
        assert shown.count("<") == 4  # the group, a button, and both ends
        assert shown.count(">") == 4
