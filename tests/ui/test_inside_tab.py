"""The Inside tab and its endpoints: what they show is what `inspect` computes."""

import contextlib
import html
import json
import re
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

import app
from charrnn.cli.parser import main
from charrnn.errors import CharrnnError, ConfigError
from charrnn.hosting import Visitor
from charrnn.inside import memory, surprise, units
from charrnn.inside.marks import marks_of
from charrnn.model import checkpoint
from charrnn.runs import store
from charrnn.ui import (
    api,
    inside_beside,
    inside_course,
    inside_map,
    inside_tab,
    looking,
)
from charrnn.ui.wiring import SKIP
from tests.builders import ENGLISH, PageRequest, make_folder, make_record, varied_text

TEXT = "the cat\nsat on a <b>mat</b> & slept"
EVIL = '<img src=x onerror="alert(1)">'
CHARACTER = re.compile(r'<span class="ch([^"]*)"[^>]*>(.*?)</span>', re.DOTALL)


def characters(shown):
    """Classes and text of each character of the first map in some HTML."""
    inside = shown.split('class="reading', 1)[1].split("</div>", 1)[0]
    return [
        (kind.split(), html.unescape(text)) for kind, text in CHARACTER.findall(inside)
    ]


def look(text, against=None, **headers):
    """What a look shows in the end: map, reach, panel, units, and whether by hand."""
    shown = [None] * 5
    request = PageRequest(**headers)
    for update in inside_tab.look_inside(request, "m", text, against):
        for place, value in enumerate(update):
            if value != SKIP:
                shown[place] = value
    return shown


def test_the_map_holds_the_text_and_its_steps(model):
    shown, reach, hint, beside, hand = look(TEXT)
    found = surprise.surprise(checkpoint.load(model), TEXT)
    parts = characters(shown)
    assert "".join(text for _, text in parts) == TEXT
    assert parts[0][0] == []  # the first is not scored
    assert [kind[0] for kind, _ in parts[1:]] == [f"p{step}" for step in found.steps]
    assert f"<td>{found.bits_per_char:.3f}</td>" in shown
    assert f"<td>{found.perplexity:.2f}</td>" in shown
    assert "<b>mat" not in shown
    assert "arrow keys" in hint
    assert beside == ""
    assert hand["visible"] is False
    # how far back it looks: the sentence, and the curve that it tells
    far = memory.reach(*traced(model, TEXT))
    assert f"lies within {far.within(0.5)} characters" in reach
    points = re.search(r'<polyline points="([^"]*)"', reach)[1].split()
    assert len(points) == len(far.shares)
    assert float(points[-1].split(",")[1]) == 8  # all of it: the top


def traced(model, text):
    loaded = checkpoint.load(model)
    _, states = surprise.read(loaded, text)
    return loaded, loaded.vocabulary.encode(text), states


def test_a_hostile_text_stays_a_text(model):
    make_folder(model.parent / "other", make_record(title=EVIL), seed=9)
    shown, *_ = look(EVIL)
    both, *_ = look(EVIL, "other")
    beside = inside_tab.look_at(ENGLISH, "m", EVIL, "other", 9)
    painted, _, head, *_ = inside_tab.colour(
        ENGLISH, "m", EVIL, None, "0.0", "capital", None
    )
    for part in (shown, both, beside, painted, head):
        assert "<img" not in part
        assert "<b><" not in part


def test_a_chosen_character_tells_what_was_looked_at(model):
    loaded, ids, states = traced(model, TEXT)
    seen = memory.look(loaded, ids, states, 20)
    beside = inside_tab.look_at(ENGLISH, "m", TEXT, None, 20)
    parts = [round(100 * seen.share(last)) for last in (5, 20, 100)]
    told = "The last 5 characters hold {} %, the last 20 {} %, the last 100 {} %."
    assert told.format(*parts) in beside
    parts = characters(beside)
    assert "".join(text for _, text in parts) == TEXT[:20]
    assert "p5" in parts[int(seen.norms.argmax())][0]
    found = surprise.surprise(loaded, TEXT)
    assert f"rank {found.rank[19]}, {found.bits[19]:.2f} bits" in beside
    _, nearest, likeliest = re.split("<caption>", beside)
    assert likeliest.count("<tr>") == surprise.LIKELIEST
    share = 100 * seen.norms[-1] / seen.norms.sum()
    first = re.search("<tbody><tr>.*?</tr>", nearest)[0]
    assert first.endswith(f"<td>1</td><td>{share:.3g} %</td></tr>")


