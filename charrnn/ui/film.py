"""The film of a run as HTML: what it wrote after more and more steps.

All pictures lie on one another, and `film.js` shows the one that the slider is at.
Without it the last one is seen.
"""

import html
from collections.abc import Sequence

from charrnn.model.record import Record
from charrnn.runs.film import Picture, film
from charrnn.runs.states import LIVE
from charrnn.runs.status import Status
from charrnn.ui.cards import written_class
from charrnn.ui.shared import note
from charrnn.ui.texts import duration, translate


def film_html(lang: str, status: Status, record: Record) -> str:
    """The film of a run, or why there is none.

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
    written = written_class(record)
    last = len(pictures) - 1
    shown = "".join(
        _picture(lang, picture, written=written, shown=index == last)
        for index, picture in enumerate(pictures)
    )
    return (
        f'<div class="film" data-run="{html.escape(status.run_id)}">'
        f"{_controls(lang, pictures)}"
        f'<div class="pictures">{shown}</div></div>'
    )


def _controls(lang: str, pictures: Sequence[Picture]) -> str:
    last = len(pictures) - 1
    off = "" if last else " disabled"
    play, pause, name, about = (
        html.escape(translate(lang, f"film.{key}"))
        for key in ("play", "pause", "slider", "about")
    )
    value = html.escape(", ".join(_heads(lang, pictures[-1])))
    return (
        f'<p class="note">{about}</p><div class="film-controls">'
        f'<button class="tool" type="button" data-play="{play}" data-pause="{pause}"'
        f"{off}>{play}</button>"
        f'<input type="range" min="0" max="{last}" step="1" value="{last}" '
        f'aria-label="{name}" aria-valuetext="{value}"{off}></div>'
    )


def _heads(lang: str, picture: Picture) -> list[str]:
    """What is told of a moment: step, time and loss."""
    heads = [
        translate(lang, "sample.head", step=picture.sample.step),
        translate(lang, "film.after", time=duration(lang, picture.seconds)),
    ]
    if picture.val_loss is not None:
        heads.append(translate(lang, "sample.loss", loss=picture.val_loss))
    elif picture.train_loss is not None:
        heads.append(translate(lang, "film.train_loss", loss=picture.train_loss))
    return heads


def _picture(lang: str, picture: Picture, *, written: str, shown: bool) -> str:
    sample = picture.sample
    spans = "".join(
        f"<span>{html.escape(part)}</span>" for part in _heads(lang, picture)
    )
    state = " shown" if shown else ""
    label = html.escape(translate(lang, "sample.head", step=sample.step))
    return (
        f'<article class="sample{state}" data-step="{sample.step}"><h4>{spans}</h4>'
        f'<div class="{written}" dir="auto" tabindex="0" role="region" '
        f'aria-label="{label}">'
        f'<span class="prompt">{html.escape(sample.prompt)}</span>'
        f"{html.escape(sample.text)}</div></article>"
    )
