"""`llm-overview`: three tiers, for the executive, the operator, the incident."""

from __future__ import annotations

from typing import Final

from grafana.build.boards.moved import MOVED
from grafana.build.boards.shared import (
    most_expensive_calls,
    quota_used,
    recent_failures,
    slowest_calls,
)
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    OK,
    C,
    E,
    M,
    N,
    P,
    S,
    by_label,
    increase,
    one,
    quantile,
    quantiles,
    rate,
    ratio,
    share,
)

_SERVICE: Final = 'sloth_service=~"$slo_service"'
_REQUESTS: Final = rate("llm_requests_total", C)
_DAY: Final = f"increase(llm_cost_usd_total{{{C}}}[1d])"


def _success(title: str, window: str, why: str, act: str) -> Panel:
    good = rate("llm_requests_total", C + OK, window=window)
    return Panel(
        title=title,
        viz="stat",
        unit="percentunit",
        why=why,
        act=act,
        queries=one(ratio(good, rate("llm_requests_total", C, window=window))),
        links=("llm-errors",),
        thresholds={"red": None, "yellow": 0.98, "green": 0.995},
        width=5,
        runbook="error-rate",
        single=True,
    )


_OKAY: Final = Row(
    title="Are we okay?",
    panels=(
        _success(
            "Success ratio",
            "$__range",
            "Are calls succeeding in this range?",
            "Below 99.5 % open the errors board: it says which provider and which class of error.",
        ),
        _success(
            "Success now (5 min)",
            "5m",
            "Does it still go on, or is it over? The range on the left remembers what has passed.",
            "Green beside a red range: it is over, take your time. Red: contain first, explain after.",
        ),
        Panel(
            title="Spend in range",
            viz="stat",
            unit="currencyUSD",
            why="What did this range cost?",
            act="Compare with the same range yesterday (link in the header); then ask the cost board who spends.",
            queries=one(increase("llm_cost_usd_total", C)),
            links=("llm-cost",),
            width=4,
            runbook="cost-spike",
            single=True,
        ),
        Panel(
            title="Firing alerts by severity",
            viz="stat",
            unit="short",
            why="Is somebody being paged?",
            act="Any page: open the investigation board and begin at its first row.",
            queries=tuple(
                Query(
                    expr='count(ALERTS{alertstate="firing",alertname=~"LLM.*",'
                    f'severity="{severity}"}}) or vector(0)',
                    legend=severity,
                    thresholds={"green": None, colour: 1},
                )
                for severity, colour in (
                    ("page", "red"),
                    ("ticket", "orange"),
                    ("warning", "yellow"),
                )
            ),
            links=("llm-investigate",),
            width=6,
            runbook="watchdog",
        ),
        Panel(
            title="Data freshness",
            viz="stat",
            unit="s",
            why="May I trust this board now?",
            act="Above 300 s the figures here are old: look at the collector first, not at the application.",
            queries=one(
                "time() - max by (signal) (llm_freshness_last_success_timestamp_seconds)",
                "{{signal}}",
            ),
            links=("llm-collector",),
            thresholds={"green": None, "yellow": 300, "red": 900},
            width=4,
            runbook="freshness",
        ),
    ),
)

_OBJECTIVES: Final = Row(
    title="Objectives and the week",
    panels=(
        Panel(
            title="Error budget left (SLO traffic lights)",
            viz="stat",
            unit="percentunit",
            why="Which objective has spent its error budget?",
            act="Red is a spent budget: stop risky changes of that feature. Yellow is less than a quarter left.",
            queries=one(
                "max by (sloth_service, sloth_slo) "
                f"(slo:period_error_budget_remaining:ratio{{{_SERVICE}}})",
                "{{sloth_slo}}",
            ),
            links=("llm-slo",),
            thresholds={"red": None, "yellow": 0, "green": 0.25},
            runbook="error-rate",
            width=12,
        ),
        Panel(
            title="Burn rate now (1 h)",
            viz="stat",
            unit="suffix:x",
            why="How fast is the budget going, and is it rising?",
            act="Above 14.4 two percent of the month's budget go in an hour: page. Above 1 it ends before the month.",
            queries=one(
                "max by (sloth_service, sloth_slo) "
                f"(slo:sli_error:ratio_rate1h{{{_SERVICE}}}"
                " / on (sloth_id, sloth_slo, sloth_service) group_left() slo:error_budget:ratio)",
                "{{sloth_slo}}",
            ),
            links=("llm-slo",),
            thresholds={"green": None, "yellow": 1, "red": 14.4},
            runbook="error-rate",
            width=12,
        ),
        Panel(
            title="Spend per day, last 7 days, with trend",
            viz="barchart",
            unit="currencyUSD",
            why="Is daily spend going up?",
            act="Bars above the mean for two days in a row: find the feature that grew, one panel below.",
            queries=(
                Query(expr=f"sum({_DAY})", legend="per day"),
                Query(expr=f"avg_over_time((sum({_DAY}))[7d:1d])", legend="7 d mean"),
            ),
            links=("llm-cost",),
            runbook="cost-spike",
            width=24,
            time_from="7d",
            min_step="1d",
        ),
    ),
)

