"""Remembers what the price book answered: resolving takes 100 µs, a look-up a third of one.

Bounded: when as many identities are known as fit, the memory starts anew, which costs live traffic a few resolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from processors.allowance import Allowance, length
from processors.llm_cost.book import Book, Identity, Miss, Offer

KEPT: Final = 10_000
"""Identities; a name that is not known is remembered like any other."""
RANGES: Final = 8
"""Time ranges per identity: live traffic needs one, a backfill beside it a second."""
_REMEMBERED: Final = 8 << 20
"""Bytes of identities and offers, estimated."""
_OFFER_BYTES: Final = 1024
SAID: Final = 1_000
"""Unknown names that are told, each once; after that they are only counted."""


class Offers:
    """The offers of one book."""

    def __init__(self, book: Book, tell: Callable[[Miss], None]) -> None:
        """`tell` hears of each new name without a price."""
        self.book = book
        self._tell = tell
        self._told: set[tuple[str, str]] = set()
        self._known: dict[Identity, list[Offer | Miss]] = {}
        self._allowance = Allowance(_REMEMBERED)

    def find(self, identity: Identity, at: int) -> Offer | Miss:
        """Return the terms for a call at a time."""
        ranges = self._known.get(identity)
        if ranges is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._allowance.spend(_OFFER_BYTES + length(identity), self._known)
            ranges = self._known[identity] = []
        for offer in ranges:
            if offer.start <= at < offer.end:
                return offer
        found = self.book.resolve(identity, at)
        ranges.insert(0, found)
        del ranges[RANGES:]
        if isinstance(found, Miss):
            self._note(found)
        return found

    def _note(self, miss: Miss) -> None:
        name = (miss.provider, miss.model)
        if name not in self._told and len(self._told) < SAID:
            self._told.add(name)
            self._tell(miss)
