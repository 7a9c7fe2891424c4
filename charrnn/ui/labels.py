"""The fixed texts of the page, which Gradio puts in the browser's language.

A component is given a key, `i18n("train.start")`. Beside the texts of the
locale files the browser gets those that it cannot compose itself: explanations
with their bounds, and fixed pieces of HTML.
"""

import html
from typing import Final

import gradio as gr

from charrnn.ui.cards import next_strip, resting_card
from charrnn.ui.links import MAX_COLUMNS
from charrnn.ui.panel import welcome_html
from charrnn.ui.settings import SETTINGS, describe
from charrnn.ui.texts import TABLES, translate

TEMPERATURE_NAMES: Final = ("careful", "steady", "lively", "daring")


def _composed(lang: str) -> dict[str, str]:
    title = html.escape(translate(lang, "title"))
    tagline = html.escape(translate(lang, "tagline"))
    temperatures = {
        f"temperature.{index}": translate(
            lang, "generate.temperature_of", number=index + 1
        )
        for index in range(MAX_COLUMNS)
    }
    names = "".join(
        f'<span data-name="{name}">{translate(lang, f"temperature.{name}")}</span>'
        for name in TEMPERATURE_NAMES
    )
    return {
        **{f"help.{name}": describe(lang, name) for name in SETTINGS},
        **temperatures,
        "temperature.names": f'<p id="temperature-names">{names}</p>',
        "card": resting_card(translate(lang, "generate.card")),
        "next.strip": next_strip(lang),
        "masthead": f"<h1>{title}</h1><p>{tagline}</p>",
        "welcome": welcome_html(lang),
    }


i18n: Final = gr.I18n(**{lang: TABLES[lang] | _composed(lang) for lang in TABLES})
