"""`llm-errors`: three kinds of errors that are never mixed, and the health of each provider."""

from __future__ import annotations

from typing import Any, Final

from grafana.build.boards.shared import recent_failures, traceql
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    OK,
    PROMPT,
    C,
    E,
    F,
    P,
    S,
    T,
    by_label,
    increase,
    one,
    positive,
    quantile,
    rate,
    ratio,
    share_by,
)

_ALL: Final = rate("llm_requests_total", C, "provider")
_WHO: Final = "environment, feature, tenant"


def _status(title: str, matcher: str, **rest: Any) -> Panel:
    part = rate("llm_requests_total", f"{C},status{matcher}", "provider")
    return Panel(
        title=title,
        viz="timeseries",
        unit="percentunit",
        queries=by_label(share_by(part, _ALL), "provider"),
        **rest,
    )


_API: Final = Row(
    title="API",
    panels=(
        _status(
            "API error ratio by provider",
            '!="success"',
            why="A provider's outage?",
            act="One provider: its status page, then fail over. All: our network, keys or a release.",
            links=("llm-investigate",),
            thresholds={"green": None, "yellow": 0.02, "red": 0.05},
            runbook="error-rate",
        ),
        Panel(
            title="API errors by class",
            viz="timeseries",
            unit="reqps",
            why="429, 5xx, 4xx or timeout?",
            act="429: throttle. 5xx and timeout: fail over. 4xx: a release of ours.",
            queries=by_label(
                rate("llm_api_errors_total", F, "provider, error_class"), "provider, error_class"
            ),
            links=("llm-investigate",),
            runbook="error-rate",
            stacked=True,
        ),
        _status(
            "429 ratio",
            '="rate_limited"',
            why="Are we rate limited?",
            act="Above 1 % slow down what can wait; above 5 % users notice.",
            links=("llm-tokens",),
            thresholds={"green": None, "yellow": 0.01, "red": 0.05},
            runbook="rate-limit",
        ),
        Panel(
            title="Retries per call",
            viz="timeseries",
            unit="suffix:x",
            why="A retry storm? Each attempt is billed.",
            act="More than 0.1: back off for longer, and cap attempts.",
            queries=by_label(ratio(rate("llm_retries_total", F, "provider"), _ALL), "provider"),
            links=("llm-investigate",),
            runbook="rate-limit",
        ),
    ),
)

_FAILED: Final = rate("llm_requests_total", f'{C},status!="success"', _WHO, window="$__range")
_CALLED: Final = rate("llm_requests_total", C, _WHO, window="$__range")
_AFFECTED: Final = Panel(
    title="Who is affected: failed calls by feature and tenant",
    viz="table",
    unit="percentunit",
    why="Everybody, or one customer with a key or an input of its own? Users, or a test in another environment?",
    act="One tenant: tell it, limit it. One feature: its release. Everybody: the provider, one row above.",
    queries=(
        Query(
            expr=f"topk(20, {_FAILED} / {positive(_CALLED)})",
            legend="failed",
            thresholds={"green": None, "yellow": 0.02, "red": 0.05},
        ),
        Query(
            expr=f"round({increase('llm_requests_total', C, _WHO)})"
            f" and on ({_WHO}) topk(20, {_FAILED} / {positive(_CALLED)})",
            legend="calls",
            unit="locale",
        ),
    ),
    links=("llm-focus-tenant", "llm-focus-feature"),
    runbook="error-rate",
    width=24,
    empty="–",
)

_PROVIDERS: Final = Row(
    title="Provider health",
    panels=(
        Panel(
            title="Success ratio by provider and model",
            viz="table",
            unit="percentunit",
            why="Which provider and model is unhealthy right now?",
            act="A failed call counts to the model that usually serves it, so one row tells the whole story.",
            queries=one(
                ratio(
                    rate("llm_requests_total", C + OK, "provider, model", window="$__range"),
                    rate("llm_requests_total", C, "provider, model", window="$__range"),
                )
            ),
            links=("llm-investigate",),
            thresholds={"red": None, "yellow": 0.98, "green": 0.995},
            runbook="provider-outage",
            value_name="success",
            width=8,
        ),
        Panel(
            title="Server errors and timeouts by provider",
            viz="timeseries",
            unit="percentunit",
            why="Is it the provider that fails, not we?",
            act="Above half of the calls: an outage. Fail over, tell the users, then the provider.",
            queries=by_label(
                share_by(
                    rate(
                        "llm_api_errors_total",
                        f'{F},error_class=~"server_error|timeout|network"',
                        "provider",
                    ),
                    rate("llm_requests_total", F, "provider"),
                ),
                "provider",
            ),
            links=("llm-investigate",),
            thresholds={"green": None, "yellow": 0.1, "red": 0.5},
            runbook="provider-outage",
        ),
        Panel(
            title="Total latency p95 by provider",
            viz="timeseries",
            unit="s",
            why="Slow before it fails?",
            act="Latency rises minutes before errors do: prepare the failover.",
            queries=one(quantile(0.95, "llm_total_latency_seconds", S, "provider"), "{{provider}}"),
            links=("llm-latency",),
            runbook="provider-outage",
            exemplars=True,
        ),
        _AFFECTED,
    ),
)

