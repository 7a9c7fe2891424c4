"""The text to train on: where the form takes it from, and its facts."""

import html
from pathlib import Path
from typing import Final, NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError, CorpusError
from charrnn.files import unescaped
from charrnn.hosting import policy
from charrnn.text import corpus, joined, sources
from charrnn.text.corpus import Corpus
from charrnn.ui.sentences import say
from charrnn.ui.shared import note
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import Update

UPLOAD, PASTE, HUB = "upload", "paste", "hub"
OFFLINE: Final = "python-stdlib"
DEFAULT_SOURCE: Final = "shakespeare"
EXCERPT: Final = 250  # characters
MAX_FILES: Final = 200  # that are uploaded to be joined
SHOWN_PARTS: Final = 5  # names of joined texts


def read_corpus(
    source: str,
    files: list[str] | None,
    pasted: str,
    separator: str | None,
    progress: gr.Progress | None = None,
) -> Corpus | None:
    """The text that the form stands for; None while there is none.

    Args:
        source: The name of a text, `upload`, `paste` or `hub`.
        files: The uploaded files: one text, several, or zips of texts; or what was
            read from the Hub.
        pasted: The pasted text.
        separator: What stands between several, as `charrnn.files.escaped` has it.
        progress: Shows how far a download is.

    Raises:
        CorpusError: If it cannot be read or downloaded, or is no text.
    """
    limit = policy().max_text_bytes
    if source == PASTE:
        return (
            corpus.from_text(pasted, name="pasted", max_bytes=limit) if pasted else None
        )
    if source in (UPLOAD, HUB):
        return _read_files(files, separator or "", limit) if files else None
    if source not in sources.NAMED:
        raise CorpusError(f"There is no text {source[:40]!r}.")
    return sources.load(source, max_bytes=limit, progress=_reporter(progress))


def _are_several(source: str, files: list[str] | None) -> bool:
    """Whether what was uploaded is joined of texts."""
    if source != UPLOAD or not files:
        return False
    return len(files) > 1 or joined.is_zip(Path(files[0]))


def _read_files(files: list[str], separator: str, limit: int) -> Corpus:
    if len(files) > MAX_FILES:  # a browser may name one file any number of times
        raise CorpusError(
            f"{len(files):,} files are given: at most {MAX_FILES:,} are taken as one "
            "text. Put them into a zip."
        )
    paths = sorted(map(Path, files), key=lambda path: path.name)
    name = joined.name_of_all([path.name for path in paths])
    try:
        if not _are_several(UPLOAD, files):
            data = sources.read_file(paths[0], max_bytes=limit)
            return corpus.decode(data, name=name, max_bytes=limit)
        parts, notices = joined.read_parts(paths, name, limit)
    except OSError as error:
        raise CorpusError(
            f"{name} is not here any more ({error.strerror}): upload it again."
        ) from error
    return joined.join(
        parts,
        name=name,
        max_bytes=limit,
        separator=unescaped(separator),
        notices=notices,
    )


def _reporter(progress: gr.Progress | None) -> sources.OnBytes | None:
    if progress is None:
        return None

    def report(done: int, total: int) -> None:
        progress(done / max(1, total), desc=f"{done / 1e6:.1f} / {total / 1e6:.1f} MB")

    return report


class TextSize(NamedTuple):
    """What the estimate needs of a text."""

    characters: int
    vocab_size: int

    @classmethod
    def of(cls, value: object) -> "TextSize | None":
        """From what the browser sends back; anything odd counts as none."""
        if not isinstance(value, dict):
            return None
        characters, vocab_size = value.get("characters"), value.get("vocab_size")
        if isinstance(characters, int) and isinstance(vocab_size, int):
            return cls(characters, vocab_size)
        return None


class TextUpdate(NamedTuple):
    """What choosing a text changes."""

    facts: str  # HTML
    text_size: dict[str, int] | None  # a `TextSize`, for the estimate
    offline: Update  # the button that offers the offline text
    train: Update  # the Train button, which needs a text
    separator: Update  # what stands between several texts


def facts_html(lang: str, text: Corpus, distinct: int, notices: tuple[str, ...]) -> str:
    """The tutorial's facts of a text, its beginning, and what to know of it."""
    train = corpus.split_at(len(text.text))
    facts = [
        translate(lang, "facts.characters", count=len(text.text)),
        translate(lang, "facts.distinct", count=distinct),
        translate(lang, "facts.split", train=train, val=len(text.text) - train),
    ]
    spans = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts)
    names = ""
    if text.parts:
        spans += f"<span>{translate(lang, 'facts.texts', count=text.texts)}</span>"
        more = " …" if text.texts > SHOWN_PARTS else ""
        names = note(", ".join(text.parts[:SHOWN_PARTS]) + more)
    begin = html.escape(text.text[:EXCERPT])
    label = html.escape(translate(lang, "facts.begin"))
    warnings = "".join(
        note(say(lang, notice), "warn") for notice in (*text.notices, *notices)
    )
    return (
        f'<div class="facts">{spans}</div>{names}<div class="excerpt written" '
        f'dir="auto" tabindex="0" role="region" aria-label="{label}">{begin}</div>'
        f"{warnings}"
    )


def look(
    request: gr.Request,
    source: str,
    file: list[str] | None,
    pasted: str | None,
    separator: str | None,
    fetched: str | None = None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
) -> TextUpdate:
    """Read the chosen text and show its facts; a failure offers another text."""
    lang, hidden = language(request), gr.update(visible=False)
    resting = gr.update(interactive=False)
    between = gr.update(visible=_are_several(source, file))
    files = chosen_files(source, file, fetched)
    try:
        text = read_corpus(source, files, pasted or "", separator, progress)
        if text is None:
            missing = note(missing_text(lang, source))
            return TextUpdate(missing, None, hidden, resting, between)
        vocabulary, notices = corpus.vocabulary_of(text.text)
    except CharrnnError as error:
        offer = gr.update(visible=source in sources.NAMED and source != OFFLINE)
        told = note(say(lang, str(error)), "warn")
        return TextUpdate(told, None, offer, resting, between)
    facts = facts_html(lang, text, len(vocabulary) - 1, notices)
    size = TextSize(len(text.text), len(vocabulary))
    ready = gr.update(interactive=True)
    return TextUpdate(facts, size._asdict(), hidden, ready, between)


def chosen_files(
    source: str, file: list[str] | None, fetched: str | None
) -> list[str] | None:
    """The files that the chosen kind of text is made of."""
    if source == HUB:
        return [fetched] if fetched else None
    return file


def missing_text(lang: str, source: str) -> str:
    """What to do where a file, a pasted text or one from the Hub is awaited."""
    if source == HUB:
        return translate(lang, "facts.none_hub")
    return translate(
        lang, "facts.none_upload" if source == UPLOAD else "facts.none_paste"
    )


def show_box(source: str) -> tuple[Update, Update, Update]:
    """The box that the chosen kind of text needs: file, pasting, or the Hub."""
    return (
        gr.update(visible=source == UPLOAD),
        gr.update(visible=source == PASTE),
        gr.update(visible=source == HUB),
    )


def take_offline() -> str:
    """The text that needs no network."""
    return OFFLINE
