"""Reading JSON that may come from a stranger, and telling foreign files apart.

Strict: UTF-8, no key twice, neither NaN nor infinity. A byte-order mark before the
text, which some editors write, is left out.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from charrnn.errors import CheckpointError

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
REMEDY: Final = "put a good copy of it in its place"
_BY_START: Final[tuple[tuple[bytes | tuple[bytes, ...], str], ...]] = (
    # how the file begins, and what it is then
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer, which only names the file: fetch the file itself with "
        "`git lfs pull`, or the model with `python -m charrnn pull`.",
    ),
    (
        b"<",
        "is a web page or another XML text: download the file itself, not the page "
        "that shows it, or take the model with `python -m charrnn pull`.",
    ),
    (
        (b"/annex/objects/", b"../.git/annex/objects/", b".git/annex/objects/"),
        "is a git-annex pointer, which only names the file: fetch the file itself with "
        "`git annex get`, or the model with `python -m charrnn pull`.",
    ),
    (
        (b"Entry not found", b"Not Found", b"404", b'{"error"', b'{"message"'),
        "is the answer of a website that it has no such file: download the file "
        "itself, or take the model with `python -m charrnn pull`.",
    ),
    (
        b"PK\x03\x04",
        "is a zip archive, as PyTorch and Keras write their models: expected a model "
        "that charrnn wrote.",
    ),
    (b"\x89HDF", "is an HDF5 file: expected a model that charrnn wrote."),
    (b"GGUF", "is a GGUF file: expected a model that charrnn wrote."),
    (
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        "is a Python pickle, which could run anything when it is read: expected a "
        "model that charrnn wrote.",
    ),
)
_BY_KEY: Final = {  # a key that charrnn never writes, and whose it is
    "architectures": "transformers",
    "model_type": "transformers",
    "transformers_version": "transformers",
    "_class_name": "diffusers",
    "_diffusers_version": "diffusers",
    "peft_type": "PEFT",
    "class_name": "Keras",
    "keras_version": "Keras",
}


def refuse_foreign_file(data: bytes, name: str) -> None:
    """Refuse an empty file, or one that begins as another kind does: say as which.

    Args:
        data: The file's first bytes, or all of them.
        name: The file's name.

    Raises:
        CheckpointError: If its kind is recognised.
    """
    if not data:
        raise CheckpointError(
            f"{name} is empty, as after a broken download or on a full disk; {REMEDY}."
        )
    start = data[:200].removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    for beginning, sentence in _BY_START:
        if start.startswith(beginning):
            raise CheckpointError(f"{name} {sentence}")


def refuse_foreign_config(keys: Sequence[str], name: str) -> None:
    """Refuse a configuration that has another library's keys.

    Raises:
        CheckpointError: If the library is recognised.
    """
    for key, library in _BY_KEY.items():
        if key in keys:
            raise CheckpointError(
                f"{name} describes a model of another library ({library}): expected "
                "one that charrnn wrote. Use that library for it."
            )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def parse_json(data: bytes, name: str) -> Any:
    """Parse a file of a model's folder.

    Args:
        data: The whole file.
        name: The file's name.

    Raises:
        CheckpointError: If it is not JSON in UTF-8, has a key twice, or holds NaN
            or infinity.
    """
    refuse_foreign_file(data, name)
    try:
        return json.loads(
            data.removeprefix(BYTE_ORDER_MARK).decode("utf-8"),
            object_pairs_hook=_without_repetition,
            parse_constant=_refuse_constant,
        )
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(
            f"{name} is not JSON in UTF-8: it is damaged; {REMEDY}."
        ) from error
    except ValueError as error:  # ours, or a number of thousands of digits
        reason = str(error) if len(str(error)) < 40 else "a number is too long"
        raise CheckpointError(f"{name} is damaged ({reason}); {REMEDY}.") from error
