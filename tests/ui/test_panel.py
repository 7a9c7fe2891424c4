from charrnn.runs.status import Status
from charrnn.ui import panel
from charrnn.ui.history import view_of
from tests.builders import make_record


def test_a_word_when_it_memorises():
    recorded = [
        {"type": "validation", "time": 0.0, "step": s, "val_loss": v}
        for s, v in [(10, 1.5), (20, 1.6), (30, 1.7), (40, 1.8)]
    ]
    status = Status("r", "t", "running", "", 0, 40, 100, 10, 1.5, 10, 1.0)
    said = panel.news_html("en", status, view_of(recorded))
    assert "memorising: the best weights, from step 10, are kept" in said


def test_the_queue_is_told():
    status = Status("r", "t", "queued", "", 2, 0, None, 0, None, 0, 0.0)
    training = make_record().training
    assert panel.figures("en", status, view_of([]), training) == [
        "2 before it in the queue"
    ]


def test_a_key_from_the_browser_may_be_anything():
    for odd in (None, "", [1]):
        assert panel.changed_parts({"a": 1}, odd) == {"a"}
    assert panel.changed_parts({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {"b"}
