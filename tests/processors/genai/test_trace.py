"""A trace says how much memory it takes: by that the ledger's is bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from processors.genai.call import COUNTED, Call
from processors.genai.trace import TRANSPARENT, Trace, tool_link
from processors.genai.usage import NO_USAGE

COUNT = 2_000
AT_NS = 1_790_000_000 * 10**9


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def call(number: int, parent: int) -> Call:
    """Make a record of which nothing is shared with others, as it comes from the network."""
    usage = NO_USAGE._replace(input=1_000 + number, output=5_000 + number)
    start = AT_NS + number
    ids = 2**61 + number, 2**60 + number
    made = Call(
        span_id(number), span_id(parent), 2**36 + number, usage, 2**31 + number, *ids, start, start + number, 3, False
    )  # fmt: skip
    made.verdict = COUNTED
    return made


def calls(trace: Trace) -> None:
    for number in range(1, COUNT):
        trace.add(call(number, 1))


def families(trace: Trace) -> None:
    for number in range(1, COUNT):
        trace.add(call(number, 10**9 + number))
    trace.family(span_id(1))
    assert trace.tree


def links(trace: Trace) -> None:
    trace.link(b"".join(span_id(n) + span_id(10**9 + n) + TRANSPARENT for n in range(1, COUNT)))
    assert trace.tree


def tools(trace: Trace) -> None:
    for number in range(1, COUNT):
        times = AT_NS + number, AT_NS + 2 * number
        trace.link(tool_link(span_id(number), span_id(10**9 + number), *times))
    assert trace.tree


def logs(trace: Trace) -> None:
    calls(trace)
    for number in range(1, COUNT):
        trace.logs.add(call(10**9 + number, 0))
    assert len(trace.latest)


@pytest.mark.parametrize("fill", [calls, families, links, tools, logs])
def test_a_trace_takes_little_less_than_it_says(fill: Callable[[Trace], None]) -> None:
    tracemalloc.start()
    try:
        trace = Trace()
        fill(trace)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < trace.grown() < 1.3 * held
