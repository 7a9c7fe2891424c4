"""The contents of `config.json`: what a model is and where it comes from.

`docs/formats.md` describes the file. Version 1 is read as version 2 and written as
version 2 when it is next saved.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from charrnn.config import MAX_VOCAB_SIZE, ModelConfig, TrainingConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.files import TEXT_LIMIT, is_safe, unescaped
from charrnn.model.parsing import REMEDY, parse_json, refuse_foreign_config
from charrnn.model.reliability import Bins
from charrnn.text.corpus import MAX_PARTS, SPLIT
from charrnn.text.documents import separator_of
from charrnn.text.named import named_key, shown_name
from charrnn.text.parts import Parts

FORMAT_VERSION: Final = 2
CONFIG, VOCAB, WEIGHTS, CARD = (
    "config.json",
    "vocab.json",
    "model.safetensors",
    "README.md",
)
PUBLIC_FILES: Final = (CONFIG, VOCAB, WEIGHTS, CARD)  # all that ever leaves
LICENSE_PATTERN: Final = "[a-z0-9][a-z0-9.-]{0,59}"  # one of the Hub's identifiers

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Loss = Annotated[float, Field(ge=0, le=1e6)]  # nats per character
_Cost = Annotated[float, Field(ge=-1e6, le=1e6)]


@dataclass(frozen=True, kw_only=True)
class CorpusRecord:
    """What is told of the text: never the text itself.

    Args:
        name: What it is called.
        characters: Its length.
        distinct: Different characters.
        sha256: Of the text in UTF-8.
        split: Share at the beginning that trained.
        texts: How many texts it was joined of.
        parts: What they are called, in order; of many, the first.
        separator: What stands between two of them, as `charrnn.files.escaped` has it.
        documents: What its documents are, one of `charrnn.text.documents.KINDS`;
            empty: it is one document.
        source: Where on the Hub it lies, with its commit; empty: nowhere.
    """

    name: str
    characters: _Count
    distinct: Annotated[int, Field(ge=0, le=2**21)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    split: Annotated[float, Field(gt=0, lt=1)] = SPLIT
    texts: Annotated[int, Field(ge=1, le=2**53)] = 1
    parts: Annotated[tuple[str, ...], Field(max_length=MAX_PARTS)] = ()
    separator: str = ""
    documents: Annotated[str, Field(pattern="^(|lines|blank-lines|files)$")] = ""
    source: str = ""

    @property
    def document_separator(self) -> str:
        """What separates its documents; empty where it is one document."""
        return separator_of(self.documents, unescaped(self.separator))

    @property
    def key(self) -> str | None:
        """Which of the named texts it is, if any: the hash decides, not the name."""
        return named_key(self.name, self.sha256)

    @property
    def shown_name(self) -> str:
        """The name, unless it belongs to a named text that this is not."""
        return shown_name(self.name, self.sha256)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How good the kept weights are, and what the whole training took.

    Args:
        val_loss: Nats per character on the validation part, one stateful pass.
        cold256_val_loss: The same in windows of 256 from an empty state; cross-fitted
            where there is a ``logit_scale``, see `charrnn.model.calibration`.
        val_characters: Where the pass covered only the beginning of the validation
            part, how many characters it predicted; None: all of it.
        logit_scale: What the logits were multiplied by after the training: `head.*`
            of the published weights holds it. None: they are as they were.
        kept_step: The step whose weights are kept.
        total_steps: Steps of the whole training; None where version 1 kept none.
        seconds: Of the whole training.
        float16_cost: Nats per character that weights in float16 lose.
        int8_cost: Likewise in int8.
        parts: What ``val_loss`` is made of, by name; None where it was not split.
        reliability: How sure that pass was and how often it was right, by bins; None
            where it was not counted.
    """

    val_loss: _Loss
    cold256_val_loss: _Loss | None = None
    val_characters: _Count | None = None
    logit_scale: Annotated[float, Field(gt=0, le=1e6)] | None = None
    kept_step: _Count
    total_steps: _Count | None
    seconds: Annotated[float, Field(ge=0, le=1e12)]
    float16_cost: _Cost | None = None
    int8_cost: _Cost | None = None
    parts: Parts | None = None
    reliability: Bins | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The computer that trained, as far as a run's numbers depend on it.

    Args:
        architecture: Of its processor: x86_64, arm64.
        cores: Threads that it computed with.
        devices: How many shared each batch, of all workers.
        workers: How many processes shared it.
    """

    architecture: str
    cores: Annotated[int, Field(ge=1, le=9999)]
    devices: Annotated[int, Field(ge=1, le=99999)] = 1
    workers: Annotated[int, Field(ge=1, le=9999)] = 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a pulled model comes from: repository and resolved commit."""

    repo: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The model whose weights a training began with.

    Args:
        title: What people saw.
        weights: 16 hexadecimal digits that tell its weights from others.
        new_characters: How many characters it lacked and were added.
        origin: Where it was pulled from, if it was.
    """

    title: str
    weights: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    new_characters: Annotated[int, Field(ge=0, le=MAX_VOCAB_SIZE)] = 0
    origin: Origin | None = None


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """Which of several runs that are compared this is.

    Args:
        id: What all of them share.
        key: Hash of text, preset and settings, hexadecimal: tells it from the others.
        settings: What differs between them, and what it is here.
    """

    id: str
    key: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    settings: Annotated[Mapping[str, int | float | str], Field(max_length=50)]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The contents of `config.json`.

    Args:
        title: What people see.
        model: The network.
        training: The settings; a run that has begun holds the `compute_dtype` that
            was chosen for it.
        corpus: The text.
        figures: None until there was a validation.
        scan_impl: How the trainer runs the recurrent layers; None until it begins.
        machine: None until a trainer has begun.
        license: Of the weights, an identifier of the Hub's; None where none was
            chosen.
        versions: Of the programs that trained, by name.
        origin: None for what was trained here.
        sweep: None for a run that was begun by itself.
        parent: None for a network that began from nothing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )

    title: str
    model: ModelConfig
    training: TrainingConfig
    corpus: CorpusRecord
    figures: Figures | None = None
    scan_impl: str | None = None
    machine: Machine | None = None
    license: Annotated[str, Field(pattern=f"^{LICENSE_PATTERN}$")] | None = None
    versions: Annotated[Mapping[str, str], Field(max_length=50)] = field(
        default_factory=dict
    )
    origin: Origin | None = None
    sweep: SweepRecord | None = None
    parent: Parent | None = None

    def to_json(self) -> str:
        """The file's text: stable order, two spaces, a newline at the end."""
        content = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_ADAPTER: Final = TypeAdapter(Record)
