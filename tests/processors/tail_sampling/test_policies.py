"""What each of the Collector's policies keeps. The tables are contrib's own test vectors (v0.158)."""

from __future__ import annotations

from typing import Any

import pytest

from .support import ALWAYS, ERRORS, Run, keeps, policy, span

LOW, HIGH = -(2**31), 2**31 - 1


@pytest.mark.parametrize(
    ("over", "upto", "spans", "kept"),
    [
        (5000, 0, [(0, 4500)], False),
        (5000, 0, [(0, 5000)], False),
        (5000, 0, [(0, 5000.9)], False),
        (5000, 0, [(0, 3000), (2500, 3000)], False),
        (5000, 0, [(0, 3000), (2500, 5501)], True),
        (5000, 10000, [(0, 4500)], False),
        (5000, 10000, [(0, 5001)], True),
        (5000, 10000, [(0, 10000)], True),
        (5000, 10000, [(0, 10001)], False),
        (0, 50, [(0, 40), (0, 200)], False),
        (0, 50, [(0, 200), (0, 40)], False),
        (0, 0, [(9000, 0)], False),
        (-1, 0, [(0, 0)], True),
        (-1, 0, [(0.5, 0)], True),
        (-1, 0, [(9000, 0)], False),
    ],
)
def test_latency_is_the_extent_of_the_whole_trace(
    over: int, upto: int, spans: list[tuple[float, float]], kept: bool
) -> None:
    rule = policy("latency", threshold_ms=over, upper_threshold_ms=upto)
    assert keeps(rule, *[span("t", str(i), ms=ms) for i, ms in enumerate(spans)]) is kept


@pytest.mark.parametrize(("quirks", "kept"), [(False, False), (True, True)])
def test_latency_leaves_unknown_times_out(quirks: bool, kept: bool) -> None:
    rule = policy("latency", threshold_ms=5000)
    unknown = span("t", "a", start_time_unix_nano=0)
    assert keeps(rule, span("t", "b"), unknown, quirks=quirks) is kept
    assert keeps(rule, span("t", "b", end_time_unix_nano=0), quirks=quirks) is False


def test_latency_of_the_collector_depends_on_the_order_of_spans() -> None:
    rule = policy("latency", threshold_ms=0, upper_threshold_ms=50)
    short, long = span("t", "a", ms=(0, 40)), span("t", "b", ms=(0, 200))
    assert keeps(rule, short, long, quirks=True)
    assert not keeps(rule, long, short, quirks=True)


@pytest.mark.parametrize(
    ("bounds", "value", "kept"),
    [
        ({"min_value": LOW, "max_value": HIGH}, LOW, True),
        ({"min_value": LOW, "max_value": HIGH}, HIGH, True),
        ({"min_value": LOW, "max_value": HIGH}, LOW - 1, False),
        ({"min_value": LOW, "max_value": HIGH}, HIGH + 1, False),
        ({"min_value": 100}, 200, True),
        ({"min_value": 100}, 50, False),
        ({"max_value": 100}, 50, True),
        ({"max_value": 100}, 200, False),
        ({"min_value": 1, "max_value": 10}, 5.0, True),
        ({"min_value": -1, "max_value": 1}, 99.5, False),
        ({"min_value": -1, "max_value": 1}, "0", False),
        ({"min_value": -1, "max_value": 1}, False, False),
        ({"min_value": 0, "max_value": 10}, -5, False),
        ({"min_value": 0.1}, 0.1, True),
        ({"min_value": 0.1}, 0.09999999999999999, False),
        ({"min_value": 0.5}, 1, True),
        ({"max_value": 9007199254740992.0}, 9007199254740993, False),
        ({"min_value": 1}, float("nan"), False),
        ({"min_value": 1}, float("inf"), True),
    ],
)
def test_numbers_are_compared_as_numbers(bounds: dict[str, float], value: Any, kept: bool) -> None:
    rule = policy("numeric_attribute", key="example", **bounds)
    other = policy("numeric_attribute", key="example", invert_match=True, **bounds)
    one = span("t", attributes={"example": value})
    assert keeps(rule, one) is kept
    assert keeps(other, one) is not kept


