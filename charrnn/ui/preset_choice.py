"""What another preset or another text changes in the form: all but what is one's own.

The page keeps, out of sight, which values it has put there itself: those of a preset,
with epochs for a text of some length. A value that differs is a person's own. It
stays, and that is said; a button takes the preset's instead.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import gradio as gr

from charrnn.presets import PRESETS, default_preset
from charrnn.text import sources
from charrnn.ui import form, init_form
from charrnn.ui.corpus_form import DEFAULT_SOURCE, TextSize
from charrnn.ui.init_form import SIZES
from charrnn.ui.settings import SETTINGS
from charrnn.ui.shared import note
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import SKIP, Form, Html, Update, flat

EXPECTED_CHARACTERS: Final = sources.NAMED[DEFAULT_SOURCE].size


@dataclass(frozen=True)
class Filled:
    """From what the page last filled the form.

    Args:
        preset: A key of `PRESETS`.
        characters: Of the text.
        init: Id of the model to begin from, whose sizes hold; empty without one.
    """

    preset: str
    characters: int
    init: str = ""

    @classmethod
    def of(cls, value: object) -> "Filled":
        """From what the browser sends back; anything odd counts as the beginning."""
        given = value if isinstance(value, dict) else {}
        preset, characters = given.get("preset"), given.get("characters")
        if not (isinstance(preset, str) and preset in PRESETS):
            preset = default_preset()
        if not (isinstance(characters, int) and characters > 0):
            characters = EXPECTED_CHARACTERS
        init = given.get("init")
        return cls(preset, characters, init if isinstance(init, str) else "")

    def values(self) -> dict[str, form.Value]:
        """The values that it stands for."""
        parent = init_form.parent_sizes(self.init)
        sizes = {} if parent is None else {n: getattr(parent, n) for n in SIZES}
        return form.start_values(self.preset, self.characters) | sizes

    def store(self) -> dict[str, object]:
        """The value to send."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class FillRequest(Form):
    """What the form stands on, and its values."""

    text_size: object  # as `TextSize.of` takes it
    preset: str
    init: str
    filled: object  # as `Filled.of` takes it
    settings: tuple[form.Value, ...]  # in the order of `SETTINGS`


class FillUpdate(NamedTuple):
    """What filling the form changes."""

    filled: dict[str, object]
    kept: Html  # which settings stay as they are
    take_preset: Update  # the button that changes them, too
    settings: tuple[form.Value | Update, ...]


def own_settings(given: Mapping[str, form.Value], filled: Filled) -> list[str]:
    """The settings that a person has changed since the form was filled."""
    values = filled.values()  # an empty number may come as 0
    return [n for n in SETTINGS if (given[n] or None) != (values[n] or None)]


def _fill(request: gr.Request, asked: FillRequest, *, everything: bool) -> FillUpdate:
    lang, before = language(request), Filled.of(asked.filled)
    size = TextSize.of(asked.text_size)
    characters = size.characters if size else EXPECTED_CHARACTERS
    now = Filled.of({"preset": asked.preset, "characters": characters})
    now = dataclasses.replace(now, init=asked.init)
    given = dict(zip(SETTINGS, asked.settings, strict=True))
    own = [] if everything else own_settings(given, before)
    if now.init:  # its sizes hold, whatever was set
        own = [name for name in own if name not in SIZES]
    # what is there already is not sent: it may be edited before the answer comes
    values: dict[str, form.Value | Update] = {
        name: SKIP if name in own or value == given[name] else value
        for name, value in now.values().items()
    }
    if now.init or before.init:
        for name in SIZES:
            fixed = gr.update(interactive=not now.init)
            values[name] = (
                fixed if values[name] is SKIP else {**fixed, "value": values[name]}
            )
    names = translate(lang, "list.comma").join(
        translate(lang, f"setting.{name}") for name in own
    )
    kept = note(translate(lang, "train.kept", names=names)) if own else ""
    shown = gr.update(visible=bool(own))
    return FillUpdate(now.store(), kept, shown, tuple(values.values()))


def fill(request: gr.Request, *values: object) -> tuple[object, ...]:
    """Put a preset's values there, with epochs for the text; one's own stay."""
    return flat(_fill(request, FillRequest.read(values), everything=False))


def take_preset(request: gr.Request, *values: object) -> tuple[object, ...]:
    """Put all of a preset's values there, instead of one's own too."""
    return flat(_fill(request, FillRequest.read(values), everything=True))
