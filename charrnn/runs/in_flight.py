"""What has been asked for and is not done yet: limits of visitors, kept.

A visitor, an address and all together may have so many requests and characters in
flight; the policy gives the numbers of characters. One address may have
`VISITORS_PER_ADDRESS` times a visitor's, but never more than half of all. Characters to
write and characters to read, those of prompts, are counted apart.
"""

import collections
import queue
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, TypeAlias

from charrnn.errors import RunError
from charrnn.hosting import VISITORS_PER_ADDRESS, Policy, Visitor

MAX_REQUESTS: Final = 128  # of all visitors: each holds a thread of the page
REQUESTS_PER_VISITOR: Final = 32
ASKED: Final = "{count:,} characters are asked for"
LEFT: Final = "{asked} and {held:,} {whose} are still to be written"
ASKED_TO_READ: Final = "{count:,} characters are to be read"
LEFT_TO_READ: Final = "{asked} and {held:,} {whose} are still to be read"
LATER: Final = "Try again in a minute."
Counts: TypeAlias = "collections.Counter[Hashable]"


@dataclass
class Claim:
    """One request's part of what is in flight."""

    visitor: Visitor
    characters: int  # not written, or not read, yet


@dataclass(frozen=True)
class _Limits:
    """How much may be in flight; None is no limit."""

    visitor: int | None
    everybody: int | None

    @property
    def address(self) -> int | None:
        shares = [] if self.visitor is None else [VISITORS_PER_ADDRESS * self.visitor]
        halves = [] if self.everybody is None else [self.everybody // 2]
        return min([*shares, *halves], default=None)

    def check(
        self, held: Counts, visitor: Visitor, count: int, asked: str, left: str
    ) -> None:
        """Refuse ``count`` more where that would be over a limit.

        Raises:
            RunError: If it would; it begins with ``asked``, in ``left`` where something
                is in flight already.
        """
        for holder, limit, whose, who, remedy in (
            (visitor, self.visitor, "of yours", "a visitor", "Wait, or ask for less."),
            (visitor.address, self.address, "from your network", "one network", LATER),
            (None, self.everybody, "of all visitors", "all together", LATER),
        ):
            if limit is None or held[holder] + count <= limit:
                continue
            if held[holder]:
                asked = left.format(asked=asked, held=held[holder], whose=whose)
            raise RunError(f"{asked}: {who} may have {limit:,} at once. {remedy}")


class InFlight:
    """Counts what is in flight; safe to use from several threads.

    Args:
        asked: How a sentence begins that refuses so many characters.
        left: And goes on where some are in flight already.
    """

    def __init__(self, asked: str = ASKED, left: str = LEFT) -> None:
        self._asked, self._left = asked, left
        self._requests: Counts = collections.Counter()
        self._characters: Counts = collections.Counter()
        self._lock = threading.Lock()  # guards the two above
        # A forgotten generator may end anywhere, inside of this class too.
        self._released: queue.SimpleQueue[Claim] = queue.SimpleQueue()

    def take(self, visitor: Visitor, characters: int, rules: Policy) -> Claim:
        """Count a request in.

        Args:
            visitor: Who asks.
            characters: How many are asked for.
            rules: The policy whose limits hold.

        Raises:
            RunError: If the visitor, the address or all together would have too much
                in flight; it says what is allowed and what to do.
        """
        with self._lock:
            while not self._released.empty():
                claim = self._released.get()
                self._change(claim.visitor, -1, -claim.characters)
            self._check(visitor, characters, rules)
            self._change(visitor, 1, characters)
        return Claim(visitor, characters)

    def done(self, claim: Claim, characters: int) -> None:
        """So many more characters of a request are written, or read."""
        with self._lock:
            done = min(characters, claim.characters)
            claim.characters -= done
            self._change(claim.visitor, 0, -done)

    def release(self, claim: Claim) -> None:
        """The request is over, whatever was done of it."""
        self._released.put(claim)

    def _change(self, visitor: Visitor, requests: int, characters: int) -> None:
        for holder in (visitor, visitor.address, None):
            for counts, change in (
                (self._requests, requests),
                (self._characters, characters),
            ):
                counts[holder] += change
                if not counts[holder]:
                    del counts[holder]  # a visitor who has nothing leaves no trace

    def _check(self, visitor: Visitor, characters: int, rules: Policy) -> None:
        asked = self._asked.format(count=characters)
        limits = _Limits(rules.characters_in_flight, rules.characters_in_flight_in_all)
        limits.check(self._characters, visitor, characters, asked, self._left)
        asked = "One more request is made"
        limits = _Limits(REQUESTS_PER_VISITOR, MAX_REQUESTS)
        limits.check(self._requests, visitor, 1, asked, self._left)
