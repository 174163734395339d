"""Requests of large spans stay in memory as they came, and their spans are held as views of them: slabs.

To copy a span of 20 kB out of its request takes as long as to decide about it. The price is that a request stays whole
while one of its spans is held. So what of it nobody holds any more is counted (`slack`), and once that is more than
half of it, the spans that are left are copied out after all: at once where room is short and slack takes much of it,
else a second later, because traces that came together are decided within a few ticks. No byte is copied twice, and then
what is held takes no more than twice its size.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from processors.tail_sampling.traces import Trace

_LARGE_SPAN: Final = 8 << 10
"""Bytes of an average span from which a view costs less than a copy."""
_A_WHILE: Final = 1_000_000_000
"""Nanoseconds."""
_LARGEST: Final = 4 << 20
"""Bytes that a span may keep in memory."""

Held: TypeAlias = "bytes | memoryview"
"""An encoded span: its own bytes, or a view of its slab. `bytes(held)` copies a view only."""


class Slab:
    """A request that stays in memory."""

    __slots__ = ("places", "raw", "used")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.used = 0
        """Bytes of the spans that are held; of all of it while it is taken in."""
        self.places: list[tuple[Trace, int]] = []
        """Where its spans were put: the trace, and the position among the parts that it has until it is decided."""


class Slabs:
    """The slabs of a table."""

    def __init__(self) -> None:
        self.slack = 0
        """Bytes of slabs besides the spans that are held."""
        self._slabs: dict[int, Slab] = {}
        """By the identity of their bytes."""
        self._sparse: OrderedDict[Slab, int] = OrderedDict()
        """Those of which most is of no use, and since when, in that order."""
        self.now_ns = 0
        """The time, as the sampler knows it."""

    @property
    def sparse(self) -> bool:
        """Whether there is something for `copy_out` to do."""
        return bool(self._sparse)

    @property
    def settled(self) -> bool:
        """Whether there is something that has waited for that long enough."""
        return bool(self._sparse) and next(iter(self._sparse.values())) + _A_WHILE <= self.now_ns

    def begin(self, raw: bytes) -> Slab:
        """Begin to hold views of a request: all of it is in use until `end`, which MUST follow."""
        slab = self._slabs.get(id(raw))
        if slab is None:
            slab = self._slabs[id(raw)] = Slab(raw)
            self.slack += len(raw)
        self._use(slab, len(raw))
        return slab

    def end(self, slab: Slab, held: int) -> None:
        """Say that so many bytes were held as views since `begin`, some perhaps given back since."""
        self._use(slab, held - len(slab.raw))

    def give_back(self, span: memoryview) -> None:
        """Say that a view is held no longer."""
        self._use(self._slabs[id(span.obj)], -len(span))

    def copy_out(self) -> int:
        """Copy what is left in the slab that is sparse for longest; return how many bytes."""
        slab, copied = next(iter(self._sparse)), 0
        for trace, position in slab.places:
            at = position - trace.gone
            if at >= 0 and isinstance(span := trace.parts[at], memoryview):
                trace.parts[at] = bytes(span)
                copied += len(span)
                self.give_back(span)
        return copied

    def _use(self, slab: Slab, more: int) -> None:
        """Count bytes that are used from now on; not any more, where they are less than none."""
        slab.used += more
        self.slack -= more
        if slab.used and 2 * slab.used < len(slab.raw):
            self._sparse.setdefault(slab, self.now_ns)
            return
        self._sparse.pop(slab, None)
        if not slab.used:
            self.slack -= len(slab.raw)
            del self._slabs[id(slab.raw)]


def spans_from(raw: bytes, spans: int) -> Held:
    """Return what to cut so many spans of a request from: a view of it where it had better stay, else itself."""
    stays = 0 < spans * _LARGE_SPAN <= len(raw) <= _LARGEST
    return memoryview(raw) if stays else raw