# Keys that every file has; a key that the format gained later has a default.
_LATER: Final = ("scheduled_sampling",)  # settings of a training
_REQUIRED: Final = {
    "": ("title", "model", "training", "corpus", "figures", "versions", "origin"),
    "model": tuple(item.name for item in dataclasses.fields(ModelConfig)),
    "training": tuple(
        item.name
        for item in dataclasses.fields(TrainingConfig)
        if item.name not in _LATER
    ),
    "corpus": ("name", "characters", "distinct", "sha256", "split"),
}
_EXPECTED: Final = {  # pydantic's name of an error: what a person is told
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "tuple_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "dataclass_type": "an object",
    "greater_than_equal": "a number of at least {ge:g}",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "less_than": "a number below {lt:g}",
    "too_long": "at most {max_length} entries",
    "string_pattern_mismatch": "a text of the form {pattern}",
}


def _shown(value: Any) -> str:
    """A value from a file, as a sentence can hold it."""
    return ascii(value)[:60]


def _place(keys: tuple[Any, ...]) -> str:
    return ".".join(ascii(key)[1:-1][:40] for key in map(str, keys)) or "its content"


def _refusal(sentence: str) -> CheckpointError:
    return CheckpointError(
        f"{CONFIG}: {sentence} It was damaged, changed by hand or written by another "
        f"version; {REMEDY}."
    )


