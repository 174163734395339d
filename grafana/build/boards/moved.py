"""What moved against the baseline, what it costs, who did it: the tables that are read first."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from grafana.build.model import Panel, Query, Row, Thresholds
from grafana.build.promql import (
    BASELINE,
    OK,
    C,
    F,
    P,
    S,
    increase,
    quantile,
    rate,
    ratio,
    share_by,
)

_MORE: Final[Thresholds] = {"green": None, "yellow": 1.2, "red": 1.5}
_FAILED: Final[Thresholds] = {"green": None, "yellow": 0.02, "red": 0.05}
_FELL: Final[Thresholds] = {"red": None, "yellow": -0.2, "green": -0.05}
_BOTH: Final = ("", BASELINE)
"""The offsets of now and of before."""
_USD: Final = "more USD"
"""The first column: tables are sorted by it."""


def _more(by: str) -> str:
    now = increase("llm_cost_usd_total", C, by)
    return f"{now} - ({increase('llm_cost_usd_total', C, by, offset=BASELINE)} or 0 * {now})"


def _among(by: str, top: int, *columns: Query) -> tuple[Query, ...]:
    """Return the columns of those alone that cost most more than before: there can be a thousand."""
    most = f"topk({top}, {_more(by)})"
    few = (replace(one, expr=f"({one.expr}) and on ({by}) {most}") for one in columns)
    return (Query(expr=most, legend=_USD), *few)


def _times(name: str, now: str, before: str) -> Query:
    """Return a column of now / before; empty where one of them is not there."""
    return Query(
        expr=f"({now} > 0) / ({before} > 0)", legend=name, unit="suffix:x", thresholds=_MORE
    )


def _per_call(metric: str, by: str, offset: str = "") -> str:
    calls = increase("llm_requests_total", C + OK, by, offset=offset)
    return f"({increase(metric, C, by, offset=offset)} / {calls})"


def _tokens(by: str, offset: str = "") -> str:
    both = " + ".join(
        increase(f"llm_{kind}_tokens_total", C, by, offset=offset) for kind in ("input", "output")
    )
    return f"(({both}) / {increase('llm_requests_total', C + OK, by, offset=offset)})"


def _p95(metric: str, selector: str, by: str, offset: str = "") -> str:
    return quantile(0.95, metric, selector, by, window="$__range", offset=offset)


def _share(name: str, matcher: str, by: str, thresholds: Thresholds = _FAILED) -> Query:
    part = rate("llm_requests_total", f"{C},status{matcher}", by, window="$__range")
    whole = rate("llm_requests_total", C, by, window="$__range")
    return Query(expr=share_by(part, whole), legend=name, unit="percentunit", thresholds=thresholds)


def _hit(offset: str = "") -> str:
    read = increase("llm_cache_read_tokens_total", C, "feature", offset=offset)
    return f"({read} / {increase('llm_input_tokens_total', C, 'feature', offset=offset)})"


def _bad_answers() -> Query:
    """Return the share of calls that were answered with what nobody can use."""
    whole = rate("llm_requests_total", C, "feature", window="$__range")
    parts = (
        rate(metric, P, "feature", window="$__range")
        for metric in (
            "llm_validation_errors_total",
            "llm_guardrail_rejections_total",
            "llm_refusals_total",
        )
    )
    bad = " + ".join(f"({part} or 0 * {whole})" for part in parts)
    return Query(
        expr=f"({bad}) / ({whole} > 0)",
        legend="bad answers",
        unit="percentunit",
        thresholds={"green": None, "yellow": 0.05, "red": 0.1},
    )


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
            Query(expr=_more(by), legend=_USD),
            _times("calls", *(increase("llm_requests_total", C, by, offset=o) for o in _BOTH)),
            _times("USD a call", *(_per_call("llm_cost_usd_total", by, o) for o in _BOTH)),
            _times("tokens a call", *(_tokens(by, o) for o in _BOTH)),
            Query(
                expr=f"{ratio(_hit(), _hit(BASELINE))} - 1",
                legend="cache hits",
                unit="percentunit",
                thresholds=_FELL,
            ),
            _times("TTFT p95", *(_p95("llm_ttft_seconds", S, by, o) for o in _BOTH)),
            _times("latency p95", *(_p95("llm_total_latency_seconds", S, by, o) for o in _BOTH)),
            _share("failed", '!="success"', by),
            _bad_answers(),
            Query(
                expr=ratio(
                    increase("llm_eval_score_sum", P, by), increase("llm_eval_score_count", P, by)
                ),
                legend="eval score",
                unit="percentunit",
                thresholds={"red": None, "yellow": 0.5, "green": 0.7},
            ),
        ),
        links=("llm-focus-feature", "llm-investigate"),
        runbook="cost-spike",
        width=24,
        empty="–",
    )


def prompts() -> Panel:
    """Return one row a prompt, compared with its feature: a new prompt has no past of its own."""
    by = "feature, prompt_version, prompt_sha"
    before = _per_call("llm_cost_usd_total", "feature", BASELINE)
    return Panel(
        title="Prompts that cost more",
        viz="table",
        unit="currencyUSD",
        why="Was it a prompt? Its calls against those of its feature before.",
        act="Above 1.5 times: roll the version back, then read its traces.",
        queries=_among(
            by,
            10,
            Query(
                expr=f"({_per_call('llm_cost_usd_total', by)} > 0)"
                f" / on (feature) group_left() ({before} > 0)",
                legend="USD a call",
                unit="suffix:x",
                thresholds=_MORE,
            ),
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
        queries=_among(
            by,
            10,
            _times("calls", *(increase("llm_requests_total", C, by, offset=o) for o in _BOTH)),
        ),
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
            _share("failed", '!="success"', by),
            _share("429", '="rate_limited"', by, {"green": None, "yellow": 0.01, "red": 0.05}),
            _times("p95", *(_p95("llm_total_latency_seconds", S, by, o) for o in _BOTH)),
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
