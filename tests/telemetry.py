"""Small OTLP requests for tests, written the short way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from processors.batch import Batch, Signal

SECOND = 1_000_000_000


def any_value(value: object) -> AnyValue:
    """Return the AnyValue of a Python value; of None the empty one."""
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, Mapping):
        found = AnyValue()
        found.kvlist_value.SetInParent()
        found.kvlist_value.values.extend(key_values(value))
        return found
    if isinstance(value, (list, tuple)):
        found = AnyValue()
        found.array_value.SetInParent()
        found.array_value.values.extend(map(any_value, value))
        return found
    return AnyValue(string_value=str(value))


def key_values(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Return attributes as OTLP has them."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def span(number: int = 1, trace: int = 1, **fields: Any) -> dict[str, Any]:
    """Describe a span for `traces`: name, kind, ms=(start, end), status, parent (a span number), attributes, …"""
    return {"number": number, "trace": trace} | fields


def traces(
    *spans: Mapping[str, Any], resource: Mapping[str, object] | None = None, scope: str = "test"
) -> bytes:
    """Encode a request with these spans under one resource and scope."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(resource or {"service.name": "shop"}))
    scope_spans = group.scope_spans.add()
    scope_spans.scope.name = scope
    for written in spans:
        one = scope_spans.spans.add()
        one.trace_id = written["trace"].to_bytes(16, "big")
        one.span_id = written["number"].to_bytes(8, "big")
        if written.get("parent"):
            one.parent_span_id = written["parent"].to_bytes(8, "big")
        one.name = written.get("name", f"span {written['number']}")
        one.kind = written.get("kind", 1)
        start_ms, end_ms = written.get("ms", (0, 100))
        one.start_time_unix_nano = 1_790_000_000 * SECOND + start_ms * 1_000_000
        one.end_time_unix_nano = 1_790_000_000 * SECOND + end_ms * 1_000_000
        one.status.code = written.get("status", 0)
        one.attributes.extend(key_values(written.get("attributes", {})))
    return request.SerializeToString()


def batch(*spans: Mapping[str, Any], received_s: float = 0, **rest: Any) -> Batch:
    """Return a traces batch with these spans that arrived `received_s` seconds into the test."""
    return Batch(Signal.TRACES, traces(*spans, **rest), received_ns=int(received_s * SECOND))


def is_parsed(signal: Signal, raw: bytes) -> bool:
    """Say whether the OTLP class of a signal takes these bytes."""
    try:
        signal.request.FromString(raw)
    except DecodeError:
        return False
    return True


def parse(batch_or_raw: Batch | bytes) -> ExportTraceServiceRequest:
    """Parse what left."""
    raw = batch_or_raw if isinstance(batch_or_raw, bytes) else batch_or_raw.encode()
    return ExportTraceServiceRequest.FromString(raw)


def spans_of(batch_or_raw: Batch | bytes) -> list[Any]:
    """Return the protobuf spans in order."""
    return [
        one
        for group in parse(batch_or_raw).resource_spans
        for scope in group.scope_spans
        for one in scope.spans
    ]
