"""docs/formats.md says what the code does."""

import dataclasses
import re
from pathlib import Path

import pytest

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.model import checkpoint, snapshots
from charrnn.model.record import (
    FORMAT_VERSION,
    PUBLIC_FILES,
    CorpusRecord,
    Figures,
    Machine,
    Origin,
    Parent,
    Record,
    SweepRecord,
)
from charrnn.runs import events, store, trackers
from charrnn.runs.states import LIVE, RESUMABLE, EndReason, RunState
from charrnn.runs.status import START_GRACE
from charrnn.ui.stored import Stored, StoredText
from tests.builders import (
    EVENT_TYPES,
    make_event,
    make_folder,
    make_record,
    reduce,
    run_program,
)

TEXT = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
WORDS = {"string": "text", "boolean": "true or false", "integer": "whole number"}


def tables(heading):
    """The cells of each table under a heading, without the tables' heads."""
    (part,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    return [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in table.splitlines()[2:]
        ]
        for table in re.findall(r"(?:^\|.*\n)+", part, re.M)
    ]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def value_of(rule, definitions):
    """A field of the JSON schema in the document's words."""
    if "anyOf" in rule:
        return " or ".join(value_of(part, definitions) for part in rule["anyOf"])
    if "$ref" in rule:
        rule = definitions[rule["$ref"].rpartition("/")[2]]
    return WORDS.get(rule["type"], rule["type"])


def test_every_event_and_field_is_described_as_it_is_and_no_other():
    schema = events.SCHEMA.json_schema()
    expected = set()
    for kind, reference in schema["discriminator"]["mapping"].items():
        rules = schema["$defs"][reference.rpartition("/")[2]]
        own = rules["properties"].keys() - {"type", "time", "step"}
        for name in own:
            value = value_of(rules["properties"][name], schema["$defs"])
            optional = "" if name in rules["required"] else ", optional"
            expected.add((kind, name, value + optional))
        if not own:
            expected.add((kind, "", ""))
    common, described = tables(r"events\.jsonl")
    told = {
        (names(kind)[0], "".join(names(field)), value)
        for kind, field, value, _ in described
    }
    assert [names(row[0]) for row in common] == [["type"], ["time"], ["step"]]
    assert told == {row for row in expected if row[0] != "floor"}
    assert {row[0] for row in expected} == {*EVENT_TYPES, "floor"}
    assert len(told) == len(described)


def test_the_reasons_and_bounds_are_those_of_the_schema():
    (reason,) = [row for row in tables(r"events\.jsonl")[1] if "`reason`" in row[1]]
    assert names(reason[3]) == [end.value for end in EndReason]
    assert make_event("step", 2**53 - 1, loss=1e39).loss == 1e39
    for kind, step, fields in (
        *(("notice", 2**53, {}), ("step", 1, {"loss": 1.01e39})),
        *(("learning_rate", 1, {"factor": f}) for f in (0.0099, 100.1)),
    ):
        with pytest.raises(ValueError, match="1 validation error"):
            make_event(kind, step, **fields)


def test_what_a_resumed_event_takes_back_is_named():
    (sentence,) = re.findall(r"takes back\*\* every earlier (.*?)with", TEXT, re.S)
    assert names(sentence) == ["step", "validation", "sample", "checkpoint"]
    for kind in ("step", "validation", "sample"):
        view = reduce([make_event(kind, 5), make_event("resumed", 4)])
        assert (view.steps.size, view.validations, view.samples) == (0, (), ())


def test_every_state_is_described_and_where_it_leads():
    states, leads = tables("The states of a run")
    assert [names(row[0]) for row in states] == [[state.value] for state in RunState]
    assert f"{START_GRACE:g} seconds" in states[0][1]
    resumed = {name for start, end in leads if "resume" in end for name in names(start)}
    assert resumed == RESUMABLE
    for start, end in leads:
        assert {*names(start), *names(end)} <= {state.value for state in RunState}
    assert {names(start)[0] for start, _ in leads} >= LIVE


def test_the_files_of_a_folder_are_those_that_are_written():
    (files,) = tables("The folder")
    pushed = [name for file, _, yes in files if yes == "yes" for name in names(file)]
    assert sorted(pushed) == sorted(PUBLIC_FILES)
    told = {name.rstrip("/") for file, _, _ in files for name in names(file)}
    written = {store.STATE, store.LOCK, store.STOP, store.LEARNING_RATE}
    written |= {store.WORDS_FILE, snapshots.FOLDER, trackers.LOG_FOLDER}
    assert told == {*PUBLIC_FILES, events.FILE_NAME, "train.log", *written}


def section(title: str) -> str:
    (found,) = re.findall(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S
    )
    return found


def field_names(owner: type) -> list[str]:
    return [item.name for item in dataclasses.fields(owner)]


def test_every_key_of_the_configuration_is_described() -> None:
    rows = re.findall(r"^\| (`.+?) \| (.*) \|$", section("config.json"), re.M)
    keys = [key for row, _ in rows for key in re.findall(r"`(\w+)`", row)]
    assert keys == ["format_version", *field_names(Record), *field_names(Figures)]
    described = dict(rows)
    assert described["`format_version`"] == str(FORMAT_VERSION)
    for key, owner in (
        ("model", ModelConfig),
        ("training", TrainingConfig),
        ("corpus", CorpusRecord),
        ("machine", Machine),
        ("origin", Origin),
        ("sweep", SweepRecord),
        ("parent", Parent),
    ):
        found = re.findall(r"`(\w+)`", described[f"`{key}`"])
        assert [name for name in found if name in field_names(owner)] == field_names(
            owner
        )
    limit = f"at most {checkpoint.MAX_BYTES['config.json']:,} bytes"
    assert limit in section("config.json")


def test_the_documented_check_finds_what_the_program_wrote(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", section("Integrity"), re.M | re.S)
    folder = make_folder(tmp_path / "m", make_record())
    program = code.replace("checkpoints/shakespeare", str(folder))
    assert run_program(program) == "True\n"
    path = folder / "vocab.json"
    path.write_bytes(path.read_bytes().replace(b"a", b"A", 1))
    assert run_program(program) == "False\n"


def test_the_stored_comparison_has_the_keys_of_the_document() -> None:
    stored, text = (
        [key for row in table for key in names(row[0])]
        for table in tables("The stored comparison")
    )
    assert stored == list(Stored.model_fields)
    assert text == list(StoredText.model_fields)
