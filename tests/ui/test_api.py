"""What the endpoints take a request for, where no page is needed to see it."""

import json

import pytest

from charrnn.errors import CheckpointError, ConfigError
from charrnn.model import checkpoint, generation, snapshots
from charrnn.model.generation import samples_of
from charrnn.runs import control, curve, store
from charrnn.ui import api
from tests.builders import alone, make_stepped, rows, varied_text


def test_a_text_that_is_sent_without_a_name_is_not_called_shakespeare(monkeypatch):
    started = []
    monkeypatch.setattr(control, "spawn", started.append)
    sizes = {"rnn_units": 8, "embedding_dim": 4}
    run = api.train(varied_text(3000), preset="quick", settings=sizes)
    record = checkpoint.read_record(store.find(run))
    assert (record.corpus.name, record.title) == ("text", "text quick")
    run = api.train(varied_text(3000), "my novel", "quick", sizes)
    record = checkpoint.read_record(store.find(run))
    assert (record.corpus.name, record.title) == ("my novel", "my novel quick")
    assert len(started) == 2


def test_write_takes_every_option_and_counts_at_the_end(model):
    options = {"length": 30, "seed": 7, "samples": 2, "temperature": 1.1, "top_k": 9}
    options["hold"] = [[0, 3, -0.5]]
    *_, written = api.write("m", "the ", options)
    settings = samples_of(rows(1.1, seed=7, top_k=9, hold=((0, 3, -0.5),)), 2)
    loaded = checkpoint.load(model)
    *_, expected = generation.write(loaded, "the ", length=30, rows=settings)
    assert written == [
        {"text": one.text, "seed": seed}
        for one, seed in zip(expected, (7, 8), strict=True)
    ]
    *_, counted = api.write("m", "the ", {**options, "figures": True})
    for one, text in zip(expected, counted, strict=True):
        assert text["text"] == one.text
        assert text["figures"]["surprise"] == sum(one.bits) / 30
        assert text["figures"]["copied"] is None


def test_write_takes_a_step_of_a_run(isolated):
    folder = make_stepped(isolated / "m", 100, 25)
    for step in (25, 100, None):
        *_, written = api.write("m", "the ", {"length": 30, "seed": 7, "step": step})
        expected = alone(snapshots.load(folder, step), "the ", 30, [0.8], seed=7)
        assert [one["text"] for one in written] == expected
    with pytest.raises(CheckpointError, match="no snapshot of step 26"):
        next(api.write("m", "the ", {"step": 26}))


def test_the_curve_is_that_of_the_model(model):
    loaded = checkpoint.load(model)
    *_, written = generation.write(loaded, "the ", length=30, rows=curve.rows(7))
    points = curve.points(model, loaded.record, "the ", written)
    found = api.curve_of("m", "the ", 30, 7)
    assert found == curve.report("the ", 7, points)
    assert json.loads(json.dumps(found))["points"] == found["points"]
    with pytest.raises(ConfigError, match="length is 0"):
        api.curve_of("m", "the ", 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heat": 1}, "no option 'heat'"),
        ({"temperature": 3}, "temperature is 3"),
        ({"temperature": "1"}, "temperature is '1'"),
        ({"length": 0}, "length is 0"),
        ({"samples": 17}, "17 texts"),
        ({"samples": 10**12}, "1,000,000,000,000 texts"),
        ({"figures": 1}, "figures"),
        ({"hold": [[0, 0, 10**400]]}, "hold has"),
        ({"step": True}, "step is no whole number"),
    ],
)
def test_write_refuses_what_it_cannot_do(model, options, said):
    with pytest.raises(ConfigError, match=said):
        next(api.write("m", "the ", options))
