"""Links that reproduce a text, and links to a run.

    ?model=shakespeare&hash=0123456789abcdef&prompt=ROMEO%3A&seed=7
      &temperatures=0.2,0.5,0.8,1.1&length=400&top_k=0&top_p=1&stop=

Texts that are compared by something else have ``by=model&models=a,b``,
``by=step&steps=25,100`` or ``by=top_p&top_ps=0.5,1`` in it, and one temperature.
A long one stands in the fragment (``?#model=...``), which a browser keeps to
itself: servers refuse long addresses. The page hands it in when it opens.

The hash is that of the weights: a reader whose model has others is told that
the text may differ. What comes back from a link is a stranger's text, so each
value is checked like a form's and a wrong one falls back to the default.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

from charrnn.config import (
    DEFAULT_LENGTH,
    DEFAULT_TEMPERATURES,
    MAX_LENGTH,
    MAX_VOCAB_SIZE,
    SamplingConfig,
    setting_bounds,
)

_T = TypeVar("_T")
MAX_COLUMNS: Final = len(DEFAULT_TEMPERATURES)
MAX_LINK_PROMPT: Final = 10_000  # characters; as the page's field
MAX_LINK_STOP: Final = 200
MAX_PAGE_SEED: Final = 2**53 - 1  # the largest a browser counts to exactly
_ESCAPED: Final = {"n": "\n", "t": "\t", "\\": "\\"}
MAX_QUERY: Final = 1500  # bytes of a link that servers are asked with
MAX_ADDRESS: Final = 200_000  # characters that are read: the longest prompt fits
COMPARED: Final = ("temperature", "model", "step", "top_p")  # what texts differ in
MAX_STEP: Final = 10**12
MAX_ID: Final = 200  # characters
HASH: Final = re.compile(r"[0-9a-f]{16}(,[0-9a-f]{16}){0,3}")


@dataclass(frozen=True, kw_only=True)
class Link:
    """All that a text depends on.

    Args:
        model: Id; where models are compared, the first one's.
        weights_hash: Of the model; of each model, joined by commas.
        prompt: What the texts go on from.
        seed: None where a new one is to be drawn.
        temperatures: Of each text; a single one where something else is compared.
        length: Characters of each text.
        top_k: See `SamplingConfig`.
        top_p: See `SamplingConfig`; of no meaning where it is compared.
        stop: The stop string.
        by: What is compared, one of `COMPARED`.
        models: Ids, where models are compared.
        steps: Of the model's training, where they are compared.
        top_ps: Where they are compared.
    """

    model: str
    weights_hash: str = ""
    prompt: str = ""
    seed: int | None = None
    temperatures: tuple[float, ...] = DEFAULT_TEMPERATURES
    length: int = DEFAULT_LENGTH
    top_k: int = 0
    top_p: float = 1.0
    stop: str = ""
    by: str = "temperature"
    models: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    top_ps: tuple[float, ...] = ()

    @property
    def step(self) -> int | None:
        """Of the first text; None where no steps are compared."""
        return self.steps[0] if self.by == "step" else None

    def each(self) -> list["Link"]:
        """The link of each of the texts alone."""
        alone = replace(self, by="temperature", models=(), steps=(), top_ps=())
        match self.by:
            case "model":
                return [replace(alone, model=model) for model in self.models]
            case "step":
                step = replace(alone, by="step")
                return [replace(step, steps=(one,)) for one in self.steps]
            case "top_p":
                return [replace(alone, top_p=top_p) for top_p in self.top_ps]
        return [replace(alone, temperatures=(t,)) for t in self.temperatures]


def read_stop(entered: str) -> str:
    r"""The stop string that was entered: ``\n``, ``\t``, ``\\`` are one character."""
    return re.sub(r"\\([nt\\])", lambda found: _ESCAPED[found[1]], entered)


def enter_stop(stop: str) -> str:
    """A stop string as it is entered, the inverse of `read_stop`."""
    signs = {character: f"\\{letter}" for letter, character in _ESCAPED.items()}
    return "".join(signs.get(character, character) for character in stop)


def encode(link: Link) -> str:
    """The names and values of a link as one line of ASCII, without empty ones."""
    query = {
        "model": link.model,
        "hash": link.weights_hash,
        "prompt": link.prompt,
        "seed": "" if link.seed is None else str(link.seed),
        "temperatures": ",".join(f"{t:g}" for t in link.temperatures),
        "length": str(link.length),
        "top_k": str(link.top_k),
        "top_p": f"{link.top_p:g}",
        "stop": link.stop,
        "by": "" if link.by == Link.by else link.by,
        "models": ",".join(quote(model, safe="") for model in link.models),
        "steps": ",".join(map(str, link.steps)),
        "top_ps": ",".join(f"{top_p:g}" for top_p in link.top_ps),
    }
    return urlencode({k: v for k, v in query.items() if v}, errors="replace")


def build(link: Link) -> str:
    """The end of a link's address, from its question mark on.

    The query is empty, not absent, where the link is a fragment: else the browser
    would keep that of the page the link stands in.
    """
    query = encode(link)
    return ("?" if len(query) <= MAX_QUERY else "?#") + query


def build_run(run_id: str) -> str:
    """The query string that follows a run."""
    return "?" + urlencode({"run": run_id})


def _number(text: str, low: float, high: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def _whole(text: str, low: int, high: int) -> int | None:
    if not re.fullmatch(r"[0-9]{1,20}", text):
        return None
    value = int(text)
    return value if low <= value <= high else None


def _several(text: str, read_one: Callable[[str], _T | None]) -> tuple[_T, ...]:
    """What is good of some values with commas between them."""
    values = map(read_one, text.split(",")[:MAX_COLUMNS])
    return tuple(value for value in values if value is not None)


def _numbers(text: str, setting: str) -> tuple[float, ...]:
    low, high = setting_bounds(setting)
    return _several(text, lambda part: _number(part, low, high))


def _compared(query: Mapping[str, str]) -> dict[str, Any]:
    """What is compared, if not temperatures, and its values."""
    values = {
        "models": _several(
            query.get("models", ""), lambda part: unquote(part)[:MAX_ID] or None
        ),
        "steps": _several(
            query.get("steps", ""), lambda part: _whole(part, 1, MAX_STEP)
        ),
        "top_ps": _numbers(query.get("top_ps", ""), "top_p"),
    }
    by = query.get("by", "")
    if not values.get(f"{by}s"):
        return {}
    return {"by": by, f"{by}s": values[f"{by}s"]}


def read(text: str) -> Link | None:
    """The link in a query string or fragment; None if it names no model.

    Args:
        text: As `build` or `encode` makes it, or a stranger's.
    """
    pairs = parse_qsl(text[:MAX_ADDRESS].lstrip("?#"), errors="replace")
    return parse(dict(pairs))


def parse(query: Mapping[str, str]) -> Link | None:
    """The link in a page's address; None if it names no model.

    Args:
        query: Names and values of the address, decoded.
    """
    model = query.get("model", "")
    if not model:
        return None
    digest = query.get("hash", "")
    length = _whole(query.get("length", ""), 1, MAX_LENGTH)
    top_p = _number(query.get("top_p", ""), *setting_bounds("top_p"))
    compared = _compared(query)
    temperatures = _numbers(query.get("temperatures", ""), "temperature")
    if compared:
        temperatures = temperatures[:1] or (SamplingConfig.temperature,)
    return Link(
        model=model[:MAX_ID],
        weights_hash=digest if HASH.fullmatch(digest) else "",
        prompt=query.get("prompt", "")[:MAX_LINK_PROMPT],
        seed=_whole(query.get("seed", ""), 0, MAX_PAGE_SEED),
        temperatures=temperatures or DEFAULT_TEMPERATURES,
        length=Link.length if length is None else length,
        top_k=_whole(query.get("top_k", ""), 0, MAX_VOCAB_SIZE) or 0,
        top_p=1.0 if top_p is None else top_p,
        stop=query.get("stop", "")[:MAX_LINK_STOP],
        **compared,
    )
