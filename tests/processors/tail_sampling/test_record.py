"""What is written on kept traces, and on which span."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from .support import ALWAYS, ERRORS, Run, attributes_of, policy, span

RECORD = {"attributes": True}
COST, STATUS, CLASS = "app.llm.cost_usd", "app.llm.cost.status", "app.llm.span.class"


def marked(run: Run) -> list[str]:
    """Return the names of the spans that say why their trace was kept."""
    return [one.name for one in run.spans if "sampling.policy" in attributes_of(one)]


@pytest.mark.parametrize(
    ("spans", "root"),
    [
        ([("leaf", "root", {}), ("root", "", {})], "root"),
        ([("late", "", {"ms": (5, 6)}), ("early", "", {"ms": (1, 9)})], "early"),
        ([("a", "elsewhere", {"ms": (3, 4)}), ("b", "elsewhere", {"ms": (1, 2)})], "b"),
        ([("leaf", "entry", {}), ("entry", "elsewhere", {"flags": 0x300})], "entry"),
        ([("agent", "", {"ms": (1, 9)}), ("service", "agent", {"kind": 2, "ms": (2, 3)})], "agent"),
        ([("x", "y", {"ms": (2, 3)}), ("y", "x", {"ms": (1, 4)})], "y"),
        ([("self", "self", {})], "self"),
    ],
    ids=[
        "root",
        "two roots",
        "no root",
        "remote parent",
        "server in the middle",
        "circle",
        "parent = self",
    ],
)
def test_exactly_one_span_of_a_trace_is_marked(
    spans: list[tuple[str, str, dict[str, Any]]], root: str
) -> None:
    for order in permutations(spans):
        run = Run(ALWAYS, record=RECORD)
        for name, parent, fields in order:
            run.send(span("t", name, parent=parent, **fields))
        run.wait(10)
        assert marked(run) == [root]


def test_of_equal_starts_the_smallest_id_is_the_root() -> None:
    run = Run(ALWAYS, record=RECORD)
    spans = [span("t", name) for name in "abcd"]
    run.send(*spans)
    run.wait(10)
    assert marked(run) == [min(spans, key=lambda one: one.span_id).name]


def test_the_root_tells_who_kept_the_trace_and_what_it_cost() -> None:
    run = Run(ERRORS, policy("trace_cost", "expensive", min_usd=0.1), record=RECORD)
    call = {CLASS: "model_call", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    run.send(
        span("t", "root"),
        span("t", "a", {**call, COST: 0.06, STATUS: "priced"}, parent="root"),
        span("t", "b", {**call, COST: 0.06, STATUS: "priced"}, parent="root"),
    )
    run.wait(10)
    assert attributes_of(run.only("root")) == {
        "sampling.policy": "expensive",
        "sampling.reason": "trace_cost",
        "sampling.content_tier": "full",
        "sampling.adjusted_count": 1.0,
        "app.llm.trace.cost_usd": 0.12,
        "app.llm.trace.tokens": 240,
        "app.llm.trace.model_calls": 2,
    }


def test_calls_without_a_price_are_told() -> None:
    run = Run(ALWAYS, record=RECORD)
    run.send(span("t", "root"), span("t", "a", {STATUS: "unpriced"}, parent="root"))
    run.wait(10)
    told = attributes_of(run.only("root"))
    assert told["app.llm.trace.unpriced_calls"] == told["app.llm.trace.model_calls"] == 1
    assert "app.llm.trace.cost_usd" not in told
    assert "app.llm.trace.tokens" not in told


def test_the_trigger_is_told_where_it_is_not_the_usual_one() -> None:
    run = Run(ALWAYS, record=RECORD, num_traces=1, decision_wait_after_root_received="2s")
    run.send(span("first", "first"))
    run.send(span("second", "second"))
    run.wait(2)
    run.send(span("third", "third"))
    run.close()
    told = [attributes_of(one).get("sampling.trigger") for one in run.spans]
    assert told == ["evicted", None, "shutdown"]


def test_what_another_sampler_wrote_is_overwritten() -> None:
    before = {
        "sampling.policy": "x",
        "sampling.reason": "y",
        "sampling.adjusted_count": 7.0,
        "keep": 1,
    }
    known, unknown = ALWAYS, policy("probabilistic", "p", sampling_percentage=100)
    for rule, count in ((known, 1.0), (unknown, None)):
        run = Run(rule, record=RECORD)
        run.send(span("t", "root", before))
        run.wait(10)
        told = attributes_of(run.only("root"))
        assert told["sampling.policy"] == rule["name"]
        assert told["keep"] == 1
        assert told.get("sampling.adjusted_count") == count


def test_the_adjusted_count_follows_the_stricter_threshold_of_the_span() -> None:
    run = Run(ALWAYS, record=RECORD)
    run.send(span(b"\xff" * 16, "root", trace_state="ot=th:c"))
    run.wait(10)
    assert attributes_of(run.only("root"))["sampling.adjusted_count"] == 4.0
    assert run.only("root").trace_state == "ot=th:c"


def test_the_recorded_policy_is_the_one_with_the_smallest_threshold() -> None:
    half = policy("probabilistic", "half", sampling_percentage=50, mode="equalizing")
    tenth = policy("probabilistic", "tenth", sampling_percentage=10, mode="equalizing")
    hashed = policy("probabilistic", "hashed", sampling_percentage=100)
    for order, recorded in (
        ([tenth, half], "half"),
        ([hashed, half], "half"),
        ([ALWAYS, ERRORS], "all"),
    ):
        run = Run(*order, record=RECORD)
        run.send(span(b"\xff" * 16, "root", status="error"))
        run.wait(10)
        assert attributes_of(run.only("root"))["sampling.policy"] == recorded


def test_late_spans_and_other_spans_carry_nothing() -> None:
    run = Run(ALWAYS, record=RECORD)
    run.send(span("t", "root"), span("t", "leaf", parent="root"))
    run.wait(10)
    run.send(span("t", "late"))
    assert not attributes_of(run.only("leaf"))
    assert not attributes_of(run.only("late"))


def test_nothing_is_written_unless_asked_for() -> None:
    run = Run(ALWAYS, policy("probabilistic", sampling_percentage=100, mode="equalizing"))
    run.send(span("t", "root"))
    run.wait(10)
    assert run.spans == [span("t", "root")]


def test_a_dry_run_forwards_everything_and_says_what_it_would_keep() -> None:
    run = Run(ERRORS, record={"tracestate": True}, dry_run=True)
    run.send(
        span("bad", "bad", status="error"),
        span("fine", "fine"),
        span("fine", "leaf", parent="fine"),
    )
    assert sorted(run.wait(10)) == ["bad", "fine", "leaf"]
    assert run.send(span("fine", "late"), span("bad", "later")) == ["late", "later"]
    assert attributes_of(run.only("bad"))["sampling.dry_run.kept"] is True
    assert attributes_of(run.only("bad"))["sampling.policy"] == "errors"
    assert attributes_of(run.only("fine")) == {"sampling.dry_run.kept": False}
    assert {one.trace_state for one in run.spans} == {""}
    assert len(run.spans) == 5


def test_a_dry_run_strips_nothing() -> None:
    run = Run({**ALWAYS, "content_tier": "skeleton"}, dry_run=True)
    run.send(span("t", "root", {"input.value": "secret"}))
    run.wait(10)
    assert attributes_of(run.only("root"))["input.value"] == "secret"
    assert run.send(span("t", "late", {"input.value": "secret"})) == ["late"]
    assert attributes_of(run.only("late")) == {"input.value": "secret"}
