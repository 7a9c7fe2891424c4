"""Writing text frame by frame, and the Generate tab's buttons."""

import contextlib
import html
import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import gradio as gr

from charrnn.errors import ConfigError
from charrnn.hosting import UNKNOWN_VISITOR, Visitor, policy
from charrnn.model import checkpoint
from charrnn.model.generation import Written
from charrnn.runs import figures
from charrnn.runs.in_flight import MAX_REQUESTS
from charrnn.ui import cards, links
from charrnn.ui.links import MAX_COLUMNS
from charrnn.ui.shared import note
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Html, Update, flat
from charrnn.ui.writing_request import (
    PreparedWriting,
    WritingRequest,
    prepare,
    prepare_link,
)

_T = TypeVar("_T")
CONCURRENCY: Final = MAX_REQUESTS  # handlers only feed and drain the engine
SAME_CARDS: Final[tuple[Html, ...]] = (SKIP,) * MAX_COLUMNS
ENDING_SECONDS: Final = 1.0  # that a press waits for the one before to end
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
        columns: How many columns the page has for it; those without a text say so.
        wide: Whether a column takes the whole width.
        visitor: Who asks.

    Raises:
        CharrnnError: If the model cannot be loaded, or too much is asked for.
    """
    link = prepared.link
    heads = [
        cards.card_head(
            lang,
            text.link,
            text.link.temperatures[0],
            written=cards.written_class(text.record),
            wide=wide,
            by=link.by,
        )
        for text in prepared.texts
    ]
    off = cards.resting_card(translate(lang, "generate.card"), wide=wide)

    def frame(bodies: Sequence[str], status: str | None, rest: str | None) -> Frame:
        shown: list[str | None] = [rest] * columns
        for column, head, body in zip(prepared.columns, heads, bodies, strict=True):
            shown[column] = head + body
        return Frame(tuple(shown), status)

    warning = cards.unknown_note(lang, prepared.unknown) + "".join(
        note(notice, "warn")
        for path in prepared.paths()
        for notice in checkpoint.notices_of(path)
    )
    started = cards.started_line(lang, link) + warning
    written = [Written("", [])] * len(heads)
    yield frame([""] * len(heads), started, off)
    stream = prepared.updates(visitor)
    pace, shown = policy().frame_seconds, -math.inf
    with contextlib.closing(stream):  # a visitor who leaves stops the writing
        for written in stream:
            if time.monotonic() - shown >= pace:
                shown = time.monotonic()
                yield frame([html.escape(one.text) for one in written], None, None)
    bodies, meaning = final_bodies(lang, prepared, written)
    texts = [one.text for one in written]
    status = cards.status_line(lang, link, texts) + meaning + warning
    yield frame(bodies, status, None)


def final_bodies(
    lang: str, prepared: PreparedWriting, written: Sequence[Written]
) -> tuple[list[str], str]:
    """The finished texts as HTML, copied passages highlighted, figures under them.

    Returns:
        The texts, and a note that says what the highlights mean; empty where
        no training text is on this machine.
    """
    bodies, prompt = [""] * len(written), prepared.link.prompt
    copied: list[bool] = []  # of each text whose model's training text is here
    for path in prepared.paths():
        own = [i for i, text in enumerate(prepared.texts) if text.source.path == path]
        record, texts = prepared.texts[own[0]].record, [written[i] for i in own]
        counted = figures.count(path, record, prompt, texts)
        if counted.copied is not None:
            copied += map(bool, counted.copied)
        spans = counted.copied or [[] for _ in own]
        for place, one, marked, found in zip(
            own, texts, spans, counted.figures, strict=True
        ):
            tail = cards.card_tail(lang, found, one.bits)
            bodies[place] = cards.highlight(one.text, marked) + tail
    if not copied:
        return bodies, ""
    meaning = translate(
        lang, "generate.verbatim" if any(copied) else "generate.no_verbatim"
    )
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


class _Writing:
    """One press that is being answered."""

    def __init__(self) -> None:
        self.ended = threading.Event()


_latest: Final[dict[str, _Writing]] = {}  # of each session, while it is written


def _session(request: gr.Request) -> str:
    return str(getattr(request, "session_hash", None) or "")


def until_next_press(request: gr.Request, updates: Iterator[_T]) -> Iterator[_T]:
    """The updates until the same page asks for another text: one press ends the other.

    Args:
        request: Tells the page's session; none for a caller that is no page.
        updates: Closed at the end, which stops the writing.
    """
    mine, session = _Writing(), _session(request)
    before = _latest.get(session)
    if session:
        _latest[session] = mine
    if before is not None:  # what it had asked for counts no more from here on
        before.ended.wait(ENDING_SECONDS)
    try:
        with contextlib.closing(updates):  # type: ignore[type-var]
            for update in updates:
                if session and _latest.get(session) is not mine:
                    return
                yield update
    finally:
        mine.ended.set()
        if _latest.get(session) is mine:
            del _latest[session]


def compare(request: gr.Request, *values: object) -> Iterator[tuple[object, ...]]:
    """Write two to four texts side by side: temperatures, models, steps or top-p."""
    asked = WritingRequest.read(values)
    lang, visitor = language(request), visitor_of(request)
    updates = stream(lang, asked, single=False, visitor=visitor)
    yield from map(flat, until_next_press(request, updates))


def generate(request: gr.Request, *values: object) -> Iterator[tuple[object, ...]]:
    """Write one text, at one temperature."""
    asked = WritingRequest.read(values).single()
    lang, visitor = language(request), visitor_of(request)
    updates = stream(lang, asked, single=True, visitor=visitor)
    yield from map(flat, until_next_press(request, updates))


def go_on(request: gr.Request, place: str) -> Iterator[tuple[object, ...]]:
    """Write on in one column, from a character that a visitor has put in.

    Args:
        request: Who asks.
        place: The column's number, or ``single``; a space; the link of what is to be
            written, as `links.encode` makes it.

    Raises:
        CharrnnError: If the place is none, or it cannot be written.
    """
    column, _, query = place.partition(" ")
    link = links.read(query)
    single = column == "single"
    if link is None or not (single or column in map(str, range(MAX_COLUMNS))):
        raise ConfigError("The place to go on from is not one of this page's texts.")
    prepared = prepare_link(link, 0 if single else int(column))
    lang, visitor = language(request), visitor_of(request)
    updates = _one_column(lang, prepared, single=single, visitor=visitor)
    yield from map(flat, until_next_press(request, updates))


def _one_column(
    lang: str, prepared: PreparedWriting, *, single: bool, visitor: Visitor
) -> Iterator[WritingUpdate]:
    """Write one text where it stands; the other columns stay as they are."""
    (index,) = prepared.columns
    count = 1 if single else MAX_COLUMNS
    update = WritingUpdate(stop_button=gr.update(interactive=True))
    frames = write(lang, prepared, columns=count, wide=single, visitor=visitor)
    for frame in frames:
        shown = _or_skip(frame.cards[index])
        update = update._replace(status=_or_skip(frame.status))
        others = [shown if i == index else SKIP for i in range(MAX_COLUMNS)]
        yield (
            update._replace(single_card=shown)
            if single
            else update._replace(cards=tuple(others))
        )
        update = WritingUpdate()


def stopped() -> Update:
    """After Stop: what was written stays, and the browser shows its seed and link."""
    return NOTHING_TO_STOP


def rested(request: gr.Request) -> Update:
    """After writing, well or not: there is nothing to stop, unless more was asked."""
    return SKIP if _session(request) in _latest else NOTHING_TO_STOP
