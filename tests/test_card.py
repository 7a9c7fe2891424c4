"""The card: deterministic, safe against strangers, and its program really runs."""

import dataclasses
import math
import re

import pytest
import yaml

from charrnn import card
from charrnn.errors import HubError
from charrnn.files import one_line
from charrnn.model import checkpoint, generation
from charrnn.model.record import Machine, Origin
from charrnn.model.reliability import Bin
from charrnn.runs import store
from charrnn.runs.events import EventLog
from tests.builders import (
    make_event,
    make_folder,
    make_record,
    program_in,
    rows,
    run_program,
    unambiguous_text,
)

HAZARDS = [
    "on",
    "a: b",
    "- x # y",
    'quote " and \\ back',
    "*bold* _it_ `code` ~~no~~ $x$",
    "<script>alert(1)</script>",
    "x\n---\nlicense: mit",
    "{{jinja}} %yaml [a](javascript:alert(1))",
    "ümlaut 😀 \u2028 \x85 \x00 \ufeff \ud800 end",
    "https://example.com www.example.com @someone",
    "no\ufffechar\uffffacters \U0001fffe",
]


def front_matter(text: str) -> dict:
    start, front, _ = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front)


def test_the_same_model_has_the_same_card_without_dates():
    arguments = {"samples": {0.5: "abc"}, "curve": [(1, 2.0)]}
    first = card.card(make_record(), **arguments)
    assert first == card.card(make_record(), **arguments)
    assert not re.search(r"20[2-9]\d", first)


def test_front_matter_says_what_the_hub_needs():
    record = dataclasses.replace(make_record(), license="cc-by-4.0")
    front = front_matter(card.card(record, samples={}))
    assert front["license"] == "cc-by-4.0"
    assert front["pipeline_tag"] == "text-generation"
    assert front["library_name"] == "charrnn"
    assert front["tags"] == ["char-rnn", "character-level", "gru"]
    (index,) = front["model-index"][0]["results"]
    assert index["task"] == {"type": "text-generation"}
    assert index["dataset"] == {
        "name": "Some text",
        "type": "some_text",
        "split": "validation",
    }
    values = [metric["value"] for metric in index["metrics"]]
    assert values == [round(1.5 / math.log(2), 4), round(1.625 / math.log(2), 4)]
    assert {metric["type"] for metric in index["metrics"]} == {"bits_per_character"}


def test_without_figures_or_licence_nothing_is_claimed():
    record = dataclasses.replace(make_record(), figures=None)
    text = card.card(record, samples={})
    front = front_matter(text)
    assert "model-index" not in front
    assert "license" not in front
    assert "has not been validated" in text


@pytest.mark.parametrize("hazard", HAZARDS)
def test_a_strangers_words_stay_words(hazard):
    record = make_record(title=hazard)
    record = dataclasses.replace(
        record, corpus=dataclasses.replace(record.corpus, name=hazard)
    )
    text = card.card(record, samples={0.5: hazard})
    line = one_line(hazard, None)
    front = front_matter(text)
    assert front["model-index"][0]["name"] == line
    assert "license" not in front
    body = text.split("---\n", 2)[2]
    outside = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", body, flags=re.M | re.S)
    assert "<script" not in outside
    assert "](javascript" not in outside
    assert "https://" not in outside
    heading = next(row for row in body.splitlines() if row.startswith("# "))
    plain = re.sub(r"\\(.)", r"\1", heading).replace("&lt;", "<")
    assert plain == f"# {line}"
    text.encode()  # no lone surrogate is left