def test_a_sketch_that_crashes_the_collector_keeps_what_it_says() -> None:
    run = Run(
        ERRORS,
        policy("latency", "slow", threshold_ms=5000),
        policy("numeric_attribute", "dear", key="app.llm.cost_usd", min_value=0.10),
        policy("probabilistic", "baseline", sampling_percentage=1),
    )
    run.send(span("failed", status="error"), span("slow", ms=(0, 5001)))
    run.send(span("dear", attributes={"app.llm.cost_usd": 0.10}))
    run.send(*(span(f"plain{n}", attributes={"app.llm.cost_usd": 0.09}) for n in range(20)))
    run.wait(10)
    assert run.kept("failed", "slow", "dear") == ["failed", "slow", "dear"]
    assert len(run.traces) <= 3 + 2


@pytest.mark.parametrize("value", [99.5, "text", True])
def test_the_collector_reads_what_is_no_integer_as_zero(value: Any) -> None:
    rule = policy("numeric_attribute", key="example", min_value=-1, max_value=1)
    assert keeps(rule, span("t", attributes={"example": value}), quirks=True)


def test_float_bounds_compare_numbers_even_as_the_collector_does() -> None:
    rule = policy("numeric_attribute", key="example", min_value=0.10)
    assert keeps(rule, span("t", attributes={"example": 0.31}), quirks=True)


def test_an_attribute_of_the_resource_counts_like_one_of_a_span() -> None:
    rule = policy("numeric_attribute", key="example", min_value=1)
    assert keeps(rule, span("t"), resource={"example": 1})
    assert not keeps(rule, span("t"), resource={"example": 0})
    assert not keeps(rule, span("t", attributes={"other": 5}))


@pytest.mark.parametrize(
    ("block", "attributes", "kept"),
    [
        ({"values": ["acme", "globex"]}, {"k": "globex"}, True),
        ({"values": ["acme"]}, {"k": "acme-eu"}, False),
        ({"values": ["acme"]}, {"k": "Acme"}, False),
        ({"values": [""]}, {"k": ""}, False),
        ({"values": ["5"]}, {"k": 5}, False),
        ({"values": ["v[0-9]+.HealthCheck$"]}, {"k": "grpc.health.v1.HealthCheck"}, False),
    ],
)
def test_texts_match_whole(block: dict[str, Any], attributes: dict[str, Any], kept: bool) -> None:
    assert (
        keeps(policy("string_attribute", key="k", **block), span("t", attributes=attributes))
        is kept
    )


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["v[0-9]+.HealthCheck$"], True),
        (["v[a-z]+.HealthCheck$"], False),
        ([], False),
        (["^http", "v[0-9]+.HealthCheck$", "metrics$"], True),
        ([r"(?U)grpc.*h"], True),
        ([r"\pL+"], True),
    ],
)
def test_patterns_match_anywhere_in_the_text(patterns: list[str], kept: bool) -> None:
    one = span("t", attributes={"k": "grpc.health.v1.HealthCheck"})
    for invert in (False, True):
        rule = policy(
            "string_attribute",
            key="k",
            values=patterns,
            enabled_regex_matching=True,
            invert_match=invert,
        )
        assert keeps(rule, one) is (kept is not invert)


def test_an_empty_text_is_passed_over_on_spans_and_not_on_resources() -> None:
    rule = policy("string_attribute", key="k", values=["^$"], enabled_regex_matching=True)
    assert not keeps(rule, span("t", attributes={"k": ""}))
    assert keeps(rule, span("t"), resource={"k": ""})
    assert keeps(rule, span("t"), resource={"k": 7})


