"""The sampler: holds the spans of a trace, lets the panel decide when its time has come, and lets late spans follow.

Invariants
- Every span that comes in leaves once, is dropped by a decision, or is held; the ledger of spans says which (`_count`).
- A trace is decided once. What became of it is remembered beyond its spans, so that later ones follow.
- What is held never weighs more than `max_bytes` after `process` returns: the oldest traces are decided early, on what
  is known, rather than lost.
- Released spans leave as the very bytes that came.

A trace is due `decision_wait` after its first span, or `decision_wait_after_root_received` after its root where that is
earlier; deadlines of one kind are reached in the order they were set, so two queues hold them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from processors.base import OnError
from processors.batch import Batch, Signal
from processors.ports import Context
from processors.stats import Stats
from processors.tail_sampling.config import Config
from processors.tail_sampling.memory import DroppedIds, KeptIds
from processors.tail_sampling.panel import Panel
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.traces import Envelope, Outbox, Table, Trace
from processors.tail_sampling.verdict import NOT_SAMPLED, Trigger, Verdict

_SPANS_A_BATCH: Final = 512
_BYTES_A_BATCH: Final = 1 << 20
_SPANS: Final = "otelcol_llm_tail_sampling_spans_total"


class TailSampling:
    """Decides about whole traces. See the module."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset((Signal.TRACES,))

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the policies. Raises: `InvalidConfig`."""
        self.config = config
        self.stats = Stats()
        _, _, name = context.id.partition("/")
        watch = Watch(self.stats)
        self._panel = Panel(config, watch, self.stats, f"{name}." if name else "")
        self._plan = self._panel.plan
        self._decisions = context.decisions
        self._decisions.samplers += 1
        self._table = Table()
        self._kept = KeptIds(config.kept_ids)
        self._dropped = DroppedIds(config.dropped_ids)
        self._due: deque[tuple[int, bytes]] = deque()
        self._due_by_root: deque[tuple[int, bytes]] = deque()
        self._out = Outbox()
        self._now_ns = 0

    # -- the processor

    def process(self, batch: Batch) -> Batch | None:
        """Hold the spans; what comes back are late spans of kept traces and traces that had to be decided now."""
        now = self._now_ns = max(self._now_ns, batch.received_ns)
        table, traces, read, observe = (
            self._table, self._table.traces, self._plan.read, self._plan.observe
        )  # fmt: skip
        by_root = self.config.root_wait_ns is not None
        count = weight = 0
        for envelope, spans in table.groups(batch.encode()):
            for span in spans:
                view, whole = read(span)
                trace_id = view.trace_id
                trace = traces.get(trace_id)
                if trace is None or trace.verdict is not None:
                    trace = self._open(trace_id, envelope, span, now)
                    if trace is None:
                        continue
                observe(trace, envelope, view, whole)
                trace.add(envelope, span)
                count += 1
                weight += len(span)
                if by_root and not trace.root_seen:
                    self._look_for_root(trace, view)
            table.keep(envelope)
        table.spans += count
        table.size += weight + count * 300
        while table.size > self.config.max_bytes:
            self._evict()
        return self._take(now)

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Decide what is due and yield what was kept."""
        self._now_ns = max(self._now_ns, now_ns)
        queues: tuple[tuple[deque[tuple[int, bytes]], Trigger], ...] = (
            (self._due_by_root, "root"),
            (self._due, "wait"),
        )
        for due, trigger in queues:
            while due and due[0][0] <= now_ns:
                trace = self._table.traces.get(due.popleft()[1])
                if trace is not None and trace.verdict is None and trace.deadline_ns <= now_ns:
                    self._decide(trace, trigger)
                    if self._out.spans >= _SPANS_A_BATCH or self._out.size >= _BYTES_A_BATCH:
                        yield from self._leave(now_ns)
        yield from self._leave(now_ns)

    def close(self) -> Iterable[Batch]:
        """Decide everything that waits, on what is known."""
        for trace in self._table.undecided():
            self._decide(trace, "shutdown")
            yield from self._leave(self._now_ns)

    # -- arrival

    def _open(self, trace_id: bytes, envelope: Envelope, span: bytes, now: int) -> Trace | None:
        """Begin to hold a trace; None when it was decided before, and the span has followed."""
        verdict = self._remembered(trace_id)
        if verdict is not None:
            self._follow(verdict, envelope, span)
            return None
        table = self._table
        while len(table.traces) >= self.config.num_traces:
            self._evict()
        deadline = now + self.config.decision_wait_ns
        trace = Trace(trace_id, now, deadline, self._plan)
        table.traces[trace_id] = trace
        table.size += 1000
        self._due.append((deadline, trace_id))
        self.stats.counters["otelcol_processor_tail_sampling_new_trace_id_received_total",] += 1
        return trace

    def _remembered(self, trace_id: bytes) -> Verdict | None:
        trace = self._table.traces.get(trace_id)
        if trace is not None:
            return trace.verdict
        if trace_id in self._dropped:
            return NOT_SAMPLED
        return self._kept.get(trace_id)

    def _follow(self, verdict: Verdict, envelope: Envelope, span: bytes) -> None:
        if verdict.kept:
            self._out.add(envelope, span)

    def _look_for_root(self, trace: Trace, view: Any) -> None:
        wait = self.config.root_wait_ns
        if wait is None or view.parent_span_id:
            return
        trace.root_seen = True
        deadline = self._now_ns + wait
        if deadline < trace.deadline_ns:
            trace.deadline_ns = deadline
            self._due_by_root.append((deadline, trace.id))

    # -- decision

    def _evict(self) -> None:
        oldest = next(iter(self._table.traces.values()))
        self._decide(oldest, "evicted")

    def _decide(self, trace: Trace, trigger: Trigger) -> None:
        verdict = self._panel.decide(trace, self._now_ns)
        if verdict.kept:
            for envelope, span in trace.held():
                self._out.add(envelope, span)
            self._kept.add(trace.id, verdict)
        else:
            self._dropped.add(trace.id)
        self._table.settle(trace)
        del self._table.traces[trace.id]
        self._decisions.decided(trace.id, verdict.kept)

    def _leave(self, now_ns: int) -> Iterator[Batch]:
        batch = self._take(now_ns)
        if batch is not None:
            yield batch

    def _take(self, now_ns: int) -> Batch | None:
        spans = self._out.spans
        if not spans:
            return None
        return Batch(Signal.TRACES, self._out.take(), received_ns=now_ns, items=spans)