def test_the_hubs_own_parser_reads_the_card_back():
    from huggingface_hub import EvalResult, ModelCardData

    record = make_record(title="a: 'b' \"c\" # d")
    record = dataclasses.replace(record, license="mit")
    text = card.card(record, samples={})
    data = ModelCardData(**front_matter(text), ignore_metadata_errors=False)
    result = {
        **{"task_type": "text-generation", "dataset_type": "some_text"},
        **{"dataset_name": "Some text", "dataset_split": "validation"},
        "metric_type": "bits_per_character",
    }
    by_library = ModelCardData(
        license="mit",
        library_name="charrnn",
        pipeline_tag="text-generation",
        tags=["char-rnn", "character-level", "gru"],
        model_name=record.title,
        eval_results=[
            EvalResult(
                **result,
                metric_name=f"Bits per character ({protocol})",
                metric_value=round(nats / math.log(2), 4),
            )
            for protocol, nats in (("stateful", 1.5), ("cold256", 1.625))
        ],
    )
    assert data.to_dict() == by_library.to_dict()


def test_no_sample_leaves_its_block():
    sample = "a\n```\n# heading\n````\n<b>\r\x00\x1b[31m"
    text = card.card(make_record(), samples={0.2: sample})
    block = re.search(r"^(`{3,})text\n(.*?)\n\1$", text, re.M | re.S)
    assert block is not None
    assert len(block.group(1)) == 5
    assert block.group(2) == "a\n```\n# heading\n````\n<b>\ufffd\ufffd\ufffd[31m"


@pytest.mark.parametrize("points", [0, 1, 19, 20, 21, 1000])
@pytest.mark.parametrize("best", [0.0, 0.01, 0.7, 0.99, 1.0])
def test_the_curve_has_at_most_twenty_rows(points, best):
    lowest = 1 + round(best * (points - 1))
    curve = [(step, 1 + abs(step - lowest)) for step in range(1, points + 1)]
    text = card.card(make_record(), samples={}, curve=curve)
    table = text.partition("## How it learnt")[2].partition("##")[0]
    rows = re.findall(r"^\| ([\d,]+) \| ", table, re.M)
    assert len(rows) == min(points, 20)
    if points:
        assert rows[0] == "1"
        assert rows[-1] == f"{points:,}"
        assert f"{lowest:,}" in rows
        steps = [int(row.replace(",", "")) for row in rows]
        assert steps == sorted(steps)


def test_a_licence_must_look_like_one():
    assert card.check_license("") is None
    assert card.check_license(" MIT ") == "mit"
    for wrong in ("mit\nx: y", "a b", "-", "x" * 61, "ä"):
        with pytest.raises(HubError, match="no licence"):
            card.check_license(wrong)


def test_a_copy_says_what_it_is_a_copy_of():
    record = make_record()
    origin = Origin(repo="alice/some-text", revision="a" * 40)
    text = card.card(dataclasses.replace(record, origin=origin), samples={})
    assert f"A copy of alice/some\\-text at commit {'a' * 40}" in text


def test_a_folder_gets_its_card_from_its_files_and_history(tmp_path):
    folder = make_folder(tmp_path / "m", make_record())
    log = EventLog(folder)
    log.append(make_event("validation", 100, val_loss=2.5, best=True))
    log.append(make_event("validation", 200, val_loss=2.25, best=True))
    log.append(make_event("resumed", 100))
    log.append(make_event("validation", 300, val_loss=2.0, best=True))
    text = card.write_card(folder, license="mit")
    assert (folder / "README.md").read_text("utf-8") == text
    assert "| 100 | 2.5000 |" in text
    assert "| 200 |" not in text
    assert "| 300 | 2.0000 |" in text
    written = list(
        generation.generate(checkpoint.load(folder), "", length=300, rows=rows(0.8))
    )[-1][0]
    assert written.rstrip("\n") in text
    assert "--corpus YOUR-TEXT.txt" in text
    assert card.write_card(folder) == text  # the licence stays
    assert checkpoint.read_record(folder).license == "mit"
    assert "license: mit\n" in text


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_the_cards_program_writes_what_charrnn_writes(
    tmp_path, cell, layers, temperature
):
    folder = make_folder(tmp_path / "m", make_record(cell, layers))
    program = program_in(card.write_card(folder))
    assert len(program.splitlines()) <= 40
    text = unambiguous_text(
        checkpoint.load(folder), "ab é", 120, temperature=temperature
    )
    assert len(set(text)) > 3  # the comparison means something
    arguments = (str(folder), "ab é", str(temperature), "120")
    assert run_program(program, *arguments) == text


