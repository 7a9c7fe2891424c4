from charrnn.model import checkpoint
from charrnn.runs.events import EventLog
from charrnn.ui import examples, generate_form, links, shared
from charrnn.ui.wiring import SKIP
from charrnn.ui.writing_request import DRAWN_SEEDS
from tests.builders import (
    ENGLISH,
    PageRequest,
    make_event,
    make_folder,
    make_record,
    make_stepped,
)


def test_the_wrong_fields_are_flagged():
    right = (400, 7, 0, 1)
    flags = generate_form.flag_numbers(ENGLISH, *right)
    assert not any("wrong" in flag["elem_classes"] for flag in flags)
    wrong = (0, -1, None, 0)
    flags = generate_form.flag_numbers(ENGLISH, *wrong)
    flagged = ["wrong" in flag["elem_classes"] for flag in flags]
    assert flagged == [True] * 4
    assert flags[0]["info"] == "expected a number from 1 to 10,000"
    japanese = generate_form.flag_numbers(PageRequest(lang="ja"), *wrong)
    assert japanese[2]["info"] == "値が必要です"


def test_the_prompt_follows_the_model_until_the_visitor_writes_one(isolated):
    make_folder(isolated / "m", make_record())
    folder = make_folder(isolated / "r", make_record())
    (folder / "state").mkdir()
    (folder / "state" / "corpus.txt").touch()
    EventLog(folder).append(make_event("sample", 1, prompt="the sea"))
    assert generate_form.suggest_prompt("r", examples.DEFAULT_PROMPT) == "the sea"
    assert generate_form.suggest_prompt("m", "the sea") == ""
    assert generate_form.suggest_prompt("m", "my own words") == SKIP
    assert generate_form.suggest_prompt("nobody", examples.DEFAULT_PROMPT) == SKIP
    # what the page of version 0.1.0 put there is nobody's own
    assert generate_form.propose_prompt("r", "ROMEO:") == ["ROMEO:", "the sea"]
    assert generate_form.propose_prompt("r", "own") == ["own", "own"]
    assert generate_form.propose_prompt("nobody", None) == ["", ""]


def test_a_page_opens_with_a_model_and_a_seed(model):
    first = generate_form.fill(ENGLISH, None, shared.NEW_BROWSER)
    assert first.status == ""
    assert 0 <= first.seed < DRAWN_SEEDS
    choices, chosen = generate_form.listed("en", None, shared.NEW_BROWSER)
    assert chosen in {value for _, value in choices}
    assert ("A <b>title</b> · 1.500", "m") in choices


def test_a_list_that_is_made_anew_chooses_only_what_was_chosen_before(model):
    (again,) = generate_form.refresh(ENGLISH, "m", shared.NEW_BROWSER)
    assert "value" not in again  # another one may be chosen by now
    assert ("A <b>title</b> · 1.500", "m") in again["choices"]
    (gone,) = generate_form.refresh(ENGLISH, "gone", shared.NEW_BROWSER)
    assert gone["value"] in {value for _, value in gone["choices"]}
    # while the page opens: the link in the address chooses
    assert "value" not in generate_form.refresh(ENGLISH, None, shared.NEW_BROWSER)[0]


def test_a_page_opened_by_a_link_is_filled_from_it(model):
    digest = checkpoint.load(model).weights_hash
    link = links.Link(
        model="m", weights_hash=digest, prompt="so", seed=3, temperatures=(0.1, 0.9)
    )
    opened = generate_form.fill(PageRequest(links.build(link)), "", {})
    assert (opened.prompt, opened.seed, opened.new_seed) == ("so", 3, False)
    assert opened.temperatures == (0.1, 0.9, SKIP, SKIP)
    assert opened.column_count == 2
    shown = [update["visible"] for update in opened.column_boxes]
    assert shown == [True, True, False, False]
    assert "press “Compare”" in opened.status
    assert "will differ" not in opened.status


