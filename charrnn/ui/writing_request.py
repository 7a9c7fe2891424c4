"""What the Generate tab's form asks for, checked before anything is written."""

import dataclasses
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from charrnn.config import (
    DEFAULT_LENGTH,
    MAX_LENGTH,
    MAX_ROWS,
    MAX_VOCAB_SIZE,
    SamplingConfig,
    setting_bounds,
)
from charrnn.errors import ConfigError
from charrnn.files import quoted
from charrnn.hosting import Visitor
from charrnn.model import snapshots
from charrnn.model.generation import samples_of
from charrnn.model.record import Record
from charrnn.model.request import Updates
from charrnn.model.snapshots import Source
from charrnn.runs.writer import Writer
from charrnn.ui import links
from charrnn.ui.links import Link
from charrnn.ui.settings import format_bound
from charrnn.ui.shared import model_folder
from charrnn.ui.texts import translate
from charrnn.ui.wiring import Form

DRAWN_SEEDS: Final = 1_000_000  # short enough to read out
NUMBERS: Final[dict[str, tuple[float, float]]] = {  # lowest and highest
    "length": (1, MAX_LENGTH),
    "seed": (0, links.MAX_PAGE_SEED),
    "top_k": (0, MAX_VOCAB_SIZE),
    "top_p": setting_bounds("top_p"),
}
TEMPERATURES: Final = setting_bounds("temperature")
engine: Final = Writer()


@dataclass(frozen=True)
class WritingRequest(Form):
    """What the form asks for; numbers may be missing or wrong."""

    model: str | None
    prompt: str
    length: float | None
    seed: float | None
    new_seed: bool
    top_k: float | None
    top_p: float | None
    stop: str
    column_count: int | None  # of those that are compared; None: all
    temperatures: tuple[float | None, ...]
    single_temperature: float | None = None  # of a single text, or of all
    by: str | None = Link.by  # what is compared
    models: tuple[str | None, ...] = ()
    steps: tuple[str | None, ...] = ()
    top_ps: tuple[float | None, ...] = ()

    @property
    def compared(self) -> str:
        """What is compared, one of `links.COMPARED`."""
        return self.by if self.by in links.COMPARED else Link.by

    def shown(self) -> tuple[Any, ...]:
        """What is compared, in each of the columns that are there."""
        values: tuple[Any, ...] = getattr(self, f"{self.compared}s")
        return values[: self.column_count]

    def single(self) -> "WritingRequest":
        """The same for one text."""
        return dataclasses.replace(
            self,
            by=Link.by,
            temperatures=(self.single_temperature,),
            column_count=None,
        )


@dataclass(frozen=True)
class PreparedText:
    """One of the texts of a request."""

    column: int  # where it is shown
    source: Source
    record: Record
    link: Link  # of this text alone

    def row(self) -> SamplingConfig:
        """How it is drawn."""
        return SamplingConfig(
            temperature=self.link.temperatures[0],
            top_k=self.link.top_k,
            top_p=self.link.top_p,
            stop=self.link.stop,
            seed=self.link.seed or 0,
        )


@dataclass(frozen=True)
class PreparedWriting:
    """A request that has been checked: all that is needed to write it."""

    link: Link  # of all texts
    texts: tuple[PreparedText, ...]
    unknown: str  # characters of the prompt that a model does not know

    @property
    def columns(self) -> tuple[int, ...]:
        """Where each text is shown."""
        return tuple(text.column for text in self.texts)

    def paths(self) -> list[Path]:
        """The folders of the models, each once."""
        return list(dict.fromkeys(text.source.path for text in self.texts))

    def rows(self) -> list[SamplingConfig]:
        """The settings of each text."""
        return [text.row() for text in self.texts]

    def updates(self, visitor: Visitor) -> Updates:
        """Have the texts written, see `Writer.write_each`."""
        return engine.write_each(
            [text.source for text in self.texts],
            self.link.prompt,
            length=self.link.length,
            rows=self.rows(),
            visitor=visitor,
        )


def field_problem(
    lang: str, value: float | None, bounds: tuple[float, float], *, optional: bool
) -> str:
    """What is wrong with a number of the form; empty if nothing is."""
    if value is None:
        return "" if optional else translate(lang, "field.missing")
    low, high = bounds
    if low <= value <= high:  # false for NaN as well
        return ""
    return translate(
        lang, "field.range", low=format_bound(low), high=format_bound(high)
    )


def _numbers(request: WritingRequest) -> Iterator[tuple[str, float | None, bool]]:
    """The numbers of a form: what each sets, its value, whether it may be missing."""
    by = request.compared
    for name in NUMBERS:
        if name != by and not (name == "seed" and request.new_seed):
            yield name, getattr(request, name), False
    if by != "temperature":
        yield "temperature", request.single_temperature, False
    if by in ("temperature", "top_p"):
        for value in request.shown():
            yield by, value, True