@pytest.mark.parametrize(
    ("value", "attributes", "kept", "in_the_collector"),
    [
        (True, {"k": True}, True, True),
        (True, {"k": "true"}, False, False),
        (False, {"k": False}, True, True),
        (False, {"k": "yes"}, False, True),
        (False, {"k": 0}, False, True),
        (False, {}, False, False),
    ],
)
def test_only_booleans_match_a_boolean(
    value: bool, attributes: dict[str, Any], kept: bool, in_the_collector: bool
) -> None:
    rule = policy("boolean_attribute", key="k", value=value)
    one = span("t", attributes=attributes)
    assert keeps(rule, one) is kept
    assert keeps(rule, one, quirks=True) is in_the_collector


@pytest.mark.parametrize(
    ("codes", "statuses", "kept"),
    [
        (["ERROR"], ["ok", "unset", "ok"], False),
        (["OK", "ERROR"], ["unset", "unset"], False),
        (["UNSET"], ["unset"], True),
        (["OK", "UNSET"], ["error", "ok"], True),
        (["ERROR", "ERROR"], ["error"], True),
    ],
)
def test_one_status_of_the_list_is_enough(
    codes: list[str], statuses: list[str], kept: bool
) -> None:
    rule = policy("status_code", status_codes=codes)
    assert keeps(rule, *[span("t", str(i), status=s) for i, s in enumerate(statuses)]) is kept


@pytest.mark.parametrize(
    ("least", "most", "requests", "kept"),
    [
        (3, 0, [1], False),
        (3, 0, [3], True),
        (3, 0, [1, 1], False),
        (3, 0, [1, 2, 1], True),
        (0, 20, [21], False),
        (0, 20, [20], True),
        (0, 20, [1, 2, 3, 4, 5, 6], False),
        (0, 20, [1, 2, 3, 4, 5, 5], True),
        (3, 20, [21], False),
        (3, 20, [3], True),
    ],
)
def test_spans_are_counted_over_all_requests(
    least: int, most: int, requests: list[int], kept: bool
) -> None:
    run = Run(policy("span_count", min_spans=least, max_spans=most))
    for i, count in enumerate(requests):
        run.send(*[span("t", f"{i}/{j}") for j in range(count)])
    run.wait(10)
    assert bool(run.spans) is kept


@pytest.mark.parametrize(
    ("state", "values", "kept"),
    [
        ("non_matching=value", ["value"], False),
        ("example=value", ["value"], True),
        ("example=value", [], False),
        ("example=non_matching,non_matching=value", ["value"], False),
        ("example=value,non_matching=value", ["value"], True),
        ("example=value1", ["value1", "value2"], True),
        ("example=value,,=broken", ["value"], False),
        ("", ["value"], False),
        ("example=" + "v" * 249, ["v" * 249], False),
        ("example=" + "v" * 248, ["v" * 248], True),
    ],
)
def test_trace_state_has_the_member(state: str, values: list[str], kept: bool) -> None:
    rule = policy("trace_state", key="example", values=values)
    assert keeps(rule, span("t", "a"), span("t", "b", trace_state=state)) is kept


@pytest.mark.parametrize(
    ("flags", "kept"), [(0, False), (1, True), (2, False), (3, True), (768, False), (769, True)]
)
def test_the_sampled_flag_is_the_lowest_bit(flags: int, kept: bool) -> None:
    assert keeps({"name": "f", "type": "trace_flags"}, span("t", flags=flags)) is kept


# -- limits


def test_a_budget_of_spans_starts_full_and_is_refilled() -> None:
    run = Run(policy("rate_limiting", spans_per_second=4, burst_capacity=2), decision_wait="1s")
    run.send(*[span(f"t{i}", str(j)) for i in range(2) for j in range(2)])
    run.wait(1)
    assert len(run.traces) == 1
    run.send(span("t2", "a"), span("t2", "b"))
    run.wait(1)
    assert len(run.traces) == 2


