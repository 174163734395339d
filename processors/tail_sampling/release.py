"""What leaves: the spans of kept traces, in the tier and with the records that were decided, and late spans."""

from __future__ import annotations

from processors.batch import Batch
from processors.tail_sampling.config import Config
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.outbox import Outbox
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.traces import Envelope, Trace
from processors.tail_sampling.verdict import Trigger, Verdict


class Release:
    """Turns verdicts into outgoing spans."""

    def __init__(self, config: Config, watch: Watch, ledger: Ledger) -> None:
        self._ledger = ledger
        self._out = Outbox()
        self._forward_all = config.dry_run

    @property
    def spans(self) -> int:
        """Spans that wait for `take`."""
        return self._out.spans

    @property
    def size(self) -> int:
        """Their bytes."""
        return self._out.size

    def take(self, now_ns: int) -> Batch | None:
        """Return everything that was released since."""
        return self._out.take(now_ns)

    def decided(self, trace: Trace, verdict: Verdict, trigger: Trigger) -> None:
        """Release a trace that was just decided, or count it as dropped."""
        if not verdict.kept and not self._forward_all:
            self._ledger.spans("dropped", trace.spans)
            return
        size = 0
        for envelope, span in trace.held():
            self._out.add(envelope, span)
            size += len(span)
        self._ledger.stored(verdict, trace.spans, size)

    def late(self, envelope: Envelope, span: bytes, verdict: Verdict) -> None:
        """Release a late span of a kept trace."""
        if verdict.kept or self._forward_all:
            self._out.add(envelope, span)
