"""What leaves: the spans of kept traces, in the tier and with the records that were decided, and late spans.

A trace leaves in shares, so that no step takes longer the longer a trace is. How it leaves is settled when it is
decided: what comes between two shares, a reload included, changes nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from processors import semconv
from processors.admission import prove_texts
from processors.batch import Batch, Signal
from processors.tail_sampling.config import Config
from processors.tail_sampling.journal import Whole
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.outbox import Outbox
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.record import marked, root_attributes, with_root_attributes
from processors.tail_sampling.root import Roots
from processors.tail_sampling.skeleton import skeleton
from processors.tail_sampling.traces import Envelope, Table, Trace
from processors.tail_sampling.verdict import Trigger, Verdict
from processors.wire import Value


@dataclass(frozen=True, slots=True)
class Manner:
    """What is done to spans that leave."""

    dry_run: bool
    attributes: bool
    tracestate: bool
    largest_value: int

    @classmethod
    def of(cls, config: Config) -> Manner:
        return cls(
            dry_run=config.dry_run,
            attributes=config.record_attributes or config.dry_run,
            tracestate=config.record_tracestate and not config.dry_run,
            largest_value=config.skeleton_max_value_bytes,
        )


class Departure:
    """A decided trace whose spans are on their way out, or are dropped."""

    __slots__ = (
        "_reading",
        "_roots",
        "attributes",
        "left",
        "manner",
        "root",
        "trace",
        "verdict",
        "whole",
    )

    def __init__(
        self,
        trace: Trace,
        verdict: Verdict,
        trigger: Trigger,
        manner: Manner,
        whole: Whole | None,
    ) -> None:
        """`whole`: what the journal wants to be told of the shares that leave."""
        self.trace = trace
        self.whole = whole
        self.verdict = verdict
        self.manner = manner
        self.left = 0
        """How many spans have left."""
        self.root = -1
        """The position of the local root, once it was looked for."""
        self.attributes: dict[str, Value] = {}
        """What is written on the local root."""
        self._roots: Roots | None = None
        self._reading: Iterator[list[tuple[Envelope, bytes]]] = iter(())
        if self.leaves and manner.attributes:
            self._roots, self._reading = Roots(), trace.read()
            self.attributes = root_attributes(trace, verdict, trigger)
            if manner.dry_run:
                self.attributes[semconv.SAMPLING_DRY_RUN_KEPT] = verdict.kept

    @property
    def leaves(self) -> bool:
        """Whether its spans leave at all."""
        return self.verdict.kept or self.manner.dry_run

    @property
    def done(self) -> bool:
        """Whether nothing of it is here any more."""
        return not self.trace.parts

    def look(self) -> bool:
        """Look for the root in the next share; say whether all was looked at."""
        if self._roots is None:
            return True
        share = next(self._reading, None)
        if share is not None:
            self._roots.look(span for _, span in share)
            return False
        self.root, self._roots = self._roots.local, None
        return True


class Release:
    """Turns verdicts into outgoing spans."""

    def __init__(self, config: Config, watch: Watch, ledger: Ledger, table: Table) -> None:
        """Ask `watch` for what the records tell."""
        self._ledger = ledger
        self._table = table
        self._out = self._late = Outbox()
        self._manner = Manner.of(config)
        if self._manner.attributes:
            watch.costs()
            watch.tokens()

    @property
    def full(self) -> bool:
        """Whether enough waits for a batch."""
        return self._out.full

    def take(self, now_ns: int) -> Batch | None:
        """Return everything that was released since."""
        return self._out.take(now_ns, self._prove)

    def keep_late_apart(self) -> None:
        """Let late spans leave in batches of their own."""
        self._late = Outbox()

    def take_late(self, now_ns: int) -> Batch | None:
        """Return the late spans that were kept apart since."""
        return self._late.take(now_ns, self._prove)

    def _prove(self, raw: bytes) -> bytes:
        """Return a request with its texts repaired where they are no UTF-8 and nobody saw to that on arrival."""
        if not self._table.unproved:
            return raw
        proved, repaired = prove_texts(Signal.TRACES, raw)
        self._ledger.repaired(repaired)
        return proved

    def decided(
        self, trace: Trace, verdict: Verdict, trigger: Trigger, whole: Whole | None = None
    ) -> Departure:
        """Begin to release a trace that was just decided, or to drop it. `whole`: see `Departure`."""
        self._table.part_with(trace)
        return Departure(trace, verdict, trigger, self._manner, whole)

    def go_on(self, departure: Departure) -> None:
        """Release or drop the next share, or read it where the local root is not known yet."""
        if not departure.look():
            return
        share = self._table.share(departure.trace)
        if departure.leaves:
            self._hand_on(departure, share)
        else:
            self._ledger.spans("dropped", len(share))

    def _hand_on(self, departure: Departure, share: list[tuple[Envelope, bytes]]) -> None:
        size = 0
        for envelope, span in share:
            leaving = self._as_it_leaves(span, departure)
            self._out.add(envelope, leaving)
            size += len(leaving)
            departure.left += 1
        self._ledger.stored(departure.verdict, len(share), size)

    def _as_it_leaves(self, span: bytes, departure: Departure) -> bytes:
        verdict, manner = departure.verdict, departure.manner
        is_root = departure.left == departure.root
        told = verdict.threshold
        if verdict.tier == "skeleton" and not manner.dry_run:
            span = skeleton(span, manner.largest_value)
        if manner.tracestate:
            span, told = marked(span, told, verdict.rv, self._ledger.odd_state)
        elif is_root:
            _, told = marked(span, told, None, _ignore)
        return with_root_attributes(span, departure.attributes, told) if is_root else span

    def late(self, envelope: Envelope, span: bytes, verdict: Verdict) -> None:
        """Release a late span of a kept trace, with its trace's tier and threshold."""
        manner = self._manner
        if manner.dry_run:
            self._late.add(envelope, span)
        elif verdict.kept:
            if verdict.tier == "skeleton":
                span = skeleton(span, manner.largest_value)
            if manner.tracestate:
                span, _ = marked(span, verdict.threshold, verdict.rv, self._ledger.odd_state)
            self._late.add(envelope, span)


def _ignore(what: str) -> None:
    """Count nothing: nothing is written."""
