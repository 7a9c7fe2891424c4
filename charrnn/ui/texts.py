"""What the page says: one JSON file a language, and the sentences made from it.

Fixed texts (labels, buttons, explanations) travel as keys, `i18n("key")`, and
the browser puts in its own language. Sentences that carry numbers or names
are written here, in the language that the browser asked for in its request.
All files of `locales/` have the same keys; English is the fallback.
"""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import gradio as gr

from charrnn.config import MODEL_SETTINGS, TRAINING_SETTINGS, setting_field

LOCALES: Final = Path(__file__).parent / "locales"


def load(folder: Path) -> dict[str, dict[str, str]]:
    """The texts of each language, by its code."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


SETTINGS: Final = (*MODEL_SETTINGS, *TRAINING_SETTINGS)
AUTOMATIC: Final = "validate_every"  # the one whose None is a choice, no limit


def _bounds(name: str, table: Mapping[str, str]) -> str:
    item = setting_field(name)
    low, high = item.metadata["low"], item.metadata["high"]
    parts = []
    if low is not None:
        shown = table["train.range"].format(low=shorten(low), high=shorten(high))
        parts.append(shown)
    if is_optional(name):
        key = "train.automatic" if name == AUTOMATIC else "train.optional"
        parts.append(table[key])
    return "".join(f" · {part}" for part in parts)


def is_optional(name: str) -> bool:
    """Whether a setting may be left empty."""
    return name in ("epochs", "minutes", AUTOMATIC)


def shorten(value: float) -> str:
    """A bound as people write it: 1,000 and 0.00001 and 2^63."""
    if value >= 2**53:
        return "2^63"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.10f}".rstrip("0").rstrip(".")


def _composed(table: dict[str, str]) -> dict[str, str]:
    """Texts that the browser cannot put together itself."""
    title, tagline = html.escape(table["title"]), html.escape(table["tagline"])
    empty = html.escape(table["train.empty"])
    return {
        **{f"help.{n}": table[f"help.{n}"] + _bounds(n, table) for n in SETTINGS},
        **{f"card.{i}": resting_card(table[f"generate.card.{i}"]) for i in range(4)},
        "masthead": f"<h1>{title}</h1><p>{tagline}</p>",
        "welcome": f'<p class="welcome">{empty}</p>',
    }


def resting_card(text: str, *, wide: bool = False) -> str:
    """A column in which nothing has been written yet, as HTML."""
    kind = "card wide" if wide else "card"
    return (
        f'<article class="{kind}"><p class="resting">{html.escape(text)}</p></article>'
    )


TABLES: Final = {
    lang: table | _composed(table) for lang, table in load(LOCALES).items()
}
i18n: Final = gr.I18n(**TABLES)


def language(request: gr.Request | None) -> str:
    """The language a browser asks for, `en` unless it is one of ours."""
    if request is None or request.headers is None:
        return "en"
    wanted = str(request.headers.get("accept-language", ""))
    for part in wanted.split(","):
        code = part.split(";")[0].strip().lower().split("-")[0]
        if code in TABLES:
            return code
    return "en"


def known(lang: str) -> str:
    """A language code from the browser, `en` if it is none of ours."""
    return lang if lang in TABLES else "en"


def say(lang: str, key: str, **values: Any) -> str:
    """A sentence with its values, as plain text: escape it where it is HTML."""
    text = TABLES[lang][key]
    return text.format(**values) if values else text


def duration(lang: str, seconds: float) -> str:
    """A time as people say it, in two parts at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return say(lang, "time.seconds", s=whole)
    if whole < 3600 and whole % 60 == 0:
        return say(lang, "time.whole_minutes", m=whole // 60)
    if whole < 3600:
        return say(lang, "time.minutes", m=whole // 60, s=whole % 60)
    return say(lang, "time.hours", h=whole // 3600, m=whole % 3600 // 60)