@pytest.mark.parametrize("place", [0, -1, len(TEXT), None])
def test_a_place_that_was_not_predicted_is_refused(model, place):
    with pytest.raises(ConfigError, match="expected 1 to"):
        inside_tab.look_at(ENGLISH, "m", TEXT, None, place)


def paint(unit, mark="", value=None, against=None):
    return inside_tab.colour(ENGLISH, "m", TEXT, against, unit, mark, value)


def test_a_unit_colours_the_text_from_its_lowest_value_to_its_highest(model):
    loaded = checkpoint.load(model)
    _, states = surprise.read(loaded, TEXT)
    values = units.activations(loaded.record.model, states)[:, 3]
    shown, box, head, slider, *rest = paint("0.3", "capital")
    parts = characters(shown)
    assert "".join(text for _, text in parts) == TEXT
    assert parts[int(values.argmin())][0][0] == "p0"
    assert parts[int(values.argmax())][0][0] == "p5"
    assert f"{values.min():+.2f} …" in shown
    # numbers, line by line: the lowest and the highest of each
    ends = [f"{end:+.2f}" for end in (values[:8].min(), values[:8].max())]
    assert f"<td>{ends[0]}</td><td>{ends[1]}</td></tr>" in shown
    # and it can be turned by hand, over the values that it takes by itself
    assert box["visible"] is True
    assert "Unit 0.3 turned by hand: capital" in head
    low, high = round(values.min(), 2), round(values.max(), 2)
    assert (slider["minimum"], slider["maximum"]) == (low, high)
    assert slider["value"] == high
    *texts, steps, told = rest
    assert set(texts) == {""}
    assert steps["visible"] is False  # no steps of its training are here
    assert "no earlier steps" in told
    linked = paint("0.3", "capital", round((low + high) / 2, 2))[3]
    assert linked["value"] == round((low + high) / 2, 2)
    assert paint("0.3", "capital", 9.0)[3]["value"] == high
    first, *_ = look(TEXT)
    assert paint("")[0] == first
    assert 'data-against="m"' in paint("0.3", "capital", against="m")[0]
    assert all(value == SKIP for value in paint("")[1:])


@pytest.mark.parametrize("unit", ["0", "a.b", "0.1.2", "0.-1", "0.999999", "²._"])
def test_what_is_no_unit_is_refused(model, unit):
    with pytest.raises(CharrnnError, match="no unit"):
        paint(unit, "capital")
    with pytest.raises(ConfigError, match=r"no unit 0\.9999"):
        paint("0.9999", "capital")
    with pytest.raises(ConfigError, match="no mark"):
        paint("0.3", "warmth")


def found(mark, **changed):
    values = {"correlation": 0.9, "control": 0.2, "r2": 0.1, "r2_control": 0.1}
    return units.Found(mark, 1, 7, **(values | changed))


def test_only_what_clears_its_controls_has_a_row():
    rows = inside_beside.unit_table(
        "en", [found("digit", correlation=-0.9), found("vowel", correlation=0.24)]
    )
    assert rows.count("data-unit=") == 1
    assert 'data-unit="1.7"' in rows
    assert "<td>-0.90</td><td>0.20</td><td></td><td></td>" in rows
    assert "No more than by chance: vowel." in rows
    nothing = inside_beside.unit_table("en", [found("vowel", correlation=0.24)])
    assert "data-unit" not in nothing
    assert "No unit follows" in nothing


def test_a_text_is_bounded_and_a_short_one_is_not_searched(model, monkeypatch):
    with pytest.raises(ConfigError, match="at least 2,000"):
        list(inside_tab.look_and_search(ENGLISH, "m", "a" * 1999, None))
    with pytest.raises(ConfigError, match="at least 2, one"):
        look(None)
    with pytest.raises(ConfigError, match="20,001 characters: at most 20,000"):
        look("a" * 20_001)
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    with pytest.raises(ConfigError, match="5,001 characters: at most 5,000"):
        look("a" * 5_001)
    with pytest.raises(CharrnnError, match="no such model"):
        look(TEXT)


def test_another_model_in_the_same_folder_is_read_anew(model):
    first, *_ = look(TEXT)
    make_folder(model, make_record(), seed=9)
    second, *_ = look(TEXT)
    assert first != second
    expected = surprise.surprise(checkpoint.load(model), TEXT)
    assert f"<td>{expected.bits_per_char:.3f}</td>" in second


def test_few_readings_are_kept(model):
    first = looking.read("en", "m", TEXT)
    assert looking.read("en", "m", TEXT) is first
    for number in range(looking.MAX_READINGS):
        looking.read("en", "m", f"{TEXT}{number}")
    assert looking.read("en", "m", TEXT) is not first


