"""Promises that hold for any traffic."""

from __future__ import annotations

from itertools import pairwise, product
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from .support import ALWAYS, ERRORS, Run, policy, span, trace_id

LIMITED = policy(
    "and", "limited",
    and_sub_policy=[policy("rate_limiting", spans_per_second=1, burst_capacity=4), policy("latency", threshold_ms=40)],
)  # fmt: skip
POLICIES: list[dict[str, Any]] = [
    ERRORS,
    policy("latency", "middle", threshold_ms=50, upper_threshold_ms=200),
    policy("trace_cost", "expensive", min_usd=0.5),
    policy("numeric_attribute", "many", key="n", min_value=90),
    policy("span_count", "long", min_spans=9),
    policy(
        "drop",
        "noise",
        drop_sub_policy=[policy("string_attribute", key="route", values=["/healthz"])],
    ),
    policy("probabilistic", "baseline", sampling_percentage=20, mode="equalizing"),
]
SPANS = st.lists(
    st.builds(
        lambda trace, name, status, end, n, cost, health: span(
            f"t{trace}", f"{trace}/{name}",
            {"n": n, "app.llm.cost_usd": cost, **({"route": "/healthz"} if health else {})},
            status=status, ms=(0, end),
        ),
        st.integers(0, 5), st.integers(0, 999), st.sampled_from(["ok"] * 6 + ["error"]), st.integers(0, 300),
        st.integers(0, 95), st.sampled_from([0.0, 0.1, 0.2, 0.3]), st.sampled_from([False] * 9 + [True]),
    ),
    max_size=40, unique_by=lambda one: one.span_id,
)  # fmt: skip


def released(spans: list[Any], cuts: list[int], policies: list[dict[str, Any]]) -> list[bytes]:
    """Return the ids of the spans that leave when the spans come in requests cut at these places."""
    run = Run(*policies)
    places = [0, *sorted(cut for cut in cuts if cut <= len(spans)), len(spans)]
    for begin, end in pairwise(places):
        run.send(*spans[begin:end])
    run.wait(10)
    assert run.closes
    return sorted(bytes(one.span_id) for one in run.spans)


@given(SPANS, st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=6))
@limits(max_examples=60, deadline=None)
def test_order_and_requests_do_not_matter_and_each_span_leaves_once(
    spans: list[Any], random: Random, cuts: list[int]
) -> None:
    expected = released(spans, [], POLICIES)
    assert len(expected) == len(set(expected))
    other, policies = list(spans), list(POLICIES)
    random.shuffle(other)
    random.shuffle(policies)
    assert released(other, cuts, policies) == expected
    kept = {one.trace_id for one in spans if one.span_id in expected}
    assert sorted(s.span_id for s in spans if s.trace_id in kept) == expected, "traces stay whole"


@given(SPANS)
@limits(max_examples=40, deadline=None)
def test_the_place_of_a_limit_does_not_matter(spans: list[Any]) -> None:
    first = released(spans, [], [LIMITED, ERRORS])
    assert released(spans, [], [ERRORS, LIMITED]) == first


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.floats(0, 3)), max_size=60),
    st.integers(1, 6), st.sampled_from([3_000, 10_000, 10**8]), st.booleans(),
)  # fmt: skip
@limits(max_examples=60, deadline=None)
def test_bounds_lose_no_error_and_late_spans_follow(
    arrivals: list[tuple[int, bool, float]], most: int, size: int, quick: bool
) -> None:
    """A model: a trace is kept from its first error before its decision on; late spans follow the verdict."""
    run = Run(ERRORS, num_traces=most, buffer={"max_bytes": size}, decision_wait="2s")
    sent: dict[str, list[str]] = {}
    for i, (trace, bad, pause) in enumerate(arrivals):
        run.send(span(str(trace), str(i), {"x": "y" * 500}, status="error" if bad else "ok"))
        sent.setdefault(str(trace), []).append(str(i))
        assert run.sampler._table.size <= size
        assert run.sampler._table.waiting <= most
        run.wait(0 if quick else pause)
    run.wait(2)
    assert run.closes
    out = [one.name for one in run.spans]
    assert len(out) == len(set(out))
    for names in sent.values():
        kept = [name for name in names if name in out]
        assert kept in ([], names), "no trace is split by two verdicts"
        if kept:
            assert any(arrivals[int(name)][1] for name in names)
    assert {trace_id(t) for t in sent if set(sent[t]) & set(out)} == run.traces


def test_every_combination_of_options_closes_the_ledger() -> None:
    record = {"attributes": True, "tracestate": True}
    for quirks, strategy, cache, bound in product(
        (False, True), ("trace-complete", "span-ingest"), (None, 0, 5), (3, 50_000)
    ):
        run = Run(
            ERRORS, {**ALWAYS, "content_tier": "skeleton"} if bound == 3 else ERRORS | {"name": "again"},
            quirks=quirks, sampling_strategy=strategy, num_traces=bound, record=record, maximum_trace_size_bytes=3000,
            decision_cache={"sampled_cache_size": cache, "non_sampled_cache_size": cache},
        )  # fmt: skip
        random = Random(bound)
        for i in range(60):
            status = random.choice(["ok", "error"])
            run.send(
                span(
                    str(random.randrange(12)),
                    str(i),
                    {"x": "y" * random.randrange(1500)},
                    status=status,
                )
            )
            run.wait(random.random())
        assert run.closes
        run.close()
        assert run.closes
        assert run.ledger()["held"] == 0
        assert len(run.spans) == len({one.name for one in run.spans})
