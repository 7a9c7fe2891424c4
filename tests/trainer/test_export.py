"""The SavedModel, in a process that has nothing of this package."""

import json
import subprocess
import sys

import pytest

from charrnn.errors import CheckpointError
from charrnn.model import sampling
from charrnn.model.network import Network
from charrnn.trainer import export
from tests.builders import make_model, steady, unambiguous_text

CHARACTERS = "\n abcdeé日\U0001f600"
PROMPTS = {"gru": "ab", "lstm": "日é?", "rnn": "\U0001f600"}
LENGTH = 40

# What the other process does; it prints one JSON object.
SCRIPT = r"""
import importlib.util, json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import tensorflow as tf
if importlib.util.find_spec("charrnn") is not None:
    raise SystemExit("charrnn can be imported here: the test would prove nothing")
tf.random.set_seed(1)
results = {}
for name, prompt in json.loads(sys.argv[1]).items():
    one_step = tf.saved_model.load(name)
    # the tutorial's loop
    states = None
    next_char = tf.constant([prompt])
    result = [next_char]
    for n in range(100):
        next_char, states = one_step.generate_one_step(next_char, states=states)
        result.append(next_char)
    drawn = tf.strings.join(result)[0].numpy().decode("utf-8")
    # a batch, greedily
    states = None
    next_char = tf.constant([prompt, prompt[::-1]])
    result = []
    for n in range(40):
        next_char, states = one_step.generate_one_step(next_char, states, temperature=0)
        result.append(next_char)
    greedy = [t.decode("utf-8") for t in tf.strings.join(result).numpy()]
    # the prompt in two pieces, and invalid UTF-8 counts as unknown
    _, whole = one_step.generate_one_step(tf.constant(["ab\u4e0dc"]))
    _, part = one_step.generate_one_step(tf.constant([b"ab\xff"]), temperature=0.5)
    _, rest = one_step.generate_one_step(tf.constant(["c"]), part, tf.constant(2.0))
    refused = []
    for wrong, temperature in ((["ab", "abc"], 1.0), (["", ""], 1.0), (["a"], -1.0)):
        try:
            one_step.generate_one_step(tf.constant(wrong), temperature=temperature)
        except tf.errors.InvalidArgumentError as error:
            refused.append(error.message)
    many, _ = one_step.generate_one_step(tf.constant(["a"] * 4000), temperature=1.0)
    results[name] = {
        "drawn": drawn,
        "greedy": greedy,
        "difference": float(tf.reduce_max(tf.abs(whole - rest))),
        "refused": refused,
        "many": b"".join(many.numpy()).decode("utf-8"),
    }
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Every cell exported, and what the other process made of it."""
    folder = tmp_path_factory.mktemp("exported")
    models = {}
    for cell in PROMPTS:
        model = steady(make_model(cell, 2, characters=CHARACTERS))
        model.weights["head.bias"][0] = 50  # [UNK] would win, were it not barred
        models[cell] = model
        export.export(model, folder / cell)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-I", str(script), json.dumps(PROMPTS)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, models, json.loads(done.stdout)


@pytest.mark.parametrize("cell", PROMPTS)
def test_greedy_text_equals_generations(elsewhere, cell):
    _, models, results = elsewhere
    for prompt, text in zip(
        (PROMPTS[cell], PROMPTS[cell][::-1]), results[cell]["greedy"], strict=True
    ):
        assert text == unambiguous_text(models[cell], prompt, LENGTH)


@pytest.mark.parametrize("cell", PROMPTS)
def test_the_tutorials_loop_writes_a_text_without_unknowns(elsewhere, cell):
    _, _, results = elsewhere
    drawn = results[cell]["drawn"]
    assert drawn.startswith(PROMPTS[cell])
    assert len(drawn) == len(PROMPTS[cell]) + 100
    assert set(drawn[len(PROMPTS[cell]) :]) <= set(CHARACTERS)


@pytest.mark.parametrize("cell", PROMPTS)
def test_states_carry_a_text_on_and_bad_bytes_count_as_unknown(elsewhere, cell):
    assert elsewhere[2][cell]["difference"] < 1e-6


@pytest.mark.parametrize("cell", PROMPTS)
def test_what_cannot_be_done_is_refused_with_a_sentence(elsewhere, cell):
    unequal, empty, negative = elsewhere[2][cell]["refused"]
    assert "prompts have unequal lengths" in unequal
    assert "prompt is empty" in empty
    assert "temperature is negative" in negative


@pytest.mark.parametrize("cell", PROMPTS)
def test_drawn_characters_follow_the_exact_distribution(elsewhere, cell):
    _, models, results = elsewhere
    model = models[cell]
    network = Network(model.record.model, model.weights)
    ids = model.vocabulary.encode("a")
    logits, _ = network.step(ids, network.initial_states(1))
    probs = sampling.next_char_probs(logits[0, 1:], temperature=1.0)
    counts = [results[cell]["many"].count(character) for character in CHARACTERS]
    assert sum(counts) == 4000
    chi = sum(
        (count - 4000 * p) ** 2 / (4000 * p)
        for count, p in zip(counts, probs, strict=True)
    )
    assert chi < 28  # 0.1 % of the chi-square distribution at 9 degrees


def test_nothing_is_left_beside_and_what_is_there_is_not_overwritten(elsewhere):
    folder, models, _ = elsewhere
    assert {path.name for path in folder.iterdir()} == {*PROMPTS, "script.py"}
    before = (folder / "gru" / "saved_model.pb").read_bytes()
    for taken in ("gru", "script.py"):
        with pytest.raises(CheckpointError, match="exists already and is not empty"):
            export.export(models["gru"], folder / taken)
    assert (folder / "gru" / "saved_model.pb").read_bytes() == before
    with pytest.raises(CheckpointError, match="cannot be written"):
        export.export(models["gru"], folder / "script.py" / "below")


def test_a_failed_write_is_told_without_operations_and_paths():
    import tensorflow as tf

    said = (
        "{{function_node __wrapped__SaveV2}} /tmp/.sm.0.tmp/variables/part-0; No space "
        "left on device [Op:SaveV2]"
    )
    full = tf.errors.ResourceExhaustedError(None, None, said)
    assert export._reason(full) == "No space left on device"
    assert export._reason(OSError(30, "Read-only file system")) == (
        "Read-only file system"
    )


def test_an_empty_folder_is_filled(tmp_path):
    target = tmp_path / "deep" / "one_step"
    target.mkdir(parents=True)
    export.export(make_model("rnn", characters="ab"), target)
    assert (target / "saved_model.pb").is_file()
    assert [path.name for path in target.parent.iterdir()] == ["one_step"]
