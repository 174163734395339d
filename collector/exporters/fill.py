"""How full a queue is: what is in it, what is claimed beside that, and whether more would fit.

Bounded twice: in the configured unit and in bytes. A request that comes in portions claims room for all of them before
the first one (see `collector.portions`), and `fits` leaves it to them. `takes` heeds no claims: it is asked for what
they were made for, and for what was released, whose sender was told that it is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from collector.exporters.queue_config import QueueConfig
from collector.exporters.shelf import Waiting

_SIZERS: Final[Mapping[str, Callable[[int, int, int], int]]] = {
    "requests": lambda requests, items, size: requests,
    "items": lambda requests, items, size: items,
    "bytes": lambda requests, items, size: size,
}


class Fill:
    """Of one queue, which changes it with its lock held; what is asked may be asked without."""

    def __init__(self, config: QueueConfig, max_bytes: int) -> None:
        self.capacity = config.queue_size
        self.size = 0
        """In the unit of `capacity`."""
        self._bytes = self._claimed = self._claimed_bytes = 0
        self._max_bytes = max_bytes
        self._measure = _SIZERS[config.sizer]
        self._slack = 2 if config.block_on_overflow else 1
        """Several callers may have waited for the same room."""

    @property
    def full(self) -> bool:
        return self.size >= self.capacity or self._bytes >= self._max_bytes

    def takes(self, entry: Waiting) -> bool:
        """Whether a request has room, whatever is claimed."""
        return self._has_room(
            self.size, self._bytes, self._measure(1, entry.items, entry.size), entry.size
        )

    def fits(self, requests: int, items: int, size: int) -> bool:
        """Whether that much has room beside what is claimed."""
        filled, weight = self.size + self._claimed, self._bytes + self._claimed_bytes
        return self._has_room(filled, weight, self._measure(requests, items, size), size)

    def _has_room(self, filled: int, weight: int, units: int, size: int) -> bool:
        """An empty queue takes any request: what is larger than the bounds could never leave otherwise."""
        return filled <= 0 or (
            filled + units <= self._slack * self.capacity
            and weight + size <= self._slack * self._max_bytes
        )

    def claim(self, requests: int, items: int, size: int) -> None:
        """Claim so much more, or less where it is negative."""
        self._claimed += self._measure(requests, items, size)
        self._claimed_bytes += size

    def add(self, entry: Waiting) -> None:
        """Count a request."""
        self._count(entry, 1)

    def remove(self, entry: Waiting) -> None:
        """Count a request no longer."""
        self._count(entry, -1)

    def _count(self, entry: Waiting, sign: int) -> None:
        self.size += sign * self._measure(1, entry.items, entry.size)
        self._bytes += sign * entry.size
