import dataclasses

import pytest

from charrnn.ui import verdict
from charrnn.ui.verdict import Standing, Verdict
from tests.builders import make_event, make_record, reduce

RECORD = dataclasses.replace(make_record(), figures=None)


def view_of(losses, *, baseline=None, seconds=120.0):
    """Validations after 10, 20, ... steps of a run that took so many seconds."""
    told = [make_event("started", 0, time=1000.0)]
    told += [
        make_event("validation", 10 * i, val_loss=loss, time=1000.0)
        for i, loss in enumerate(losses, 1)
    ]
    if baseline is not None:
        told.append(make_event("baseline", 0, loss=baseline, time=1000.0))
    last = 10 * len(losses)
    return reduce([*told, make_event("step", last, time=1000.0 + seconds)])


def judged_of(losses, **options):
    return verdict.judge(view_of(losses, **options), RECORD)


@pytest.mark.parametrize(
    ("loss", "baseline", "standing"),
    [
        (904.0, None, Standing.WORSE),
        (904.0, 1.7, Standing.WORSE),
        (2.0, None, Standing.GUESSING),
        (2.0, 1.7, Standing.BETWEEN),
        (1.7, 1.7, Standing.BETWEEN),
        (1.69, 1.7, Standing.NGRAMS),
    ],
)
def test_a_loss_is_compared_with_guessing_and_n_grams(loss, baseline, standing):
    judged = judged_of([loss], baseline=baseline)  # guessing: 3.466
    assert judged == Verdict(standing, None)  # one validation is no trend


def test_a_trend_is_what_the_last_quarter_lost_a_minute():
    # 8 validations in 2 minutes: from the 6th to the 8th are 30 seconds
    losses = [4.0, 3.5, 3.0, 2.5, 2.2, 2.0, 1.95, 1.99]
    judged = judged_of(losses, baseline=2.1)
    assert judged.standing is Standing.NGRAMS  # by the best, not the last
    assert judged.per_minute == pytest.approx(0.01 / 0.5)


def test_before_the_first_validation_nothing_is_said():
    assert verdict.judge(reduce([]), RECORD) is None
    assert verdict.sentence("en", None, live=True) == ""


@pytest.mark.parametrize(
    ("per_minute", "english", "japanese"),
    [
        (
            0.02,
            "It now does better than a table of 5-grams; "
            "it still improves by 0.02 a minute.",
            "5-gram の表より良くなりました。今も 1 分に 0.02 ずつ良くなっています。",
        ),
        (
            0.004,
            "It now does better than a table of 5-grams; it hardly improves any more.",
            "5-gram の表より良くなりました。もうほとんど変わりません。",
        ),
        (
            -0.1,
            "It now does better than a table of 5-grams; "
            "its validation loss rises by 0.10 a minute.",
            "5-gram の表より良くなりました。"
            "検証損失は 1 分に 0.10 ずつ上がっています。",
        ),
        (
            None,
            "It now does better than a table of 5-grams.",
            "5-gram の表より良くなりました。",
        ),
    ],
)
def test_the_verdict_is_a_sentence(per_minute, english, japanese):
    judged = Verdict(Standing.NGRAMS, per_minute)
    assert verdict.sentence("en", judged, live=True) == english
    assert verdict.sentence("ja", judged, live=True) == japanese
    ended = verdict.sentence("en", judged, live=False)
    assert ended == "It now does better than a table of 5-grams."
