"""What is refused at the door: before any stage has seen it."""

from __future__ import annotations

import pytest

from collector.clock import Clock
from collector.component import Limits
from collector.intake import Gate, GraphIntake, InFlight, Route
from collector.pipeline import Pipeline, Stage
from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from tests.telemetry import span, traces


class Counter(Stateless):
    """Counts the spans it sees."""

    seen = 0

    def process(self, batch: Batch) -> Batch:
        self.seen += len(batch)
        return batch


def small(raw: bytes, items: int) -> Overloaded | None:
    """Have room for one span."""
    return Overloaded("full") if items > 1 else None


def test_a_request_that_does_not_fit_is_seen_by_no_stage() -> None:
    counter = Counter()
    pipeline = Pipeline("traces", Signal.TRACES, [Stage("counter", counter)], [], [])
    route = Route([pipeline], [], [], [small])
    intake = GraphIntake(Gate(Clock(), InFlight(1 << 20)), {Signal.TRACES: route})
    intake.open()
    with pytest.raises(Overloaded, match="full"):
        intake.consume(Signal.TRACES, traces(span(1), span(2)), Limits(), "grpc")
    assert counter.seen == 0
    assert intake.stats.counters["otelcol_receiver_refused_spans_total", "grpc"] == 2
    intake.consume(Signal.TRACES, traces(span(1)), Limits(), "grpc")
    assert counter.seen == 1
