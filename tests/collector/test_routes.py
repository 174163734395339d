"""What a receiver is told about where its requests enter."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.clock import Clock
from collector.config.load import load
from collector.graph import Graph
from collector.intake import Gate, InFlight
from collector.state import State
from processors.batch import Signal

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 4000}}
  batch: {{}}
  tail_sampling: {{policies: [{{name: all, type: always_sample}}]}}
  tail_sampling/events:
    policies: [{{name: failed, type: ottl_condition, ottl_condition: {{spanevent: ['name == "exception"']}}}}]
connectors: {{forward: {{}}}}
exporters: {{debug: {{}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [{first}], exporters: [debug]}}
    traces/too: {{receivers: [otlp], processors: [{other}], exporters: [forward]}}
    traces/behind: {{receivers: [forward], processors: [batch], exporters: [debug]}}
"""


@pytest.mark.parametrize(
    ("first", "other", "unproved"),
    [
        ("tail_sampling", "tail_sampling", True),
        ("memory_limiter, tail_sampling, batch", "tail_sampling", True),
        ("tail_sampling", "batch, tail_sampling", False),
        ("tail_sampling", "memory_limiter", False),
        ("tail_sampling", "", False),
        ("tail_sampling", "tail_sampling/events", False),
    ],
)
def test_texts_are_left_to_samplers_where_all_ways_begin_with_one(
    tmp_path: Path, first: str, other: str, unproved: bool
) -> None:
    path = tmp_path / "collector.yaml"
    path.write_text(CONFIG.format(first=first, other=other))
    graph = Graph(load([str(path)]).config, State(Gate(Clock(), InFlight(1))))
    assert graph.routes.of("otlp")[Signal.TRACES].unproved is unproved
