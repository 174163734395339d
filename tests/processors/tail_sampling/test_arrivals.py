"""Whoever looked into a batch before the sampler, and whatever was written on it: the same leaves and is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from processors.batch import Batch, Signal, Span

from .support import BEGIN, ERRORS, Run, arrived, policy, request, span

POLICIES: list[dict[str, Any]] = [
    ERRORS,
    policy("latency", "slow", threshold_ms=50),
    policy("numeric_attribute", "many", key="n", min_value=90),
    policy("string_attribute", "paid", key="plan", values=["paid"]),
    policy("trace_cost", "expensive", min_usd=0.5),
    policy("trace_tokens", "long", min_tokens=1000),
]
CALL = {
    "app.llm.span_class": "model_call",
    "gen_ai.usage.input_tokens": 800,
    "gen_ai.usage.output_tokens": 200,
}
BASIS = {"app.llm.usage_basis": "aggregate"}


def renamed(one: Span) -> None:
    message = one.message()
    message.name = "other"  # type: ignore[attr-defined] # of the span's message
    one.replace(message)


def rebased(one: Span) -> None:
    one.set("n", 95)
    one.rebase(one.message().SerializeToString())


EDITS: Mapping[str, Callable[[Span], None]] = {
    "nothing": lambda one: None,
    "a number": lambda one: one.set("n", 95),
    "a text": lambda one: one.set("plan", "paid"),
    "a cost": lambda one: one.append(Span.fields({"app.llm.cost_usd": 0.6}), {"app.llm.cost_usd": 0.6}, b""),
    "a class": lambda one: one.set("app.llm.span_class", "aggregate"),
    "a reason to skip": lambda one: one.set("app.llm.cost_skip_reason", "child_reports"),
    "a removal": lambda one: one.remove("n"),
    "an empty value": lambda one: one.set("n", None),
    "another message": renamed,
    "another body": rebased,
    "a drop": lambda one: setattr(one, "dropped", True),
}  # fmt: skip
SPANS = {
    "plain": span("a"),
    "with a number": span("a", attributes={"n": 99, "plan": "free"}),
    "with a cost": span("a", attributes={"app.llm.cost_usd": 0.1}),
    "of a model": span("a", attributes=CALL),
    "of an agent": span("a", attributes={**CALL, **BASIS}),
    "failed": span("a", status="error"),
    "slow": span("a", ms=(0, 60)),
}


def played(batch: Batch, *policies: dict[str, Any]) -> tuple[list[bytes], dict[Any, float]]:
    """Return what leaves and what is counted."""
    run = Run(*policies)
    run.sampler.process(batch)
    run.wait(10)
    assert run.closes
    return [one.encode() for one in run.out], dict(run.sampler.stats.counters)


@pytest.mark.parametrize("name", SPANS)
@pytest.mark.parametrize("edit", EDITS)
def test_a_decoded_batch_is_sampled_as_its_encoding_is(name: str, edit: str) -> None:
    batch = Batch(Signal.TRACES, request([SPANS[name], span("b")]), received_ns=BEGIN)
    EDITS[edit](next(batch.spans()))
    raw = batch.encode()
    read = arrived(raw, BEGIN)
    encoded = Batch(Signal.TRACES, raw, received_ns=BEGIN, items=len(read))
    assert played(batch, *POLICIES) == played(encoded, *POLICIES) == played(read, *POLICIES)


def test_an_edited_resource_is_the_one_that_is_asked() -> None:
    batch = Batch(Signal.TRACES, request([span("a")]), received_ns=BEGIN)
    batch.groups[0].resource.set("plan", "paid")
    out, _ = played(batch, *POLICIES)
    assert len(out) == 1
    assert b"paid" in out[0]


def test_conditions_see_what_was_written_before() -> None:
    batch = Batch(Signal.TRACES, request([span("a"), span("b")]), received_ns=BEGIN)
    next(batch.spans()).set("n", 95)
    condition = policy("ottl_condition", span=['attributes["n"] == 95'])
    out, _ = played(batch, condition)
    (one,) = (one for raw in out for one in Batch(Signal.TRACES, raw).spans())
    assert one.get("n") == 95


@pytest.mark.parametrize("again", [b"\x10\x01", b"\x18\x01", b"\x0a\x00"])
def test_of_a_value_that_is_set_twice_the_last_counts(again: bytes) -> None:
    """Whether what reads it hands on one of them or both."""
    raw = request([span("a", attributes={"n": "##"})]).replace(b"\x0a\x02##", b"\x18\x5f" + again)
    rule = policy("numeric_attribute", key="n", min_value=90)
    read = arrived(raw, BEGIN)
    encoded = Batch(Signal.TRACES, raw, received_ns=BEGIN, items=len(read))
    assert read.reading is not None
    assert played(read, rule)[0] == played(encoded, rule)[0] == []
