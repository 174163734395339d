"""What is remembered is bounded, and never shows: a span among many becomes what it becomes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal
from processors.genai import Genai
from tests.processors.genai.replay import genai
from tests.telemetry import key_values

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.conversation.id": "talk",
    "app.llm.feature": "answers",
}
MANY = 1_300
"""More than any memory has room for."""

Varied = Callable[[int], dict[str, Any]]
VARIETIES: dict[str, Varied] = {
    "conversations": lambda n: {"gen_ai.conversation.id": f"talk {n}"},
    "features": lambda n: {"app.llm.feature": f"feature {n}"},
    "models": lambda n: {"gen_ai.request.model": f"model-{n}"},
    "keys": lambda n: {f"gen_ai.key.{n}": n},
    "as many other keys": lambda n: {f"gen_ai.key.{n % 2}": n},
    "as many other long texts": lambda n: {f"gen_ai.text.{n % 2}": "text " * 100},
    "more keys than usual": lambda n: {f"gen_ai.key.{n % 2}.{k}": k for k in range(70)},
    "as many other keys that grow": lambda n: {f"text.{n % 2}": "x" * n},
}


def request(number: int, attributes: dict[str, Any], scope: str = "acme") -> bytes:
    """Return one call, in a trace of its own."""
    written = ExportTraceServiceRequest()
    group = written.resource_spans.add().scope_spans.add()
    group.scope.name = scope
    span = group.spans.add(name="span", span_id=b"s" * 8, trace_id=number.to_bytes(16, "big"))
    span.attributes.extend(key_values(attributes))
    return written.SerializeToString()


def normalised(processor: Genai, raw: bytes) -> bytes:
    out = processor.process(Batch(Signal.TRACES, raw, received_ns=1))
    assert out is not None
    return out.encode()


@pytest.mark.parametrize("varied", VARIETIES.values(), ids=VARIETIES)
def test_one_among_many_becomes_what_it_becomes_alone(varied: Varied) -> None:
    among_many = genai()
    for number in range(1, MANY):
        raw = request(number, CALL | varied(number))
        became = normalised(among_many, raw)
        if number % 97 == 0 or number > MANY - 3:
            assert became == normalised(genai(), raw)


def test_one_of_many_scopes_becomes_what_it_becomes_alone() -> None:
    among_many = genai()
    for number in range(1, MANY):
        raw = request(number, CALL, scope=f"scope {number}")
        became = normalised(among_many, raw)
        if number % 97 == 0 or number > MANY - 3:
            assert became == normalised(genai(), raw)
