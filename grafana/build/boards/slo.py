"""`llm-slo`: error budgets, how fast they burn, and the same for money. Series come from the SLO rules."""

from __future__ import annotations

from typing import Final

from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import L, one

_ON: Final = "on (sloth_id, sloth_slo, sloth_service)"
_BUDGET: Final = f"slo:error_budget:ratio{{{L}}}"
_LEFT: Final = f"slo:period_error_budget_remaining:ratio{{{L}}}"
_REAL: Final = 'environment=~"$environment",data_mode="real"'


def _burn(window: str) -> str:
    return f"slo:sli_error:ratio_rate{window}{{{L}}} / {_ON} group_left() {_BUDGET}"


def _events(kind: str) -> str:
    return f"sum_over_time(slo:sli_{kind}:increase5m{{{L}}}[30d:5m])"


def _money(window: str, seconds: str, period: str) -> str:
    spend = f"sum by (environment) (rate(llm_cost_usd_total{{{_REAL}}}[{window}])) * {seconds}"
    budget = f'llm_budget_usd{{scope="global",period="{period}"}}'
    return f"{spend} / on (environment) max by (environment) ({budget})"


_NOW: Final = Row(
    title="Now",
    panels=(
        Panel(
            title="Error budget remaining",
            viz="bargauge",
            unit="percentunit",
            why="How much of each objective's budget is left?",
            act="Below 0 it is spent: no risky change of that feature until it recovers.",
            queries=one(f"sort({_LEFT})", "{{sloth_slo}}"),
            links=("llm-investigate",),
            thresholds={"red": None, "yellow": 0, "green": 0.25},
            runbook="error-rate",
        ),
        Panel(
            title="Burn rate 1 h / 6 h / 3 d (thresholds 14.4 / 6 / 1)",
            viz="timeseries",
            unit="suffix:x",
            why="Which alert is about to fire?",
            act="1 h above 14.4 or 6 h above 6 pages; 3 d above 1 is a ticket.",
            queries=tuple(
                Query(expr=_burn(window), legend=f"{window} {{{{sloth_slo}}}}")
                for window in ("1h", "6h", "3d")
            ),
            links=("llm-investigate",),
            thresholds={"green": None, "yellow": 1, "orange": 6, "red": 14.4},
            runbook="error-rate",
        ),
        Panel(
            title="Days to exhaustion at the 6 h burn",
            viz="bargauge",
            unit="d",
            why="When is the budget gone, at this pace?",
            act="Less than a week: plan the fix now. 0: it is gone. Nothing shown: nothing burns.",
            queries=one(
                f"sort(clamp_min(slo:time_period:days{{{L}}} * {_ON} {_LEFT}"
                f" / {_ON} group_left() ({_burn('6h')} > 0), 0))",
                "{{sloth_slo}}",
            ),
            links=("llm-investigate",),
            thresholds={"red": None, "yellow": 7, "green": 30},
            runbook="error-rate",
            width=8,
            empty="Nothing burns",
        ),
    ),
)
_DETAIL: Final = Row(
    title="Detail",
    panels=(
        Panel(
            title="SLI and objective",
            viz="timeseries",
            unit="percentunit",
            why="Above or below the objective?",
            act="The dashed line is the promise.",
            queries=(
                Query(
                    expr=f"1 - slo:sli_error:ratio_rate1h{{{L}}}", legend="SLI 1 h {{sloth_slo}}"
                ),
                Query(
                    expr=f"slo:objective:ratio{{{L}}}",
                    legend="objective {{sloth_slo}}",
                    dashed=True,
                ),
            ),
            links=("llm-investigate",),
            runbook="error-rate",
            from_zero=False,
        ),
        Panel(
            title="Events: total, bad, bad allowed (30 d)",
            viz="table",
            unit="short",
            why="What is the error budget in calls?",
            act="Bad above allowed is a broken promise, in numbers that anybody understands.",
            queries=(
                Query(expr=_events("total"), legend="total"),
                Query(expr=_events("error"), legend="bad"),
                Query(expr=f"{_events('total')} * {_ON} {_BUDGET}", legend="bad allowed"),
            ),
            links=("llm-errors",),
            runbook="error-rate",
        ),
        Panel(
            title="Bad events per hour",
            viz="timeseries",
            unit="short",
            why="When was the budget spent?",
            act="One spike: an incident. A carpet: the objective or the product is wrong.",
            queries=one(f"12 * slo:sli_error:increase5m{{{L}}}", "{{sloth_slo}}"),
            links=("llm-investigate",),
            runbook="error-rate",
        ),
        Panel(
            title="SLO alerts",
            viz="state-timeline",
            unit="none",
            why="What paged, and for how long?",
            act="Open the investigation for the time of a bar.",
            queries=one(
                'ALERTS{alertname=~"LLMSLO.*",sloth_slo=~"$slo"}', "{{alertname}} {{sloth_slo}}"
            ),
            links=("llm-investigate",),
            runbook="error-rate",
            empty="No alert",
        ),
    ),
)
_USD: Final = Row(
    title="Budget in USD",
    panels=(
        Panel(
            title="Cost budget burn, day and month",
            viz="timeseries",
            unit="suffix:x",
            why="Does the money last? Above 1 it ends before the period does.",
            act="Above 1.5 for the day: find who spends. Budgets are settings of llm_metrics.",
            queries=(
                Query(expr=_money("1h", "86400", "day"), legend="day {{environment}}"),
                Query(expr=_money("6h", "86400 * 30", "month"), legend="month {{environment}}"),
            ),
            links=("llm-cost",),
            thresholds={"green": None, "yellow": 1, "red": 1.5},
            empty="No budget",
            runbook="budget",
            width=24,
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-slo",
    title="LLM SLOs",
    about="Objectives, error budgets and burn rates of configs/slo.yaml, and the budget in money.",
    rows=(_NOW, _DETAIL, _USD),
    variables=("slo_service", "slo"),
)
