"""What pipelines behind a connector promise: each takes a batch once, however long another one has no room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from collector import handover
from collector.clock import Clock
from collector.component import Limits, Taken
from collector.config.load import load
from collector.graph import Graph
from collector.intake import Gate, InFlight
from collector.outlet import Outlet
from collector.pipeline import Pipeline, Stage
from collector.portions import MOST_ITEMS
from collector.state import State
from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from tests.collector.stages import Promise, Receipt, Swapper
from tests.countable import span_ids, traces

CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {genai: {}}
connectors: {forward: {}, forward/on: {}}
exporters: {otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/in: {receivers: [otlp], processors: [genai], exporters: [forward]}
    traces/a: {receivers: [forward], exporters: [otlp]}
    traces/b: {receivers: [forward], exporters: [forward/on]}
    traces/c: {receivers: [forward/on], exporters: [otlp]}
    traces/d: {receivers: [forward/on], exporters: [otlp]}
"""
ENDS = "acd"
LARGE = 4 * MOST_ITEMS + 1
IDS = span_ids(LARGE)


class Counter(Stateless):
    """Counts what it sees, and writes it down."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def process(self, batch: Batch) -> Batch:
        for span in batch.spans():
            self.seen += 1
            times = span.get("times") or 0
            assert isinstance(times, int)
            span.set("times", times + 1)
        return batch


class Sink:
    """Keeps the ids it gets while it has room for so many batches."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.batches = 0
        self.ids: list[bytes] = []

    def __call__(self, batch: Batch) -> None:
        if self.batches >= self.room:
            raise Overloaded("full")
        self.batches += 1
        self.ids += [span.span_id for span in batch.spans()]
        assert all(span.get("times") == 1 for span in batch.spans())


def forwarding(folder: Path) -> tuple[Graph, dict[str, Sink], dict[str, Counter]]:
    """Build a graph of branches; each counts what comes, and ends in a sink of its own."""
    path = folder / "collector.yaml"
    path.write_text(CONFIG)
    graph = Graph(load([str(path)]).config, State(Gate(Clock(), InFlight(1))))
    handover.take_over(graph)
    sinks, counters = {end: Sink() for end in ENDS}, {end: Counter() for end in ENDS}
    for end in ENDS:
        line = graph.pipelines[f"traces/{end}"]
        line._outlets = (Outlet(sinks[end], False),)
        line.stages = [Stage("counter", counters[end])]
    return graph, sinks, counters


@pytest.mark.parametrize("full", ["a", "c", "d", "ac", "cd", "acd"])
def test_every_branch_gets_a_waiting_portion_once(tmp_path: Path, full: str) -> None:
    graph, sinks, counters = forwarding(tmp_path)
    for end in full:
        sinks[end].room = 1
    intake = graph.intakes["otlp"]
    offered = intake.offer(Signal.TRACES, traces(IDS).encode(), Limits())
    offered.enter()
    for _ in range(5):
        graph.tick()
    assert not offered.settled()
    assert intake.refusal(Signal.TRACES) is not None
    for end in full:
        sinks[end].room = 3
    graph.tick()
    assert not offered.settled()
    for end in full:
        sinks[end].room = 100
    assert offered.result() == Taken()
    assert {end: sorted(sinks[end].ids) == IDS for end in ENDS} == dict.fromkeys(ENDS, True)
    assert [counters[end].seen for end in ENDS] == [LARGE] * 3
    assert intake.refusal(Signal.TRACES) is None


def test_a_request_that_is_refused_behind_a_connector_waits_nowhere(tmp_path: Path) -> None:
    graph, sinks, _ = forwarding(tmp_path)
    sinks["a"].room = 0
    with pytest.raises(Overloaded, match="full"):
        graph.intakes["otlp"].offer(Signal.TRACES, traces(IDS).encode(), Limits()).enter()
    assert sum(line.backlog.waiting for line in graph.pipelines.values()) == 0


# ------------------------------------------------------------------ released batches


