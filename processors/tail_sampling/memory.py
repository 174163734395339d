"""What became of traces that are gone: late spans follow the verdict on the rest.

Two memories, both of the last N decisions. Kept ids are few and carry a verdict: an ordinary map. Dropped ids are many
and carry nothing: 64 bits of each in an open-addressed table of twice the size, two generations of it, so that the
oldest are forgotten in bulk; 17 bytes an id and generation against 82 in a set. At a million ids a new trace is taken
for a dropped one with probability 5·10⁻¹⁴. `hash` of bytes is keyed SipHash over the whole id (PEP 456).
"""

from __future__ import annotations

from collections import OrderedDict
from mmap import mmap
from typing import Final

from processors.tail_sampling.verdict import NOT_SAMPLED, Verdict

_MASK64: Final = (1 << 64) - 1


class KeptIds:
    """The last `size` kept traces with their verdicts; the one asked for longest ago goes first."""

    def __init__(self, size: int) -> None:
        self.size = max(0, size)
        self._verdicts: OrderedDict[bytes, tuple[Verdict, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verdicts)

    def add(self, trace_id: bytes, verdict: Verdict, now_ns: int) -> None:
        if not self.size:
            return
        self._verdicts[trace_id] = (verdict, now_ns)
        self._verdicts.move_to_end(trace_id)
        if len(self._verdicts) > self.size:
            self._verdicts.popitem(last=False)

    def get(self, trace_id: bytes) -> tuple[Verdict, int] | None:
        """Return the verdict and when it fell."""
        found = self._verdicts.get(trace_id)
        if found is not None:
            self._verdicts.move_to_end(trace_id)
        return found

    def inherit(self, predecessor: KeptIds) -> None:
        """Know what another knew, the last `size` of it."""
        self._verdicts = predecessor._verdicts
        while len(self._verdicts) > self.size:
            self._verdicts.popitem(last=False)


class DroppedIds:
    """At least the last `size` dropped traces."""

    def __init__(self, size: int) -> None:
        self.size = max(0, size)
        self._mask = (1 << max(3, (2 * self.size - 1).bit_length())) - 1
        self._new = self._empty()
        self._old = self._new
        self._count = 0

    def _empty(self) -> memoryview:
        """Return a zeroed table in anonymous memory, whose pages the system hands out when they are written."""
        slots = self._mask + 1 if self.size else 1
        return memoryview(mmap(-1, 8 * slots)).cast("Q")

    def add(self, trace_id: bytes) -> None:
        if not self.size:
            return
        self._turn()
        self._put(hash(trace_id) & _MASK64 or 1)

    def _put(self, key: int) -> None:
        slot = self._find(self._new, key)
        if not self._new[slot]:
            self._new[slot] = key
            self._count += 1

    def inherit(self, predecessor: DroppedIds) -> None:
        """Know what another knew, as much of it as there is room for."""
        if self.size == predecessor.size:
            self._new, self._old = predecessor._new, predecessor._old
            self._count = predecessor._count
            return
        for table in (predecessor._old, predecessor._new):
            for key in table:
                if key and self.size:
                    self._turn()
                    self._put(key)

    def _turn(self) -> None:
        """Begin a new generation when this one is full."""
        if self._count >= self.size:
            self._old, self._new, self._count = self._new, self._empty(), 0

    def __contains__(self, trace_id: bytes) -> bool:
        if not self.size:
            return False
        key = hash(trace_id) & _MASK64 or 1
        found = self._new[key & self._mask]  # most often empty: the trace is new
        if found and (found == key or self._new[self._find(self._new, key)]):
            return True
        return self._old is not self._new and bool(self._old[self._find(self._old, key)])

    def _find(self, table: memoryview, key: int) -> int:
        """Return the slot that holds the key, or the empty one where it belongs."""
        mask = self._mask
        slot = key & mask
        while True:
            found = table[slot]
            if not found or found == key:
                return slot
            slot = (slot + 1) & mask


class Memory:
    """Both memories. One of size 0 is off: its traces are remembered for as long as the table has room."""

    def __init__(self, kept: int, dropped: int, *, half_ids: bool = False) -> None:
        """`half_ids`: tell traces apart by the right half of their id, as the Collector does."""
        self._kept = KeptIds(kept)
        self._dropped = DroppedIds(dropped)
        self._from = 8 if half_ids else 0

    def add(self, trace_id: bytes, verdict: Verdict, now_ns: int) -> bool:
        """Remember a verdict; False when its memory is off."""
        memory = self._kept if verdict.kept else self._dropped
        if not memory.size:
            return False
        if verdict.kept:
            self._kept.add(trace_id[self._from :], verdict, now_ns)
        else:
            self._dropped.add(trace_id[self._from :])
        return True

    def inherit(self, predecessor: Memory) -> None:
        """Know what another knew."""
        if self._from == predecessor._from:
            self._kept.inherit(predecessor._kept)
            self._dropped.inherit(predecessor._dropped)

    def get(self, trace_id: bytes) -> tuple[Verdict, int] | None:
        """Return the verdict and when it fell, 0 when that is not known."""
        key = trace_id[self._from :]
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        return (NOT_SAMPLED, 0) if key in self._dropped else None
