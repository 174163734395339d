"""Small OTLP requests whose items can be counted by id."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal


def span_ids(count: int, first: int = 1) -> list[bytes]:
    """Return distinct span ids."""
    return [number.to_bytes(8, "big") for number in range(first, first + count)]


def traces(ids: Sequence[bytes], *, text: str = "", scopes: int = 1) -> Batch:
    """Return a batch of one span per id, dealt to resources of one scope each; `text` makes spans large."""
    request = ExportTraceServiceRequest()
    for scope in range(scopes):
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = f"service-{scope}"
        spans = group.scope_spans.add().spans
        for span_id in ids[scope::scopes]:
            spans.add(trace_id=span_id * 2, span_id=span_id, name=f"span {text}")
    return Batch(Signal.TRACES, request.SerializeToString(), items=len(ids))


def logs(count: int) -> Batch:
    """Return a batch of log records."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for span_id in span_ids(count):
        records.add(span_id=span_id)
    return Batch(Signal.LOGS, request.SerializeToString(), items=count)


def metrics(names: Sequence[str], points: int = 1) -> Batch:
    """Return a batch of gauges with `points` points each."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for name in names:
        metric = scope.metrics.add(name=name)
        for number in range(points):
            metric.gauge.data_points.add(as_int=number)
    return Batch(Signal.METRICS, request.SerializeToString())
