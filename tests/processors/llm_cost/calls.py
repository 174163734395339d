"""Model calls for tests, written the short way, and the processor around a price list in YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.config.document import parse as parse_yaml
from collector.config.document import unwrap
from collector.config.report import Mark, Report
from collector.config.settings import resolve
from processors.batch import Batch, Signal
from processors.llm_cost import LlmCost, build
from processors.llm_cost.catalog import SECOND
from processors.ports import Context
from tests.telemetry import key_values, spans_of

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "llm_cost"
SCHEMA = json.loads((GOLDEN.parents[2] / "processors/llm_cost/schema.json").read_text("utf-8"))
NOON = "2026-11-20T12:00:00Z"

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
}
"""0.0075 USD at 2.5 and 10 USD per million tokens."""


def overlay(text: str) -> Any:
    """Read a price list as the configuration loader does."""
    return unwrap(parse_yaml(text, Mark("pricing.yaml"), Report()))


def settings(text: str | None = None, **rest: Any) -> dict[str, Any]:
    """Return the component's settings with a price list in YAML."""
    written = rest if text is None else rest | {"pricing": overlay(text)}
    return resolve(SCHEMA, written)


def llm_cost(text: str | None = None, context: Context | None = None, **rest: Any) -> LlmCost:
    """Build the processor; `text` is its price list."""
    return build(settings(text, **rest), context or Context(id="llm_cost"))


def nanoseconds(text: str) -> int:
    """Return a UTC time with up to nine decimals as nanoseconds since 1970."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * SECOND + int(
        fraction.ljust(9, "0")
    )


def call(
    attributes: Mapping[str, object],
    start: str = NOON,
    end: str | None = None,
    received_ns: int = 1,
) -> Batch:
    """Return a batch with one span."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = b"\x01" * 16, b"\x02" * 8
    span.start_time_unix_nano = nanoseconds(start)
    span.end_time_unix_nano = nanoseconds(end) if end else span.start_time_unix_nano + SECOND
    span.attributes.extend(key_values(attributes))
    return Batch(Signal.TRACES, request.SerializeToString(), received_ns=received_ns)


def attributes_of(batch: Batch) -> dict[str, Any]:
    """Return what a batch's only span carries."""
    (span,) = spans_of(batch)
    return {
        pair.key: getattr(pair.value, kind) if (kind := pair.value.WhichOneof("value")) else None
        for pair in span.attributes
    }


def priced(processor: LlmCost, attributes: Mapping[str, object], **when: Any) -> dict[str, Any]:
    """Return the attributes of a call after pricing."""
    return attributes_of(processor.process(call(attributes, **when)))


def golden(name: str) -> dict[str, Any]:
    """Load a file of cases."""
    loaded: dict[str, Any] = yaml.safe_load((GOLDEN / name).read_text("utf-8"))
    return loaded
