"""What the page says: one JSON file a language, and the sentences made from it.

A file of `locales/` is a language: keys to texts, the same keys in each.
Sentences that carry numbers or names are made here, in the language that the
request asks for; fixed texts are put in by the browser (`labels`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import gradio as gr
from starlette.requests import cookie_parser

LOCALES: Final = Path(__file__).parent / "locales"
FALLBACK: Final = "en"
COOKIE: Final = "charrnn_lang"
HEADER: Final = "x-charrnn-lang"  # from pages that are shown without cookies


def load(folder: Path) -> dict[str, dict[str, str]]:
    """The texts of each language, by its code; `sentences` has the rest of a file."""
    tables: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        tables[path.stem] = {k: v for k, v in content.items() if k != "sentences"}
    return tables


TABLES: Final = load(LOCALES)


def language(request: gr.Request) -> str:
    """The language of a request: the one chosen in the page, else the browser's.

    A choice comes in the header `X-Charrnn-Lang` or the cookie `charrnn_lang`;
    then `Accept-Language` counts, its first language that is one of ours.
    """
    headers: Mapping[str, str] = request.headers
    chosen = headers.get(HEADER, "")
    remembered = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    accepted = headers.get("accept-language", "").split(",")
    for wanted in (chosen, remembered, *accepted):
        code = wanted.split(";")[0].strip().lower().split("-")[0]
        if code in TABLES:
            return code
    return FALLBACK


def translate(lang: str, key: str, **values: object) -> str:
    """A text with its values filled in, not yet escaped for HTML.

    Args:
        lang: A key of `TABLES`.
        key: A key of the locale files.
        **values: The numbers and names that the text has places for.
    """
    text = TABLES[lang][key]
    return text.format(**values) if values else text


def duration(lang: str, seconds: float) -> str:
    """A time as people say it, in two parts at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return translate(lang, "time.seconds", s=whole)
    if whole < 3600 and whole % 60 == 0:
        return translate(lang, "time.whole_minutes", m=whole // 60)
    if whole < 3600:
        return translate(lang, "time.minutes", m=whole // 60, s=whole % 60)
    return translate(lang, "time.hours", h=whole // 3600, m=whole % 3600 // 60)
