"""Reading and owning on a hosted page: what an id opens, and what needs the key."""

import os
import time
from pathlib import Path

import pytest

from charrnn.errors import CharrnnError, RunError
from charrnn.hosting import Visitor
from charrnn.runs import control, owner, preparation, store
from charrnn.runs.events import EventLog
from charrnn.text.corpus import Corpus
from charrnn.ui import (
    api,
    following,
    housekeeping,
    init_form,
    run_actions,
    shared,
    sharing,
    training,
    visitor_data,
    web_pages,
    zips,
)
from charrnn.ui.following import PanelUpdate
from charrnn.ui.shared import NEW_BROWSER, Browser
from tests.builders import ENGLISH, make_event, make_folder, make_record

TEXT = "To be, or not to be, that is the question.\n" * 40


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setattr(control, "spawn", lambda path: 0)  # nobody trains


@pytest.fixture
def who() -> owner.Owner:
    made = owner.new_owner(Visitor("session", "192.0.2.1"), page=True)
    assert made is not None
    return made


@pytest.fixture
def ended(small_corpus: Corpus, who: owner.Owner) -> Path:
    prepared = preparation.prepare(small_corpus, settings={"rnn_units": 8})
    path = control.create(prepared, title="Mine", owner=who)
    EventLog(path).append(make_event("started"))
    EventLog(path).append(make_event("ended", 10, reason="stopped"))
    return path


def browser_of(path: Path, key: str) -> dict[str, object]:
    return {"run": path.name, "held": [path.name], "keys": {path.name: key}}


