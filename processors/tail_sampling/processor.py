"""The sampler: holds the spans of a trace, lets the panel decide when its time has come, lets late spans follow.

Invariants
- Every span that comes in leaves once, is dropped by a decision, or is held; `ledger` says which.
- A trace is decided once. What became of it is remembered beyond its spans, so that later ones follow.
- What is held never weighs more than `max_bytes` after `process` returned: the oldest traces are decided early, on
  what is known, rather than lost.
- Released spans leave as the very bytes that came, unless `record` or a skeleton changes them.

A trace is due `decision_wait` after its first span, or `decision_wait_after_root_received` after its root where that
is earlier. Deadlines of one kind are reached in the order they were set, so two queues hold them all. A span that only
may be the root (its parent is remote, or it serves) brings a trace forward only if then no other span misses a parent
that belongs here: agents run for minutes above the services they call.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from processors.base import OnError
from processors.batch import Batch, Signal, split
from processors.errors import Overloaded
from processors.ports import Context, Piece
from processors.stats import Stats
from processors.tail_sampling.arrivals import Group, arrivals, encoded_arrivals
from processors.tail_sampling.config import Config
from processors.tail_sampling.journal import Entry, Journal
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.memory import Memory
from processors.tail_sampling.meter import Meter
from processors.tail_sampling.panel import Panel
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.release import Release
from processors.tail_sampling.root import comes_from_outside, has_root, is_whole
from processors.tail_sampling.traces import SPAN_OVERHEAD, TRACE_OVERHEAD, Envelope, Table, Trace
from processors.tail_sampling.verdict import NOT_SAMPLED, Trigger, Verdict
from processors.views import PARSE

_NS: Final = 1_000_000_000
_LAST_COMMIT_S: Final = 5.0
"""How long the last batches wait for their decisions to be on disk."""
_MOST_GROWTH: Final = 1_024
"""Bytes that normalising and pricing may add to a span before it comes here."""
_FULL: Final = "The buffer of the tail sampler is full; send the data again later."
_DAMAGED: Final = "otelcol_llm_tail_sampling_journal_damaged_total"


class TailSampling:
    """Decides about whole traces. See the module."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset((Signal.TRACES,))

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the policies. Raises: `InvalidConfig`."""
        self.config = config
        self.stats = Stats()
        self._decisions = context.decisions
        self._listed = False
        self._table = Table(with_schema_urls=not config.quirks)
        self._ledger = Ledger(self.stats, self._table)
        watch = Watch(self._ledger.count)
        self._release = Release(config, watch, self._ledger)
        _, _, name = context.id.partition("/")
        self._panel = Panel(config, watch, self.stats, f"{name}." if name else "")
        self._plan = self._panel.plan
        self._measured = bool(config.max_trace_size) or self._plan.sizes
        self._memory = Memory(config.kept_ids, config.dropped_ids, half_ids=config.quirks)
        self._open_store = context.open_store
        self._id = context.id
        self._journal: Journal | None = None
        self._left: list[Batch] = []
        self._due: deque[tuple[int, bytes]] = deque()
        self._due_by_root: deque[tuple[int, bytes]] = deque()
        self._opened = 0
        self._now_ns = 0

    # -- the processor

    def process(self, batch: Batch) -> Batch | None:
        """Hold the spans; what comes back are late spans of kept traces and traces that had to be decided now.

        With a journal nothing comes back: what leaves, leaves by `tick` once the disk has it.
        Raises: `Overloaded` when the buffer is full and configured to refuse.
        """
        self._now_ns = max(self._now_ns, batch.received_ns)
        self._list(True)
        if self.config.refuse and self._lacks_room(batch.encode(), len(batch)):
            raise self._refused(len(batch))
        self._take_in(arrivals(batch, self._table, self._plan))
        self._keep_bounds()
        self._ledger.flush()
        if self._journal is None:
            return self._release.take(self._now_ns)
        self._journal.write(self._now_ns)
        self._seal(self._journal)
        return None

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Decide what is due and yield what was kept."""
        self._now_ns = max(self._now_ns, now_ns)
        self._list(True)
        self._keep_bounds()
        yield from self._left
        self._left = []
        for due in (self._due_by_root, self._due):
            while due and due[0][0] <= now_ns:
                trace = self._table.traces.get(due.popleft()[1])
                if trace is not None and self._is_due(trace):
                    self._decide(trace, "wait" if due is self._due else "root")
                    if self._release.full:
                        yield from self._leave()
        self._tell()
        if self._journal is not None:
            self._panel.save(self._journal.store)
        yield from self._leave()

    def close(self) -> Iterable[Batch]:
        """Decide everything that waits, on what is known; or drop it, or leave it on disk, as is configured."""
        keeps = self._journal is not None and self.config.on_shutdown == "keep"
        for trace in () if keeps else self._table.undecided():
            if self.config.on_shutdown == "drop":
                self._settle(trace, NOT_SAMPLED, "shutdown")
            else:
                self._decide(trace, "shutdown")
            if self._release.full:
                yield from self._leave()
        yield from self._leave(wait_s=_LAST_COMMIT_S)
        self._tell()
        self._list(False)

    def room(self) -> Overloaded | None:
        """Refuse while the disk could not keep what comes, or not even one more span fits."""
        table, config = self._table, self.config
        if config.refuse and table.waiting and table.size + SPAN_OVERHEAD > config.max_bytes:
            return Overloaded(_FULL)
        return self._journal.store.refusal() if self._journal is not None else None

    def fits(self, raw: bytes, items: int) -> Overloaded | None:
        """Refuse a request that will not find room once it comes here, with what earlier stages add to it."""
        if self.config.refuse and self._lacks_room(raw, items, _MOST_GROWTH):
            return self._refused(items)
        return None

    # -- the journal

    def open(self) -> None:
        """Open the store that is configured. Called once, before any data; nothing is read yet."""
        if self.config.storage:
            store = self._open_store(self.config.storage, self._id)
            self._journal = Journal(store, self.config.kept_ids + self.config.dropped_ids)
            self._release.keep_late_apart()

    def restore(self, now_ns: int) -> None:
        """Go on where a process with this store was ended: waits go on, what was decided is finished.

        Times of arrival are those of the wall clock then; none is taken to be in the future.
        """
        journal = self._journal
        if journal is None:
            return
        self._list(True)
        self._panel.recall(journal.store)
        kept: dict[bytes, Entry] = {}
        for trace_id, entry in journal.decisions():
            self._memory.add(trace_id, entry.verdict, entry.decided_ns)
            if entry.batch:
                kept[trace_id] = entry
        unfinished: defaultdict[int, list[Piece]] = defaultdict(list)
        for piece in journal.store.replay():
            entry_of = kept.get(piece.trace_id)
            if entry_of is not None and not piece.late:
                unfinished[entry_of.batch].append(piece)
                continue
            self._now_ns = max(self._now_ns, min(piece.received_ns, now_ns))
            journal.begin_again(piece)
            self._take_in(encoded_arrivals(piece.body, self._table, self._plan))
            journal.end_again(self._now_ns)
        self._seal(journal)
        for number, pieces in sorted(unfinished.items()):
            self._finish(journal, number, pieces, kept)
        self.stats.counters[_DAMAGED,] += journal.store.damaged

    def _finish(
        self, journal: Journal, number: int, pieces: Sequence[Piece], kept: Mapping[bytes, Entry]
    ) -> None:
        """Make a batch again that was decided but perhaps never handed on."""
        traces: dict[bytes, Trace] = {}
        for piece in pieces:
            trace = traces.setdefault(piece.trace_id, Trace(piece.trace_id, 0, 0, self._plan))
            for _, envelope, spans in self._table.groups(piece.body):
                self._plan.observe_resource(trace, envelope)
                trace.parts += (envelope, *spans)
                trace.spans += len(spans)
                for span in spans:
                    self._plan.observe(trace, envelope, *self._plan.read(span))
        for trace in traces.values():
            entry = kept[trace.id]
            self._ledger.spans("received", trace.spans)
            self._release.decided(trace, entry.verdict, entry.trigger)
        batch = self._release.take(self._now_ns)
        journal.seal_again(batch, number, [piece.seq for piece in pieces])

    def _seal(self, journal: Journal) -> None:
        """Let what is released wait until the disk has its decisions."""
        journal.seal(self._release.take(self._now_ns), self._release.take_late(self._now_ns))

    def _inherit_journal(self, predecessor: TailSampling) -> None:
        """Go on with another's journal; begin one, or end one, where only one of both has it."""
        theirs, mine = predecessor._journal, self._journal
        if theirs is not None and mine is not None:
            predecessor._seal(theirs)
            self._journal = theirs
        elif theirs is not None:
            predecessor._seal(theirs)
            self._left = list(theirs.leave(wait_s=_LAST_COMMIT_S))
            for trace in self._table.undecided():
                theirs.store.forget(trace.seqs or ())
                trace.seqs = None
        elif mine is not None:
            self.restore(self._now_ns)
            for trace in self._table.undecided():
                for envelope, span in trace.held() if trace.seqs is None else ():
                    mine.note(trace, envelope, span)
            mine.write(self._now_ns)
        predecessor._journal = None

    def adopt(self, predecessor: TailSampling) -> None:
        """Go on with what another sampler held and remembered: undecided traces are decided by these policies."""
        predecessor._list(False)
        self._now_ns = predecessor._now_ns
        self._panel.inherit(predecessor._panel)
        self._memory.inherit(predecessor._memory)
        self._table.inherit(predecessor._table)
        self._inherit_journal(predecessor)
        for trace in self._table.undecided():
            latest = trace.first_ns + self.config.decision_wait_ns
            soonest = self._now_ns + (self.config.root_wait_ns or self.config.decision_wait_ns)
            self._due.append((latest, trace.id))
            trace.deadline_ns = latest
            if self.config.root_wait_ns and not predecessor.config.root_wait_ns:
                trace.root_seen = has_root(span for _, span in trace.held())
            if trace.root_seen and soonest < latest:
                trace.deadline_ns = soonest
                self._due_by_root.append((soonest, trace.id))

    def _tell(self) -> None:
        """Bring the metrics up to date with what was counted apart."""
        self._panel.count()
        self._ledger.flush()

    def _list(self, listed: bool) -> None:
        """Be counted among the samplers while there is something to decide."""
        if listed is not self._listed:
            self._listed = listed
            self._decisions.samplers += 1 if listed else -1

    def _leave(self, *, wait_s: float | None = None) -> Iterable[Batch]:
        """Return what may leave now; `wait_s`: how long to wait for its decisions to be on disk."""
        if self._journal is not None:
            self._seal(self._journal)
            return self._journal.leave(wait_s=wait_s)
        batch = self._release.take(self._now_ns)
        return () if batch is None else (batch,)

    # -- arrival

    def _take_in(self, groups: Iterable[Group]) -> None:
        """Hold what is new, let late spans follow, and decide what arrival alone decides."""
        table, plan = self._table, self._plan
        traces, observe = table.traces, plan.observe
        note = self._journal.note if self._journal is not None else None
        by_root = self.config.root_wait_ns is not None
        meter = Meter() if self._measured else None
        arrived: dict[Trace, None] | None = {} if self.config.on_arrival else None
        count = size = received = 0
        for resource, envelope, number, spans in groups:
            if meter is not None:
                self._drop_oversize(meter.begin(resource))
            received += number
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
                trace.parts.append(span)
                if note is not None:
                    note(trace, envelope, span)
                trace.spans += 1
                trace.size += len(span)
                count += 1
                size += len(span)
                if by_root and not trace.root_seen:
                    self._look_for_root(trace, view)
                if meter is not None:
                    meter.span(trace, span)
            if meter is not None:
                meter.end_scope(envelope)
        table.spans += count
        table.size += size + count * SPAN_OVERHEAD
        self._ledger.spans("received", received)
        self._ledger.opened(self._opened)
        self._opened = 0
        if meter is not None:
            self._drop_oversize(meter.end_resource())
        for trace in arrived or ():
            self._decide_on_arrival(trace)

    def _lacks_room(self, raw: bytes, items: int, growth: int = 0) -> bool:
        """Say whether a request needs more room than is left, each of its spans `growth` bytes larger than it is now.

        One that needs more than there is at all is taken into the empty buffer, where its oldest traces are decided
        early.
        """
        table, config = self._table, self.config
        new = items
        if table.waiting + new > config.num_traces:
            spans = (span for _, _, group in split(raw) for span in group)
            ids = {PARSE["SpanHead"](span).trace_id for span in spans}
            new = len(ids - table.traces.keys())
        weight = len(raw) + items * (SPAN_OVERHEAD + growth) + new * TRACE_OVERHEAD
        return table.waiting > 0 and (
            table.waiting + new > config.num_traces or table.size + weight > config.max_bytes
        )

    def _refused(self, items: int) -> Overloaded:
        self._ledger.spans("refused", items)
        return Overloaded(_FULL)

    def _open(
        self, trace_id: bytes, decided: Trace | None, envelope: Envelope, span: bytes
    ) -> Trace | None:
        """Begin to hold a trace; None when it was decided before, and the span has followed."""
        if decided is not None and decided.verdict is not None:
            self._follow(trace_id, decided.verdict, decided.deadline_ns, envelope, span)
            return None
        remembered = self._memory.get(trace_id)
        if remembered is not None:
            self._ledger.remembered(remembered[0].kept)
            self._follow(trace_id, *remembered, envelope, span)
            return None
        table, now = self._table, self._now_ns
        while len(table.traces) >= self.config.num_traces:
            self._evict(next(iter(table.traces.values())))
        trace = Trace(trace_id, now, now + self.config.decision_wait_ns, self._plan)
        table.open(trace)
        self._due.append((trace.deadline_ns, trace_id))
        self._opened += 1
        return trace

    def _follow(
        self, trace_id: bytes, verdict: Verdict, decided_ns: int, envelope: Envelope, span: bytes
    ) -> None:
        """Let a span of a decided trace follow the verdict. `decided_ns`: 0 where it is not known."""
        self._ledger.late(verdict.kept, (self._now_ns - decided_ns) / _NS if decided_ns else None)
        self._release.late(envelope, span, verdict)
        if self._journal is not None and (verdict.kept or self.config.dry_run):
            self._journal.note_late(trace_id, envelope, span)
        self._decisions.decided(trace_id, verdict.kept)

    def _look_for_root(self, trace: Trace, view: Any) -> None:
        """Bring the decision forward when the root has come, or what may be it."""
        if not view.parent_span_id:
            trace.root_seen = True
        elif not self.config.local_root or not comes_from_outside(view):
            return
        deadline = self._now_ns + (self.config.root_wait_ns or 0)
        if deadline < trace.deadline_ns:
            trace.deadline_ns = deadline
            self._due_by_root.append((deadline, trace.id))

    def _is_due(self, trace: Trace) -> bool:
        """Say whether a trace's time has come; one that was brought forward on suspicion must be whole."""
        if trace.verdict is not None or trace.deadline_ns > self._now_ns:
            return False
        latest = trace.first_ns + self.config.decision_wait_ns
        if trace.root_seen or latest <= self._now_ns or is_whole(s for _, s in trace.held()):
            return True
        trace.deadline_ns = latest
        return False

    # -- decision

    def _decide(self, trace: Trace, trigger: Trigger) -> None:
        """Decide a trace that waited."""
        if not self.config.on_arrival:
            self._settle(trace, self._panel.decide(trace, self._now_ns), trigger)
        elif trace.pending is not None and not self.config.quirks:
            self._settle(trace, trace.pending, trigger)
        else:
            self._settle(trace, NOT_SAMPLED, trigger)

    def _decide_on_arrival(self, trace: Trace) -> None:
        """Ask the policies about what just came. A vote to keep waits for as long as a drop policy may still speak."""
        if trace.verdict is not None:
            return
        verdict = self._panel.decide(trace, self._now_ns)
        if verdict.dropped or (verdict.kept and not self._panel.may_drop):
            self._settle(trace, verdict, "arrival")
        elif verdict.kept and trace.pending is None:
            trace.pending = verdict

    def _drop_oversize(self, traces: Iterable[Trace]) -> None:
        limit = self.config.max_trace_size
        for trace in traces:
            if limit and trace.wire_size > limit and trace.verdict is None:
                self._ledger.too_large()
                self._settle(trace, self._oversize_verdict(trace), "oversize")

    def _oversize_verdict(self, trace: Trace) -> Verdict:
        if self.config.on_oversize == "drop":
            return NOT_SAMPLED
        verdict = self._panel.decide(trace, self._now_ns)
        if verdict.kept or self.config.on_oversize == "decide":
            return verdict
        return Verdict(kept=True, reason="oversize", tier="skeleton", threshold=None)

    def _settle(self, trace: Trace, verdict: Verdict, trigger: Trigger) -> None:
        """Carry out a verdict: release or forget the spans, remember what was decided, tell who listens."""
        now = self._now_ns
        self._ledger.decided(trace, verdict, trigger, now)
        self._release.decided(trace, verdict, trigger)
        if self._journal is not None:
            leaves = verdict.kept or self.config.dry_run
            self._journal.decided(trace, verdict, trigger, now, leaves=leaves)
        self._table.settle(trace)
        trace.verdict, trace.deadline_ns = verdict, now
        if self._memory.add(trace.id, verdict, now):
            del self._table.traces[trace.id]
            self._ledger.removed(trace, now)
        self._decisions.decided(trace.id, verdict.kept)

    # -- bounds

    def _keep_bounds(self) -> None:
        while self._table.size > self.config.max_bytes and self._table.waiting:
            self._evict(self._oldest())

    def _oldest(self) -> Trace:
        """Return the undecided trace whose first span came first."""
        while True:
            trace = self._table.traces.get(self._due[0][1])
            if trace is not None and trace.verdict is None:
                return trace
            self._due.popleft()

    def _evict(self, trace: Trace) -> None:
        """Make room: decide a trace on what is known, or forget one that was decided. The Collector loses it."""
        if trace.verdict is None:
            if self.config.quirks and not self.config.refuse:
                self._settle(trace, NOT_SAMPLED, "evicted")
            else:
                self._decide(trace, "evicted")
        if self._table.traces.pop(trace.id, None) is not None:
            self._ledger.removed(trace, self._now_ns)
