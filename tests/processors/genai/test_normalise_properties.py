"""Any mixture of dialects on one span: nothing raises, a second pass changes nothing, order does not matter."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal
from processors.genai.names import KNOWN, OBJECTS
from tests.processors.genai.replay import genai
from tests.telemetry import key_values

OURS = {"app.llm.usage.input_semantics", "app.llm.span.class"}
SCOPES = [
    "opentelemetry.instrumentation.botocore.bedrock-runtime", "opentelemetry.instrumentation.openai_v2", "ai",
    "litellm", "openlit.otel.tracing", "gemini-cli", "strands.telemetry.tracer", "org.springframework.boot", "acme",
    "vllm.engine", "opentelemetry.instrumentation.vertexai", "com.anthropic.claude_code.tracing", "semantic_kernel",
]  # fmt: skip
TEXTS = [
    "", " ", "chat", "LLM", "agent", "anthropic", "openai", "claude-sonnet-4-5", "gpt-4o", '"quoted"', "[A, B]", "{}",
    "12", "Real", '{"input": 3, "input_cached_tokens": 2, "output": 1}',
    '{"input_tokens": 5, "cache_read_input_tokens": 7}',
]  # fmt: skip
VALUES = st.one_of(
    st.integers(-3, 20_000), st.booleans(), st.sampled_from([0.5, 12.0, float("nan")]), st.sampled_from(TEXTS),
    st.lists(st.sampled_from(["stop", "length"]), max_size=2),
)  # fmt: skip
KEYS = st.sampled_from(
    [*sorted(KNOWN), "gen_ai.completion.0.finish_reason", "http.method", "gen_ai.x"]
)
PLAIN_KEYS = st.sampled_from(sorted(KNOWN - {item.key for item in OBJECTS} - OURS))
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=14)


def request(attributes: dict[str, Any], scope: str) -> bytes:
    written = ExportTraceServiceRequest()
    group = written.resource_spans.add().scope_spans.add()
    group.scope.name = scope
    span = group.spans.add(name="span", trace_id=b"t" * 16, span_id=b"s" * 8)
    span.start_time_unix_nano, span.end_time_unix_nano = 1_000, 2_000
    span.attributes.extend(key_values(attributes))
    return written.SerializeToString()


def normalised(raw: bytes) -> bytes:
    processor = genai()
    out = processor.process(Batch(Signal.TRACES, raw, received_ns=1))
    batches = [out] if out is not None else list(processor.close())
    (batch,) = batches
    return batch.encode()


def facts(raw: bytes) -> dict[str, Any]:
    (span,) = Batch(Signal.TRACES, raw).spans()
    return {key: span.raw(key) for key in span.keys()}  # noqa: SIM118 - an element is no mapping


@settings(max_examples=120, deadline=None)
@given(attributes=ATTRIBUTES, scope=st.sampled_from(SCOPES))
def test_a_second_pass_changes_nothing(attributes: dict[str, Any], scope: str) -> None:
    once = normalised(request(attributes, scope))
    assert facts(normalised(once)) == facts(once)


@settings(max_examples=60, deadline=None)
@given(attributes=ATTRIBUTES, scope=st.sampled_from(SCOPES), data=st.data())
def test_the_order_of_attributes_does_not_matter(
    attributes: dict[str, Any], scope: str, data: st.DataObject
) -> None:
    turned = dict(data.draw(st.permutations(list(attributes.items()))))
    assert facts(normalised(request(turned, scope))) == facts(
        normalised(request(attributes, scope))
    )


@settings(max_examples=60, deadline=None)
@given(attributes=st.dictionaries(PLAIN_KEYS, VALUES, max_size=14), scope=st.sampled_from(SCOPES))
def test_counts_are_inclusive_whatever_came(attributes: dict[str, Any], scope: str) -> None:
    (span,) = Batch(Signal.TRACES, normalised(request(attributes, scope))).spans()
    if span.get("app.llm.usage.input_semantics") is None:
        return
    counts = [
        span.get(f"gen_ai.usage.{name}.input_tokens") for name in ("cache_read", "cache_creation")
    ]
    cached = sum(n for n in counts if isinstance(n, int) and not isinstance(n, bool) and n > 0)
    total = span.get("gen_ai.usage.input_tokens")
    assert isinstance(total, int)
    assert total >= cached