ACTIONS = {
    "resume": lambda run, browser: run_actions.resume(ENGLISH, run, browser),
    "more": lambda run, browser: run_actions.train_more(ENGLISH, run, browser, 1),
    "rename": lambda run, browser: run_actions.rename(ENGLISH, run, browser, "New"),
    "ask": lambda run, browser: run_actions.ask_delete(ENGLISH, run, browser),
    "zip": lambda run, browser: zips.zip_file(run, browser, False, False),
    "delete": lambda run, browser: run_actions.delete(ENGLISH, run, browser),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_whoever_has_the_link_reads_and_the_key_does_the_rest(ended, who, action):
    for reader in (NEW_BROWSER, browser_of(ended, "k" * 43)):
        before = {p: p.stat().st_mtime_ns for p in ended.rglob("*")}
        with pytest.raises(CharrnnError, match="for the run's owner"):
            action(ended.name, reader)
        assert {p: p.stat().st_mtime_ns for p in ended.rglob("*")} == before
    action(ended.name, browser_of(ended, who.key))


@pytest.mark.parametrize(
    "action",
    [
        lambda run, browser: run_actions.stop(ENGLISH, run, browser),
        lambda run, browser: run_actions.change_rate(run, browser, 0.5),
    ],
    ids=["stop", "rate"],
)
def test_a_running_one_is_its_owners_too(ended, who, action):
    EventLog(ended).append(make_event("started"))
    with store.hold(ended):
        with pytest.raises(CharrnnError, match="owner"):
            action(ended.name, NEW_BROWSER)
        assert not {"stop", "learning_rate"} & {path.name for path in ended.iterdir()}
        action(ended.name, browser_of(ended, who.key))
    assert {"stop", "learning_rate"} & {path.name for path in ended.iterdir()}


def test_a_reader_is_shown_no_buttons(ended, who):
    names = ("stop", "resume", "more", "rate", "manage_box")
    shown = following.follow(ENGLISH, ended.name, NEW_BROWSER)
    assert "Mine" in shown.head
    assert not any(getattr(shown, name)["visible"] for name in names)
    owned = following.follow(ENGLISH, ended.name, browser_of(ended, who.key))
    visible = {name for name in names if getattr(owned, name)["visible"]}
    assert visible == {"resume", "more", "manage_box"}
    assert who.key not in repr(owned._replace(browser={}))
    assert who.key not in repr(Browser.of(owned.browser))


def test_a_reader_writes_with_the_model_and_does_not_push_it(isolated, who):
    path = make_folder(isolated / store.hosted_id(), make_record(title="Mine"))
    (path / "state").mkdir()
    owner.save(path, who)
    reader = Browser(held=(path.name,))
    assert path.name in {value for _, value in shared.model_choices("en", reader)}
    assert path.name not in {v for _, v in shared.own_model_choices("en", reader)}
    mine = Browser.of(browser_of(path, who.key))
    assert path.name in {value for _, value in shared.own_model_choices("en", mine)}
    *_, (text, _) = api.generate(path.name, "the", 10)
    *_, (same, _) = api.generate(f"{path.name}.{who.key}", "the", 10, 0.0)
    assert len(text) == len(same) == 10
    said, _ = sharing.push(
        ENGLISH,
        None,
        None,
        path.name,
        "model",
        "a/b",
        False,
        "",
        "hf_" + "a" * 30,
        NEW_BROWSER,
    )
    assert "for the run&#x27;s owner" in said
    with pytest.raises(RunError, match="for the run's owner"):
        web_pages.web_page(ENGLISH, path.name, NEW_BROWSER)
    # it was pulled: a model with a key, and no run
    with pytest.raises(RunError, match="without a training"):
        store.own_run(path.name)


def start(browser: dict[str, object], init: str = "") -> training.StartedUpdate:
    values = [*training.form.preset_values("quick").values()]
    form = ("paste", None, None, None, TEXT, None, init, "quick", "epochs", "", browser)
    return training.start(ENGLISH, *form, *values)


def test_a_reader_does_not_train_a_copy_to_take_along(isolated, who):
    path = make_folder(isolated / store.hosted_id(), make_record())
    (path / "state").mkdir()
    owner.save(path, who)
    before = set(isolated.iterdir())
    reader = {"held": [path.name]}
    listed = init_form.refresh(ENGLISH, path.name, reader)["choices"]
    assert path.name not in {value for _, value in listed}
    for browser in (reader, browser_of(path, "k" * 43)):
        with pytest.raises(RunError, match="for the run's owner"):
            start(browser, path.name)
    assert set(isolated.iterdir()) == before
    owned = browser_of(path, who.key)
    listed = init_form.refresh(ENGLISH, path.name, owned)["choices"]
    assert path.name in {value for _, value in listed}
    run = isolated / start(owned, path.name).followed
    assert (run / "model.safetensors").stat().st_size > 1000


def test_training_gives_the_browser_the_key(isolated):
    update = start(NEW_BROWSER)
    browser = Browser.of(update.browser)
    assert list(browser.keys) == [update.followed]
    assert browser.owns(isolated / update.followed)
    assert not Browser().owns(isolated / update.followed)


def test_the_endpoints_take_id_and_key(isolated):
    run = api.train(TEXT, preset="quick")
    run_id, key = run.split(".")
    path = isolated / run_id
    os.utime(path / "state" / "seen", (1, 1))
    assert api.status(run_id)["state"] == "queued"  # the id alone reads
    assert owner.last_seen(path) == 1  # and is no sign of the owner
    assert api.status(run)["state"] == "queued"
    assert owner.last_seen(path) == pytest.approx(time.time(), abs=5)
    for given in (run_id, f"{run_id}.{key[::-1]}", f"{run_id}.x"):
        with pytest.raises(CharrnnError, match="owner") as refused:
            api.stop(given)
        assert key[::-1] not in str(refused.value)
    assert not (path / "stop").exists()
    assert api.stop(run) in ("queued", "stopping")
    assert (path / "stop").exists()
    for odd in (f"{key}.{run_id}", f"{run_id}x.{key}", f".{key}"):
        for endpoint in (api.status, api.stop, lambda odd: next(api.generate(odd))):
            with pytest.raises(
                CharrnnError, match=r"There is no such|Choose a model"
            ) as refused:
                endpoint(odd)
            assert key not in str(refused.value)
    assert api.models() == [m for m in api.models() if m["id"] in store.SHIPPED_IDS]


def test_an_open_page_shows_that_its_visitor_is_there(ended, who):
    os.utime(ended / "state" / "seen", (1, 1))
    visitor_data.show_alive(browser_of(ended, "k" * 43))
    visitor_data.show_alive({"keys": {"0" * 32: who.key}})
    assert owner.last_seen(ended) == 1
    visitor_data.show_alive(browser_of(ended, who.key))
    assert owner.last_seen(ended) == pytest.approx(time.time(), abs=5)


def test_all_of_a_visitors_data_is_deleted_and_nobody_elses(
    ended, who, small_corpus, tmp_path, monkeypatch
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    upload = tmp_path / "gradio" / "abc" / "text.txt"
    upload.parent.mkdir(parents=True)
    upload.write_text(TEXT)
    prepared = preparation.prepare(small_corpus, settings={"rnn_units": 8})
    training = control.create(prepared, owner=who)
    others = control.create(prepared, owner=owner.new_owner(who.visitor, page=True))
    browser = {
        "run": ended.name,
        "held": [ended.name, others.name],
        "keys": {p.name: who.key for p in (ended, training, others)},
    }
    with store.hold(training):
        update = visitor_data.delete_all(ENGLISH, browser, [str(upload)])
        assert not ended.exists()
        assert training.exists()
    welcome = update[PanelUpdate._fields.index("welcome")]["value"]
    assert "Deleted: 1 runs and models" in welcome
    assert "1 more are stopped" in welcome
    assert NEW_BROWSER in update
    assert others.exists()
    assert not upload.exists()
    EventLog(training).append(make_event("ended", 1))
    housekeeping.one_round(since=0)
    assert not training.exists()
    assert others.exists()


def test_deleting_removes_no_file_but_an_upload(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    mine = tmp_path / "mine.txt"
    mine.touch()
    for name in (mine, tmp_path / "gradio" / ".." / "mine.txt", tmp_path / "none"):
        visitor_data.delete_all(ENGLISH, None, [str(name)])
    assert mine.exists()


def test_uploads_and_copies_live_for_an_hour(ended, who, tmp_path, monkeypatch):
    place = tmp_path / "gradio"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(place))
    names = ("a/old.txt", "b/new.txt", "deep_links/c/state.json")
    for name in names:
        (place / name).parent.mkdir(parents=True)
        (place / name).touch()
    os.utime(place / "b/new.txt", (time.time() + 600,) * 2)
    packed = Path(
        zips.zip_file(ended.name, browser_of(ended, who.key), False, False)["value"]
    )
    housekeeping.one_round(since=0)
    assert all((place / name).is_file() for name in names)
    assert packed.is_file()
    housekeeping.one_round(since=0, now=time.time() + 3_610)
    assert [p.name for p in place.rglob("*")] == ["b", "new.txt"]
    assert not packed.exists()
    assert ended.exists()
