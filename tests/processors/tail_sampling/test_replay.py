"""A policy change as a number before it is a deployment."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from processors.ports import Context
from processors.tail_sampling.config import Config
from processors.tail_sampling.probability import encode
from processors.tail_sampling.replay import Replay, Summary, compare, summarise

from .support import ALWAYS, ERRORS, Run, attributes_of, policy, request, settings, span, trace_id

BASELINE = policy("probabilistic", "baseline", sampling_percentage=10, mode="equalizing")
EXPENSIVE = policy("trace_cost", "expensive", min_usd=0.10)
SKELETONS = {**ALWAYS, "name": "skeletons", "content_tier": "skeleton"}


def capture(traces: int = 400, seed: int = 3) -> list[bytes]:
    """A stream of traces in time: some fail, some are slow, some are dear."""
    random = Random(seed)
    requests = []
    for i in range(traces):
        name, begin = f"t{i}", i * 50.0
        end = begin + (9000 if random.random() < 0.03 else random.uniform(100, 3000))
        usd = 0.25 if random.random() < 0.05 else 0.01
        status = "error" if random.random() < 0.04 else "ok"
        root = span(
            name,
            "root",
            {"app.llm.cost_usd": usd, "input.value": "x" * 500},
            ms=(begin, end),
            status=status,
        )
        requests.append(
            (end - 50, request([span(name, "leaf", ms=(begin, end - 50), parent="root")]))
        )
        requests.append((end, request([root])))
    return [raw for _, raw in sorted(requests)]


def replayed(requests: list[bytes], *policies: dict[str, Any], **options: Any) -> Replay:
    resolved = settings(*policies, decision_wait="5s", **options)
    replay = Replay(Config.load(resolved, quirks=False), Context(id="tail_sampling/x"))
    for raw in requests:
        replay.feed(raw)
    replay.finish()
    return replay


def test_the_sums_close() -> None:
    summary = summarise(replayed(capture(), ERRORS, EXPENSIVE, BASELINE, SKELETONS))
    assert sum(row.decides for row in summary.rows) + summary.not_kept == summary.traces == 400
    assert summary.kept_usd + summary.skeleton_usd + summary.usd_not_kept == pytest.approx(
        summary.usd
    )
    assert summary.not_kept == summary.lost_errors == 0
    assert sum(row.share for row in summary.rows) == pytest.approx(100)
    assert [row.policy for row in summary.rows] == [
        "errors",
        "expensive",
        "baseline",
        "skeletons",
        "skeletons",
    ]
    assert {row.tier for row in summary.rows if row.decides} == {"full", "skeleton"}


def test_false_drops_are_counted_by_kind() -> None:
    summary = summarise(replayed(capture(), policy("probabilistic", "none", sampling_percentage=0)))
    assert summary.not_kept == 400
    assert min(summary.lost_errors, summary.lost_slow, summary.lost_expensive) > 0
    assert (summary.kept_usd, summary.stored_bytes) == (0, 0)


def test_a_vote_is_no_decision() -> None:
    rows = summarise(replayed(capture(), ERRORS, {**ERRORS, "name": "again"})).rows
    first, second = ((row.votes, row.decides) for row in rows)
    assert first[0] == second[0] == first[1] > 0
    assert second[1] == 0


def test_the_spend_is_estimated_from_what_is_kept() -> None:
    summary = summarise(replayed(capture(4000), BASELINE))
    assert summary.estimated_usd is not None
    assert summary.estimated_sigma is not None
    assert abs(summary.estimated_usd - summary.usd) <= 4 * summary.estimated_sigma
    assert 0 < summary.estimated_sigma < summary.usd


def test_without_a_known_probability_there_is_no_estimate() -> None:
    hashed = policy("probabilistic", "baseline", sampling_percentage=50)
    summary = summarise(replayed(capture(), hashed))
    assert summary.estimated_usd is summary.estimated_sigma is None


def test_two_replays_are_equal() -> None:
    def once() -> Summary:
        return summarise(
            replayed(capture(), ERRORS, BASELINE, policy("rate_limiting", "r", spans_per_second=1))
        )

    assert once() == once()


def test_a_replay_keeps_what_a_running_sampler_keeps() -> None:
    requests = capture()
    fast = policy("latency", "fast", threshold_ms=0, upper_threshold_ms=900)
    policies = [
        ERRORS,
        EXPENSIVE,
        BASELINE,
        policy("latency", "slow", threshold_ms=5000),
        {**fast, "content_tier": "skeleton"},
    ]
    record = {"attributes": True, "tracestate": True}
    replay = replayed(requests, *policies, record=record)
    run = Run(*policies, decision_wait="5s", record=record)
    for raw in requests:
        run.send_raw(raw)
        run.wait(0.1)
    run.wait(5)
    kept = {trace: fate.verdict for trace, fate in replay.fates.items() if fate.verdict.kept}
    roots = {bytes(one.trace_id): attributes_of(one) for one in run.spans if one.name == "root"}
    assert {trace: (verdict.policy, verdict.tier) for trace, verdict in kept.items()} == {
        trace: (said["sampling.policy"], said["sampling.content_tier"])
        for trace, said in roots.items()
    }
    thresholds = {bytes(one.trace_id): one.trace_state for one in run.spans}
    assert len(set(thresholds.values())) == 2
    for trace, verdict in kept.items():
        assert verdict.threshold is not None
        assert thresholds[trace] == f"ot=th:{encode(verdict.threshold)}"
    assert sum(fate.stored_bytes for fate in replay.fates.values()) == sum(
        one.ByteSize() for one in run.spans
    )


def test_late_spans_are_stored_bytes_too() -> None:
    first, late = span("t", "a", status="error"), span("t", "late", ms=(0, 60_000))
    replay = replayed([request([first]), request([late])], ERRORS)
    assert replay.fates[trace_id("t")].stored_bytes == first.ByteSize() + late.ByteSize()


def test_a_replay_forwards_nothing_that_a_dry_run_only_forwards() -> None:
    summary = summarise(replayed(capture(), ERRORS, dry_run=True))
    assert summary.not_kept > 0
    assert summary.stored_bytes < 100_000


def test_what_changes_is_told() -> None:
    requests = capture()
    old = replayed(requests, ERRORS, EXPENSIVE)
    difference = compare(replayed(requests, EXPENSIVE, BASELINE), old)
    assert difference.lost == difference.lost_errors > 0
    assert difference.gained > 0
    assert difference.bytes_share is not None
    same = compare(replayed(requests, ERRORS, EXPENSIVE), old)
    assert (same.gained, same.lost, same.bytes_share, same.usd_share) == (0, 0, 0.0, 0.0)
    nothing = replayed(requests, policy("probabilistic", "none", sampling_percentage=0))
    assert compare(old, nothing).bytes_share is None


def test_an_oversize_trace_that_nobody_wanted_has_a_row_of_its_own() -> None:
    big = request([span("t", "a", {"text": "x" * 3000}), span("t", "b", {"text": "x" * 3000})])
    summary = summarise(
        replayed([big], ERRORS, maximum_trace_size_bytes=5000, on_oversize="skeleton")
    )
    assert [(row.policy, row.tier, row.decides) for row in summary.rows] == [
        ("errors", "full", 0), ("", "skeleton", 1),
    ]  # fmt: skip
    assert summary.estimated_usd is None


def test_an_empty_capture_is_nothing() -> None:
    summary = summarise(replayed([], ERRORS))
    assert (summary.traces, summary.usd, summary.rows[0].share) == (0, 0, 0.0)
