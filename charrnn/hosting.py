"""What this page allows: one `Policy`, of one's own computer or of a hosted page.

Every limit stands here once, and each is an environment variable: its name in
capitals after ``CHARRNN_``. No other module asks whether strangers share the
page; they ask the policy for what they need to know. A limit that holds for each
visitor holds for a `Visitor`.
"""

import dataclasses
import ipaddress
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from charrnn.errors import ConfigError

MEGABYTE: Final = 1_000_000
GIGABYTE: Final = 1_000_000_000
VISITORS_PER_ADDRESS: Final = 10  # what one address may have, in visitors' shares


def _limit(
    variable: str,
    text: str,
    *,
    low: float = 1,
    high: float = 1e9,
    unit: int = 1,
    whole: bool = True,
) -> Any:
    """A field that an environment variable may set, in `unit`s."""
    return field(
        metadata={
            "variable": f"CHARRNN_{variable}",
            "help": text,
            "low": low,
            "high": high,
            "unit": unit,
            "whole": whole,
        }
    )


def _size_limit(variable: str, text: str, *, unit: int = MEGABYTE) -> Any:
    return _limit(variable, text, low=0.001, high=9_999, unit=unit)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a page, and the trainings behind it, may be asked for.

    A limit of None is no limit. Sizes are in bytes; a variable gives them in the
    unit that its name ends with.
    """

    # who may see and use what
    secret_ids: bool  # ids cannot be guessed, and nobody is told of others' runs
    owner_token: bool  # the access token that is stored here may be used
    loopback_only: bool  # answer to this computer's own names alone
    space: bool  # a Hugging Face Space, inside a frame of huggingface.co
    poll_seconds: float  # between two questions of a page that follows a run
    frame_seconds: float  # between two frames of a text that is written
    idle_seconds: float  # between two questions of one that follows none; 0: none
    sweeps: bool  # what is over is removed while the page runs, see `runs.sweeper`
    upload_seconds: int  # that an upload, or a copy of what is served, is kept
    trainer_niceness: int  # of a training that a page started, 0 to 19

    # limits
    max_text_bytes: int = _size_limit("MAX_TEXT_MB", "the largest text")
    max_zip_bytes: int = _size_limit("MAX_ZIP_MB", "the largest zip")
    max_pull_bytes: int = _size_limit("MAX_PULL_MB", "the largest weights of a pull")
    max_parameters: int | None = _limit(
        "MAX_PARAMETERS", "parameters of a network that is trained or taken in"
    )
    max_minutes: float | None = _limit(
        "MAX_MINUTES", "minutes of a training", low=0.02, high=10_080, whole=False
    )
    runs_per_visitor: int | None = _limit(
        "RUNS_PER_VISITOR", "runs that one visitor keeps"
    )
    queued_per_visitor: int | None = _limit(
        "QUEUED_PER_VISITOR", "trainings of one visitor that run or wait"
    )
    max_queued: int = _limit(
        "MAX_QUEUED", "trainings that run or wait in all", high=10_000
    )
    characters_in_flight: int | None = _limit(
        "CHARACTERS_IN_FLIGHT", "characters that one visitor has asked for"
    )
    characters_in_flight_in_all: int | None = _limit(
        "CHARACTERS_IN_FLIGHT_IN_ALL", "characters that all have asked for"
    )
    max_inside_characters: int = _limit(
        "MAX_INSIDE_CHARACTERS", "characters of a text that is looked inside with"
    )
    max_disk_bytes: int | None = _size_limit(
        "MAX_DISK_GB", "the disk that runs may take", unit=GIGABYTE
    )
    keep_days: float | None = _limit(
        "KEEP_DAYS", "days a finished run is kept", low=0.001, high=36_500, whole=False
    )
    at_once: int = _limit("AT_ONCE", "trainings at the same time", high=64)
    trusted_proxies: int = _limit(
        "TRUSTED_PROXIES", "proxies whose X-Forwarded headers count", low=0, high=10
    )

    @property
    def min_free_bytes(self) -> int:
        """Disk that is kept free where strangers fill it."""
        return 0 if self.max_disk_bytes is None else GIGABYTE


LOCAL: Final = Policy(
    secret_ids=False,
    owner_token=True,
    loopback_only=True,
    space=False,
    poll_seconds=1.0,
    frame_seconds=0.1,  # as fast as one reads
    idle_seconds=5.0,  # a terminal may start a training
    sweeps=False,
    upload_seconds=86_400,
    trainer_niceness=5,
    max_text_bytes=200 * MEGABYTE,
    max_zip_bytes=200 * MEGABYTE,
    max_pull_bytes=1000 * MEGABYTE,
    max_parameters=None,
    max_minutes=None,
    runs_per_visitor=None,
    queued_per_visitor=None,
    max_queued=64,
    characters_in_flight=None,
    characters_in_flight_in_all=None,
    max_inside_characters=20_000,
    max_disk_bytes=None,
    keep_days=None,
    at_once=1,
    trusted_proxies=0,
)
HOSTED: Final = Policy(
    secret_ids=True,
    owner_token=False,
    loopback_only=False,
    space=False,
    poll_seconds=2.0,  # a Space limits how often it may be asked
    frame_seconds=0.2,
    idle_seconds=0.0,
    sweeps=True,
    upload_seconds=3_600,
    trainer_niceness=19,  # the lowest: the visitors of a page wait for its answers
    max_text_bytes=5 * MEGABYTE,
    max_zip_bytes=60 * MEGABYTE,
    max_pull_bytes=100 * MEGABYTE,
    max_parameters=5_000_000,
    max_minutes=30.0,
    runs_per_visitor=10,
    queued_per_visitor=2,
    max_queued=12,
    characters_in_flight=40_000,
    characters_in_flight_in_all=400_000,
    max_inside_characters=5_000,
    max_disk_bytes=20 * GIGABYTE,
    keep_days=7.0,
    at_once=1,
    trusted_proxies=0,
)
LIMITS: Final = tuple(item for item in dataclasses.fields(Policy) if item.metadata)


def _is_shared(environ: Mapping[str, str]) -> bool:
    explicit = environ.get("CHARRNN_HOSTED", "").strip()
    return explicit != "0" if explicit else bool(environ.get("SPACE_ID"))


def _read_limit(bounds: Mapping[str, Any], text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not bounds["low"] <= number <= bounds["high"]:  # NaN neither
        raise ConfigError(
            f"{bounds['variable']} is {text[:40]!r}: expected a number from "
            f"{bounds['low']:,g} to {bounds['high']:,g}, {bounds['help']}."
        )
    return int(number * bounds["unit"]) if bounds["whole"] else number


def policy(environ: Mapping[str, str] = os.environ) -> Policy:
    """The policy in force: `CHARRNN_HOSTED`, else a Space, else one's own computer's.

    The page itself also sets `CHARRNN_HOSTED` when it binds to anything but
    loopback.

    Raises:
        ConfigError: If a limit's variable is not a number in its range.
    """
    base = HOSTED if _is_shared(environ) else LOCAL
    changes: dict[str, Any] = {}
    if base is HOSTED and environ.get("SPACE_ID"):
        changes |= {"space": True, "trusted_proxies": 1}
    for limit in LIMITS:
        text = environ.get(limit.metadata["variable"], "").strip()
        if text:
            changes[limit.name] = _read_limit(limit.metadata, text)
    return dataclasses.replace(base, **changes) if changes else base


def training_threads() -> int:
    """Threads that a training computes with: the cores, shared among those at once."""
    return max(1, (os.cpu_count() or 1) // policy().at_once)


@dataclass(frozen=True)
class Visitor:
    """Whom a limit holds for.

    Args:
        key: A signed-in user, else a browser, else a session that a program names.
        address: Where the visitor comes from, see `address_of`.
    """

    key: str
    address: str


UNKNOWN_VISITOR: Final = Visitor("", "")


def address_of(peer: str, forwarded: Sequence[str], *, trusted_proxies: int) -> str:
    """Where a request comes from, as far as it can be believed.

    Each proxy adds the address that it was asked from at the right end of the
    header: what trusted ones added is believed, what stands left of it is whatever
    the client wrote. An IPv6 address counts as its network of 64 bits, of which a
    single client has every address.

    Args:
        peer: Address of the connection.
        forwarded: The values of every ``X-Forwarded-For`` header, in order.
        trusted_proxies: How many of the last senders are proxies of ours.

    Example:
        >>> address_of("10.0.0.1", ["1.1.1.1, 2.2.2.2"], trusted_proxies=1)
        '2.2.2.2'
    """
    senders = [*",".join(forwarded).split(","), peer] if forwarded else [peer]
    believed = senders[-min(1 + trusted_proxies, len(senders)) :]
    for sender in believed:  # the farthest first
        address = _normal_address(sender)
        if address:
            return address
    return peer


def _normal_address(text: str) -> str:
    """The address, an IPv6 one as its network; empty if it is none."""
    text = text.strip()
    if text.startswith("["):  # [::1]:8080
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 127.0.0.1:8080
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
