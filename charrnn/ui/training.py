"""The Train tab's button, and what a training will cost before it is pressed."""

import html
from dataclasses import dataclass
from typing import NamedTuple

import gradio as gr

from charrnn.config import ModelConfig, TrainingConfig
from charrnn.errors import CharrnnError, ConfigError, CorpusError
from charrnn.presets import command_line, usual_speed
from charrnn.runs import control, listing
from charrnn.runs.owner import Owner, new_owner
from charrnn.text import corpus, sources, streams
from charrnn.ui import form, init_form
from charrnn.ui.corpus_form import (
    HUB,
    TextSize,
    chosen_files,
    missing_text,
    read_corpus,
)
from charrnn.ui.hub_text import Origin
from charrnn.ui.sentences import say
from charrnn.ui.shared import Browser, note
from charrnn.ui.texts import duration, language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Form, Update, flat


@dataclass(frozen=True)
class EstimateRequest(Form):
    """What the cost of a training depends on."""

    text_size: object  # as `TextSize.of` takes it
    source: str
    origin: object  # as `Origin.of` takes it
    init: str  # id of the model to begin from; empty: none
    preset: str
    unit: str  # `epochs` or `minutes`: which of them ends it
    title: str
    settings: tuple[form.Value, ...]  # in the order of `SETTINGS`


class Estimate(NamedTuple):
    """What the form as it stands comes to."""

    cost: str  # HTML: parameters and time
    command: str  # HTML: the command that does the same


class EstimateUpdate(NamedTuple):
    """What the estimate changes."""

    cost: str
    command: str
    settings: tuple[Update, ...]  # wrong ones are flagged


def estimate(request: gr.Request, *values: object) -> tuple[object, ...]:
    """Size and time of the training that the form stands for, and its command."""
    lang, asked = language(request), EstimateRequest.read(values)
    flags = form.flags(lang, form.by_name(asked.settings, asked.unit))
    return flat(EstimateUpdate(*estimate_of(lang, asked), flags))


def estimate_of(lang: str, asked: EstimateRequest) -> Estimate:
    """The estimate of a form; what is wrong with it in its place."""
    given = form.by_name(asked.settings, asked.unit)
    problem, size = form.first_problem(lang, given), TextSize.of(asked.text_size)
    if problem:
        return Estimate(note(problem, "warn"), "")
    parent = init_form.parent_sizes(asked.init)
    if parent is not None:
        vocab_size = parent.vocab_size
    else:
        vocab_size = max(2, size.vocab_size if size else 2)
    configs = form.configs(asked.preset, given, vocab_size)
    if configs is None:
        return Estimate("", "")
    settings = form.changed(asked.preset, given)
    text, more = _corpus_arguments(asked)
    settings = {**settings, **more}
    line = command_line(
        text, asked.preset, settings, title=asked.title, init=asked.init
    )
    command = f'<pre class="command">{html.escape(line)}</pre>'
    if size is None:
        return Estimate("", command)
    model, training = configs
    parameters = translate(lang, "estimate.parameters", count=model.num_parameters())
    cost = note(f"{parameters} · {_time(lang, model, training, size.characters)}")
    return Estimate(cost + _fit_note(lang, training, size.characters), command)


def _corpus_arguments(asked: EstimateRequest) -> tuple[str, dict[str, str]]:
    """The text as the command line names it, and how much of it is taken."""
    if asked.source == HUB and (origin := Origin.of(asked.origin)) is not None:
        return origin.source, {"first_mb": f"{origin.first_mb:g}"}
    return (asked.source if asked.source in sources.NAMED else "TEXT.txt"), {}


def _time(
    lang: str, model: ModelConfig, training: TrainingConfig, characters: int
) -> str:
    """The expected time: of earlier runs here, else of the preset elsewhere."""
    seconds = listing.expected_seconds(model, training, characters)
    if seconds is not None:
        return translate(lang, "estimate.time", time=duration(lang, seconds))
    speed = usual_speed(model, training)
    if speed is None or training.epochs is None:
        return translate(lang, "estimate.unknown")
    usual = training.epochs * corpus.split_at(characters) / speed
    return translate(lang, "estimate.usual", time=duration(lang, usual))


def _fit_note(lang: str, training: TrainingConfig, characters: int) -> str:
    """What a small text makes of batch and window, or why it cannot be used."""
    try:
        shape = streams.fit_shape(
            characters,
            batch_size=training.batch_size,
            seq_length=training.seq_length,
        )
    except CharrnnError as error:
        return note(say(lang, str(error)), "warn")
    return "".join(note(say(lang, notice), "warn") for notice in shape.notices)


@dataclass(frozen=True)
class TrainingRequest(Form):
    """What the Train button sends."""

    source: str  # the name of a text, `upload`, `paste` or `hub`
    file: list[str] | None
    fetched: str | None  # what was read from the Hub
    origin: object  # as `Origin.of` takes it
    pasted: str
    separator: str | None  # between several texts
    init: str  # id of the model to begin from; empty: none
    preset: str
    unit: str  # `epochs` or `minutes`: which of them ends it
    title: str
    browser: object  # as `Browser.of` takes it
    settings: tuple[form.Value, ...]  # in the order of `SETTINGS`


class StartedUpdate(NamedTuple):
    """What a started training changes."""

    followed: str  # the run's id
    browser: dict[str, object]  # what the browser shall remember


def start(request: gr.Request, *values: object) -> StartedUpdate:
    """Start a training from the form.

    Raises:
        CharrnnError: If it cannot be started.
    """
    lang, asked = language(request), TrainingRequest.read(values)
    who = new_owner(visitor_of(request), page=True)
    run_id = _start(lang, asked, who)
    browser = Browser.of(asked.browser).following(run_id).owning(run_id, who)
    return StartedUpdate(run_id, browser.store())


def _start(lang: str, asked: TrainingRequest, who: Owner | None) -> str:
    given = form.by_name(asked.settings, asked.unit)
    problem = form.first_problem(lang, given)
    if problem:
        raise ConfigError(problem)
    files = chosen_files(asked.source, asked.file, asked.fetched)
    text = read_corpus(asked.source, files, asked.pasted, asked.separator)
    if text is None:
        raise CorpusError(missing_text(lang, asked.source))
    if asked.source == HUB and (origin := Origin.of(asked.origin)) is not None:
        text = origin.told_by(text)
    return control.start(
        text,
        preset=asked.preset,
        settings=form.changed(asked.preset, given),
        title=asked.title,
        init=init_form.parent_folder(asked.init, Browser.of(asked.browser)),
        owner=who,
    )


@dataclass(frozen=True)
class ShowRequest(Form):
    """The settings of a form that could not start."""

    unit: str
    settings: tuple[form.Value, ...]  # in the order of `SETTINGS`


def show_wrong(request: gr.Request, *values: object) -> Update:
    """Open the advanced settings if one of them is why nothing starts."""
    asked = ShowRequest.read(values)
    found = form.problems(language(request), form.by_name(asked.settings, asked.unit))
    return gr.update(open=True) if found.keys() - form.DURATION else SKIP
