"""What the instances of one component id share: the price book, its answers, conversations, and who reports on them.

One id may stand in the traces and in the logs pipeline, and every reload builds new instances; the desk outlives both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from processors.errors import InvalidConfig
from processors.llm_cost.book import Book, Miss
from processors.llm_cost.conversations import Conversations
from processors.llm_cost.offers import Offers

FEW: Final = 4
"""A price list with fewer models may shrink as it likes."""


class Desk:
    """Made once for each component id."""

    def __init__(self) -> None:
        self.conversations = Conversations()
        self.speaker: object = None
        """The instance that reports what is shared, so that nothing is counted twice."""
        self._latest: tuple[Mapping[str, Any] | None, Offers] | None = None
        self._in_use = 0

    def offers(self, pricing: Mapping[str, Any] | None, tell: Callable[[Miss], None]) -> Offers:
        """Return the offers of a price list, compiled once. Raises: `InvalidConfig`."""
        if self._latest is None or self._latest[0] != pricing:
            book = Book(pricing)
            if pricing is not None:
                self._refuse_half_a_file(len(book.overlay.items))
            self._latest = (pricing, Offers(book, tell))
        return self._latest[1]

    def use(self, book: Book, speaker: object) -> None:
        """Note which book calls are priced by now."""
        self._in_use = len(book.overlay.items)
        self.speaker = speaker

    def _refuse_half_a_file(self, models: int) -> None:
        """A file that is read while it is being written may be whole YAML and lack most of its models."""
        if self._in_use >= FEW and 2 * models < self._in_use:
            text = f"expected at least half of the {self._in_use} models priced now, got {models}"
            raise InvalidConfig("pricing.models", f"{text}; a restart takes the shorter list")
