"""Traces that stand for a value, attached only once the sampler kept them: a link to a dropped trace is a dead link.

Invariants
- A candidate waits by its trace until a sampler decides about that trace; without samplers, until the next flush.
- Candidates are bounded: the oldest makes room. A series holds one exemplar per bucket, the newest.
- The time of an exemplar is the span's, not that of the decision.
"""

from __future__ import annotations

from collections import OrderedDict
from struct import Struct
from typing import Any, Final

from processors.llm_metrics.bindings import COST, DECODE, LATENCY, PRICE, TTFT, Binding
from processors.ports import DecisionBus
from processors.wire import delimited, varint

_MAX_WAITING: Final = 20_000
"""Traces with candidates; about 400 bytes each."""
_MAX_PER_TRACE: Final = 4
_MAX_RELEASED: Final = 1000
"""Traces that a flush attaches; of more, the newest are enough, as a bucket shows one."""
_TIME_AND_VALUE: Final = Struct("<cQcd").pack


class Exemplars:
    """Listens to samplers and attaches what they kept."""

    def __init__(self, bus: DecisionBus) -> None:
        self._bus = bus
        self._waiting: OrderedDict[bytes, list[tuple[Any, ...]]] = OrderedDict()
        """A dict would look for its oldest entry among all that were deleted before: 6 µs when full."""
        bus.listen(self)

    def offer(self, binding: Binding, trace_id: bytes, end_ns: int, *values: float | None) -> None:
        """Propose a call: its cost, duration, time to first token and decode rate, as far as known."""
        if not any(trace_id):  # none, or the one of all zeros, which is invalid
            return
        waiting = self._waiting
        if trace_id not in waiting:
            if len(waiting) >= _MAX_WAITING:
                waiting.popitem(last=False)
            waiting[trace_id] = []
        if len(waiting[trace_id]) < _MAX_PER_TRACE:
            waiting[trace_id].append((binding, end_ns, values))

    def decided(self, trace_id: bytes, kept: bool) -> None:
        """Attach or forget the candidates of a trace."""
        candidates = self._waiting.pop(trace_id, ())
        if kept:
            for candidate in candidates:
                _attach(trace_id, candidate)

    def release(self) -> None:
        """Attach all candidates when there is no sampler that could drop their traces.

        Not at once: a sampler further on may only now get its first span, and speak up then.
        """
        if not self._bus.samplers:
            for trace_id in list(self._waiting)[-_MAX_RELEASED:]:
                self.decided(trace_id, True)
            self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    def adopt(self, predecessor: Exemplars) -> None:
        """Wait for what another one waited for."""
        self._waiting.update(predecessor._waiting)
        predecessor.leave()

    def leave(self) -> None:
        """Listen no more."""
        self._bus.leave(self)
        self._waiting.clear()


_PLACES: Final = ((COST, PRICE), (LATENCY,), (TTFT,), (DECODE,))
"""Which series of a binding each value belongs to."""


def _attach(trace_id: bytes, candidate: tuple[Any, ...]) -> None:
    """Attach encoded OTLP Exemplars (metrics.proto 1.10), behind their lengths."""
    binding, end_ns, values = candidate
    trace = delimited(b"\x2a", trace_id)
    size = varint(18 + len(trace))
    for places, value in zip(_PLACES, values, strict=True):
        if value is not None:
            exemplar = size + _TIME_AND_VALUE(b"\x11", end_ns, b"\x19", value) + trace
            for place in places:
                (binding.series[place] or binding.open(place)).exemplify(value, exemplar)
