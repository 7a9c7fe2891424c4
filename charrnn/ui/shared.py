"""What the tabs share: who sees what, lists, errors, and small pieces of HTML.

Nothing of a visitor is kept in this process: what a page remembers lies in
its browser (`BrowserState`) and comes back with each request, as a stranger's
value that is checked here.
"""

import contextlib
import dataclasses
import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import gradio as gr
from gradio.utils import get_upload_folder

from charrnn.errors import RunError
from charrnn.hosting import policy
from charrnn.runs import listing, owner
from charrnn.runs.listing import ModelEntry
from charrnn.runs.owner import KEY_PATTERN, Owner
from charrnn.runs.quality import has_diverged
from charrnn.runs.states import LIVE
from charrnn.runs.store import HOSTED_PATTERN, find, is_name, may_read
from charrnn.ui.texts import translate
from charrnn.ui.wiring import Update

STORAGE_KEY: Final = "charrnn"
STORAGE_SECRET: Final = "charrnn-page"  # it ships to the browser: no secret
NEW_BROWSER: Final[dict[str, object]] = {"run": None, "held": [], "keys": {}}
MAX_HELD: Final = 200  # ids and keys that a browser remembers
Choice = tuple[str, str]


@dataclass(frozen=True)
class Browser:
    """What a browser remembers.

    Args:
        run: The run it follows.
        held: The ids it knows, those of links that it followed included.
        keys: The keys of those it owns, by id; empty on one's own computer.
    """

    run: str | None = None
    held: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, value: object) -> "Browser":
        """From whatever the browser sent; anything odd is dropped."""
        if not isinstance(value, dict):
            return cls()
        run, held = value.get("run"), value.get("held")
        ids = held if isinstance(held, list) else []
        return cls(
            run=run if isinstance(run, str) and is_name(run) else None,
            held=tuple(i for i in ids if isinstance(i, str) and is_name(i))[-MAX_HELD:],
            keys=_sound_keys(value.get("keys")),
        )

    def following(self, run_id: str | None) -> "Browser":
        """The same, following a run; a run once followed is held."""
        held = self.held
        if run_id is not None and run_id not in held:
            held = (*held, run_id)[-MAX_HELD:]
        return dataclasses.replace(self, run=run_id, held=held)

    def holding(self, model_id: str) -> "Browser":
        """The same, holding one more id."""
        held = self.following(model_id).held
        return dataclasses.replace(self, held=held)

    def owning(self, model_id: str, who: Owner | None) -> "Browser":
        """The same, holding one more id and, on a hosted page, its key."""
        if who is None:
            return self.holding(model_id)
        keys = _newest({**self.keys, model_id: who.key})
        return dataclasses.replace(self.holding(model_id), keys=keys)

    def without(self, model_id: str) -> "Browser":
        """The same once a model or run is deleted, which nobody follows then."""
        held = tuple(name for name in self.held if name != model_id)
        keys = {name: key for name, key in self.keys.items() if name != model_id}
        return Browser(None, held, keys)

    def owns(self, path: Path) -> bool:
        """Whether a model or run may be changed from this browser."""
        return owner.is_owner(path, self.keys.get(path.name, ""))

    def store(self) -> dict[str, object]:
        """The value to send: never empty, since empty ones are not saved."""
        return {"run": self.run, "held": list(self.held), "keys": dict(self.keys)}


def _sound_keys(value: object) -> dict[str, str]:
    """The keys by id that a browser has sent; anything odd is dropped."""
    given = value if isinstance(value, dict) else {}
    return _newest(
        {
            model_id: key
            for model_id, key in given.items()
            if isinstance(model_id, str)
            and isinstance(key, str)
            and HOSTED_PATTERN.fullmatch(model_id)
            and KEY_PATTERN.fullmatch(key)
        }
    )


def _newest(keys: Mapping[str, str]) -> dict[str, str]:
    return dict(list(keys.items())[-MAX_HELD:])


