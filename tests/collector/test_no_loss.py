"""What a sender is told is true, whatever is full, ticked, reloaded or stopped: a model of requests, by span ids.

- What was accepted leaves by every exporter, once for each way that leads there.
- What was refused as it came leaves by none. Only who waited for the room of a later portion, and was told to come
  back, may find what he sent there, too: no more often.
- Accepted and refused are counted, each span as one of both.
- Once there is room, nothing waits for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from collector import handover
from collector.component import Limits, Taken
from collector.config.load import load
from collector.graph import Graph
from collector.intake import Gate, InFlight, Offer
from collector.portions import MOST_ITEMS, InBacklog
from collector.state import State
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from tests.countable import span_ids, traces

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors:
  genai: {{}}
  batch: {{timeout: {timeout}, send_batch_size: 8, send_batch_max_size: {most}}}
  tail_sampling:
    decision_wait: {wait}
    num_traces: 1004
    buffer: {{on_full: {on_full}}}
    policies: [{{name: all, type: always_sample}}]
connectors: {{forward: {{}}}}
exporters:
  otlp/a:
    endpoint: "127.0.0.1:9"
    tls: {{insecure: true}}
    sending_queue: {{queue_size: {a}, sizer: {unit}, batch: {{min_size: 1, sizer: items}}}}
  otlp/b:
    endpoint: "127.0.0.1:9"
    tls: {{insecure: true}}
    sending_queue: {{queue_size: {b}, batch: {{min_size: 1, sizer: items}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces/in: {{receivers: [otlp], processors: [{first}], exporters: [otlp/a, forward]}}
    traces/beside: {{receivers: [otlp], exporters: [otlp/b]}}
    traces/out: {{receivers: [forward], processors: [{second}], exporters: [otlp/b]}}
"""
EXPORTERS = {"otlp/a": 1, "otlp/b": 2}
"""By how many ways a request reaches each."""
STAGES = ("", "genai", "batch", "tail_sampling", "batch, tail_sampling")


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.ns = 10**18

    def now_ns(self) -> int:
        return self.ns


