"""The columns that written text stands in, and the line under them: HTML."""

import dataclasses
import html
from collections.abc import Iterable, Sequence

from charrnn.inside import surprise
from charrnn.model.record import Record
from charrnn.runs import store
from charrnn.runs.figures import TextFigures
from charrnn.text.named import CODE
from charrnn.ui import links
from charrnn.ui.links import Link
from charrnn.ui.shared import note
from charrnn.ui.texts import translate


def written_class(record: Record) -> str:
    """The style classes of a text that a model wrote."""
    return "written code" if record.corpus.key in CODE else "written"


def _card_class(*, wide: bool = False, stored: bool = False) -> str:
    return "card" + (" wide" if wide else "") + (" stored" if stored else "")


def resting_card(text: str, *, wide: bool = False) -> str:
    """A column in which nothing has been written yet."""
    return (
        f'<article class="{_card_class(wide=wide)}">'
        f'<p class="resting">{html.escape(text)}</p></article>'
    )


def file_name(link: Link, temperature: float) -> str:
    """What a downloaded text is called."""
    parts = [store.slug(link.model), f"{temperature:g}", str(link.seed)]
    if link.step is not None:
        parts.append(f"step{link.step}")
    if link.top_p != Link.top_p:
        parts.append(f"top{link.top_p:g}")
    return "-".join(parts) + ".txt"


def next_strip(lang: str) -> str:
    """Where `generate.js` draws what may come next after the prompt."""
    words = {
        "at": translate(lang, "next.at"),
        "cut": translate(lang, "next.cut"),
        "said": translate(lang, "next.said"),
        "choice": translate(lang, "choice.title"),
        "one": translate(lang, "choice.one"),
        "column": translate(lang, "choice.column"),
        "go-on": translate(lang, "choice.go_on"),
        "close": translate(lang, "choice.close"),
    }
    data = "".join(
        f' data-{name}="{html.escape(word)}"' for name, word in words.items()
    )
    title = html.escape(translate(lang, "next.title"))
    return (
        f'<section id="next-strip" aria-labelledby="next-title"{data}>'
        f'<p class="next-head"><strong id="next-title">{title}</strong>'
        '<span id="next-setting"></span><span id="next-cut"></span></p>'
        '<ol id="next-bars" aria-labelledby="next-title"></ol>'
        '<p class="note" id="next-note"></p>'
        '<p class="unseen" aria-live="polite" id="next-said"></p></section>'
    )


def legend(label: str, items: Iterable[tuple[str, str]], *, elem_id: str = "") -> str:
    """What style classes of characters mean: each and its words."""
    parts = "".join(
        f'<li><i class="ch {kind}">a</i>{html.escape(words)}</li>'
        for kind, words in items
    )
    named = f' id="{elem_id}"' if elem_id else ""
    name = html.escape(label)
    return f'<ul class="legend shaded"{named} aria-label="{name}">{parts}</ul>'


def probability_legend(lang: str, label: str, *, elem_id: str = "") -> str:
    """What the six steps of a character's probability mean, wherever they colour."""
    percents = [f"{100 * share:g}" for share in surprise.STEPS]
    words = [translate(lang, "colour.least", percent=p) for p in percents]
    words.append(translate(lang, "colour.less", percent=percents[-1]))
    kinds = (f"p{step}" for step in range(len(words)))
    return legend(label, zip(kinds, words, strict=True), elem_id=elem_id)


def colour_legend(lang: str) -> str:
    """What the colours of `generate.js` mean: probabilities at temperature 1."""
    return probability_legend(lang, translate(lang, "colour.legend"), elem_id="colours")


def card_head(
    lang: str,
    link: Link,
    temperature: float,
    *,
    written: str,
    wide: bool = False,
    stored: bool = False,
    by: str = Link.by,
) -> str:
    """A column up to where the model's own text begins.

    It stays open: each frame that is streamed begins like the one before, so
    that only what was added travels; the browser closes what is left open.

    Args:
        lang: Language code.
        link: What is written.
        temperature: That of this column.
        written: Style classes of the text.
        wide: Whether the column takes the whole width.
        stored: Whether the text was written before the visitor came.
        by: What the text is compared with others by, see `Link`.
    """
    name = html.escape(file_name(link, temperature))
    copied = html.escape(translate(lang, "generate.copied"))
    copy = html.escape(translate(lang, "generate.copy"))
    save = html.escape(translate(lang, "generate.save"))
    # all but the prompt, which stands there to be read
    own = dataclasses.replace(link, prompt="", temperatures=(temperature,))
    data = html.escape(links.encode(own))
    return (
        f'<article class="{_card_class(wide=wide, stored=stored)}">'
        f'<div class="tools">{_stored_tag(lang) if stored else ""}'
        f"{_earlier(lang, own, by)}"
        f'<button class="tool" type="button" data-act="copy" data-done="{copied}">'
        f"{copy}</button>"
        f'<button class="tool" type="button" data-act="save" data-file="{name}">'
        f"{save}</button></div>"
        f'<div class="{written}" dir="auto" tabindex="0" data-link="{data}" '
        f'data-temperature="{temperature:g}">'
        f'<span class="prompt">{html.escape(link.prompt)}</span>'
    )


