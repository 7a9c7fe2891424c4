"""`inspect` end to end: figures equal `evaluate`'s, the map, what is refused."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from charrnn.cli.inspection import map_lines
from charrnn.cli.parser import main
from charrnn.inside import memory, surprise, units
from charrnn.inside.marks import marks_of
from charrnn.model import checkpoint, snapshots
from charrnn.runs import store
from tests.builders import make_folder, make_record, varied_text


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    make_folder(store.folder() / "first", make_record())
    make_folder(store.folder() / "second", make_record("lstm", 2), seed=5)
    path = tmp_path / "sea.txt"
    path.write_text(varied_text(3000), encoding="utf-8")
    return path


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = main(list(arguments))
    out, err = capfd.readouterr()
    return code, out, err


def test_the_figures_are_those_of_evaluate_and_of_the_function(text_file, capfd):
    corpus = ("--corpus", str(text_file), "--split", "val", "--json")
    code, out, _ = run(capfd, "inspect", "first", *corpus)
    assert code == 0
    found = json.loads(out)
    _, out, _ = run(capfd, "evaluate", "first", *corpus)
    scores = json.loads(out)
    assert found["bits_per_char"] == pytest.approx(scores["bits_per_char"], abs=1e-6)
    assert found["perplexity"] == pytest.approx(
        math.exp(scores["nats_per_char"]), rel=1e-6
    )
    assert found["characters"] == scores["characters"] == 299
    part = varied_text(3000)[2700:]
    assert "".join(entry["character"] for entry in found["text"]) == part
    assert list(found["text"][0]) == ["character"]
    own = surprise.surprise(checkpoint.load(store.find("first")), part)
    assert [entry["bits"] for entry in found["text"][1:]] == own.bits.tolist()
    last = found["text"][-1]
    assert len(last["likeliest"]) == 10
    shares = [entry["probability"] for entry in last["likeliest"]]
    assert shares == sorted(shares, reverse=True)
    if last["rank"] <= 10:
        assert shares[last["rank"] - 1] == last["probability"]


def test_a_terminal_gets_the_totals_the_map_and_the_most_surprising(text_file, capfd):
    code, out, err = run(capfd, "inspect", "first", "--text", "the sea é")
    assert code == 0
    assert "'é'" in err
    found = surprise.surprise(checkpoint.load(store.find("first")), "the sea é")
    assert f"bits_per_char            {found.bits_per_char:.4f}\n" in out
    marks = "".join(str(step) if step else " " for step in found.steps)
    assert f"\nthe sea é\n {marks.rstrip()}\n" in out
    worst = found.bits.argmax()
    assert f"\n{worst + 1} " in out


def test_two_models_and_both_ways_round(text_file, capfd):
    text = ("--text", "the sea and the sand", "--json")
    _, there, _ = run(capfd, "inspect", "first", "--against", "second", *text)
    _, back, _ = run(capfd, "inspect", "second", "--against", "first", *text)
    there, back = json.loads(there), json.loads(back)
    assert there["difference"][0] is None
    assert there["difference"][1:] == [-bits for bits in back["difference"][1:]]
    assert there["bits_per_char"] == back["bits_per_char"][::-1]
    _, same, _ = run(capfd, "inspect", "first", "--against", "first", *text)
    assert set(json.loads(same)["difference"][1:]) == {0}
    _, shown, _ = run(capfd, "inspect", "first", "--against", "second", *text[:2])
    mean = sum(there["difference"][1:]) / 19
    assert f"difference               {mean:+.4f}\n" in shown


def test_what_was_looked_at_is_that_of_the_function(text_file, capfd):
    text = "the sea and the sand"
    code, out, _ = run(capfd, "inspect", "first", "--text", text, "--at", "9", "--json")
    assert code == 0
    found = json.loads(out)
    model = checkpoint.load(store.find("first"))
    _, states = surprise.read(model, text)
    look = memory.look(model, model.vocabulary.encode(text), states, 9)
    assert [entry["norm"] for entry in found["looked_at"]] == look.norms.tolist()
    assert "".join(entry["character"] for entry in found["looked_at"]) == text[:9]
    assert found["character"] == text[9]
    assert found["shares"] == {"5": look.share(5), "20": 1, "100": 1}
    _, shown, _ = run(capfd, "inspect", "first", "--text", text, "--at", "9")
    assert f"the last 5 hold {look.share(5):.0%}, the last 20 hold 100%" in shown
    assert shown.startswith(f"n at 9: probability {found['probability']:.3g}, rank")


def test_the_reach_is_a_sentence_and_a_curve(text_file, capfd):
    corpus = ("--corpus", str(text_file), "--split", "all", "--characters", "500")
    code, out, _ = run(capfd, "inspect", "first", *corpus, "--reach", "--json")
    assert code == 0
    found = json.loads(out)
    assert sum(found["shares"]) == pytest.approx(1)
    assert len(found["shares"]) == 200
    half = found["half_within"]
    assert sum(found["shares"][:half]) >= 0.5 > sum(found["shares"][: half - 1])
    _, shown, _ = run(capfd, "inspect", "first", *corpus, "--reach")
    assert shown.startswith(f"half of what it uses lies within {half} character")


def test_units_are_those_of_the_search_and_what_controls_find_is_not_shown(
    text_file, capfd
):
    corpus = ("--corpus", str(text_file), "--split", "all", "--characters", "2500")
    code, out, _ = run(capfd, "inspect", "first", *corpus, "--units", "--json")
    assert code == 0
    found = json.loads(out)["marks"]
    model, text = checkpoint.load(store.find("first")), varied_text(3000)[:2500]
    _, states = surprise.read(model, text)
    own = units.search(model.record.model, states, marks_of(text))
    assert [(m["mark"], m["correlation"]) for m in found] == [
        (one.mark, one.correlation) for one in own
    ]
    assert {one.unit_shown for one in own} == {True, False}
    _, shown, _ = run(capfd, "inspect", "first", *corpus, "--units")
    for one in own:
        (line,) = [x for x in shown.splitlines() if x.startswith(f"{one.mark} ")]
        assert (f"{one.layer}.{one.unit} " in line) == one.unit_shown
        assert (f"{one.correlation:+.2f}" in line) == one.unit_shown


def test_how_units_came_to_be_is_told_for_each_step_that_was_kept(text_file, capfd):
    folder = store.find("first")
    record = checkpoint.read_record(folder)
    figures = dataclasses.replace(record.figures, kept_step=100, total_steps=100)
    checkpoint.save_record(folder, dataclasses.replace(record, figures=figures))
    earlier = make_folder(store.folder() / "earlier", record, seed=5)
    weights = checkpoint.load(earlier).weights
    snapshots.save(folder, record.model, weights, 25)
    corpus = ("--corpus", str(text_file), "--split", "all", "--characters", "2500")
    asked = ("inspect", "first", *corpus, "--units")
    _, out, _ = run(capfd, *asked, "--json")
    ends = {m["mark"]: m for m in json.loads(out)["marks"] if m["unit_shown"]}
    code, out, _ = run(capfd, *asked, "--steps", "--json")
    assert code == 0
    found = json.loads(out)["marks"]
    assert [m["mark"] for m in found] == list(ends)
    for mark in found:
        assert [point["step"] for point in mark["course"]] == [25, 100]
        last = mark["course"][-1]["correlation"]
        assert last == pytest.approx(ends[mark["mark"]]["correlation"])
    _, shown, _ = run(capfd, *asked, "--steps")
    assert shown.split("\n")[0].split() == ["MARK", "UNIT", "25", "100"]
    first = found[0]
    values = [f"{point['correlation']:+.2f}" for point in first["course"]]
    place = f"{first['layer']}.{first['unit']}"
    assert shown.split("\n")[1].split() == [first["mark"], place, *values]


def test_the_map_puts_a_step_under_its_character():
    lines = list(map_lines("ab\n日本c", (1, 5, 0, 3, 4)))
    assert lines == ["ab⏎", " 15", "日本c", "  3 4"]
    assert list(map_lines("x" * 80, (0,) * 79)) == ["x" * 72, "", "x" * 8, ""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --text TEXT or --corpus"),
        (["--text", "ab", "--corpus", "x.txt"], "either --text TEXT or --corpus"),
        (["--text", "a"], "1 characters: expected at least 2"),
        (["--text", "a" * 20_001], "20,001 characters: at most 20,000"),
        (["--corpus", "x.txt", "--characters", "1"], "expected 2 to 20,000"),
        (["--text", "ab", "--against", "nothing"], "no model or run"),
        (["--text", "ab", "--units"], "2 characters: expected at least 2,000"),
        (["--text", "ab", "--steps"], "--steps is told of --units"),
        (["--text", "ab", "--at", "2"], "place is 2: expected 1 to 1"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(options, message, text_file, capfd):
    code, out, err = run(capfd, "inspect", "first", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
