"""A safetensors file vouches for itself: no bit of it changes unseen."""

import hashlib
import json
import random
import struct
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.numpy

from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError
from charrnn.model import checkpoint, tensors
from charrnn.model.tensors import bytes_to_tensors
from tests.builders import tensors_to_bytes

VOCABULARY = b'["[UNK]", "a"]'
MODEL = ModelConfig(cell="rnn", embedding_dim=2, rnn_units=2, num_layers=1)


def weights_file(context: bytes = VOCABULARY) -> bytes:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in MODEL.tensor_shapes().items()
    }
    return tensors_to_bytes(arrays, {"format": "charrnn"}, context=context)


def read_weights(data: bytes, context: bytes = VOCABULARY) -> tensors.Tensors:
    checkpoint.check_weights_header(data, len(data), MODEL)
    return bytes_to_tensors(data, "model.safetensors", context=context)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def check_every_bit(data: bytes, read: Callable[[bytes], object]) -> None:
    """Whichever bit changes, reading refuses."""
    for bit in range(8 * len(data)):
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            read(flipped(data, bit))


def test_the_hash_is_as_the_documents_say() -> None:
    data = weights_file()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    recorded = header["__metadata__"].pop("sha256")
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    parts = text.encode() + data[8 + length :] + VOCABULARY
    assert recorded == hashlib.sha256(parts).hexdigest()
    assert length % 8 == 0  # where readers may map the tensors into memory


def test_the_library_reads_what_is_written_here() -> None:
    data = weights_file()
    ours, theirs = read_weights(data), safetensors.numpy.load(data)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_the_same_tensors_are_always_the_same_bytes() -> None:
    arrays = {name: np.zeros(2, np.float32) for name in "dbca"}
    metadata = dict.fromkeys(("format", "progress", "z", "a"), "x")
    assert len({tensors_to_bytes(arrays, metadata) for _ in range(20)}) == 1


def test_every_bit_of_the_weights_counts() -> None:
    check_every_bit(weights_file(), read_weights)


def test_every_bit_of_the_vocabulary_counts() -> None:
    data = weights_file()
    check_every_bit(VOCABULARY, lambda changed: read_weights(data, changed))


def test_a_file_without_a_hash_is_read_as_before() -> None:
    arrays = read_weights(weights_file())
    for metadata in ({"format": "charrnn"}, {"format": "pt"}, None):
        data = safetensors.numpy.save(arrays, metadata)
        assert read_weights(data).keys() == arrays.keys()
        # a changed number is not seen there
        assert read_weights(flipped(data, 8 * len(data) - 30)).keys() == arrays.keys()
    strange = safetensors.numpy.save(arrays, {"format": "charrnn", "sha257": "0"})
    with pytest.raises(CheckpointError, match="does not match the SHA-256"):
        read_weights(strange)


@pytest.mark.parametrize("seed", range(3))
def test_other_damage_is_seen_too(seed: int) -> None:
    data, rng = weights_file(), random.Random(seed)
    for _ in range(50):
        first, second = sorted(rng.sample(range(len(data)), 2))
        for changed in (
            data[:first] + data[second:],
            data[:first] + bytes(second - first) + data[second:],
            data[:second] + data[first:],
        ):
            if changed != data:
                with pytest.raises(CheckpointError):
                    read_weights(changed)
