"""Models as zips: packed for a download, and taken in from an upload."""

import atexit
import functools
import html
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import gradio as gr
from gradio.events import Dependency

from charrnn.errors import CharrnnError, RunError
from charrnn.runs import packing, store
from charrnn.runs.owner import new_owner
from charrnn.runs.packing import Unpacked
from charrnn.ui.generate_tab import GenerateTab
from charrnn.ui.labels import i18n
from charrnn.ui.shared import (
    Browser,
    PageState,
    model_choices,
    note,
    owned_id,
    remove_upload,
)
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Update, outputs

ZIP_SECONDS: Final = 600.0


@functools.cache
def _zips() -> Path:
    """A folder for what is downloaded, gone when the page ends."""
    folder = tempfile.mkdtemp(prefix="charrnn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def sweep_zips(now: float | None = None) -> None:
    """Remove what was packed a while ago; Gradio serves a copy of its own."""
    oldest = (time.time() if now is None else now) - ZIP_SECONDS
    for old in _zips().iterdir():
        if old.stat().st_mtime < oldest:
            shutil.rmtree(old, ignore_errors=True)


def folder_for_download() -> Path:
    """A new folder for a file to download, which goes after a while.

    Raises:
        RunError: If there is no room for it.
    """
    try:
        sweep_zips()
        return Path(tempfile.mkdtemp(dir=_zips()))
    except OSError as error:
        raise RunError(
            f"There is no room for the file in the temporary folder ({error.strerror})."
        ) from error


def zip_file(run_id: str, browser: object, state: bool, text: bool) -> Update:
    """Pack a run of the visitor's own; the page then clicks the hidden download.

    Raises:
        CharrnnError: If it is not theirs, or what is asked for cannot be packed.
    """
    held = Browser.of(browser)
    owned = owned_id(run_id, held.keys.get(run_id, ""))
    packed = packing.archive(owned, folder_for_download(), state=state, text=text)
    return gr.update(value=str(packed))


class TakenUpdate(NamedTuple):
    """What taking a zip in changes."""

    taken: str  # HTML
    browser: dict[str, object] | Update = SKIP
    model: Update = SKIP  # the Generate tab's list
    followed: str | Update = SKIP


def taken_html(lang: str, taken: Unpacked) -> str:
    """What was taken in, where it is now, and what to know of it."""
    sentence = translate(lang, "hub.taken", title=taken.title)
    if taken.can_go_on:
        sentence = translate(lang, "hub.taken_run", title=taken.title)
    elif taken.is_run:
        sentence = translate(lang, "hub.taken_text", title=taken.title)
    notices = "".join(note(notice, "warn") for notice in taken.notices)
    return f'<p class="note" role="status">{html.escape(sentence)}</p>{notices}'


def take_in(request: gr.Request, file: str | None, browser: object) -> TakenUpdate:
    """Take a zip in: on a hosted page as a new run with a new key."""
    lang, held = language(request), Browser.of(browser)
    if not file:
        return TakenUpdate("")
    who = new_owner(visitor_of(request), page=True)
    try:
        taken = packing.unpack(Path(file), store.folder(), owner=who)
    except CharrnnError as error:  # in place, where it stays to be read
        return TakenUpdate(note(str(error), "warn"))
    finally:
        remove_upload(file)
    held = held.owning(taken.model_id, who)
    choices = model_choices(lang, held, taken.model_id)
    ids = [value for _, value in choices]
    writes = taken.model_id in ids  # a run may have no weights yet
    return TakenUpdate(
        taken=taken_html(lang, taken),
        browser=held.store(),
        model=gr.update(choices=choices, value=taken.model_id) if writes else SKIP,
        followed=taken.model_id if taken.is_run else SKIP,
    )


@dataclass(frozen=True)
class TakingIn:
    """The button for a zip and what came of it, named as the update names them."""

    zip: gr.UploadButton
    taken: gr.HTML


def build(page: PageState, generating: GenerateTab, **event: Any) -> Dependency:
    """Lay "Take in a zip" out and connect it.

    Args:
        page: What the page keeps.
        generating: The Generate tab, where the model is chosen.
        **event: How Gradio shall treat the event.

    Returns:
        The event that takes a zip in.
    """
    gr.Markdown(i18n("hub.zip"), elem_classes="group")
    gr.Markdown(i18n("hub.zip_lead"))
    parts = TakingIn(
        gr.UploadButton(str(i18n("hub.zip_go")), elem_id="take-zip", size="md"),
        gr.HTML(elem_id="taken", apply_default_css=False),
    )
    return parts.zip.upload(
        take_in,
        [parts.zip, page.browser],
        outputs(TakenUpdate, parts, page, generating),
        show_progress_on=parts.taken,
        **event,
    )
