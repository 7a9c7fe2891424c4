"""Which samples a film has, and what is told of each."""

import dataclasses

from charrnn.model import snapshots
from charrnn.runs.film import Picture, film
from tests.builders import make_event, reduce


def history(last, every=10_000):
    """Samples at snapshots and validations, these every so many steps; one a second."""
    told = [dataclasses.replace(make_event("started"), time=0.0)]
    for step in range(1, last + 1):
        validated = step % every == 0 or step == last
        if not (validated or snapshots.is_due(step)):
            continue
        new = [make_event("step", step, loss=5.0)]
        if validated:
            new.append(make_event("validation", step, val_loss=3.0))
        new.append(make_event("sample", step, text=f" {step}"))
        told += [dataclasses.replace(event, time=float(step)) for event in new]
    return told


def steps_of(pictures):
    return [picture.sample.step for picture in pictures]


def test_pictures_stand_closer_at_the_start():
    view = reduce(history(1000, every=10))
    doubling = [25, 40, 50, 80, 100, 150, 200, 290, 400, 570, 800, 1000]
    assert steps_of(film(view)) == [10, 20, *doubling]
    long = reduce(history(40_000, every=20))  # far more samples than a view keeps
    assert steps_of(film(long))[:4] == [20, 25, 40, 50]
    assert steps_of(film(long))[-2:] == [36_220, 40_000]
    assert len(film(long)) < 26


def test_a_film_ends_with_the_kept_weights():
    view = reduce(history(1000, every=10))
    assert steps_of(film(view, 300))[-3:] == [200, 290, 300]
    assert steps_of(film(view, 800))[-2:] == [570, 800]
    assert steps_of(film(view, 5)) == []
    assert film(reduce([])) == []


def test_a_picture_has_the_losses_of_its_moment():
    snapshot, _, _, last = film(reduce(history(190)))
    assert snapshot == Picture(snapshot.sample, 25.0, None, 5.0)
    assert last == Picture(last.sample, 190.0, 3.0, 5.0)
    (bare,) = film(reduce([make_event("sample", 7)]))
    assert bare == Picture(bare.sample, 0.0, None, None)


def test_what_a_resumed_run_takes_back_is_in_no_film():
    told = [*history(100), make_event("resumed", 60), make_event("sample", 90)]
    assert steps_of(film(reduce(told))) == [25, 50, 90]
