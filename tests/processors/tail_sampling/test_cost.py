"""`trace_cost` and `trace_tokens`: sums over the calls of a trace, where unknown is not zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from .support import Run, keeps, policy, span

COST, STATUS, CLASS = "app.llm.cost_usd", "app.llm.cost.status", "app.llm.span.class"
UNPRICED = {STATUS: "unpriced"}


def priced(*amounts: float) -> list[Any]:
    return [span("t", f"c{i}", {COST: usd, STATUS: "priced"}) for i, usd in enumerate(amounts)]


@pytest.mark.parametrize(
    ("amounts", "unpriced", "block", "kept"),
    [
        ((0.04, 0.06), 0, {"min_usd": 0.10}, True),
        ((0.04, 0.0599999), 0, {"min_usd": 0.10}, False),
        ((0.1, 0.2), 0, {"max_usd": 0.3}, True),
        ((0.1, 0.2), 0, {"min_usd": 0.3}, True),
        ((0.04,), 1, {"min_usd": 0.10}, True),
        ((0.04,), 1, {"min_usd": 0.10, "on_unpriced": "ignore"}, False),
        ((0.4,), 1, {"min_usd": 0.10, "on_unpriced": "ignore"}, True),
        ((0.04,), 1, {"max_usd": 0.10, "on_unpriced": "ignore"}, False),
        ((), 0, {"min_usd": 0}, False),
        ((), 1, {"min_usd": 0, "on_unpriced": "ignore"}, False),
        ((0,), 0, {"max_usd": 0.01}, True),
        ((5, 46), 0, {"min_usd": 0.10, "max_usd": 50}, False),
    ],
)
def test_the_sum_decides(
    amounts: tuple[float, ...], unpriced: int, block: dict[str, Any], kept: bool
) -> None:
    spans = priced(*amounts) + [span("t", f"u{i}", UNPRICED) for i in range(unpriced)]
    assert keeps(policy("trace_cost", **block), span("t", "root"), *spans) is kept


def test_what_an_agent_reports_itself_is_not_added() -> None:
    agent = span("t", "agent", {"app.llm.usage.reported_cost_usd": 0.12})
    assert not keeps(policy("trace_cost", min_usd=0.20), agent, *priced(0.12))


def test_a_span_that_comes_twice_counts_once_and_the_later_one_wins() -> None:
    rule = policy("trace_cost", min_usd=0.10)
    first, second = span("t", "c", {COST: 0.06}), span("t", "c", {COST: 0.08})
    assert not keeps(rule, first, first)
    assert not keeps(rule, first, second)
    assert keeps(rule, first, second, span("t", "d", {COST: 0.02}))


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -0.5, "0.5", True])
def test_a_cost_that_is_no_amount_is_an_unknown_one(cost: Any) -> None:
    run = Run(policy("trace_cost", min_usd=100))
    run.send(span("t", attributes={COST: cost}))
    run.wait(10)
    assert run.spans
    assert run.count("otelcol_llm_tail_sampling_invalid_cost_total") == 1


def test_the_reason_tells_unpriced_from_expensive() -> None:
    run = Run(policy("trace_cost", min_usd=0.10), record={"attributes": True})
    run.send(span("dear", "dear", {COST: 1}), span("unknown", "unknown", UNPRICED))
    run.wait(10)
    reasons = {
        one.name: attribute.value.string_value
        for one in run.spans
        for attribute in one.attributes
        if attribute.key == "sampling.reason"
    }
    assert reasons == {"dear": "trace_cost", "unknown": "unpriced"}


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=6),
    st.integers(0, 6),
    st.sampled_from(["min_usd", "max_usd"]),
)
@limits(max_examples=100, deadline=None)
def test_the_vote_is_that_of_exact_addition(amounts: list[float], summed: int, bound: str) -> None:
    """The bound is a sum of some of the amounts, so that equality is often near."""
    decimals = [Fraction(Decimal(repr(amount))) for amount in amounts]
    limit, total = float(sum(decimals[:summed])), sum(decimals)
    exact = Fraction(Decimal(repr(limit)))
    expected = total >= exact if bound == "min_usd" else total <= exact
    assert keeps(policy("trace_cost", **{bound: limit}), *priced(*amounts)) is expected


def call(name: str, usage: tuple[int | None, int | None], **more: Any) -> Any:
    known = {"input": usage[0], "output": usage[1]}
    tokens = {f"gen_ai.usage.{side}_tokens": n for side, n in known.items() if n is not None}
    return span(
        "t",
        name,
        {CLASS: "model_call", **tokens, **{k.replace("__", "."): v for k, v in more.items()}},
    )


AGENT = span(
    "t",
    "agent",
    {CLASS: "aggregate", "gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 60},
)


@pytest.mark.parametrize(
    ("spans", "block", "kept"),
    [
        ([call("a", (100, 20)), call("b", (200, 40))], {"min_tokens": 360}, True),
        ([call("a", (100, 20)), call("b", (200, 40))], {"min_tokens": 361}, False),
        ([call("a", (100, 20)), call("b", (200, 40)), AGENT], {"min_tokens": 361}, False),
        ([call("a", (100, 20)), call("a", (100, 20))], {"min_tokens": 121}, False),
        ([call("a", (100, 20))], {"min_tokens": 100, "count": "input"}, True),
        ([call("a", (100, 20))], {"min_tokens": 21, "count": "output"}, False),
        (
            [call("a", (100, 20), gen_ai__usage__reasoning__output_tokens=15)],
            {"min_tokens": 121},
            False,
        ),
        (
            [call("a", (100, 20), gen_ai__usage__reasoning__output_tokens=15)],
            {"min_tokens": 15, "count": "reasoning"},
            True,
        ),
        (
            [call("a", (100, 20), gen_ai__usage__cache_read__input_tokens=80)],
            {"max_tokens": 80, "count": "cache_read"},
            True,
        ),
        (
            [call("a", (100, 20), app__llm__cost__skip_reason="duplicate")],
            {"max_tokens": 999},
            False,
        ),
        ([call("a", (None, None))], {"min_tokens": 0}, False),
        ([call("a", (100, None))], {"min_tokens": 100}, True),
        ([call("a", (100, None))], {"max_tokens": 100}, False),
        ([call("a", (-5, 20))], {"max_tokens": 100}, False),
    ],
)
def test_tokens_are_added_over_counted_calls(
    spans: list[Any], block: dict[str, Any], kept: bool
) -> None:
    assert keeps(policy("trace_tokens", **block), *spans) is kept


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(0, 9), st.booleans()), min_size=1, max_size=6
    ),
    st.integers(0, 6),
    st.integers(-1, 1),
    st.randoms(use_true_random=False),
)
@limits(max_examples=100, deadline=None)
def test_tokens_are_added_exactly_in_any_order(
    calls: list[tuple[int, int, bool]], summed: int, off: int, random: Random
) -> None:
    """The bound is at or beside a sum of some calls. A wrapper repeats it all, and some spans come twice."""
    limit = max(0, sum(n + out for n, out, _ in calls[:summed]) + off)
    total = sum(n + out for n, out, _ in calls)
    spans = [call(str(i), (n, out)) for i, (n, out, _) in enumerate(calls)]
    spans += [one for one, (_, _, twice) in zip(spans, calls, strict=True) if twice]
    random.shuffle(spans)
    assert keeps(policy("trace_tokens", min_tokens=limit), *spans, AGENT) is (total >= limit)


def test_an_aggregate_that_stands_in_for_its_calls_counts() -> None:
    stands_in = span(
        "t", "agent",
        {CLASS: "aggregate", "app.llm.usage.basis": "aggregate", "gen_ai.usage.input_tokens": 300},
    )  # fmt: skip
    assert keeps(policy("trace_tokens", min_tokens=300), stands_in)


def test_a_token_count_that_is_none_is_counted_as_invalid() -> None:
    run = Run(policy("trace_tokens", min_tokens=1))
    run.send(call("a", (-5, 20)))
    run.wait(10)
    assert run.spans
    assert run.count("otelcol_llm_tail_sampling_invalid_tokens_total") == 1
