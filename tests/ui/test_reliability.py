"""What stands on the page of how sure a model is, and how right."""

import dataclasses
import re

from charrnn.model.reliability import Bin
from charrnn.runs.states import RunState
from charrnn.runs.status import Status
from charrnn.ui.reliability import reliability_html
from tests.builders import make_record, reduce

BINS = (Bin(0.25, 0.2, 1000), Bin(0.95, 0.8, 3000))


def shown(state=RunState.FINISHED, **figures):
    record = make_record()
    known = dataclasses.replace(record.figures, **figures)
    status = Status(state, "", reduce([]), run_id="r", title="t")
    return reliability_html("en", status, dataclasses.replace(record, figures=known))


def test_it_says_how_sure_and_how_right_the_model_is():
    html = shown(reliability=BINS)
    assert "probability of 78 % on average, and was right 65 % of the time" in html
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>', html
    )
    assert rows == [("25 %", "20 %", "1,000"), ("95 %", "80 %", "3,000")]
    assert 'tabindex="0" role="region"' in html  # scrolled by keyboard on a phone
    assert "multiplied" not in html
    surer = shown(reliability=BINS, logit_scale=0.8366)
    assert "multiplied by 0.84, which fits" in surer
    assert "it was surer than it was right" in surer
    assert "less sure than it was right" in shown(reliability=BINS, logit_scale=1.2)


def test_it_is_shown_of_a_model_at_rest_alone():
    assert shown(RunState.RUNNING, reliability=BINS) == ""
    assert shown() == shown(reliability=()) == ""
    status = Status(RunState.FINISHED, "", reduce([]), run_id="r", title="t")
    record = dataclasses.replace(make_record(), figures=None)
    assert reliability_html("en", status, record) == ""
