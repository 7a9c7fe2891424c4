"""What a run's loss is made of, as HTML: columns that fall, and a table."""

import html
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from charrnn.model.record import Record
from charrnn.runs.events import Validation
from charrnn.runs.states import LIVE
from charrnn.runs.status import Status
from charrnn.text.parts import PARTS, Part
from charrnn.ui.cards import percent
from charrnn.ui.shared import note, scrolled
from charrnn.ui.texts import translate

MAX_COLUMNS: Final = 40  # validations that have one
COLOURS: Final = dict(  # at least 3:1 on the grounds of both themes
    zip(
        PARTS,
        (
            *("#d95f26", "#16877c", "#b6538f", "#a07a10"),
            *("#4f86c6", "#7f72cf", "#76849a", "#6f8f2f"),
        ),
        strict=True,
    )
)


def parts_html(lang: str, status: Status, record: Record) -> str:
    """What the validation loss is made of; empty where no validation was split.

    While a run is alive the place is held from the beginning, so that nothing moves
    when its first validation comes.

    Args:
        lang: Language code.
        status: The run's state, and its history.
        record: Of the run.
    """
    split = [event for event in status.view.validations if event.parts]
    figures = record.figures
    live = status.state in LIVE
    exact = None if live or figures is None else figures.parts
    if exact and figures is not None:
        parts, step = exact, figures.kept_step
    elif split and split[-1].parts:
        parts, step = split[-1].parts, split[-1].step
    else:
        return _section(lang, note(translate(lang, "parts.soon"))) if live else ""
    about = note(translate(lang, "parts.about"))
    source = translate(lang, "parts.exact" if exact else "parts.sampled", step=step)
    shown = f"{about}{_columns(lang, split)}{_table(lang, parts)}{note(source)}"
    return _section(lang, shown)


def _section(lang: str, shown: str) -> str:
    heading = html.escape(translate(lang, "parts.title"))
    return f'<section class="loss-parts"><h3>{heading}</h3>{shown}</section>'


def _columns(lang: str, split: Sequence[Validation]) -> str:
    """A column for each validation, as high as its loss; the table has the numbers."""
    if not split:
        return ""
    places = np.linspace(0, len(split) - 1, min(len(split), MAX_COLUMNS))
    chosen = [split[place] for place in places.round().astype(int)]
    highest = max(event.val_loss for event in chosen) or 1.0
    columns = "".join(_column(lang, event, highest) for event in chosen)
    ends = "".join(
        f"<span>{html.escape(translate(lang, 'sample.head', step=event.step))}</span>"
        for event in (chosen[0], *chosen[1:][-1:])
    )
    return (
        f"{note(translate(lang, 'parts.columns'))}"
        f'<div class="stack" aria-hidden="true">{columns}</div>'
        f'<p class="stack-ends" aria-hidden="true">{ends}</p>'
    )


def _column(lang: str, event: Validation, highest: float) -> str:
    parts = event.parts or {}
    # in percent: where they sum to less than 1, they would not fill the column
    percents = 100 / (sum(part.loss for part in parts.values()) or 1.0)
    pieces = "".join(
        f'<i style="flex:{percents * parts[name].loss:.2f} 0 0;'
        f'background:{COLOURS[name]}"></i>'
        for name in reversed(PARTS)
        if name in parts
    )
    head = translate(lang, "sample.head", step=event.step)
    loss = translate(lang, "sample.loss", loss=event.val_loss)
    title = html.escape(f"{head}: {loss}")
    height = 100 * event.val_loss / highest
    return f'<span title="{title}" style="height:{height:.1f}%">{pieces}</span>'


def _table(lang: str, parts: Mapping[str, Part]) -> str:
    loss = sum(part.loss for part in parts.values()) or 1.0
    characters = sum(part.characters for part in parts.values()) or 1
    keys = ("part", "nats", "of_loss", "of_text")
    heads = "".join(
        f'<th scope="col">{html.escape(translate(lang, f"parts.{key}"))}</th>'
        for key in keys
    )
    rows = "".join(
        f'<tr><th scope="row"><i style="background:{COLOURS[name]}"></i>'
        f"{html.escape(translate(lang, f'part.{name}'))}</th>"
        f"<td>{parts[name].loss:.3f}</td><td>{percent(parts[name].loss / loss)}</td>"
        f"<td>{percent(parts[name].characters / characters)}</td></tr>"
        for name in PARTS
        if name in parts
    )
    return scrolled(
        translate(lang, "parts.title"),
        f'<table class="runs"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>",
    )
