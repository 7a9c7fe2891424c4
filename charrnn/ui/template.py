"""The HTML that a browser gets first: Gradio's template, with a head of this page's.

Gradio's own head would show Gradio's name and picture where a link to the page is
previewed. This page's says what it is, in the language of whoever asks, and runs
`page.js` before Gradio reads the browser's language.
"""

import html
import re
from pathlib import Path
from typing import Final

import gradio as gr
from gradio import routes
from jinja2 import BaseLoader, FunctionLoader
from markupsafe import Markup
from starlette.requests import Request

from charrnn.ui.texts import language, translate

_HERE: Final = Path(__file__).parent
SCRIPTS: Final = (
    _HERE.parent / "web" / "sampling.js",
    _HERE / "page.js",
    _HERE / "generate.js",
    _HERE / "film.js",
    _HERE / "inside.js",
)
PAGE: Final = "frontend/index.html"
_PREVIEW: Final = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
_LANGUAGE, _FIRST = 'lang="en"', '<meta charset="utf-8" />'


def adapted(source: str) -> str:
    """Gradio's template with this page's head in place of its previews.

    Raises:
        ValueError: If it is no longer built as expected: that is a new Gradio's doing.
    """
    if source.count(_LANGUAGE) != 1 or source.count(_FIRST) != 1:
        raise ValueError(f"{PAGE} has no place for the language or the head.")
    source = _PREVIEW.sub("", source)
    source = source.replace(_LANGUAGE, 'lang="{{ page_language(request) }}"')
    return source.replace(_FIRST, _FIRST + "{{ page_head(request) }}")


def page_language(request: Request) -> str:
    """The code of the language that the page opens in."""
    return language(gr.Request(request))


def page_head(request: Request) -> Markup:
    """What the page is, for previews of a link to it, and the page's scripts."""
    lang = page_language(request)
    title = html.escape(translate(lang, "title"))
    tagline = html.escape(translate(lang, "tagline"))
    scripts = (path.read_text(encoding="utf-8") for path in SCRIPTS)
    return Markup(
        f'<meta name="description" content="{tagline}">'
        f'<meta property="og:type" content="website">'
        f'<meta property="og:title" content="{title}">'
        f'<meta property="og:description" content="{tagline}">'
        + "".join(f"<script>{script}</script>" for script in scripts)
    )


def use() -> None:
    """Let Gradio serve the adapted template in this process."""
    environment = routes.templates.env
    known = environment.loader
    if known is None or isinstance(known, FunctionLoader):
        return
    environment.globals |= {"page_language": page_language, "page_head": page_head}
    environment.loader = _loader(known)


def _loader(known: BaseLoader) -> FunctionLoader:
    def load(name: str) -> str:
        source = known.get_source(routes.templates.env, name)[0]
        return adapted(source) if name == PAGE else source

    return FunctionLoader(load)
