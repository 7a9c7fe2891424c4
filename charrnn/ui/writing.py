"""Writing text frame by frame, and the Generate tab's buttons."""

import contextlib
import html
import math
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import gradio as gr

from charrnn.hosting import UNKNOWN_VISITOR, Visitor, policy
from charrnn.runs.in_flight import MAX_REQUESTS
from charrnn.ui import cards, passages
from charrnn.ui.links import MAX_COLUMNS
from charrnn.ui.shared import note
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Html, Update, flat
from charrnn.ui.writing_request import (
    PreparedWriting,
    WritingRequest,
    engine,
    prepare,
)

CONCURRENCY: Final = MAX_REQUESTS  # handlers only feed and drain the engine
SAME_CARDS: Final[tuple[Html, ...]] = (SKIP,) * MAX_COLUMNS
NOTHING_TO_STOP: Final[Update] = gr.update(interactive=False)


class Frame(NamedTuple):
    """What a moment of writing changes on the page."""

    cards: tuple[str | None, ...]  # HTML of each column; None: as it is
    status: str | None


def write(
    lang: str,
    prepared: PreparedWriting,
    *,
    columns: int,
    wide: bool = False,
    visitor: Visitor = UNKNOWN_VISITOR,
) -> Iterator[Frame]:
    """Write the texts of a request, frame by frame.

    Closing the iterator stops the writing.

    Args:
        lang: Language code.
        prepared: The request.
        columns: How many columns the page has for it; those without a
            temperature say so.
        wide: Whether a column takes the whole width.
        visitor: Who asks.

    Raises:
        CharrnnError: If the model cannot be loaded, or too much is asked for.
    """
    link, written = prepared.link, cards.written_class(prepared.record)
    heads = [
        cards.card_head(lang, link, temperature, written=written, wide=wide)
        for temperature in link.temperatures
    ]
    off = cards.resting_card(translate(lang, "generate.card"), wide=wide)

    def frame(bodies: Sequence[str], status: str | None, rest: str | None) -> Frame:
        shown: list[str | None] = [rest] * columns
        for column, head, body in zip(prepared.columns, heads, bodies, strict=True):
            shown[column] = head + body
        return Frame(tuple(shown), status)

    warning = cards.unknown_note(lang, prepared.unknown)
    started = cards.progress_line(translate(lang, "generate.writing")) + warning
    texts = [""] * len(heads)
    yield frame(texts, started, off)
    stream = engine.generate(
        prepared.path,
        link.prompt,
        length=link.length,
        rows=prepared.rows(),
        visitor=visitor,
    )
    pace, shown = policy().frame_seconds, -math.inf
    with contextlib.closing(stream):  # a visitor who leaves stops the writing
        for texts in stream:
            if time.monotonic() - shown >= pace:
                shown = time.monotonic()
                yield frame([html.escape(text) for text in texts], None, None)
    bodies, meaning = final_bodies(lang, prepared, texts)
    status = cards.status_line(lang, link, texts) + meaning + warning
    yield frame(bodies, status, None)


def final_bodies(
    lang: str, prepared: PreparedWriting, texts: Sequence[str]
) -> tuple[list[str], str]:
    """The finished texts as HTML with copied passages highlighted.

    Returns:
        The texts, and a note that says what the highlights mean; empty where
        the training text is not on this machine.
    """
    source = passages.training_text(prepared.path, prepared.record)
    if source is None:
        return [html.escape(text) for text in texts], ""
    try:
        found = passages.find_copied(source, prepared.link.prompt, texts)
    except OSError:
        return [html.escape(text) for text in texts], ""
    meaning = translate(
        lang, "generate.verbatim" if any(found) else "generate.no_verbatim"
    )
    bodies = [cards.highlight(t, p) for t, p in zip(texts, found, strict=True)]
    return bodies, note(meaning)


class WritingUpdate(NamedTuple):
    """What a frame of writing changes."""

    columns: Update = SKIP
    single: Update = SKIP
    cards: tuple[Html, ...] = SAME_CARDS
    single_card: Html = SKIP
    status: Html = SKIP
    seed: int | Update = SKIP
    stop_button: Update = SKIP


def _or_skip(text: str | None) -> Html:
    return SKIP if text is None else text


def stream(
    lang: str,
    asked: WritingRequest,
    *,
    single: bool,
    visitor: Visitor = UNKNOWN_VISITOR,
) -> Iterator[WritingUpdate]:
    """Write what is asked for; the first frame also shows the right columns.

    Raises:
        CharrnnError: If it cannot be written; its sentence says why.
    """
    prepared = prepare(lang, asked, at_least=1 if single else 2)
    update = WritingUpdate(
        columns=gr.update(visible=not single),
        single=gr.update(visible=single),
        seed=prepared.link.seed or 0,
        stop_button=gr.update(interactive=True),
    )
    count = 1 if single else MAX_COLUMNS
    frames = write(lang, prepared, columns=count, wide=single, visitor=visitor)
    for frame in frames:
        shown = tuple(_or_skip(card) for card in frame.cards)
        update = update._replace(status=_or_skip(frame.status))
        if single:
            yield update._replace(single_card=shown[0])
        else:
            yield update._replace(cards=shown)
        update = WritingUpdate()


def compare(request: gr.Request, *values: object) -> Iterator[tuple[object, ...]]:
    """Write at two to four temperatures side by side, from one batch."""
    asked = WritingRequest.read(values)
    lang, visitor = language(request), visitor_of(request)
    yield from map(flat, stream(lang, asked, single=False, visitor=visitor))


def generate(request: gr.Request, *values: object) -> Iterator[tuple[object, ...]]:
    """Write one text, at one temperature."""
    asked = WritingRequest.read(values)
    lang, visitor = language(request), visitor_of(request)
    yield from map(flat, stream(lang, asked, single=True, visitor=visitor))


def stopped(request: gr.Request) -> tuple[str, Update]:
    """After Stop: what was written stays."""
    sentence = translate(language(request), "generate.stopped")
    return cards.progress_line(sentence), NOTHING_TO_STOP


def rested() -> Update:
    """After writing, well or not: there is nothing to stop."""
    return NOTHING_TO_STOP
