"""The Train tab, its left side: a text, a size, and the button."""

import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError, ConfigError, CorpusError
from charrnn.hosting import policy
from charrnn.presets import PRESETS, command_line, default_preset
from charrnn.runs import control, listing
from charrnn.text import corpus, sources, streams
from charrnn.text.corpus import Corpus
from charrnn.ui import form
from charrnn.ui.shared import Browser, note, shown
from charrnn.ui.texts import duration, i18n, known, say

UPLOAD, PASTE = "upload", "paste"
OFFLINE: Final = "python-stdlib"
DEFAULT_SOURCE: Final = "shakespeare"
EXCERPT: Final = 250  # characters
SKIP: Final[Any] = gr.skip()


def read_corpus(
    source: str, file: str | None, pasted: str, progress: gr.Progress | None = None
) -> Corpus | None:
    """The text that the form stands for; None while there is none.

    Raises:
        CorpusError: If it cannot be read or downloaded, or is no text.
    """
    limit = policy().max_text_bytes
    if source == PASTE:
        return (
            corpus.from_text(pasted, name="pasted", max_bytes=limit) if pasted else None
        )
    if source == UPLOAD:
        if not file:
            return None
        path = Path(file)
        data = _read_file(path, limit)
        return corpus.decode(data, name=path.name, max_bytes=limit)
    if source not in sources.NAMED:
        raise CorpusError(f"There is no text {source[:40]!r}.")
    return sources.load(source, max_bytes=limit, progress=_told(progress))


def _read_file(path: Path, limit: int) -> bytes:
    try:
        return sources.read_file(path, max_bytes=limit)
    except OSError as error:
        raise CorpusError(
            f"{path.name} is not here any more ({error.strerror}): upload it again."
        ) from error


def _told(progress: gr.Progress | None) -> sources.Progress | None:
    if progress is None:
        return None

    def tell(done: int, total: int) -> None:
        progress(done / max(1, total), desc=f"{done / 1e6:.1f} / {total / 1e6:.1f} MB")

    return tell


class TextShown(NamedTuple):
    """What choosing a text changes."""

    facts: str  # HTML
    known: str  # JSON: characters and ids, for the estimate
    offline: Any  # the button that offers the offline text


def facts_html(lang: str, text: Corpus, distinct: int, notices: tuple[str, ...]) -> str:
    """The tutorial's facts of a text, its beginning, and what to know of it."""
    train = corpus.split_at(len(text.text))
    facts = [
        say(lang, "facts.characters", count=len(text.text)),
        say(lang, "facts.distinct", count=distinct),
        say(lang, "facts.split", train=train, val=len(text.text) - train),
    ]
    spans = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts)
    begin = html.escape(text.text[:EXCERPT])
    label = html.escape(say(lang, "facts.begin"))
    said = "".join(note(notice, "warn") for notice in (*text.notices, *notices))
    return (
        f'<div class="facts">{spans}</div><div class="excerpt written" dir="auto" '
        f'tabindex="0" role="region" aria-label="{label}">{begin}</div>{said}'
    )


def look(
    lang: str,
    source: str,
    file: str | None,
    pasted: str,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
) -> TextShown:
    """Read the chosen text and tell its facts; a failure offers another text."""
    lang = known(lang)
    hidden = gr.update(visible=False)
    try:
        text = read_corpus(source, file, pasted, progress)
        if text is None:
            hint = note(say(lang, f"facts.none_{source}"))
            return TextShown(hint, "", hidden)
        vocabulary, notices = corpus.vocabulary_of(text.text)
    except CharrnnError as error:
        offer = gr.update(visible=source in sources.NAMED and source != OFFLINE)
        return TextShown(note(str(error), "warn"), "", offer)
    facts = facts_html(lang, text, len(vocabulary) - 1, notices)
    seen = {"characters": len(text.text), "vocab_size": len(vocabulary)}
    return TextShown(facts, json.dumps(seen), hidden)