def test_a_page_opened_by_a_fragment_is_filled_from_it_alone(model):
    link = links.Link(model="m", prompt="海" * 8000, seed=3, temperatures=(0.1, 0.9))
    fragment = links.build(link).removeprefix("?")
    opened = generate_form.fill(PageRequest("?model=other&seed=9"), fragment, {})
    assert (opened.model["value"], opened.prompt) == ("m", link.prompt)
    assert (opened.seed, opened.temperatures[:2]) == (3, (0.1, 0.9))
    opened = generate_form.fill(PageRequest("?model=m&seed=9"), "#elsewhere", {})
    assert opened.seed == 9


def test_a_link_made_with_other_weights_says_so(model):
    link = links.Link(model="m", weights_hash="0" * 16, temperatures=(0.1,))
    opened = generate_form.fill(PageRequest(links.build(link)), "", {})
    assert "will differ" in opened.status
    assert opened.single_temperature == 0.1
    assert opened.temperatures == (SKIP,) * 4


def test_a_link_to_a_model_that_is_not_here_says_so(model):
    opened = generate_form.fill(PageRequest("?model=../../etc/passwd"), "", {})
    assert "not here" in opened.status


def show_compared(by, model, *steps):
    chosen = steps or (None,) * 4
    values = generate_form.show_compared(ENGLISH, by, model, {}, *chosen)
    note, named, shared_temperature, *columns = values
    return note, (named["label"].key, shared_temperature["label"].key), columns


def test_what_is_compared_is_offered_or_its_lack_said(isolated):
    make_stepped(isolated / "run", 1200, 25, 50, 100, 200, 400)
    make_folder(isolated / "m", make_record())
    note, labels, columns = show_compared("step", "run")
    assert note == ""
    assert labels == ("generate.model", "generate.temperature")
    assert columns[0]["choices"][::5] == [
        ("step 25", "25"),
        ("step 1,200 · kept weights", "1200"),
    ]
    assert [column["value"] for column in columns] == ["25", "100", "200", "1200"]
    _, _, columns = show_compared("step", "run", "50", "7", None, "100")
    assert [column["value"] for column in columns] == ["50", None, None, "100"]
    note, _, columns = show_compared("step", "m", "50", None, None, None)
    assert "no snapshots of its training" in note
    assert [column["value"] for column in columns] == ["1200", None, None, None]
    assert "no snapshots" in show_compared("step", "../m")[0]
    note, labels, columns = show_compared("model", "m")
    assert (note, columns) == ("", [SKIP] * 4)
    assert labels == ("generate.model_of_one", "generate.temperature")
    assert show_compared("temperature", "m")[1][1] == "generate.one_temperature"


def test_a_page_opened_by_a_link_to_a_comparison_is_filled_from_it(isolated):
    make_stepped(isolated / "run", 100, 25, 50)
    make_folder(isolated / "m", make_record())
    opened = generate_form.fill(
        PageRequest("?model=run&by=step&steps=25,100&temperatures=0.4"), "", {}
    )
    assert (opened.by, opened.single_temperature) == ("step", 0.4)
    assert opened.temperatures == (SKIP,) * 4
    assert [one["value"] for one in opened.steps] == ["25", "100", None, None]
    assert [one["visible"] for one in opened.column_boxes] == [True, True, False, False]
    # one step stands beside others of its training
    alone = generate_form.fill(PageRequest("?model=run&by=step&steps=50"), "", {})
    assert [one["value"] for one in alone.steps] == ["50", "25", "100", None]
    opened = generate_form.fill(
        PageRequest("?model=run&by=model&models=run,gone,m&hash=" + "0" * 16), "", {}
    )
    assert [one["value"] for one in opened.models[::2]] == ["run", "m"]
    assert opened.column_count == 3
    assert "names a model that is not here" in opened.status
    hashes = [checkpoint.load(isolated / name).weights_hash for name in ("run", "m")]
    for digest, differs in ((",".join(hashes), False), (hashes[0], True)):
        query = f"?model=run&by=model&models=run,m&hash={digest}"
        opened = generate_form.fill(PageRequest(query), "", {})
        assert ("will differ" in opened.status) is differs
    opened = generate_form.fill(PageRequest("?model=m&by=top_p&top_ps=0.5,0.9"), "", {})
    assert opened.top_ps == (0.5, 0.9, SKIP, SKIP)
