"""A film as HTML: what there is to see after more and more steps of a training.

All pictures lie on one another, and `film.js` shows the one that the slider is at.
Without it the last one is seen.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from charrnn.model.record import Record
from charrnn.runs.film import Picture, film
from charrnn.runs.states import LIVE
from charrnn.runs.status import Status
from charrnn.ui.cards import written_class
from charrnn.ui.shared import note
from charrnn.ui.texts import duration, translate


@dataclass(frozen=True)
class Moment:
    """One picture of a film.

    Args:
        step: Of the training.
        heads: What is told of it, the step first; plain text.
        style: Style classes of what is seen.
        inside: What is seen, as HTML.
    """

    step: int
    heads: tuple[str, ...]
    style: str
    inside: str


def frames(lang: str, key: str, about: str, moments: Sequence[Moment]) -> str:
    """A film: its slider, Play, and its pictures.

    Args:
        lang: Language code.
        key: Of what it is a film; another one begins at its last picture.
        about: What it shows, in a sentence.
        moments: In the order of their steps, at least one.
    """
    last = len(moments) - 1
    shown = "".join(
        _picture(lang, moment, shown=index == last)
        for index, moment in enumerate(moments)
    )
    off = "" if last else " disabled"
    play, pause, name = (
        html.escape(translate(lang, f"film.{word}"))
        for word in ("play", "pause", "slider")
    )
    value = html.escape(", ".join(moments[-1].heads))
    return (
        f'<div class="film" data-run="{html.escape(key)}">'
        f'<p class="note">{html.escape(about)}</p><div class="film-controls">'
        f'<button class="tool" type="button" data-play="{play}" data-pause="{pause}"'
        f"{off}>{play}</button>"
        f'<input type="range" min="0" max="{last}" step="1" value="{last}" '
        f'aria-label="{name}" aria-valuetext="{value}"{off}></div>'
        f'<div class="pictures">{shown}</div></div>'
    )


def _picture(lang: str, moment: Moment, *, shown: bool) -> str:
    spans = "".join(f"<span>{html.escape(part)}</span>" for part in moment.heads)
    state = " shown" if shown else ""
    label = html.escape(translate(lang, "sample.head", step=moment.step))
    return (
        f'<article class="sample{state}" data-step="{moment.step}"><h4>{spans}</h4>'
        f'<div class="{moment.style}" dir="auto" tabindex="0" role="region" '
        f'aria-label="{label}">{moment.inside}</div></article>'
    )


def film_html(lang: str, status: Status, record: Record) -> str:
    """The film of what a run wrote, or why there is none.

    Args:
        lang: Language code.
        status: The run's state, and its history.
        record: Of the run.
    """
    live = status.state in LIVE
    kept = None if live or record.figures is None else record.figures.kept_step
    pictures = film(status.view, kept)
    if not pictures:
        return note(translate(lang, "film.soon" if live else "film.none"))
    style = written_class(record)
    moments = [
        Moment(one.sample.step, _heads(lang, one), style, _written(one))
        for one in pictures
    ]
    return frames(lang, status.run_id, translate(lang, "film.about"), moments)


def _heads(lang: str, picture: Picture) -> tuple[str, ...]:
    """What is told of a moment: step, time and loss."""
    heads = (
        translate(lang, "sample.head", step=picture.sample.step),
        translate(lang, "film.after", time=duration(lang, picture.seconds)),
    )
    if picture.val_loss is not None:
        return *heads, translate(lang, "sample.loss", loss=picture.val_loss)
    if picture.train_loss is not None:
        return *heads, translate(lang, "film.train_loss", loss=picture.train_loss)
    return heads


def _written(picture: Picture) -> str:
    sample = picture.sample
    prompt = html.escape(sample.prompt)
    return f'<span class="prompt">{prompt}</span>{html.escape(sample.text)}'
