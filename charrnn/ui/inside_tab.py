"""The Inside tab: one text, what surprised a model in it, what the model looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.hosting import policy
from charrnn.ui import (
    by_hand,
    inside_beside,
    inside_course,
    inside_links,
    inside_map,
    inside_text,
    looking,
)
from charrnn.ui.by_hand import Hand
from charrnn.ui.generate_form import listed
from charrnn.ui.inside_course import StepsUpdate
from charrnn.ui.inside_links import InsideLink
from charrnn.ui.labels import i18n
from charrnn.ui.sessions import id_dropdown
from charrnn.ui.shared import Browser, model_folder, note
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import PRIVATE, QUIET, SKIP, Html, Update
from charrnn.ui.writing import CONCURRENCY
from charrnn.ui.writing_request import engine

DEFAULT_TEXT: Final = (
    "ROMEO:\n"
    "But, soft! what light through yonder window breaks?\n"
    "It is the east, and Juliet is the sun.\n"
    "Arise, fair sun, and kill the envious moon,\n"
    "Who is already sick and pale with grief.\n"
)
EVENT: Final[dict[str, Any]] = {
    **PRIVATE,
    "concurrency_id": "inside",
    "concurrency_limit": looking.AT_ONCE,
}
Look = tuple[Html, Html, Html, Html, Update]


@dataclass(frozen=True)
class InsideTab:
    """The tab's components."""

    model: gr.Dropdown
    against: gr.Dropdown
    text: gr.Textbox
    last: gr.Button
    passage: gr.Button
    look: gr.Button
    search: gr.Button
    note: gr.HTML
    map: gr.HTML
    reach: gr.HTML
    panel: gr.HTML
    units: gr.HTML
    hand: Hand


def look_inside(
    request: gr.Request, model: str | None, text: str | None, against: str | None
) -> Iterator[Look]:
    """The map of a text, then how far back the model looks in it.

    What stood beside an earlier text goes away.
    """
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        yield from _looks(lang, model, text, against)


def look_and_search(
    request: gr.Request, model: str | None, text: str | None, against: str | None
) -> Iterator[Look]:
    """The same, and which unit follows which mark of the text."""
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        yield from _looks(lang, model, text, against)
        found = inside_beside.unit_table(lang, looking.search(lang, model, text))
        yield SKIP, SKIP, SKIP, found, SKIP


def _looks(
    lang: str, model: str | None, text: str | None, against: str | None
) -> Iterator[Look]:
    shown = _map(lang, model, text, against)
    hint = inside_map.said(note(translate(lang, "inside.choose")))
    yield shown, "", hint, "", gr.update(visible=False)
    reach = looking.read(lang, model, text).reach()
    yield SKIP, inside_beside.reach(lang, reach), SKIP, SKIP, SKIP


def _map(lang: str, model: str | None, text: str | None, against: str | None) -> str:
    """A text by surprise, or by how much two models differ in it."""
    read = looking.read(lang, model, text)
    if not against:
        return inside_map.surprise_map(lang, model or "", read)
    other = looking.read(lang, against, text)
    return inside_map.difference_map(lang, (model or "", against), (read, other))


def look_at(
    request: gr.Request,
    model: str | None,
    text: str | None,
    against: str | None,
    place: float | None,
) -> str:
    """What the model looked at for a character that was chosen.

    Args:
        request: Tells the language and the visitor.
        model: Whose map it is.
        text: The map's.
        against: The other model of a map of two.
        place: Of the character, from 1.
    """
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        read = looking.read(lang, model, text)
        look = read.look(int(place or 0))
        other = looking.read(lang, against, text) if against else None
    return inside_beside.panel(lang, read, look, other)


def colour(
    request: gr.Request,
    model: str | None,
    text: str | None,
    against: str | None,
    unit: str | None,
    mark: str | None,
    value: float | None,
) -> tuple[object, ...]:
    """The map by a unit's output, which can then be turned by hand; or as it was.

    Args:
        request: Tells the language and the visitor.
        model: Whose map it is.
        text: The map's.
        against: The other model of a map of two.
        unit: ``layer.unit``; nothing for the map as it was.
        mark: What it follows.
        value: What a link holds it at; None for the highest.
    """
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        if not unit:
            return _map(lang, model, text, against), *by_hand.SAME, *StepsUpdate()
        reading = looking.read(lang, model, text)
        plan = by_hand.plan(lang, reading, unit, mark or "")
        values = reading.unit(plan.layer, plan.unit)
        models = model or "", against or ""
        shown = inside_map.unit_map(lang, models, reading, unit, values)
        steps = inside_course.offer(lang, model)
        return shown, *by_hand.choose(lang, plan, value), *steps


def passage(request: gr.Request, model: str | None, browser: object) -> str:
    """A passage of the validation part of the model's text."""
    return inside_text.passage(language(request), model, Browser.of(browser))


def opened(
    request: gr.Request, fragment: str | None, browser: object
) -> tuple[object, ...]:
    """The form as a link asks for it; without one as it is."""
    link = inside_links.read(fragment or "")
    if link is None:
        return SKIP, SKIP, SKIP, SKIP
    lang = language(request)
    choices, chosen = listed(lang, link.model, browser)
    others = gr.update(value=link.against) if link.against else SKIP
    model = gr.update(choices=choices, value=chosen)
    return model, others, link.text, link_status(lang, link)


def link_status(lang: str, link: InsideLink) -> str:
    """What a visitor who came by a link should know."""
    try:
        digest = engine.models.get(model_folder(link.model)).weights_hash
    except CharrnnError:
        return note(translate(lang, "generate.link_gone"), "warn gone")
    if link.weights_hash and link.weights_hash != digest:
        return note(translate(lang, "inside.link_changed"), "warn")
    return ""


