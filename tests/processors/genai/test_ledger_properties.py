"""Whatever the order and however the requests are cut: no call counts twice, none is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Signal
from tests.processors.genai.replay import NAMES, Graph, Left, golden, ledger, requests, spans
from tests.processors.genai.test_emitters import log_request
from tests.telemetry import SECOND, key_values, traces
from tests.telemetry import span as made

SHARED_CALLS = [n for n in NAMES if n.startswith("m") and len(golden(n)["expect"]) > 1]
DISAGREE = {
    "m15-spring-bedrock-tool-loop",  # running totals: counted as differences, so as two calls
    "m16-wrapper-is-sum-of-leaves",  # the sum may stand for both of its parts
    "m18-client-over-vllm",  # only the server knows of the cache
}
Part = tuple[Any, Any, Any]


def packed(parts: list[Part]) -> bytes:
    """Encode a request with one group for each span."""
    request = ExportTraceServiceRequest()
    for resource, scope, span in parts:
        group = request.resource_spans.add(resource=resource)
        group.scope_spans.add(scope=scope, spans=[span])
    return request.SerializeToString()


def sent_in(
    requests_: list[list[Part]], others: list[tuple[Signal, bytes]] | None = None
) -> list[Left]:
    graph = Graph()
    for parts in requests_:
        graph.send(Signal.TRACES, packed(parts))
    for signal, raw in others or ():
        graph.send(signal, raw)
    return graph.close()


def cut(data: st.DataObject, parts: list[Part]) -> list[list[Part]]:
    """Return the parts in any order, in any number of requests."""
    order = data.draw(st.permutations(parts))
    places = sorted(data.draw(st.sets(st.integers(1, max(1, len(order) - 1)))) if order[1:] else ())
    return [order[a:b] for a, b in zip([0, *places], [*places, len(order)], strict=True)]


def parts_of(name: str) -> tuple[list[Part], list[tuple[Signal, bytes]]]:
    sent = requests(golden(name))
    traces = [part for signal, r in sent if signal is Signal.TRACES for part in spans(r)]
    logs = [(signal, r.SerializeToString()) for signal, r in sent if signal is Signal.LOGS]
    return traces, logs


@pytest.mark.parametrize("name", SHARED_CALLS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_order_gives_the_verdict_of_one_request(name: str, data: st.DataObject) -> None:
    parts, logs = parts_of(name)
    left = sent_in(cut(data, parts), logs)
    expected, got = golden(name)["ledger"], ledger(left)
    if name in DISAGREE:
        drop = {"model_calls", "cache_read_tokens"}
        expected, got = ({k: v for k, v in d.items() if k not in drop} for d in (expected, got))
    assert got == expected
    assert {one.identity for one in left} >= {
        (span.trace_id.hex(), span.span_id.hex()) for _, _, span in parts
    }


@pytest.mark.parametrize("name", SHARED_CALLS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_the_order_inside_a_request_changes_nothing(name: str, data: st.DataObject) -> None:
    parts, logs = parts_of(name)
    straight = sent_in([parts], logs)
    turned = sent_in([data.draw(st.permutations(parts))], logs)
    assert verdicts(turned) == verdicts(straight)


def verdicts(left: list[Left]) -> dict[tuple[str, str], Any]:
    return {one.identity: one.attributes.get("app.llm.cost.skip_reason") for one in left}


def test_a_record_of_a_log_counts_once_whether_it_comes_before_or_after_its_span() -> None:
    parts, logs = parts_of("m06-log-and-span-same-usage")
    graph = Graph()
    for signal, raw in logs:
        graph.send(signal, raw)
    graph.send(Signal.TRACES, packed(parts))
    assert ledger(graph.close()) == golden("m06-log-and-span-same-usage")["ledger"]


# ------------------------------------------------------------------ invented traces

SCOPES = {
    "wrapper": "openinference.instrumentation.langchain",
    "sdk": "opentelemetry.instrumentation.openai_v2",
    "second": "openlit.otel.tracing",
    "http": "opentelemetry.instrumentation.httpx",
    "gateway": "litellm",
}
CLIENT, INTERNAL = 3, 1


@dataclass(frozen=True)
class Real:
    """A real model call and who reported it."""

    layers: frozenset[str]
    tokens: int
    """Input; the output is a tenth."""
    keeps_id: bool
    """The gateway hands the vendor's response id on."""


