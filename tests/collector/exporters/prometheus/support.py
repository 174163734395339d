"""Builds metrics batches with the real schema, and an exporter to send them to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from collector.config.settings import resolve
from collector.exporters.prometheus import PrometheusExporter, build
from collector.registry import schema_of
from processors.batch import Batch, Signal
from processors.ports import Context
from tests.telemetry import key_values

CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
TRACE = bytes(range(16))


def resolved(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as the collector would hand them over."""
    schema = schema_of("collector/exporters/prometheus/schema.json")
    return resolve(schema, {"endpoint": "127.0.0.1:0", **settings})


def exporter(**settings: Any) -> PrometheusExporter:
    """Return an exporter that is not started."""
    return build(resolved(settings), Context(id="prometheus"))


def batch(
    *metrics: metrics_pb2.Metric, resource: Mapping[str, Any] | None = None, scope: str = ""
) -> Batch:
    """Return metrics as one request."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(resource or {}))
    inside = group.scope_metrics.add()
    inside.scope.name = scope
    inside.metrics.extend(metrics)
    return Batch(Signal.METRICS, request.SerializeToString())


def counter(
    name: str,
    value: float,
    *,
    unit: str = "",
    temporality: int = CUMULATIVE,
    began_ns: int = 1,
    help_text: str = "Help.",
    labels: Mapping[str, Any] | None = None,
) -> metrics_pb2.Metric:
    """Return a monotonic sum of one point; one that began at 1 is not new."""
    metric = metrics_pb2.Metric(name=name, unit=unit, description=help_text)
    metric.sum.aggregation_temporality = temporality  # type: ignore[assignment] # an enum's number
    metric.sum.is_monotonic = True
    point = metric.sum.data_points.add(
        start_time_unix_nano=began_ns,
        time_unix_nano=time.time_ns(),
        attributes=key_values(labels or {}),
    )
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    return metric


def gauge(name: str, value: float, *, unit: str = "", **labels: Any) -> metrics_pb2.Metric:
    """Return a gauge of one point."""
    metric = metrics_pb2.Metric(name=name, unit=unit, description="Help.")
    metric.gauge.data_points.add(as_double=value, attributes=key_values(labels))
    return metric


def histogram(
    name: str,
    counts: list[int],
    bounds: list[float],
    total: float,
    *,
    temporality: int = CUMULATIVE,
    exemplars: Mapping[float, bytes] | None = None,
    began_ns: int = 1,
) -> metrics_pb2.Metric:
    """Return a histogram of one point; `exemplars`: value → trace id."""
    metric = metrics_pb2.Metric(name=name, description="Help.")
    metric.histogram.aggregation_temporality = temporality  # type: ignore[assignment] # an enum's number
    point = metric.histogram.data_points.add(
        start_time_unix_nano=began_ns, count=sum(counts), sum=total, bucket_counts=counts, explicit_bounds=bounds
    )  # fmt: skip
    for value, trace_id in (exemplars or {}).items():
        point.exemplars.add(as_double=value, trace_id=trace_id, time_unix_nano=time.time_ns())
    return metric


def lines(one: PrometheusExporter, accept: str = "") -> list[str]:
    """Return the samples of a scrape, comments left out."""
    text = one.scrape(accept)[0].decode()
    return [line for line in text.splitlines() if not line.startswith("#")]
