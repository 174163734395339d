"""Spring AI on Bedrock adds the usage of the calls before: a tool loop counts once, in whatever order it comes."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from processors.batch import Batch, Signal
from processors.genai.trace import Trace
from tests.processors.genai.replay import Graph, genai, ledger
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


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("quiet_s", [0, 30])
def test_the_first_loop_of_all_counts_once_in_requests_of_its_own(
    order: tuple[dict[str, Any], ...], quiet_s: int
) -> None:
    """The tool's span may come before any running total was seen, and its trace may have been folded since."""
    graph = Graph()
    for written in order:
        graph.send(Signal.TRACES, traces(written))
        graph.wait(quiet_s)
    too_late = quiet_s and order[-1] is LOOP[1]  # both calls have been counted when the tool comes
    assert ledger(graph.close())["input_tokens"] == (400 if too_late else 300)


# ------------------------------------------------------------------ what is kept of tools


def tools(count: int, trace: int = 1) -> Batch:
    spans = (tool(number, (0, 1), trace) for number in range(2, count + 2))
    return Batch(Signal.TRACES, traces(*spans), received_ns=SECOND)


def test_a_trace_of_tools_never_becomes_an_object() -> None:
    processor = genai()
    for trace in range(1, 41):
        processor.process(tools(50, trace))
    assert not any(isinstance(one, Trace) for one in processor._ledger._traces.values())
    assert processor._ledger.size_bytes < 40 * (50 * 33 + 250)


def test_tools_in_a_trace_of_running_totals_are_counted_in_its_size() -> None:
    processor = genai()
    processor.process(Batch(Signal.TRACES, traces(running_total(1, 5, (0, 1)))))
    before = processor._ledger.size_bytes
    processor.process(tools(1_000))
    grown = processor._ledger.size_bytes - before
    list(processor.tick(60 * SECOND))
    assert processor._ledger.size_bytes - before == grown >= 33 * 1_000
