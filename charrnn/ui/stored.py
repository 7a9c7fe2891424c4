"""The comparison that a first visitor finds: written before, by the shipped model.

    python -m charrnn.ui.stored

writes `stored.json` anew, which docs/formats.md describes. Nothing is asked of the
writing process when it is shown. It is shown where the weights are those that wrote
it, and otherwise left out.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from charrnn.config import DEFAULT_LENGTH, DEFAULT_TEMPERATURES, SamplingConfig
from charrnn.errors import CharrnnError, CorpusError
from charrnn.files import write_file
from charrnn.model import checkpoint, generation
from charrnn.runs import figures, store
from charrnn.runs.figures import TextFigures
from charrnn.runs.store import SHIPPED_ID
from charrnn.ui import cards
from charrnn.ui.examples import DEFAULT_PROMPT
from charrnn.ui.links import Link
from charrnn.ui.shared import model_folder, note
from charrnn.ui.texts import translate
from charrnn.ui.writing_request import engine

FILE: Final = Path(__file__).parent / "stored.json"
SEED: Final = 4


class StoredText(BaseModel):
    """One text, its bits as in `generation.Written`, and the figures under it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float
    text: str
    bits: list[float]
    figures: TextFigures
    copied: list[tuple[int, int]]  # passages of the training text: start, end


class Stored(BaseModel):
    """Texts at several temperatures, and all that they depend on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    weights_hash: str
    prompt: str
    seed: int
    length: int
    top_k: int
    top_p: float
    texts: list[StoredText]

    def link(self) -> Link:
        """What writes the same texts."""
        return Link(
            model=self.model,
            weights_hash=self.weights_hash,
            prompt=self.prompt,
            seed=self.seed,
            temperatures=tuple(one.temperature for one in self.texts),
            length=self.length,
            top_k=self.top_k,
            top_p=self.top_p,
        )


@dataclasses.dataclass(frozen=True)
class Shown:
    """The comparison on the page: HTML of its columns and of the line above them."""

    cards: tuple[str, ...]
    status: str
    seed: int


@functools.cache
def read() -> Stored:
    """The comparison that came with the program."""
    return Stored.model_validate_json(FILE.read_bytes())


def is_current(stored: Stored) -> bool:
    """Whether the model of that name here has the weights that wrote it."""
    try:
        here = engine.models.get(model_folder(stored.model)).weights_hash
    except CharrnnError:
        return False
    return here == stored.weights_hash


def shown(lang: str, model: str | None) -> Shown | None:
    """The comparison for a page that opens with a model; None where it is not its own.

    Args:
        lang: Language code.
        model: The id that is chosen on the page.
    """
    stored = read()
    if model != stored.model or not is_current(stored):
        return None
    return Shown(
        tuple(_card(lang, stored, one) for one in stored.texts),
        note(translate(lang, "generate.stored"), "stored"),
        stored.seed,
    )


def _card(lang: str, stored: Stored, one: StoredText) -> str:
    head = cards.card_head(
        lang, stored.link(), one.temperature, written="written", stored=True
    )
    body = cards.highlight(one.text, one.copied)
    return head + body + cards.card_tail(lang, one.figures, one.bits) + "</article>"


def compose() -> Stored:
    """Write the texts of the comparison with the shipped model.

    Raises:
        CorpusError: If the text that the model was trained on is not on this machine:
            what the texts copy from it could not be said.
    """
    path = store.shipped_folder() / SHIPPED_ID
    model = checkpoint.load(path)
    rows = [SamplingConfig(temperature=t, seed=SEED) for t in DEFAULT_TEMPERATURES]
    prompt, length = DEFAULT_PROMPT, DEFAULT_LENGTH
    *_, written = generation.write(model, prompt, length=length, rows=rows)
    counted = figures.count(path, model.record, prompt, written)
    if counted.copied is None:
        raise CorpusError(
            "The text that the shipped model was trained on is not here: download it "
            "first, with `evaluate shakespeare --corpus shakespeare`."
        )
    found = zip(rows, written, counted.figures, counted.copied, strict=True)
    return Stored(
        model=SHIPPED_ID,
        weights_hash=model.weights_hash,
        prompt=prompt,
        seed=SEED,
        length=length,
        top_k=0,
        top_p=1.0,
        texts=[
            StoredText(
                temperature=row.temperature,
                text=one.text,
                bits=one.bits,
                figures=of_text,
                copied=spans,
            )
            for row, one, of_text, spans in found
        ],
    )


if __name__ == "__main__":
    write_file(FILE, compose().model_dump_json().encode() + b"\n")
