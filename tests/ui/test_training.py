import hashlib

import pytest

from charrnn.errors import CharrnnError, RunError
from charrnn.model import checkpoint
from charrnn.runs import control
from charrnn.ui import form, training
from charrnn.ui.settings import SETTINGS
from charrnn.ui.wiring import SKIP
from tests.builders import ENGLISH, make_folder, make_record

TEXT = "To be, or not to be, that is the question.\n" * 40


def quick(**settings):
    return list((form.preset_values("quick") | settings).values())


def test_size_time_and_command_are_told():
    size = {"characters": 1_115_394, "vocab_size": 66}
    given = quick(rnn_units=128, learning_rate=0.01)
    cost, command, *_ = training.estimate(
        ENGLISH, size, "shakespeare", None, "", "quick", "minutes", "My 'run'", *given
    )
    # 66 x 64 + (64 + 128 + 2) x 384 + 129 x 66
    assert "87,234 parameters" in cost
    assert "about 2 min" in cost
    assert command == (
        '<pre class="command">python -m charrnn train --corpus shakespeare --preset '
        "quick --rnn-units 128 --learning-rate 0.01 --minutes 2.0 --title "
        "&#x27;My &#x27;&quot;&#x27;&quot;&#x27;run&#x27;&quot;&#x27;&quot;&#x27;&#x27;"
        "</pre>"
    )


def test_without_a_text_or_with_wrong_settings_there_is_no_estimate():
    unknown = (None, "upload", None, "", "quick", "minutes", "")
    assert training.estimate(ENGLISH, *unknown, *quick())[0] == ""
    assert training.estimate(ENGLISH, [], *unknown[1:], *quick())[0] == ""
    cost, command, *_ = training.estimate(ENGLISH, *unknown, *quick(rnn_units=0))
    assert "Units: expected a number from 1 to 2,048" in cost
    assert command == ""


def test_the_time_of_epochs_is_known_of_a_preset_alone(isolated):
    size = {"characters": 1_115_394, "vocab_size": 66}

    def cost(**settings):
        given = quick(epochs=7, **settings)
        return training.estimate(
            ENGLISH, size, "paste", None, "", "quick", "epochs", "", *given
        )

    # 7 x 1,003,854 characters, of which two minutes read 7 million
    assert "about 2 min on two usual cores" in cost()[0]
    assert "--preset quick --epochs 7</pre>" in cost()[1]
    assert "known after the first steps" in cost(rnn_units=100)[0]


def test_advanced_is_opened_where_something_in_it_is_wrong():
    assert training.show_wrong(ENGLISH, "epochs", *quick(rnn_units=0))["open"] is True
    assert training.show_wrong(ENGLISH, "epochs", *quick(epochs=0)) == SKIP
    assert training.show_wrong(ENGLISH, "epochs", *quick()) == SKIP


def test_a_small_text_shrinks_the_batch_and_says_so():
    size = {"characters": 1720, "vocab_size": 17}
    cost, *_ = training.estimate(
        ENGLISH, size, "paste", None, "", "quick", "epochs", "", *quick()
    )
    assert "too few for 32 streams" in cost


def test_wrong_settings_are_flagged_and_nothing_else():
    flags = training.estimate(
        ENGLISH, None, "x", None, "", "quick", "epochs", "", *quick(dropout=2)
    )[2:]
    wrong = {
        name: flag["info"]
        for name, flag in zip(SETTINGS, flags, strict=True)
        if "wrong" in flag["elem_classes"]
    }
    assert wrong == {"dropout": "expected a number from 0 to 0.9"}


@pytest.mark.parametrize(
    ("source", "pasted", "values", "said"),
    [
        ("paste", "", quick(), "Paste a text"),
        ("paste", "short", quick(), "at least 50"),
        ("paste", TEXT, quick(rnn_units=0), "Units: expected"),
        ("/etc/passwd", "", quick(), "There is no text"),
    ],
)
def test_what_cannot_start_says_why(source, pasted, values, said, isolated):
    with pytest.raises(CharrnnError, match=said):
        training.start(
            *(ENGLISH, source, None, None, None, pasted, None),
            *("", "quick", "epochs", "", {}, *values),
        )
    assert list(isolated.iterdir()) == []


def test_a_training_begins_from_a_model(isolated, monkeypatch):
    parent = make_folder(isolated / "parent", make_record())
    monkeypatch.setattr(control, "spawn", lambda path: None)
    sizes = {"embedding_dim": 6, "rnn_units": 16}
    values = quick(epochs=2, **sizes)
    size = {"characters": 1720, "vocab_size": 17}
    asked = ("parent", "quick", "epochs", "")
    cost, command, *_ = training.estimate(ENGLISH, size, "paste", None, *asked, *values)
    count = checkpoint.read_record(parent).model.num_parameters()
    assert f"{count:,} parameters" in cost
    assert "--init parent</pre>" in command
    text = "the sea and the sand\n" * 90
    pasted = ("paste", None, None, None, text, None)
    started = training.start(ENGLISH, *pasted, *asked, {}, *values)
    child = isolated / started.followed
    assert checkpoint.load(child).weights_hash == checkpoint.load(parent).weights_hash
    gone = ("gone", "quick", "epochs", "")
    with pytest.raises(RunError, match="no model or run"):
        training.start(ENGLISH, *pasted, *gone, {}, *values)
    monkeypatch.setenv("CHARRNN_HOSTED", "1")  # where its id could be guessed
    with pytest.raises(RunError, match="no such model"):
        training.start(ENGLISH, *pasted, *asked, {}, *values)


def test_a_text_from_the_hub_is_named_in_command_and_record(
    isolated, tmp_path, monkeypatch
):
    monkeypatch.setattr(control, "spawn", lambda path: None)
    path, address = tmp_path / "text.txt", "hf://datasets/alice/plays@v2/a.txt"
    path.write_text(TEXT, encoding="utf-8")
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    origin = {"sha256": digest, "source": address, "first_mb": 5.0}
    size = {"characters": 1720, "vocab_size": 17}
    asked = ("", "quick", "epochs", "")
    values = quick(epochs=2)
    _, command, *_ = training.estimate(ENGLISH, size, "hub", origin, *asked, *values)
    assert f"--corpus {address} --preset quick --epochs 2 --first-mb 5<" in command
    read = ("hub", None, str(path), origin, "", None)
    started = training.start(ENGLISH, *read, *asked, {}, *values)
    corpus = checkpoint.read_record(isolated / started.followed).corpus
    assert (corpus.name, corpus.source) == ("alice/plays/a.txt", address)
    with pytest.raises(CharrnnError, match="then press Read"):
        training.start(
            ENGLISH, "hub", None, None, origin, "", None, *asked, {}, *values
        )
