"""What the tabs share: who sees what, lists, errors, and small pieces of HTML.

Nothing of a visitor is kept in this process: what a page remembers lies in
its browser (`BrowserState`) and comes back with each request, as a stranger's
value that is checked here.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import gradio as gr

from charrnn.errors import CharrnnError, RunError
from charrnn.hosting import policy
from charrnn.runs import listing
from charrnn.runs.listing import ModelEntry, Unreadable
from charrnn.runs.states import LIVE
from charrnn.runs.store import ID_PATTERN, SHIPPED_ID, find
from charrnn.ui.texts import translate
from charrnn.ui.wiring import Update

STORAGE_KEY: Final = "charrnn"
STORAGE_SECRET: Final = "charrnn-page"  # it ships to the browser: no secret
NEW_BROWSER: Final[dict[str, object]] = {"run": None, "held": []}
MAX_HELD: Final = 200  # ids that a browser remembers
KEY: Final = re.compile(r"[0-9a-f]{32}")  # as `runs.hosted_id` makes them
Choice = tuple[str, str]
Listed = TypeVar("Listed", ModelEntry, Unreadable)


@dataclass(frozen=True)
class Browser:
    """What a browser remembers: the run it follows, the ids it holds."""

    run: str | None = None
    held: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: object) -> "Browser":
        """From whatever the browser sent; anything odd is dropped."""
        if not isinstance(value, dict):
            return cls()
        run, held = value.get("run"), value.get("held")
        ids = held if isinstance(held, list) else []
        return cls(
            run=run if isinstance(run, str) and ID_PATTERN.fullmatch(run) else None,
            held=tuple(
                i for i in ids if isinstance(i, str) and ID_PATTERN.fullmatch(i)
            )[-MAX_HELD:],
        )

    def following(self, run_id: str | None) -> "Browser":
        """The same, following a run; a run once followed is held."""
        if run_id is None or run_id in self.held:
            return Browser(run_id, self.held)
        return Browser(run_id, (*self.held, run_id)[-MAX_HELD:])

    def holding(self, model_id: str) -> "Browser":
        """The same, holding one more id."""
        return Browser(self.run, self.following(model_id).held)

    def store(self) -> dict[str, object]:
        """The value to send: never empty, since empty ones are not saved."""
        return {"run": self.run, "held": list(self.held)}


@dataclass(frozen=True)
class PageState:
    """What the page itself keeps, out of sight."""

    followed: gr.Textbox  # id of the run that this page follows, or nothing
    browser: gr.BrowserState  # a `Browser`


def checked_id(model_id: str) -> str:
    """The same id, if a visitor who knows it may use it here.

    On a hosted page an id is the only key to a run, so one that could be
    guessed, as a local run's readable id can, opens nothing.

    Raises:
        RunError: As if there were no such model.
    """
    if policy().secret_ids and model_id != SHIPPED_ID and not KEY.fullmatch(model_id):
        raise RunError("There is no such model or run here.")
    return model_id


def model_folder(model_id: str) -> Path:
    """The folder of a model that a visitor names.

    Raises:
        RunError: If there is no such model, or it is not theirs to name.
    """
    return find(checked_id(model_id))


def visible(found: Iterable[Listed], held: Sequence[str]) -> list[Listed]:
    """The entries that a visitor may see in a list.

    On one's own computer all of them; on a hosted page the shipped ones and
    those whose ids the visitor's browser holds, since an id is the only key.
    """
    if not policy().secret_ids:
        return list(found)
    keys = {name for name in held if KEY.fullmatch(name)}
    return [entry for entry in found if entry.shipped or entry.model_id in keys]


def model_label(lang: str, entry: ModelEntry) -> str:
    """A model in a list: title, loss, whether it still trains, its origin."""
    figures = entry.record.figures
    parts = [entry.record.title]
    if figures is None:
        parts.append(translate(lang, "generate.no_loss"))
    else:
        parts.append(f"{figures.val_loss:.3f}")
    if entry.state in LIVE:
        parts.append(translate(lang, "generate.still_training"))
    if entry.record.origin is not None:
        parts.append(entry.record.origin.repo)
    return " · ".join(parts)


def model_choices(lang: str, browser: Browser, also: str = "") -> list[Choice]:
    """The models a visitor can choose, by label and id.

    Args:
        lang: Language of the labels.
        browser: What the visitor's browser holds.
        also: One more id that the visitor named (in a link, say): whoever
            knows an id may use it.
    """
    held = (*browser.held, also)
    return [(model_label(lang, e), e.model_id) for e in visible(listing.models(), held)]


def run_choices(lang: str, browser: Browser) -> list[Choice]:
    """The runs a visitor can follow, by label and id."""
    return [
        (f"{e.record.title} · {translate(lang, f'state.{e.state}')}", e.model_id)
        for e in visible(listing.list_runs(), browser.held)
    ]


def flag_field(problem: str, info: object, *classes: str) -> Update:
    """A field's update: flagged with what is wrong, or as it was.

    Gradio's own validators flag a field only until the next event of the page,
    and this page polls.

    Args:
        problem: The sentence; empty if nothing is wrong.
        info: What explains the field otherwise.
        *classes: The field's own style classes.
    """
    wrong = ["wrong"] if problem else []
    return gr.update(info=problem or info, elem_classes=[*classes, *wrong])


def page_error(error: CharrnnError) -> gr.Error:
    """An error as Gradio takes it; `border` makes it safe to show."""
    return gr.Error(str(error), print_exception=False, title="")


def note(text: str, kind: str = "") -> str:
    """A line of plain text as HTML."""
    if not text:
        return ""
    return f'<p class="note {kind}">{html.escape(text)}</p>'