@pytest.mark.parametrize(
    ("per_second", "burst", "sizes", "kept"),
    [
        (3, 3, [3, 1], 1),
        (3, 2, [3], 0),
        (2, 0, [1, 1, 1, 1, 1], 4),
    ],
)
def test_a_trace_passes_while_the_budget_holds_all_of_it(
    per_second: int, burst: int, sizes: list[int], kept: int
) -> None:
    run = Run(policy("rate_limiting", spans_per_second=per_second, burst_capacity=burst))
    run.send(*[span(f"t{i}", str(j)) for i, size in enumerate(sizes) for j in range(size)])
    run.wait(10)
    assert len(run.traces) == kept


def test_bytes_are_those_of_the_traces_share_of_the_requests() -> None:
    text = {"text": "x" * 1000}
    run = Run(policy("bytes_limiting", bytes_per_second=1, burst_capacity=3000))
    run.send(*[span(f"t{i}", attributes=text) for i in range(6)])
    run.wait(10)
    assert len(run.traces) == 2


LIMIT = policy("rate_limiting", "limit", spans_per_second=1, burst_capacity=60)


@pytest.mark.parametrize("order", [[LIMIT, ERRORS], [ERRORS, LIMIT]])
def test_a_limit_inside_and_spends_for_kept_traces_alone(order: list[dict[str, Any]]) -> None:
    run = Run(policy("and", and_sub_policy=order))
    run.send(*[span("fine", str(i)) for i in range(60)])
    run.send(*[span("bad", str(i), status="error") for i in range(40)])
    run.send(*[span("worse", str(i), status="error") for i in range(40)])
    run.wait(10)
    assert run.kept("fine", "bad", "worse") == ["bad"]


def test_a_limit_of_the_collector_spends_by_its_position() -> None:
    run = Run(policy("and", and_sub_policy=[LIMIT, ERRORS]), quirks=True)
    run.send(*[span("fine", str(i)) for i in range(60)])
    run.send(*[span("bad", str(i), status="error") for i in range(40)])
    run.wait(10)
    assert not run.spans


def test_a_limit_spends_for_what_others_keep_too() -> None:
    vip = policy("boolean_attribute", "vip", key="vip", value=True)
    for options, kept in (({}, ["vip"]), ({"sample_on_first_match": True}, ["vip", "rest"])):
        run = Run(vip, LIMIT, **options)
        run.send(*[span("vip", str(i), {"vip": True}) for i in range(60)])
        run.wait(0.1)
        run.send(*[span("rest", str(i)) for i in range(50)])
        run.wait(10)
        assert run.kept("vip", "rest") == kept


def test_a_limit_that_is_turned_round_spends_for_what_it_lets_pass() -> None:
    run = Run(policy("not", not_sub_policy=LIMIT))
    run.send(*[span("first", str(i)) for i in range(60)])
    run.send(*[span("second", str(i)) for i in range(60)])
    run.wait(10)
    assert run.kept("first", "second") == ["second"]


# -- combinations


def test_and_needs_all_and_an_empty_one_keeps_everything() -> None:
    slow = policy("latency", "slow", threshold_ms=100)
    both = policy("and", and_sub_policy=[ERRORS, slow])
    assert keeps(both, span("t", "a", ms=(0, 101)), span("t", "b", status="error"))
    assert not keeps(both, span("t", "a", status="error"))
    assert keeps(policy("and", and_sub_policy=[]), span("t"))


def test_not_turns_round() -> None:
    rule = policy("not", not_sub_policy=ERRORS)
    assert keeps(rule, span("t"))
    assert not keeps(rule, span("t", status="error"))


def test_drop_goes_first_wherever_it_stands_and_needs_all_its_parts() -> None:
    bot = policy("string_attribute", "bot", key="user", values=["bot"])
    fine = policy("not", "fine", not_sub_policy=ERRORS)
    run = Run(ALWAYS, policy("drop", "noise", drop_sub_policy=[bot, fine]))
    run.send(span("bot", attributes={"user": "bot"}))
    run.send(span("failing bot", attributes={"user": "bot"}, status="error"))
    run.send(span("human"))
    run.wait(10)
    assert run.kept("bot", "failing bot", "human") == ["failing bot", "human"]
    votes = "otelcol_processor_tail_sampling_count_traces_sampled_total"
    assert run.count(votes, "noise", "false", "dropped") == 1
    assert run.count(votes, "all", "true", "sampled") == 2, "who is dropped is not voted on"
    asked = "otelcol_processor_tail_sampling_sampling_policy_execution_count_total"
    assert run.count(asked, "noise") == 3
    assert run.count(asked, "all") == 2


