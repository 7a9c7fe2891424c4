"""Gradio keeps nothing of a visitor between two requests.

Gradio's `StateHolder` keeps, for each session, the value of every component that
it last saw, of any size, and every component that an update has changed; it drops
the sessions used least when there are too many. This page's handlers take all that
they need from the request and check it themselves, so each request gets the page's
components as they were built, and a session that nobody knows is like any other.

The choices that a dropdown was sent later are not known here either: `id_dropdown`
takes any id, and its handler says whether there is such a model.
"""

from typing import Any, Final

import gradio as gr
from gradio.blocks import Blocks
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder

from charrnn.errors import ConfigError

MAX_IDS: Final = 200  # that one value may hold


class _OneRequest(SessionState):
    """The components of a page as they were built, and what one request changes."""

    def __init__(self, blocks: Blocks) -> None:
        # not `super().__init__`: it copies what every component shows
        self.blocks_config = blocks.default_config
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self._changed: dict[int, Any] = {}  # components, by number

    def __getitem__(self, key: int) -> Any:
        changed = self._changed.get(key)
        return self.blocks_config.blocks[key] if changed is None else changed

    def __setitem__(self, key: int, value: Any) -> None:
        self._changed[key] = value

    def _update_config(self, key: int) -> None:
        """Keep nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep nothing."""


class NothingKept(StateHolder):
    """Gives each request the same components, whatever its session."""

    def __getitem__(self, session_id: str) -> SessionState:
        return _OneRequest(self.blocks)

    def __contains__(self, session_id: str) -> bool:
        return False


def keep_nothing(app: App) -> None:
    """Put `NothingKept` in the place of what an application keeps sessions in.

    Args:
        app: An application that has its blocks and has answered no request.
    """
    app.state_holder = NothingKept()  # type: ignore[no-untyped-call]
    app.state_holder.set_blocks(app.get_blocks())


def id_dropdown(**settings: Any) -> gr.Dropdown:
    """A dropdown of ids, whose handler checks what was chosen.

    Two methods of one object are replaced because Gradio writes a file beside the
    source of each subclass of a component.

    Args:
        **settings: As `gr.Dropdown` takes them.
    """
    dropdown = gr.Dropdown([], **settings)
    replaced = {"preprocess": take_ids, "_warn_if_invalid_choice": _accept}
    for name, method in replaced.items():
        setattr(dropdown, name, method)
    return dropdown


def take_ids(value: object) -> object:
    """Any id, or any few of them.

    Raises:
        ConfigError: If the value is neither.
    """
    ids = value if isinstance(value, list) else [value]
    if len(ids) > MAX_IDS or not all(isinstance(i, str | None) for i in ids):
        raise ConfigError("A list of models was sent something else than ids.")
    return value


def _accept(value: object) -> None:
    """The choices travel to the browser with the value."""
