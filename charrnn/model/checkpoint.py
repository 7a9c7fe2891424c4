"""A model in a folder, the same folder that the Hub holds.

    config.json         what the model is and where it comes from (`Record`)
    vocab.json          a list, index = id
    model.safetensors   the weights, fp32, under stable names
    README.md           the card

A folder may come from a stranger: every file is bounded before it is read,
the configuration is parsed against an exact schema, and the tensors must have
exactly the names, shapes and type that the configuration implies before one
of them is allocated. Nothing in a folder is ever executed. Writing is
aside, fsync, rename: a reader sees the old file or the new one, whole.
"""

import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.files import write_file
from charrnn.hosting import MEGABYTE
from charrnn.model.record import (
    CARD,
    CONFIG,
    VOCAB,
    WEIGHTS,
    Record,
    exact_keys,
    parse_json,
    parse_record,
)
from charrnn.text.vocabulary import Vocabulary

Weights = dict[str, npt.NDArray[np.float32]]
MAX_BYTES: Final = {CONFIG: 65_536, VOCAB: 1_000_000, CARD: 1_000_000}
MAX_HEADER: Final = 100_000  # bytes of a safetensors header: ours has some 1,500


@dataclass(frozen=True)
class Model:
    """A loaded model: what it is, its characters, its weights."""

    record: Record
    vocabulary: Vocabulary
    weights: Weights
    weights_hash: str  # first 16 hex digits of the SHA-256 of the weights' file


def tensors_to_bytes(
    tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """A safetensors file in memory.

    Every array is made C-contiguous first: safetensors 0.8.0 stores the memory
    order of a transposed array under its logical shape, without an error.
    """
    # not ascontiguousarray, which makes a vector of a single number
    contiguous = {name: np.asarray(a, order="C") for name, a in tensors.items()}
    return safetensors.numpy.save(contiguous, metadata=dict(metadata or {}))


def save_record(folder: Path, record: Record) -> None:
    """Write `config.json`.

    Raises:
        CheckpointError: If it holds what could not be read back, or cannot be
            written.
    """
    data = record.to_json().encode("utf-8", "backslashreplace")
    if len(data) > MAX_BYTES[CONFIG]:
        raise CheckpointError(
            f"config.json would have {len(data):,} bytes: at most "
            f"{MAX_BYTES[CONFIG]:,} are read."
        )
    parse_record(data)
    write_file(folder / CONFIG, data)


def save_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Write `vocab.json`."""
    text = json.dumps(list(vocabulary.entries), ensure_ascii=False)
    write_file(folder / VOCAB, text.encode())


def save_weights(
    folder: Path, model: ModelConfig, weights: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write `model.safetensors`.

    Raises:
        CheckpointError: If names or shapes are not those of the configuration,
            or the file cannot be written.
    """
    expected = model.tensor_shapes()
    found = {name: tuple(array.shape) for name, array in weights.items()}
    if found != expected:
        raise CheckpointError(
            f"The weights are {found}: the configuration implies {expected}."
        )
    ordered = {name: weights[name].astype(np.float32, copy=False) for name in expected}
    write_file(folder / WEIGHTS, tensors_to_bytes(ordered, {"format": "charrnn"}))


def _read_bounded(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if not path.is_file():
            raise CheckpointError(f"{folder.name} has no {name}: it is not a model.")
        size = path.stat().st_size
        if size > MAX_BYTES[name]:
            raise CheckpointError(
                f"{name} has {size:,} bytes: at most {MAX_BYTES[name]:,} are read."
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES[name])
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read ({error.strerror}).") from error


def parse_vocabulary(data: bytes, vocab_size: int) -> Vocabulary:
    """The contents of a `vocab.json`, checked against the configuration.

    Raises:
        CheckpointError: If it is damaged or has another number of entries.
    """
    entries = parse_json(data, VOCAB)
    if not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
        raise CheckpointError("vocab.json is not a list of texts: it is damaged.")
    if len(entries) != vocab_size:
        raise CheckpointError(
            f"vocab.json has {len(entries):,} entries, config.json says {vocab_size:,}."
        )
    try:
        return Vocabulary(tuple(entries))
    except ConfigError as error:
        raise CheckpointError(f"vocab.json: {error}") from error


def check_weights_header(data: bytes, file_size: int, model: ModelConfig) -> None:
    """Refuse a safetensors file before a tensor of it is allocated.

    Args:
        data: The file's first `MAX_HEADER` + 8 bytes, or all of a smaller one.
        file_size: Bytes of the whole file.
        model: The configuration that implies names, shapes and type.

    Raises:
        CheckpointError: If names, shapes, type or size are not as implied.
    """
    if len(data) < 8:
        raise CheckpointError("model.safetensors is cut short.")
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER or len(data) < 8 + length:
        raise CheckpointError("model.safetensors has no readable header.")
    header = parse_json(data[8 : 8 + length], WEIGHTS)
    expected = model.tensor_shapes()
    if isinstance(header, dict):
        header.pop("__metadata__", None)
    exact_keys(header, tuple(expected), WEIGHTS)
    for name, shape in expected.items():
        entry = header[name] if isinstance(header[name], dict) else {}
        if entry.get("dtype") != "F32" or entry.get("shape") != list(shape):
            raise CheckpointError(
                f"{name} in model.safetensors is {str(entry.get('dtype'))[:10]} "
                f"{str(entry.get('shape'))[:40]}: expected F32 {list(shape)}."
            )
    if file_size != 8 + length + 4 * model.num_parameters():
        raise CheckpointError(
            f"model.safetensors has {file_size:,} bytes: expected "
            f"{8 + length + 4 * model.num_parameters():,}. It is cut short or damaged."
        )


@contextlib.contextmanager
def _open_weights(folder: Path, model: ModelConfig) -> Iterator[IO[bytes]]:
    """The weights' file at its start, its header checked."""
    path = folder / WEIGHTS
    try:
        if path.exists() and not path.is_file():  # a pipe would hang, say
            raise CheckpointError(f"{WEIGHTS} is not a file.")
        with path.open("rb") as file:
            start = file.read(MAX_HEADER + 8)
            check_weights_header(start, path.stat().st_size, model)
            file.seek(0)
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder.name} has no weights yet: its training has not saved any."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{WEIGHTS} cannot be read ({error.strerror})."
        ) from error


