"""The fixed texts of the page, which Gradio puts in the browser's language.

A component is given a key, `i18n("train.start")`. Beside the texts of the
locale files the browser gets those that it cannot compose itself: explanations
with their bounds, and fixed pieces of HTML.
"""

import html
from typing import Final

import gradio as gr

from charrnn.ui.cards import colour_legend, next_strip, resting_card
from charrnn.ui.examples import EXAMPLES, example_chips
from charrnn.ui.links import COMPARED, MAX_COLUMNS
from charrnn.ui.panel import welcome_html
from charrnn.ui.settings import CHIPS, SETTINGS, describe
from charrnn.ui.texts import TABLES, translate

TEMPERATURE_NAMES: Final = ("careful", "steady", "lively", "daring")
# that `page.js` puts in
PAGE_WORDS: Final = ("cut-off", "write-on", "as-number", "error")


def _chooser(lang: str) -> str:
    """The languages to choose from, each named in itself."""
    options = "".join(
        f'<option value="{code}" lang="{code}"{" selected" if code == lang else ""}>'
        f"{html.escape(translate(code, 'language.name'))}</option>"
        for code in TABLES
    )
    label = html.escape(translate(lang, "language.choose"))
    return f'<select id="language" aria-label="{label}">{options}</select>'


def _composed(lang: str) -> dict[str, str]:
    title = html.escape(translate(lang, "title"))
    tagline = html.escape(translate(lang, "tagline"))
    columns = {
        f"column.{name}.{index}": translate(lang, f"column_of.{name}", number=index + 1)
        for name in COMPARED
        for index in range(MAX_COLUMNS)
    }
    names = "".join(
        f'<span data-name="{name}">{translate(lang, f"temperature.{name}")}</span>'
        for name in TEMPERATURE_NAMES
    )
    words = "".join(
        f'<span data-name="{name}">{html.escape(said)}</span>'
        for name in PAGE_WORDS
        for said in [translate(lang, f"page.{name}")]
    )
    chips = {
        f"train.chip.{number}": translate(lang, "time.whole_minutes", m=number)
        for number in CHIPS
    }
    return {
        **chips,
        **{f"help.{name}": describe(lang, name) for name in SETTINGS},
        **columns,
        "temperature.names": f'<p id="temperature-names">{names}</p>',
        "page.words": f'<p id="page-words">{words}</p>',
        "card": resting_card(translate(lang, "generate.card")),
        "inside.rest": resting_card(translate(lang, "inside.empty"), wide=True),
        "examples": example_chips(lang, EXAMPLES["shakespeare"]),
        "next.strip": next_strip(lang),
        "colours": colour_legend(lang),
        "masthead": f'<div class="masthead"><div><h1>{title}</h1><p>{tagline}</p></div>'
        f"{_chooser(lang)}</div>",
        "welcome": welcome_html(lang),
    }


i18n: Final = gr.I18n(**{lang: TABLES[lang] | _composed(lang) for lang in TABLES})