class Keeper(Stateless):
    """Releases one batch with a receipt."""

    def __init__(self) -> None:
        super().__init__()
        self.receipt = Receipt()
        self.left = [traces(span_ids(3))]

    def process(self, batch: Batch) -> None:
        self.left.append(batch)

    def tick(self, now_ns: int) -> Iterable[Batch]:
        while self.left:
            batch = self.left.pop()
            batch.receipt = self.receipt
            yield batch


def keeping(
    folder: Path, keeper: Keeper, ends: dict[str, Callable[[Batch], Any]]
) -> tuple[Graph, Pipeline]:
    """Build a graph whose first pipeline releases what a keeper has."""
    graph, _, _ = forwarding(folder)
    for end, sink in ends.items():
        graph.pipelines[f"traces/{end}"]._outlets = (Outlet(sink, False),)
    line = graph.pipelines["traces/in"]
    line.stages, line.ticks = [Stage("keeper", keeper)], True
    return graph, line


def test_a_receipt_waits_for_every_branch(tmp_path: Path) -> None:
    """One has it safe before another has it at all."""
    keeper, promise, full, free = Keeper(), Promise(), Sink(room=0), Sink()
    ends: dict[str, Callable[[Batch], Any]] = {"a": lambda batch: promise, "c": full, "d": free}
    graph, line = keeping(tmp_path, keeper, ends)
    graph.tick()
    graph.tick()
    assert (line.backlog.waiting, full.ids, free.ids) == (3, [], span_ids(3))
    full.room = 1
    graph.tick()
    graph.tick()
    assert (line.backlog.waiting, full.ids, free.ids) == (0, span_ids(3), span_ids(3))
    assert keeper.receipt.settled == 0
    promise.known = True
    graph.tick()
    assert keeper.receipt.settled == 1


def test_a_released_batch_is_known_by_the_way_it_took(tmp_path: Path) -> None:
    """A durable queue takes a batch of one name once: by every way, and not again when it is released again."""
    names: set[str] = set()
    got: list[str] = []

    def durable(batch: Batch) -> None:
        if not batch.source or batch.source not in names:
            got.append(batch.source)
        names.add(batch.source)

    keeper = Keeper()
    graph, line = keeping(tmp_path, keeper, dict.fromkeys(ENDS, durable))
    line._outlets = (Outlet(durable, False), *line._outlets)
    for _ in range(2):
        released = traces(span_ids(3))
        released.source = "keeper:1"
        keeper.left = [released]
        graph.tick()
        assert len(got) == 1 + len(ENDS)
        assert released.source == "keeper:1"


def test_what_a_branch_drops_does_not_end_what_another_waits_for(tmp_path: Path) -> None:
    class Dropper(Stateless):
        def process(self, batch: Batch) -> Batch:
            for span in batch.spans():
                span.dropped = True
            return batch

    full = Sink(room=0)
    graph, line = keeping(tmp_path, Keeper(), {"a": full})
    graph.pipelines["traces/c"].stages = [Stage("dropper", Dropper())]
    graph.pipelines["traces/d"].stages = [Stage("dropper", Dropper())]
    graph.tick()
    full.room = 1
    graph.tick()
    assert (line.backlog.waiting, full.ids) == (0, span_ids(3))


def test_what_a_stage_behind_a_connector_pushes_out_waits_there(tmp_path: Path) -> None:
    """It is of another request; that of now is held."""
    graph, sinks, _ = forwarding(tmp_path)
    sinks["a"].room = 0
    line = graph.pipelines["traces/a"]
    line.stages = [Stage("swapper", Swapper()), *line.stages]
    intake = graph.intakes["otlp"]
    for first in (1, 4):
        raw = traces(span_ids(3, first)).encode()
        intake.offer(Signal.TRACES, raw, Limits()).result()
    assert (line.backlog.waiting, graph.pipelines["traces/in"].backlog.waiting) == (3, 0)
    assert intake.refusal(Signal.TRACES) is not None
    sinks["a"].room = 1
    graph.tick()
    assert (sinks["a"].ids, sinks["d"].ids) == (span_ids(3), span_ids(6))
