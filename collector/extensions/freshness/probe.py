"""A probe: one trace of one model call, as an application would send it.

It takes the whole path: it is normalised, priced, redacted, counted, sampled and exported. `app.llm.data_mode` is
`synthetic`, so that it is no part of what dashboards and alerts show, which ask for `real`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from processors import semconv

FEATURE: Final = "freshness-probe"
_MODEL: Final = "gpt-4o-mini"
_LASTS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Probe:
    """One model call that nobody made."""

    trace_id: bytes
    request: bytes
    """The OTLP request, encoded."""


def make(tenant: str, environment: str, now_ns: int) -> Probe:
    """Make a probe that ended just now (Unix ns)."""
    trace_id = secrets.token_bytes(16)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(_pair("service.name", "otelcol-llm-freshness"))
    if environment:
        name = semconv.DEPLOYMENT_ENVIRONMENT_NAME
        group.resource.attributes.append(_pair(name, environment))
    scope = group.scope_spans.add()
    scope.scope.name = "otelcol-llm.freshness"
    span = scope.spans.add(
        trace_id=trace_id,
        span_id=secrets.token_bytes(8),
        name=f"chat {_MODEL}",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now_ns - _LASTS_NS,
        end_time_unix_nano=now_ns,
    )
    said: dict[str, str | int] = {
        semconv.GEN_AI_OPERATION_NAME: "chat",
        semconv.GEN_AI_PROVIDER_NAME: "openai",
        semconv.GEN_AI_REQUEST_MODEL: _MODEL,
        semconv.GEN_AI_RESPONSE_MODEL: _MODEL,
        semconv.GEN_AI_USAGE_INPUT_TOKENS: 1,
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: 1,
        semconv.APP_LLM_FEATURE: FEATURE,
        semconv.APP_LLM_TENANT_ID: tenant,
        semconv.APP_LLM_DATA_MODE: "synthetic",
        semconv.APP_LLM_REQUEST_EXTERNAL_ID: trace_id.hex(),
    }
    span.attributes.extend(_pair(key, value) for key, value in said.items())
    return Probe(trace_id, request.SerializeToString())


def _pair(key: str, value: str | int) -> KeyValue:
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))
