"""Other settings in the middle of the traffic."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from .support import ALWAYS, ERRORS, SECOND, Run, policy, span

SLOW = policy("latency", "slow", threshold_ms=1000)


def test_pending_traces_are_decided_by_the_new_policies_and_decided_ones_stay() -> None:
    run = Run(ERRORS)
    run.send(span("old", "old", status="error"), span("gone", "gone", ms=(0, 5000)))
    run.wait(10)
    run.send(
        *[span(f"{i}", f"{i}", status="error" if i % 2 else "ok", ms=(0, i)) for i in range(1000)]
    )
    run.reload(policy("latency", "slow", threshold_ms=500))
    assert run.send(span("old", "late"), span("gone", "later", ms=(0, 5000))) == ["late"]
    run.wait(10)
    assert sorted(one.name for one in run.spans) == sorted(
        ["old", "late", *[str(i) for i in range(501, 1000)]]
    )
    assert run.ledger()["held"] == 0


def test_new_attributes_are_read_from_what_is_held() -> None:
    run = Run(ERRORS)
    run.send(span("t", "a", {"tenant": "acme"}), span("u", "b"), resource={"service.name": "x"})
    run.send(span("v", "c"), resource={"tenant": "acme"})
    run.reload(
        policy("string_attribute", key="tenant", values=["acme"]),
        policy("trace_cost", "c", min_usd=1),
    )
    run.send(span("t", "a2"))
    assert sorted(run.wait(10)) == ["a", "a2", "c"]


def test_waits_go_on_from_the_first_span() -> None:
    run = Run(ALWAYS)
    run.send(span("t"))
    run.wait(4)
    run.reload(ALWAYS, decision_wait="5s")
    assert run.wait(0.9) == []
    assert run.wait(0.1) == ["s"]
    run.send(span("u"))
    run.wait(1)
    run.reload(ALWAYS, decision_wait="60s", decision_wait_after_root_received="3s")
    assert run.wait(2.9) == []
    assert run.wait(0.1) == ["s"]


def test_budgets_and_marks_are_carried_over_by_name_and_type() -> None:
    budget: dict[str, Any] = policy("tenant_budget", "b", bytes_per_hour=1, on_exhausted="drop")
    limit = policy("rate_limiting", "l", spans_per_second=1, burst_capacity=1)
    for rule in (limit, policy("and", "a", and_sub_policy=[limit])):
        run = Run(rule, decision_wait="1s")
        run.send(span("t"), span("u"))
        run.wait(1)
        run.reload(rule, decision_wait="1s", num_traces=7)
        run.send(span("v"))
        run.now -= 9 * 10**8
        run.wait(1)
        assert len(run.traces) == 1
    run = Run(ALWAYS, budget, decision_wait="1s")
    run.send(span("t"))
    run.wait(1)
    run.reload(ALWAYS, budget, decision_wait="1s", num_traces=7)
    run.send(span("u"))
    assert run.wait(1) == []
    run.reload(ALWAYS, {**budget, "name": "other"}, decision_wait="1s")
    run.send(span("v"))
    assert run.wait(1) == ["s"]


def test_marked_sessions_stay_marked() -> None:
    keep = policy("session_keep", "k", triggers=["errors"])
    run = Run(ERRORS, keep, decision_wait="1s")
    run.send(span("t", attributes={"gen_ai.conversation.id": "c"}, status="error"))
    run.wait(1)
    run.reload(ERRORS, keep, decision_wait="2s")
    run.send(span("u", "next", attributes={"gen_ai.conversation.id": "c"}))
    assert run.wait(2) == ["next"]


@pytest.mark.parametrize("bound", [{"num_traces": 3}, {"buffer": {"max_bytes": 6000}}])
def test_lower_bounds_evict_with_decisions(bound: dict[str, Any]) -> None:
    run = Run(ERRORS)
    run.send(*[span(f"{i}", f"{i}", status="error") for i in range(10)])
    run.reload(ERRORS, **bound)
    came = run.wait(0.1) + run.send(span("new", "new"))
    assert came[:7] == [str(i) for i in range(7)]
    assert len(run.wait(10) + came) == 10


def test_memories_are_carried_over_into_other_sizes() -> None:
    run = Run(ERRORS, decision_wait="1s")
    run.send(
        *[span(f"k{i}", status="error") for i in range(5)], *[span(f"d{i}") for i in range(50)]
    )
    run.wait(1)
    run.reload(ERRORS, decision_cache={"sampled_cache_size": 3, "non_sampled_cache_size": 200})
    assert run.send(*[span(f"d{i}", "late") for i in range(50)]) == []
    assert run.send(*[span(f"k{i}", f"late{i}") for i in range(5)]) == ["late2", "late3", "late4"]
    run.reload(ERRORS, decision_cache={"non_sampled_cache_size": 0})
    run.reload(ERRORS)
    run.send(span("d1", "forgotten", status="error"))
    assert run.wait(10) == ["forgotten"]


def test_the_ledger_closes_over_a_reload() -> None:
    run = Run(ERRORS, decision_wait="1s")
    run.send(span("kept", status="error"), span("dropped"))
    run.wait(1)
    run.send(span("waits"))
    run.reload(ALWAYS, decision_wait="1s")
    assert run.closes
    assert run.ledger() == {"received": 3, "released_full": 1, "dropped": 1, "held": 1}
    run.wait(1)
    assert run.ledger() == {"received": 3, "released_full": 2, "dropped": 1, "held": 0}
    delays = "otelcol_llm_tail_sampling_decision_delay_seconds"
    assert sum(run.sampler.stats.histograms[delays, "wait"].counts) == 3


def test_votes_between_the_last_tick_and_a_reload_count() -> None:
    run = Run(ERRORS, num_traces=2)
    run.send(*[span(f"{i}", status="error" if i % 2 else "ok") for i in range(10)])
    run.reload(ERRORS)
    run.wait(10)
    votes = "otelcol_processor_tail_sampling_count_traces_sampled_total"
    assert run.count(votes, "errors", "true", "sampled") == 5
    assert run.count(votes, "errors", "false", "not_sampled") == 5


def test_many_reloads_lose_nothing() -> None:
    run = Run(ERRORS, decision_wait="5s")
    for i in range(100):
        run.send(span(f"{i}", f"{i}", status="error"), span(f"x{i}"))
        run.reload(ERRORS if i % 2 else SLOW, ERRORS if not i % 2 else SLOW, decision_wait="5s")
        run.wait(0.2)
    run.wait(5)
    assert sorted(one.name for one in run.spans) == sorted(str(i) for i in range(100))
    assert not run.sampler._decider.docket.has_older
    assert run.context.decisions.samplers == 1


def test_memory_is_flat_over_many_reloads() -> None:
    run = Run(ERRORS, decision_wait="5s")
    sizes = []
    tracemalloc.start()
    try:
        for i in range(150):
            run.send(span("waits", f"{i}"), span(f"{i}", "bad", status="error"), span(f"x{i}"))
            run.reload(ERRORS if i % 2 else SLOW, ERRORS if not i % 2 else SLOW, decision_wait="5s")
            run.wait_until(run.now + 5 * SECOND)
            run.out = []
            if i % 50 == 49:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[2] - sizes[1] < 50 * 1_000, "an id is remembered, nothing else"
