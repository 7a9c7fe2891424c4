import html
import itertools
import re
import time
from dataclasses import replace
from urllib.parse import parse_qsl

import gradio as gr
import pytest

from charrnn.errors import ConfigError, RunError
from charrnn.model import checkpoint, generation
from charrnn.model.record import CorpusRecord
from charrnn.runs import store
from charrnn.runs.events import EventLog
from charrnn.text import sources
from charrnn.ui import generate_tab, links, shared
from charrnn.ui.generate_tab import SKIP, Wish
from charrnn.ui.shared import Browser
from tests.builders import make_folder, make_record, rows

EVIL = "${alert(1)} `{{value}}` <img src=x onerror=alert(2)> \"' =a"
PLAIN = {
    "model": "m",
    "prompt": "the ",
    "length": 30,
    "seed": 7,
    "new_seed": False,
    "top_k": 0,
    "top_p": 1,
    "stop": "",
    "temperatures": (0.2, 0.5, 0.8, 1.1),
}


class Asked:
    """A request as far as its headers and its address go."""

    def __init__(self, query="", lang="en"):
        self.headers = {"accept-language": lang}
        self.query_params = dict(parse_qsl(query.removeprefix("?")))


def wish(**changed):
    return Wish(**{**PLAIN, **changed})


@pytest.fixture
def model(isolated):
    """The folder of a small model called m."""
    return make_folder(isolated / "m", make_record(title="A <b>title</b>"))


def frames(made, *, columns=4):
    return list(generate_tab.write("en", made, columns=columns))


def test_an_order_carries_all_settings_to_every_row(model):
    made = generate_tab.order("en", wish(top_k=3, top_p=0.5, stop="\n"), at_least=2)
    assert made.path == model
    assert made.columns == (0, 1, 2, 3)
    assert [row.temperature for row in made.rows()] == [0.2, 0.5, 0.8, 1.1]
    assert {(r.top_k, r.top_p, r.stop, r.seed) for r in made.rows()} == {
        (3, 0.5, "\n", 7)
    }
    assert made.link.weights_hash == checkpoint.load(model).weights_hash


