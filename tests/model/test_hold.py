"""Units held at a value: what the network then computes, and beside whom."""

import json

import numpy as np
import pytest

from charrnn.cli.parser import main
from charrnn.config import Hold, SamplingConfig
from charrnn.errors import ConfigError
from charrnn.model import checkpoint, engine, generation
from charrnn.model.network import Network
from charrnn.model.request import Job
from charrnn.model.sampling import next_char_probs
from charrnn.runs import store
from tests.builders import CELLS, make_folder, make_model, make_record, save_model

HELD = (Hold(0, 3, -1.0), Hold(1, 5, 0.75), Hold(1, 0, 0.0))


def row(*holds, seed=4, temperature=0.9):
    return SamplingConfig(temperature=temperature, seed=seed, hold=holds)


def texts(model, prompt, *rows):
    *_, final = generation.generate(model, prompt, length=60, rows=rows)
    return final


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_are_overwritten_before_anything_reads_them(cell):
    model = make_model(cell, 2)
    network = Network(model.record.model, model.weights)
    ids, count = np.array([2, 3, 4]), model.record.model.num_states
    states = network.advance(ids, network.initial_states(3))
    held = generation.held_units([row(), row(*HELD), row()])
    free, found = (network.advance(ids, states, h) for h in ({}, held))
    layers = [found[0][1], found[count][1]]
    expected = free[0].copy()
    expected[1, 3] = -1
    assert np.array_equal(found[0], expected)  # the first layer changes there alone
    assert (layers[1][5], layers[1][0]) == (0.75, 0)
    for one, other in zip(free, found, strict=True):
        assert np.array_equal(one[[0, 2]], other[[0, 2]])
    assert not np.array_equal(free[count][1], found[count][1])  # it reads the first
    if cell == "lstm":
        assert np.array_equal(free[1], found[1])  # c of the first layer


@pytest.mark.parametrize("cell", CELLS)
def test_the_prompt_is_read_freely_and_every_step_that_writes_holds(cell):
    model = make_model(cell, 2)
    (found,) = texts(model, "abc de", row(*HELD, temperature=0))
    network = Network(model.record.model, model.weights)
    ids = model.vocabulary.encode("abc de")
    states = network.prefill(ids[:-1], network.initial_states(1))
    held, last, expected = generation.held_units([row(*HELD)]), ids[-1:], ""
    for _ in range(60):
        logits, states = network.step(last, states, held)
        last = 1 + next_char_probs(logits[0, 1:], temperature=0).argmax(keepdims=True)
        expected += model.vocabulary.entries[last[0]]
    assert found == expected
    assert found != texts(model, "abc de", row(temperature=0))[0]


@pytest.mark.parametrize("cell", CELLS)
def test_rows_with_and_without_stand_in_one_batch_each_as_alone(cell, tmp_path):
    model = save_model(tmp_path / "m", cell=cell, num_layers=2)
    asked = [row(), row(*HELD), row(HELD[0]), row(HELD[1], seed=5), row(seed=5)]
    alone = [texts(model, "ab", one)[0] for one in asked]
    assert len(set(alone)) == 5
    assert texts(model, "ab", *asked) == alone
    assert texts(model, "ab", *asked[::-1]) == alone[::-1]
    writer = engine.Engine()
    written = list(writer.generate(tmp_path / "m", "ab", length=60, rows=asked))
    writer.close()
    assert written[-1] == alone


def test_what_is_held_goes_through_json(tmp_path):
    job = Job(tmp_path, "a", 10, (row(), row(*HELD)))
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again == job
    assert again.rows[1].hold[1].value == 0.75


@pytest.mark.parametrize(
    ("holds", "message"),
    [
        ([(0, 1, 1.5)], "expected a number from -1 to 1"),
        ([(0, 1, float("nan"))], "expected a number from -1 to 1"),
        ([(0, 1)], "expected a layer, a unit and a value"),
        ([(0.5, 1, 0)], "expected a layer, a unit and a value"),
        ([(0, 1, "1")], "expected a layer, a unit and a value"),
        ("0.1=1", "expected at most 8 units"),
        (7, "expected at most 8 units"),
        ([(0, n, 0) for n in range(9)], "expected at most 8 units"),
        ([(0, 1, 0), (0, 1, 1)], "names a unit twice"),
    ],
)
def test_what_cannot_be_held_is_refused(holds, message):
    with pytest.raises(ConfigError, match=message):
        SamplingConfig(hold=holds)


@pytest.mark.parametrize("hold", [Hold(2, 0, 0.0), Hold(0, 16, 0.0), Hold(-1, 0, 0.0)])
def test_a_unit_that_the_model_lacks_is_refused_and_the_model_let_go(hold, tmp_path):
    model = save_model(tmp_path / "m", num_layers=2)
    with pytest.raises(ConfigError, match="layers 0 to 1 and units 0 to 15"):
        generation.generate(model, "a", length=3, rows=[row(hold)])
    writer = engine.Engine()
    with pytest.raises(ConfigError, match="layers 0 to 1 and units 0 to 15"):
        list(writer.generate(tmp_path / "m", "a", length=3, rows=[row(hold)]))
    writer.close()
    assert not writer.models._users


@pytest.mark.parametrize("text", ["", "1=0", "1.2", "a.b=1", "1.2=x", "1.2=1.2.3"])
def test_a_hold_of_another_form_is_told(text, capfd):
    make_folder(store.folder() / "m", make_record())
    assert main(["generate", "m", "--hold", text]) == 2
    assert "expected LAYER.UNIT=VALUE, like 1.383=-0.5" in capfd.readouterr().err


def test_the_command_holds_and_says_so(capfd):
    make_folder(store.folder() / "m", make_record(layers=2))
    options = ["--seed", "4", "--length", "60", "--prompt", "ab", "--json"]
    holds = ["--hold", "0.3=-1", "--hold", "1.5=0.75", "--hold", "1.0=0"]
    assert main(["generate", "m", *options, *holds, "--temperature", "0.9"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["hold"] == [hold._asdict() for hold in HELD]
    model = checkpoint.load(store.find("m"))
    assert found["samples"][0]["text"] == texts(model, "ab", row(*HELD))[0]
    assert main(["generate", "m", *options]) == 0
    assert json.loads(capfd.readouterr().out)["hold"] == []
