"""The forward pass against Keras, sampling against closed forms."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import SamplingConfig
from charrnn.errors import ConfigError
from charrnn.model import generation, sampling
from charrnn.model import network as network_module
from charrnn.model.network import SPLIT_FROM, Network, RowProduct, _product
from tests.builders import CELLS, keras_network, make_model, rows, steady


def all_logits(network, ids, step=True):
    """Logits of ids (B, T), shape (B, T, V), a step at a time or by scan."""
    states = network.initial_states(len(ids))
    if not step:
        outputs, _ = network.scan(ids, states)
        logits = network.logits(outputs.reshape(-1, outputs.shape[-1]))
        return logits.reshape(*outputs.shape[:2], -1).swapaxes(0, 1)
    parts = []
    for time in range(ids.shape[1]):
        logits, states = network.step(ids[:, time], states)
        parts.append(logits)
    return np.stack(parts, axis=1)


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("cell", CELLS)
def test_logits_equal_keras(cell, num_layers):
    model = steady(make_model(cell, num_layers, units=11))
    config = model.record.model
    ids = np.random.default_rng(1).integers(0, config.vocab_size, (3, 20))
    expected = keras_network(config, model.weights)(ids).numpy()
    assert np.ptp(expected) > 1
    for batch_invariant, step in itertools.product([True, False], repeat=2):
        network = Network(config, model.weights, batch_invariant=batch_invariant)
        np.testing.assert_allclose(all_logits(network, ids, step), expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_vocabulary_too_large_for_a_table_gives_the_same(cell, monkeypatch):
    model = steady(make_model(cell, 2))
    ids = np.arange(12).reshape(2, 6)
    folded = Network(model.record.model, model.weights)
    monkeypatch.setattr(network_module, "MAX_TABLE_BYTES", 0)
    apart = Network(model.record.model, model.weights)
    np.testing.assert_allclose(
        all_logits(apart, ids), all_logits(folded, ids), atol=1e-5
    )


@pytest.mark.parametrize("cell", CELLS)
def test_prefill_reads_what_steps_read_and_leaves_its_input_alone(cell):
    model = make_model(cell, 2)
    network = Network(model.record.model, model.weights)
    ids = np.random.default_rng(6).integers(0, 8, network_module.WINDOW + 40)
    start = network.initial_states(1)
    states = network.prefill(ids, start)
    assert all(not state.any() for state in start)
    halves = network.prefill(ids[9:], network.prefill(ids[:9], start))
    stepped = start
    for index in ids:
        _, stepped = network.step(np.array([index]), stepped)
    for a, b, c in zip(states, halves, stepped, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_prefill_projects_what_the_second_layer_reads_a_window_at_a_time(monkeypatch):
    model = make_model("gru", 2)
    network = Network(model.record.model, model.weights)
    rows, project = [], network_module._Layer.project
    monkeypatch.setattr(
        network_module._Layer,
        "project",
        lambda layer, inputs: rows.append(len(inputs)) or project(layer, inputs),
    )
    ids = np.ones(network_module.WINDOW + 40, np.int64)
    network.prefill(ids, network.initial_states(1))
    assert rows == [network_module.WINDOW, 40]


@pytest.mark.parametrize("height", [1536, 3000, 452 * 11])
def test_a_large_matrix_gives_the_same_bits_whole_and_in_blocks(height, monkeypatch):
    """Whichever way the clock prefers, and in any company."""
    monkeypatch.setattr(network_module, "PROBE_EVERY", 3)
    rng = np.random.default_rng(height)
    matrix = rng.standard_normal((height, 512)).astype(np.float32)
    rows = rng.standard_normal((5, 512)).astype(np.float32)
    product = RowProduct(matrix)
    assert product.layouts[-1].ndim == 4
    assert product.layouts[-1].shape[2] * 512 < SPLIT_FROM
    first = product(rows)
    np.testing.assert_allclose(first, rows @ matrix.T, atol=1e-3)
    for _ in range(12):
        np.testing.assert_array_equal(product(rows), first)
        np.testing.assert_array_equal(product(rows[2:3]), first[2:3])


def test_blocks_alone_are_used_where_the_bits_would_differ(monkeypatch):
    plain = _product

    def other_order(layout, rows):
        return plain(layout, rows) * np.float32(1 + 1e-6 * (layout.ndim == 4))

    monkeypatch.setattr(network_module, "_product", other_order)
    product = RowProduct(np.ones((1024, 512), np.float32))
    assert [layout.ndim for layout in product.layouts] == [4]


# --- probabilities ---------------------------------------------------------


def probs(*values, **kwargs):
    return sampling.next_char_probs(np.log(values), **kwargs)


def test_probabilities_have_the_closed_form():
    p = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(probs(*p, temperature=1.0), p, rtol=1e-14)
    for temperature in (0.25, 0.5, 2.0):
        expected = p ** (1 / temperature)
        expected /= expected.sum()
        np.testing.assert_allclose(
            probs(*p, temperature=temperature), expected, rtol=1e-14
        )


def test_probabilities_are_stable_far_from_zero():
    logits = np.array([1e4, 1e4 - 1, -1e4], np.float32)
    expected = np.array([1, np.exp(-1), 0]) / (1 + np.exp(-1))
    actual = sampling.next_char_probs(logits, temperature=1.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-14)


def test_temperature_zero_takes_the_first_of_the_largest():
    np.testing.assert_array_equal(
        probs(0.1, 0.4, 0.4, 0.1, temperature=0), [0, 1, 0, 0]
    )
    # and so does one that no float64 could divide by
    np.testing.assert_array_equal(probs(0.1, 0.5, 0.4, temperature=1e-300), [0, 1, 0])


def test_top_k_keeps_the_likeliest_and_the_first_on_a_tie():
    np.testing.assert_allclose(
        probs(0.1, 0.2, 0.3, 0.4, temperature=1, top_k=2), [0, 0, 3 / 7, 4 / 7]
    )
    np.testing.assert_allclose(
        probs(0.25, 0.25, 0.25, 0.25, temperature=1, top_k=3), [1 / 3, 1 / 3, 1 / 3, 0]
    )
    np.testing.assert_allclose(
        probs(0.25, 0.75, temperature=1, top_k=9), [0.25, 0.75], rtol=1e-14
    )


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1e-6, [0, 0, 0, 1]),
        (0.49, [0, 0, 0, 1]),
        (0.51, [0, 0, 1 / 3, 2 / 3]),
        (0.74, [0, 0, 1 / 3, 2 / 3]),
        (0.76, [1 / 7, 0, 2 / 7, 4 / 7]),
        (1.0, [1 / 8, 1 / 8, 2 / 8, 4 / 8]),
    ],
)
def test_top_p_keeps_the_smallest_set_that_holds_the_share(top_p, expected):
    actual = probs(0.125, 0.125, 0.25, 0.5, temperature=1, top_p=top_p)
    np.testing.assert_allclose(actual, expected, rtol=1e-14)


def test_top_p_counts_what_top_k_left():
    actual = probs(0.1, 0.2, 0.3, 0.4, temperature=1, top_k=2, top_p=0.5)
    np.testing.assert_array_equal(actual, [0, 0, 0, 1])  # 0.4 is 4/7 of the two


def test_settings_out_of_range_are_refused():
    for wrong in (
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": 2.1},
        {"temperature": 1.0, "top_k": -1},
        {"temperature": 1.0, "top_p": 0.0},
    ):
        with pytest.raises(ConfigError):
            probs(0.5, 0.5, **wrong)


# --- drawing ---------------------------------------------------------------


def test_draw_inverts_the_cumulative_distribution():
    unnormalised = np.array([[0.0, 2.0, 0.0, 1.0, 1.0, 0.0]])
    for uniform, expected in [
        (0.0, 1),
        (0.4999, 1),
        (0.5, 3),
        (0.7499, 3),
        (0.75, 4),
        (1 - 2.0**-52, 4),
    ]:
        assert sampling.draw(unnormalised, np.array([uniform])).tolist() == [expected]


@given(
    st.lists(st.floats(1e-300, 1.0), min_size=1, max_size=40),
    st.integers(0, 5),
)
def test_the_largest_uniform_never_draws_what_is_impossible(values, empty):
    unnormalised = np.array([values + [0.0] * empty])
    index = sampling.draw(unnormalised, np.array([1 - 2.0**-52]))[0]
    assert index < len(values)


def test_the_stream_is_philox_keyed_by_the_seed():
    stream = sampling.uniform_stream(7)
    taken = np.array(list(itertools.islice(stream, 1000)))
    words = np.random.Philox(key=7).random_raw(1000)
    np.testing.assert_array_equal(taken, (words >> 12) / 2**52)
    assert 0 <= taken.min() < taken.max() <= 1 - 2.0**-52
    # of another stream, links that reproduce a text would give another one
    assert int(words[0]) == 16086915834549238692


def head_only(log_probs, characters):
    """A model whose next character never depends on what was read."""
    model = make_model(characters=characters)
    weights = {name: np.zeros_like(a) for name, a in model.weights.items()}
    weights["head.bias"] = np.array([9.0, *log_probs], np.float32)  # [UNK] likeliest
    return dataclasses.replace(model, weights=weights)


def last(texts):
    return list(texts)[-1]


@pytest.mark.parametrize(
    "settings_", [{}, {"top_k": 4}, {"top_p": 0.8}, {"top_k": 5, "top_p": 0.9}]
)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_drawn_characters_follow_the_exact_distribution(temperature, settings_):
    """Chi-square at a fixed seed; [UNK] is never drawn though it is likeliest."""
    logits = np.log([0.05, 0.3, 0.1, 0.25, 0.2, 0.1])
    model = head_only(logits, "abcdef")
    length = 6000
    text = last(
        generation.generate(
            model, "a", length=length, rows=rows(temperature, seed=3, **settings_)
        )
    )[0]
    assert len(text) == length
    expected = length * sampling.next_char_probs(
        model.weights["head.bias"][1:], temperature=temperature, **settings_
    )
    counts = np.array([text.count(character) for character in "abcdef"])
    possible = expected > 0
    assert counts[~possible].sum() == 0
    chi = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert chi < 20.5  # 0.1 % of the chi-square distribution at 5 degrees


# --- texts -----------------------------------------------------------------

OPTIONS = (
    {"temperature": 0.0},
    {"temperature": 0.3, "seed": 1},
    {"temperature": 1.0, "seed": 2, "top_k": 3},
    {"temperature": 1.2, "seed": 3, "top_p": 0.7},
    {"temperature": 2.0, "seed": 4},
)


def text_alone(model, prompt, config, length):
    return last(generation.generate(model, prompt, length=length, rows=[config]))[0]


def test_samples_are_rows_with_seeds_of_their_own():
    made = generation.samples_of(rows(0.5, 1.0, seed=7, top_k=3), 3)
    assert [(row.temperature, row.seed) for row in made] == [
        *((0.5, 7), (0.5, 8), (0.5, 9), (1.0, 7), (1.0, 8), (1.0, 9))
    ]
    assert {row.top_k for row in made} == {3}
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(ConfigError, match="expected a whole number of texts"):
            generation.samples_of(rows(0.5), wrong)
    with pytest.raises(ConfigError, match="seed"):
        generation.samples_of(rows(0.5, seed=2**63 - 1), 2)


def test_more_texts_than_are_written_at_once_come_in_turns():
    model = make_model()
    many = generation.samples_of(rows(1.0, seed=3), 2 * generation.MAX_ROWS + 2)
    frames = list(generation.generate(model, "ab", length=20, rows=many, chunk=8))
    assert frames[-1] == [text_alone(model, "ab", row, 20) for row in many]
    most = generation.MAX_ROWS
    assert [sum(map(bool, frame)) for frame in frames] == [
        *([most] * 3 + [2 * most] * 3 + [2 * most + 2] * 3)
    ]


def start(network, model, prompt):
    ids = generation.prompt_ids(model.vocabulary, prompt)
    states = network.prefill(ids[:-1], network.initial_states(1))
    return int(ids[-1]), states


@pytest.mark.parametrize("units", [16, 61, 256])
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_writes_the_same_text_and_states_in_any_company(cell, units):
    """Bit for bit, with rows of other settings joining and leaving."""
    model = make_model(cell, 2, units=units, scale=2 / units**0.5)
    network = Network(model.record.model, model.weights)
    batch = generation.Batch(network, model.vocabulary)
    texts, prompts = [], []
    for index in range(15):
        config = SamplingConfig(**OPTIONS[index % len(OPTIONS)])
        prompts.append("ab cd\n"[: index % 5 + 1] + "x" * (index % 2))
        begun = start(network, model, prompts[-1])
        texts.append(generation.Row(config, 20 + index % 7 * 5, *begun))
        # every third one rests while the others advance, and comes back
        batch.set_rows([row for i, row in enumerate(texts) if (i + index) % 3])
        for _ in range(index % 4):
            batch.step()
    batch.set_rows(texts[:2] + texts[3:])  # the third is left
    assert 0 < len(texts[2].written_from(0).text) < texts[2].length
    while batch.rows:
        batch.step()
    for index, (row, prompt) in enumerate(zip(texts, prompts, strict=True)):
        alone = text_alone(model, prompt, row.config, row.length)
        assert row.written_from(0).text == (
            alone if index != 2 else alone[: len(row.written_from(0).text)]
        )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 5, 16, 33, 300]), st.sampled_from(CELLS))
def test_a_rows_logits_have_the_same_bits_in_any_batch(batch, units, cell):
    model = make_model(cell, 2, units=units)
    network = Network(model.record.model, model.weights)
    ids = np.random.default_rng(batch).integers(0, 13, (batch, 3))
    together = all_logits(network, ids)
    for row in {0, batch // 2, batch - 1}:
        alone = all_logits(network, ids[row : row + 1])
        np.testing.assert_array_equal(together[row], alone[0])


def test_a_text_does_not_depend_on_chunks_or_on_the_other_rows():
    model = make_model()
    drawn = rows(0.0, 0.5, 1.0, seed=11)
    whole = last(generation.generate(model, "ab", length=70, rows=drawn))
    assert [len(text) for text in whole] == [70] * 3
    for chunk in (1, 7, 100):
        steps = list(
            generation.generate(model, "ab", length=70, rows=drawn, chunk=chunk)
        )
        assert steps[-1] == whole
        for before, after in itertools.pairwise(steps):
            assert all(b.startswith(a) for a, b in zip(before, after, strict=True))
    for row, text in zip(drawn, whole, strict=True):
        assert text_alone(model, "ab", row, 70) == text
    longer = generation.generate(model, "ab", length=100, rows=drawn)
    assert [text[:70] for text in last(longer)] == whole


def test_other_seeds_give_other_texts_and_greedy_ignores_the_seed():
    model = make_model()
    one, other = (
        last(generation.generate(model, "a", length=50, rows=rows(1.0, 0, seed=seed)))
        for seed in (1, 2**63 - 1)
    )
    assert one[0] != other[0]
    assert one[1] == other[1]


def test_greedy_follows_the_largest_logit():
    model = make_model("lstm", 2)
    network = Network(model.record.model, model.weights)
    text = text_alone(model, "ab", SamplingConfig(temperature=0), 40)
    ids = model.vocabulary.encode("ab" + text)
    logits = all_logits(network, ids[None].astype(np.intp))[0]
    assert (logits[1:-1, 1:].argmax(axis=1) + 1).tolist() == ids[2:].tolist()


def test_an_empty_prompt_starts_after_a_newline_or_the_first_character():
    config = SamplingConfig(temperature=1.0)
    model = make_model()
    assert text_alone(model, "", config, 30) == text_alone(model, "\n", config, 30)
    model = make_model(characters="xyz")
    assert text_alone(model, "", config, 30) == text_alone(model, "x", config, 30)


def test_unknown_characters_of_a_prompt_count_as_unk():
    model = make_model()
    config = SamplingConfig(temperature=1.0)
    texts = {
        text_alone(model, f"a{c}", config, 30) for c in ("é", "\U0001f600", "\ud800")
    }
    assert len(texts) == 1
    assert texts != {text_alone(model, "a", config, 30)}


def stepwise(model, stop, length=60):
    return list(
        generation.generate(
            model,
            "a",
            length=length,
            rows=rows(1.0, 0.7, seed=5, stop=stop),
            chunk=1,
        )
    )


def test_a_stop_string_ends_a_row_and_is_never_shown():
    model = make_model(characters="ab")
    free = stepwise(model, "")[-1]
    for stop in ("a", "ab", "bb", "aab", "abab", "babb", "zz", "ab" * 40):
        steps = stepwise(model, stop)
        assert steps[-1] == [text.split(stop)[0] for text in free]
        for shown, final in zip(zip(*steps, strict=True), steps[-1], strict=True):
            assert all(final.startswith(text) for text in shown)


def test_what_is_held_back_for_a_stop_string_is_released_at_the_end():
    model = head_only([0.0, -50.0], "ab")  # only a
    steps = stepwise(model, "aaab", length=10)
    assert [texts[0] for texts in steps] == [
        "a" * max(0, n - 3) for n in range(1, 10)
    ] + ["a" * 10]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"length": 0}, "length"),
        ({"length": 1.5}, "length"),
        ({"length": True}, "length"),
        ({"rows": []}, "temperatures"),
    ],
)
def test_a_wrong_request_is_refused_at_the_call(wrong, field):
    request = {"length": 5, "rows": rows(1.0)} | wrong
    with pytest.raises(ConfigError) as error:
        generation.generate(make_model(), "a", **request)
    assert error.value.field == field


# --- surprise --------------------------------------------------------------------


def read_bits(model, prompt, text):
    """Minus log2 of each character's probability at 1, read in a second pass."""
    network = Network(model.record.model, model.weights)
    prompt_ids = generation.prompt_ids(model.vocabulary, prompt)
    states = network.initial_states(1)
    states = network.prefill(prompt_ids[:-1], states)
    last_id, bits = prompt_ids[-1:], []
    for index in model.vocabulary.encode(text):
        logits, states = network.step(last_id, states)
        probs = sampling.next_char_probs(logits[0, 1:], temperature=1)
        bits.append(-np.log2(probs[index - 1]))
        last_id = np.array([index])
    return bits


