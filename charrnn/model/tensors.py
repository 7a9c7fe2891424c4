"""Safetensors files that carry a SHA-256 of themselves in their own header.

A file begins with the length of its header (8 bytes, little-endian), then comes the
header: JSON with dtype, shape and place of each tensor, and text of our own under
`__metadata__`; then the tensors' bytes. Under `sha256` in that text stands the hash
of three things in turn: the header without this entry, as JSON with sorted keys and
no spaces; the tensors' bytes; and the bytes of the `vocab.json` that belongs to them.
So the hash arrives with the file, in one rename, and a changed bit is seen.

Files of format version 1 have no hash. They are read as they are.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from charrnn.errors import CheckpointError
from charrnn.model.parsing import REMEDY, parse_json, refuse_foreign_file

Tensors = dict[str, npt.NDArray[Any]]
Source = Callable[[], npt.NDArray[Any]]
MAX_HEADER: Final = 100_000  # bytes of a header: a model's has some 1,500
HASH: Final = "sha256"
_METADATA: Final = "__metadata__"
_DTYPES: Final = {  # NumPy's names
    **{"float16": "F16", "float32": "F32", "float64": "F64", "bool": "BOOL"},
    **{"int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64"},
    **{"uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64"},
}
_UNHASHED: Final = frozenset({"format", "progress"})  # what version 1 wrote there


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file."""

    tensors: dict[str, Any]  # name to dtype, shape and data_offsets, unchecked
    metadata: dict[str, str]
    end: int  # bytes before the tensors' own


def read_header(start: bytes, name: str) -> Header:
    """Read a safetensors header; nothing is allocated for the tensors.

    Args:
        start: The file's first `MAX_HEADER` + 8 bytes, or all of a smaller one.
        name: The file's name.

    Raises:
        CheckpointError: If there is no readable header.
    """
    (length,) = struct.unpack("<Q", start[:8].ljust(8, b"\xff"))
    if length > MAX_HEADER or len(start) < 8 + length:
        refuse_foreign_file(start, name)
        raise CheckpointError(
            f"{name} has no readable header: it is damaged or no safetensors file; "
            f"{REMEDY}."
        )
    found = parse_json(start[8 : 8 + length], f"{name} (its header)")
    metadata = found.pop(_METADATA, {}) if isinstance(found, dict) else None
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise CheckpointError(f"{name} (its header) is damaged; {REMEDY}.")
    return Header(found, metadata, 8 + length)


def _begin_hash(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> Any:
    """The hash of a header, to be gone on with."""
    others = {key: value for key, value in metadata.items() if key != HASH}
    described = {**tensors, _METADATA: others}
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode())


def _describe(tensors: Mapping[str, Source]) -> dict[str, Any]:
    """The header's entries, large types first: each array then lies aligned."""
    facts = {}
    for name, source in tensors.items():
        array = source()
        facts[name] = (array.dtype, array.shape, array.nbytes)
    entries, end = {}, 0
    for name in sorted(facts, key=lambda name: (-facts[name][0].itemsize, name)):
        dtype, shape, size = facts[name]
        entries[name] = {
            "dtype": _DTYPES[dtype.name],
            "shape": list(shape),
            "data_offsets": [end, end + size],
        }
        end += size
    return entries


def _body(source: Source) -> memoryview:
    """An array's bytes, in C order whatever its own is."""
    return np.ascontiguousarray(source()).reshape(-1).view(np.uint8).data


def tensors_to_parts(
    tensors: Mapping[str, Source],
    metadata: Mapping[str, str],
    *,
    context: bytes = b"",
) -> Iterator[memoryview]:
    """A safetensors file with its hash, part after part.

    However many the arrays are, only one at a time is asked for and kept. Not by
    safetensors' own function: version 0.8.0 makes the whole file in memory, twice,
    stores the memory order of a transposed array under its logical shape, and
    writes several entries of metadata in any order.

    Args:
        tensors: Name to a function that gives the array, the same each time.
        metadata: Text that is kept with them.
        context: What else the hash covers: the bytes of `vocab.json`.
    """
    entries = _describe(tensors)
    digest = _begin_hash(entries, metadata)
    for name in entries:
        digest.update(_body(tensors[name]))
    digest.update(context)
    content = {_METADATA: {**metadata, HASH: digest.hexdigest()}, **entries}
    header = json.dumps(content, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors begin at a multiple of 8
    yield memoryview(struct.pack("<Q", len(header)) + header)
    for name in entries:
        yield _body(tensors[name])


def _check_hash(
    data: bytes, header: Header, name: str, *, context: bytes = b""
) -> None:
    """Compare a file with the hash in its header, where it has one.

    Args:
        data: The whole file.
        header: As `read_header` found it.
        name: The file's name.
        context: As it was written with.

    Raises:
        CheckpointError: If they differ, or if the metadata is none that charrnn
            writes, as when a bit of the word `sha256` has changed.
    """
    expected = header.metadata.get(HASH)
    if expected is None and header.metadata.keys() <= _UNHASHED:
        return
    try:
        digest = _begin_hash(header.tensors, header.metadata)
        digest.update(memoryview(data)[header.end :])
        digest.update(context)
        found = digest.hexdigest()
    except RecursionError:  # a header of brackets
        found = ""
    if found != expected:
        beside = " or vocab.json beside it" if context else ""
        raise CheckpointError(
            f"{name} does not match the SHA-256 in its header: the file{beside} was "
            f"changed or damaged after it was written; {REMEDY}."
        )


def bytes_to_tensors(data: bytes, name: str, *, context: bytes = b"") -> Tensors:
    """The arrays of a safetensors file, compared with its hash.

    Args:
        data: The whole file.
        name: The file's name.
        context: As it was written with.

    Raises:
        CheckpointError: If the file is damaged.
    """
    _check_hash(data, read_header(data[: MAX_HEADER + 8], name), name, context=context)
    try:
        return safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{name} is damaged ({error}); {REMEDY}.") from error
