"""What is refused at start, in contrib's words, and what `validate` warns of."""

from __future__ import annotations

from typing import Any

import pytest

from processors.errors import InvalidConfig
from processors.ports import Context
from processors.tail_sampling import build

from .support import ALWAYS, ERRORS, found, keeps, policy, settings, span


@pytest.mark.parametrize(
    ("policies", "options", "line"),
    [
        (
            [ALWAYS, {**ERRORS, "name": "all"}], {},
            'policies[1].name: duplicate policy name "all"',
        ),
        (
            [ERRORS], {"sampling_strategy": "eager"},
            'sampling_strategy: invalid sampling_strategy "eager", expected one of "trace-complete" or "span-ingest"',
        ),
        (
            [policy("status_code", "a", status_codes=["OK", "ERR"])], {},
            'policies[0].status_code.status_codes: failed to create policy evaluator for "a": '
            'unknown status code "ERR", supported: OK, ERROR, UNSET',
        ),
        (
            [policy("status_code", "a")], {},
            'policies[0].status_code.status_codes: failed to create policy evaluator for "a": '
            "expected at least one status code to filter on",
        ),
        (
            [policy("not", "a")], {},
            'policies[0].not.not_sub_policy: failed to create policy evaluator for "a": '
            "unknown sampling policy type: expected a policy to turn round, got none",
        ),
        (
            [policy("numeric_attribute", "a", key="k")], {},
            'policies[0].numeric_attribute: failed to create policy evaluator for "a": '
            "expected min_value or max_value, got neither",
        ),
        (
            [policy("trace_cost", "a")], {},
            'policies[0].trace_cost: failed to create policy evaluator for "a": '
            "expected min_usd or max_usd, got neither; without a bound every trace would match",
        ),
        (
            [policy("trace_tokens", "a", min_tokens=3, max_tokens=2)], {},
            'policies[0].trace_tokens: failed to create policy evaluator for "a": '
            "expected min_tokens <= max_tokens, got 3 and 2",
        ),
        (
            [policy("probabilistic", "a", mode="equalizing", hash_salt="x")], {},
            'policies[0].probabilistic.hash_salt: failed to create policy evaluator for "a": '
            "expected no hash_salt with mode: equalizing, which takes its randomness from the trace id",
        ),
        (
            [policy("ottl_condition", "a", error_mode="ignore")], {},
            'policies[0].ottl_condition: failed to create policy evaluator for "a": '
            "expected at least one OTTL condition to filter on",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    policies: list[dict[str, Any]], options: dict[str, Any], line: str
) -> None:
    assert [each for each in found(*policies, **options) if not each.startswith("!")] == [line]
    with pytest.raises(InvalidConfig):
        build(settings(*policies, **options), Context(id="tail_sampling"))


def test_a_pattern_that_is_none_is_refused_with_its_reason() -> None:
    rule = policy(
        "string_attribute", "a", key="k", values=["ok", "a(b"], enabled_regex_matching=True
    )
    (line,) = [each for each in found(rule) if not each.startswith("!")]
    assert "invalid regex `a(b`: error parsing regexp: missing closing ): `a(b`" in line


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("[a", "missing closing ]: `[a`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
        ("a\\", "trailing backslash at end of expression"),
        (r"\8", r"invalid escape sequence: `\8`"),
    ],
)
def test_patterns_are_refused_in_the_words_of_go(pattern: str, sentence: str) -> None:
    rule = policy("string_attribute", "a", key="k", values=[pattern], enabled_regex_matching=True)
    (line,) = [each for each in found(rule) if not each.startswith("!")]
    assert line.endswith(f"error parsing regexp: {sentence}")


def test_bounds_between_which_nothing_lies_keep_nothing_and_are_told() -> None:
    rule = number(min_value=2, max_value=1)
    assert "!policies[0].numeric_attribute: No number lies between" in "\n".join(found(rule))
    assert not keeps(rule, span("t", "a", {"k": 1}), span("t", "b", {"k": 2}))
    turned = policy("numeric_attribute", "n", key="k", min_value=2, max_value=1, invert_match=True)
    assert keeps(turned, span("t", "a", {"k": 2}))


@pytest.mark.parametrize(
    ("rule", "stateful"),
    [
        (policy("latency", "p", threshold_ms=1, upper_threshold_ms=2), True),
        (policy("latency", "p", threshold_ms=1), False),
        (policy("span_count", "p", max_spans=2), True),
        (policy("span_count", "p", min_spans=2), False),
        (policy("rate_limiting", "p", spans_per_second=1), True),
        (
            policy(
                "and", "p", and_sub_policy=[ERRORS, policy("bytes_limiting", bytes_per_second=1)]
            ),
            True,
        ),
        (policy("not", "p", not_sub_policy=policy("span_count", max_spans=2)), True),
        (policy("drop", "p", drop_sub_policy=[policy("span_count", max_spans=2)]), True),
        (policy("composite", "p", composite_sub_policy=[ERRORS]), False),
        (policy("composite", "p", composite_sub_policy=[policy("span_count", max_spans=2)]), True),
        (policy("probabilistic", "p", sampling_percentage=1), False),
        (policy("latency", "p", upper_threshold_ms=5), True),
        (policy("latency", "p", upper_threshold_ms=-5), False),
        (policy("span_count", "p", max_spans=-1), False),
    ],
)
@pytest.mark.parametrize("quirks", [False, True])
def test_span_ingest_needs_stateless_policies(
    rule: dict[str, Any], stateful: bool, quirks: bool
) -> None:
    lines = found(rule, sampling_strategy="span-ingest", quirks=quirks)
    text = 'requires all policies to be stateless, but policy "p" is stateful'
    assert any(text in line for line in lines) is stateful


def number(key: str = "k", **bounds: float) -> dict[str, Any]:
    return policy("numeric_attribute", "n", key=key, **bounds)


@pytest.mark.parametrize(
    ("rule", "options", "path", "words"),
    [
        (number(min_value=1.9), {}, "policies[1].numeric_attribute.min_value", "cuts this bound to 1"),
        (number(max_value=0), {}, "policies[1].numeric_attribute.max_value", "takes it for none"),
        (number("app.llm.cost_usd", min_value=1), {}, "policies[1].numeric_attribute.min_value", "double"),
        (policy("latency", "l", upper_threshold_ms=5), {}, "policies[1].latency.upper_threshold_ms", "after each span"),
        (policy("boolean_attribute", "b", key="k"), {}, "policies[1].boolean_attribute.value", "count as false"),
        (
            policy("and", "a", and_sub_policy=[policy("rate_limiting", spans_per_second=1), ERRORS]), {},
            "policies[1].and.and_sub_policy[0]", "spends only for traces that are kept",
        ),
        (
            policy("drop", "d", drop_sub_policy=[policy("boolean_attribute", key="k")]), {},
            "policies[1].drop.drop_sub_policy[0].boolean_attribute.value", "count as false",
        ),
        (
            policy("not", "n", not_sub_policy=policy("latency", upper_threshold_ms=5)), {},
            "policies[1].not.not_sub_policy.latency.upper_threshold_ms", "after each span",
        ),
        (
            policy("composite", "c", composite_sub_policy=[ERRORS, ALWAYS], policy_order=["all"],
                   rate_allocation=[{"policy": "all", "percent": 120}]), {},
            "policies[1].composite.policy_order", "in this order",
        ),
        (
            policy("composite", "c", composite_sub_policy=[ERRORS, ALWAYS],
                   rate_allocation=[{"policy": "all", "percent": 120}]), {},
            "policies[1].composite.rate_allocation", "more than 100 percent",
        ),
        (
            policy("composite", "c", composite_sub_policy=[ERRORS, ALWAYS]), {},
            "policies[1].composite.rate_allocation", "gets an equal share",
        ),
        (
            policy("drop", "d", drop_sub_policy=[number(min_value=1)]), {"sampling_strategy": "span-ingest"},
            "sampling_strategy", "none of them",
        ),
    ],
)  # fmt: skip
def test_a_warning_names_each_place_that_means_something_else(
    rule: dict[str, Any], options: dict[str, Any], path: str, words: str
) -> None:
    lines = found(ERRORS, rule, **options)
    assert any(line.startswith(f"!{path}: ") and words in line for line in lines), lines
    assert not any(words in line for line in found(ERRORS, rule, quirks=True, **options))


@pytest.mark.parametrize(
    ("policies", "options", "path", "words"),
    [
        ([], {}, "policies", "no trace is kept"),
        ([number(min_value=1)], {}, "policies", "No policy keeps traces with errors"),
        ([ERRORS], {"num_shards": 4}, "num_shards", "more processes"),
        ([ERRORS], {"expected_new_traces_per_sec": 4}, "expected_new_traces_per_sec", "Ignored"),
        ([ERRORS], {"decision_wait": 10}, "decision_wait", "nanoseconds"),
        (
            [ERRORS, policy("probabilistic", sampling_percentage=1)], {"record": {"tracestate": True}},
            "policies[1].probabilistic.mode", "without a threshold",
        ),
    ],
)  # fmt: skip
def test_a_warning_names_what_does_not_help(
    policies: list[dict[str, Any]], options: dict[str, Any], path: str, words: str
) -> None:
    lines = found(*policies, **options)
    assert any(line.startswith(f"!{path}: ") and words in line for line in lines), lines


def test_the_usual_policies_raise_no_doubt() -> None:
    assert not found(
        ERRORS,
        policy("latency", "slow", threshold_ms=5000),
        policy("trace_cost", "expensive", min_usd=0.1),
        policy("probabilistic", "baseline", sampling_percentage=1, mode="equalizing"),
        record={"attributes": True, "tracestate": True},
    )