class Collector(RuleBasedStateMachine):
    """A graph whose exporters deliver when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Time()
        self.state = State(Gate(self.clock, InFlight(1 << 30)))  # type: ignore[arg-type] # as good as a clock
        self.number = 1
        self.open: list[tuple[Offer, list[bytes]]] = []
        self.accepted: list[bytes] = []
        self.refused: list[bytes] = []
        self.uncertain: list[bytes] = []
        self.delivered = {name: Counter[bytes]() for name in EXPORTERS}

    @initialize(
        first=st.sampled_from(STAGES),
        second=st.sampled_from(STAGES),
        on_full=st.sampled_from(["refuse", "decide"]),
        size=st.integers(1, 6),
        other=st.integers(1, 6),
        unit=st.sampled_from(["requests", "items"]),
    )
    def build(
        self, first: str, second: str, on_full: str, size: int, other: int, unit: str
    ) -> None:
        if "tail_sampling" in first and "tail_sampling" in second:
            second = ""
        sizes = {"a": size * (MOST_ITEMS if unit == "items" else 1), "b": other, "unit": unit}
        self.given: dict[str, Any] = {"first": first, "second": second, "on_full": on_full} | sizes
        self.graph = self.load(timeout="200ms", most=0, wait="1s")
        handover.take_over(self.graph)

    def load(self, previous: Graph | None = None, **more: Any) -> Graph:
        text = CONFIG.format(**self.given, **more)
        return Graph(load([f"yaml:{text}"]).config, self.state, previous)

    # ------------------------------------------------------------------ what happens

    @rule(count=st.sampled_from([1, 3, MOST_ITEMS, MOST_ITEMS + 1, 3 * MOST_ITEMS + 1]))
    def send(self, count: int) -> None:
        """A receiver asks first; a request that was being read comes nevertheless."""
        ids = span_ids(count, self.number)
        self.number += count
        intake = self.graph.intakes["otlp"]
        try:
            offer = intake.offer(Signal.TRACES, traces(ids).encode(), Limits())
            offer.enter()
        except Overloaded:
            self.refused += ids
        else:
            self.open.append((offer, ids))
            self.answer()

    @rule(ms=st.sampled_from([100, 300, 2_000]))
    def tick(self, ms: int) -> None:
        self.clock.ns += ms * 1_000_000
        self.graph.tick()
        self.answer()

    @rule(name=st.sampled_from(sorted(EXPORTERS)), loads=st.integers(1, 5))
    def deliver(self, name: str, loads: int) -> None:
        queue = self.graph.exporters[name]._queue  # type: ignore[attr-defined] # a sender's
        for _ in range(loads):
            if queue.size():
                taken = queue.take()
                batch = Batch(taken.request.signal, taken.request.raw)
                self.delivered[name].update(span.span_id for span in batch.spans())
                queue.ack(taken)

    @precondition(lambda self: self.open)
    @rule()
    def lose_patience(self) -> None:
        """The oldest sender is told to come back, if there is no room at once."""
        for ticket in self.open[0][0].tickets:
            if isinstance(ticket, InBacklog):
                ticket.until = 0.0
        self.end(*self.open.pop(0))

    @rule()
    def rest(self) -> None:
        """A quiet time in which exporters have room."""
        for _ in range(self.number):
            self.deliver_all()
            self.tick(1_000)
            if not self.open and not self.waits():
                break
        assert (self.open, self.waits()) == ([], False)

    @rule(
        timeout=st.sampled_from(["200ms", "1s", "0s"]),
        most=st.sampled_from([0, 8, 2_000]),
        wait=st.sampled_from(["1s", "3s"]),
    )
    def reload(self, timeout: str, most: int, wait: str) -> None:
        old, self.graph = self.graph, self.load(self.graph, timeout=timeout, most=most, wait=wait)
        handover.take_over(self.graph, old)
        handover.retire(old, self.graph, 0.0)
        self.answer()

    def teardown(self) -> None:
        """Stop as a process does, with exporters that have room again."""
        self.state.gate.draining = True
        while self.open:
            self.end(*self.open.pop(0))
        self.state.gate.closed = True
        self.graph.close_pipelines()
        for _ in range(self.number):
            if not self.waits():
                break
            self.graph.drain(0.0)
            self.deliver_all()
        self.deliver_all()
        self.check()

    # ------------------------------------------------------------------ what is known

    def waits(self) -> bool:
        return any(pipeline.backlog.waiting for pipeline in self.graph.pipelines.values())

    def deliver_all(self) -> None:
        for name in EXPORTERS:
            self.deliver(name, self.graph.exporters[name]._queue.size())  # type: ignore[attr-defined] # see deliver

    def answer(self) -> None:
        """Tell senders what is known by now."""
        still = [one for one in self.open if not one[0].settled()]
        for offer, ids in self.open:
            if offer.settled():
                self.end(offer, ids)
        self.open = still

    def end(self, offer: Offer, ids: Sequence[bytes]) -> None:
        try:
            assert offer.result() == Taken()
        except Overloaded:
            self.uncertain += ids
        else:
            self.accepted += ids

    def check(self) -> None:
        for name, ways in EXPORTERS.items():
            came = self.delivered[name]
            assert [span_id for span_id in self.accepted if came[span_id] != ways] == []
            assert [span_id for span_id in self.refused if came[span_id]] == []
            assert [span_id for span_id in self.uncertain if came[span_id] > ways] == []
        counters = self.graph.intakes["otlp"].stats.counters
        told = len(self.refused) + len(self.uncertain)
        assert counters["otelcol_receiver_accepted_spans_total", ""] == len(self.accepted)
        assert counters["otelcol_receiver_refused_spans_total", ""] == told


Collector.TestCase.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
test_what_a_sender_is_told_is_true = Collector.TestCase