_UNCACHED: Final = (
    f"clamp_min({rate('llm_input_tokens_total', C)}"
    f" - ({rate('llm_cache_read_tokens_total', C)} or vector(0))"
    f" - ({rate('llm_cache_write_tokens_total', C)} or vector(0)), 0)"
)

_MOVING: Final = Row(
    title="What is moving?",
    panels=(
        Panel(
            title="TTFT p50 / p95 / p99 by feature",
            viz="timeseries",
            unit="s",
            why="Is the chat responsive?",
            act="Below 0.5 s feels instant, above 2 s broken. One feature: its prompt or input; all: the provider.",
            queries=quantiles("llm_ttft_seconds", S, "feature"),
            links=("llm-latency", "llm-investigate"),
            thresholds={"green": None, "yellow": 0.5, "red": 2},
            runbook="latency-spike",
            exemplars=True,
        ),
        Panel(
            title="Total latency p50 / p95 / p99 by feature",
            viz="timeseries",
            unit="s",
            why="Are whole calls slow?",
            act="With a flat TTFT the answers grew longer or decoding slowed down: see the latency board.",
            queries=quantiles("llm_total_latency_seconds", S, "feature"),
            links=("llm-latency", "llm-investigate"),
            thresholds={"green": None, "yellow": 8, "red": 15},
            runbook="latency-spike",
            exemplars=True,
        ),
        Panel(
            title="Cost per feature (USD/h, stacked)",
            viz="timeseries",
            unit="currencyUSD",
            why="Which feature spends now?",
            act="Click the one that grew; its board splits it by prompt, tenant and model.",
            queries=by_label(f"{rate('llm_cost_usd_total', C, 'feature')} * 3600", "feature"),
            links=("llm-focus-feature", "llm-investigate"),
            runbook="cost-spike",
            exemplars=True,
            stacked=True,
        ),
        Panel(
            title="Cost per feature per day (stacked)",
            viz="barchart",
            unit="currencyUSD",
            why="Which feature grew over the days?",
            act="A step on one day is a release or a prompt; a slope is adoption.",
            queries=by_label(f"sum by (feature) ({_DAY})", "feature"),
            links=("llm-focus-feature",),
            runbook="cost-spike",
            stacked=True,
            time_from="7d",
            min_step="1d",
        ),
        Panel(
            title="Errors: API, validation, guardrail, refusal",
            viz="timeseries",
            unit="percentunit",
            why="Which kind of error, not just how many?",
            act="API: provider. Validation: prompt owner. Guardrail and refusal: policy or inputs.",
            queries=(
                Query(expr=share(rate("llm_api_errors_total", E), _REQUESTS), legend="API"),
                Query(
                    expr=share(rate("llm_validation_errors_total", P), _REQUESTS),
                    legend="validation",
                ),
                Query(
                    expr=share(rate("llm_guardrail_rejections_total", P), _REQUESTS),
                    legend="guardrail",
                ),
                Query(expr=share(rate("llm_refusals_total", P), _REQUESTS), legend="refusal"),
            ),
            links=("llm-errors", "llm-investigate"),
            runbook="error-rate",
        ),
        Panel(
            title="Tokens/s: uncached input, cache read, cache write, output",
            viz="timeseries",
            unit="short",
            why="What drives the bill?",
            act="The four parts add up to input + output exactly once. More uncached input: the cache broke.",
            queries=(
                Query(expr=_UNCACHED, legend="input (uncached)"),
                Query(expr=rate("llm_cache_read_tokens_total", C), legend="cache read"),
                Query(expr=rate("llm_cache_write_tokens_total", C), legend="cache write"),
                Query(expr=rate("llm_output_tokens_total", C), legend="output"),
            ),
            links=("llm-tokens",),
            runbook="cost-spike",
            stacked=True,
        ),
        Panel(
            title="Cache hit rate by feature",
            viz="timeseries",
            unit="percentunit",
            why="Did something break the prompt cache?",
            act="By tokens; a chat after its first turn has 0.70 to 0.95. A cliff: what stands first in the prompt?",
            queries=by_label(
                ratio(
                    rate("llm_cache_read_tokens_total", C, "feature"),
                    rate("llm_input_tokens_total", C, "feature"),
                ),
                "feature",
            ),
            links=("llm-tokens",),
            runbook="cache-drop",
        ),
        Panel(
            title="Decode rate p50 by provider and model",
            viz="timeseries",
            unit="suffix:tok/s",
            why="Is the provider healthy? Tokens per second; 30 reads comfortably, below 10 grates.",
            act="Half of yesterday's rate: fail over, the application did not change.",
            queries=(
                Query(
                    expr=quantile(0.5, "llm_decode_tokens_per_second", M, "provider, model"),
                    legend="{{provider}} {{model}}",
                ),
            ),
            links=("llm-latency",),
            runbook="provider-outage",
            exemplars=True,
        ),
        Panel(
            title="Traffic: requests/s by feature",
            viz="timeseries",
            unit="reqps",
            why="Is it volume?",
            act="A burst with falling success is abuse or a retry storm: see the investigation board.",
            queries=by_label(rate("llm_requests_total", C, "feature"), "feature"),
            links=("llm-focus-feature",),
            runbook="abuse",
        ),
        Panel(
            title="Traffic: tokens/s by feature",
            viz="timeseries",
            unit="short",
            why="Providers throttle on tokens, not on requests: who uses them?",
            act="Tokens up with requests flat: longer prompts or longer answers.",
            queries=by_label(
                f"{rate('llm_input_tokens_total', C, 'feature')}"
                f" + {rate('llm_output_tokens_total', C, 'feature')}",
                "feature",
            ),
            links=("llm-tokens",),
            runbook="rate-limit",
        ),
        quota_used("How near is the rate limit?"),
        Panel(
            title="In-flight calls and queue depth",
            viz="timeseries",
            unit="short",
            why="Latency rises before errors do: are calls piling up?",
            act="Needs the application's gauges. A growing queue with flat traffic: the provider slows down.",
            queries=tuple(
                Query(
                    expr=f'sum by (provider) ({metric}{{{N},provider=~"$provider"}})',
                    legend=f"{what} {{{{provider}}}}",
                )
                for metric, what in (
                    ("llm_inflight_requests", "in flight"),
                    ("llm_queue_depth", "queued"),
                )
            ),
            links=("llm-latency",),
            runbook="latency-spike",
        ),
    ),
)

_DEBUG: Final = Row(
    title="Debug",
    collapsed=True,
    panels=(
        slowest_calls("1h"),
        recent_failures(),
        most_expensive_calls(),
        Panel(
            title="Alert list and runbooks",
            viz="alertlist",
            unit="none",
            why="What fires, and what to do about it?",
            act="Each alert names its runbook and opens the investigation with its window and filters.",
            source="none",
            links=("llm-investigate",),
            runbook="watchdog",
            width=12,
        ),
        Panel(
            title="Self-test: metrics seen",
            viz="table",
            unit="short",
            why="Is an empty panel broken or just quiet?",
            act="A metric that is missing here never arrived: look at the collector, not at the panel.",
            queries=one('count by (__name__) ({__name__=~"llm_.+"})'),
            links=("llm-collector",),
            runbook="telemetry-loss",
            value_name="series",
            width=12,
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-overview",
    title="LLM overview",
    about="Are we okay, what moved, what it costs and who did it, and the traces behind it. Begin here.",
    rows=(_OKAY, MOVED, _OBJECTIVES, _MOVING, _DEBUG),
    variables=("slo_service", "min_duration", "min_cost"),
)
