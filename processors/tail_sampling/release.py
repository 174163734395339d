"""What leaves: the spans of kept traces, in the tier and with the records that were decided, and late spans."""

from __future__ import annotations

from processors import semconv
from processors.batch import Batch
from processors.tail_sampling.config import Config
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.outbox import Outbox
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.record import marked, root_attributes, with_root_attributes
from processors.tail_sampling.root import local_root
from processors.tail_sampling.skeleton import skeleton
from processors.tail_sampling.traces import Envelope, Trace
from processors.tail_sampling.verdict import Trigger, Verdict


class Release:
    """Turns verdicts into outgoing spans."""

    def __init__(self, config: Config, watch: Watch, ledger: Ledger) -> None:
        """Ask `watch` for what the records tell."""
        self._ledger = ledger
        self._out = self._late = Outbox()
        self._dry_run = config.dry_run
        self._attributes = config.record_attributes or config.dry_run
        self._tracestate = config.record_tracestate and not config.dry_run
        self._largest_value = config.skeleton_max_value_bytes
        if self._attributes:
            watch.costs()
            watch.tokens()

    @property
    def full(self) -> bool:
        """Whether enough waits for a batch."""
        return self._out.full

    def take(self, now_ns: int) -> Batch | None:
        """Return everything that was released since."""
        return self._out.take(now_ns)

    def keep_late_apart(self) -> None:
        """Let late spans leave in batches of their own."""
        self._late = Outbox()

    def take_late(self, now_ns: int) -> Batch | None:
        """Return the late spans that were kept apart since."""
        return self._late.take(now_ns)

    def decided(self, trace: Trace, verdict: Verdict, trigger: Trigger) -> None:
        """Release a trace that was just decided, or count it as dropped."""
        if not verdict.kept and not self._dry_run:
            self._ledger.spans("dropped", trace.spans)
            return
        held = list(trace.held())
        spans = self._recorded(trace, [span for _, span in held], verdict, trigger)
        for (envelope, _), span in zip(held, spans, strict=True):
            self._out.add(envelope, span)
        self._ledger.stored(verdict, spans)

    def late(self, envelope: Envelope, span: bytes, verdict: Verdict) -> None:
        """Release a late span of a kept trace, with its trace's tier and threshold."""
        if self._dry_run:
            self._late.add(envelope, span)
        elif verdict.kept:
            if verdict.tier == "skeleton":
                span = skeleton(span, self._largest_value)
            if self._tracestate:
                span, _ = marked(span, verdict.threshold, verdict.rv, self._ledger.odd_state)
            self._late.add(envelope, span)

    def _recorded(
        self, trace: Trace, spans: list[bytes], verdict: Verdict, trigger: Trigger
    ) -> list[bytes]:
        """Return the spans as they leave."""
        if verdict.tier == "skeleton" and not self._dry_run:
            spans = [skeleton(span, self._largest_value) for span in spans]
        root = local_root(spans) if self._attributes else 0
        told = verdict.threshold
        if self._tracestate:
            count = self._ledger.odd_state
            marks = [marked(span, verdict.threshold, verdict.rv, count) for span in spans]
            spans, told = [span for span, _ in marks], marks[root][1]
        elif self._attributes:
            _, told = marked(spans[root], verdict.threshold, None, _ignore)
        if self._attributes:
            attributes = root_attributes(trace, verdict, trigger)
            if self._dry_run:
                attributes[semconv.SAMPLING_DRY_RUN_KEPT] = verdict.kept
            spans[root] = with_root_attributes(spans[root], attributes, told)
        return spans


def _ignore(what: str) -> None:
    """Count nothing: nothing is written."""
