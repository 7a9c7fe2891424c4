"""Windows against hand-made texts, and each character predicted exactly once."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import CorpusError
from charrnn.text.corpus import MIN_CHARACTERS, split_at
from charrnn.text.streams import Streams, fit_shape, validation_windows

COUNTING = np.arange(23, dtype=np.uint8)  # ids that tell their own position


def test_windows_of_a_hand_made_text():
    # (23 - 3) // 2 = 10 characters a stream: three windows of 3, one left over
    streams = Streams(COUNTING, batch_size=2, seq_length=3, seed=0)
    o = streams.offset(0)
    assert streams.steps_per_epoch == 3
    for index in range(3):
        inputs, targets = streams.window(0, index)
        first = np.array([[0, 1, 2], [10, 11, 12]]) + o + 3 * index
        np.testing.assert_array_equal(inputs, first)
        np.testing.assert_array_equal(targets, first + 1)
        assert inputs.dtype == targets.dtype == np.uint8


@settings(deadline=None)
@given(
    batch_size=st.integers(1, 9),
    seq_length=st.integers(1, 12),
    extra=st.integers(0, 60),
    epoch=st.integers(0, 50),
    seed=st.integers(0, 2**63 - 1),
)
def test_streams_go_on_from_window_to_window(
    batch_size, seq_length, extra, epoch, seed
):
    ids = np.arange((batch_size + 1) * seq_length + extra, dtype=np.uint16)
    streams = Streams(ids, batch_size=batch_size, seq_length=seq_length, seed=seed)
    windows = [streams.window(epoch, i) for i in range(streams.steps_per_epoch)]
    read = np.concatenate([inputs for inputs, _ in windows], axis=1)
    aims = np.concatenate([targets for _, targets in windows], axis=1)
    assert read.shape == (batch_size, streams.steps_per_epoch * seq_length)
    assert (np.diff(read.astype(int), axis=1) == 1).all()
    np.testing.assert_array_equal(aims, read + 1)
    assert read[0, 0] == streams.offset(epoch) < seq_length
    starts = np.diff(read[:, 0].astype(int))  # the streams' distance: never an overlap
    assert (starts >= read.shape[1]).all()
    assert len(set(starts)) <= 1


def test_every_offset_is_drawn_and_depends_on_seed_and_epoch_alone():
    def offsets(seed):
        streams = Streams(COUNTING, batch_size=1, seq_length=5, seed=seed)
        return [streams.offset(epoch) for epoch in range(200)]

    assert offsets(7) == offsets(7)
    assert offsets(7) != offsets(8)
    assert min(np.bincount(offsets(7), minlength=5)) > 20  # 40 expected of each
    later = Streams(COUNTING, batch_size=1, seq_length=5, seed=7)
    assert later.offset(199) == offsets(7)[199]


def test_offsets_stay_what_they_are():
    # a run resumed under another NumPy must read the same windows
    streams = Streams(np.zeros(1000), batch_size=2, seq_length=100, seed=2**63 - 1)
    assert [streams.offset(epoch) for epoch in range(6)] == [*(38, 39, 94, 4, 38, 77)]


def test_windows_are_views_that_cannot_be_written():
    ids = np.zeros(1_000_000, np.uint8)
    tracemalloc.start()
    streams = Streams(ids, batch_size=4, seq_length=100, seed=0)
    for index in range(streams.steps_per_epoch):
        inputs, targets = streams.window(0, index)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000
    assert np.shares_memory(inputs, ids)
    assert np.shares_memory(targets, ids)
    with pytest.raises(ValueError, match="read-only"):
        inputs[0, 0] = 1
    ids[0] = 1  # the caller's own array is as it was


def test_no_such_window():
    streams = Streams(COUNTING, batch_size=2, seq_length=3, seed=0)
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"window {index} of 3"):
            streams.window(0, index)


def test_too_short_for_one_window():
    with pytest.raises(CorpusError, match=r"24 characters: 4 streams .* 5 need 25"):
        Streams(np.zeros(24, np.uint8), batch_size=4, seq_length=5, seed=0)


def test_the_shape_of_a_long_text_is_what_was_asked_for():
    shape = fit_shape(1_115_394, batch_size=64, seq_length=100)
    assert (shape.batch_size, shape.seq_length, shape.notices) == (64, 100, ())


def test_the_shape_of_a_short_text_says_what_it_changed():
    shape = fit_shape(2_000, batch_size=32, seq_length=50)
    assert (shape.batch_size, shape.seq_length) == (3, 50)  # 199 characters validate
    assert shape.notices == (
        "The text has 2,000 characters, too few for 32 streams in windows of 50: "
        "it is read as 3 in windows of 50.",
    )
    shape = fit_shape(MIN_CHARACTERS, batch_size=32, seq_length=100)
    assert (shape.batch_size, shape.seq_length) == (1, 4)


@settings(deadline=None, max_examples=300)
@given(
    characters=st.integers(MIN_CHARACTERS, 50_000),
    batch_size=st.integers(1, 1024),
    seq_length=st.integers(1, 1000),
)
def test_every_stream_of_either_split_holds_a_window(
    characters, batch_size, seq_length
):
    shape = fit_shape(characters, batch_size=batch_size, seq_length=seq_length)
    assert 1 <= shape.batch_size <= batch_size
    assert 1 <= shape.seq_length <= seq_length
    changed = (shape.batch_size, shape.seq_length) != (batch_size, seq_length)
    assert bool(shape.notices) == changed
    train = split_at(characters)
    streams = Streams(
        np.zeros(train, np.uint8),
        batch_size=shape.batch_size,
        seq_length=shape.seq_length,
        seed=0,
    )
    assert streams.steps_per_epoch >= 1
    validation = characters - train
    assert shape.batch_size * shape.seq_length <= validation - 1


def test_no_shape_fits_too_short_a_text():
    with pytest.raises(CorpusError, match=r"has 49 characters: at least 50"):
        fit_shape(MIN_CHARACTERS - 1, batch_size=1, seq_length=1)


def test_validation_windows_of_a_hand_made_text():
    # 10 targets in two pieces of 5; the second reads 2 characters before its own
    ids = np.arange(100, 111, dtype=np.uint8)
    windows = list(validation_windows(ids, streams=2, seq_length=4, warmup=2, limit=99))
    inputs = np.concatenate([w[0] for w in windows], axis=1)
    targets = np.concatenate([w[1] for w in windows], axis=1)
    masks = np.concatenate([w[2] for w in windows], axis=1)
    np.testing.assert_array_equal(
        inputs,
        [
            [100, 101, 102, 103, 104, 104, 104, 104],
            [103, 104, 105, 106, 107, 108, 109, 109],
        ],
    )
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(
        masks, [[1, 1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1, 0]]
    )
    assert masks.dtype == np.float32
    assert inputs.dtype == np.uint8


@settings(deadline=None, max_examples=300)
@given(
    length=st.integers(2, 400),
    streams=st.integers(1, 40),
    seq_length=st.integers(1, 50),
    warmup=st.integers(0, 100),
    limit=st.integers(1, 500),
)
def test_every_character_is_predicted_once(length, streams, seq_length, warmup, limit):
    ids = np.arange(length, dtype=np.uint16)
    predicted, reads = [], []
    for inputs, targets, mask in validation_windows(
        ids, streams=streams, seq_length=seq_length, warmup=warmup, limit=limit
    ):
        assert inputs.shape == targets.shape == mask.shape == (streams, seq_length)
        np.testing.assert_array_equal(targets, inputs + 1)
        assert set(np.unique(mask)) <= {0.0, 1.0}
        predicted += list(targets[mask == 1])
        reads.append((inputs, mask))
    assert sorted(predicted) == list(range(1, min(length - 1, limit) + 1))

    inputs, mask = (np.concatenate(part, axis=1) for part in zip(*reads, strict=True))
    for row, counted in zip(inputs.astype(int), mask == 1, strict=True):
        if counted.any():  # contiguous from a zero state on, with its warm-up
            begin, end = np.flatnonzero(counted)[[0, -1]]
            assert begin == min(warmup, row[begin])
            assert (np.diff(row[: end + 1]) == 1).all()


def test_one_stream_without_warmup_is_the_plain_pass():
    ids = np.arange(30, dtype=np.uint8)
    windows = validation_windows(ids, streams=1, seq_length=10, warmup=0, limit=29)
    targets = [targets[0][mask[0] == 1] for _, targets, mask in windows]
    np.testing.assert_array_equal(np.concatenate(targets), ids[1:])


def test_nothing_to_predict():
    ids = np.zeros(1, np.uint8)
    assert not list(validation_windows(ids, streams=2, seq_length=3, warmup=1, limit=9))
