import pytest

from charrnn.errors import ConfigError, RunError
from charrnn.model import checkpoint
from charrnn.ui.writing_request import prepare
from tests.builders import writing_request


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


def test_a_model_is_an_id_and_never_a_path(model):
    for name in ("../m", str(model), "m/../m", ".", "", "nobody"):
        with pytest.raises((RunError, ConfigError)):
            prepare("en", writing_request(model=name), at_least=2)