def show_box(source: str) -> tuple[Any, Any]:
    """The box that the chosen kind of text needs: for a file, or for pasting."""
    return gr.update(visible=source == UPLOAD), gr.update(visible=source == PASTE)


def take_offline() -> str:
    """The text that needs no network."""
    return OFFLINE


def read_known(value: str) -> tuple[int, int] | None:
    """Characters and ids of the text last looked at."""
    try:
        seen = json.loads(value)
        return int(seen["characters"]), int(seen["vocab_size"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


class Estimate(NamedTuple):
    """What the form as it stands comes to."""

    cost: str  # HTML: parameters and time
    command: str  # HTML: the command that does the same


def estimate(
    lang: str, seen: str, source: str, preset: str, title: str, *values: Any
) -> tuple[Any, ...]:
    """Size and time of the training that the form stands for, and its command.

    Args:
        lang: Language code.
        seen: From `TextShown.known`.
        source: The text's name, or where it comes from.
        preset: A key of `PRESETS`.
        title: The visitor's title, may be empty.
        *values: The settings in the order of `form.SETTINGS`.

    Returns:
        An `Estimate` and then an update for each setting, wrong ones marked.
    """
    lang, given = known(lang), form.read(values)
    told = read_known(seen)
    result = _estimate(lang, told, source, preset, title, given)
    return *result, *form.marks(lang, given)


def _estimate(
    lang: str,
    told: tuple[int, int] | None,
    source: str,
    preset: str,
    title: str,
    given: Mapping[str, Any],
) -> Estimate:
    characters, vocab_size = told or (0, 2)
    configs = form.configs(preset, given, max(2, vocab_size))
    if configs is None:
        return Estimate("", "")
    settings = form.changed(preset, given)
    named = source if source in sources.NAMED else "TEXT.txt"
    line = command_line(named, preset, settings, title=title)
    command = f'<pre class="command">{html.escape(line)}</pre>'
    if told is None:
        return Estimate("", command)
    model, training = configs
    parts = [say(lang, "estimate.parameters", count=model.num_parameters())]
    seconds = listing.expected_seconds(model, training, characters)
    if seconds is None or not math.isfinite(seconds):
        parts.append(say(lang, "estimate.unknown"))
    else:
        parts.append(say(lang, "estimate.time", time=duration(lang, seconds)))
    return Estimate(note(" · ".join(parts)) + _fit_note(training, characters), command)


def _fit_note(training: Any, characters: int) -> str:
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


def start(
    lang: str,
    source: str,
    file: str | None,
    pasted: str,
    preset: str,
    title: str,
    browser: Any,
    *values: Any,
) -> tuple[str, dict[str, Any]]:
    """Start a training from the form.

    Args:
        lang: Language code.
        source: A named text, `upload` or `paste`.
        file: The uploaded file.
        pasted: The pasted text.
        preset: A key of `PRESETS`.
        title: The visitor's title, may be empty.
        browser: What the browser remembers.
        *values: The settings in the order of `form.SETTINGS`.

    Returns:
        The run's id, and what the browser shall remember.
    """
    given = form.read(values)
    try:
        problem = form.first_problem(known(lang), given)
        if problem:
            raise ConfigError(problem)
        text = read_corpus(source, file, pasted)
        if text is None:
            raise CorpusError(say(known(lang), f"facts.none_{source}"))
        run_id = control.start(
            text,
            preset=preset,
            settings=form.changed(preset, given),
            title=title,
        )
    except CharrnnError as error:
        raise shown(error) from error
    return run_id, Browser.of(browser).following(run_id).store()


@dataclass(frozen=True)
class TrainForm:
    """The components that the rest of the page reaches into."""

    source: gr.Radio
    preset: gr.Radio
    settings: list[Any]
    started: Any  # the event of the Train button
    estimated: Mapping[str, Any]


def build(
    tab: gr.Tab, lang: gr.Textbox, followed: gr.Textbox, browser: gr.BrowserState
) -> TrainForm:
    """Lay the form out and connect it.

    Args:
        tab: The tab that it stands in.
        lang: Hidden: language code.
        followed: Hidden: id of the run that the page follows.
        browser: What the browser remembers.
    """
    source, file, pasted, facts, offline, seen = _text_fields()
    preset = gr.Radio(
        [(i18n(f"train.preset.{name}"), name) for name in PRESETS],
        value=default_preset(),
        label=i18n("train.size"),
        elem_id="preset",
    )
    about = gr.Markdown(i18n(f"train.about.{default_preset()}"), elem_id="about")
    with gr.Accordion(i18n("train.advanced"), open=False, elem_id="advanced"):
        settings = form.build(default_preset())
        title = gr.Textbox(
            "",
            label=i18n("train.name"),
            placeholder=i18n("train.name_hint"),
            max_length=200,
            elem_id="run-title",
        )
    cost = gr.HTML(elem_id="estimate", apply_default_css=False)
    train = gr.Button(
        i18n("train.start"), variant="primary", elem_id="train", size="lg"
    )
    with gr.Accordion(i18n("train.command"), open=False, elem_id="terminal"):
        command = gr.HTML(elem_id="command", apply_default_css=False)

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    source.change(show_box, source, [file, pasted], queue=False, **quiet)
    reading: dict[str, Any] = {
        "fn": look,
        "inputs": [lang, source, file, pasted],
        "outputs": [facts, seen, offline],
        "api_visibility": "private",
        "trigger_mode": "always_last",
    }
    # a later choice drops what an earlier one is still reading
    opened = tab.select(**reading, show_progress="hidden")
    chosen = source.input(**reading, show_progress_on=facts, cancels=[opened])
    for listen in (file.upload, file.clear):
        listen(**reading, show_progress_on=facts, cancels=[opened, chosen])
    # not `input`: that one misses text that arrives in one piece
    pasted.change(**reading, show_progress="hidden", cancels=[opened, chosen])
    offline.click(take_offline, None, source, queue=False, **quiet).then(
        **reading, show_progress_on=facts
    )
    preset.input(form.values_of, preset, settings, queue=False, **quiet)
    preset.change(
        lambda name: i18n(f"train.about.{name}"), preset, about, queue=False, **quiet
    )
    costs: dict[str, Any] = {
        "fn": estimate,
        "inputs": [lang, seen, source, preset, title, *settings],
        "outputs": [cost, command, *settings],
        "queue": False,
        "trigger_mode": "always_last",
        **quiet,
    }
    watched = [seen, title, *settings]
    gr.on([component.change for component in watched], **costs)
    started = train.click(
        start,
        [lang, source, file, pasted, preset, title, browser, *settings],
        [followed, browser],
        concurrency_id="start",
        concurrency_limit=4,
        api_visibility="private",
        show_progress_on=cost,
    )
    return TrainForm(source, preset, settings, started, costs)


def _text_fields() -> tuple[Any, ...]:
    named = [(i18n(f"text.{key}"), key) for key in sources.NAMED]
    source = gr.Radio(
        [*named, (i18n("train.upload"), UPLOAD), (i18n("train.paste"), PASTE)],
        value=DEFAULT_SOURCE,
        label=i18n("train.text"),
        elem_id="source",
    )
    file = gr.File(
        label=i18n("train.file"),
        visible=False,
        type="filepath",
        height=120,
        elem_id="upload",
    )
    pasted = gr.Textbox(
        "",
        label=i18n("train.pasted"),
        placeholder=i18n("train.pasted_hint"),
        lines=6,
        max_lines=12,
        max_length=policy().max_text_bytes,
        visible=False,
        elem_id="pasted",
    )
    facts = gr.HTML(elem_id="facts", apply_default_css=False)
    offline = gr.Button(
        i18n("train.offline"), visible=False, size="sm", elem_id="offline"
    )
    seen = gr.Textbox("", visible=False)
    return source, file, pasted, facts, offline, seen