def test_a_search_is_kept_by_weights_and_text_and_read_for_nothing_else(
    model, monkeypatch
):
    loads = []
    real = checkpoint.load_weights
    monkeypatch.setattr(
        checkpoint, "load_weights", lambda *a, **k: loads.append(a) or real(*a, **k)
    )
    text = varied_text(2100)
    first = looking.search("en", "m", text)
    assert [one.mark for one in first] == list(marks_of(text))
    for number in range(looking.MAX_READINGS):  # the text's states are gone by then
        looking.read("en", "m", f"{TEXT}{number}")
    read = len(loads)
    assert looking.search("en", "m", text) is first
    assert len(loads) == read
    # a copy has the same weights, another model others
    make_folder(model.parent / "copy", make_record(title="A copy"))
    assert looking.search("en", "copy", text) is first
    make_folder(model, make_record(), seed=9)
    assert looking.search("en", "m", text) is not first


def test_the_values_used_last_are_kept():
    latest = looking.Latest(2)
    assert latest.find("a") is None
    for key in "ab":
        assert latest.keep(key, key.upper()) == key.upper()
    assert latest.find("a") == "A"
    latest.keep("c", "C")
    assert [latest.find(key) for key in "abc"] == ["A", None, "C"]


def test_a_visitor_of_a_hosted_page_looks_at_one_thing_at_a_time(monkeypatch):
    one, other = Visitor("one", "1.1.1.1"), Visitor("other", "1.1.1.1")
    with looking.one_at_a_time("en", one), looking.one_at_a_time("en", one):
        pass  # one's own computer
    monkeypatch.setenv("CHARRNN_HOSTED", "1")

    def looks(visitor):
        with looking.one_at_a_time("en", visitor):
            pass

    with contextlib.ExitStack() as first:
        first.enter_context(looking.one_at_a_time("en", one))
        with (
            pytest.raises(ConfigError, match="already"),
            looking.one_at_a_time("en", one),
        ):
            pass
        for beside in (Visitor("two", "2.2.2.2"), Visitor("three", "3.3.3.3")):
            with looking.one_at_a_time("en", beside):
                pass
        monkeypatch.setattr(looking, "WAIT_SECONDS", 0.05)
        with (
            pytest.raises(ConfigError, match="from your network wait"),
            looking.one_at_a_time("en", other),
        ):
            pass
        with (
            looking.one_at_a_time("en", Visitor("two", "2.2.2.2")),
            pytest.raises(ConfigError, match="Too many requests wait here"),
            looking.one_at_a_time("en", Visitor("three", "3.3.3.3")),
        ):
            pass
        monkeypatch.setattr(looking, "WAIT_SECONDS", 20)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(looks, other)
            time.sleep(0.05)
            assert not waiting.done()
            first.close()
            waiting.result(10)
    with pytest.raises(KeyError), looking.one_at_a_time("en", one):
        raise KeyError
    with looking.one_at_a_time("en", one):  # an error ends the look as well
        pass


def test_two_models_colour_the_text_by_where_they_differ(model):
    make_folder(model.parent / "other", make_record(title="Other"), seed=9)
    first, second = (
        surprise.surprise(checkpoint.load(model.parent / name), TEXT)
        for name in ("m", "other")
    )
    bits = surprise.difference(first, second)
    shown, *_ = look(TEXT, "other")
    kinds = [kind for kind, _ in characters(shown)]
    assert "".join(text for _, text in characters(shown)) == TEXT
    for kind, difference in zip(kinds[1:], bits, strict=True):
        step = sum(abs(difference) >= least for least in inside_map.DIFFERENCES)
        sign = "w" if difference > 0 else "b"
        assert [k for k in kind if k != "nl"] == ([f"{sign}{step}"] if step else [])
    assert f"<td>{bits.mean():+.3f}</td>" in shown
    line = bits[:7]  # of "the cat" and its line break; the first is not scored
    assert f"<td>{line.sum():+.2f}</td></tr>" in shown
    assert 'data-against="other"' in shown
    # a model beside itself has nothing to show
    same, *_ = look(TEXT, "m")
    assert {k for kind, _ in characters(same) for k in kind} <= {"nl"}
    # a chosen character tells what each of them made of it
    beside = inside_tab.look_at(ENGLISH, "m", TEXT, "other", 20)
    assert f"Other: Probability {inside_beside.percent(second.probability[19])}" in (
        html.unescape(beside)
    )