REAL = st.builds(
    Real,
    layers=st.sets(st.sampled_from(["wrapper", "second", "http", "gateway"])).map(frozenset),
    tokens=st.integers(100, 9_000),
    keeps_id=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(REAL, min_size=1, max_size=4), agent=st.booleans(), data=st.data())
def test_every_real_call_counts_once(calls: list[Real], agent: bool, data: st.DataObject) -> None:
    parts = [part for number, call in enumerate(calls) for part in recorded(number, call)]
    if agent:
        total = sum(call.tokens for call in calls)
        parts.append(part("root", 1, 0, (0, 100), usage=total, operation="invoke_agent"))
    again = data.draw(st.lists(st.sampled_from(parts), max_size=3))
    left = sent_in([*cut(data, parts), again])
    got = ledger(left)
    assert got["model_calls"] == len(calls)
    assert got["input_tokens"] == sum(call.tokens for call in calls)


def recorded(number: int, call: Real) -> list[Part]:
    """Return the spans of one call: wrapper > SDK (and a sibling of it) > HTTP > gateway."""
    first, base = 100 * (number + 1), 10 * (number + 1)
    parent, found = 1, []
    own = f"resp-{number}"
    if "wrapper" in call.layers:
        found.append(part("wrapper", first, parent, (base, base + 9), call.tokens, ident=own))
        parent = first
    window = (base + 1, base + 8)
    found.append(part("sdk", first + 1, parent, window, call.tokens, CLIENT, ident=own))
    if "second" in call.layers:
        found.append(part("second", first + 2, parent, window, call.tokens, CLIENT))
    parent = first + 1
    if "http" in call.layers:
        found.append(part("http", first + 3, parent, (base + 2, base + 7), None, CLIENT))
        parent = first + 3
    if "gateway" in call.layers:
        ident = own if call.keeps_id else "rewritten"
        found.append(
            part("gateway", first + 4, parent, (base + 3, base + 6), call.tokens, ident=ident)
        )
    return found


def part(
    layer: str,
    number: int,
    parent: int,
    seconds: tuple[int, int],
    usage: int | None,
    kind: int = INTERNAL,
    operation: str = "chat",
    ident: str = "",
) -> Part:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    scope = group.scope_spans.add()
    scope.scope.name = SCOPES.get(layer, "opentelemetry.instrumentation.genai")
    span = scope.spans.add(
        name=layer, kind=kind, trace_id=b"t" * 16, span_id=number.to_bytes(8, "big")
    )
    if parent:
        span.parent_span_id = parent.to_bytes(8, "big")
    span.start_time_unix_nano, span.end_time_unix_nano = (
        1_790_000_000 * SECOND + s * SECOND for s in seconds
    )
    if usage is not None:
        call = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.usage.input_tokens": usage,
            "gen_ai.usage.output_tokens": usage // 10,
        }
        span.attributes.extend(key_values(call | ({"gen_ai.response.id": ident} if ident else {})))
    return group.resource, scope.scope, span


# ------------------------------------------------------------------ log records of the same calls

SAME: dict[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 10,
    "gen_ai.response.id": "resp-1",
}
AROUND = {1: "langchain", 2: "opentelemetry.instrumentation.openai_v2", 3: "litellm", 4: "openlit"}
"""Scopes of a wrapper, a client below it, a gateway below this, and a second instrumentation of the client."""
ABOVE = {1: 0, 2: 1, 3: 2, 4: 1}


@pytest.mark.parametrize("prefer", ["client", "gateway"])
@pytest.mark.parametrize("trace", [0, 1, 2], ids=["no trace", "the spans'", "another trace"])
@pytest.mark.parametrize("numbers", ["2", "12", "23", "24", "123", "124", "234", "1234"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_call_with_a_log_record_counts_once_in_any_order(
    prefer: str, trace: int, numbers: str, data: st.DataObject
) -> None:
    attributes = {"message": "llm_call_success"} | SAME
    log = {"scope": "shop", "trace_id": trace.to_bytes(16, "big"), "attributes": attributes}
    graph = Graph({"prefer": prefer})
    for number in map(int, data.draw(st.permutations("0" + numbers))):
        if number:
            written = made(number, parent=ABOVE[number], kind=CLIENT, attributes=SAME)
            graph.send(Signal.TRACES, traces(written, scope=AROUND[number]))
        else:
            graph.send(Signal.LOGS, log_request(log))
    assert ledger(graph.close())["model_calls"] == 1
