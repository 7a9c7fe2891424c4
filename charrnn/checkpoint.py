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
import dataclasses
import hashlib
import json
import os
import re
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.vocabulary import Vocabulary

Weights = dict[str, npt.NDArray[np.float32]]

FORMAT_VERSION: Final = 1
CONFIG, VOCAB, WEIGHTS, CARD = (
    "config.json",
    "vocab.json",
    "model.safetensors",
    "README.md",
)
PUBLIC_FILES: Final = (CONFIG, VOCAB, WEIGHTS, CARD)  # all that ever leaves
MAX_BYTES: Final = {CONFIG: 65_536, VOCAB: 1_000_000, CARD: 1_000_000}
MAX_HEADER: Final = 100_000  # bytes of a safetensors header: ours has some 1,500
TEXT_LIMIT: Final = 200  # characters of a title or a corpus' name


@dataclass(frozen=True, kw_only=True)
class CorpusRecord:
    """What is told of the text: never the text itself."""

    name: str
    characters: int
    distinct: int
    sha256: str
    split: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How good the weights are: nats per character on the validation part."""

    val_loss: float
    cold256_val_loss: float | None
    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a pulled model comes from: repository and resolved commit."""

    repo: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """The contents of `config.json`."""

    title: str
    model: ModelConfig
    training: TrainingConfig
    corpus: CorpusRecord
    figures: Figures | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None

    def to_json(self) -> str:
        """The file's text: stable order, two spaces, a newline at the end."""
        content = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        content["versions"] = dict(self.versions)
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Model:
    """A loaded model: what it is, its characters, its weights."""

    record: Record
    vocabulary: Vocabulary
    weights: Weights
    weights_hash: str  # first 16 hex digits of the SHA-256 of the weights' file


# --- writing ---------------------------------------------------------------


