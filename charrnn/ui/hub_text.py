"""A text from the Hub: what would be read, and reading it into the form.

What was read lies in the page's temporary files, like an upload. Where it came from is
kept by the browser beside its hash, and counts only for a text of that hash.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import gradio as gr
from gradio.utils import get_upload_folder

from charrnn.errors import CharrnnError, ConfigError, HubError
from charrnn.hosting import policy
from charrnn.hub import datasets
from charrnn.hub.datasets import MEGABYTE
from charrnn.hub.names import Dataset, parse_dataset
from charrnn.hub.transfer import Connection
from charrnn.runs.queue import check_disk
from charrnn.text.corpus import Corpus, readable_size
from charrnn.ui import sharing
from charrnn.ui.sentences import say
from charrnn.ui.shared import note
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import SKIP, Form, Update

FIRST_MB: Final = 5  # megabytes that are proposed
SHOWN: Final = 5  # names of files


def max_mb() -> float:
    """The most megabytes that are taken here."""
    return policy().max_text_bytes / MEGABYTE


@dataclass(frozen=True)
class HubRequest(Form):
    """Which dataset, and how much of it."""

    dataset: str
    first_mb: int | float | None


class Origin(NamedTuple):
    """Where a text came from, as the browser keeps it."""

    sha256: str
    source: str  # as `--corpus` takes it
    first_mb: float  # as `--first-mb` takes it

    @classmethod
    def of(cls, value: object) -> "Origin | None":
        """From what the browser sends back; anything odd counts as none."""
        if not isinstance(value, dict):
            return None
        sha256, source = value.get("sha256"), value.get("source")
        first_mb = value.get("first_mb")
        if not (
            isinstance(sha256, str)
            and isinstance(source, str)
            and isinstance(first_mb, int | float)
        ):
            return None
        try:
            return cls(sha256, parse_dataset(source).address, first_mb)
        except HubError:
            return None

    def told_by(self, text: Corpus) -> Corpus:
        """The text, named after where it came from if it is that one."""
        if text.sha256 != self.sha256:
            return text
        dataset = parse_dataset(self.source)
        return replace(text, name=dataset.name, source=self.source)


class HubUpdate(NamedTuple):
    """What looking a dataset up, or reading it, changes."""

    hub_told: str  # HTML
    fetched: str | Update | None = SKIP  # a path
    origin: dict[str, object] | Update | None = SKIP


def _asked(lang: str, asked: HubRequest) -> tuple[Dataset, int]:
    """The dataset, and how many bytes of it are wanted.

    Raises:
        CharrnnError: If one of them is missing or wrong.
    """
    if not asked.dataset.strip():
        raise HubError(translate(lang, "train.hub_none"))
    most, wanted = max_mb(), asked.first_mb
    if wanted is None or not 0 < wanted <= most:
        raise ConfigError(translate(lang, "train.hub_range", most=most))
    return parse_dataset(asked.dataset), max(1, int(wanted * MEGABYTE))


def _connection(
    lang: str, login: gr.OAuthToken | None, progress: gr.Progress | None
) -> Connection:
    token = sharing.reading_token(lang, "", login)
    return Connection(token=token, on_progress=sharing.reporter(progress))


def look_up(
    request: gr.Request,
    login: gr.OAuthToken | None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
    *values: object,
) -> str:
    """Say what would be read, before it is."""
    lang, asked = language(request), HubRequest.read(values)
    try:
        dataset, first = _asked(lang, asked)
        found = datasets.look(dataset, _connection(lang, login, progress))
    except CharrnnError as error:
        return note(say(lang, str(error)), "warn")
    more = " …" if len(found.files) > SHOWN else ""
    return note(
        translate(
            lang,
            "train.hub_found",
            address=found.dataset.address,
            files=", ".join(found.files[:SHOWN]) + more,
            size=readable_size(found.size),
            first=readable_size(first),
        )
    )


def read(
    request: gr.Request,
    login: gr.OAuthToken | None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
    *values: object,
) -> HubUpdate:
    """Read a dataset, or say why that fails."""
    lang, asked = language(request), HubRequest.read(values)
    try:
        check_disk()
        dataset, first = _asked(lang, asked)
        text = datasets.read(
            dataset,
            _connection(lang, login, progress),
            max_bytes=policy().max_text_bytes,
            first_bytes=first,
        )
    except CharrnnError as error:
        return HubUpdate(note(say(lang, str(error)), "warn"), None, None)
    told = note(translate(lang, "train.hub_read", address=text.source))
    told += "".join(note(say(lang, notice), "warn") for notice in text.notices)
    origin = Origin(text.sha256, text.source, first / MEGABYTE)
    return HubUpdate(told, _kept(text), origin._asdict())


def _kept(text: Corpus) -> str:
    """The text as a file among the uploads, which are removed after a while."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder))
    path = place / "text.txt"
    path.write_text(text.text, encoding="utf-8", newline="")
    return str(path)
