"""Links that reproduce a text, and links to a run.

    ?model=shakespeare&hash=0123456789abcdef&prompt=ROMEO%3A&seed=7
      &temperatures=0.2,0.5,0.8,1.1&length=400&top_k=0&top_p=1&stop=

A long one stands in the fragment (``?#model=...``), which a browser keeps to
itself: servers refuse long addresses. The page hands it in when it opens.

The hash is that of the weights: a reader whose model has others is told that
the text may differ. What comes back from a link is a stranger's text, so each
value is checked like a form's and a wrong one falls back to the default.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from charrnn.config import (
    DEFAULT_LENGTH,
    DEFAULT_TEMPERATURES,
    MAX_LENGTH,
    MAX_VOCAB_SIZE,
    setting_bounds,
)

MAX_COLUMNS: Final = len(DEFAULT_TEMPERATURES)
MAX_LINK_PROMPT: Final = 10_000  # characters; as the page's field
MAX_LINK_STOP: Final = 200
MAX_PAGE_SEED: Final = 2**53 - 1  # the largest a browser counts to exactly
_ESCAPED: Final = {"n": "\n", "t": "\t", "\\": "\\"}
MAX_QUERY: Final = 1500  # bytes of a link that servers are asked with
MAX_ADDRESS: Final = 200_000  # characters that are read: the longest prompt fits
HASH: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class Link:
    """All that a text depends on."""

    model: str
    weights_hash: str = ""
    prompt: str = ""
    seed: int | None = None
    temperatures: tuple[float, ...] = DEFAULT_TEMPERATURES
    length: int = DEFAULT_LENGTH
    top_k: int = 0
    top_p: float = 1.0
    stop: str = ""


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


def _temperatures(text: str) -> tuple[float, ...]:
    values = [
        _number(part, *setting_bounds("temperature"))
        for part in text.split(",")[:MAX_COLUMNS]
    ]
    good = tuple(value for value in values if value is not None)
    return good or DEFAULT_TEMPERATURES


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
    return Link(
        model=model[:200],
        weights_hash=digest if HASH.fullmatch(digest) else "",
        prompt=query.get("prompt", "")[:MAX_LINK_PROMPT],
        seed=_whole(query.get("seed", ""), 0, MAX_PAGE_SEED),
        temperatures=_temperatures(query.get("temperatures", "")),
        length=Link.length if length is None else length,
        top_k=_whole(query.get("top_k", ""), 0, MAX_VOCAB_SIZE) or 0,
        top_p=1.0 if top_p is None else top_p,
        stop=query.get("stop", "")[:MAX_LINK_STOP],
    )
