"""A passage to look inside with: out of the validation part of a model's text."""

import secrets
from pathlib import Path
from typing import Final

from charrnn.errors import ConfigError, CorpusError
from charrnn.hosting import policy
from charrnn.model import checkpoint
from charrnn.model.record import Record
from charrnn.runs.owner import check_owner
from charrnn.runs.passages import training_text
from charrnn.text import sources
from charrnn.text.corpus import split_at
from charrnn.ui.shared import Browser, model_folder
from charrnn.ui.texts import translate

CHARACTERS: Final = 3000  # of a passage: enough to search for units


def passage(lang: str, model: str | None, browser: Browser) -> str:
    """A passage that the model has not been trained on, another one each time.

    Args:
        lang: Language of the sentences.
        model: Id of a model.
        browser: Of the visitor: a run's text is its owner's to read.

    Raises:
        CharrnnError: If there is no such model, or its text is not to be had.
    """
    if not model:
        raise ConfigError(translate(lang, "generate.no_model"), field="model")
    path = model_folder(model)
    check_owner(path, browser.keys.get(path.name, ""))
    record = checkpoint.read_record(path)
    text = _text_of(lang, path, record)
    rest = text[split_at(len(text), record.corpus.split) :]
    start = secrets.randbelow(max(1, len(rest) - CHARACTERS + 1))
    start = rest.find("\n", start, start + CHARACTERS // 4) + 1 or start
    return rest[start : start + min(CHARACTERS, policy().max_inside_characters)]


def _text_of(lang: str, path: Path, record: Record) -> str:
    """The whole text that a model was trained on.

    Raises:
        CharrnnError: If it is neither here nor a named one.
    """
    try:
        if (here := training_text(path, record)) is not None:
            with here.open(encoding="utf-8", newline="") as file:
                return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(translate(lang, "inside.no_text")) from error
    if record.corpus.key is None:
        raise CorpusError(translate(lang, "inside.no_text"))
    return sources.load(record.corpus.key, max_bytes=policy().max_text_bytes).text