def refresh(
    request: gr.Request,
    model: str | None,
    against: str | None,
    browser: object,
    writing: str | None,
) -> tuple[Update, Update]:
    """The lists of models as they are now.

    Args:
        request: Tells the language.
        model: What is chosen here; it stays.
        against: The other model; it stays.
        browser: As `Browser.of` takes it.
        writing: What is chosen on the Generate tab: it is proposed.
    """
    lang, wanted = language(request), model or writing
    choices, chosen = listed(lang, wanted, browser)
    none = (translate(lang, "inside.no_other"), "")
    others, other = listed(lang, against or wanted, browser)
    kept = against if against and other == against else ""
    second = gr.update(choices=[none, *others], value=kept)
    if wanted is None:  # the page still opens: a link may name one
        return gr.update(choices=choices), second
    return gr.update(choices=choices, value=chosen), second


def _layout_form() -> dict[str, Any]:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                DEFAULT_TEXT,
                label=i18n("inside.text"),
                lines=3,
                max_lines=6,
                max_length=policy().max_inside_characters,
                elem_id="inside-text",
            )
        with gr.Column(scale=2, min_width=280):
            with gr.Row():
                model = id_dropdown(
                    label=i18n("generate.model"), min_width=200, elem_id="inside-model"
                )
                against = id_dropdown(
                    label=i18n("inside.against"),
                    min_width=200,
                    elem_id="inside-against",
                )
            with gr.Row(equal_height=True):
                look = gr.Button(
                    i18n("inside.look"),
                    variant="primary",
                    min_width=120,
                    elem_id="inside-look",
                )
                search = gr.Button(
                    i18n("inside.search"), min_width=120, elem_id="inside-search"
                )
            with gr.Row(elem_id="inside-from", equal_height=True):
                last = gr.Button(
                    i18n("inside.last"), size="sm", min_width=120, elem_id="inside-last"
                )
                passage_button = gr.Button(
                    i18n("inside.passage"),
                    size="sm",
                    min_width=120,
                    elem_id="inside-passage",
                )
    return {
        "model": model,
        "against": against,
        "text": text,
        "last": last,
        "passage": passage_button,
        "look": look,
        "search": search,
    }


def _layout() -> InsideTab:
    gr.Markdown(i18n("inside.lead"), elem_id="inside-lead")
    form = _layout_form()
    status = gr.HTML(elem_id="inside-note", apply_default_css=False)
    with gr.Row(equal_height=False, elem_id="inside-seen"):
        with gr.Column(scale=3, min_width=300):
            shown = gr.HTML(
                i18n("inside.rest"), elem_id="inside-shown", apply_default_css=False
            )
            reach = gr.HTML(elem_id="inside-reach", apply_default_css=False)
        with gr.Column(scale=2, min_width=280, elem_id="inside-beside"):
            panel = gr.HTML(elem_id="inside-panel", apply_default_css=False)
            units = gr.HTML(elem_id="inside-units", apply_default_css=False)
    return InsideTab(
        **form,
        note=status,
        map=shown,
        reach=reach,
        panel=panel,
        units=units,
        hand=by_hand.build(),
    )


def _connect(tab: InsideTab) -> None:
    form: list[Any] = [tab.model, tab.text, tab.against]
    shown: list[Any] = [tab.map, tab.reach, tab.panel, tab.units, tab.hand.box]
    done: dict[str, Any] = {"js": "() => charrnn.inside.done()", **QUIET}
    for button, handler in ((tab.look, look_inside), (tab.search, look_and_search)):
        button.click(
            handler,
            form,
            shown,
            js="(...form) => charrnn.inside.begin(form)",
            **{**EVENT, "show_progress": "full", "show_progress_on": tab.map},
        ).then(None, None, None, **done)
    # the browser gives the values: the map's own model and text, and what is chosen
    model, text, against, unit, mark = (gr.Textbox("", visible=False) for _ in range(5))
    place, value = (gr.Number(0, visible=False) for _ in range(2))
    ask = gr.Button("", elem_id="inside-ask", elem_classes="offstage")
    ask.click(
        look_at,
        [model, text, against, place],
        tab.panel,
        js="() => charrnn.inside.place()",
        **EVENT,
    ).then(None, None, None, **done)
    paint = gr.Button("", elem_id="inside-paint", elem_classes="offstage")
    paint.click(
        colour,
        [model, text, against, unit, mark, value],
        [tab.map, *tab.hand.chosen(), *tab.hand.steps.offered()],
        js="() => charrnn.inside.unit()",
        **EVENT,
    ).then(None, None, None, **done)
    tab.hand.write.click(
        by_hand.hold,
        [model, text, unit, mark, tab.hand.value],
        tab.hand.written(),
        js="(model, text, unit, mark, value) => charrnn.inside.held(value)",
        concurrency_id="generate",
        concurrency_limit=CONCURRENCY,
        **PRIVATE,
    )
    tab.hand.steps.trace.click(
        inside_course.show,
        [model, text, unit, mark],
        tab.hand.steps.shown,
        js="() => charrnn.inside.course()",
        **{**EVENT, "show_progress": "full"},
    )


def build() -> InsideTab:
    """Lay the tab out and connect it."""
    tab = _layout()
    _connect(tab)
    return tab


def connect(tab: InsideTab, browser: gr.BrowserState) -> None:
    """What needs the rest of the page: texts from elsewhere."""
    tab.passage.click(
        passage, [tab.model, browser], tab.text, **{**EVENT, "show_progress": "full"}
    )
    tab.last.click(
        None,
        [tab.model, tab.text],
        [tab.model, tab.text],
        js="(model, text) => charrnn.inside.last(model, text)",
        **QUIET,
    )
