"""The Train tab's button, and what a training will cost before it is pressed."""

import html
import math
from dataclasses import dataclass
from typing import NamedTuple

import gradio as gr

from charrnn.config import TrainingConfig
from charrnn.errors import CharrnnError, ConfigError, CorpusError
from charrnn.presets import command_line
from charrnn.runs import control, listing
from charrnn.runs.owner import Owner, new_owner
from charrnn.text import sources, streams
from charrnn.ui import form
from charrnn.ui.corpus_form import TextSize, missing_text, read_corpus
from charrnn.ui.shared import Browser, note
from charrnn.ui.texts import duration, language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import Form, Update, flat


@dataclass(frozen=True)
class EstimateRequest(Form):
    """What the cost of a training depends on."""

    text_size: object  # as `TextSize.of` takes it
    source: str
    preset: str
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
    flags = form.flags(lang, form.by_name(asked.settings))
    return flat(EstimateUpdate(*estimate_of(lang, asked), flags))


def estimate_of(lang: str, asked: EstimateRequest) -> Estimate:
    """The estimate of a form; empty while its settings are wrong."""
    given, size = form.by_name(asked.settings), TextSize.of(asked.text_size)
    vocab_size = size.vocab_size if size else 2
    configs = form.configs(asked.preset, given, max(2, vocab_size))
    if configs is None:
        return Estimate("", "")
    settings = form.changed(asked.preset, given)
    corpus = asked.source if asked.source in sources.NAMED else "TEXT.txt"
    line = command_line(corpus, asked.preset, settings, title=asked.title)
    command = f'<pre class="command">{html.escape(line)}</pre>'
    if size is None:
        return Estimate("", command)
    model, training = configs
    parameters = translate(lang, "estimate.parameters", count=model.num_parameters())
    seconds = listing.expected_seconds(model, training, size.characters)
    cost = note(f"{parameters} · {_time(lang, seconds)}")
    return Estimate(cost + _fit_note(training, size.characters), command)


def _time(lang: str, seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return translate(lang, "estimate.unknown")
    return translate(lang, "estimate.time", time=duration(lang, seconds))


def _fit_note(training: TrainingConfig, characters: int) -> str:
    """What a small text makes of batch and window, or why it cannot be used."""
    try:
        shape = streams.fit_shape(
            characters,
            batch_size=training.batch_size,
            seq_length=training.seq_length,
        )
    except CharrnnError as error:
        return note(str(error), "warn")
    return "".join(note(notice, "warn") for notice in shape.notices)


@dataclass(frozen=True)
class TrainingRequest(Form):
    """What the Train button sends."""

    source: str  # the name of a text, `upload` or `paste`
    file: str | None
    pasted: str
    preset: str
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
    given = form.by_name(asked.settings)
    problem = form.first_problem(lang, given)
    if problem:
        raise ConfigError(problem)
    text = read_corpus(asked.source, asked.file, asked.pasted)
    if text is None:
        raise CorpusError(missing_text(lang, asked.source))
    return control.start(
        text,
        preset=asked.preset,
        settings=form.changed(asked.preset, given),
        title=asked.title,
        owner=who,
    )
