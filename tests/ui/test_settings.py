from charrnn.ui import settings
from charrnn.ui.settings import SETTINGS


def test_whole_numbers_are_known():
    assert {name for name in SETTINGS if settings.is_whole(name)} == {
        *("embedding_dim", "rnn_units", "num_layers", "epochs", "batch_size"),
        *("seq_length", "warmup_steps", "early_stopping", "validate_every", "seed"),
    }


def test_what_may_be_left_empty_is_known():
    optional = [name for name in SETTINGS if settings.is_optional(name)]
    assert optional == ["epochs", "minutes", "validate_every"]


def test_bounds_are_written_as_people_write_them():
    assert settings.format_bound(1e-6) == "0.000001"
    assert settings.format_bound(0.99999) == "0.99999"
    assert settings.format_bound(10_000) == "10,000"
    assert settings.format_bound(2**63 - 1) == "2^63"
    assert settings.format_bound(0) == "0"


def test_an_explanation_tells_the_bounds_in_its_language():
    assert settings.describe("ja", "dropout").endswith(" · 0〜0.9")
    assert settings.describe("en", "minutes") == (
        "time to train, in minutes · 0.02 to 10,080 · empty: no limit"
    )
    assert settings.describe("en", "cell") == "kind of recurrent cell"