@dataclass(frozen=True)
class PageState:
    """What the page itself keeps, out of sight."""

    followed: gr.Textbox  # id of the run that this page follows, or nothing
    wake: gr.Button  # `page.js` presses it when there is something new of that run
    browser: gr.BrowserState  # a `Browser`


def checked_id(model_id: str) -> str:
    """The same id, if a visitor who knows it may read with it here.

    Raises:
        RunError: As if there were no such model; it does not repeat the id, which may
            have a key in it.
    """
    if not may_read(model_id):
        raise RunError("There is no such model or run here.")
    return model_id


def model_folder(model_id: str) -> Path:
    """The folder of a model that a visitor names.

    Raises:
        RunError: If there is no such model, or it is not theirs to name.
    """
    return find(checked_id(model_id))


def owned_id(model_id: str, key: str) -> str:
    """The same id, if its owner asks.

    Raises:
        RunError: If there is no such model, or the key is not its own.
    """
    owner.check_owner(model_folder(model_id), key)
    return model_id


def listed_ids(held: Iterable[str]) -> frozenset[str] | None:
    """The ids that a visitor's lists are made from, beside the shipped ones.

    On one's own computer None, which is all; on a hosted page those that the
    visitor's browser holds, as others' are nobody's business. No list of one visitor
    reads another's runs.
    """
    if not policy().secret_ids:
        return None
    return frozenset(name for name in held if HOSTED_PATTERN.fullmatch(name))


def model_label(lang: str, entry: ModelEntry) -> str:
    """A model in a list: title, loss, whether it still trains, its origin."""
    figures = entry.record.figures
    parts = [entry.record.title]
    if figures is None:
        parts.append(translate(lang, "generate.no_loss"))
    else:
        parts.append(f"{figures.val_loss:.3f}")
        if has_diverged(entry.record, entry.now):
            parts.append(translate(lang, "runs.diverged"))
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
    return [
        (model_label(lang, e), e.model_id) for e in listing.models(listed_ids(held))
    ]


def own_model_choices(lang: str, browser: Browser) -> list[Choice]:
    """The models that a visitor may take along: their own and the shipped ones."""
    return [
        (model_label(lang, entry), entry.model_id)
        for entry in listing.models(listed_ids(browser.held))
        if entry.shipped or browser.owns(entry.path)
    ]


def run_choices(lang: str, browser: Browser) -> list[Choice]:
    """The runs a visitor can follow, by label and id."""
    return [
        (f"{e.record.title} · {translate(lang, f'state.{e.state}')}", e.model_id)
        for e in listing.list_runs(listed_ids(browser.held))
    ]


def relisted(choices: list[Choice], before: str | None, now: str | None) -> Update:
    """A list that is made anew.

    Args:
        choices: What can be chosen now.
        before: What was chosen when the list was asked for.
        now: What shall be chosen. Where it is the same it is not sent: a visitor may
            choose another one before the answer comes.
    """
    if now == before:
        return gr.update(choices=choices)
    return gr.update(choices=choices, value=now)


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


def remove_upload(file: str | None) -> None:
    """Remove what a visitor has uploaded, wherever else it may have been read from."""
    if not file:
        return
    path = Path(file).resolve()
    if path.is_relative_to(Path(get_upload_folder()).resolve()):
        with contextlib.suppress(OSError):
            path.unlink()


def note(text: str, kind: str = "") -> str:
    """A line of plain text as HTML."""
    if not text:
        return ""
    return f'<p class="note {kind}">{html.escape(text)}</p>'


def scrolled(name: str, table: str) -> str:
    """A table as HTML that is scrolled where it is too wide, by keyboard as well.

    Args:
        name: What a screen reader calls it; plain text.
        table: HTML.
    """
    return (
        '<div class="table-scroll" tabindex="0" role="region" '
        f'aria-label="{html.escape(name)}">{table}</div>'
    )