def _stored_tag(lang: str) -> str:
    tag = html.escape(translate(lang, "generate.stored_tag"))
    return f'<span class="tag">{tag}</span>'


def _earlier(lang: str, link: Link, by: str) -> str:
    """Where `generate.js` says that the settings are others than this text's."""
    (temperature,) = link.temperatures
    values = {"temperature": f"{temperature:g}", "seed": link.seed}
    own = {
        "temperature": values["temperature"],
        "model": link.model,
        "step": f"{link.step:,}" if link.step is not None else "",
        "top_p": f"{link.top_p:g}",
    }
    at = translate(lang, f"written.{by}", value=own[by])
    since = translate(lang, "generate.changed_since")
    told = translate(lang, "generate.written_with", length=link.length, **values)
    more = [
        translate(lang, f"compared.{name}", value=own[name])
        for name, special in (
            ("step", link.step is not None),
            ("top_p", link.top_p != Link.top_p),
        )
        if special
    ]
    words = {
        **{"data-by": by, "data-at": at, "data-since": since},
        "title": f"{link.model}: {', '.join([told, *more])}",
    }
    named = "".join(f' {name}="{html.escape(word)}"' for name, word in words.items())
    return f'<span class="earlier"{named}></span>'


def highlight(text: str, passages: Sequence[tuple[int, int]]) -> str:
    """A text as HTML with some passages (start, end) highlighted."""
    parts, done = [], 0
    for start, end in passages:
        parts.append(html.escape(text[done:start]))
        parts.append(f"<mark>{html.escape(text[start:end])}</mark>")
        done = end
    return "".join(parts) + html.escape(text[done:])


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def figure(lang: str, name: str, value: float | None) -> str:
    """One figure of a text, explained where the pointer or the focus is."""
    if value is None:
        return ""
    told = f"{value:.2f}" if name == "surprise" else percent(value)
    label = html.escape(translate(lang, f"figure.{name}", value=told))
    meaning = html.escape(translate(lang, f"figure.{name}_help"))
    return (
        f'<span class="figure" tabindex="0">{label}'
        f'<span class="tip" role="tooltip">{meaning}</span></span>'
    )


def card_tail(lang: str, figures: TextFigures, bits: Sequence[float]) -> str:
    """What closes a finished text, and its figures.

    Args:
        lang: Language code.
        figures: Of the text.
        bits: Of each character, for the browser, which colours by them.
    """
    values = dataclasses.asdict(figures).items()
    line = "".join(figure(lang, name, value) for name, value in values)
    data = " ".join(f"{one:.2f}" for one in bits)
    return (
        f'</div><span class="bits" hidden data-bits="{data}"></span>'
        f'<p class="text-figures">{line}</p>'
    )


def progress_line(sentence: str) -> str:
    """What happens now, announced to screen readers."""
    return f'<p class="status" role="status">{html.escape(sentence)}</p>'


def status_line(lang: str, link: Link, texts: Sequence[str]) -> str:
    """What was written, with which seed, and the link that reproduces it."""
    count = translate(lang, "generate.done", count=sum(map(len, texts)))
    return _linked_line(lang, link, count)


def started_line(lang: str, link: Link) -> str:
    """That something is being written, and out of sight what Stop leaves there."""
    stopped = _linked_line(lang, link, translate(lang, "generate.stopped"))
    return (
        f"{progress_line(translate(lang, 'generate.writing'))}"
        f'<div class="after-stop" hidden>{stopped}</div>'
    )


def _linked_line(lang: str, link: Link, first: str) -> str:
    href = html.escape(links.build(link))
    seed = translate(lang, "generate.seed_is", seed=link.seed)
    title = html.escape(translate(lang, "generate.link_machine"))
    this = html.escape(translate(lang, "generate.link"))
    copied = html.escape(translate(lang, "generate.copied"))
    copy = html.escape(translate(lang, "generate.copy_link"))
    return (
        '<div class="status" role="status">'
        f"<span>{html.escape(first)}</span><span>{html.escape(seed)}</span>"
        f'<a href="{href}" title="{title}" target="_blank" rel="noopener">{this}</a>'
        f'<button class="tool" type="button" data-act="link" data-done="{copied}">'
        f"{copy}</button></div>"
    )


def unknown_note(lang: str, unknown: str) -> str:
    """Names the characters of a prompt that the model has never seen."""
    if not unknown:
        return ""
    named = " ".join(c if c.isprintable() and c != " " else ascii(c) for c in unknown)
    sentence = translate(lang, "generate.unknown", characters=f"“{named[:120]}”")
    return note(sentence, "warn")
