"""The browser's engine has the numbers and draws of the package."""

import base64
import dataclasses

import numpy as np
import pytest

from charrnn.errors import ConfigError
from charrnn.model import checkpoint, generation
from charrnn.model.network import Network
from charrnn.model.sampling import surprise, uniform_stream
from charrnn.web import weights
from tests.builders import (
    CELLS,
    WEB,
    large_model,
    make_model,
    rows,
    run_javascript,
    steady,
    written,
)

SCRIPTS = "".join(
    (WEB / name).read_text(encoding="utf-8") for name in ("sampling.js", "engine.js")
)
KERNEL = base64.b64encode((WEB / "kernel.wasm").read_bytes()).decode()
HELPERS = """
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const open = (c) => charrnnEngine.network(
  c.config, bytes(c.weights), c.format, c.kernel ? bytes(c.kernel) : null);
// logits after each id of several texts, read side by side
const read = (c) => {
  const network = open(c), texts = c.ids.map(network.blank);
  return c.ids[0].map((_, t) => network.step(c.ids.map((ids) => ids[t]), texts));
};
"""


def case(model, number_format="float32", kernel=None, **more):
    packed = base64.b64encode(weights.pack(model, number_format)).decode()
    config = dataclasses.asdict(model.record.model)
    config["separator"] = model.separator
    return {
        **{"config": config, "weights": packed, "format": number_format},
        **{"kernel": kernel, **more},
    }


def run(expression, cases):
    return run_javascript(SCRIPTS + HELPERS, expression, cases)


def logits_of(model, ids):
    """(rows, time, V) of ids (rows, time)."""
    network = Network(model.record.model, model.weights, separator=model.separator)
    states, found = network.initial_states(len(ids)), []
    for column in ids.T:
        logits, states = network.step(column, states)
        found.append(logits)
    return np.stack(found, axis=1)


@pytest.mark.parametrize("kernel", [None, KERNEL], ids=["plain", "compiled"])
def test_logits_are_those_of_the_package_for_every_cell_depth_and_format(kernel):
    rng = np.random.default_rng(1)
    models = [
        steady(make_model(cell, layers, units, scale=0.4, seed=layers))
        for cell in CELLS
        for layers, units in ((1, 16), (2, 18), (3, 5), (4, 1))
    ]
    chosen = [
        (model, number_format, rng.integers(0, 12, (3, 40)))
        for model in models
        for number_format in weights.FORMATS
    ]
    answers = run(
        "cases.map(read)",
        [case(m, f, kernel, ids=ids.tolist()) for m, f, ids in chosen],
    )
    for (model, number_format, ids), answer in zip(chosen, answers, strict=True):
        as_read = dataclasses.replace(
            model, weights=weights.rounded(model, number_format)
        )
        expected = logits_of(as_read, ids)
        found = np.array(answer).swapaxes(0, 1)
        np.testing.assert_allclose(found, expected, 0, 1e-5)


def test_a_row_has_the_same_numbers_whatever_rows_stand_beside_it():
    model = steady(make_model("gru", 2))
    ids = np.random.default_rng(0).integers(0, 12, (4, 30)).tolist()
    for kernel in (None, KERNEL):
        together, *alone = run(
            "cases.map(read)",
            [
                case(model, ids=part, kernel=kernel)
                for part in (ids, *([i] for i in ids))
            ],
        )
        assert np.array(together).swapaxes(0, 1).tolist() == [
            [step[0] for step in answer] for answer in alone
        ]


@pytest.mark.parametrize("lacking", ["SIMD", "WebAssembly"])
def test_without_what_the_kernel_needs_plain_javascript_does(lacking):
    model = steady(make_model("gru", 2))
    ids = np.random.default_rng(0).integers(0, 12, (2, 20))
    unknown = bytearray((WEB / "kernel.wasm").read_bytes())
    unknown[unknown.index(0xFD)] = 0xFF  # no instruction
    kernel = base64.b64encode(unknown).decode() if lacking == "SIMD" else KERNEL
    scripts = SCRIPTS + HELPERS
    if lacking == "WebAssembly":
        scripts = f"globalThis.WebAssembly = undefined;{scripts}"
    (answer,) = run_javascript(
        scripts,
        "cases.map((c) => ({ compiled: open(c).compiled, logits: read(c) }))",
        [case(model, ids=ids.tolist(), kernel=kernel)],
    )
    assert not answer["compiled"]
    found = np.array(answer["logits"]).swapaxes(0, 1)
    np.testing.assert_allclose(found, logits_of(model, ids), 0, 1e-5)


