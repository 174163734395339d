"""Spring AI on Bedrock adds the usage of the calls before: a tool loop counts once, in whatever order it comes."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from processors.batch import Batch, Signal
from processors.genai import Genai
from processors.genai.trace import Trace
from processors.ports import Context
from tests.processors.genai.replay import SKIP, Graph, genai, ledger
from tests.telemetry import SECOND, span, traces


def running_total(number: int, tokens: int, ms: tuple[int, int], trace: int = 1) -> dict[str, Any]:
    """Describe a call below span 9 whose counts include those of the calls before it."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "anthropic.claude-haiku-4-5-20251001-v1:0",
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": tokens // 10,
        "spring.ai.model.request.tool.names": "search",
    }
    return span(number, trace, parent=9, ms=ms, attributes=attributes)


def tool(number: int, ms: tuple[int, int], trace: int = 1) -> dict[str, Any]:
    """Describe a tool's span below span 9 that names no emitter."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    return span(number, trace, parent=9, ms=ms, attributes=attributes)


LOOP = (running_total(1, 100, (0, 10)), tool(2, (20, 30)), running_total(3, 300, (40, 50)))
ORDERS = list(permutations(LOOP))


@pytest.mark.parametrize("order", ORDERS)
def test_a_loop_in_one_request_counts_once(order: tuple[dict[str, Any], ...]) -> None:
    graph = Graph()
    graph.send(Signal.TRACES, traces(*order))
    found = ledger(graph.close())
    assert (found["model_calls"], found["input_tokens"], found["output_tokens"]) == (1, 300, 30)


def two_pipelines() -> tuple[Genai, Genai]:
    """Return two instances of one id, which share their ledger."""
    kept: dict[str, Any] = {}

    def shared(key: str, make: Any) -> Any:
        if key not in kept:
            kept[key] = make()
        return kept[key]

    context = Context(id="genai", shared=shared)
    return genai(context), genai(context)


@pytest.mark.parametrize("order", ORDERS)
def test_a_loop_counts_once_whichever_pipeline_saw_such_calls(
    order: tuple[dict[str, Any], ...],
) -> None:
    one, other = two_pipelines()
    one.process(Batch(Signal.TRACES, traces(running_total(1, 5, (0, 1), trace=2))))
    left: list[Batch | None] = [
        other.process(Batch(Signal.TRACES, traces(written), received_ns=SECOND))
        for written in order
    ]
    left += other.close()
    counted = [
        item.get("gen_ai.usage.input_tokens")
        for batch in left
        if batch is not None
        for item in batch.spans()
        if SKIP not in item and "gen_ai.usage.input_tokens" in item
    ]
    assert sum(n for n in counted if isinstance(n, int)) == 300


# ------------------------------------------------------------------ what is kept of tools


def with_running_totals() -> Genai:
    """Return a processor that has met them, and so notes every tool's span."""
    processor = genai()
    processor.process(Batch(Signal.TRACES, traces(running_total(1, 5, (0, 1), trace=999))))
    return processor


def tools(count: int, trace: int = 1) -> Batch:
    spans = (tool(number, (0, 1), trace) for number in range(2, count + 2))
    return Batch(Signal.TRACES, traces(*spans), received_ns=SECOND)


def test_a_trace_of_tools_without_a_running_total_is_folded() -> None:
    plain, warned = genai(), with_running_totals()
    for trace in range(1, 41):
        plain.process(tools(50, trace))
        warned.process(tools(50, trace))
    before = warned._ledger.size_bytes
    list(warned.tick(60 * SECOND))
    assert warned._ledger.size_bytes < before / 8
    assert not any(isinstance(one, Trace) and one.tools for one in warned._ledger._traces.values())
    assert (
        warned._ledger.size_bytes - plain._ledger.size_bytes < 4_000
    )  # the trace of running totals


def test_tools_in_a_trace_of_running_totals_are_counted_in_its_size() -> None:
    processor = with_running_totals()
    before = processor._ledger.size_bytes
    processor.process(tools(1_000, trace=999))
    grown = processor._ledger.size_bytes - before
    list(processor.tick(60 * SECOND))
    assert processor._ledger.size_bytes - before == grown >= 200 * 1_000


def test_more_tools_of_a_trace_are_noted_without_copying_those_before() -> None:
    processor = with_running_totals()
    trace_id = (1).to_bytes(16, "big")
    noted = []
    for first in (2, 1_002):
        spans = (tool(number, (0, 1)) for number in range(first, first + 1_000))
        processor.process(Batch(Signal.TRACES, traces(*spans), received_ns=SECOND))
        trace = processor._ledger._traces[trace_id]
        assert isinstance(trace, Trace)
        noted.append(trace.tools)
    assert noted[0] is noted[1]
    assert len(noted[1]) == 2_000
