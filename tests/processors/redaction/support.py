"""Builds redaction processors and OTLP requests for the tests beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.config.settings import resolve
from collector.registry import schema_of
from processors.batch import Batch, Signal
from processors.ports import Context
from processors.redaction import build
from tests.telemetry import key_values as attributes

KEY = b"0123456789abcdef0123456789abcdef"
REQUESTS = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}


def processor(config: Mapping[str, Any], secret: bytes | None = KEY) -> Any:
    """Build a processor from what a user would write."""
    settings = resolve(schema_of("processors/redaction/schema.json"), dict(config))
    return build(settings, Context(id="redaction", secret=secret))


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def plain_attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: plain(pair.value) for pair in pairs}


def span_request(**fields: Any) -> ExportTraceServiceRequest:
    """Return a request with one span."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, **fields)
    return request


def through(subject: Any, signal: Signal, request: Any, *, decoded: bool = False) -> Any:
    """Send a request through a processor; `decoded`: somebody looked inside before."""
    batch = Batch(signal, request.SerializeToString())
    if decoded:
        list(batch.items())
    return REQUESTS[signal].FromString(subject.process(batch).encode())


def redacted(subject: Any, **fields: Any) -> Any:
    """Return what becomes of one span."""
    out = through(subject, Signal.TRACES, span_request(**fields))
    return out.resource_spans[0].scope_spans[0].spans[0]


def text_through(subject: Any, text: str) -> str:
    """Return what becomes of one attribute."""
    span = redacted(subject, attributes=attributes({"note": text}))
    return str(plain(span.attributes[0].value))