_VALIDATION: Final = Row(
    title="Validation",
    panels=(
        Panel(
            title="Validation errors by class",
            viz="timeseries",
            unit="reqps",
            why="The prompt owner's page: what is wrong with the answers?",
            act="json_parse after a prompt change: the prompt. Without one: the served model changed.",
            queries=by_label(
                rate("llm_validation_errors_total", P, "feature, error_class"),
                "feature, error_class",
            ),
            links=("llm-focus-prompt",),
            runbook="quality-drop",
            stacked=True,
        ),
        Panel(
            title="Validation ratio by prompt",
            viz="timeseries",
            unit="percentunit",
            why="Is the new prompt version worse?",
            act="Twice the old version's ratio over 100 calls: roll back.",
            queries=by_label(
                ratio(
                    rate("llm_validation_errors_total", P, PROMPT),
                    rate("llm_requests_total", C + OK, PROMPT),
                ),
                PROMPT,
            ),
            links=("llm-focus-prompt",),
            runbook="quality-drop",
        ),
    ),
)

_GUARDRAILS: Final = Row(
    title="Guardrails",
    panels=(
        Panel(
            title="Guardrail rejections by source",
            viz="timeseries",
            unit="reqps",
            why="The provider's filter or our policy?",
            act="A small constant rate is normal; three times yesterday's is not.",
            queries=by_label(
                rate("llm_guardrail_rejections_total", P, "feature, source"), "feature, source"
            ),
            links=("llm-investigate",),
            runbook="refusal-spike",
        ),
        Panel(
            title="Guardrail ratio by prompt",
            viz="timeseries",
            unit="percentunit",
            why="Is it one prompt that is rejected?",
            act="One sha far above its feature's others: roll it back. All of them: the policy or the inputs changed.",
            queries=by_label(
                ratio(
                    rate("llm_guardrail_rejections_total", P, PROMPT),
                    rate("llm_requests_total", C, PROMPT),
                ),
                PROMPT,
            ),
            links=("llm-focus-prompt",),
            runbook="refusal-spike",
        ),
        Panel(
            title="Refusal ratio by feature",
            viz="timeseries",
            unit="percentunit",
            why="All features (the provider's policy) or one (its inputs)?",
            act="Read ten refusals below before changing anything.",
            queries=by_label(
                ratio(
                    rate("llm_refusals_total", P, "feature"),
                    rate("llm_requests_total", C + OK, "feature"),
                ),
                "feature",
            ),
            links=("llm-focus-feature",),
            runbook="refusal-spike",
        ),
        Panel(
            title="Refusal ratio by language",
            viz="timeseries",
            unit="percentunit",
            why="Concentrated in one language?",
            act="A new language that refuses more: the prompt needs examples in it.",
            queries=by_label(
                ratio(
                    rate("llm_refusals_total", P, "language"),
                    rate("llm_prompt_language_total", E, "language"),
                ),
                "language",
            ),
            links=("llm-drift",),
            runbook="refusal-spike",
        ),
        Panel(
            title="Token-budget breaches",
            viz="timeseries",
            unit="reqps",
            why="Which prompts exceed their token budget? This catches most bugs first.",
            act="A loop, a document in the prompt, or a budget that was never right.",
            queries=by_label(rate("llm_token_budget_exceeded_total", P, PROMPT), PROMPT),
            links=("llm-focus-prompt",),
            runbook="cost-spike",
        ),
    ),
)

_THROTTLED: Final = traceql(
    "429 by region and address (kept traces only)",
    f"{{ {T} && (span.http.response.status_code = 429 || span.error.type =~ `(?i).*(429|rate.?limit).*`) }}"
    " | count_over_time() by (resource.cloud.region, span.server.address)",
    why="Which region or endpoint is throttled? Regions are no label of the metrics.",
    act="One of them: route around it or ask for quota there. All: the whole account is over its limit.",
    runbook="rate-limit",
    unit="short",
)

_SAMPLES: Final = Row(
    title="Samples",
    panels=(
        recent_failures(),
        _THROTTLED,
        traceql(
            "Refusal samples (read ten)",
            f"{{ {T} && span.app.llm.refusal = true }}"
            " | select(span.app.llm.feature, span.app.llm.prompt.language, span.gen_ai.response.model)",
            why="Are the refusals reasonable?",
            act="Reasonable: nothing. Not: adjust the prompt, or ask the provider.",
            runbook="refusal-spike",
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-errors",
    title="LLM errors",
    about="API, validation and guardrail errors, each on its own, and the health of each provider.",
    rows=(_API, _PROVIDERS, _VALIDATION, _GUARDRAILS, _SAMPLES),
)
