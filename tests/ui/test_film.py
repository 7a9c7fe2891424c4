"""What the film of a run shows, and which of its pictures at first."""

import re

from charrnn.model import checkpoint
from charrnn.runs import store
from charrnn.runs.events import EventLog
from charrnn.runs.status import read_status
from charrnn.ui.film import film_html
from tests.builders import make_event, make_folder, make_record

PICTURE = re.compile(
    r'<article class="sample( shown)?" data-step="(\d+)"><h4>(.*?)</h4>'
)


def shown(path, lang="en"):
    return film_html(lang, read_status(path.name), checkpoint.read_record(path))


def pictures(path):
    """Step, heads and whether it is shown, of each picture."""
    return [
        (int(step), re.sub("(</span>)?<span>", "|", heads)[1:-7], bool(state))
        for state, step, heads in PICTURE.findall(shown(path))
    ]


def test_while_it_trains_the_latest_is_shown(run):
    log = EventLog(run)
    for step in (25, 60):
        log.append(make_event("step", step, loss=2.25))
        log.append(make_event("sample", step, text=f" {step}"))
    with store.hold(run):
        assert pictures(run) == [
            (10, "step 10|after 0 s|sampled validation 2.500", False),
            (25, "step 25|after 0 s|training loss 2.250", False),
            (60, "step 60|after 0 s|training loss 2.250", True),
        ]
        html = shown(run)
    assert '<input type="range" min="0" max="2" step="1" value="2" ' in html
    assert 'aria-valuetext="step 60, after 0 s, training loss 2.250"' in html
    assert "disabled" not in html


def test_at_rest_the_kept_weights_are_shown_last(isolated):
    record = make_record()  # its weights are of step 1,200
    path = make_folder(isolated / "m", record)
    log = EventLog(path)
    for step in (600, 1200, 1500):
        log.append(make_event("sample", step))
    log.append(make_event("ended", 1500))
    assert [step for step, *_ in pictures(path)] == [600, 1200]
    assert 'class="sample shown" data-step="1200"' in shown(path)


def test_a_single_picture_has_nothing_to_play(run):
    assert len(pictures(run)) == 1
    assert shown(run).count(" disabled>") == 2


def test_without_a_text_it_says_when_one_comes(run, isolated):
    (run / "events.jsonl").unlink()
    EventLog(run).append(make_event("started"))
    with store.hold(run):
        assert "comes after 25 steps" in shown(run)
    assert "has no texts" in shown(run)  # it has died
    assert "文章がありません" in shown(run, "ja")
