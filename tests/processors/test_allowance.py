"""What is remembered by keys from outside takes bounded memory, whatever the keys are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.allowance import ENTRY_BYTES, Allowance, length
from processors.batch import Batch, Signal
from processors.llm_metrics.memory import Memory
from tests.processors.genai.replay import genai
from tests.processors.llm_cost.calls import llm_cost
from tests.telemetry import key_values


def test_memories_are_emptied_together_before_their_allowance_is_exceeded() -> None:
    allowance = Allowance(3 * (ENTRY_BYTES + 100))
    one: dict[int, str] = {}
    other: dict[int, str] = {}
    for number in range(3):
        memory = (one, other)[number % 2]
        allowance.spend(100, memory)
        memory[number] = "kept"
    assert (one, other) == ({0: "kept", 2: "kept"}, {1: "kept"})
    allowance.spend(1, one)
    assert (one, other) == ({}, {})


def test_an_entry_larger_than_the_allowance_is_alone() -> None:
    allowance, memory = Allowance(1000), {"before": 1}
    allowance.spend(10, memory)
    allowance.spend(5000, memory)
    assert memory == {}


def test_the_length_of_a_key_counts_what_is_nested() -> None:
    assert length(("ab", None, 7, (b"cde", ("f",)))) == 6


HOSTILE = 400
"""Requests of a sender whose every span has other keys, names and values, a quarter of a MiB each."""


def hostile(number: int) -> Batch:
    """Return one model call that resembles no other."""
    written = ExportTraceServiceRequest()
    group = written.resource_spans.add().scope_spans.add()
    group.scope.name = f"acme {number % 20}"
    span = group.spans.add(name="chat", span_id=b"s" * 8, trace_id=number.to_bytes(16, "big"))
    noise = {f"gen_ai.{number}.{place}." + "k" * 2000: place for place in range(30)}
    model = f"model-{number}-" + "m" * 65_536
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": number,
    }
    span.attributes.extend(key_values(said | noise))
    return Batch(Signal.TRACES, written.SerializeToString(), received_ns=1)


@pytest.mark.parametrize(
    ("make", "mebibytes"),
    [(genai, 36), (llm_cost, 30)],
    ids=["genai", "llm_cost"],
)
def test_a_hostile_sender_decides_not_how_much_memory_we_need(
    make: Callable[[], Any], mebibytes: int
) -> None:
    component = make()
    tracemalloc.start()
    try:
        for number in range(HOSTILE):
            batch = hostile(number)
            component.process(batch)
            batch.release()  # as the pipeline does: nothing waits for the garbage collector
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < mebibytes << 20  # without a bound 101 and 75


def test_what_follows_from_a_long_key_is_worked_out_each_time() -> None:
    memory: Memory[str, int] = Memory(10, len)
    assert (memory["short"], memory["l" * 10_000]) == (5, 10_000)
    assert list(memory) == ["short"]
