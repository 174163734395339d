"""What became of traces that are gone: late spans follow the verdict on the rest.

Two memories, both of the last N decisions. Kept ids are few and carry a verdict: an ordinary map. Dropped ids are many
and carry nothing: at least the last N of them.
"""

from __future__ import annotations

from collections import OrderedDict

from processors.recent import RecentIds
from processors.tail_sampling.verdict import NOT_SAMPLED, Verdict


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


class Memory:
    """Both memories. One of size 0 is off: its traces are remembered for as long as the table has room."""

    def __init__(self, kept: int, dropped: int, *, half_ids: bool = False) -> None:
        """`half_ids`: tell traces apart by the right half of their id, as the Collector does."""
        self._kept = KeptIds(kept)
        self._dropped = RecentIds(dropped)
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
