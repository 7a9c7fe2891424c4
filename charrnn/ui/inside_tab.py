"""The Inside tab: one text, what surprised a model in it, what the model looked at."""

from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from charrnn.errors import ConfigError
from charrnn.hosting import policy
from charrnn.ui import inside_map, looking
from charrnn.ui.generate_form import listed
from charrnn.ui.labels import i18n
from charrnn.ui.sessions import id_dropdown
from charrnn.ui.shared import note, relisted
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import PRIVATE, Update

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


@dataclass(frozen=True)
class InsideTab:
    """The tab's components."""

    model: gr.Dropdown
    text: gr.Textbox
    look: gr.Button
    search: gr.Button
    map: gr.HTML
    units: gr.HTML
    panel: gr.HTML


def look_inside(
    request: gr.Request, model: str | None, text: str | None
) -> tuple[str, str, str]:
    """The map of a text; what stood beside an earlier one goes away."""
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        read = looking.read(lang, model, text)
    shown = inside_map.surprise_map(
        lang, model or "", read.found, read.model.vocabulary
    )
    hint = inside_map.said(note(translate(lang, "inside.choose")))
    return shown, hint, ""


def look_at(
    request: gr.Request, model: str | None, text: str | None, place: float | None
) -> str:
    """What the model looked at for a character that was chosen.

    Args:
        request: Tells the language and the visitor.
        model: Whose map it is.
        text: The map's.
        place: Of the character, from 1.
    """
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        read = looking.read(lang, model, text)
        look = read.look(int(place or 0))
    return inside_map.panel(lang, read.found, look, read.model.vocabulary)


def search(request: gr.Request, model: str | None, text: str | None) -> str:
    """Which unit follows which mark of the text in the box."""
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        return inside_map.unit_table(lang, looking.search(lang, model, text))


def colour(
    request: gr.Request, model: str | None, text: str | None, unit: str | None
) -> str:
    """The map by a unit's output, or by surprise again.

    Args:
        request: Tells the language and the visitor.
        model: Whose map it is.
        text: The map's.
        unit: ``layer.unit``; nothing for surprise.
    """
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        read = looking.read(lang, model, text)
        if not unit:
            vocabulary = read.model.vocabulary
            return inside_map.surprise_map(lang, model or "", read.found, vocabulary)
        values = read.unit(*_numbers(lang, unit))
    return inside_map.unit_map(lang, model or "", read.found.text, unit, values)


def _numbers(lang: str, unit: str) -> tuple[int, int]:
    """Layer and unit.

    Raises:
        ConfigError: If the name is none of a unit.
    """
    parts = unit.split(".")
    if len(parts) != 2 or not all(
        part.isascii() and part.isdigit() and len(part) < 6 for part in parts
    ):
        raise ConfigError(translate(lang, "inside.no_unit"), field="unit")
    return int(parts[0]), int(parts[1])


def refresh(
    request: gr.Request, model: str | None, browser: object, writing: str | None
) -> Update:
    """The list of models as it is now.

    Args:
        request: Tells the language.
        model: What is chosen here; it stays.
        browser: As `Browser.of` takes it.
        writing: What is chosen on the Generate tab: it is proposed.
    """
    wanted = model or writing
    choices, chosen = listed(language(request), wanted, browser)
    # while the page opens none is proposed: a link may name one
    return relisted(choices, model, chosen if wanted else None)


def _layout() -> InsideTab:
    gr.Markdown(i18n("inside.lead"), elem_id="inside-lead")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                DEFAULT_TEXT,
                label=i18n("inside.text"),
                lines=3,
                max_lines=8,
                max_length=policy().max_inside_characters,
                elem_id="inside-text",
            )
        with gr.Column(scale=2, min_width=280):
            model = id_dropdown(label=i18n("generate.model"), elem_id="inside-model")
            with gr.Row():
                look = gr.Button(
                    i18n("inside.look"),
                    variant="primary",
                    min_width=120,
                    elem_id="inside-look",
                )
                search_button = gr.Button(
                    i18n("inside.search"), min_width=120, elem_id="inside-search"
                )
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            shown = gr.HTML(
                i18n("inside.rest"), elem_id="inside-shown", apply_default_css=False
            )
            units = gr.HTML(elem_id="inside-units", apply_default_css=False)
        with gr.Column(scale=2, min_width=280, elem_id="inside-beside"):
            panel = gr.HTML(elem_id="inside-panel", apply_default_css=False)
    return InsideTab(model, text, look, search_button, shown, units, panel)


def _connect(tab: InsideTab) -> None:
    form: list[Any] = [tab.model, tab.text]
    shown: list[Any] = [tab.map, tab.panel, tab.units]
    slow: dict[str, Any] = {**EVENT, "show_progress": "full"}
    tab.look.click(look_inside, form, shown, show_progress_on=tab.map, **slow)
    # the units of a text are found beside its map
    mapped = tab.search.click(
        look_inside, form, shown, show_progress_on=tab.map, **slow
    )
    mapped.success(search, form, tab.units, **slow)
    # the browser gives the values: the map's own model and text, and what is chosen
    model, text = (gr.Textbox("", visible=False) for _ in range(2))
    unit, place = gr.Textbox("", visible=False), gr.Number(0, visible=False)
    ask = gr.Button("", elem_id="inside-ask", elem_classes="offstage")
    ask.click(
        look_at,
        [model, text, place],
        tab.panel,
        js="() => charrnn.inside.place()",
        trigger_mode="always_last",
        **EVENT,
    )
    paint = gr.Button("", elem_id="inside-paint", elem_classes="offstage")
    paint.click(
        colour,
        [model, text, unit],
        tab.map,
        js="() => charrnn.inside.unit()",
        trigger_mode="always_last",
        **EVENT,
    )


def build() -> InsideTab:
    """Lay the tab out and connect it."""
    tab = _layout()
    _connect(tab)
    return tab
