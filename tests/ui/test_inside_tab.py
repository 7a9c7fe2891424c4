"""The Inside tab and its endpoints: what they show is what `inspect` computes."""

import html
import json
import re

import pytest

import app
from charrnn.cli.parser import main
from charrnn.errors import CharrnnError, ConfigError
from charrnn.hosting import Visitor
from charrnn.inside import memory, surprise, units
from charrnn.model import checkpoint
from charrnn.ui import api, inside_map, inside_tab, looking
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


def test_the_map_holds_the_text_and_its_steps(model):
    shown, hint, beside = inside_tab.look_inside(ENGLISH, "m", TEXT)
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


def test_a_hostile_text_stays_a_text(model):
    shown, _, _ = inside_tab.look_inside(ENGLISH, "m", EVIL)
    beside = inside_tab.look_at(ENGLISH, "m", EVIL, 9)
    painted = inside_tab.colour(ENGLISH, "m", EVIL, "0.0")
    for part in (shown, beside, painted):
        assert "<img" not in part
        assert "<b><" not in part


def test_a_chosen_character_tells_what_was_looked_at(model):
    loaded = checkpoint.load(model)
    _, states = surprise.read(loaded, TEXT)
    look = memory.look(loaded, loaded.vocabulary.encode(TEXT), states, 20)
    beside = inside_tab.look_at(ENGLISH, "m", TEXT, 20)
    five, twenty = (round(100 * look.share(last)) for last in (5, 20))
    assert f"The last 5 characters hold {five} %, the last 20 {twenty} %." in beside
    parts = characters(beside)
    assert "".join(text for _, text in parts) == TEXT[:20]
    assert "p5" in parts[int(look.norms.argmax())][0]
    found = surprise.surprise(loaded, TEXT)
    assert f"rank {found.rank[19]}, {found.bits[19]:.2f} bits" in beside
    assert beside.count("<tr>") == surprise.LIKELIEST


@pytest.mark.parametrize("place", [0, -1, len(TEXT), None])
def test_a_place_that_was_not_predicted_is_refused(model, place):
    with pytest.raises(ConfigError, match="expected 1 to"):
        inside_tab.look_at(ENGLISH, "m", TEXT, place)


def test_a_unit_colours_the_text_from_its_lowest_value_to_its_highest(model):
    loaded = checkpoint.load(model)
    _, states = surprise.read(loaded, TEXT)
    values = units.activations(loaded.record.model, states)[:, 3]
    shown = inside_tab.colour(ENGLISH, "m", TEXT, "0.3")
    parts = characters(shown)
    assert "".join(text for _, text in parts) == TEXT
    assert parts[int(values.argmin())][0][0] == "p0"
    assert parts[int(values.argmax())][0][0] == "p5"
    assert f"{values.min():+.2f} …" in shown
    first, _, _ = inside_tab.look_inside(ENGLISH, "m", TEXT)
    assert inside_tab.colour(ENGLISH, "m", TEXT, "") == first


@pytest.mark.parametrize("unit", ["0", "a.b", "0.1.2", "0.-1", "0.999999", "²._"])
def test_what_is_no_unit_is_refused(model, unit):
    with pytest.raises(CharrnnError, match="no unit"):
        inside_tab.colour(ENGLISH, "m", TEXT, unit)
    with pytest.raises(ConfigError, match=r"no unit 0\.9999"):
        inside_tab.colour(ENGLISH, "m", TEXT, "0.9999")


def found(mark, **changed):
    values = {"correlation": 0.9, "control": 0.2, "r2": 0.1, "r2_control": 0.1}
    return units.Found(mark, 1, 7, **(values | changed))


def test_only_what_clears_its_controls_has_a_row():
    rows = inside_map.unit_table(
        "en", [found("digit", correlation=-0.9), found("vowel", correlation=0.24)]
    )
    assert rows.count("data-unit=") == 1
    assert 'data-unit="1.7"' in rows
    assert "<td>-0.90</td><td>0.20</td><td></td><td></td>" in rows
    assert "No more than by chance: vowel." in rows
    nothing = inside_map.unit_table("en", [found("vowel", correlation=0.24)])
    assert "data-unit" not in nothing
    assert "No unit follows" in nothing


def test_a_text_is_bounded_and_a_short_one_is_not_searched(model, monkeypatch):
    with pytest.raises(ConfigError, match="at least 2,000"):
        inside_tab.search(ENGLISH, "m", "a" * 1999)
    with pytest.raises(ConfigError, match="at least 2, one"):
        inside_tab.look_inside(ENGLISH, "m", None)
    with pytest.raises(ConfigError, match="20,001 characters: at most 20,000"):
        inside_tab.look_inside(ENGLISH, "m", "a" * 20_001)
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    with pytest.raises(ConfigError, match="5,001 characters: at most 5,000"):
        inside_tab.search(ENGLISH, "m", "a" * 5_001)
    with pytest.raises(CharrnnError, match="no such model"):
        inside_tab.look_inside(ENGLISH, "m", TEXT)


def test_another_model_in_the_same_folder_is_read_anew(model):
    first, _, _ = inside_tab.look_inside(ENGLISH, "m", TEXT)
    make_folder(model, make_record(), seed=9)
    second, _, _ = inside_tab.look_inside(ENGLISH, "m", TEXT)
    assert first != second
    expected = surprise.surprise(checkpoint.load(model), TEXT)
    assert f"<td>{expected.bits_per_char:.3f}</td>" in second


def test_few_readings_are_kept(model):
    readings = looking.Readings()
    first = readings.get(model, TEXT)
    assert readings.get(model, TEXT) is first
    for number in range(looking.MAX_READINGS):
        readings.get(model, f"{TEXT}{number}")
    assert readings.get(model, TEXT) is not first


def test_a_visitor_of_a_hosted_page_looks_at_one_thing_at_a_time(monkeypatch):
    one, other = Visitor("one", "1.1.1.1"), Visitor("other", "1.1.1.1")
    with looking.one_at_a_time("en", one), looking.one_at_a_time("en", one):
        pass  # one's own computer
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    with looking.one_at_a_time("en", one):
        with (
            pytest.raises(ConfigError, match="already"),
            looking.one_at_a_time("en", one),
        ):
            pass
        with looking.one_at_a_time("en", other):
            pass
    with pytest.raises(KeyError), looking.one_at_a_time("en", one):
        raise KeyError
    with looking.one_at_a_time("en", one):  # an error ends the look as well
        pass


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
    proposed = inside_tab.refresh(ENGLISH, None, browser, "m")
    assert proposed["value"] == "m"
    opening = inside_tab.refresh(ENGLISH, None, browser, None)
    assert "value" not in opening
    kept = inside_tab.refresh(ENGLISH, "other", browser, "m")
    assert "value" not in kept  # another one may be chosen by now
    assert {"m", "other"} <= {value for _, value in kept["choices"]}


def test_japanese_requests_get_japanese(model):
    shown = inside_tab.look_at(PageRequest(lang="ja"), "m", TEXT, 9)
    assert "直前の 5 文字が" in shown


def test_all_looks_share_one_limit():
    named = ("look_inside", "look_at", "search", "colour", "inspect", "units")
    own = {f for m in (inside_tab, api) for f in vars(m).values() if callable(f)}
    looks = [f for f in app.demo.fns.values() if f.fn in own and f.name in named]
    assert {f.name for f in looks} == set(named)
    assert {f.concurrency_id for f in looks} == {"inside"}
    assert {f.concurrency_limit for f in looks} == {looking.AT_ONCE}
