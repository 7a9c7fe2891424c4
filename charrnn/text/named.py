"""Texts that are known by name, and which text is one of them: the hash decides.

A name is what a person or a file says. It decides nothing: whoever sends a text may
call it what they like. A downloaded text is known by its SHA-256. The source of
Python's library differs from version to version and has no hash to know, so only
the process that reads it gives it its name, with the version, and no other text
gets that name.
"""

import platform
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

UNNAMED: Final = "text"  # what a text without a name of its own is called
LIBRARY: Final = "python-stdlib"
CODE: Final = frozenset({LIBRARY})  # texts that are set in a fixed width
_LIBRARY_NAME: Final = re.compile(rf"{LIBRARY} \(Python 3\.[0-9]+\.[0-9]+[0-9a-z+]*\)")


@dataclass(frozen=True)
class NamedText:
    """A text that is known by name; without an address it is made here."""

    title: str
    url: str = ""
    sha256: str = ""
    size: int = 0  # bytes
    rights: str = ""  # what a card says of it, a sentence


NAMED: Final[dict[str, NamedText]] = {
    "shakespeare": NamedText(
        "Tiny Shakespeare",
        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
        rights="It is in the public domain.",
    ),
    LIBRARY: NamedText(
        "Python's standard library",
        rights="It is Python's, under the PSF License Agreement.",
    ),
}


def library_name() -> str:
    """What the source of the library of this Python is recorded as."""
    return f"{LIBRARY} (Python {platform.python_version()})"


def named_key(name: str, sha256: str) -> str | None:
    """The key of `NAMED` that a recorded text is, or None for any other text.

    Args:
        name: As recorded; looked at for Python's library alone.
        sha256: Of the text in UTF-8.
    """
    for key, text in NAMED.items():
        if text.sha256 and text.sha256 == sha256:
            return key
    return LIBRARY if _LIBRARY_NAME.fullmatch(name) else None


def _as_read(name: str) -> str:
    """A name without what does not change how it looks: width, case, unseen marks."""
    same = unicodedata.normalize("NFKC", name)
    seen = (c for c in same if unicodedata.category(c) != "Cf")
    return " ".join("".join(seen).casefold().split())


def own_name(name: str, sha256: str) -> str:
    """A name for a text that came in: its own, unless it belongs to a named text.

    Args:
        name: What the text is called by whoever brings it.
        sha256: Of the text in UTF-8.
    """
    known = {text.sha256 for text in NAMED.values()} - {""}
    titles = {text.title.casefold() for text in NAMED.values()}
    plain = _as_read(name)
    taken = plain in titles or plain in NAMED or plain.startswith(f"{LIBRARY} (")
    return UNNAMED if taken and sha256 not in known else name


def shown_name(name: str, sha256: str) -> str:
    """A recorded name as far as it holds; records of old were given any name."""
    return name if named_key(name, sha256) else own_name(name, sha256)