def load_weights(folder: Path, model: ModelConfig) -> tuple[Weights, str]:
    """The weights of a folder and the first 16 hex digits of their file's hash.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds anything
            but finite numbers in exactly the implied tensors.
    """
    with _open_weights(folder, model) as file:
        data = file.read()
    try:
        loaded = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"model.safetensors is damaged: {error}") from error
    if not all(np.isfinite(array).all() for array in loaded.values()):
        raise CheckpointError("model.safetensors holds numbers that are not finite.")
    weights = {name: loaded[name] for name in model.tensor_shapes()}
    return weights, hashlib.sha256(data).hexdigest()[:16]


def hash_weights(folder: Path, model: ModelConfig) -> str:
    """The hash that `load_weights` gives, without the weights in memory.

    Raises:
        CheckpointError: If the file is missing or its header damaged.
    """
    digest = hashlib.sha256()
    with _open_weights(folder, model) as file:
        while part := file.read(MEGABYTE):
            digest.update(part)
    return digest.hexdigest()[:16]


def read_record(path: Path) -> Record:
    """`config.json` of a folder.

    Raises:
        CheckpointError: If it is missing, damaged or of another version.
    """
    return parse_record(_read_bounded(path, CONFIG))


def read_vocabulary(path: Path, record: Record) -> Vocabulary:
    """`vocab.json` of a folder.

    Raises:
        CheckpointError: If it is missing, damaged or does not fit the record.
    """
    return parse_vocabulary(_read_bounded(path, VOCAB), record.model.vocab_size)


def load(path: Path | str) -> Model:
    """A model from its folder.

    Raises:
        CheckpointError: If the folder is not a model, or a file of it is
            damaged, hostile or of another version.
    """
    folder = Path(path)
    record = read_record(folder)
    vocabulary = read_vocabulary(folder, record)
    weights, digest = load_weights(folder, record.model)
    return Model(record, vocabulary, weights, digest)
