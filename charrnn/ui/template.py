"""The HTML that a browser gets first: Gradio's template, with a head of this page's.

Gradio's own head would show Gradio's name and picture where a link to the page is
previewed. This page's says what it is, in the language of whoever asks, and runs
`page.js` before Gradio reads the browser's language. The comparison that a first
visitor finds is among what the components begin with: so it stands there as soon as
Gradio has built the page, before it has asked for anything.
"""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio import routes
from jinja2 import BaseLoader, FunctionLoader
from markupsafe import Markup
from starlette.requests import Request

from charrnn.runs.store import SHIPPED_ID
from charrnn.ui import links, stored
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
_CONFIG = "{{ config | toorjson }}"


def adapted(source: str) -> str:
    """Gradio's template with this page's head in place of its previews.

    Raises:
        ValueError: If it is no longer built as expected: that is a new Gradio's doing.
    """
    if any(source.count(place) != 1 for place in (_LANGUAGE, _FIRST, _CONFIG)):
        raise ValueError(f"{PAGE} has no place for the language, head or values.")
    source = _PREVIEW.sub("", source)
    source = source.replace(_CONFIG, "{{ page_config(config, request) | toorjson }}")
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


def page_config(config: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """The components and their values, those of the stored comparison among them.

    `generate_form.opened` takes it away where the visitor has other texts; `page.js`
    hides it from them until then.
    """
    link = links.parse(request.query_params)
    found = None if link else stored.shown(page_language(request), SHIPPED_ID)
    if found is None:
        return dict(config)
    values = {f"card-{number}": card for number, card in enumerate(found.cards)}
    values["writing-status"] = found.status
    components = [_filled(one, values) for one in config["components"]]
    return {**config, "components": components}


def _filled(component: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A component, with its value by its `elem_id` where there is one."""
    props = component["props"]
    value = values.get(props.get("elem_id"))
    if value is None:
        return component
    return {**component, "props": {**props, "value": value}}


def use() -> None:
    """Let Gradio serve the adapted template in this process."""
    environment = routes.templates.env
    known = environment.loader
    if known is None or isinstance(known, FunctionLoader):
        return
    functions = (page_language, page_head, page_config)
    environment.globals |= {function.__name__: function for function in functions}
    environment.loader = _loader(known)


def _loader(known: BaseLoader) -> FunctionLoader:
    def load(name: str) -> str:
        source = known.get_source(routes.templates.env, name)[0]
        return adapted(source) if name == PAGE else source

    return FunctionLoader(load)
