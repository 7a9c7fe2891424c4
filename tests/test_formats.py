"""docs/formats.md says what the code does."""

import dataclasses
import re
from pathlib import Path

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.model import checkpoint
from charrnn.model.record import (
    FORMAT_VERSION,
    CorpusRecord,
    Figures,
    Machine,
    Origin,
    Record,
)
from tests.builders import make_folder, make_record, run_program

TEXT = (Path(__file__).parent.parent / "docs" / "formats.md").read_text("utf-8")


def section(title: str) -> str:
    (found,) = re.findall(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S
    )
    return found


def names(owner: type) -> list[str]:
    return [item.name for item in dataclasses.fields(owner)]


def test_every_key_of_the_configuration_is_described() -> None:
    rows = re.findall(r"^\| (`.+?) \| (.*) \|$", section("config.json"), re.M)
    keys = [key for row, _ in rows for key in re.findall(r"`(\w+)`", row)]
    assert keys == ["format_version", *names(Record), *names(Figures)]
    described = dict(rows)
    assert described["`format_version`"] == str(FORMAT_VERSION)
    for key, owner in (
        ("model", ModelConfig),
        ("training", TrainingConfig),
        ("corpus", CorpusRecord),
        ("machine", Machine),
        ("origin", Origin),
    ):
        found = re.findall(r"`(\w+)`", described[f"`{key}`"])
        assert [name for name in found if name in names(owner)] == names(owner)
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