def write_file(path: Path, data: bytes) -> None:
    """Put a file in place whole or not at all; the previous one stays if not.

    Raises:
        CheckpointError: If the disk is full or the folder not writable.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{path.name} cannot be written ({error.strerror}): free some space or "
            "choose a writable folder. The previous file is unchanged."
        ) from error
    finally:  # gone already unless something went wrong, Ctrl-C included
        with contextlib.suppress(OSError):
            aside.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):  # the file is in place; some systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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


# --- reading ---------------------------------------------------------------


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


def _parse_json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not JSON in UTF-8: it is damaged.") from error


def _exact_keys(found: Any, expected: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise CheckpointError(f"{where} is not an object: it is damaged.")
    missing = [key for key in expected if key not in found]
    unknown = [str(key)[:40] for key in found if key not in expected]
    if missing or unknown:
        raise CheckpointError(
            f"{where} lacks {missing or 'nothing'} and has unknown {unknown[:5]}: "
            "it is damaged or was written by another version."
        )
    return found


def _field_names(owner: type) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(owner))


def _text(value: Any, where: str, pattern: str = ".*") -> str:
    good = isinstance(value, str) and len(value) <= TEXT_LIMIT
    if not good or not value.isprintable() or not re.fullmatch(pattern, value):
        raise CheckpointError(f"{where} is not a text of the expected form.")
    return str(value)


def _number(
    value: Any, where: str, low: float, high: float, *, whole: bool = False
) -> float:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise CheckpointError(f"{where} is not a number.")
    if not low <= value <= high:  # NaN neither
        raise CheckpointError(f"{where} is out of range.")
    return value


def _parse_config(owner: type, values: Any, where: str) -> Any:
    values = _exact_keys(values, _field_names(owner), where)
    for name, value in values.items():
        if isinstance(value, str):  # a preset's name is free: newer ones are welcome
            _text(value, f"{name} in config.json")
    try:
        return owner(**values)
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _parse_corpus(values: Any) -> CorpusRecord:
    corpus = _exact_keys(values, _field_names(CorpusRecord), "corpus in config.json")
    return CorpusRecord(
        name=_text(corpus["name"], "corpus.name"),
        characters=int(
            _number(corpus["characters"], "corpus.characters", 0, 2**53, whole=True)
        ),
        distinct=int(
            _number(corpus["distinct"], "corpus.distinct", 0, 2**21, whole=True)
        ),
        sha256=_text(corpus["sha256"], "corpus.sha256", "[0-9a-f]{64}"),
        split=float(_number(corpus["split"], "corpus.split", 0.0, 1.0)),
    )


def _parse_figures(values: Any) -> Figures | None:
    if values is None:
        return None
    figures = _exact_keys(values, _field_names(Figures), "figures in config.json")
    cold = figures["cold256_val_loss"]
    return Figures(
        val_loss=float(_number(figures["val_loss"], "figures.val_loss", 0, 1e6)),
        cold256_val_loss=None
        if cold is None
        else float(_number(cold, "figures.cold256_val_loss", 0, 1e6)),
        steps=int(_number(figures["steps"], "figures.steps", 0, 2**53, whole=True)),
        seconds=float(_number(figures["seconds"], "figures.seconds", 0, 1e12)),
    )


def _parse_versions(values: Any) -> dict[str, str]:
    if not isinstance(values, dict) or len(values) > 50:
        raise CheckpointError("versions in config.json is not a small object.")
    return {
        _text(key, "a key of versions"): _text(value, "a value of versions")
        for key, value in values.items()
    }


def _parse_origin(values: Any) -> Origin | None:
    if values is None:
        return None
    origin = _exact_keys(values, _field_names(Origin), "origin in config.json")
    return Origin(
        repo=_text(origin["repo"], "origin.repo"),
        revision=_text(origin["revision"], "origin.revision"),
    )


def parse_record(data: bytes) -> Record:
    """The contents of a `config.json`, every value checked.

    Raises:
        CheckpointError: If it is damaged, of another version, or has values
            that this program would not have written.
    """
    content = _parse_json(data, CONFIG)
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int:  # neither True nor 1.0
        raise CheckpointError("config.json has no format_version: it is damaged.")
    if version != FORMAT_VERSION:
        writer = content.get("versions")
        author = writer.get("charrnn") if isinstance(writer, dict) else None
        raise CheckpointError(
            f"config.json has format_version {str(version)[:20]}, written by charrnn "
            f"{str(author)[:40]}: this program reads {FORMAT_VERSION}. Update charrnn."
        )
    content = _exact_keys(content, ("format_version", *_field_names(Record)), CONFIG)
    return Record(
        title=_text(content["title"], "title"),
        model=_parse_config(ModelConfig, content["model"], "model in config.json"),
        training=_parse_config(
            TrainingConfig, content["training"], "training in config.json"
        ),
        corpus=_parse_corpus(content["corpus"]),
        figures=_parse_figures(content["figures"]),
        versions=_parse_versions(content["versions"]),
        origin=_parse_origin(content["origin"]),
    )


def parse_vocabulary(data: bytes, vocab_size: int) -> Vocabulary:
    """The contents of a `vocab.json`, checked against the configuration.

    Raises:
        CheckpointError: If it is damaged or has another number of entries.
    """
    entries = _parse_json(data, VOCAB)
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
    header = _parse_json(data[8 : 8 + length], WEIGHTS)
    expected = model.tensor_shapes()
    if isinstance(header, dict):
        header.pop("__metadata__", None)
    _exact_keys(header, tuple(expected), WEIGHTS)
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


def load_weights(folder: Path, model: ModelConfig) -> tuple[Weights, str]:
    """The weights of a folder and the first 16 hex digits of their file's hash.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds anything
            but finite numbers in exactly the implied tensors.
    """
    path = folder / WEIGHTS
    try:
        if path.exists() and not path.is_file():  # a pipe would hang, say
            raise CheckpointError(f"{WEIGHTS} is not a file.")
        with path.open("rb") as file:
            start = file.read(MAX_HEADER + 8)
            check_weights_header(start, path.stat().st_size, model)
            data = start + file.read()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder.name} has no weights yet: its training has not saved any."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{WEIGHTS} cannot be read ({error.strerror})."
        ) from error
    try:
        loaded = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"model.safetensors is damaged: {error}") from error
    if not all(np.isfinite(array).all() for array in loaded.values()):
        raise CheckpointError("model.safetensors holds numbers that are not finite.")
    weights = {name: loaded[name] for name in model.tensor_shapes()}
    return weights, hashlib.sha256(data).hexdigest()[:16]


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