def test_a_missing_temperature_leaves_its_column_out(model):
    made = generate_tab.order(
        "en", wish(temperatures=(0.2, None, 0.8, None)), at_least=2
    )
    assert made.columns == (0, 2)
    cards = frames(made)[0].cards
    assert "this column rests" in cards[1]
    assert "this column rests" in cards[3]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"length": 10_001}, "length"),
        ({"length": 0}, "length"),
        ({"length": None}, "length"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**53}, "seed"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"temperatures": (0.2, 2.1)}, "temperatures"),
        ({"temperatures": (0.2, None)}, "temperatures"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_wrong_is_named(model, changed, field):
    with pytest.raises(ConfigError) as caught:
        generate_tab.order("en", wish(**changed), at_least=2)
    assert caught.value.field == field


def test_a_model_is_an_id_and_never_a_path(model):
    for name in ("../m", str(model), "m/../m", ".", "", "nobody"):
        with pytest.raises((RunError, ConfigError)):
            generate_tab.order("en", wish(model=name), at_least=2)


def test_the_wrong_fields_are_marked():
    right = (400, 7, 0, 1, 0.8, 0.2, 0.5, None, 1.1)
    assert all(
        "wrong" not in m["elem_classes"] for m in generate_tab.marks("en", *right)
    )
    wrong = (0, -1, None, 0, 2.1, 9, 0.5, None, 1.1)
    marks = generate_tab.marks("en", *wrong)
    assert ["wrong" in m["elem_classes"] for m in marks] == [True] * 6 + [False] * 3
    assert marks[0]["info"] == "expected a number from 1 to 10,000"
    assert marks[5]["elem_classes"] == ["inline", "wrong"]
    assert generate_tab.marks("ja", *wrong)[2]["info"] == "値が必要です"


def test_a_drawn_seed_is_shown_and_a_given_one_kept(model):
    given = next(generate_tab._stream("en", wish(), alone=False))
    assert given.seed == 7
    drawn = next(
        generate_tab._stream("en", wish(new_seed=True, seed=None), alone=False)
    )
    assert 0 <= drawn.seed < generate_tab.DRAWN_SEEDS


def test_the_texts_are_those_of_the_model(model):
    made = generate_tab.order("en", wish(length=60), at_least=2)
    last = frames(made)[-1]
    *_, expected = generation.generate(
        checkpoint.load(model),
        "the ",
        length=60,
        rows=rows(0.2, 0.5, 0.8, 1.1, seed=7),
    )
    for card, text in zip(last.cards, expected, strict=True):
        assert card.endswith('<span class="prompt">the </span>' + html.escape(text))


def test_each_frame_continues_the_one_before(model):
    made = generate_tab.order("en", wish(length=2000), at_least=2)
    shown = [frame.cards for frame in frames(made)]
    assert len(shown) > 2
    for before, after in itertools.pairwise(shown):
        for column in range(4):
            assert after[column].startswith(before[column])


def test_the_link_under_a_text_reproduces_it(model):
    made = generate_tab.order("en", wish(new_seed=True), at_least=2)
    last = frames(made)[-1]
    href = html.unescape(re.search(r'href="([^"]+)"', last.status)[1])
    link = links.parse(dict(parse_qsl(href.removeprefix("?"))))
    assert link == made.link
    again = generate_tab.order(
        "en",
        wish(seed=link.seed, temperatures=link.temperatures, prompt=link.prompt),
        at_least=2,
    )
    assert frames(again)[-1].cards == last.cards


def test_closing_a_writing_ends_it(model):
    made = generate_tab.order("en", wish(length=10_000), at_least=2)
    writing = generate_tab.write("en", made, columns=4)
    next(writing)
    next(writing)
    assert generate_tab.engine.active == 1
    writing.close()
    for _ in range(200):
        if not generate_tab.engine.active:
            break
        time.sleep(0.01)
    assert generate_tab.engine.active == 0


def test_unknown_characters_of_a_prompt_are_named(model):
    made = generate_tab.order("en", wish(prompt="the Ü\t漢 é<"), at_least=2)
    assert made.unknown == "Ü\t漢é<"
    note = generate_tab.unknown_note("en", made.unknown)
    assert "“Ü '\\t' 漢 é &lt;”" in html.unescape(note).replace("<”", "&lt;”")
    assert "<”" not in note
    assert generate_tab.unknown_note("en", "") == ""


def test_nothing_of_a_visitor_or_a_model_becomes_html(isolated):
    make_folder(isolated / "m", make_record(title=EVIL))
    made = generate_tab.order("en", wish(prompt=EVIL, stop=EVIL), at_least=2)
    for frame in frames(made):
        for part in (*frame.cards, frame.status):
            assert part is None or "<img" not in part
            assert part is None or "onerror=alert(2)>" not in part
    assert generate_tab.marked(EVIL, [(0, 11)]).startswith("<mark>${alert(1)}</mark>")
    assert "<img" not in generate_tab.marked(EVIL, [(3, 30)])


def test_errors_are_escaped(model):
    with pytest.raises(gr.Error) as caught:
        next(generate_tab._stream("en", wish(model="<img src=x>"), alone=False))
    assert "<img" not in str(caught.value)


def test_passages_learnt_by_heart_are_marked(model):
    (model / "state").mkdir()
    text = "a rather long sentence that the model has learnt by heart, all of it"
    (model / "state" / "corpus.txt").write_text(text, encoding="utf-8")
    made = generate_tab.order("en", wish(prompt="A rather long"), at_least=2)
    texts = [" sentence that the model has learnt by heart, yes", "nothing"]
    bodies, meaning = generate_tab.final_bodies("en", made, texts)
    assert bodies == [
        "<mark> sentence that the model has learnt by heart, </mark>yes",
        "nothing",
    ]
    assert "word for word" in meaning


def test_a_passage_that_begins_in_the_prompt_counts(model):
    (model / "state").mkdir()
    text = "a rather long sentence that the model has learnt by heart, all of it"
    source = model / "state" / "corpus.txt"
    source.write_text(text, encoding="utf-8")
    assert generate_tab.learnt_by_heart(source, text[:30], [text[30:45]]) == [[(0, 15)]]
    assert generate_tab.learnt_by_heart(source, text, ["quite"]) == [[]]


def test_only_the_very_text_of_a_name_counts(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path))
    record = checkpoint.read_record(model)
    assert generate_tab.training_text(model, record) is None
    (tmp_path / "shakespeare.txt").write_text("another")
    named = sources.NAMED["shakespeare"]
    pretended = CorpusRecord(
        name="shakespeare", characters=1, distinct=1, sha256=named.sha256
    )
    assert generate_tab.training_text(model, replace(record, corpus=pretended)) is None
    evil = replace(pretended, name="../shakespeare")
    assert generate_tab.training_text(model, replace(record, corpus=evil)) is None


