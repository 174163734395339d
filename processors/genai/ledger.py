"""The ledger: what was counted, for all pipelines of one component id, in bounded memory.

Invariants
- A verdict stays. A trace is judged when a request brings records of it, and once more when it has been quiet for
  `settle`, which closes what is still open.
- One (trace id, span id) counts once, however often it is delivered: also after its trace was forgotten, as long as
  its id is remembered.
- Traces are forgotten `ttl` after their last span, and the longest quiet first when the estimate exceeds `max_bytes`.
- A trace is an object only while its records could repeat each other and it is busy; else it is `folded`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from processors.batch import Span
from processors.genai.call import COUNTED, Call, Report
from processors.genai.config import Config
from processors.genai.folded import (
    FORGOTTEN,
    extended,
    folded,
    has_record,
    seen_ns,
    span_ids,
    unfolded,
    was_forgotten,
)
from processors.genai.logs import judge_log
from processors.genai.reasons import SPAN_COUNTED, is_reported
from processors.genai.reported import Reported
from processors.genai.rules import Judge
from processors.genai.trace import LINK_BYTES, TIMES_BYTES, Trace, is_link
from processors.recent import RecentIds

_PATIENCE: Final = 2.5
"""An open record waits at most this many times `settle`, however busy its trace is."""
_ENTRY_BYTES: Final = 200
"""What a folded trace takes beside its bytes: their header, its id and its place in the map (CPython 3.11)."""


class Visit:
    """What one request brings of one trace."""

    __slots__ = ("cached", "entry", "links", "peculiar", "reports", "spans", "tools")

    def __init__(self, entry: bytes | Trace | None) -> None:
        self.entry = entry
        """What was known of the trace."""
        self.reports: dict[bytes, Report] = {}
        """Of calls, by span id."""
        self.peculiar: dict[bytes, Call] | None = None
        """Those of them of which more is to be said than a report does; None when there are none."""
        self.spans: list[Span] = []
        """The spans of the reports, in their order."""
        self.cached: list[Span] = []
        """Those that a gateway answered from its cache."""
        self.links: list[bytes] = []
        """Of spans that left no report: see `Trace.link`."""
        self.tools = 0
        """How many of them are tools'."""

    def add(self, call: Call) -> None:
        """Take a call, reported already, of which more is to be said."""
        if self.peculiar is None:
            self.peculiar = {}
        self.peculiar[call.span_id] = call


