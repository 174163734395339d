"""What a running graph promises about its ticks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collector import handover
from collector.clock import Clock
from collector.config.load import load
from collector.graph import Graph
from collector.intake import Gate, InFlight
from collector.outlet import Outlet
from collector.state import State
from processors.base import Stateless
from processors.batch import Batch, Signal
from tests.telemetry import batch, span

CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
connectors: {forward: {}}
exporters: {otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/in: {receivers: [otlp], exporters: [forward]}
    traces/out: {receivers: [forward], exporters: [otlp]}
"""


class Stepper(Stateless):
    """A connector that gives one batch a call."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def tick(self, now_ns: int) -> Iterable[Batch]:
        self.left -= 1
        yield batch(span())

    @property
    def behind(self) -> bool:
        return self.left > 0


def graph(folder: Path) -> Graph:
    path = folder / "collector.yaml"
    path.write_text(CONFIG)
    one = Graph(load([str(path)]).config, State(Gate(Clock(), InFlight(1))))
    handover.take_over(one)
    return one


def test_a_connector_that_has_more_to_do_is_ticked_again(tmp_path: Path) -> None:
    one, came = graph(tmp_path), []

    def sink(batch: Batch) -> Any:
        came.append(batch.signal)

    one.pipelines["traces/out"]._outlets = (Outlet(sink, False),)
    one.connectors["forward"] = stepper = Stepper(3)
    one.connector_stages.clear()
    one.tick()
    assert came == [Signal.TRACES] * 3
    one.state.gate.draining, stepper.left = True, 3
    one.tick()
    assert len(came) == 4, "a stop does not wait for it; closing does the rest"
