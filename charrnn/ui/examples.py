"""Beginnings to choose from under the prompt, three for a model."""

import html
from typing import Final

from charrnn.runs.listing import ModelEntry
from charrnn.ui.texts import translate

COUNT: Final = 3
MAX_EXAMPLE: Final = 40  # characters
EXAMPLES: Final[dict[str, tuple[str, ...]]] = {  # by the key of a named text
    "shakespeare": ("ROMEO:\nO", "First Citizen:\nBefore we", "To be, or not"),
    "python-stdlib": ("def ", "class ", "import "),
}
DEFAULT_PROMPT: Final = EXAMPLES["shakespeare"][0]


def examples_of(entry: ModelEntry) -> tuple[str, ...]:
    """Beginnings that suit a model: its text's own, else those of its latest sample.

    A sample is for whoever may read the model; the text of a run is its owner's alone.
    """
    named = EXAMPLES.get(entry.record.corpus.key or "")
    if named is not None or not entry.is_run:
        return named or ()
    if not entry.now.view.samples:
        return ()
    sample = entry.now.view.samples[-1]
    lines = [_begin(line) for line in sample.text.splitlines()[1:-1]]
    begun = [sample.prompt[:MAX_EXAMPLE], *filter(None, lines)]
    return tuple(dict.fromkeys(begun))[:COUNT]


def _begin(line: str) -> str:
    """A line's first words."""
    words = line.strip()[:MAX_EXAMPLE].split()
    return " ".join(words[:3])


def example_chips(lang: str, examples: tuple[str, ...]) -> str:
    """Beginnings as buttons, which `generate.js` puts into the prompt; as HTML."""
    if not examples:
        return ""
    title = html.escape(translate(lang, "generate.examples"))
    buttons = "".join(_chip(lang, example) for example in examples)
    return f'<div class="chips" role="group" aria-label="{title}">{buttons}</div>'


def _chip(lang: str, example: str) -> str:
    seen = " ".join(example.replace("\n", " ⏎ ").split())
    told = translate(lang, "generate.example", text=seen)
    return (
        '<button class="chip" type="button" data-act="example" '
        f'title="{html.escape(told)}" data-prompt="{html.escape(example)}">'
        f"{html.escape(seen)}</button>"
    )