def composite(
    *parts: dict[str, Any], most: int, order: list[str] | None = None, **shares: int
) -> dict[str, Any]:
    return policy(
        "composite",
        max_total_spans_per_second=most,
        policy_order=order or [],
        composite_sub_policy=list(parts),
        rate_allocation=[{"policy": name, "percent": share} for name, share in shares.items()],
    )


def burst(rule: dict[str, Any], bad: int, fine: int, *, quirks: bool = False) -> tuple[int, int]:
    """Return how many of the failed and of the other traces of one second are kept."""
    run = Run(rule, quirks=quirks)
    failed = [f"bad{i}" for i in range(bad)]
    others = [f"fine{i}" for i in range(fine)]
    run.send(*[span(name, status="error") for name in failed], *[span(name) for name in others])
    run.wait(10)
    return len(run.kept(*failed)), len(run.kept(*others))


REST = policy("status_code", "rest", status_codes=["UNSET"])


def test_composite_gives_each_part_its_share_of_a_second() -> None:
    assert burst(composite(ERRORS, REST, most=20, errors=75, rest=25), 20, 20) == (15, 5)
    assert burst(composite(ALWAYS, most=12, all=100), 0, 30) == (0, 12)


def test_composite_begins_anew_each_second() -> None:
    run = Run(composite(ALWAYS, most=5, all=100), decision_wait="1s")
    for i in range(3):
        run.send(*[span(f"{i}/{j}") for j in range(9)])
        run.wait(1)
    run.wait(1)
    assert len(run.traces) == 15


@pytest.mark.parametrize(
    ("rule", "bad", "fine", "ours", "theirs"),
    [
        (composite(ERRORS, REST, most=20, errors=50), 12, 12, (10, 10), (10, 0)),
        (
            composite(ALWAYS, ERRORS, most=100, order=["errors", "all"], all=3, errors=97),
            10,
            0,
            (10, 0),
            (3, 0),
        ),
        (composite(ERRORS, ALWAYS, most=10, errors=20, all=80), 10, 0, (10, 0), (2, 0)),
        (composite(ERRORS, REST, most=5, errors=100, rest=100), 9, 9, (5, 5), (5, 5)),
        (composite(ERRORS, REST, most=20, errors=0, rest=0), 20, 20, (10, 10), (10, 10)),
    ],
    ids=["left out", "order", "no spill-over", "over 100 %", "equal share"],
)
def test_composite_where_the_collector_differs(
    rule: dict[str, Any], bad: int, fine: int, ours: tuple[int, int], theirs: tuple[int, int]
) -> None:
    assert burst(rule, bad, fine) == ours
    assert burst(rule, bad, fine, quirks=True) == theirs


def test_composite_spends_nothing_for_traces_that_are_dropped() -> None:
    noise = policy("drop", "noise", drop_sub_policy=[ERRORS])
    run = Run(composite(ALWAYS, most=5, all=100), noise)
    run.send(
        *[span(f"bad{i}", status="error") for i in range(9)], *[span(f"fine{i}") for i in range(5)]
    )
    run.wait(10)
    assert len(run.traces) == 5


def test_a_failing_part_of_a_composite_fails_the_policy() -> None:
    broken = policy(
        "ottl_condition", "broken", error_mode="propagate", span=["ParseJSON(name) == nil"]
    )
    rule = composite(policy("and", "a", and_sub_policy=[broken]), ALWAYS, most=9, order=["a"])
    run = Run(rule)
    run.send(span("t"))
    run.wait(10)
    assert not run.spans
    assert run.count("otelcol_processor_tail_sampling_sampling_policy_evaluation_error_total") == 1
