"""Ids that were seen, the latest of them, in few bytes each.

64 bits of each id in an open-addressed table of twice the size, two generations of it, so that the oldest are forgotten
in bulk; 17 bytes an id and generation against 82 in a set. Among a million ids a new one is taken for one of them with
probability 5·10⁻¹⁴. `hash` of bytes is keyed SipHash over the whole id (PEP 456).
"""

from __future__ import annotations

from mmap import mmap
from typing import Final

_MASK64: Final = (1 << 64) - 1


class RecentIds:
    """At least the last `size` ids that were added."""

    def __init__(self, size: int) -> None:
        self.size = max(0, size)
        self._mask = (1 << max(3, (2 * self.size - 1).bit_length())) - 1
        self._new = self._empty()
        self._old = self._new
        self._count = 0
        self._before: RecentIds | None = None
        """What another of a different size knew, until this one has seen as many as it is to remember."""

    def _empty(self) -> memoryview:
        """Return a zeroed table in anonymous memory, whose pages the system hands out when they are written."""
        slots = self._mask + 1 if self.size else 1
        return memoryview(mmap(-1, 8 * slots)).cast("Q")

    def add(self, name: bytes) -> None:
        if not self.size:
            return
        if self._count >= self.size:
            self._turn()
        key, table, mask = hash(name) & _MASK64 or 1, self._new, self._mask
        slot = key & mask
        while (found := table[slot]) and found != key:
            slot = (slot + 1) & mask
        if not found:
            table[slot] = key
            self._count += 1

    def inherit(self, predecessor: RecentIds) -> None:
        """Know what another knew, which MUST NOT be used any more. Nothing is copied: that takes too long at once."""
        if self.size == predecessor.size:
            self._new, self._old = predecessor._new, predecessor._old
            self._count, self._before = predecessor._count, predecessor._before
        elif self.size and predecessor.size:
            self._before = predecessor

    def _turn(self) -> None:
        """Begin a new generation."""
        self._old, self._new, self._count = self._new, self._empty(), 0
        self._before = None

    def __contains__(self, name: bytes) -> bool:
        if not self.size:
            return False
        key = hash(name) & _MASK64 or 1
        found = self._new[key & self._mask]  # most often empty: the id is new
        if found and (found == key or self._new[self._find(self._new, key)]):
            return True
        if self._old is not self._new and self._old[self._find(self._old, key)]:
            return True
        return self._before is not None and name in self._before

    def _find(self, table: memoryview, key: int) -> int:
        """Return the slot that holds the key, or the empty one where it belongs."""
        mask = self._mask
        slot = key & mask
        while True:
            found = table[slot]
            if not found or found == key:
                return slot
            slot = (slot + 1) & mask
