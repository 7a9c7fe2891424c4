"""Whether strangers share this page, and what they may ask of it."""

import math
import os
from collections.abc import Mapping

from charrnn.errors import ConfigError


def is_hosted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether strangers share this page: `CHARRNN_HOSTED`, else a Space.

    The page itself also sets `CHARRNN_HOSTED` when it binds to anything but
    loopback.
    """
    explicit = environ.get("CHARRNN_HOSTED", "").strip()
    if explicit:
        return explicit != "0"
    return bool(environ.get("SPACE_ID"))


def max_text_bytes(environ: Mapping[str, str] = os.environ) -> int:
    """Largest text that is taken, in bytes (`CHARRNN_MAX_TEXT_MB`).

    Raises:
        ConfigError: If the variable is not a positive number.
    """
    default = "5" if is_hosted(environ) else "200"
    text = environ.get("CHARRNN_MAX_TEXT_MB", "").strip() or default
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = math.nan
    if not 0 < megabytes < 10_000:
        raise ConfigError(
            f"CHARRNN_MAX_TEXT_MB is {text!r}: expected megabytes, like 200."
        )
    return int(megabytes * 1_000_000)