def test_the_cards_program_begins_documents_anew(tmp_path):
    record = make_record("gru", 2)
    text = dataclasses.replace(record.corpus, documents="files", separator="ab")
    folder = make_folder(tmp_path / "m", dataclasses.replace(record, corpus=text))
    program = program_in(card.write_card(folder))
    assert len(program.splitlines()) <= 44
    model = checkpoint.load(folder)
    assert model.record.corpus.document_separator == "ab"
    begun, cut = (
        run_program(program, str(folder), prompt, "0", "60")
        for prompt in ("xyzab", "b")
    )
    assert begun == cut == run_program(program, str(folder), "", "0", "60")
    *_, (greedy,) = generation.generate(model, "xyzab", length=60, rows=rows(0.0))
    assert begun == greedy


def test_the_cards_program_needs_no_arguments(tmp_path):
    folder = make_folder(tmp_path / "m", make_record())
    program = program_in(card.write_card(folder, source=str(folder)))
    model = checkpoint.load(folder)
    expected = unambiguous_text(model, "", 300, temperature=0.8)
    assert run_program(program) == expected


def test_the_card_tells_the_kept_step_from_all_steps():
    record = make_record()
    record = dataclasses.replace(
        record, machine=Machine(architecture="x86_64", cores=4)
    )
    text = card.card(record, samples={})
    assert (
        "The weights that are kept are those of step 1,200; the whole training took "
        "1,500 steps and 61 seconds on 4 processor cores."
    ) in text
    figures = dataclasses.replace(
        record.figures, total_steps=None, val_characters=20_000
    )
    text = card.card(dataclasses.replace(record, figures=figures), samples={})
    assert "the whole training took 61 seconds on" in text
    assert "one pass over the first 20,000 characters of that part that" in text


def test_a_scaled_head_is_told_with_how_sure_it_is():
    record = make_record()
    assert "multiplied" not in card.card(record, samples={})
    figures = dataclasses.replace(
        record.figures,
        logit_scale=0.8366,
        reliability=(Bin(0.25, 0.2, 1000), Bin(0.95, 0.8, 3000)),
    )
    text = card.card(dataclasses.replace(record, figures=figures), samples={})
    assert "logits were multiplied by 0.8366 after the training" in text
    assert "a probability of 77.5 % on average, and was right 65.0 % of" in text


@pytest.mark.parametrize("model", store.SHIPPED_IDS)
def test_a_shipped_models_card_is_that_of_its_record(model):
    folder = store.shipped_folder() / model
    data = (folder / "config.json").read_text("utf-8")
    record = checkpoint.read_record(folder)
    assert record.to_json() == data  # of this version, nothing to upgrade
    shipped = (folder / "README.md").read_text("utf-8")
    # its samples and curve were made elsewhere: they are those of one processor
    written = card.card(record, samples={}, command=card.command_of(record))
    parts = re.split(r"^(?=## )", written, flags=re.M)
    assert len(parts) == 5
    for part in parts:
        if not part.startswith("## What it writes"):
            assert part in shipped


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_the_program_is_put_together_from_its_parts(cell):
    model = dataclasses.replace(make_record(cell, 3).model, rnn_units=17)
    program = card.program(model, 'alice/it\'s "x"')
    compile(program, "write.py", "exec")
    assert program.count("def cell(") == 1
    assert "import cell" not in program
    assert program.count("def sigmoid(") == (cell != "rnn")
    states = 2 if cell == "lstm" else 1
    assert f"states = [(np.zeros(17, np.float32),) * {states}] * 3\n" in program
    assert 'given.get(1, "alice/it\'s \\"x\\"")' in program
