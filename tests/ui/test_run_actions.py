import zipfile
from pathlib import Path

import pytest

from charrnn.errors import CharrnnError, RunError
from charrnn.runs import store
from charrnn.ui import api, examples, following, generate_form, run_actions, zips
from charrnn.ui.shared import NEW_BROWSER, Browser
from tests.builders import ENGLISH


def test_an_id_that_could_be_guessed_opens_nothing_on_a_hosted_page(run, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    assert following.follow(ENGLISH, "my-run", NEW_BROWSER).followed == ""
    assert "My run" not in following.empty_panel("en", Browser(None, ("my-run",))).table
    for action in (run_actions.stop, run_actions.resume, run_actions.delete):
        with pytest.raises(CharrnnError, match="no such model or run"):
            action(ENGLISH, "my-run", NEW_BROWSER)
    for action in (api.status, api.stop):
        with pytest.raises(CharrnnError, match="no such model or run"):
            action("my-run")
    with pytest.raises(CharrnnError, match="no such model or run"):
        zips.zip_file("my-run", NEW_BROWSER, False, False)
    assert run.is_dir()


def test_renaming_shows_the_new_title(run):
    shown = run_actions.rename(ENGLISH, "my-run", NEW_BROWSER, " New\nname ")
    assert "New name" in shown.head
    with pytest.raises(CharrnnError, match="empty"):
        run_actions.rename(ENGLISH, "my-run", NEW_BROWSER, " ")


def test_deleting_is_asked_first_and_then_done(run):
    _, question = run_actions.ask_delete(ENGLISH, "my-run", NEW_BROWSER)
    assert "Delete “My run”" in question
    assert run.is_dir()
    gone = run_actions.delete(ENGLISH, "my-run", {"run": "my-run", "held": []})
    assert not run.exists()
    assert gone.browser["run"] is None
    assert gone.question["visible"] is False


def test_the_zip_holds_what_is_public_and_the_history(run):
    made = zips.zip_file("my-run", NEW_BROWSER, False, False)["value"]
    with zipfile.ZipFile(made) as file:
        assert set(file.namelist()) == {"config.json", "vocab.json", "events.jsonl"}
    assert Path(made).name == "my-run.zip"
    made = zips.zip_file("my-run", NEW_BROWSER, False, True)["value"]
    with zipfile.ZipFile(made) as file:
        assert "state/corpus.txt" in file.namelist()


@pytest.mark.parametrize("count", [0, None, -1, 10_001])
def test_more_epochs_are_bounded(run, count):
    with pytest.raises(CharrnnError, match="expected a number from 1"):
        run_actions.train_more(ENGLISH, "my-run", NEW_BROWSER, count)


def test_the_rate_is_changed_by_a_file_in_the_run(run):
    with store.hold(run):
        run_actions.change_rate("my-run", NEW_BROWSER, 0.5)
        assert (run / store.LEARNING_RATE).read_text() == "0.5"
        with pytest.raises(CharrnnError, match=r"from 0\.01 to 100"):
            run_actions.change_rate("my-run", NEW_BROWSER, None)


def test_a_finished_run_is_written_with(run, trained):
    assert following.whole_panel("en", "my-run", Browser()).write["visible"] is False
    panel = following.whole_panel("en", trained.name, Browser())
    assert panel.write["visible"] is True
    default = examples.DEFAULT_PROMPT
    tabs, model, prompt = run_actions.write_with(ENGLISH, trained.name, {}, default)
    assert tabs["selected"] == "generate"
    assert model["value"] == trained.name
    assert trained.name in [value for _, value in model["choices"]]
    assert prompt == generate_form.suggest_prompt(trained.name, default)
    with pytest.raises(RunError, match="no model or run"):
        run_actions.write_with(ENGLISH, "gone", {}, "")
