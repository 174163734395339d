"""A request that reaches an exporter by several ways is taken by all of them or by none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collector import handover
from collector.clock import Clock
from collector.component import Limits, Taken
from collector.config.load import load
from collector.graph import Graph
from collector.intake import Gate, InFlight
from collector.state import State
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from tests.countable import span_ids, traces

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters:
  otlp:
    endpoint: "127.0.0.1:9"
    tls: {{insecure: true}}
    sending_queue: {{queue_size: {size}, batch: {{min_size: 1, max_size: 1, sizer: items}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces/one: {{receivers: [otlp], exporters: [otlp]}}
    traces/two: {{receivers: [otlp], exporters: [otlp]}}
"""
THREE_WAYS = f"""
connectors: {{{{forward: {{{{}}}}}}}}
{CONFIG.replace("exporters: [otlp]", "exporters: [otlp, forward]", 1)}
    traces/three: {{{{receivers: [forward], exporters: [otlp]}}}}
"""
ENQUEUE_FAILED = ("otelcol_exporter_enqueue_failed_spans_total",)


def graph_of(folder: Path, text: str, size: int) -> tuple[Graph, Any]:
    path = folder / "collector.yaml"
    path.write_text(text.format(size=size))
    graph = Graph(load([str(path)]).config, State(Gate(Clock(), InFlight(1 << 20))))
    handover.take_over(graph)
    return graph, graph.exporters["otlp"]._queue  # type: ignore[attr-defined] # a sender's


def delivered(queue: Any) -> Counter[bytes]:
    """Deliver all that waits."""
    ids = Counter[bytes]()
    while queue.size():
        taken = queue.take()
        ids.update(span.span_id for span in Batch(Signal.TRACES, taken.request.raw).spans())
        queue.ack(taken)
    return ids


@pytest.mark.parametrize(("size", "accepted"), [(3, 1), (5, 1), (6, 2), (8, 2)])
def test_room_is_asked_for_every_way_by_which_an_exporter_is_reached(
    tmp_path: Path, size: int, accepted: int
) -> None:
    graph, queue = graph_of(tmp_path, THREE_WAYS, size)
    ids, outcomes = span_ids(4), list[bool]()
    for span_id in ids:
        try:
            graph.intakes["otlp"].consume(Signal.TRACES, traces([span_id]).encode(), Limits())
            outcomes.append(True)
        except Overloaded:
            outcomes.append(False)
    assert outcomes == [True] * accepted + [False] * (4 - accepted)
    assert delivered(queue) == dict.fromkeys(ids[:accepted], 3)
    assert graph.exporters["otlp"].stats.counters[ENQUEUE_FAILED] == 4 - accepted


def test_what_another_pipeline_has_taken_waits_for_room(tmp_path: Path) -> None:
    """Refused, it would come again to the pipeline that has it. To wait is no failure, however often it is offered."""
    graph, queue = graph_of(tmp_path, CONFIG, 1)
    (span_id,) = span_ids(1)
    offered = graph.intakes["otlp"].offer(Signal.TRACES, traces([span_id]).encode(), Limits())
    for _ in range(3):
        graph.tick()
    assert not offered.settled()
    assert graph.exporters["otlp"].stats.counters[ENQUEUE_FAILED] == 0
    came = delivered(queue)
    assert offered.result() == Taken()
    assert came + delivered(queue) == {span_id: 2}


BEHIND = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {batch: {timeout: 1s}}
connectors: {forward: {}}
exporters:
  otlp/a: {endpoint: "127.0.0.1:9", tls: {insecure: true}, sending_queue: {queue_size: 8}}
  otlp/b: {endpoint: "127.0.0.1:9", tls: {insecure: true}, sending_queue: {queue_size: 1}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/in: {receivers: [otlp], processors: [batch], exporters: [forward]}
    traces/a: {receivers: [forward], exporters: [otlp/a]}
    traces/b: {receivers: [forward], exporters: [otlp/b]}
"""


def test_after_a_reload_only_those_behind_a_connector_get_it_that_had_no_room(
    tmp_path: Path,
) -> None:
    path = tmp_path / "collector.yaml"
    path.write_text(BEHIND)
    state = State(Gate(Clock(), InFlight(1 << 20)))
    graph = Graph(load([str(path)]).config, state)
    handover.take_over(graph)
    ids = span_ids(2)
    for span_id in ids:
        graph.intakes["otlp"].consume(Signal.TRACES, traces([span_id]).encode(), Limits())
        graph.close_pipelines()
    assert graph.pipelines["traces/in"].backlog.waiting == 1
    new = Graph(load([str(path)]).config, state, graph)
    handover.take_over(new, graph)
    handover.retire(graph, new, 0.0)
    came = {name: Counter[bytes]() for name in ("otlp/a", "otlp/b")}
    for _ in range(3):
        new.tick()
        for name, counted in came.items():
            counted += delivered(new.exporters[name]._queue)  # type: ignore[attr-defined] # a sender's
    assert came == dict.fromkeys(came, dict.fromkeys(ids, 1))
