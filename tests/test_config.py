"""Settings: bounds, types, presets, and what a person's own settings change."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn import config, presets
from charrnn.config import ModelConfig, SamplingConfig, TrainingConfig
from charrnn.errors import ConfigError
from charrnn.presets import from_preset

OWNERS = (ModelConfig, TrainingConfig, SamplingConfig)
BOUNDED = [
    (owner, item.name, item.metadata["low"], item.metadata["high"])
    for owner in OWNERS
    for item in dataclasses.fields(owner)
    if item.metadata["low"] is not None
]
CHOSEN = [
    (owner, item.name, item.metadata["choices"])
    for owner in OWNERS
    for item in dataclasses.fields(owner)
    if item.metadata["choices"]
]


def refusal(owner, **settings):
    with pytest.raises(ConfigError) as caught:
        owner(**settings)
    assert str(caught.value).startswith(f"{caught.value.field} is ")
    assert len(str(caught.value)) < 200
    return caught.value


def test_the_tutorials_network_has_the_tutorials_parameters():
    model, training = from_preset("tutorial", {}, vocab_size=66)
    shapes = model.tensor_shapes()

    def numbers(prefix):
        return sum(math.prod(s) for n, s in shapes.items() if n.startswith(prefix))

    assert numbers("embedding") == 16_896
    assert numbers("rnn") == 3_938_304
    assert numbers("head") == 67_650
    assert model.num_parameters() == 4_022_850
    assert (training.batch_size, training.seq_length) == (64, 100)


@pytest.mark.parametrize(
    ("cell", "kernel", "bias"),
    [("gru", 15, (2, 15)), ("lstm", 20, (20,)), ("rnn", 5, (5,))],
)
def test_tensor_shapes(cell, kernel, bias):
    model = ModelConfig(
        cell=cell, embedding_dim=3, rnn_units=5, num_layers=2, vocab_size=7
    )
    assert list(model.tensor_shapes().items()) == [
        ("embedding.weight", (7, 3)),
        ("rnn.0.kernel", (3, kernel)),
        ("rnn.0.recurrent_kernel", (5, kernel)),
        ("rnn.0.bias", bias),
        ("rnn.1.kernel", (5, kernel)),
        ("rnn.1.recurrent_kernel", (5, kernel)),
        ("rnn.1.bias", bias),
        ("head.kernel", (5, 7)),
        ("head.bias", (7,)),
    ]


@pytest.mark.parametrize(("owner", "name", "low", "high"), BOUNDED)
def test_bounds_belong_to_the_range_and_what_is_beyond_does_not(owner, name, low, high):
    for value in (low, high):
        assert getattr(owner(**{name: value}), name) == value
    whole = isinstance(low, int)
    below, above = low - 1, high + 1
    if not whole:
        below, above = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    for value in (below, above, 10**400, -(10**400)):
        error = refusal(owner, **{name: value})
        assert error.field == name
        assert "expected a number from" in str(error)


@pytest.mark.parametrize(("owner", "name", "low", "high"), BOUNDED)
@pytest.mark.parametrize(
    "value", [True, False, "1", b"1", [1], {}, math.nan, math.inf, -math.inf, 1 + 0j]
)
def test_what_is_no_number_in_range_is_refused(owner, name, low, high, value):
    assert refusal(owner, **{name: value}).field == name


def test_a_whole_number_is_not_a_fraction():
    message = str(refusal(TrainingConfig, batch_size=32.0))
    assert message == "batch_size is 32.0: expected int."
    assert str(refusal(TrainingConfig, epochs=1.5)) == (
        "epochs is 1.5: expected int or nothing."
    )
    assert str(refusal(TrainingConfig, seed=None)) == "seed is None: expected int."


def test_an_integer_where_a_float_is_due_becomes_one():
    training = TrainingConfig(minutes=2, clipnorm=1)
    assert isinstance(training.minutes, float)
    assert isinstance(training.clipnorm, float)
    assert TrainingConfig(minutes=2) == TrainingConfig(minutes=2.0)


@pytest.mark.parametrize(("owner", "name", "choices"), CHOSEN)
def test_choices(owner, name, choices):
    for choice in choices:
        assert getattr(owner(**{name: choice}), name) == choice
    for wrong in ("", choices[0].upper(), "x" * 100_000):
        assert ", ".join(choices) in str(refusal(owner, **{name: wrong}))
    for wrong in (1, None, True, ["gru"]):
        refusal(owner, **{name: wrong})


def test_a_text_is_a_text():
    assert SamplingConfig(stop="\n\n").stop == "\n\n"
    assert str(refusal(SamplingConfig, stop=5)) == "stop is 5: expected a text."
    refusal(SamplingConfig, stop=None)


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().rnn_units = 5
    with pytest.raises(TypeError):
        ModelConfig("gru")  # by name only
    with pytest.raises(TypeError):
        ModelConfig(units=5)


def test_something_must_end_the_run():
    assert TrainingConfig(epochs=None, minutes=1).epochs is None
    with pytest.raises(ConfigError, match="Neither epochs nor minutes") as caught:
        TrainingConfig(epochs=None)
    assert caught.value.field == "epochs"


def test_every_setting_is_explained():
    for name in (
        *config.MODEL_SETTINGS,
        *config.TRAINING_SETTINGS,
        "temperature",
        "vocab_size",
    ):
        item = config.setting_field(name)
        assert item.name == name
        assert item.metadata["help"]
    assert "vocab_size" not in config.MODEL_SETTINGS
    assert "preset" not in config.TRAINING_SETTINGS
    with pytest.raises(ConfigError, match="There is no setting 'units'") as caught:
        config.setting_field("units")
    assert caught.value.field == "units"


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_presets_are_valid_and_named(preset):
    model, training = from_preset(preset, {}, vocab_size=66)
    assert training.preset == preset
    for name, value in presets.PRESETS[preset].model.items():
        assert getattr(model, name) == value
    for name, value in presets.PRESETS[preset].training.items():
        assert getattr(training, name) == value
    assert model.vocab_size == 66


def test_the_defaults_are_presets():
    assert {presets.DEFAULT_PRESET, presets.DEFAULT_PRESET_GPU} <= set(presets.PRESETS)


def test_own_settings_lie_on_top_of_a_preset():
    own = {"cell": "lstm", "rnn_units": 7, "seed": 5, "dropout": 0}
    model, training = from_preset("quick", own, vocab_size=9)
    assert (model.cell, model.rnn_units, model.dropout) == ("lstm", 7, 0.0)
    assert (training.seed, training.batch_size, training.epochs) == (5, 32, 40)


def test_the_limit_that_was_asked_for_decides():
    def limits(**own):
        _, training = from_preset("quick", own, vocab_size=9)
        return training.epochs, training.minutes

    assert limits() == (40, 2.0)
    assert limits(minutes=5) == (None, 5.0)
    assert limits(epochs=3) == (3, None)
    assert limits(epochs=3, minutes=5) == (3, 5.0)
    assert limits(epochs=None) == (None, 2.0)
    assert limits(minutes=None) == (40, None)
    assert limits(epochs=None, minutes=5) == (None, 5.0)
    with pytest.raises(ConfigError, match="Neither"):
        limits(epochs=None, minutes=None)


@pytest.mark.parametrize("name", ["preset", "vocab_size", "lr", "", "__class__"])
def test_unknown_settings_are_named(name):
    with pytest.raises(ConfigError, match="There is no setting") as caught:
        from_preset("quick", {name: 1}, vocab_size=9)
    assert caught.value.field == name
    assert "rnn_units" in str(caught.value)


def test_unknown_preset():
    with pytest.raises(ConfigError, match=r"no preset 'huge': .* quick, balanced"):
        from_preset("huge", {}, vocab_size=9)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)


@given(st.dictionaries(st.sampled_from(config.TRAINING_SETTINGS), ANYTHING))
def test_any_values_are_taken_or_refused(own):
    try:
        _, training = from_preset("quick", own, vocab_size=9)
    except ConfigError as error:
        assert error.field in config.TRAINING_SETTINGS  # noqa: PT017
    else:
        assert {name: getattr(training, name) for name in own} == own
