"""What one span or record of each emitter becomes: `emitters.yaml`, judged by value and type."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Signal
from processors.wire import Value
from tests.processors.genai.replay import GOLDEN, Graph
from tests.telemetry import SECOND, any_value, key_values

CASES = yaml.safe_load((GOLDEN / "emitters.yaml").read_text("utf-8"))
START_NS = 1_790_000_000 * SECOND


def span_request(case: dict[str, Any]) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(case.get("resource", {"service.name": "shop"})))
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = case["scope"], str(case.get("version", ""))
    span = scope.spans.add(name=case.get("span", "span"), trace_id=b"t" * 16, span_id=b"s" * 8)
    span.start_time_unix_nano, span.end_time_unix_nano = START_NS, START_NS + SECOND
    span.attributes.extend(key_values(case["attributes"]))
    return request.SerializeToString()


def log_request(case: dict[str, Any]) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.scope.name = case["scope"]
    at = START_NS + case.get("time_ms", 0) * 1_000_000
    record = scope.log_records.add(time_unix_nano=at, event_name=case.get("event", ""))
    record.attributes.extend(key_values(case["attributes"]))
    record.trace_id = case.get("trace_id", b"")
    if "body" in case:
        record.body.CopyFrom(any_value(case["body"]))
    return request.SerializeToString()


def sent(signal: Signal, raw: bytes) -> dict[str, Value]:
    graph = Graph()
    graph.send(signal, raw)
    (one,) = graph.close()
    return dict(one.attributes)


def judge(case: dict[str, Any], got: dict[str, Value]) -> None:
    found = {key: got.get(key) for key in case["expect"]}
    expected = {
        key: pytest.approx(value) if isinstance(value, float) else value
        for key, value in case["expect"].items()
    }
    assert found == expected
    assert [type(v) for v in found.values()] == [type(v) for v in case["expect"].values()]


@pytest.mark.parametrize("case", CASES["spans"], ids=lambda case: case["name"])
def test_the_span_becomes(case: dict[str, Any]) -> None:
    judge(case, sent(Signal.TRACES, span_request(case)))


@pytest.mark.parametrize("case", CASES["logs"], ids=lambda case: case["name"])
def test_the_record_becomes(case: dict[str, Any]) -> None:
    judge(case, sent(Signal.LOGS, log_request(case)))
