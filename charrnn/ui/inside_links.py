"""Links to what the Inside tab shows.

    ?tab=inside#look=shakespeare&hash=0123456789abcdef&text=ROMEO%3A...&at=12
      &units=1&unit=1.383&mark=line_position&value=-0.5&held=1&plain=1
      &against=other

All but the tab stands in the fragment, which a browser keeps to itself: a text is
nobody's business. `inside.js` composes it and goes through what it names once the
page is open; here its form is read. What comes back is a stranger's, so each value is
checked and a wrong one is left out.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from charrnn.ui.links import HASH, MAX_ADDRESS

MAX_LINK_TEXT: Final = 2000  # characters


@dataclass(frozen=True, kw_only=True)
class InsideLink:
    """What of a link fills the form; the rest is the browser's."""

    model: str
    weights_hash: str = ""
    text: str = ""
    against: str = ""


def read(fragment: str) -> InsideLink | None:
    """The link in a page's fragment; None if it names no model to look inside."""
    query = dict(parse_qsl(fragment[:MAX_ADDRESS].lstrip("#"), errors="replace"))
    model = query.get("look", "")
    if not model:
        return None
    digest = query.get("hash", "")
    return InsideLink(
        model=model[:200],
        weights_hash=digest if HASH.fullmatch(digest) else "",
        text=query.get("text", "")[:MAX_LINK_TEXT],
        against=query.get("against", "")[:200],
    )
