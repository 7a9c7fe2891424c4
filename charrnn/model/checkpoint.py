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
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from charrnn.config import ModelConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.files import write_file
from charrnn.hosting import MEGABYTE
from charrnn.model.parsing import BYTE_ORDER_MARK, REMEDY, parse_json
from charrnn.model.record import (
    CARD,
    CONFIG,
    LICENSE_PATTERN,
    VOCAB,
    WEIGHTS,
    Record,
    parse_record,
)
from charrnn.model.tensors import (
    HASH,
    MAX_HEADER,
    Header,
    bytes_to_tensors,
    read_header,
    tensors_to_parts,
)
from charrnn.text.vocabulary import Vocabulary

Weights = dict[str, npt.NDArray[np.float32]]
MAX_BYTES: Final = {CONFIG: 65_536, VOCAB: 1_000_000, CARD: 1_000_000}
_BYTES: Final = {"F32": 4, "F16": 2}  # of a number
# where a model of format version 1 keeps its licence
_LICENSE_IN_CARD: Final = re.compile(f"---\\r?\\nlicense: ({LICENSE_PATTERN})\\r?\\n")


@dataclass(frozen=True)
class Model:
    """A loaded model: what it is, its characters, its weights."""

    record: Record
    vocabulary: Vocabulary
    weights: Weights
    weights_hash: str  # 16 hex digits: see `load_weights`
    notices: tuple[str, ...] = ()  # what a person should know about its files

    @property
    def separator(self) -> tuple[int, ...]:
        """Ids of what separates documents; empty where it reads one long text."""
        text = self.record.corpus.document_separator
        return tuple(self.vocabulary.encode(text).tolist())


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
    """Write `model.safetensors`; its hash covers the folder's `vocab.json` as well.

    Raises:
        CheckpointError: If names or shapes are not those of the configuration,
            there is no `vocab.json` yet, or the file cannot be written.
    """
    expected = model.tensor_shapes()
    found = {name: tuple(array.shape) for name, array in weights.items()}
    if found != expected:
        raise CheckpointError(
            f"The weights are {found}: the configuration implies {expected}."
        )
    sources = {n: partial(np.asarray, weights[n], np.float32) for n in expected}
    context = read_bounded(folder, VOCAB)
    parts = tensors_to_parts(sources, {"format": "charrnn"}, context=context)
    write_file(folder / WEIGHTS, parts)


def read_bounded(folder: Path, name: str) -> bytes:
    """A small file of a model's folder.

    Raises:
        CheckpointError: If it is missing, no file, or larger than `MAX_BYTES` says.
    """
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


def _check_names(header: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    missing = [name for name in expected if name not in header]
    unknown = [ascii(name)[1:-1][:40] for name in header if name not in expected]
    if len(missing) == len(expected) and unknown:
        raise CheckpointError(
            f"{WEIGHTS} holds {unknown[:3]}, the tensors of another library's model: "
            f"expected {list(expected)[:3]} and so on. Use that library for it."
        )
    if missing or unknown:
        raise CheckpointError(
            f"{WEIGHTS} lacks {missing or 'nothing'} and has unknown {unknown[:5]}: it "
            f"is damaged or does not belong to its config.json; {REMEDY}."
        )


def check_weights_header(
    data: bytes, file_size: int, model: ModelConfig, *, dtype: str = "F32"
) -> None:
    """Refuse a safetensors file before a tensor of it is allocated.

    Args:
        data: The file's first `MAX_HEADER` + 8 bytes, or all of a smaller one.
        file_size: Bytes of the whole file.
        model: The configuration that implies names and shapes.
        dtype: The type: F32, or F16 of a snapshot.

    Raises:
        CheckpointError: If names, shapes, type or size are not as implied.
    """
    header = read_header(data, WEIGHTS)
    expected = model.tensor_shapes()
    _check_names(header.tensors, expected)
    for name, shape in expected.items():
        found = header.tensors[name]
        entry = found if isinstance(found, dict) else {}
        if entry.get("dtype") != dtype or entry.get("shape") != list(shape):
            raise CheckpointError(
                f"{name} in {WEIGHTS} is {str(entry.get('dtype'))[:10]} "
                f"{str(entry.get('shape'))[:40]}: expected {dtype} {list(shape)}."
            )
    size = header.end + _BYTES[dtype] * model.num_parameters()
    if file_size != size:
        raise CheckpointError(
            f"{WEIGHTS} has {file_size:,} bytes: expected {size:,}. It is cut short or "
            f"damaged; {REMEDY}."
        )


@contextlib.contextmanager
def _open_weights(
    path: Path, model: ModelConfig, dtype: str = "F32"
) -> Iterator[tuple[IO[bytes], Header]]:
    """A file of weights at its start, and its header, checked."""
    try:
        if path.exists() and not path.is_file():  # a pipe would hang, say
            raise CheckpointError(f"{path.name} is not a file.")
        with path.open("rb") as file:
            start = file.read(MAX_HEADER + 8)
            check_weights_header(start, path.stat().st_size, model, dtype=dtype)
            file.seek(0)
            yield file, read_header(start, path.name)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent.name} has no weights yet: its training has not saved any."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path.name} cannot be read ({error.strerror})."
        ) from error


