import html
import itertools
import re

import pytest

from charrnn.errors import ConfigError
from charrnn.model import checkpoint, generation, snapshots
from charrnn.model.generation import Written
from charrnn.ui import cards, links, writing
from charrnn.ui.writing import WritingUpdate
from charrnn.ui.writing_request import DRAWN_SEEDS, engine, prepare
from tests.builders import (
    ENGLISH,
    alone,
    make_folder,
    make_record,
    make_slow,
    make_stepped,
    rows,
    wait_until,
    writing_request,
)

EVIL = "${alert(1)} `{{value}}` <img src=x onerror=alert(2)> \"' =a"


def frames(prepared, *, columns=4):
    return list(writing.write("en", prepared, columns=columns))


def test_a_missing_temperature_leaves_its_column_out(model):
    prepared = prepare(
        "en", writing_request(temperatures=(0.2, None, 0.8, None)), at_least=2
    )
    assert prepared.columns == (0, 2)
    cards = frames(prepared)[0].cards
    assert "appears here" in cards[1]
    assert "appears here" in cards[3]


def test_a_drawn_seed_is_shown_and_a_given_one_kept(model):
    given = next(writing.stream("en", writing_request(), single=False))
    assert given.seed == 7
    drawn = next(
        writing.stream("en", writing_request(new_seed=True, seed=None), single=False)
    )
    assert 0 <= drawn.seed < DRAWN_SEEDS


def test_the_texts_are_those_of_the_model(model):
    prepared = prepare("en", writing_request(length=60), at_least=2)
    last = frames(prepared)[-1]
    *_, expected = generation.generate(
        checkpoint.load(model),
        "the ",
        length=60,
        rows=rows(0.2, 0.5, 0.8, 1.1, seed=7),
    )
    for card, text in zip(last.cards, expected, strict=True):
        assert f'<span class="prompt">the </span>{html.escape(text)}</div>' in card


def test_what_is_odd_in_a_models_files_is_told_beside_its_texts(model):
    config = model / "config.json"
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    first, *_, last = frames(prepare("en", writing_request(), at_least=2))
    for frame in (first, last):
        assert "config.json begins with a byte-order mark" in frame.status


def test_each_frame_continues_the_one_before(isolated):
    make_slow(isolated / "m")
    prepared = prepare("en", writing_request(length=300), at_least=2)
    shown = [frame.cards for frame in frames(prepared)]
    assert len(shown) > 2
    for before, after in itertools.pairwise(shown):
        for column in range(4):
            assert after[column].startswith(before[column])


def test_the_link_under_a_text_reproduces_it(model):
    prepared = prepare("en", writing_request(new_seed=True), at_least=2)
    last = frames(prepared)[-1]
    href = html.unescape(re.search(r'href="([^"]+)"', last.status)[1])
    link = links.read(href)
    assert link == prepared.link
    again = prepare(
        "en",
        writing_request(
            seed=link.seed, temperatures=link.temperatures, prompt=link.prompt
        ),
        at_least=2,
    )
    assert frames(again)[-1].cards == last.cards


def test_closing_a_writing_ends_it(isolated):
    make_slow(isolated / "m")
    prepared = prepare("en", writing_request(length=10_000), at_least=2)
    frames_of = writing.write("en", prepared, columns=4)
    next(frames_of)
    next(frames_of)
    assert engine.active == 1
    frames_of.close()
    wait_until(lambda: engine.active == 0, 5)  # to its end it takes far longer


def test_unknown_characters_of_a_prompt_are_named(model):
    prepared = prepare("en", writing_request(prompt="the Ü\t漢 é<"), at_least=2)
    assert prepared.unknown == "Ü\t漢é<"
    note = cards.unknown_note("en", prepared.unknown)
    assert "“Ü '\\t' 漢 é &lt;”" in html.unescape(note).replace("<”", "&lt;”")
    assert "<”" not in note
    assert cards.unknown_note("en", "") == ""


