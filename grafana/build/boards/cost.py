"""`llm-cost`: the questions about the bill, in the order in which they are asked."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import columns
from grafana.build.boards.integrity import INTEGRITY
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    BASELINE,
    OK,
    PROMPT,
    C,
    S,
    by_label,
    increase,
    one,
    positive,
    quantiles,
    rate,
    ratio,
)

_SPEND: Final = increase("llm_cost_usd_total", C)
_BEFORE: Final = increase("llm_cost_usd_total", C, offset=BASELINE)
_REAL: Final = 'environment=~"$environment",data_mode="real"'
_EXPERIMENTS: Final = C + ',variant!=""'
_FORECAST: Final = f"sum(rate(llm_cost_usd_total{{{_REAL}}}[6h])) * 86400 * 30"
_MONTH: Final = 'sum(max by (environment) (llm_budget_usd{scope="global",period="month",environment=~"$environment"}))'


def _by(what: str, labels: str, link: str, why: str, act: str) -> tuple[Panel, Panel]:
    """Return how much of the range, and since when, by one dimension."""
    total = Panel(
        title=f"Spend by {what} (range)",
        viz="bargauge",
        unit="currencyUSD",
        why=why,
        act=act,
        queries=by_label(f"topk(15, {increase('llm_cost_usd_total', C, labels)})", labels),
        links=(link,),
        runbook="cost-spike",
        width=8,
    )
    since = Panel(
        title=f"Spend rate by {what} (USD/h)",
        viz="timeseries",
        unit="currencyUSD",
        why="When did it start?",
        act="Set the range to begin a little before the step, then follow the line that moved.",
        queries=by_label(f"{rate('llm_cost_usd_total', C, labels)} * 3600", labels),
        links=(link, "llm-investigate"),
        runbook="cost-spike",
        exemplars=True,
        stacked=True,
        width=16,
    )
    return total, since


_QUESTIONS: Final = Row(
    title="Questions in the order they are asked",
    panels=(
        Panel(
            title="Spend in range",
            viz="stat",
            unit="currencyUSD",
            why="What did we spend?",
            act="The header's link Yesterday shows the same board for yesterday.",
            queries=one(_SPEND),
            links=("llm-investigate",),
            runbook="cost-spike",
            width=8,
            single=True,
        ),
        Panel(
            title="Against the baseline",
            viz="stat",
            unit="currencyUSD",
            why="What has it cost us so far, beyond what such hours usually cost?",
            act="The figure for the incident's note: set the range to the incident, the baseline to an ordinary time.",
            queries=(
                Query(expr=f"{_SPEND} - {_BEFORE}", legend="more"),
                Query(
                    expr=ratio(_SPEND, _BEFORE),
                    legend="times",
                    unit="suffix:x",
                    thresholds=columns.MORE,
                ),
                Query(expr=_BEFORE, legend="usual"),
            ),
            links=("llm-investigate",),
            runbook="cost-spike",
            width=16,
            empty="No baseline",
        ),
        *_by(
            "feature",
            "feature",
            "llm-focus-feature",
            "How much of it per feature?",
            "The top one is where to look first.",
        ),
        *_by(
            "tenant",
            "tenant",
            "llm-focus-tenant",
            "How much of it per tenant?",
            "One customer far ahead: abuse, or a plan too small.",
        ),
        *_by(
            "prompt_version",
            PROMPT,
            "llm-focus-prompt",
            "How much of it per prompt?",
            "A new sha near the top: compare its cost per call below.",
        ),
        *_by(
            "model",
            "model",
            "llm-latency",
            "How much of it per model?",
            "An expensive model that should not be here: routing.",
        ),
        *_by(
            "environment",
            "environment",
            "llm-investigate",
            "How much of it per environment?",
            "Test traffic should cost next to nothing.",
        ),
        Panel(
            title="Spend by team (range)",
            viz="bargauge",
            unit="currencyUSD",
            why="Who pays? The team comes from the table of features in the configuration of llm_metrics.",
            act="A feature that is missing from the table is missing here: add it under features.",
            queries=by_label(
                f"sort_desc(sum by (team) ({increase('llm_cost_usd_total', C, 'feature')}"
                " * on (feature) group_left(team) max by (feature, team) (llm_feature_info)))",
                "team",
            ),
            links=("llm-investigate",),
            empty="No team is configured",
            runbook="cost-spike",
        ),
        Panel(
            title="Spend by experiment variant",
            viz="bargauge",
            unit="currencyUSD",
            why="Control against treatment: which variant costs more?",
            act="Compare the cost per call, not the sums, when the split is not even.",
            queries=by_label(
                f"sort_desc({increase('llm_cost_usd_total', _EXPERIMENTS, 'variant')})",
                "variant",
            ),
            links=("llm-investigate",),
            empty="No experiment",
            runbook="prompt-regression",
        ),
    ),
)

_BUDGET: Final = Row(
    title="Budget",
    panels=(
        Panel(
            title="Budget used, last 24 h, by feature",
            viz="gauge",
            unit="percentunit",
            why="Which feature breaks its daily budget?",
            act="80 % warns, 95 % pages. Real traffic only, whatever data_mode is chosen.",
            queries=by_label(
                f"sort_desc(sum by (environment, feature) (increase(llm_cost_usd_total{{{_REAL}}}[1d]))"
                " / on (environment, feature) group_left() max by (environment, feature)"
                ' (label_replace(llm_budget_usd{scope="feature",period="day"},'
                ' "feature", "$1", "name", "(.*)")))',
                "feature",
            ),
            links=("llm-focus-feature",),
            thresholds={"green": None, "yellow": 0.8, "red": 0.95},
            empty="No budget",
            runbook="budget",
        ),
        Panel(
            title="Spend today, calendar day",
            viz="stat",
            unit="currencyUSD",
            why="What did today cost since midnight?",
            act="Compare with the daily budget beside it; the gauges count the last 24 hours instead.",
            queries=one(f"sum(increase(llm_cost_usd_total{{{_REAL}}}[$__range]))"),
            links=("llm-investigate",),
            runbook="budget",
            time_from="now/d",
            single=True,
            width=6,
        ),
        Panel(
            title="Month forecast against budget",
            viz="stat",
            unit="currencyUSD",
            why="Do we run out before the month ends, at the pace of the last 6 hours?",
            act="A forecast above the budget: throttle non-critical features or raise the budget, knowingly.",
            queries=(
                Query(expr=_FORECAST, legend="forecast"),
                Query(expr=_MONTH, legend="budget"),
                Query(
                    expr=ratio(_FORECAST, _MONTH),
                    legend="of budget",
                    unit="percentunit",
                    thresholds={"green": None, "yellow": 0.8, "red": 1},
                ),
            ),
            empty="No budget",
            links=("llm-slo",),
            runbook="budget",
            width=6,
        ),
    ),
)

_UNIT: Final = Row(
    title="Unit cost",
    panels=(
        Panel(
            title="Cost per call by feature",
            viz="timeseries",
            unit="currencyUSD",
            why="What does one call of a feature cost?",
            act="A step at a prompt marker is that prompt; a slope is growing inputs.",
            queries=by_label(
                ratio(
                    rate("llm_cost_usd_total", C, "feature"),
                    rate("llm_requests_total", C + OK, "feature"),
                ),
                "feature",
            ),
            links=("llm-focus-feature",),
            runbook="prompt-regression",
        ),
        Panel(
            title="Cost per call p50 / p95 / p99",
            viz="timeseries",
            unit="currencyUSD",
            why="Is it a few giant calls?",
            act="p99 far above p50: cap inputs. All three up: the price or the prompt.",
            queries=quantiles("llm_request_cost_usd", S, "feature"),
            links=("llm-investigate",),
            runbook="cost-spike",
            exemplars=True,
        ),
        Panel(
            title="Cost per call against the baseline, by prompt (ratio)",
            viz="table",
            unit="suffix:x",
            why="Which prompt sha doubled the cost per call?",
            act="Sorted; above 1.5 is a regression by definition: roll the prompt back or accept it in writing.",
            queries=one(
                columns.per_call("llm_cost_usd_total", PROMPT)
                + " / on (feature) group_left() "
                + positive(columns.per_call("llm_cost_usd_total", "feature", BASELINE))
            ),
            links=("llm-focus-prompt",),
            thresholds=columns.MORE,
            runbook="prompt-regression",
            value_name="times the baseline",
        ),
        Panel(
            title="Calls above 0.10 USD (ratio)",
            viz="stat",
            unit="percentunit",
            why="The cost objective: how many calls cost more than ten cents?",
            act="More than 1 % burns the budget of cost_under_threshold.",
            queries=one(
                "1 - "
                + ratio(
                    rate("llm_request_cost_usd_bucket", S + ',le="0.1"', window="$__range"),
                    rate("llm_request_cost_usd_count", S, window="$__range"),
                )
            ),
            links=("llm-slo",),
            thresholds={"green": None, "yellow": 0.005, "red": 0.01},
            runbook="cost-spike",
            single=True,
        ),
        Panel(
            title="Effective USD per 1M tokens by model",
            viz="timeseries",
            unit="currencyUSD",
            why="Did routing or the cache change what a token costs?",
            act="Up with a falling cache hit rate: the cache. Up alone: another model, tier or price.",
            queries=by_label(
                f"1e6 * {rate('llm_cost_usd_total', C, 'model')} / "
                + positive(
                    f"({rate('llm_input_tokens_total', C, 'model')}"
                    f" + {rate('llm_output_tokens_total', C, 'model')})"
                ),
                "model",
            ),
            links=("llm-tokens",),
            runbook="cache-drop",
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-cost",
    title="LLM cost",
    about="What did it cost, who caused it, is it within budget, and is the bill complete?",
    rows=(_QUESTIONS, _BUDGET, _UNIT, INTEGRITY),
)
