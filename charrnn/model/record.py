"""The contents of `config.json`: what a model is and where it comes from."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.files import TEXT_LIMIT, is_safe

FORMAT_VERSION: Final = 1
CONFIG, VOCAB, WEIGHTS, CARD = (
    "config.json",
    "vocab.json",
    "model.safetensors",
    "README.md",
)
PUBLIC_FILES: Final = (CONFIG, VOCAB, WEIGHTS, CARD)  # all that ever leaves


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


def parse_json(data: bytes, name: str) -> Any:
    """Parse a file of a model's folder, or say that it is damaged."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not JSON in UTF-8: it is damaged.") from error


def exact_keys(found: Any, expected: tuple[str, ...], where: str) -> dict[str, Any]:
    """The same object, if it has exactly the expected keys."""
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
    if not good or not is_safe(value) or not re.fullmatch(pattern, value):
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
    values = exact_keys(values, _field_names(owner), where)
    for name, value in values.items():
        if isinstance(value, str):  # a preset's name is free: newer ones are welcome
            _text(value, f"{name} in config.json")
    try:
        return owner(**values)
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _parse_corpus(values: Any) -> CorpusRecord:
    corpus = exact_keys(values, _field_names(CorpusRecord), "corpus in config.json")
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
    figures = exact_keys(values, _field_names(Figures), "figures in config.json")
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
    origin = exact_keys(values, _field_names(Origin), "origin in config.json")
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
    content = parse_json(data, CONFIG)
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
    content = exact_keys(content, ("format_version", *_field_names(Record)), CONFIG)
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