class Ledger:
    """Traces by id, the longest quiet first. Called by one thread at a time."""

    def __init__(self, config: Config) -> None:
        self._traces: dict[bytes, bytes | Trace] = {}
        self._busy: dict[bytes, Trace] = {}
        self._waiting: dict[bytes, Trace] = {}
        self._queue: list[bytes] = []
        self._queued_ns = 0
        self._size = 0
        self._deliveries = RecentIds(0)
        self._records = RecentIds(0)
        self._reported = Reported()
        self._claimed = False
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Take other limits and switches; what is remembered stays."""
        self._limits = config.ledger
        self._deliveries = self._remembering(self._deliveries)
        self._records = self._remembering(self._records)
        self._settle_ns = config.settle_ns
        self._judge = Judge(
            self._reported,
            prefer_gateway=config.prefer == "gateway",
            cumulative_loops=config.cumulative_loops,
        )

    def _remembering(self, before: RecentIds) -> RecentIds:
        ids = RecentIds(self._limits.max_deliveries)
        ids.inherit(before)
        return ids

    def claim(self) -> bool:
        """Whether the caller is the first to ask: the one who reports about it."""
        first, self._claimed = not self._claimed, True
        return first

    @property
    def size_bytes(self) -> int:
        """Estimated bytes in memory."""
        return self._size

    @property
    def traces(self) -> int:
        return len(self._traces)

    # -- what arrives

    def visit(self, trace_id: bytes) -> Visit:
        """Begin to gather what a request brings of a trace; it is taken in when `close` is called."""
        entry = self._traces.get(trace_id)
        if entry is None and trace_id in self._deliveries:
            entry = FORGOTTEN
        return Visit(entry)

    def was_delivered(self, trace_id: bytes, entry: bytes | Trace, span_id: bytes) -> bool:
        """Whether this very span was here before the request. `entry`: what is known of its trace."""
        if isinstance(entry, Trace):
            found, forgotten = span_id in entry.calls, entry.forgotten
        else:
            found, forgotten = has_record(entry, span_id), was_forgotten(entry)
        return found or (forgotten and trace_id + span_id in self._deliveries)

    def close(self, trace_id: bytes, visit: Visit, now_ns: int) -> Sequence[Call]:
        """Judge what a request brought of a trace; returns the calls of the reports, or none when all of them count."""
        entry, peculiar = visit.entry, visit.peculiar
        links = b"".join(visit.links)
        if len(links) != LINK_BYTES * len(visit.links) + TIMES_BYTES * visit.tools:
            links = b"".join([link for link in visit.links if is_link(link)])
        if peculiar is None and not isinstance(entry, Trace) and not self._was_logged(visit):
            added = extended(entry, now_ns, visit.reports.values(), links)
            if added is not None:
                self._put(trace_id, added)
                if visit.reports:
                    self._reported.by_spans(visit.reports.values())
                return ()
        trace = self._awake(trace_id, entry, now_ns)
        trace.link(links)
        known = peculiar or {}
        fresh = [known.get(span_id) or Call(*report) for span_id, report in visit.reports.items()]
        self._take(trace_id, trace, fresh, now_ns)
        return fresh

    def _was_logged(self, visit: Visit) -> bool:
        """Whether a log record of one of the calls is in the ledger, by the ids of the call."""
        if not self._reported.awaits:
            return False
        has_log = self._reported.has_log
        return any(has_log(report[5], report[6], report[10]) for report in visit.reports.values())

    def _take(self, trace_id: bytes, trace: Trace, fresh: Sequence[Call], now_ns: int) -> None:
        for call in fresh:
            call.since_ns = now_ns
            trace.add(call)
        if fresh or trace.open:
            self._decide(trace, fresh, final=False)
            self._wait(trace_id, trace)
        self._size += trace.grown()

    def _decide(self, trace: Trace, fresh: Sequence[Call], *, final: bool) -> None:
        """Judge the fresh and the open records of a trace, and remember whose calls are in the ledger."""
        calls = (*trace.open, *fresh)
        if trace.is_plain and not trace.open:
            self._judge.judge_plain(trace, fresh)
        else:
            self._judge.judge(trace, fresh, final=final)
        self._reported.by_spans(call.report for call in calls if is_reported(call))

    def record(self, trace_id: bytes, report: Report, now_ns: int) -> str:
        """Return the verdict on a log record of a call. `trace_id`: empty or zero where it is in none."""
        ids = report[5], report[6], report[10]
        if self._reported.has_span(*ids):
            return SPAN_COUNTED
        if not any(trace_id):
            self._reported.by_log(*ids)
            return COUNTED
        trace = self._awake(trace_id, self.visit(trace_id).entry, now_ns)
        verdict = judge_log(trace, Call(*report))
        if verdict == COUNTED:
            self._reported.by_log(*ids)
        self._size += trace.grown()
        return verdict

    def is_new_record(self, body: bytes) -> bool:
        """Whether this log record comes for the first time; records have no id, so their bytes are one."""
        if body in self._records:
            return False
        self._records.add(body)
        return True

    def _put(self, trace_id: bytes, entry: bytes) -> None:
        """Remember a folded trace, which was one before if it was there, as the one that was seen last."""
        before = self._traces.pop(trace_id, None)
        self._traces[trace_id] = entry
        freed = -_ENTRY_BYTES if before is None else len(before)  # type: ignore[arg-type] # no Trace
        self._size += len(entry) - freed

    def _awake(self, trace_id: bytes, entry: bytes | Trace | None, now_ns: int) -> Trace:
        """Return the trace as an object, which has been seen now."""
        before = self._traces.pop(trace_id, None)
        trace = entry if isinstance(entry, Trace) else unfolded(entry)
        if before is not None:
            trace.size = _size(before)
        self._busy.pop(trace_id, None)
        self._traces[trace_id] = self._busy[trace_id] = trace
        trace.seen_ns = now_ns
        return trace

    # -- time

    def hold(self, size: int) -> None:
        """Count bytes of spans that wait, or that do so no longer (negative)."""
        self._size += size

    def settle(self, now_ns: int) -> None:
        """Close what is open in traces that were quiet for long enough, and fold these."""
        for trace_id, trace in list(self._waiting.items()):
            waited = now_ns - min(call.since_ns for call in trace.open)
            quiet = now_ns - trace.seen_ns
            if quiet >= self._settle_ns or waited >= _PATIENCE * self._settle_ns:
                self._finish(trace_id, trace)
        self._fold(now_ns - self._settle_ns)
        self._reported.forget(now_ns, self._limits.ttl_ns)

    def _fold(self, until_ns: int) -> None:
        """Fold what was quiet since then."""
        quiet = list(takewhile(lambda item: item[1].seen_ns <= until_ns, self._busy.items()))
        for trace_id, trace in quiet:
            del self._busy[trace_id]
            entry = folded(trace)
            if entry is not None:
                self._traces[trace_id] = entry
                self._size += _size(entry) - trace.size

    def trim(self, now_ns: int) -> int:
        """Forget what is too old, and the longest quiet traces while there is too much; returns how many of these."""
        evicted, oldest_ns = 0, now_ns - self._limits.ttl_ns
        while (trace_id := self._longest_quiet(now_ns)) is not None:
            entry = self._traces[trace_id]
            too_old = _seen_ns(entry) <= oldest_ns
            if not too_old and self._size <= self._limits.max_bytes:
                break
            evicted += not too_old
            self._forget(trace_id, entry)
        return evicted

    def _longest_quiet(self, now_ns: int) -> bytes | None:
        """Return the trace that was seen before all others: the first of the map, or the last of a list made of it.

        Asking the map would walk over the places of all traces that were moved or deleted before its first one.
        """
        queue, traces, queued_ns = self._queue, self._traces, self._queued_ns
        while queue:
            entry = traces.get(queue[-1])
            if entry is not None and _seen_ns(entry) <= queued_ns:
                return queue[-1]
            queue.pop()
        self._queue, self._queued_ns = list(reversed(traces)), now_ns
        return self._queue[-1] if traces else None

    def settle_all(self) -> None:
        """Close everything that is open."""
        for trace_id, trace in list(self._waiting.items()):
            self._finish(trace_id, trace)

    def _wait(self, trace_id: bytes, trace: Trace) -> None:
        if trace.open:
            self._waiting[trace_id] = trace
        else:
            self._waiting.pop(trace_id, None)

    def _finish(self, trace_id: bytes, trace: Trace) -> None:
        self._decide(trace, (), final=True)
        self._size += trace.grown()
        self._wait(trace_id, trace)
        self._busy[trace_id] = trace

    def _forget(self, trace_id: bytes, entry: bytes | Trace) -> None:
        if isinstance(entry, Trace):
            if entry.open:
                self._finish(trace_id, entry)
            self._busy.pop(trace_id, None)
            ids, again = [*entry.calls], entry.forgotten
        else:
            ids, again = span_ids(entry), was_forgotten(entry)
        del self._traces[trace_id]
        self._size -= _size(entry)
        if ids or again:
            self._deliveries.add(trace_id)
        for span_id in ids:
            self._deliveries.add(trace_id + span_id)


def _seen_ns(entry: bytes | Trace) -> int:
    return entry.seen_ns if isinstance(entry, Trace) else seen_ns(entry)


def _size(entry: bytes | Trace) -> int:
    return entry.size if isinstance(entry, Trace) else _ENTRY_BYTES + len(entry)
