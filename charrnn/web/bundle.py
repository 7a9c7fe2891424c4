"""A model as one HTML file that writes in its reader's browser, offline.

Everything is inside: the weights in base64, the characters, the card's facts, the
scripts and the style. The file asks nobody for anything, which its
Content-Security-Policy holds: scripts and the style run by their hash alone.

A model may come from a stranger. Its title is escaped where HTML is written; all else
of it is JSON with every ``<`` escaped, which the page's script sets as text.
"""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import charrnn
from charrnn.config import MAX_PROMPT
from charrnn.errors import ConfigError
from charrnn.files import one_line, write_file
from charrnn.model.checkpoint import Model
from charrnn.model.record import Figures
from charrnn.text.named import CODE
from charrnn.web.weights import FORMATS, MAX_COST, pack

LANGUAGES: Final = ("en", "ja")
UNMEASURED: Final = "float16"  # the format where nothing is known of the costs
_FOLDER: Final = Path(__file__).parent
_CELLS: Final = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN"}
_PLACE: Final = re.compile(r"{{(\w+)}}")


def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json(content: Any) -> str:
    """JSON in ASCII that no HTML parser takes for markup."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    """A script or style as a Content-Security-Policy names it."""
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def known_costs(figures: Figures | None) -> dict[str, float]:
    """Nats per character that formats lose, as far as that is on record."""
    found = {"float32": 0.0}
    if figures is not None and figures.float16_cost is not None:
        found["float16"] = figures.float16_cost
    if figures is not None and figures.int8_cost is not None:
        found["int8"] = figures.int8_cost
    return found


def choose_format(costs: Mapping[str, float]) -> str:
    """The smallest format that costs less than `MAX_COST`.

    Args:
        costs: Nats per character; where only that of float32 is known, `UNMEASURED`
            is chosen.
    """
    if not {"int8", "float16"} & set(costs):
        return UNMEASURED
    return next(
        (name for name in FORMATS if costs.get(name, math.inf) < MAX_COST), "float32"
    )


def _facts(model: Model, number_format: str, cost: float | None) -> dict[str, Any]:
    """What the page tells of a model: of its card, nothing of this machine."""
    record = model.record
    figures = record.figures
    return {
        "cell": _CELLS[record.model.cell],
        "layers": record.model.num_layers,
        "units": record.model.rnn_units,
        "parameters": record.model.num_parameters(),
        "corpus": record.corpus.shown_name,
        "corpus_characters": record.corpus.characters,
        "nats": None if figures is None else figures.val_loss,
        "format": number_format,
        "cost": cost,
        "license": record.license,
        "origin": None if record.origin is None else record.origin.repo,
    }


def _content(model: Model, number_format: str, cost: float | None) -> str:
    network = model.record.model
    return _json(
        {
            "config": {
                "cell": network.cell,
                "embedding_dim": network.embedding_dim,
                "rnn_units": network.rnn_units,
                "num_layers": network.num_layers,
                "vocab_size": network.vocab_size,
                "separator": model.separator,
            },
            "vocabulary": model.vocabulary.entries,
            "format": number_format,
            "kernel": _base64((_FOLDER / "kernel.wasm").read_bytes()),
            "facts": _facts(model, number_format, cost),
        }
    )


def page(
    model: Model,
    number_format: str | None = None,
    costs: Mapping[str, float] | None = None,
) -> str:
    """The HTML of a model's page.

    Args:
        model: From `checkpoint.load`; a stranger's, too.
        number_format: One of `FORMATS`; None: see `choose_format`.
        costs: Nats per character that formats lose; None: what is on record.

    Returns:
        The same text for the same model, in the form that browsers run from a file.

    Raises:
        ConfigError: If there is no such format, or it cannot hold a weight.
    """
    known = known_costs(model.record.figures) if costs is None else costs
    chosen = number_format or choose_format(known)
    weights = _base64(pack(model, chosen))  # refuses a format that there is not
    shared, script, style = (
        _part("sampling.js") + _part("engine.js"),
        _part("page.js"),
        _part("page.css"),
    )
    policy = (
        f"default-src 'none'; script-src {_hash(shared)} {_hash(script)} "
        f"'wasm-unsafe-eval'; worker-src blob:; style-src {_hash(style)}; "
        "img-src data:"
    )
    is_code = model.record.corpus.key in CODE
    texts = {name: json.loads(_part(f"locales/{name}.json")) for name in LANGUAGES}
    values = {
        "policy": policy,
        "version": charrnn.__version__,
        "title": html.escape(one_line(model.record.title, None)),
        "max_prompt": str(MAX_PROMPT),
        "written": "written code" if is_code else "written",
        "model": _content(model, chosen, known.get(chosen)),
        "texts": _json(texts),
        "weights": weights,
        "worker": _part("worker.js"),
        "shared": shared,
        "script": script,
        "style": style,
    }
    # in one pass: what stands in a value is no place
    return _PLACE.sub(lambda place: values[place[1]], _part("page.html"))


def check_name(path: Path) -> None:
    """Refuse a path that is not that of a page, before work is done for it.

    Raises:
        ConfigError: If its name is none of a page, or there is no such folder.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"{path.name} is no name of a web page: expected one that ends in .html.",
            field="file",
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"There is no folder {path.parent}: make it first, or name another.",
            field="file",
        )


def write_page(path: Path, content: str) -> int:
    """Write what `page` gives; how many bytes it has.

    Raises:
        ConfigError: As `check_name`.
        CheckpointError: If the file cannot be written.
    """
    check_name(path)
    data = content.encode()
    write_file(path, data)
    return len(data)
