"""What the Generate tab's form asks for, checked before anything is written."""

import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from charrnn.config import (
    DEFAULT_LENGTH,
    MAX_LENGTH,
    MAX_VOCAB_SIZE,
    SamplingConfig,
    setting_bounds,
)
from charrnn.errors import ConfigError
from charrnn.files import quoted
from charrnn.model.generation import samples_of
from charrnn.model.record import Record
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
    column_count: int | None  # of the temperatures that are compared; None: all
    temperatures: tuple[float | None, ...]

    def shown(self) -> tuple[float | None, ...]:
        """The temperatures of the columns that are there."""
        return self.temperatures[: self.column_count]


@dataclass(frozen=True)
class PreparedWriting:
    """A request that has been checked: all that is needed to write it."""

    path: Path
    record: Record
    link: Link
    columns: tuple[int, ...]  # where each of the temperatures is shown
    unknown: str  # characters of the prompt that the model does not know

    def rows(self) -> list[SamplingConfig]:
        """The settings of each text."""
        return [
            SamplingConfig(
                temperature=temperature,
                top_k=self.link.top_k,
                top_p=self.link.top_p,
                stop=self.link.stop,
                seed=self.link.seed or 0,
            )
            for temperature in self.link.temperatures
        ]


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


def first_problem(lang: str, request: WritingRequest) -> tuple[str, str]:
    """Name and sentence of the first field that is wrong; empty if none is."""
    for name, bounds in NUMBERS.items():
        if name == "seed" and request.new_seed:
            continue
        value = getattr(request, name)
        problem = field_problem(lang, value, bounds, optional=False)
        if problem:
            return name, f"{translate(lang, f'generate.{name}')}: {problem}"
    for value in request.shown():
        problem = field_problem(lang, value, TEMPERATURES, optional=True)
        if problem:
            label = translate(lang, "generate.temperature")
            return "temperatures", f"{label}: {problem}"
    return "", ""


def draw_seed() -> int:
    """A new seed, short enough to read out."""
    return secrets.randbelow(DRAWN_SEEDS)


def prepare(lang: str, request: WritingRequest, *, at_least: int) -> PreparedWriting:
    """Check a request and draw its seed where a new one is wanted.

    Args:
        lang: Language of the sentences.
        request: The form.
        at_least: Temperatures that are needed.

    Raises:
        CharrnnError: If a value is wrong or there is no such model.
    """
    if not request.model:
        raise ConfigError(translate(lang, "generate.no_model"), field="model")
    name, problem = first_problem(lang, request)
    if problem:
        raise ConfigError(problem, field=name)
    temperatures = request.shown()
    columns = tuple(i for i, t in enumerate(temperatures) if t is not None)
    if len(columns) < at_least:
        raise ConfigError(translate(lang, "generate.two"), field="temperatures")
    path = model_folder(request.model)
    loaded = engine.models.get(path)
    new_seed = request.new_seed or request.seed is None
    link = Link(
        model=request.model,
        weights_hash=loaded.weights_hash,
        prompt=request.prompt,
        seed=draw_seed() if new_seed else int(request.seed or 0),
        temperatures=tuple(float(t) for t in temperatures if t is not None),
        length=int(request.length or 1),
        top_k=int(request.top_k or 0),
        top_p=float(request.top_p or 1),
        stop=links.read_stop(request.stop),
    )
    unknown = loaded.vocabulary.unknown(request.prompt)
    return PreparedWriting(path, loaded.record, link, columns, unknown)


def prepare_link(link: Link, column: int) -> PreparedWriting:
    """A link's first text, to be written in a column.

    Raises:
        CharrnnError: If there is no such model.
    """
    path = model_folder(link.model)
    loaded = engine.models.get(path)
    own = dataclasses.replace(
        link,
        weights_hash=loaded.weights_hash,
        seed=link.seed or 0,
        temperatures=link.temperatures[:1],
    )
    unknown = loaded.vocabulary.unknown(link.prompt)
    return PreparedWriting(path, loaded.record, own, (column,), unknown)


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
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise ConfigError("step is no whole number.", field="step")
    if given.get("seed") is None:
        given["seed"] = draw_seed()
    rows = samples_of([SamplingConfig(**given)], samples)
    return Options(length, step, figures, rows)
