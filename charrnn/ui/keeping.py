"""What a reload brings back: the form and the texts that were written.

`page.js` keeps both in the browser tab's own storage (`sessionStorage`), which ends
with the tab; the page's process takes no part in it. Any field of the forms named
below is kept, passwords and files apart.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import gradio as gr
from gradio.blocks import Block, BlockContext, Blocks
from gradio.events import Dependency

from charrnn.ui.wiring import QUIET

KINDS: Final = (
    gr.Textbox,
    gr.Number,
    gr.Slider,
    gr.Radio,
    gr.Checkbox,
    gr.Dropdown,
    gr.JSON,
)


def fields_in(context: BlockContext) -> dict[str, Block]:
    """The fields inside a part of the page that a reload brings back, by `elem_id`."""
    return {
        str(block.elem_id): block
        for block in _inside(context)
        if isinstance(block, KINDS)
        and block.elem_id
        and getattr(block, "type", "text") != "password"
    }


def _inside(context: BlockContext) -> Iterator[Block]:
    for child in context.children:
        yield child
        if isinstance(child, BlockContext):
            yield from _inside(child)


def keep(fields: dict[str, Block]) -> None:
    """Keep each value whenever it changes."""
    for name, field in fields.items():
        script = f"(value) => charrnn.keep({json.dumps(name)}, value)"
        field.change(None, field, None, js=script, **QUIET)  # type: ignore[attr-defined]


def bring_back(after: Dependency | Blocks, fields: dict[str, Block]) -> Dependency:
    """Put the kept values into the fields.

    Args:
        after: The event that fills the form otherwise.
        fields: As `fields_in` finds them.
    """
    script = f"() => charrnn.kept({json.dumps(list(fields))})"
    outputs = list(fields.values())
    return after.then(None, None, outputs, js=script, **QUIET)  # type: ignore[union-attr, no-any-return]


def bring_back_texts(
    after: Dependency, shown: Sequence[Block], cards: Sequence[Block]
) -> Dependency:
    """Put the written texts back, those that were cut off marked so.

    Args:
        after: The event before.
        shown: The row of several columns and that of a single text.
        cards: The HTML of each column, of the single text, and of the status line,
            each with its `elem_id`.
    """
    ids = json.dumps([card.elem_id for card in cards])
    script = f"() => charrnn.keptTexts({ids})"
    outputs = [*shown, *cards]
    return after.then(None, None, outputs, js=script, **QUIET)  # type: ignore[no-any-return]
