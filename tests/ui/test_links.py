import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.ui import links
from charrnn.ui.links import Link

# no lone surrogates, and no spaces at an end
NAMED = st.characters(exclude_categories=["Cs"])


def test_a_link_names_all_that_a_text_depends_on():
    link = Link(
        model="shakespeare",
        weights_hash="0123456789abcdef",
        prompt="ROMEO:\n& more=1",
        seed=7,
        temperatures=(0.2, 1.1),
        length=50,
        top_k=5,
        top_p=0.9,
        stop="\n\n",
    )
    assert links.build(link) == (
        "?model=shakespeare&hash=0123456789abcdef&prompt=ROMEO%3A%0A%26+more%3D1&seed=7"
        "&temperatures=0.2%2C1.1&length=50&top_k=5&top_p=0.9&stop=%0A%0A"
    )
    assert links.read(links.build(link)) == link


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    seed=st.integers(0, links.MAX_PAGE_SEED),
    temperatures=st.lists(
        st.integers(0, 200).map(lambda n: n / 100), min_size=1, max_size=4
    ),
    stop=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_every_link_comes_back_as_it_was(prompt, seed, temperatures, stop):
    link = Link(
        model="m",
        prompt=prompt,
        seed=seed,
        temperatures=tuple(temperatures),
        stop=stop,
    )
    assert links.read(links.build(link)) == link


@given(
    by=st.sampled_from(["model", "step", "top_p"]),
    models=st.lists(st.text(NAMED, min_size=1, max_size=20), min_size=1, max_size=4),
    steps=st.lists(st.integers(1, links.MAX_STEP), min_size=1, max_size=4),
    top_ps=st.lists(st.integers(1, 100).map(lambda n: n / 100), min_size=1, max_size=4),
)
def test_every_link_to_a_comparison_comes_back(by, models, steps, top_ps):
    values = {"model": models, "step": steps, "top_p": top_ps}[by]
    first = models[0] if by == "model" else "m"
    compared = {"by": by, f"{by}s": tuple(values)}
    link = Link(model=first, temperatures=(0.8,), seed=3, **compared)
    assert links.read(links.build(link)) == link
    for value, own in zip(values, link.each(), strict=True):
        assert links.read(links.build(own)) == own
        assert getattr(own, by) == value
        assert (own.temperatures, own.seed) == ((0.8,), 3)


@pytest.mark.parametrize(
    "query",
    [
        *("by=model", "by=step&steps=0,x,-1,1e3", "by=top_p&top_ps=0,2,nan"),
        *("by=seed&seeds=1,2", "by=__class__&__class__s=1", "models=a,b&steps=1"),
    ],
)
def test_a_comparison_of_nothing_is_one_of_temperatures(query):
    link = links.read(f"?model=m&temperatures=0.2,0.4&{query}")
    assert link == Link(model="m", temperatures=(0.2, 0.4))


def test_a_comparison_takes_what_is_good_of_a_strangers_link():
    link = links.read("?model=m&by=step&steps=25,0,x,100,200,400")
    assert (link.steps, link.temperatures) == ((25, 100), (0.8,))
    link = links.read(f"?model=m&by=model&models={'a' * 300},,b%2Cc")
    assert link.models == ("a" * 200, "b", "c")
    link = links.read("?model=m&hash=0123456789abcdef,<b>&by=top_p&top_ps=0.5,1")
    assert (link.weights_hash, link.top_ps) == ("", (0.5, 1))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("length=10001", "length"),
        ("length=-1", "length"),
        ("length=1e3", "length"),
        ("seed=9007199254740992", "seed"),
        ("seed=x", "seed"),
        ("temperatures=nan,inf,-1,3", "temperatures"),
        ("top_k=-1", "top_k"),
        ("top_p=0", "top_p"),
        ("top_p=nan", "top_p"),
        ("hash=<script>", "weights_hash"),
    ],
)
def test_what_is_wrong_in_a_link_falls_back_to_the_default(query, field):
    defaults = {f.name: f.default for f in dataclasses.fields(Link)}
    assert getattr(links.read(f"?model=m&{query}"), field) == defaults[field]


def test_an_address_without_a_model_is_no_link():
    assert links.parse({}) is None
    assert links.parse({"run": "x"}) is None


def test_what_is_long_is_cut():
    link = links.read("?model=m&prompt=" + "a" * 20_000 + "&stop=" + "b" * 500)
    assert len(link.prompt) == links.MAX_LINK_PROMPT
    assert len(link.stop) == links.MAX_LINK_STOP


def test_a_link_over_1500_bytes_stands_in_the_fragment():
    longest = links.MAX_QUERY - len(links.encode(Link(model="m", prompt="")))
    longest -= len("&prompt=")
    for letters, start in ((longest, "?model=m&"), (longest + 1, "?#model=m&")):
        link = Link(model="m", prompt="a" * letters)
        assert links.build(link).startswith(start)
        assert links.read(links.build(link)) == link
    assert len(links.encode(Link(model="m", prompt="a" * longest))) == 1500


def test_the_longest_link_comes_back_whole():
    link = Link(model="m" * 200, prompt="𠮷" * 10_000, stop="𠮷" * 200)
    assert links.read(links.build(link)) == link
    assert len(links.build(link)) < links.MAX_ADDRESS


def test_a_strangers_fragment_is_read_like_a_query():
    assert links.read("#") is None
    assert links.read("#elsewhere") is None
    assert links.read("#model=m&prompt=%FF&seed=-1") == Link(model="m", prompt="\ufffd")


def test_a_lone_surrogate_in_a_prompt_builds_a_link():
    assert "prompt=%3F" in links.build(Link(model="m", prompt="\ud800"))


@given(st.text())
def test_every_stop_string_can_be_entered(stop):
    entered = links.enter_stop(stop)
    assert links.read_stop(entered) == stop
    assert not set(entered) & set("\n\t")


def test_a_line_break_is_entered_as_it_is_written_everywhere():
    assert links.read_stop(r"\n\n") == "\n\n"
    assert links.read_stop(r"a\\n \x") == r"a\n \x"
    assert links.read_stop("plain") == "plain"