@pytest.mark.parametrize("separator", ["\n", "ab", "\n\n\n"])
def test_documents_begin_where_they_do_in_the_package(separator):
    model = steady(make_model("lstm", 2))
    text = dataclasses.replace(
        model.record.corpus, documents="files", separator=separator
    )
    record = dataclasses.replace(model.record, corpus=text)
    model = dataclasses.replace(model, record=record)
    texts = ["cab\n\n\n\ndea", "\nabab fagc", "ffffffffff"]
    ids = np.array([model.vocabulary.encode(one) for one in texts])
    (answer, begun), *_ = run(
        "cases.map((c) => [read(c), charrnnEngine.vocabulary("
        "c.entries, c.config.separator).begin('')])",
        [case(model, ids=ids.tolist(), entries=model.vocabulary.entries)],
    )
    found = np.array(answer).swapaxes(0, 1)
    np.testing.assert_allclose(found, logits_of(model, ids), 0, 1e-5)
    start = generation.prompt_ids(model.vocabulary, "", model.separator)
    assert begun == start.tolist()


def test_random_numbers_are_those_of_the_package():
    seeds = [0, 1, 7, 2**32, 2**53 + 1, 2**63 - 1]
    answers = run(
        "cases.map((seed) => { const next = charrnnEngine.uniforms(seed);"
        "return Array.from({ length: 203 }, next); })",
        [str(seed) for seed in seeds],
    )
    for seed, answer in zip(seeds, answers, strict=True):
        stream = uniform_stream(seed)
        assert answer == [next(stream) for _ in range(203)]


def test_a_draw_and_its_surprise_are_those_of_the_package():
    rng = np.random.default_rng(3)
    cases = [
        {"logits": (3 * rng.standard_normal(9)).tolist(), "uniform": rng.random()}
        for _ in range(200)
    ]
    cases += [{"logits": [1, 5, 5, 2], "uniform": 0, "temperature": 0}]
    answers = run(
        "cases.map(({ logits, uniform, temperature = 0.7 }) => {"
        "const weights = charrnnSampling.unnormalised(logits, temperature);"
        "const chosen = charrnnEngine.draw(weights, uniform);"
        "return [chosen, charrnnEngine.surprise(logits, chosen)]; })",
        cases,
    )
    assert answers.pop()[0] == 1  # the first on a tie
    for one, (chosen, bits) in zip(cases, answers, strict=False):
        logits = np.array(one["logits"])
        shares = np.exp(logits / 0.7)
        shares = shares.cumsum() / shares.sum()
        assert chosen == np.searchsorted(shares, one["uniform"], side="right")
        assert bits == pytest.approx(surprise(logits[None], np.array([chosen]))[0])


def test_prompts_begin_as_in_the_package():
    prompts = ["", "abc", "a?b", "😀a", "\ud83da", "\n"]
    for characters in ("\n ab😀", "ab😀"):
        vocabulary = make_model(characters=characters).vocabulary
        answers = run(
            "cases.map(([entries, prompt]) => {"
            "const own = charrnnEngine.vocabulary(entries);"
            "return [own.begin(prompt), own.unknown(prompt).join('')]; })",
            [[vocabulary.entries, prompt] for prompt in prompts],
        )
        for prompt, (ids, unknown) in zip(prompts, answers, strict=True):
            assert ids == generation.prompt_ids(vocabulary, prompt).tolist()
            assert unknown == vocabulary.unknown(prompt)


def test_a_trained_model_is_read_alike_to_the_end():
    model = checkpoint.load(WEB.parent.parent / "checkpoints" / "shakespeare")
    texts = written(
        generation.generate(
            model, "", length=150, rows=[r for s in (1, 2) for r in rows(0.8, seed=s)]
        )
    )
    ids = np.array([model.vocabulary.encode(text) for text in texts])
    for kernel in (None, KERNEL):
        (answer,) = run(
            "cases.map(read)", [case(model, ids=ids.tolist(), kernel=kernel)]
        )
        found = np.array(answer).swapaxes(0, 1)
        np.testing.assert_allclose(found, logits_of(model, ids), 0, 1e-4)


def test_each_format_takes_the_bytes_that_its_numbers_have():
    model = large_model()
    count = model.record.model.num_parameters()
    assert len(weights.pack(model, "float32")) == 4 * count
    assert len(weights.pack(model, "float16")) == 2 * count
    assert count < len(weights.pack(model, "int8")) < 1.03 * count


def test_int8_is_off_by_half_a_step_of_its_column_at_most():
    model = make_model("lstm", 2)
    model.weights["rnn.0.kernel"][:, 3] = 0
    found = weights.rounded(model, "int8")
    for name, array in model.weights.items():
        if name.endswith("bias"):
            np.testing.assert_array_equal(found[name], array.astype(np.float16))
        else:
            steps = abs(array).max(axis=0) / 127
            assert (abs(found[name] - array) <= 0.5001 * steps).all()


def test_what_a_format_cannot_hold_is_refused():
    model = make_model()
    model.weights["head.bias"][1] = 1e6
    for number_format in ("float16", "int8"):
        with pytest.raises(ConfigError, match="has a number beyond what 16 bits"):
            weights.pack(model, number_format)
    with pytest.raises(ConfigError, match="expected one of int8, float16, float32"):
        weights.pack(model, "int4")
