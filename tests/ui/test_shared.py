import pytest

from charrnn.runs import store
from charrnn.ui import shared
from charrnn.ui.shared import Browser
from tests.builders import make_folder, make_record


def test_a_hosted_page_lists_only_what_a_browser_holds(isolated, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    mine, other = store.hosted_id(), store.hosted_id()
    for name in (mine, other):
        make_folder(isolated / name, make_record(title=name))
    held = Browser.of({"run": None, "held": [mine]})
    ids = {value for _, value in shared.model_choices("en", held)}
    assert ids - {*store.SHIPPED_IDS} == {mine}
    nobody = {value for _, value in shared.model_choices("en", Browser())}
    assert nobody <= {*store.SHIPPED_IDS}
    # whoever names an id has it from its owner
    named = {v for _, v in shared.model_choices("en", Browser(), other)}
    assert named - {*store.SHIPPED_IDS} == {other}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"run": 3, "held": "abc"},
        {"run": "../x", "held": [1, "a/b", ".."]},
        {"keys": ["0" * 32]},
        {"keys": {"0" * 32: 3, "my-run": "k" * 43, "1" * 32: "k" * 42, "../x": "k"}},
    ],
)
def test_what_a_browser_sends_is_checked(value):
    assert Browser.of(value) == Browser()


def test_a_browser_remembers_what_it_followed_and_not_too_much():
    mind = Browser.of({"run": None, "held": ["a"]}).following("b")
    assert mind.store() == {"run": "b", "held": ["a", "b"], "keys": {}}
    assert mind.following("a").store() == {"run": "a", "held": ["a", "b"], "keys": {}}
    assert mind.following(None).store() == {"run": None, "held": ["a", "b"], "keys": {}}
    for index in range(300):
        mind = mind.holding(f"m{index}")
    assert len(mind.held) == shared.MAX_HELD
    assert mind.run == "b"
