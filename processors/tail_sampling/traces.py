"""What is held: traces that wait for their decision, the envelopes they share, and the table that finds them.

Invariants
- A held span is its encoded bytes or a view of them (`slabs`), nothing else: nothing parsed, no batch outlives the
  call that got it.
- Equal envelopes are one object, counted once in `Table.size` for as long as any trace holds it.
- `Table.size` is what the traces `weigh` whose spans are here, plus the envelopes, plus what of slabs is of no use any
  more. `Table.leaving` of it are decided and on their way out; `buffer.max_bytes` bounds the rest.
- A trace is in the table once, in the order its first span came. Decided ones stay only where the memory of decisions
  is switched off, and then without their spans.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from processors.encoded import split, without_schema_url
from processors.tail_sampling.calls import Calls
from processors.tail_sampling.slabs import Held, Slabs
from processors.tail_sampling.verdict import Verdict
from processors.views import PARSE
from processors.wire import decode_value

SPAN_OVERHEAD: Final = 300
TRACE_OVERHEAD: Final = 1_000
"""Bytes added for bookkeeping, so that the bound is honest about small spans."""
SHARE_SPANS: Final = 512
SHARE_BYTES: Final = 1 << 20
"""As much of one trace is read or handed on at once, or the span more that goes beyond it."""


class Envelope:
    """Resource, scope and schema URLs of a span: everything of its request around it. Interned by the table."""

    def __init__(self, resource: bytes, scope: bytes) -> None:
        self.resource = resource
        self.scope = scope
        self.holders = 0
        self.matched = 0
        """Bits of the tests that this resource passes, for the plan `read_by`."""
        self.read_by: object = None

    @cached_property
    def group(self) -> Any:
        """The resource as a view: `group.resource.attributes`, `group.schema_url`."""
        return PARSE["GroupHead"](self.resource)

    @cached_property
    def instrumentation(self) -> Any:
        """The scope as a view: `instrumentation.scope.name`, `instrumentation.schema_url`."""
        return PARSE["ScopeHead"](self.scope)

    @property
    def size(self) -> int:
        return len(self.resource) + len(self.scope) + SPAN_OVERHEAD


def text_value(raw: bytes | None) -> str:
    """Return the text that an encoded AnyValue holds; empty for anything else."""
    value = decode_value(raw, 0, len(raw)) if raw else None
    return value if isinstance(value, str) else ""


class Trace:
    """One trace: the spans that came so far and what is known about them."""

    __slots__ = (
        "calls",
        "decided_ns",
        "end_ns",
        "failed",
        "first_ns",
        "gone",
        "id",
        "last",
        "matched",
        "parts",
        "pending",
        "plan",
        "root_ns",
        "root_seen",
        "rv",
        "seqs",
        "session_rv",
        "size",
        "spans",
        "start_ns",
        "statuses",
        "texts",
        "verdict",
        "wire_size",
    )

    def __init__(self, trace_id: bytes, first_ns: int, plan: object) -> None:
        self.id = trace_id
        self.first_ns = first_ns
        """When the first span came."""
        self.root_ns = 0
        """When the root came, or what may be it; 0: not yet."""
        self.decided_ns = 0
        self.parts: list[Envelope | Held] = []
        """Spans in order of arrival, each run of them behind its envelope."""
        self.gone = 0
        """How many of them, the first ones, are here no more."""
        self.last: Envelope | None = None
        self.verdict: Verdict | None = None
        self.root_seen = False
        """Whether it certainly was the root."""
        self.seqs: list[int] | None = None
        """The pieces of it in the journal."""
        self.pending: Verdict | None = None
        """A vote to keep it that waits for a drop policy to speak."""
        self.spans = 0
        self.size = 0
        """Bytes of its spans."""
        self.wire_size = 0
        """Bytes of its share of the requests, resources and scopes included, as the Collector counts them."""
        self.reset(plan)

    def reset(self, plan: object) -> None:
        """Forget what was seen, not what is held: the plan will read the spans again."""
        self.plan = plan
        self.matched = 0
        """Bits of the tests that some span or resource passed."""
        self.failed = 0
        """Bits of the tests that raised before they passed."""
        self.statuses = 0
        """Status codes seen: 1 unset, 2 ok, 4 error."""
        self.start_ns = 0
        self.end_ns = 0
        self.rv: int | None = None
        """Explicit randomness from trace state."""
        self.session_rv: int | None = None
        """Randomness chosen by its session."""
        self.calls: Calls | None = None
        self.texts: dict[str, dict[str, None]] | None = None
        """Attribute key → its different values in order, for keys that were asked for."""

    @property
    def randomness(self) -> int:
        """R of consistent probability sampling: 56 bits, uniform over traces."""
        if self.rv is not None:
            return self.rv
        if self.session_rv is not None:
            return self.session_rv
        return int.from_bytes(self.id[-7:], "big")

    def values_of(self, key: str) -> list[str]:
        """Return the texts of an attribute that the plan watches, in order: on spans, else on resources."""
        if self.texts is not None and key in self.texts:
            return list(self.texts[key])
        envelopes = [part for part in self.parts if isinstance(part, Envelope)]
        found = [text_value(e.group.resource.attributes.get(key)) for e in envelopes]
        return list(dict.fromkeys(text for text in found if text))

    def held(self) -> Iterator[tuple[Envelope, bytes]]:
        """Yield every held span with its envelope, in order of arrival."""
        envelope: Envelope | None = None
        for part in self.parts:
            if isinstance(part, Envelope):
                envelope = part
            elif envelope is not None:
                yield envelope, bytes(part)

    def weigh(self) -> int:
        """Return the bytes it counts for."""
        return self.size + self.spans * SPAN_OVERHEAD + TRACE_OVERHEAD

    @property
    def long(self) -> bool:
        """Whether its spans are more than one share."""
        return self.spans > SHARE_SPANS or self.size > SHARE_BYTES

    def read(self) -> Iterator[list[tuple[Envelope, bytes]]]:
        """Yield what is held a share at a time, in order; what comes meanwhile is read, too."""
        share: list[tuple[Envelope, bytes]] = []
        size = 0
        for held in self.held():
            share.append(held)
            size += len(held[1])
            if len(share) >= SHARE_SPANS or size >= SHARE_BYTES:
                yield share
                share, size = [], 0
        yield share


class Table:
    """Traces by id, oldest first, and the envelopes they share."""

    def __init__(self, with_schema_urls: bool = True) -> None:
        """`with_schema_urls`: whether they are part of the envelopes; the Collector loses them."""
        self.traces: OrderedDict[bytes, Trace] = OrderedDict()
        self.waiting = 0
        """Undecided traces."""
        self.spans = 0
        """Spans they hold."""
        self.weight = 0
        """What they weigh, with their envelopes."""
        self.slabs = Slabs()
        self.unproved = False
        """Whether nobody may have proved the texts of some spans that were held here."""
        self.leaving = 0
        """What of `size` is decided and on its way out."""
        self._envelopes: dict[tuple[bytes, bytes], Envelope] = {}
        self._clean = (lambda group: group) if with_schema_urls else without_schema_url

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self.weight + self.slabs.slack

    def groups(self, raw: bytes) -> Iterator[tuple[bytes, Envelope, Sequence[bytes]]]:
        """Yield resource group, envelope and spans for every scope group of an encoded request, one at a time.

        The resource group is the same object for scopes that came in one.
        """
        for resource, scope, spans in split(raw):
            yield resource, self.envelope(resource, scope), spans

    def envelope(self, resource: bytes, scope: bytes) -> Envelope:
        """Return what is held of equal groups, else something new."""
        key = (self._clean(resource), self._clean(scope))
        envelope = self._envelopes.get(key)
        return envelope if envelope is not None else Envelope(*key)

    def open(self, trace: Trace) -> None:
        """Begin to hold a trace."""
        self.traces[trace.id] = trace
        self.count(trace)

    def count(self, trace: Trace) -> None:
        """Count a trace as waiting, and what it holds already."""
        self.waiting += 1
        self.spans += trace.spans
        self.weight += trace.weigh()

    def begin_run(self, trace: Trace, envelope: Envelope) -> None:
        """Say that the trace's next spans are of this envelope."""
        trace.last = envelope
        trace.parts.append(envelope)
        if not envelope.holders:
            self._envelopes[envelope.resource, envelope.scope] = envelope
            self.weight += envelope.size
        envelope.holders += 1

    def settle(self, trace: Trace) -> None:
        """Let go of all spans of a trace: it is decided. The trace itself stays until it is popped."""
        self.waiting -= 1
        self.spans -= trace.spans
        self.weight -= trace.weigh()
        for part in trace.parts:
            if isinstance(part, Envelope):
                self._let_go(part)
            elif isinstance(part, memoryview):
                self.slabs.give_back(part)
        trace.gone += len(trace.parts)
        trace.parts = []
        trace.last = None

    def part_with(self, trace: Trace) -> None:
        """Count a trace as decided. Its spans are taken out by `share`."""
        self.waiting -= 1
        self.weight -= TRACE_OVERHEAD
        self.leaving += trace.weigh() - TRACE_OVERHEAD
        trace.last = None

    def share(self, trace: Trace) -> list[tuple[Envelope, bytes]]:
        """Take the next spans, with their envelopes, out of a trace that was parted with. None are left after the last
        share: ask `trace.parts`."""
        share: list[tuple[Envelope, bytes]] = []
        size = taken = 0
        envelope: Envelope | None = None
        for part in trace.parts:
            if len(share) >= SHARE_SPANS or size >= SHARE_BYTES:
                break
            taken += 1
            if not isinstance(part, Envelope):
                share.append((envelope, bytes(part)))  # type: ignore[arg-type] # each run stands behind its envelope
                size += len(part)
                if isinstance(part, memoryview):
                    self.slabs.give_back(part)
                continue
            if envelope is not None:
                self._let_go(envelope)
            envelope = part
        run_goes_on = taken < len(trace.parts)
        if envelope is not None and not run_goes_on:
            self._let_go(envelope)
        goes_on_with = [envelope] if envelope is not None and run_goes_on else []
        trace.gone += taken - len(goes_on_with)
        trace.parts[:taken] = goes_on_with
        self._gone(len(share), size + len(share) * SPAN_OVERHEAD)
        return share

    def _gone(self, spans: int, weight: int) -> None:
        self.spans -= spans
        self.weight -= weight
        self.leaving -= weight

    def _let_go(self, envelope: Envelope) -> None:
        envelope.holders -= 1
        if not envelope.holders:
            self.weight -= envelope.size
            del self._envelopes[envelope.resource, envelope.scope]

    def inherit(self, predecessor: Table) -> None:
        """Go on holding what another held."""
        self.traces = predecessor.traces
        self.waiting, self.leaving = predecessor.waiting, predecessor.leaving
        self.spans, self.weight = predecessor.spans, predecessor.weight
        self.slabs, self.unproved = predecessor.slabs, predecessor.unproved
        self._envelopes = predecessor._envelopes

    def undecided(self) -> list[Trace]:
        """Return the traces that wait, oldest first."""
        return [trace for trace in self.traces.values() if trace.verdict is None]
