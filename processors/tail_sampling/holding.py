"""Arrival: new spans are held with their traces, late ones follow what was decided about theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processors.encoded import split
from processors.ports import DecisionBus
from processors.tail_sampling.arrivals import Arrival, Group
from processors.tail_sampling.config import Config
from processors.tail_sampling.deciding import Decider
from processors.tail_sampling.journal import Journal
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.meter import Meter
from processors.tail_sampling.plan import Plan
from processors.tail_sampling.release import Release
from processors.tail_sampling.slabs import Held
from processors.tail_sampling.traces import SPAN_OVERHEAD, TRACE_OVERHEAD, Envelope, Table, Trace
from processors.tail_sampling.verdict import Verdict
from processors.views import PARSE

_NS: Final = 1_000_000_000
_EVICTIONS: Final = 2
"""For each new trace where there are too many: more than one, so that a bound that was lowered is reached."""


class Holder:
    """Takes spans into the table. `journal`: where they are written down, if anywhere."""

    def __init__(
        self,
        config: Config,
        table: Table,
        plan: Plan,
        ledger: Ledger,
        release: Release,
        decider: Decider,
        bus: DecisionBus,
    ) -> None:
        self.journal: Journal | None = None
        self._config = config
        self._table = table
        self._plan = plan
        self._ledger = ledger
        self._release = release
        self._decider = decider
        self._bus = bus
        self._measured = bool(config.max_trace_size) or plan.sizes
        self._opened = 0

    def take_in(self, groups: Iterable[Group]) -> None:
        """Hold what is new, let late spans follow, and decide what arrival alone decides."""
        decider = self._decider
        meter = Meter() if self._measured else None
        arrived: dict[Trace, None] | None = {} if self._config.on_arrival else None
        received = 0
        arriving: bytes | None = None
        for resource, envelope, number, spans, raw in groups:
            if meter is not None:
                decider.decide_oversize(meter.begin(resource))
            if arrived and resource is not arriving:
                self._decide_on_arrival(arrived)
            arriving = resource
            received += number
            self._hold(envelope, spans, raw, arrived, meter)
            if meter is not None:
                meter.end_scope(envelope)
        self._ledger.spans("received", received)
        self._ledger.opened(self._opened)
        self._opened = 0
        if meter is not None:
            decider.decide_oversize(meter.end_resource())
        if arrived:
            self._decide_on_arrival(arrived)

    def _hold(
        self,
        envelope: Envelope,
        spans: Iterable[Arrival],
        raw: bytes | None,
        arrived: dict[Trace, None] | None,
        meter: Meter | None,
    ) -> None:
        """Hold the spans of a scope group. `raw`: see `Group`; `arrived`: takes their traces, where arrival decides."""
        table, plan = self._table, self._plan
        traces, observe = table.traces, plan.observe
        docket, now = self._decider.docket, self._decider.now_ns
        note = self.journal.note if self.journal is not None else None
        by_root = docket.root_wait_ns is not None
        slab = table.slabs.begin(raw) if raw is not None else None
        count = size = 0
        try:
            for span, view, attributes in spans:
                trace = traces.get(view.trace_id)
                if trace is None or trace.verdict is not None:
                    trace = self._open(view.trace_id, trace, envelope, span)
                    if trace is None:
                        continue
                if arrived is not None and trace not in arrived:
                    arrived[trace] = None
                    trace.reset(plan)
                    trace.last = None
                if envelope is not trace.last:
                    plan.observe_resource(trace, envelope)
                    table.begin_run(trace, envelope)
                observe(trace, envelope, view, attributes)
                if slab is not None:
                    slab.places.append((trace, len(trace.parts)))
                trace.parts.append(span)
                trace.spans += 1
                trace.size += len(span)
                count += 1
                size += len(span)
                if note is not None:
                    note(trace, envelope, bytes(span))
                if by_root and not trace.root_seen:
                    docket.look_for_root(trace, view, now)
                if meter is not None:
                    meter.span(trace, len(span))
        finally:
            table.spans += count
            table.weight += size + count * SPAN_OVERHEAD
            if slab is not None:
                table.slabs.end(slab, size)

    def _decide_on_arrival(self, arrived: dict[Trace, None]) -> None:
        """Ask about the traces of one resource group, which is what the Collector asks its policies about at a time."""
        for trace in arrived:
            self._decider.decide_on_arrival(trace)
        arrived.clear()

    def lacks_room(self, raw: bytes, items: int, growth: int = 0) -> bool:
        """Say whether a request needs more room than is left, each of its spans `growth` bytes larger than it is now.

        One that needs more than there is at all is taken into the empty buffer, where its oldest traces are decided
        early.
        """
        table, config = self._table, self._config
        new = items
        if table.waiting + new > config.num_traces:
            spans = (span for _, _, group in split(raw) for span in group)
            ids = {PARSE["SpanHead"](span).trace_id for span in spans}
            new = len(ids - table.traces.keys())
        weight = len(raw) + items * (SPAN_OVERHEAD + growth) + new * TRACE_OVERHEAD
        return table.waiting > 0 and (
            table.waiting + new > config.num_traces or table.size + weight > config.max_bytes
        )

    def _open(
        self, trace_id: bytes, decided: Trace | None, envelope: Envelope, span: Held
    ) -> Trace | None:
        """Begin to hold a trace; None when it was decided before, and the span has followed."""
        if decided is not None and decided.verdict is not None:
            self._follow(trace_id, decided.verdict, decided.decided_ns, envelope, bytes(span))
            return None
        decider, table = self._decider, self._table
        remembered = decider.memory.get(trace_id)
        if remembered is not None:
            self._ledger.remembered(remembered[0].kept)
            self._follow(trace_id, *remembered, envelope, bytes(span))
            return None
        for _ in range(_EVICTIONS):
            if len(table.traces) >= self._config.num_traces:
                decider.evict_first()
        trace = Trace(trace_id, decider.now_ns, self._plan)
        table.open(trace)
        decider.docket.open(trace)
        self._opened += 1
        return trace

    def _follow(
        self, trace_id: bytes, verdict: Verdict, decided_ns: int, envelope: Envelope, span: bytes
    ) -> None:
        """Let a span of a decided trace follow the verdict. `decided_ns`: 0 where it is not known."""
        age_s = (self._decider.now_ns - decided_ns) / _NS if decided_ns else None
        self._ledger.late(verdict.kept, age_s)
        self._release.late(envelope, span, verdict)
        if self.journal is not None and (verdict.kept or self._config.dry_run):
            self.journal.note_late(trace_id, envelope, span)
        self._bus.decided(trace_id, verdict.kept)
