"""What moved against the baseline, what it costs, who did it: the tables that are read first."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import columns
from grafana.build.model import Panel, Query, Row
from grafana.build.promql import BASELINE, PROMPT, C, F, grown, rate, share_by


def _more_usd(by: str, top: int = 0) -> Query:
    """Return the first column: tables are sorted by it."""
    more = grown("llm_cost_usd_total", C, by)
    return Query(expr=f"topk({top}, {more})" if top else more, legend="more USD")


def features() -> Panel:
    """Return one row a feature: money first, then what can have moved it, then what users feel."""
    by = "feature"
    return Panel(
        title="Features: now against the baseline",
        viz="table",
        unit="currencyUSD",
        why="Which feature moved, in what, and what does it cost?",
        act="Read the coloured cells of the first row: dearer calls are a prompt or a cache, more calls are a caller,"
        " failed or slow ones a provider, bad answers a prompt or a model. A click opens the feature.",
        queries=(
            _more_usd(by),
            columns.calls(by),
            columns.usd_a_call(by),
            columns.tokens_a_call(by),
            columns.hits_fell(by),
            columns.p95("TTFT p95", "llm_ttft_seconds", by),
            columns.p95("latency p95", "llm_total_latency_seconds", by),
            columns.share("failed", '!="success"', by),
            columns.bad_answers_now(by),
            columns.score(by),
        ),
        links=("llm-focus-feature", "llm-investigate"),
        runbook="cost-spike",
        width=24,
        empty="–",
    )


def prompts() -> Panel:
    """Return one row a prompt, compared with its feature: a new prompt has no past of its own."""
    by = PROMPT
    now = columns.per_call("llm_cost_usd_total", by)
    before = columns.per_call("llm_cost_usd_total", "feature", BASELINE)
    return Panel(
        title="Prompts that cost more",
        viz="table",
        unit="currencyUSD",
        why="Was it a prompt? Its calls against those of its feature before.",
        act="Above 1.5 times: roll the version back, then read its traces.",
        queries=columns.among(
            _more_usd(by, 10), by, columns.times("USD a call", now, before, on="feature")
        ),
        links=("llm-focus-prompt",),
        runbook="prompt-regression",
        width=9,
        empty="–",
    )


def tenants() -> Panel:
    """Return one row a tenant."""
    by = "tenant"
    return Panel(
        title="Tenants that cost more",
        viz="table",
        unit="currencyUSD",
        why="Was it one customer? A dash under calls is a tenant that was not there before.",
        act="Far ahead of the others: a loop, abuse, or a plan too small. Limit it, then ask.",
        queries=columns.among(_more_usd(by, 10), by, columns.calls(by)),
        links=("llm-focus-tenant",),
        runbook="abuse",
        width=6,
        empty="–",
    )


def providers() -> Panel:
    """Return one row a provider and model: the worst first."""
    by = "provider, model"
    retries = rate("llm_retries_total", F, by, window="$__range")
    calls = rate("llm_requests_total", F, by, window="$__range")
    return Panel(
        title="Providers that fail or slow down",
        viz="table",
        unit="percentunit",
        why="Is it the provider? Failed and throttled calls, latency against the baseline, retries.",
        act="One provider red: fail over. All of them: our network, our keys or a release.",
        queries=(
            columns.share("failed", '!="success"', by),
            columns.share(
                "429", '="rate_limited"', by, {"green": None, "yellow": 0.01, "red": 0.05}
            ),
            columns.p95("p95", "llm_total_latency_seconds", by),
            Query(
                expr=share_by(retries, calls),
                legend="retries",
                unit="suffix:x",
                thresholds={"green": None, "yellow": 0.1, "red": 0.3},
            ),
        ),
        links=("llm-errors",),
        runbook="provider-outage",
        width=9,
        empty="–",
    )


MOVED: Final = Row(
    title="What moved, what it costs, who did it",
    panels=(features(), prompts(), tenants(), providers()),
)
