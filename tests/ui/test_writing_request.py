import pytest

from charrnn.errors import CharrnnError, ConfigError, RunError
from charrnn.model import checkpoint
from charrnn.model.snapshots import Source
from charrnn.ui import links
from charrnn.ui.writing_request import prepare, prepare_link
from tests.builders import make_stepped, writing_request


def test_a_request_carries_all_settings_to_every_row(model):
    prepared = prepare("en", writing_request(top_k=3, top_p=0.5, stop="\n"), at_least=2)
    assert prepared.paths() == [model]
    assert prepared.columns == (0, 1, 2, 3)
    assert [row.temperature for row in prepared.rows()] == [0.2, 0.5, 0.8, 1.1]
    assert {(r.top_k, r.top_p, r.stop, r.seed) for r in prepared.rows()} == {
        (3, 0.5, "\n", 7)
    }
    assert prepared.link.weights_hash == checkpoint.load(model).weights_hash


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
        prepare("en", writing_request(**changed), at_least=2)
    assert caught.value.field == field


def compared(by, **changed):
    asked = {"by": by, "single_temperature": 0.7, "temperatures": (0.2,) * 4}
    return prepare("en", writing_request(**{**asked, **changed}), at_least=2)


def test_models_are_compared_with_the_other_settings_shared(model, isolated):
    make_stepped(isolated / "run", 100)
    prepared = compared("model", model=None, models=("run", None, "m", ""), top_p=0.5)
    assert prepared.columns == (0, 2)
    paths = [isolated / "run", model]
    assert prepared.paths() == paths
    assert [text.source for text in prepared.texts] == [Source(path) for path in paths]
    (row,) = {*prepared.rows()}
    assert (row.temperature, row.top_p, row.seed) == (0.7, 0.5, 7)
    hashes = [checkpoint.load(path).weights_hash for path in paths]
    assert [text.link.weights_hash for text in prepared.texts] == hashes
    assert prepared.link.weights_hash == ",".join(hashes)
    assert links.read(links.build(prepared.link)) == prepared.link


def test_steps_of_one_run_are_compared(isolated):
    path = make_stepped(isolated / "run", 100, 25, 50)
    steps = ("100", "25", None, "50")
    prepared = compared("step", model="run", steps=steps, column_count=2)
    assert [text.source for text in prepared.texts] == [Source(path), Source(path, 25)]
    assert prepared.link.steps == (100, 25)
    (again,) = prepare_link(prepared.texts[1].link, 3).texts
    assert (again.column, again.source) == (3, Source(path, 25))


def test_values_of_top_p_are_compared(model):
    # the shared one has no meaning then, and may be wrong
    prepared = compared("top_p", top_p=None, top_ps=(0.25, 0.5, None, 1))
    assert [row.top_p for row in prepared.rows()] == [0.25, 0.5, 1]
    assert {row.temperature for row in prepared.rows()} == {0.7}


@pytest.mark.parametrize(
    ("by", "changed", "said"),
    [
        ("model", {"models": ("m",)}, "at least two models"),
        ("model", {"models": ("m", "../m")}, "no model or run"),
        ("model", {"models": ("m", "m"), "single_temperature": 3}, "Temperature: exp"),
        ("step", {"steps": ("1", None)}, "at least two steps"),
        ("step", {"steps": ("1200", "1;2")}, "step is no whole number"),
        ("step", {"steps": ("1200", "7")}, "no snapshot of step 7"),
        ("step", {"model": None, "steps": ("1", "2")}, "Choose a model"),
        ("top_p", {"top_ps": (0.5, 0)}, "Top-p: expected"),
        ("seed", {"temperatures": (0.5, None)}, "at least two temperatures"),
    ],
)
def test_what_cannot_be_compared_is_said(model, by, changed, said):
    with pytest.raises(CharrnnError, match=said):
        compared(by, **changed)


def test_a_hosted_page_reads_only_what_a_visitor_may_name(model, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    with pytest.raises(RunError, match="no such model"):
        compared("model", models=("shakespeare", "m"))
    with pytest.raises(RunError, match="no such model"):
        compared("step", model="m", steps=("1200", "1200"))


def test_a_model_is_an_id_and_never_a_path(model):
    for name in ("../m", str(model), "m/../m", ".", "", "nobody"):
        with pytest.raises((RunError, ConfigError)):
            prepare("en", writing_request(model=name), at_least=2)
