"""How a unit came to be, over the steps of a training that were kept.

A film colours the beginning of the text by the unit's output after each step, a table
tells how far it followed its mark by then. What the model wrote at these steps is
compared on the Generate tab, to which a button leads.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import gradio as gr
from gradio.blocks import Block

from charrnn.model import snapshots
from charrnn.ui import film, inside_map, looking
from charrnn.ui.film import Moment
from charrnn.ui.labels import i18n
from charrnn.ui.looking import Course
from charrnn.ui.run_actions import WriteUpdate, write_with
from charrnn.ui.shared import model_folder, note
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Html, Update

SHOWN: Final = 600  # characters of the text that the film colours


class StepsUpdate(NamedTuple):
    """What another unit changes; the components in their order."""

    row: Update = SKIP
    shown: Html = SKIP


@dataclass(frozen=True)
class Steps:
    """The components."""

    row: gr.Row
    trace: gr.Button
    write: gr.Button
    shown: gr.HTML

    def offered(self) -> list[Block]:
        """The outputs of `offer`."""
        return [self.row, self.shown]


def build() -> Steps:
    """Lay the part out; the buttons are hidden where a model has one step alone."""
    with gr.Row(visible=False, elem_id="unit-steps") as row:
        trace = gr.Button(i18n("course.show"), size="sm", elem_id="unit-trace")
        write = gr.Button(i18n("course.write"), size="sm", elem_id="unit-write")
    shown = gr.HTML(elem_id="unit-course", apply_default_css=False)
    return Steps(row, trace, write, shown)


def offer(lang: str, model: str | None) -> StepsUpdate:
    """The buttons, where steps of the model's training are here."""
    if len(snapshots.steps(model_folder(model or ""))) < 2:
        told = note(translate(lang, "course.none"))
        return StepsUpdate(gr.update(visible=False), told)
    return StepsUpdate(gr.update(visible=True), "")


def show(
    request: gr.Request,
    model: str | None,
    text: str | None,
    unit: str | None,
    mark: str | None,
) -> str:
    """The film of a unit, and how far it followed its mark at each step.

    Args:
        request: Tells the language and the visitor.
        model: Whose unit it is.
        text: That was looked at.
        unit: ``layer.unit``.
        mark: What it follows.
    """
    lang = language(request)
    with looking.one_at_a_time(lang, visitor_of(request)):
        steps = looking.course(lang, model, text, unit, mark)
    caption = translate(lang, "course.caption", unit=unit)
    key = f"{model} {unit} {mark}"
    return (
        inside_map.said(f"<h4>{html.escape(caption)}</h4>")
        + _film(lang, key, (text or "")[:SHOWN], steps)
        + _table(lang, caption, steps)
    )


def _film(lang: str, key: str, text: str, steps: Sequence[Course]) -> str:
    """The text by the unit's output at each step, all on one scale."""
    parts = [one.outputs[: len(text)] for one in steps]
    low = min(float(part.min()) for part in parts)
    high = max(float(part.max()) for part in parts)
    moments = []
    for one, part in zip(steps, parts, strict=True):
        kinds = inside_map.step_kinds(inside_map.steps_between(part, low, high))
        heads = (
            translate(lang, "sample.head", step=one.step),
            translate(lang, "course.head", value=f"{one.correlation:+.2f}"),
        )
        inside = inside_map.spans(text, kinds)
        moments.append(Moment(one.step, heads, "reading shaded", inside))
    about = translate(lang, "course.about", characters=f"{len(text):,}")
    scale = inside_map.scale(translate(lang, "course.legend"), low, high)
    return scale + film.frames(lang, key, about, moments)


def _table(lang: str, caption: str, steps: Sequence[Course]) -> str:
    rows = [
        (f"{one.step:,}", f"{one.correlation:+.2f}", _bar(one.correlation))
        for one in steps
    ]
    head = [html.escape(translate(lang, "course.step"))]
    head += [html.escape(translate(lang, "course.correlation")), ""]
    return inside_map.table(caption, head, rows)


def _bar(value: float) -> str:
    """A correlation as a bar, which says no more than the number beside it."""
    width = round(100 * abs(value))
    return f'<meter aria-hidden="true" max="100" value="{width}"></meter>'


class ComparedUpdate(NamedTuple):
    """What comparing steps changes in the page and its Generate tab."""

    tabs: Update
    model: Update
    prompt: str | Update
    by: str


def write(
    request: gr.Request, model: str | None, browser: object, prompt: str | None
) -> tuple[object, ...]:
    """Go to the Generate tab, where steps of the model's training are compared.

    Args:
        request: Tells the language.
        model: Whose steps.
        browser: As `Browser.of` takes it.
        prompt: What stands there; it stays where the visitor wrote it.

    Raises:
        RunError: If there is no such model.
    """
    written: WriteUpdate = write_with(request, model or "", browser, prompt or "")
    return ComparedUpdate(*written, by="step")