def test_nothing_of_a_visitor_or_a_model_becomes_html(isolated):
    make_folder(isolated / "m", make_record(title=EVIL))
    prepared = prepare("en", writing_request(prompt=EVIL, stop=EVIL), at_least=2)
    for frame in frames(prepared):
        for part in (*frame.cards, frame.status):
            assert part is None or "<img" not in part
            assert part is None or "onerror=alert(2)>" not in part
    assert cards.highlight(EVIL, [(0, 11)]).startswith("<mark>${alert(1)}</mark>")
    assert "<img" not in cards.highlight(EVIL, [(3, 30)])


def test_passages_learnt_by_heart_are_marked(model):
    (model / "state").mkdir()
    text = "a rather long sentence that the model has learnt by heart, all of it"
    (model / "state" / "corpus.txt").write_text(text, encoding="utf-8")
    asked = writing_request(prompt="A rather long", temperatures=(0.5, 0.8))
    prepared = prepare("en", asked, at_least=2)
    texts = [" sentence that the model has learnt by heart, yes", "nothing"]
    written = [Written(text, [1.25] * len(text)) for text in texts]
    bodies, meaning = writing.final_bodies("en", prepared, written)
    assert bodies[0].startswith(
        "<mark> sentence that the model has learnt by heart, </mark>yes</div>"
    )
    assert bodies[1].startswith("nothing</div>")
    assert "word for word" in meaning
    for told in ("94 % copied", "1.25 bits per character", "0.0 % repeats"):
        assert told in bodies[0]
    bits = re.search(r'data-bits="([^"]*)"', bodies[1])[1].split()
    assert [float(one) for one in bits] == [1.25] * len("nothing")
    assert "repeats" not in bodies[1].split('class="tip"')[0]


def test_a_resting_column_escapes_its_words():
    assert cards.resting_card("<b>") == (
        '<article class="card"><p class="resting">&lt;b&gt;</p></article>'
    )


def test_a_column_writes_on_from_a_link_of_its_own(model):
    link = links.encode(
        prepare("en", writing_request(temperatures=(0.8,), length=30), at_least=1).link
    )
    (*_, last) = writing.go_on(ENGLISH, f"2 {link}")
    *_, expected = generation.generate(
        checkpoint.load(model), "the ", length=30, rows=rows(0.8, seed=7)
    )
    shown = WritingUpdate(last[0], last[1], tuple(last[2:6]), *last[6:])
    assert html.escape(expected[0]) in shown.cards[2]
    assert [shown.cards[i] for i in (0, 1, 3)] == [writing.SKIP] * 3
    assert shown.single_card == writing.SKIP
    (*_, last) = writing.go_on(ENGLISH, f"single {link}")
    assert html.escape(expected[0]) in last[6]


def test_texts_of_several_steps_stand_in_their_columns_and_write_on(isolated):
    folder = make_stepped(isolated / "run", 100, 25)
    asked = writing_request(
        model="run", by="step", steps=("25", "100"), single_temperature=0.8
    )
    prepared = prepare("en", asked, at_least=2)
    last = frames(prepared)[-1]
    for card, step in zip(last.cards, (25, 100), strict=False):
        (text,) = alone(snapshots.load(folder, step), "the ", 30, [0.8], seed=7)
        assert f'<span class="prompt">the </span>{html.escape(text)}</div>' in card
        assert f"Written at step {step}" in card
        assert "bits per character" in card
    own = links.encode(prepared.texts[0].link)
    (*_, last) = writing.go_on(ENGLISH, f"3 {own}")
    (text,) = alone(snapshots.load(folder, 25), "the ", 30, [0.8], seed=7)
    assert html.escape(text) in last[5]


@pytest.mark.parametrize("place", ["", "4 ?model=m", "-1 ?model=m", "1 ?prompt=a", "1"])
def test_a_place_that_is_none_is_refused(model, place):
    with pytest.raises(ConfigError, match="not one of this page's texts"):
        next(writing.go_on(ENGLISH, place))
