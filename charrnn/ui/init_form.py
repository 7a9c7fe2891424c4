"""The model that a training begins from, if any: its sizes and characters hold."""

from pathlib import Path
from typing import Final

import gradio as gr

from charrnn.config import ModelConfig
from charrnn.errors import CharrnnError
from charrnn.model import checkpoint
from charrnn.ui.labels import i18n
from charrnn.ui.sessions import id_dropdown
from charrnn.ui.shared import (
    Browser,
    model_folder,
    own_model_choices,
    owned_id,
    relisted,
)
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import Update

SIZES: Final = ("cell", "embedding_dim", "rnn_units", "num_layers")
NOTHING: Final = ""  # the choice of a new network


def build() -> gr.Dropdown:
    """The list, which is filled when the tab is seen."""
    return id_dropdown(label=i18n("train.init"), elem_id="init")


def refresh(request: gr.Request, chosen: str | None, browser: object) -> Update:
    """The models that the visitor may begin from; the chosen one stays chosen."""
    lang = language(request)
    choices = [
        (translate(lang, "train.init_none"), NOTHING),
        *own_model_choices(lang, Browser.of(browser)),
    ]
    ids = [value for _, value in choices]
    return relisted(choices, chosen, chosen if chosen in ids else NOTHING)


def parent_folder(chosen: str | None, browser: Browser) -> Path | None:
    """The folder of the chosen model; None for a new network.

    On a hosted page it takes the model's key: the run begins as a copy of its weights,
    which whoever starts it may download.

    Raises:
        RunError: If there is no such model, or it is not the visitor's own.
    """
    if not chosen:
        return None
    return model_folder(owned_id(chosen, browser.keys.get(chosen, "")))


def parent_sizes(chosen: str | None) -> ModelConfig | None:
    """The sizes of the chosen model; None for a new network or a model that is gone."""
    try:
        return checkpoint.read_record(model_folder(chosen)).model if chosen else None
    except CharrnnError:
        return None
