"""Builds what the tests send and reads what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from itertools import count
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.config.settings import resolve
from processors import semconv
from processors.batch import Batch, Signal
from processors.encoded import assemble
from processors.llm_metrics import LlmMetrics, build
from processors.ports import Context
from processors.wire import delimited, encode_key_value, varint
from tests.telemetry import key_values

NOW = 1_800_000_000 * 10**9
SECOND = 10**9
_SPAN_IDS = count(1)


def connector(
    settings: Mapping[str, Any] | None = None, context: Context | None = None
) -> LlmMetrics:
    """Build a connector from what a user would write."""
    return build(resolved(settings or {}), context or Context(id="llm_metrics"))


def resolved(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as the collector would hand them over."""
    schema = json.loads(files("processors.llm_metrics").joinpath("schema.json").read_text("utf-8"))
    return resolve(schema, dict(settings))


def priced(**attributes: Any) -> dict[str, Any]:
    """Return the attributes of a priced call; keywords spell dots as double underscores."""
    call: dict[str, Any] = {
        semconv.APP_LLM_SPAN_CLASS: "model_call",
        semconv.APP_LLM_COST_STATUS: "priced",
        semconv.APP_LLM_COST_USD: 0.001,
        semconv.GEN_AI_PROVIDER_NAME: "openai",
        semconv.GEN_AI_REQUEST_MODEL: "gpt-4o",
        semconv.GEN_AI_RESPONSE_MODEL: "gpt-4o-2024-08-06",
        semconv.GEN_AI_USAGE_INPUT_TOKENS: 100,
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: 20,
    }
    call.update({key.replace("__", "."): value for key, value in attributes.items()})
    return {key: value for key, value in call.items() if value is not None}


def span(
    attributes: Mapping[str, Any],
    *,
    seconds: float = 1.0,
    code: int = 0,
    trace: bytes = b"t" * 16,
    began_ns: int = NOW,
    events: Iterable[tuple[str, int, Mapping[str, Any]]] = (),
) -> bytes:
    """Encode a span of its own as a field of its scope. `events`: name, time and attributes."""
    fixed = (b"\x39", began_ns.to_bytes(8, "little"), b"\x41")
    body = [
        delimited(b"\x0a", trace),
        delimited(b"\x12", next(_SPAN_IDS).to_bytes(8, "big")),
        *fixed,
        (NOW + round(seconds * 1e9)).to_bytes(8, "little"),
        *(delimited(b"\x4a", encode_key_value(k, v)) for k, v in attributes.items()),
        *(delimited(b"\x5a", _event(*event)) for event in events),
        delimited(b"\x7a", b"\x18" + varint(code)) if code else b"",
    ]
    return delimited(b"\x12", b"".join(body))


def _event(name: str, time_ns: int, attributes: Mapping[str, Any]) -> bytes:
    pairs = [delimited(b"\x1a", encode_key_value(k, v)) for k, v in attributes.items()]
    head = b"\x09" + time_ns.to_bytes(8, "little") + delimited(b"\x12", name.encode())
    return head + b"".join(pairs)


def logs(records: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Batch:
    """Make a batch of log records: attributes, and fields of the schema."""
    request = ExportLogsServiceRequest()
    inside = request.resource_logs.add().scope_logs.add()
    for attributes, fields in records:
        inside.log_records.add(
            time_unix_nano=NOW, trace_id=b"t" * 16, attributes=key_values(attributes), **fields
        )
    return Batch(Signal.LOGS, request.SerializeToString(), received_ns=NOW)


def metrics_batch(
    names: Iterable[str], resource: Mapping[str, Any], *, empty: bool = False, unit: str = ""
) -> Batch:
    """Make a batch of gauges with the value 3 and a data mode of their own."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(resource))
    inside = group.scope_metrics.add()
    for name in names:
        metric = inside.metrics.add(name=name, unit=unit)
        if not empty:
            metric.gauge.data_points.add(as_int=3, attributes=key_values({"data_mode": "mine"}))
    return Batch(Signal.METRICS, request.SerializeToString(), received_ns=NOW)


def traces(
    spans: Iterable[bytes], resource: Mapping[str, Any] | None = None, now_ns: int = NOW
) -> Batch:
    """Make a batch of encoded spans."""
    attributes = [delimited(b"\x0a", encode_key_value(k, v)) for k, v in (resource or {}).items()]
    envelope = delimited(b"\x0a", b"".join(attributes))
    return Batch(Signal.TRACES, assemble({(envelope, b""): list(spans)}), received_ns=now_ns)


def read(batches: Iterable[Batch]) -> dict[str, dict[tuple[tuple[str, str], ...], Any]]:
    """Return metric name → labels (without empty ones) → number, or (count, sum) of a histogram."""
    result: dict[str, dict[tuple[tuple[str, str], ...], Any]] = {}
    for batch in batches:
        request = ExportMetricsServiceRequest.FromString(batch.encode())
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    result.setdefault(metric.name, {}).update(_points(metric))
    return result


def _points(metric: Any) -> dict[tuple[tuple[str, str], ...], Any]:
    kind = metric.WhichOneof("data")
    points: dict[tuple[tuple[str, str], ...], Any] = {}
    for point in getattr(metric, kind).data_points:
        labels = tuple(
            (kv.key, kv.value.string_value) for kv in point.attributes if kv.value.string_value
        )
        if kind == "histogram":
            points[labels] = (point.count, point.sum)
        else:
            points[labels] = getattr(point, point.WhichOneof("value"))
    return points


def total(metrics: Mapping[str, Mapping[Any, Any]], name: str, **labels: str) -> Any:
    """Sum a metric over all series that carry these labels."""
    wanted = set(labels.items())
    return sum(value for key, value in metrics.get(name, {}).items() if wanted <= set(key))
