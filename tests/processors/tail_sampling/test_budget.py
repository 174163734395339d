"""`tenant_budget`: what is stored of each tenant, as a ceiling or an allowance."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from .support import ALWAYS, ERRORS, Run, attributes_of, found, policy, span, trace_id

MIB = 1 << 20
TENANT, COST = "app.llm.tenant.id", "app.llm.cost_usd"
REFUSED = "otelcol_llm_tail_sampling_budget_refused_total"
OPEN = {"buffer": {"max_bytes": "1GiB"}, "decision_wait": "1s"}


def ceiling(**block: Any) -> dict[str, Any]:
    return policy("tenant_budget", "ceiling", **block)


def sized(name: str, size: int, tenant: str = "acme", **fields: Any) -> Any:
    """Return a span of that many bytes, or up to two less where no text gives that size (lengths shrink too)."""
    one = span(name, name, {TENANT: tenant, "text": ""}, **fields)
    text = one.attributes[1].value
    text.string_value = "x" * (size - one.ByteSize())
    while one.ByteSize() > size:
        text.string_value = text.string_value[: size - one.ByteSize()]
    assert size - 2 <= one.ByteSize() <= size
    return one


def test_a_full_bucket_lets_exactly_its_amount_pass_and_is_refilled() -> None:
    kib = 1024
    run = Run(ALWAYS, ceiling(bytes_per_hour=200 * kib, on_exhausted="drop"), **OPEN)
    run.send(*[sized(f"a{i}", kib) for i in range(250)])
    run.wait(1)
    assert len(run.spans) == 200
    run.wait(34)
    run.send(*[sized(f"b{i}", kib) for i in range(5)])
    run.wait(1)
    assert len(run.spans) == 202
    assert run.count(REFUSED, "ceiling") == 53
    assert run.closes


def test_traces_over_the_ceiling_leave_as_skeletons() -> None:
    run = Run(ALWAYS, ceiling(bytes_per_hour=2048), record={"attributes": True}, **OPEN)
    run.send(*[sized(f"a{i}", 1024) for i in range(5)])
    run.wait(1)
    tiers = [attributes_of(one)["sampling.content_tier"] for one in run.spans]
    assert tiers == ["full"] * 2 + ["skeleton"] * 3
    assert ["text" in attributes_of(one) for one in run.spans] == [True] * 2 + [False] * 3


def test_a_trace_larger_than_the_bucket_passes_and_is_owed() -> None:
    run = Run(ALWAYS, ceiling(bytes_per_hour=2000, on_exhausted="drop"), **OPEN)
    run.send(sized("large", 3000))
    run.wait(1)
    run.send(sized("next", 100))
    run.wait(1798)
    assert [one.name for one in run.spans] == ["large"]
    run.wait(4)
    run.send(sized("later", 100))
    run.wait(1)
    assert [one.name for one in run.spans] == ["large", "later"]


def test_money_is_a_limit_too_and_both_must_admit() -> None:
    rule = ceiling(usd_per_hour=1, bytes_per_hour="1GiB", on_exhausted="drop")
    run = Run(ALWAYS, rule, **OPEN)
    run.send(*[span(f"t{i}", f"t{i}", {TENANT: "acme", COST: 0.4}) for i in range(5)])
    run.wait(1)
    assert len(run.spans) == 3


def test_one_tenants_budget_never_helps_another() -> None:
    run = Run(ALWAYS, ceiling(bytes_per_hour=1000, on_exhausted="drop"), **OPEN)
    run.send(
        sized("a1", 1000, "a"),
        sized("a2", 1000, "a"),
        sized("b1", 1000, "b"),
        sized("b2", 500, "b"),
    )
    run.send(span("n1", "n1"), span("n2", "n2"))
    run.wait(1)
    assert run.kept("a1", "a2", "b1", "b2", "n1", "n2") == ["a1", "b1", "n1", "n2"]


def test_tenants_can_have_amounts_of_their_own() -> None:
    rule = ceiling(
        bytes_per_hour=1000, on_exhausted="drop", overrides={"big": {"bytes_per_hour": 3000}}
    )
    run = Run(ALWAYS, rule, **OPEN)
    for tenant in ("big", "small"):
        run.send(*[sized(f"{tenant}{i}", 1000, tenant) for i in range(5)])
    run.wait(1)
    assert len(run.kept(*[f"big{i}" for i in range(5)])) == 3
    assert len(run.kept(*[f"small{i}" for i in range(5)])) == 1


def test_exempt_policies_pass_over_the_ceiling_and_are_charged() -> None:
    rule = ceiling(bytes_per_hour=1000, on_exhausted="drop", exempt=["errors"])
    run = Run(ALWAYS, ERRORS, rule, **OPEN)
    run.send(*[sized(f"bad{i}", 1000, status="error") for i in range(3)], sized("fine", 1000))
    run.wait(1)
    assert run.kept("bad0", "bad1", "bad2", "fine") == ["bad0", "bad1", "bad2"]


def test_the_result_is_the_same_for_every_order_of_policies() -> None:
    rule = ceiling(bytes_per_hour=2000, on_exhausted="drop", exempt=["errors"])
    slow = policy("latency", "slow", threshold_ms=1000)
    results = set()
    for order in permutations([ERRORS, slow, rule]):
        run = Run(*order, **OPEN)
        run.send(
            *[
                sized(f"{i}", 1000, status="error" if i % 3 == 0 else "ok", ms=(0, i * 500))
                for i in range(9)
            ]
        )
        run.wait(1)
        results.add(tuple(sorted(run.traces)))
    assert len(results) == 1


def test_the_tenant_is_that_of_the_local_root_else_of_the_first_span_else_of_the_resource() -> None:
    rule = ceiling(bytes_per_hour=1, on_exhausted="drop")
    cases = [
        ([span("t", "leaf", {TENANT: "leaf"}, parent="root"), span("t", "root", {TENANT: "root"})], None, "root"),
        ([span("t", "leaf", {TENANT: "leaf"}, parent="root"), span("t", "root")], None, "leaf"),
        (
            [
                span("t", "a", {TENANT: "a"}, parent="root"),
                span("t", "b", {TENANT: "b"}, parent="root"),
                span("t", "root"),
            ],
            None, "a",
        ),
        ([span("t", "root")], {TENANT: "res"}, "res"),
        ([span("t", "root")], None, ""),
    ]  # fmt: skip
    for spans, resource, tenant in cases:
        run = Run(ALWAYS, rule, **OPEN)
        run.send(span("u", "x", {TENANT: tenant} if tenant else {}))
        run.wait(1)
        run.send(*spans, resource=resource)
        run.wait(1)
        assert trace_id("t") not in run.traces, "the other trace has spent this tenant's budget"


def test_an_allowance_keeps_while_it_lasts_and_inside_and_limits_the_rest() -> None:
    allowance = policy("tenant_budget", "a", mode="allowance", bytes_per_hour=2000)
    run = Run(policy("and", "both", and_sub_policy=[allowance, ERRORS]), **OPEN)
    run.send(*[sized(f"fine{i}", 1000) for i in range(5)])
    run.send(*[sized(f"bad{i}", 1000, status="error") for i in range(5)])
    run.wait(1)
    assert len(run.spans) == 2
    assert all(one.name.startswith("bad") for one in run.spans)
    assert not run.count(REFUSED, "both")


def test_what_an_allowance_keeps_has_no_known_probability() -> None:
    allowance = policy("tenant_budget", "a", mode="allowance", usd_per_hour=5)
    run = Run(allowance, record={"tracestate": True, "attributes": True}, **OPEN)
    run.send(span("t", "s", trace_state="ot=th:8,a=b"))
    run.wait(1)
    assert run.only("s").trace_state == "a=b"
    assert "sampling.adjusted_count" not in attributes_of(run.only("s"))
    assert attributes_of(run.only("s"))["sampling.reason"] == "budget"


def test_skeletons_by_policy_are_charged_at_their_own_size() -> None:
    skeletons = {**ALWAYS, "content_tier": "skeleton"}
    run = Run(skeletons, ceiling(bytes_per_hour=600, on_exhausted="drop"), **OPEN)
    run.send(*[sized(f"{i}", 5000) for i in range(20)])
    run.wait(1)
    size = max(one.ByteSize() for one in run.spans)
    assert len(run.spans) == -(-600 // size)


def test_over_the_most_tenants_the_one_nearest_to_full_is_forgotten() -> None:
    rule = ceiling(bytes_per_hour=1000, on_exhausted="drop", max_tenants=2)
    run = Run(ALWAYS, rule, **OPEN)
    run.send(sized("a1", 1500, "a"), sized("b1", 1200, "b"), sized("c1", 1500, "c"))
    run.wait(1)
    run.send(sized("a2", 200, "a"), sized("c2", 200, "c"), sized("b2", 200, "b"))
    run.wait(1)
    assert run.kept("a1", "b1", "c1", "a2", "c2", "b2") == ["a1", "b1", "c1", "b2"]


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(150, 4000)), min_size=1, max_size=25),
    st.integers(500, 5000),
)
@limits(max_examples=40, deadline=None)
def test_what_is_stored_is_bounded_over_any_time(
    arrivals: list[tuple[int, int]], an_hour: int
) -> None:
    run = Run(ALWAYS, ceiling(bytes_per_hour=an_hour, on_exhausted="drop"), **OPEN)
    at = 0
    stored: list[tuple[int, int]] = []
    for i, (pause, size) in enumerate(arrivals):
        at += pause
        run.now += pause * 10**9
        run.send(sized(str(i), size))
        run.wait(1)
        stored = [(at, size)] * (len(run.spans) - len(stored)) + stored
    largest = max(size for _, size in arrivals)
    for begin, _ in stored:
        for end, _ in stored:
            inside = sum(size for when, size in stored if begin <= when <= end)
            seconds = max(0, end - begin) + 2 * len(arrivals)
            assert inside <= an_hour + an_hour / 3600 * seconds + largest


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({}, "expected bytes_per_hour or usd_per_hour, got neither"),
        ({"bytes_per_hour": 5, "exempt": ["nobody"]}, "there is no policy named 'nobody'"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(block: dict[str, Any], text: str) -> None:
    (error,) = [line for line in found(ALWAYS, ceiling(**block)) if not line.startswith("!")]
    assert text in error


def test_a_ceiling_inside_another_policy_is_refused() -> None:
    lines = found(policy("and", "x", and_sub_policy=[ceiling(bytes_per_hour=5)]))
    assert any("expected allowance inside another policy, got ceiling" in line for line in lines)
