"""A model as one web page, written for a download."""

from typing import Any

import gradio as gr
from gradio.components import Component

from charrnn.errors import RunError
from charrnn.model import checkpoint
from charrnn.runs import store
from charrnn.ui.labels import i18n
from charrnn.ui.shared import Browser, model_folder, owned_id
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import Update
from charrnn.ui.zips import folder_for_download
from charrnn.web import bundle


def web_page(request: gr.Request, model_id: str | None, browser: object) -> Update:
    """Write the page of a model that the visitor may share.

    The browser then clicks the hidden download.

    Raises:
        CharrnnError: If it is not theirs, or is no model yet.
    """
    if not model_id:
        raise RunError(translate(language(request), "generate.no_model"))
    key = Browser.of(browser).keys.get(model_id, "")
    model = checkpoint.load(model_folder(owned_id(model_id, key)))
    path = folder_for_download() / f"{store.slug(model.record.title)}.html"
    bundle.write_page(path, bundle.page(model))
    return gr.update(value=str(path))


def connect(
    button: gr.Button, model: Component, browser: Component, **event: Any
) -> None:
    """Let a button write a model's page and download it.

    Args:
        button: What is pressed; laid out already, in the place of the download.
        model: Holds the model's id.
        browser: What the browser holds.
        **event: How Gradio shall treat the event.
    """
    name = f"{button.elem_id}-file"
    hidden = gr.DownloadButton(
        str(i18n("train.web")), elem_id=name, elem_classes="offstage"
    )
    written = button.click(web_page, [model, browser], hidden, **event)
    written.success(None, None, None, js=f"() => charrnn.download('{name}')")