def test_a_passage_is_of_the_validation_part_and_its_owner_s(run, monkeypatch):
    text = (run / store.STATE / store.CORPUS_FILE).read_text()
    split = checkpoint.read_record(run).corpus.split
    rest = text[int(split * len(text)) :]
    browser = {"run": None, "held": [], "keys": {}}
    found = inside_tab.passage(ENGLISH, run.name, browser)
    assert 0 < len(found) <= 3000
    assert found in rest
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    hosted = run.rename(run.parent / ("0a" * 16))
    with pytest.raises(CharrnnError, match="for the run's owner"):
        inside_tab.passage(ENGLISH, hosted.name, browser)


def test_a_link_that_carries_a_part_says_so(model):
    assert "Copy a link to this</button>" in look("ab" * 1000)[0]
    assert "with the first 2,000 characters</button>" in look("ab" * 1000 + "a")[0]


def test_a_model_whose_text_is_not_here_has_no_passage(model):
    with pytest.raises(CharrnnError, match="not on this machine"):
        inside_tab.passage(ENGLISH, "m", {})


def opened(**query):
    fragment = "#" + urllib.parse.urlencode(query)
    return inside_tab.opened(ENGLISH, fragment, {})


def test_a_link_fills_the_form_and_other_weights_are_told(model):
    digest = checkpoint.load(model).weights_hash
    named, other, text, told = opened(look="m", hash=digest, text=EVIL, against="m")
    assert (named["value"], other["value"], text, told) == ("m", "m", EVIL, "")
    *_, told = opened(look="m", hash="0" * 16, text="a")
    assert "weights are not those of the link" in told
    assert opened(look="m", hash="<b>", text="a")[3] == ""
    *_, told = opened(look="nobody", text="a")
    assert "gone" in told
    assert len(opened(look="m", text="a" * 9000)[2]) == 2000
    assert all(part == SKIP for part in opened(model="m", prompt="a"))


def printed(capsys, *arguments):
    assert main(["inspect", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, []),
        ({"at": 9}, ["--at", "9"]),
        ({"reach": True}, ["--reach"]),
        ({"against": "other"}, ["--against", "other"]),
    ],
)
def test_the_endpoint_tells_what_the_command_prints(model, capsys, options, arguments):
    make_folder(model.parent / "other", make_record(), seed=9)
    said = printed(capsys, "m", "--text", TEXT, *arguments)
    told = json.loads(json.dumps(api.inspect("m", TEXT, options)))
    names = {"model", "other"} & said.keys()
    assert told == {name: said[name] for name in said.keys() - names}


def test_the_endpoint_of_units_tells_what_the_command_prints(model, capsys):
    text = varied_text(2500)
    said = printed(capsys, "m", "--text", text, "--units")
    told = json.loads(json.dumps(api.units("m", text)))
    assert told["marks"]
    assert {"model": "m", **told} == said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heat": 1}, "no option 'heat'"),
        ({"at": True}, "expected a place"),
        ({"at": "9"}, "expected a place"),
        ({"reach": 1}, "expected a place"),
        ({"at": 9, "reach": True}, "2 options"),
        ({"against": "nobody"}, "nobody"),
    ],
)
def test_the_endpoint_refuses_what_it_cannot_do(model, options, said):
    with pytest.raises(CharrnnError, match=said):
        api.inspect("m", TEXT, options)


def test_the_list_proposes_what_is_chosen_on_the_generate_tab(model):
    make_folder(model.parent / "other", make_record())
    browser = {"run": None, "held": []}
    proposed, second = inside_tab.refresh(ENGLISH, None, None, browser, "m")
    assert proposed["value"] == "m"
    assert second["value"] == ""
    opening, _ = inside_tab.refresh(ENGLISH, None, None, browser, None)
    assert "value" not in opening
    kept, second = inside_tab.refresh(ENGLISH, "other", "m", browser, "m")
    assert kept["value"] == "other"
    assert second["value"] == "m"
    _, second = inside_tab.refresh(ENGLISH, "other", "gone", browser, "m")
    assert second["value"] == ""
    assert {"m", "other"} <= {value for _, value in kept["choices"]}


def test_japanese_requests_get_japanese(model):
    shown = inside_tab.look_at(PageRequest(lang="ja"), "m", TEXT, None, 9)
    assert "直前の 5 文字が" in shown
    assert "使う情報の半分が直前の" in look(TEXT, lang="ja")[1]


def test_all_looks_share_one_limit():
    named = ("look_inside", "look_and_search", "look_at", "colour", "passage")
    named += ("inspect", "units", "show")
    own = {
        f
        for m in (inside_tab, inside_course, api)
        for f in vars(m).values()
        if callable(f)
    }
    looks = [f for f in app.demo.fns.values() if f.fn in own and f.name in named]
    assert {f.name for f in looks} == set(named)
    assert {f.concurrency_id for f in looks} == {"inside"}
    assert {f.concurrency_limit for f in looks} == {looking.AT_ONCE}