def test_the_prompt_follows_the_model_until_the_visitor_writes_one(isolated):
    make_folder(isolated / "m", make_record())
    folder = make_folder(isolated / "r", make_record())
    (folder / "state").mkdir()
    EventLog(folder).append("sample", 1, temperature=0.8, prompt="the sea", text="x")
    assert generate_tab.suggest_prompt("r", "ROMEO:") == "the sea"
    assert generate_tab.suggest_prompt("m", "the sea") == ""
    assert generate_tab.suggest_prompt("m", "my own words") == SKIP
    assert generate_tab.suggest_prompt("nobody", "ROMEO:") == SKIP


def test_a_page_opens_with_a_model_and_a_seed(model):
    first = generate_tab.opened(shared.NEW_BROWSER, Asked())
    assert first.status == SKIP
    assert 0 <= first.seed < generate_tab.DRAWN_SEEDS
    choices, chosen = generate_tab.listed("en", None, shared.NEW_BROWSER)
    assert chosen in {value for _, value in choices}
    assert ("A <b>title</b> · 1.500", "m") in choices


def test_a_page_opened_by_a_link_is_filled_from_it(model):
    digest = checkpoint.load(model).weights_hash
    link = links.Link(
        model="m", weights_hash=digest, prompt="so", seed=3, temperatures=(0.1, 0.9)
    )
    opened = generate_tab.opened({}, Asked(links.build(link)))
    assert (opened.prompt, opened.seed, opened.new_seed) == ("so", 3, False)
    assert (opened.t0, opened.t1, opened.t2, opened.t3) == (0.1, 0.9, None, None)
    assert "press “Compare”" in opened.status
    assert "will differ" not in opened.status


def test_a_link_made_with_other_weights_says_so(model):
    link = links.Link(model="m", weights_hash="0" * 16, temperatures=(0.1,))
    opened = generate_tab.opened({}, Asked(links.build(link)))
    assert "will differ" in opened.status
    assert opened.temperature == 0.1
    assert opened.t0 == SKIP


def test_a_link_to_a_model_that_is_not_here_says_so(model):
    opened = generate_tab.opened({}, Asked("?model=../../etc/passwd"))
    assert "not here" in opened.status


def test_a_hosted_page_lists_only_what_a_browser_holds(isolated, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    mine, other = store.hosted_id(), store.hosted_id()
    for name in (mine, other):
        make_folder(isolated / name, make_record(title=name))
    held = Browser.of({"run": None, "held": [mine]})
    ids = {value for _, value in shared.model_choices("en", held)}
    assert ids - {store.SHIPPED_ID} == {mine}
    nobody = {value for _, value in shared.model_choices("en", Browser())}
    assert nobody <= {store.SHIPPED_ID}
    # whoever names an id has it from its owner
    named = {v for _, v in shared.model_choices("en", Browser(), other)}
    assert named - {store.SHIPPED_ID} == {other}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"run": 3, "held": "abc"},
        {"run": "../x", "held": [1, "a/b", ".."]},
    ],
)
def test_what_a_browser_sends_is_checked(value):
    assert Browser.of(value) == Browser()


def test_a_browser_remembers_what_it_followed_and_not_too_much():
    mind = Browser.of({"run": None, "held": ["a"]}).following("b")
    assert mind.store() == {"run": "b", "held": ["a", "b"]}
    assert mind.following("a").store() == {"run": "a", "held": ["a", "b"]}
    assert mind.following(None).store() == {"run": None, "held": ["a", "b"]}
    for index in range(300):
        mind = mind.holding(f"m{index}")
    assert len(mind.held) == shared.MAX_HELD
    assert mind.run == "b"