def _translate(error: ValidationError) -> CheckpointError:
    """Say of the first wrong value what was found and what was expected."""
    first = error.errors(include_url=False)[0]
    place, kind = _place(first["loc"]), first["type"]
    if kind == "missing":
        return _refusal(f"{place} is missing.")
    if kind == "unexpected_keyword_argument":
        return _refusal(f"{place} is an unknown key.")
    limits = first.get("ctx", {})
    expected = _EXPECTED.get(kind, "another value").format(**limits)
    found = _shown(first["input"])
    return _refusal(f"{place} is {found}: expected {expected}.")


def _is_line(text: str) -> bool:
    """Neither long nor with a character that breaks or turns a line."""
    return len(text) <= TEXT_LIMIT and is_safe(text)


def _check_texts(value: Any, place: tuple[Any, ...] = ()) -> None:
    """Refuse a text that is not one line of a bounded length, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_texts(key, place)
            _check_texts(inner, (*place, key))
    elif isinstance(value, str) and not _is_line(value):
        raise _refusal(
            f"{_place(place)} has a text of {len(value):,} characters, {_shown(value)}:"
            f" expected one line of at most {TEXT_LIMIT}."
        )


def _check_keys(content: Mapping[str, Any]) -> None:
    for place, names in _REQUIRED.items():
        inner = content.get(place) if place else content
        for name in names:
            if isinstance(inner, dict) and name not in inner:
                raise _refusal(f"{f'{place}.{name}'.lstrip('.')} is missing.")


def _upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Contents of version 1 as version 2 has them; what is damaged stays so."""
    versions, figures = content.get("versions"), content.get("figures")
    upgraded = dict(content)
    if isinstance(versions, dict):
        others = ("scan", "cores", "machine")
        upgraded["versions"] = {k: v for k, v in versions.items() if k not in others}
        upgraded["scan_impl"] = versions.get("scan")
        cores, architecture = str(versions.get("cores")), versions.get("machine")
        if architecture and re.fullmatch("[1-9][0-9]{0,3}", cores):
            upgraded["machine"] = {"architecture": architecture, "cores": int(cores)}
    if isinstance(figures, dict) and "steps" in figures:
        kept = {key: value for key, value in figures.items() if key != "steps"}
        upgraded["figures"] = {
            **kept,
            "kept_step": figures["steps"],
            "total_steps": None,
        }
    return upgraded


def _version_of(content: Any) -> int:
    if isinstance(content, dict):
        refuse_foreign_config(tuple(content), CONFIG)
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int:  # neither True nor 1.0
        raise CheckpointError(
            "config.json has no format_version: it is damaged or no configuration of "
            f"charrnn's; {REMEDY}."
        )
    if not 1 <= version <= FORMAT_VERSION:
        writer = content.get("versions")
        author = writer.get("charrnn") if isinstance(writer, dict) else None
        raise CheckpointError(
            f"config.json has format_version {str(version)[:20]}, written by charrnn "
            f"{_shown(str(author)[:40])[1:-1]}: this program reads 1 to "
            f"{FORMAT_VERSION}. Update charrnn."
        )
    return version


def parse_record(
    data: bytes, *, old_license: Callable[[], str | None] = lambda: None
) -> Record:
    """The contents of a `config.json`, every value checked.

    Args:
        data: The whole file.
        old_license: Called for a model of version 1, which named its licence in
            its card alone.

    Raises:
        CheckpointError: If it is damaged, of another version, or has values
            that this program would not have written.
    """
    content = parse_json(data, CONFIG)
    if _version_of(content) == 1:
        content = {**_upgrade(content), "license": old_license()}
    del content["format_version"]
    _check_keys(content)
    _check_texts(content)
    try:
        # an object is one of our dataclasses only where it comes from JSON
        return _ADAPTER.validate_json(json.dumps(content))
    except ValidationError as error:
        raise _translate(error) from error
    except ConfigError as error:
        raise _refusal(str(error)) from error
