"""Requests of large spans stay in memory as they came, and their spans are held as views of them: slabs.

To copy a span of 20 kB out of its request takes as long as to decide about it. The price is that a request stays whole
while one of its spans is held. So what of it nobody holds any more is counted (`slack`), and once that is more than
half of it, the spans that are left are copied out after all. No byte is copied twice, and what is held takes no more
than twice its size, plus what became free since the sampler last had nothing more urgent to do.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from processors.tail_sampling.traces import Trace

_LARGE_SPAN: Final = 8 << 10
"""Bytes of an average span from which a view costs less than a copy."""
_LARGEST: Final = 4 << 20
"""Bytes that a span may keep in memory."""

Held: TypeAlias = "bytes | memoryview"
"""An encoded span: its own bytes, or a view of its slab. `bytes(held)` copies a view only."""


class Slab:
    """A request that stays in memory."""

    __slots__ = ("places", "raw", "sparse", "used")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.used = len(raw)
        """Bytes of the spans that are held; all of it while it is taken in."""
        self.sparse = False
        """Whether most of it is of no use any more."""
        self.places: list[tuple[Trace, int]] = []
        """Where its spans were put: the trace, and the position in `Trace.parts`, good while that is undecided."""


class Slabs:
    """The slabs of a table."""

    def __init__(self) -> None:
        self.slack = 0
        """Bytes of slabs besides the spans that are held."""
        self._slabs: dict[int, Slab] = {}
        """By the identity of their bytes."""
        self._sparse: deque[Slab] = deque()

    def begin(self, raw: bytes, spans: int) -> Slab | None:
        """Begin to take in a request; None where its spans are better copied, or are
        views of the same bytes already. MUST be followed by `end`."""
        are_large = 0 < spans * _LARGE_SPAN <= len(raw) <= _LARGEST
        if not are_large or id(raw) in self._slabs:
            return None
        slab = self._slabs[id(raw)] = Slab(raw)
        return slab

    def end(self, slab: Slab, held: int) -> None:
        """Say that so many bytes of a slab were held as spans, some perhaps given back since."""
        self._free(slab, len(slab.raw) - held)

    def give_back(self, span: memoryview) -> None:
        """Say that a span is held no longer as a view."""
        self._free(self._slabs[id(span.obj)], len(span))

    def copy_out(self) -> int:
        """Copy what is left in the slab that is sparse for longest; return how many bytes, 0 where there is none."""
        if not self._sparse:
            return 0
        slab = self._sparse.popleft()
        copied = 1
        for trace, position in slab.places:
            if trace.verdict is None:
                span = trace.parts[position]
                if isinstance(span, memoryview):
                    trace.parts[position] = bytes(span)
                    copied += len(span)
                    self.give_back(span)
        return copied

    def _free(self, slab: Slab, size: int) -> None:
        whole = len(slab.raw)
        slab.used -= size
        self.slack += size
        if not slab.used:
            self.slack -= whole
            del self._slabs[id(slab.raw)]
            slab.places.clear()
        elif not slab.sparse and 2 * slab.used < whole:
            slab.sparse = True
            self._sparse.append(slab)

    def inherit(self, predecessor: Slabs) -> None:
        """Go on with the slabs of another."""
        self.slack = predecessor.slack
        self._slabs, self._sparse = predecessor._slabs, predecessor._sparse