def test_surprise_is_that_at_temperature_1_whatever_drew_the_character():
    model = make_model(num_layers=2)
    configs = [SamplingConfig(**options) for options in OPTIONS]
    *_, found = generation.write(model, "abc", length=60, rows=configs, chunk=7)
    for one in found:
        expected = read_bits(model, "abc", one.text)
        assert one.bits == pytest.approx(expected, abs=6e-5)
    *_, texts = generation.generate(model, "abc", length=60, rows=configs)
    assert texts == [one.text for one in found]


def test_surprise_of_known_probabilities_is_exact_and_always_finite():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [1.0, 1.0, 1.0]])).astype(np.float32)
    assert sampling.surprise(logits, np.array([1, 2])) == pytest.approx(
        [2, np.log2(3)], abs=1e-6
    )
    far = np.array([[0.0, 5000.0]], np.float32)
    assert sampling.surprise(far, np.array([1])).tolist() == [0]
    assert sampling.surprise(far, np.array([0])) == pytest.approx(5000 / np.log(2))


def test_a_stop_string_takes_its_bits_along():
    model = make_model(characters="ab")
    options = {"length": 60, "chunk": 1}
    *_, free = generation.write(model, "a", rows=rows(1.0, 0.7, seed=5), **options)
    for stop in ("ab", "bb", "aab"):
        settings = rows(1.0, 0.7, seed=5, stop=stop)
        for step in generation.write(model, "a", rows=settings, **options):
            for one, whole in zip(step, free, strict=True):
                assert one.bits == whole.bits[: len(one.text)]
