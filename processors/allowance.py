"""A bound in bytes on what is remembered by keys that come from outside.

Sets of attribute keys, encoded values and names of models are remembered because traffic repeats itself. Each memory
bounds their number; they can be as long as a request, so those of a processor share an allowance too.
"""

from __future__ import annotations

from typing import Final, Protocol

ENTRY_BYTES: Final = 200
"""Of any entry, beside its content: a place in a table, a tuple, headers of objects."""


class _Memory(Protocol):
    def clear(self) -> None: ...


class Allowance:
    """When it is used up, all memories that took part of it are emptied and fill anew."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes. A single entry may be larger; then it is the only one."""
        self._limit = limit
        self._spent = 0
        self._memories: dict[int, _Memory] = {}

    def spend(self, size: int, *memories: _Memory) -> None:
        """Before an entry of `size` bytes is made: empty every memory if it has no place, and know where it goes."""
        size += ENTRY_BYTES
        if self._spent + size > self._limit:
            for memory in self._memories.values():
                memory.clear()
            self._memories.clear()
            self._spent = 0
        self._spent += size
        for memory in memories:
            self._memories[id(memory)] = memory


def length(key: object) -> int:
    """Return the bytes of texts and bytes in a key, however nested in tuples; a character counts as one."""
    if isinstance(key, bytes | str):
        return len(key)
    return sum(map(length, key)) if isinstance(key, tuple) else 0
