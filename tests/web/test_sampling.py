"""The browser's probabilities are those of `model/sampling`."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.inside import surprise
from charrnn.model.sampling import next_char_probs
from charrnn.ui import cards
from tests.builders import WEB, make_model, run_javascript

NEAR = 1e-12  # of top-p, where the sets may differ by a candidate
PARTS = (WEB / "sampling.js").read_text(encoding="utf-8")
# logits as float32 has them: equal ones are equal, others differ by more than 1e-5
grid = st.integers(-20_000, 20_000).map(lambda number: number / 1024)
temperatures = st.one_of(
    st.sampled_from([0, 0.05, 1, 2]), st.integers(1, 40).map(lambda n: n / 20)
)
cases = st.tuples(
    st.lists(
        st.one_of(grid, st.sampled_from([0.0, 1.0, 1.5])), min_size=1, max_size=40
    ),
    temperatures,
    st.integers(0, 45),
    st.one_of(st.just(1.0), st.floats(1e-6, 1)),
)


def is_close_call(logits, temperature, top_k, top_p):
    """Whether a cumulated share lies so near top-p that rounding decides."""
    probs = next_char_probs(np.array(logits), temperature=temperature, top_k=top_k)
    shares = np.sort(probs)[::-1].cumsum()
    return top_p < 1 and bool((abs(shares - top_p) < NEAR).any())


def made():
    """What hypothesis makes of these strategies, two hundred times."""
    found = []

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(cases)
    def collect(case):
        found.append(case)

    collect()
    return [case for case in found if not is_close_call(*case)]


def test_the_browser_has_the_probabilities_of_the_package():
    chosen = [
        ([1.0, 3.0, 3.0, 0.5], 0, 0, 1.0),  # greedy on a tie
        ([1.0, 3.0, 3.0, 0.5], 0.7, 1, 1.0),  # top-k on a tie
        ([2.0] * 8, 1.3, 3, 0.9),
        ([-800.0, 0.0, 700.0], 1, 0, 1.0),  # some underflow to nothing
        ([5.0], 2, 9, 0.01),
        *made(),
    ]
    assert len(chosen) > 150
    call = (
        "cases.map(([logits, temperature, topK, topP]) => "
        "charrnnSampling.distribution(logits, { temperature, topK, topP }))"
    )
    answers = run_javascript(PARTS, call, chosen)
    for case, answer in zip(chosen, answers, strict=True):
        logits, temperature, top_k, top_p = case
        expected = next_char_probs(
            np.array(logits), temperature=temperature, top_k=top_k, top_p=top_p
        )
        whole = next_char_probs(np.array(logits), temperature=temperature or 1e-60)
        np.testing.assert_allclose(answer["after"], expected, 0, 1e-9, err_msg=case)
        np.testing.assert_allclose(answer["before"], whole, 0, 1e-9, err_msg=case)
        drawn = answer["ranked"][: answer["kept"]]
        assert set(np.flatnonzero(expected)) <= set(drawn)
        assert answer["ranked"] == sorted(
            range(len(logits)), key=lambda i: (-answer["before"][i], i)
        )


def test_colours_are_steps_of_probability():
    probabilities = [1, 0.5, 0.49, 0.25, 0.24, 0.1, 0.09, 0.03, 0.02, 0.01, 0.009, 1e-9]
    bits = [-float(np.log2(p)) for p in probabilities]
    steps = run_javascript(PARTS, "cases.map(charrnnSampling.surpriseStep)", bits)
    assert steps == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    # the browser's steps are Python's, and the legend tells them
    scored = dataclasses.replace(
        surprise.surprise(make_model(), "ab"), probability=np.array(probabilities)
    )
    assert scored.steps.tolist() == steps
    legend = cards.colour_legend("en")
    assert all(f"{100 * least:g} % or more" in legend for least in surprise.STEPS)
    assert legend.count("<i ") == 6
