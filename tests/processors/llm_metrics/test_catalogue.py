"""Every metric of the catalogue, from what produces it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.exporters.prometheus.names import metric_name
from processors import semconv
from processors.batch import Batch
from processors.llm_metrics import check
from processors.llm_metrics.catalogue import LABELS, METRICS
from processors.ports import Context

from .support import (
    NOW,
    SECOND,
    connector,
    logs,
    metrics_batch,
    priced,
    read,
    resolved,
    span,
    total,
    traces,
)


def told(*spans: bytes, **settings: Any) -> dict[str, dict[Any, Any]]:
    """Return what the connector tells about these spans."""
    metrics = connector(settings)
    metrics.process(traces(spans))
    return read(metrics.tick(NOW))


def test_a_call_is_told_with_all_its_labels() -> None:
    metrics = connector()
    call = priced(
        app__llm__feature="answer",
        app__llm__tenant__id="acme",
        app__llm__prompt__template__version="v3",
        app__llm__prompt__template__sha="0123456789abcdef",
        app__llm__experiment__id="e1",
        app__llm__experiment__variant="b",
        app__llm__data_mode="test",
    )
    metrics.process(traces([span(call)], {"deployment.environment.name": "production"}))
    ((labels, count),) = read(metrics.tick(NOW))["llm_requests_total"].items()
    assert count == 1
    assert dict(labels) == {
        "environment": "production",
        "data_mode": "test",
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "feature": "answer",
        "tenant": "acme",
        "prompt_version": "v3",
        "prompt_sha": "0123456789ab",
        "variant": "e1:b",
        "status": "success",
    }


def test_what_nothing_tells_has_a_default() -> None:
    ((labels, _),) = told(span({semconv.APP_LLM_COST_STATUS: "priced"}))[
        "llm_requests_total"
    ].items()
    assert dict(labels) == {
        "environment": "unknown", "data_mode": "real", "provider": "unknown", "model": "unknown",
        "feature": "unknown", "tenant": "unknown", "status": "success",
    }  # fmt: skip


def test_tokens_are_summed_by_kind() -> None:
    call = priced(
        gen_ai__usage__cache_read__input_tokens=40,
        gen_ai__usage__cache_creation__input_tokens=10,
        gen_ai__usage__reasoning__output_tokens=5,
    )
    found = told(span(call), span(call))
    names = ("input", "output", "cache_read", "cache_write", "reasoning")
    assert [total(found, f"llm_{name}_tokens_total") for name in names] == [200, 40, 80, 20, 10]
    assert list(found["llm_cache_hit_ratio"].values()) == [(2, 0.8)]
    assert list(found["llm_request_input_tokens"].values()) == [(2, 200.0)]
    assert list(found["llm_request_output_tokens"].values()) == [(2, 40.0)]


def test_who_writes_to_a_cache_and_tells_of_no_reads_hit_nothing() -> None:
    found = told(span(priced(gen_ai__usage__cache_creation__input_tokens=10)), span(priced()))
    assert total(found, "llm_cache_write_tokens_total") == 10
    assert list(found["llm_cache_hit_ratio"].values()) == [(1, 0.0)]


@pytest.mark.parametrize("bad", ["many", -3, True])
def test_what_is_no_number_of_tokens_counts_nothing(bad: Any) -> None:
    found = told(span(priced(gen_ai__usage__input_tokens=bad)))
    assert total(found, "llm_input_tokens_total") == 0


def test_streamed_calls_have_three_timings() -> None:
    found = told(span(priced(app__llm__ttft_s=0.5, gen_ai__usage__output_tokens=21), seconds=2.5))
    assert [found[name] for name in ("llm_ttft_seconds",)] == [
        dict.fromkeys(found["llm_ttft_seconds"], (1, 0.5))
    ]
    assert list(found["llm_tpot_seconds"].values()) == [(1, 0.1)]
    assert list(found["llm_decode_tokens_per_second"].values()) == [(1, 10.5)]


@pytest.mark.parametrize(
    "call",
    [
        {"app__llm__ttft_s": 0.5, "gen_ai__usage__output_tokens": 1},
        {"app__llm__ttft_s": 3.0},
        {"app__llm__ttft_s": "soon"},
    ],
)
def test_a_rate_needs_tokens_after_the_first(call: dict[str, Any]) -> None:
    assert "llm_tpot_seconds" not in told(span(priced(**call), seconds=2.5))


def test_the_applications_own_latency_goes_before_the_spans() -> None:
    found = told(span(priced(app__llm__total_latency_s=7.5), seconds=2.5))
    assert list(found["llm_total_latency_seconds"].values()) == [(1, 7.5)]


def test_a_span_that_ends_before_it_starts_has_no_latency() -> None:
    assert "llm_total_latency_seconds" not in told(span(priced(), seconds=-1.0))


def test_a_span_that_does_not_say_when_it_began_has_no_latency() -> None:
    tool = {semconv.APP_LLM_SPAN_CLASS: "tool"}
    found = told(span(priced(), began_ns=0), span(tool, began_ns=0))
    assert "llm_total_latency_seconds" not in found
    assert [n for n, _ in found["llm_tool_duration_seconds"].values()] == [0]
    assert total(found, "llm_requests_total") == total(found, "llm_tool_calls_total") == 1


def test_estimates_and_reported_figures_never_mix_into_cost() -> None:
    found = told(
        span(priced(app__llm__cost__price_source="estimate", app__llm__cost_usd=0.5)),
        span(priced(app__llm__usage__reported_cost_usd=0.25, app__llm__cost_usd=0.125)),
    )
    assert total(found, "llm_cost_estimated_usd_total") == 0.5
    assert total(found, "llm_cost_reported_usd_total") == 0.25
    assert total(found, "llm_cost_usd_total") == 0.125
    assert list(found["llm_request_cost_usd"].values()) == [(1, 0.125)]


def test_a_cached_answer_costs_nothing_and_is_not_unpriced() -> None:
    found = told(span(priced(app__llm__cost__status="cached", app__llm__cost_usd=0.0)))
    assert total(found, "llm_input_tokens_total") == 100
    assert "llm_cost_usd_total" not in found
    assert "llm_unpriced_requests_total" not in found


def test_unpriced_calls_show_the_size_of_the_hole() -> None:
    call = priced(
        app__llm__cost__status="unpriced", app__llm__cost__reason="new", app__llm__cost_usd=None
    )
    found = told(span(call))
    assert total(found, "llm_unpriced_tokens_total") == 120
    assert total(found, "llm_unpriced_requests_total", reason="unknown_model") == 1


def test_more_than_int64_attodollars_are_no_problem() -> None:
    assert total(told(span(priced(app__llm__cost_usd=50.0))), "llm_cost_usd_total") == 50.0


def test_served_models_are_told_with_the_requested_ones() -> None:
    found = told(span(priced()), span(priced(error__type="x"), code=2))
    labels = {"request_model": "gpt-4o", "model": "gpt-4o-2024-08-06"}
    assert total(found, "llm_model_served_total", **labels) == 1


def test_a_failed_call_is_put_to_the_model_that_served_last() -> None:
    metrics = connector()
    failed = priced(gen_ai__response__model=None, error__type="timeout")
    metrics.process(traces([span(failed), span(priced()), span(failed, code=2)]))
    metrics.process(traces([span(priced(gen_ai__response__model="gpt-4o-2025"))]))
    metrics.process(traces([span(failed, code=2)]))
    found = read(metrics.tick(NOW))
    errors = {
        dict(labels)["model"]: n
        for labels, n in found["llm_requests_total"].items()
        if ("status", "timeout") in labels
    }
    assert errors == {"gpt-4o": 1, "gpt-4o-2024-08-06": 1, "gpt-4o-2025": 1}


@pytest.mark.parametrize(
    ("call", "code", "status", "error_class"),
    [
        ({}, 0, "success", None),
        ({}, 2, "error", "other"),
        ({"http__response__status_code": 429}, 2, "rate_limited", "rate_limit"),
        ({"http__response__status_code": 504}, 2, "timeout", "timeout"),
        ({"http__response__status_code": 401}, 2, "error", "auth"),
        ({"http__response__status_code": 418}, 2, "error", "bad_request"),
        ({"http__response__status_code": 502}, 2, "error", "server_error"),
        ({"http__response__status_code": 200}, 0, "success", None),
        ({"error__type": "429"}, 2, "rate_limited", "rate_limit"),
        ({"error__type": "RateLimitError"}, 2, "rate_limited", "rate_limit"),
        ({"error__type": "openai.APITimeoutError"}, 2, "timeout", "timeout"),
        ({"error__type": "DEADLINE_EXCEEDED"}, 2, "timeout", "timeout"),
        ({"error__type": "APIConnectionError"}, 2, "error", "network"),
        ({"error__type": "asyncio.CancelledError"}, 2, "error", "cancelled"),
        ({"error__type": "AuthenticationError"}, 2, "error", "auth"),
        ({"error__type": "InternalServerError"}, 2, "error", "server_error"),
        ({"error__type": "_OTHER"}, 0, "error", "other"),
        (
            {"http__response__status_code": 400, "error__type": "ContentFilter"},
            2,
            "error",
            "content_policy",
        ),
        ({"gen_ai__response__finish_reasons": ["error"]}, 0, "error", "other"),
        ({"gen_ai__response__finish_reasons": "stop"}, 0, "success", None),
    ],
)
def test_outcomes(call: dict[str, Any], code: int, status: str, error_class: str | None) -> None:
    found = told(span(priced(**call), code=code))
    assert total(found, "llm_requests_total", status=status) == 1
    if error_class is None:
        assert "llm_api_errors_total" not in found
    else:
        assert total(found, "llm_api_errors_total", error_class=error_class) == 1


def test_three_kinds_of_failure_have_three_counters() -> None:
    found = told(
        span(priced(app__llm__validation__error_class="schema")),
        span(priced(app__llm__guardrail__rejected=True)),
        span(priced(gen_ai__response__finish_reasons=["content_filter"])),
        span(priced(app__llm__validation__error_class="odd")),
    )
    assert total(found, "llm_validation_errors_total", error_class="schema") == 1
    assert total(found, "llm_validation_errors_total", error_class="other") == 1
    assert total(found, "llm_guardrail_rejections_total", source="policy") == 1
    assert total(found, "llm_guardrail_rejections_total", source="provider") == 1
    assert total(found, "llm_requests_total", status="success") == 4


def test_a_refused_bad_request_with_a_content_filter_is_content_policy() -> None:
    call = priced(
        http__response__status_code=400, gen_ai__response__finish_reasons=["content_filter"]
    )
    assert total(told(span(call)), "llm_api_errors_total", error_class="content_policy") == 1


def test_verdicts_on_a_span_above_the_call_count_too() -> None:
    above = {semconv.APP_LLM_SPAN_CLASS: "other", semconv.APP_LLM_VALIDATION_ERROR_CLASS: "enum"}
    found = told(span(above), span({**above, semconv.APP_LLM_VALIDATION_ERROR_CLASS: ""}))
    assert total(found, "llm_validation_errors_total", error_class="enum") == 1
    assert "llm_requests_total" not in found


@pytest.mark.parametrize(
    "call",
    [{"app__llm__refusal": True}, {"app__llm__refusal": "True"}, {"gen_ai__response__finish_reasons": ["refusal"]},
     {"gen_ai__response__finish_reasons": ["refusal"], "app__llm__refusal": True}],
)  # fmt: skip
def test_a_refusal_counts_once_however_it_is_told(call: dict[str, Any]) -> None:
    found = told(span(priced(app__llm__prompt__language="de-AT", **call)))
    assert total(found, "llm_refusals_total", language="de") == 1
    assert total(found, "llm_prompt_language_total", language="de") == 1
    assert total(found, "llm_requests_total", status="success") == 1


def test_budgets_of_tokens_and_expensive_conversations() -> None:
    call = priced(
        app__llm__budget_exceeded=True,
        app__llm__conversation__expensive=True,
        gen_ai__conversation__id="c1",
    )
    found = told(span(call), span(call))
    assert total(found, "llm_token_budget_exceeded_total") == 2
    assert total(found, "llm_expensive_conversations_total") == 1


def test_retries_are_the_attempts_after_the_first() -> None:
    again = priced(app__llm__request__external_id="r-1")
    found = told(span(again), span(again), span(again), span(priced(app__llm__retry_count=2)))
    assert total(found, "llm_retries_total") == 4


def test_attempts_that_each_tell_of_those_before_count_once() -> None:
    calls = [
        priced(app__llm__request__external_id="r-1", app__llm__retry_count=made)
        for made in range(3)
    ]
    assert total(told(*map(span, calls)), "llm_retries_total") == 2


@pytest.mark.parametrize("bad", [-3, True, "many", float("nan")])
def test_what_is_no_number_of_retries_counts_none(bad: Any) -> None:
    assert total(told(span(priced(app__llm__retry_count=bad))), "llm_retries_total") == 0


def test_tools_are_counted_and_timed() -> None:
    tool = {semconv.APP_LLM_SPAN_CLASS: "tool", semconv.GEN_AI_TOOL_NAME: "search"}
    found = told(
        span(tool, seconds=0.25),
        span(tool, seconds=0.5),
        span({**tool, "error.type": "boom"}, code=2),
    )
    assert total(found, "llm_tool_calls_total", tool="search", status="success") == 2
    assert total(found, "llm_tool_calls_total", tool="search", status="error") == 1
    assert [n for n, _ in found["llm_tool_duration_seconds"].values()] == [3]


def test_a_tool_that_is_called_again_is_told_again() -> None:
    metrics = connector()
    tool = {semconv.APP_LLM_SPAN_CLASS: "tool", semconv.GEN_AI_TOOL_NAME: "search"}
    counts = []
    for second in range(2):
        metrics.process(traces([span(tool)]))
        counts.append(total(read(metrics.tick(NOW + second * SECOND)), "llm_tool_calls_total"))
    assert counts == [1, 2]


def test_a_tool_by_an_edited_class_and_backwards_in_time_is_still_counted() -> None:
    metrics = connector()
    batch = traces([span({semconv.GEN_AI_TOOL_NAME: "search"}, seconds=-1.0)])
    for one in batch.spans():
        one.set(semconv.APP_LLM_SPAN_CLASS, "tool")
    metrics.process(batch)
    found = read(metrics.tick(NOW))
    assert total(found, "llm_tool_calls_total") == 1
    assert list(found["llm_tool_duration_seconds"].values()) == [(0, 0.0)]


def test_a_tool_is_called_what_was_written_last() -> None:
    metrics = connector()
    batch = traces([span({semconv.APP_LLM_SPAN_CLASS: "tool"})])
    for one in batch.spans():
        one.set(semconv.GEN_AI_TOOL_NAME, "search")
    metrics.process(batch)
    assert total(read(metrics.tick(NOW)), "llm_tool_calls_total", tool="search") == 1


def test_very_many_tool_names_are_folded() -> None:
    tools = [
        span({semconv.APP_LLM_SPAN_CLASS: "tool", semconv.GEN_AI_TOOL_NAME: f"t{n}"})
        for n in range(5000)
    ]
    found = told(*tools)
    assert len(found["llm_tool_calls_total"]) == LABELS["tool"].limit + 1  # type: ignore[operator] # open
    assert total(found, "llm_tool_calls_total") == 5000


def evaluation(score: Any, name: str = "relevance") -> dict[str, Any]:
    return {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": score}


def test_evaluation_results_pass_or_fail() -> None:
    events = [
        ("gen_ai.evaluation.result", 1, evaluation(score)) for score in (0.8, 0.79, 1, "high")
    ]
    found = told(span(priced(), events=events))
    assert total(found, "llm_eval_samples_total", result="pass") == 2
    assert total(found, "llm_eval_samples_total", result="fail") == 1
    assert [n for n, _ in found["llm_eval_score"].values()] == [3]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 1e300, True])
def test_what_is_no_score_spoils_no_sum(score: Any) -> None:
    events = [("gen_ai.evaluation.result", 1, evaluation(one)) for one in (0.5, score)]
    found = told(span(priced(), events=events))
    assert list(found["llm_eval_score"].values()) == [(1, 0.5)]
    assert total(found, "llm_eval_samples_total") == 1


def test_a_sum_of_scores_never_falls() -> None:
    events = [("gen_ai.evaluation.result", 1, evaluation(score)) for score in (0.5, -1.0)]
    found = told(span(priced(), events=events))
    assert list(found["llm_eval_score"].values()) == [(2, 0.5)]
    assert total(found, "llm_eval_samples_total", result="fail") == 2


VERDICTS = {"app.llm.validation.error_class": "schema", "app.llm.guardrail.rejected": True}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (priced(**VERDICTS), {"app.llm.cost.status": None, semconv.APP_LLM_COST_SKIP_REASON: "duplicate_delivery"}),
        ({semconv.APP_LLM_SPAN_CLASS: "tool", **VERDICTS}, {}),
        ({semconv.APP_LLM_SPAN_CLASS: "other", **VERDICTS}, {}),
    ],
    ids=["call", "tool", "above"],
)  # fmt: skip
def test_what_a_span_says_counts_once_however_often_it_is_delivered(
    first: dict[str, Any], again: dict[str, Any]
) -> None:
    events = [("gen_ai.evaluation.result", 1, evaluation(0.9))]
    before, after = connector(), connector()
    batch = traces([span(first, events=events)])
    repeated = Batch(batch.signal, batch.encode(), received_ns=NOW)
    for one in repeated.spans():
        for key, value in again.items():
            one.remove(key) if value is None else one.set(key, value)
    before.process(batch)
    once = read(before.tick(NOW))
    after.adopt(before)
    after.process(repeated)
    assert read(after.tick(NOW)) == once
    assert total(once, "llm_validation_errors_total") == 1
    assert total(once, "llm_eval_samples_total") == 1


def test_what_passes_is_configurable() -> None:
    event = ("gen_ai.evaluation.result", 1, evaluation(0.6))
    found = told(span(priced(), events=[event]), evaluation_pass_score=0.5)
    assert total(found, "llm_eval_samples_total", result="pass") == 1


def test_votes_of_users_are_no_evaluations() -> None:
    events = [
        ("gen_ai.evaluation.result", 1, evaluation(score, "user_feedback")) for score in (1, 0)
    ]
    found = told(span({semconv.APP_LLM_SPAN_CLASS: "other"}, events=events))
    assert total(found, "llm_user_feedback_total", result="positive") == 1
    assert total(found, "llm_user_feedback_total", result="negative") == 1
    assert "llm_eval_samples_total" not in found


def test_gaps_between_chunks_come_from_their_events() -> None:
    chunks = [("llm.content.completion.chunk", NOW + at * 10**8, {}) for at in (0, 3, 1)]
    found = told(span(priced(), events=[*chunks, ("other", 1, {})]))
    assert [n for n, _ in found["llm_streaming_chunk_gap_seconds"].values()] == [2]


def test_a_chunk_without_a_time_is_at_no_distance_from_others() -> None:
    events = [("llm.content.completion.chunk", when, {}) for when in (0, NOW, NOW + 10**7)]
    found = told(span(priced(), events=events))
    assert list(found["llm_streaming_chunk_gap_seconds"].values()) == [(1, 0.01)]


def test_log_records_count_as_calls_and_carry_evaluations() -> None:
    metrics = connector()
    metrics.process(
        logs([(priced(), {}), (priced(error__type="timeout"), {"severity_number": 17}),
              (evaluation(1.0), {"event_name": "gen_ai.evaluation.result"}),
              ({"event.name": "gen_ai.evaluation.result", **evaluation(0.1)}, {}), ({}, {})])
    )  # fmt: skip
    found = read(metrics.tick(NOW))
    assert total(found, "llm_requests_total") == 2
    assert total(found, "llm_requests_total", status="timeout") == 1
    assert total(found, "llm_eval_samples_total") == 2
    assert "llm_total_latency_seconds" not in found


@pytest.mark.parametrize(
    ("left", "limit", "kind", "ratio"),
    [
        ("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "rpm", 0.25),
        (
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-limit",
            "input_tpm",
            0.25,
        ),
    ],
)
def test_what_is_left_of_a_quota(left: str, limit: str, kind: str, ratio: float) -> None:
    header = "http.response.header."
    call = {**priced(), header + left: ["250"], header + limit: "1000"}
    assert total(told(span(call)), "llm_provider_quota_remaining_ratio", kind=kind) == ratio


@pytest.mark.parametrize(
    ("left", "limit"),
    [("many", 1000), (5, 0), ([], 10), (True, 10), (5.5, 10), (-5, 10), ("-5", 10), (5, -10)],
)
def test_headers_that_are_no_numbers_tell_nothing(left: Any, limit: Any) -> None:
    header = "http.response.header.x-ratelimit-"
    call = {**priced(), f"{header}remaining-tokens": left, f"{header}limit-tokens": limit}
    assert "llm_provider_quota_remaining_ratio" not in told(span(call))


def test_versions_of_services() -> None:
    metrics = connector()
    resource = {
        "service.name": "bot",
        "service.version": "1.2",
        "deployment.environment": "staging",
    }
    metrics.process(traces([span({})], resource))
    found = read(metrics.tick(NOW))
    assert found["llm_service_info"] == {
        (
            ("environment", "staging"),
            ("data_mode", "real"),
            ("service", "bot"),
            ("version", "1.2"),
        ): 1.0
    }


def test_budgets_and_features_of_the_configuration() -> None:
    settings = {
        "budgets": [
            {
                "environment": "production",
                "period": "day",
                "usd": 40,
                "scope": "feature",
                "name": "answer",
            }
        ],
        "features": {"answer": {"team": "assist"}},
    }
    found = read(connector(settings).tick(NOW))
    assert list(found["llm_budget_usd"].values()) == [40.0]
    assert total(found, "llm_feature_info", feature="answer", team="assist", tier="standard") == 1


def test_budgets_that_contradict_each_other_are_refused() -> None:
    one = {"environment": "production", "period": "day", "usd": 40}
    settings = resolved(
        {"budgets": [one, {**one, "usd": 50}, {**one, "period": "month", "name": "answer"}]}
    )
    assert [finding.path for finding in check(settings, Context(id="m"))] == [
        "budgets[1]",
        "budgets[2].name",
    ]


def test_applications_own_metrics_get_the_common_labels() -> None:
    metrics = connector()
    resource = {"deployment.environment.name": "production", "app.llm.data_mode": "demo"}
    batch = metrics_batch(["llm.queue_depth", "app.requests"], resource)
    raw = batch.raw
    passed = metrics.process(batch)
    assert passed is not None
    found = read([passed])
    assert found["llm.queue_depth"] == {(("data_mode", "mine"), ("environment", "production")): 3}
    assert found["app.requests"] == {(("data_mode", "mine"),): 3}
    assert batch.encode() is raw


@pytest.mark.parametrize("unit", ["1", "requests", "{request}"])
def test_applications_own_metrics_are_shown_by_the_names_of_the_catalogue(unit: str) -> None:
    passed = connector().process(metrics_batch(["llm.queue_depth", "app.depth"], {}, unit=unit))
    assert passed is not None
    request = ExportMetricsServiceRequest.FromString(passed.encode())
    ours, theirs = request.resource_metrics[0].scope_metrics[0].metrics
    assert metric_name(ours.name, ours.unit, "gauge", "", suffixes=True) == "llm_queue_depth"
    assert theirs.unit == unit


def test_a_metric_without_data_passes() -> None:
    metrics = connector()
    assert metrics.process(metrics_batch(["llm.queue_depth"], {}, empty=True)) is not None


def test_names_and_labels_are_consistent() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert {label for metric in METRICS for label in metric.labels} <= set(LABELS)
    assert all(list(metric.buckets) == sorted(set(metric.buckets)) for metric in METRICS)


def test_times_go_with_the_pipelines_clock() -> None:
    metrics = connector()
    metrics.process(traces([span(priced())], now_ns=NOW))
    (batch,) = metrics.tick(NOW + SECOND)
    assert batch.received_ns == NOW + SECOND