def first_problem(lang: str, request: WritingRequest) -> tuple[str, str]:
    """Name and sentence of the first field that is wrong; empty if none is."""
    for name, value, optional in _numbers(request):
        bounds = NUMBERS.get(name, TEMPERATURES)
        problem = field_problem(lang, value, bounds, optional=optional)
        if problem:
            field = f"{name}s" if optional else name
            return field, f"{translate(lang, f'generate.{name}')}: {problem}"
    return "", ""


def draw_seed() -> int:
    """A new seed, short enough to read out."""
    return secrets.randbelow(DRAWN_SEEDS)


def prepare(lang: str, request: WritingRequest, *, at_least: int) -> PreparedWriting:
    """Check a request and draw its seed where a new one is wanted.

    Args:
        lang: Language of the sentences.
        request: The form.
        at_least: Texts that are needed.

    Raises:
        CharrnnError: If a value is wrong or there is no such model.
    """
    by = request.compared
    if by != "model" and not request.model:
        raise ConfigError(translate(lang, "generate.no_model"), field="model")
    name, problem = first_problem(lang, request)
    if problem:
        raise ConfigError(problem, field=name)
    chosen = {i: v for i, v in enumerate(request.shown()) if v is not None and v != ""}
    if len(chosen) < at_least:
        raise ConfigError(translate(lang, f"two.{by}"), field=f"{by}s")
    new_seed = request.new_seed or request.seed is None
    single = (float(request.single_temperature or 0),)
    readers: dict[str, Callable[[Any], Any]] = {"model": str, "step": _step}
    read = readers.get(by, float)
    values: dict[str, Any] = {"temperatures": single}
    values[f"{by}s"] = tuple(map(read, chosen.values()))
    link = Link(
        model=values["models"][0] if by == "model" else request.model or "",
        prompt=request.prompt,
        seed=draw_seed() if new_seed else int(request.seed or 0),
        length=int(request.length or 1),
        top_k=int(request.top_k or 0),
        top_p=1.0 if by == "top_p" else float(request.top_p or 1),
        stop=links.read_stop(request.stop),
        by=by,
        **values,
    )
    return _prepared(link, tuple(chosen))


def _step(text: str) -> int:
    """A step that was chosen.

    Raises:
        ConfigError: If it is no whole number.
    """
    if not re.fullmatch("[1-9][0-9]{0,11}", text):
        raise ConfigError("step is no whole number.", field="steps")
    return int(text)


def prepare_link(link: Link, column: int) -> PreparedWriting:
    """A link's first text, to be written in a column.

    Raises:
        CharrnnError: If there is no such model.
    """
    own = dataclasses.replace(link.each()[0], seed=link.seed or 0)
    return _prepared(own, (column,))


def _prepared(link: Link, columns: Sequence[int]) -> PreparedWriting:
    """The texts of a link, in these columns.

    Raises:
        CharrnnError: If a model or a step of it is not here.
    """
    texts, hashes, unknown = [], dict[str, None](), ""
    for column, own in zip(columns, link.each(), strict=True):
        path = model_folder(own.model)
        known = engine.models.get(path)
        source = snapshots.source_of(path, own.step)
        alone = dataclasses.replace(own, weights_hash=known.weights_hash)
        texts.append(PreparedText(column, source, known.record, alone))
        hashes[known.weights_hash] = None
        more = known.vocabulary.unknown(link.prompt)
        unknown += "".join(one for one in more if one not in unknown)
    whole = dataclasses.replace(link, weights_hash=",".join(hashes))
    return PreparedWriting(whole, tuple(texts), unknown)


class Options(NamedTuple):
    """What a program asks for beside model and prompt."""

    length: int
    step: int | None  # of the model's training
    figures: bool
    rows: list[SamplingConfig]


def options_of(options: Mapping[str, Any]) -> Options:
    """The options of a text that a program asks for.

    Args:
        options: Names and values, as they came.

    Raises:
        ConfigError: If an option is unknown or its value is wrong.
    """
    given = dict(options)
    length = given.pop("length", DEFAULT_LENGTH)
    samples = given.pop("samples", 1)
    step = given.pop("step", None)
    figures = given.pop("figures", False)
    known = [field.name for field in dataclasses.fields(SamplingConfig)]
    if unknown := [name for name in given if name not in known]:
        raise ConfigError(
            f"There is no option {quoted(unknown[0], 40)}: expected "
            f"{', '.join(['length', 'samples', 'step', 'figures', *known])}.",
            field="options",
        )
    if not isinstance(figures, bool):
        raise ConfigError("figures is neither true nor false.", field="figures")
    if isinstance(samples, int) and samples > MAX_ROWS:  # before a list has so many
        raise ConfigError(
            f"{samples:,} texts are asked for: expected 1 to {MAX_ROWS}.",
            field="samples",
        )
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise ConfigError("step is no whole number.", field="step")
    if given.get("seed") is None:
        given["seed"] = draw_seed()
    rows = samples_of([SamplingConfig(**given)], samples)
    return Options(length, step, figures, rows)
