"""The fixed texts of the page, which Gradio puts in the browser's language.

A component is given a key, `i18n("train.start")`. Beside the texts of the
locale files the browser gets those that it cannot compose itself: explanations
with their bounds, and fixed pieces of HTML.
"""

import html
from typing import Final

import gradio as gr

from charrnn.ui.cards import resting_card
from charrnn.ui.links import MAX_COLUMNS
from charrnn.ui.panel import welcome_html
from charrnn.ui.settings import SETTINGS, describe
from charrnn.ui.texts import TABLES, translate


def _composed(lang: str) -> dict[str, str]:
    title = html.escape(translate(lang, "title"))
    tagline = html.escape(translate(lang, "tagline"))
    cards = {
        f"card.{index}": resting_card(translate(lang, f"generate.card.{index}"))
        for index in range(MAX_COLUMNS)
    }
    return {
        **{f"help.{name}": describe(lang, name) for name in SETTINGS},
        **cards,
        "masthead": f"<h1>{title}</h1><p>{tagline}</p>",
        "welcome": welcome_html(lang),
    }


i18n: Final = gr.I18n(**{lang: TABLES[lang] | _composed(lang) for lang in TABLES})