def load_weights(
    folder: Path, model: ModelConfig, *, path: Path | None = None, dtype: str = "F32"
) -> tuple[Weights, str]:
    """The weights of a folder, and 16 hex digits that tell them from others.

    These are the first of the SHA-256 in the file's header; of the whole file, where
    version 1 wrote none.

    Args:
        folder: Of the model.
        model: The configuration that implies names, shapes and type.
        path: The file, where it is not the folder's `model.safetensors`.
        dtype: Of its numbers: F32, or F16 of a snapshot.

    Raises:
        CheckpointError: If the file is missing, damaged, differs from the hash
            that it carries, or holds anything but finite numbers in exactly the
            implied tensors.
    """
    path = path or folder / WEIGHTS
    with _open_weights(path, model, dtype) as (file, header):
        data = file.read()
    loaded = bytes_to_tensors(data, path.name, context=read_bounded(folder, VOCAB))
    if not all(np.isfinite(array).all() for array in loaded.values()):
        raise CheckpointError(f"{path.name} holds numbers that are not finite.")
    weights = {
        name: loaded[name].astype(np.float32, copy=False)
        for name in model.tensor_shapes()
    }
    digest = header.metadata.get(HASH) or hashlib.sha256(data).hexdigest()
    return weights, digest[:16]


def hash_weights(folder: Path, model: ModelConfig) -> str:
    """The digits that `load_weights` gives, without the weights in memory.

    Raises:
        CheckpointError: If the file is missing or its header damaged.
    """
    with _open_weights(folder / WEIGHTS, model) as (file, header):
        digest = header.metadata.get(HASH)
        if digest is None:
            whole = hashlib.sha256()
            while part := file.read(MEGABYTE):
                whole.update(part)
            digest = whole.hexdigest()
    return digest[:16]


def _license_in_card(folder: Path) -> str | None:
    try:
        card = read_bounded(folder, CARD).removeprefix(BYTE_ORDER_MARK)
    except CheckpointError:
        return None
    found = _LICENSE_IN_CARD.match(card[:200].decode("utf-8", "replace"))
    return found[1] if found else None


def read_record(path: Path) -> Record:
    """`config.json` of a folder.

    Raises:
        CheckpointError: If it is missing, damaged or of another version.
    """
    data = read_bounded(path, CONFIG)
    return parse_record(data, old_license=lambda: _license_in_card(path))


def read_vocabulary(path: Path, record: Record) -> Vocabulary:
    """`vocab.json` of a folder.

    Raises:
        CheckpointError: If it is missing, damaged or does not fit the record.
    """
    return parse_vocabulary(read_bounded(path, VOCAB), record.model.vocab_size)


def notices_of(folder: Path) -> tuple[str, ...]:
    """What a person should know about a model's files, a sentence each.

    Raises:
        CheckpointError: If one of them cannot be read.
    """
    return tuple(
        f"{name} begins with a byte-order mark: it is read without it."
        for name in (CONFIG, VOCAB)
        if read_bounded(folder, name).startswith(BYTE_ORDER_MARK)
    )


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
    return Model(record, vocabulary, weights, digest, notices_of(folder))
