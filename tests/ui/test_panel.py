import dataclasses

from charrnn.runs.states import RunState
from charrnn.runs.status import Status
from charrnn.ui import panel
from tests.builders import make_event, make_record, reduce


def status_of(state, *recorded):
    view = reduce(list(recorded))
    return Status(state, "", view, run_id="r", title="t"), view


def test_a_word_when_it_memorises():
    losses = [(10, 1.5), (20, 1.6), (30, 1.7), (40, 1.8)]
    recorded = [make_event("validation", s, val_loss=v) for s, v in losses]
    assert "memorising: the best weights, from step 10, are kept" in news(recorded)
    flat = [(10, 0.203), (20, 0.204), (30, 0.204), (40, 0.204)]
    recorded = [make_event("validation", s, val_loss=v) for s, v in flat]
    assert "memorising" not in news(recorded)


def news(recorded, state=RunState.RUNNING, **figures):
    status, _ = status_of(state, *recorded)
    record = make_record()
    known = dataclasses.replace(record.figures, **figures) if figures else None
    return panel.news_html("en", status, dataclasses.replace(record, figures=known))


def test_the_loss_is_that_of_the_record_and_says_how_it_was_measured():
    sampled = [make_event("validation", 10, val_loss=2.181)]
    assert "best sampled validation 2.181 at step 10" in news(sampled)
    on_record = {"kept_step": 10, "val_loss": 2.181}  # until the exact pass
    assert "best sampled validation 2.181 at step 10" in news(sampled, **on_record)
    exact = {"kept_step": 10, "val_loss": 2.178}
    whole = news(sampled, RunState.FINISHED, **exact)
    assert "validation loss 2.178 of the kept weights, from step 10<" in whole
    part = news(sampled, RunState.FINISHED, **exact, val_characters=200_000)
    assert "over the first 200,000 characters of the validation part" in part
    assert "2.181" not in whole + part


def test_a_model_that_guessing_would_beat_is_said_to_have_diverged():
    for loss, told in ((904.0, True), (3.5, True), (3.4, False)):  # guessing: 3.466
        recorded = [make_event("validation", 10, val_loss=loss)]
        said = news(recorded, RunState.FINISHED, kept_step=10, val_loss=loss)
        assert ("worse than guessing would (3.466)" in said) == told
    recorded = [make_event("validation", 10, val_loss=904.0)]
    assert "worse than guessing" not in news(recorded)  # it has just begun


def test_a_text_is_not_called_what_it_is_not():
    record = make_record()
    posing = dataclasses.replace(record.corpus, name="shakespeare")
    record = dataclasses.replace(record, corpus=posing)
    status, _ = status_of(RunState.RUNNING)
    assert posing.shown_name != "shakespeare"
    assert f">{posing.shown_name}<" in panel.head_html("en", status, record)


def test_the_queue_is_told():
    status, view = status_of(RunState.QUEUED, make_event("queued", position=2))
    training = make_record().training
    assert panel.figures("en", status, view, training) == ["2 before it in the queue"]


def test_what_waits_again_has_no_speed_and_no_time_left():
    training = make_record().training
    before = [make_event("started"), make_event("step", 5), make_event("planned", 6)]
    for waiting, told in ((0, "starting …"), (2, "2 before it in the queue")):
        recorded = [*before, make_event("queued", 5, position=waiting)]
        for state in (RunState.QUEUED, RunState.STOPPING):
            status, view = status_of(state, *recorded)
            assert panel.figures("en", status, view, training) == [told]


def test_a_key_from_the_browser_may_be_anything():
    for odd in (None, "", [1]):
        assert panel.changed_parts({"a": 1}, odd) == {"a"}
    assert panel.changed_parts({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {"b"}
