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
    said = panel.news_html("en", *status_of(RunState.RUNNING, *recorded))
    assert "memorising: the best weights, from step 10, are kept" in said


def test_the_queue_is_told():
    status, view = status_of(RunState.QUEUED, make_event("queued", position=2))
    training = make_record().training
    assert panel.figures("en", status, view, training) == ["2 before it in the queue"]


def test_a_key_from_the_browser_may_be_anything():
    for odd in (None, "", [1]):
        assert panel.changed_parts({"a": 1}, odd) == {"a"}
    assert panel.changed_parts({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {"b"}
