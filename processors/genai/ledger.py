"""The ledger: what was counted, for all pipelines of one component id, in bounded memory.

Invariants
- A verdict stays. A trace is judged when a request brings records of it, and once more when it has been quiet for
  `settle`, which closes what is still open.
- One (trace id, span id) counts once, however often it is delivered: also after its trace was forgotten, as long as
  its id is remembered.
- Traces are forgotten `ttl` after their last span, and the longest quiet first when the estimate exceeds `max_bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from processors.genai.config import Config
from processors.genai.rules import Judge, judge_log
from processors.genai.trace import COUNTED, Call, Trace

_PATIENCE = 2.5
"""An open record waits at most this many times `settle`, however busy its trace is."""


class Ledger:
    """Traces by id, the longest quiet first. Called by one thread at a time."""

    def __init__(self, config: Config) -> None:
        self._traces: dict[bytes, Trace] = {}
        self._waiting: dict[bytes, Trace] = {}
        self._delivered: dict[bytes, bytes] = {}
        self._deliveries = 0
        self._size = 0
        self._records: dict[int, None] = {}
        self._claimed = False
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Take other limits and switches; what is remembered stays."""
        self._limits = config.ledger
        self._settle_ns = config.settle_ns
        self._judge = Judge(
            prefer_gateway=config.prefer == "gateway", cumulative_loops=config.cumulative_loops
        )

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

    def open(self, trace_id: bytes, now_ns: int) -> Trace:
        """Return the trace, which has been seen now. What is added to it counts when `close` is called."""
        trace = self._traces.pop(trace_id, None)
        if trace is None:
            trace = Trace(self._take_delivered(trace_id))
        self._traces[trace_id] = trace
        trace.seen_ns = now_ns
        return trace

    def close(self, trace_id: bytes, trace: Trace, fresh: Sequence[Call], now_ns: int) -> None:
        """Judge what a request brought of a trace: `fresh` are records that were added to it."""
        if not fresh and not trace.open:
            self._size += trace.grown()
            return
        if trace.is_plain:
            for call in fresh:
                call.verdict = COUNTED
        else:
            for call in fresh:
                call.since_ns = now_ns
            self._judge.judge(trace, fresh, final=False)
            self._wait(trace_id, trace)
        self._size += trace.grown()

    def record(self, trace_id: bytes, log: Call, now_ns: int) -> str:
        """Return the verdict on a log record of a call."""
        trace = self.open(trace_id, now_ns)
        verdict = judge_log(trace, log)
        self._size += trace.grown()
        return verdict

    def is_new_record(self, digest: int) -> bool:
        """Whether this log record comes for the first time; records have no id, so their bytes are one."""
        if digest in self._records:
            return False
        self._records[digest] = None
        if len(self._records) > self._limits.max_deliveries:
            del self._records[next(iter(self._records))]
        return True

    # -- time

    def hold(self, size: int) -> None:
        """Count bytes of spans that wait, or that do so no longer (negative)."""
        self._size += size

    def settle(self, now_ns: int) -> None:
        """Close what is open in traces that were quiet for long enough."""
        for trace_id, trace in list(self._waiting.items()):
            waited = now_ns - min(call.since_ns for call in trace.open)
            quiet = now_ns - trace.seen_ns
            if quiet >= self._settle_ns or waited >= _PATIENCE * self._settle_ns:
                self._finish(trace_id, trace)

    def trim(self, now_ns: int) -> int:
        """Forget what is too old, and the longest quiet traces while there is too much; returns how many of these."""
        evicted = 0
        while self._traces:
            trace_id, trace = next(iter(self._traces.items()))
            too_old = now_ns - trace.seen_ns >= self._limits.ttl_ns
            if not too_old and self._size <= self._limits.max_bytes:
                break
            evicted += not too_old
            self._forget(trace_id, trace)
        return evicted

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
        self._judge.judge(trace, (), final=True)
        self._size += trace.grown()
        self._wait(trace_id, trace)

    def _forget(self, trace_id: bytes, trace: Trace) -> None:
        if trace.open:
            self._finish(trace_id, trace)
        del self._traces[trace_id]
        self._size -= trace.size
        self._keep_delivered(trace_id, [*_chunks(trace.delivered), *trace.calls])

    # -- deliveries of forgotten traces

    def _take_delivered(self, trace_id: bytes) -> bytes:
        ids = self._delivered.pop(trace_id, b"")
        self._deliveries -= len(ids) // 8
        return ids

    def _keep_delivered(self, trace_id: bytes, span_ids: Iterable[bytes]) -> None:
        ids = b"".join(span_ids)
        if not ids:
            return
        self._delivered[trace_id] = ids
        self._deliveries += len(ids) // 8
        while self._deliveries > self._limits.max_deliveries:
            oldest = next(iter(self._delivered))
            self._deliveries -= len(self._delivered.pop(oldest)) // 8


def _chunks(ids: bytes) -> Iterable[bytes]:
    return (ids[at : at + 8] for at in range(0, len(ids), 8))
