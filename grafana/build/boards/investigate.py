"""`llm-investigate`: from an alert's window to the driver, one click a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from grafana.build.boards import columns
from grafana.build.boards.moved import features
from grafana.build.boards.shared import most_expensive_calls, traceql
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import BASELINE, OK, PROMPT, C, T, grown, increase, one, rate, ratio

_NOTE: Final = """\
| driver | sign | containment |
|---|---|---|
| volume | requests ratio far above 1 | throttle endpoints that can wait |
| tokens | tokens per request | cap the output, roll the prompt version back |
| price | USD per token | routing mix, or a broken cache |
| identity | one tenant's share | limits for the tenant or user; look for abuse |
| unknown model | unpriced requests | fill pricing.yaml before finance reconciles |

The three ratios of the first row multiply to the cost ratio: the largest is the driver.

**Note for afterwards**: what alerted (${alert}), from when to when, driver, culprit (feature, prompt, tenant, model),
what was done, what it cost, what would have shown it earlier.
"""


def _cost(offset: str = "") -> str:
    return increase("llm_cost_usd_total", C, offset=offset)


def _requests(offset: str = "") -> str:
    return increase("llm_requests_total", C, offset=offset)


def _tokens(offset: str = "") -> str:
    return (
        f"({increase('llm_input_tokens_total', C, offset=offset)}"
        f" + {increase('llm_output_tokens_total', C, offset=offset)})"
    )


def _times(part: Callable[[str], str], whole: Callable[[str], str]) -> str:
    """Return how much of part a whole has, of how much it had."""
    now, before = (f"({ratio(part(offset), whole(offset))})" for offset in ("", BASELINE))
    return ratio(now, before)


def _driver(title: str, expr: str, why: str, act: str, *links: str) -> Panel:
    return Panel(
        title=title,
        viz="stat",
        unit="suffix:x",
        why=why,
        act=act,
        queries=one(expr),
        links=links,
        thresholds=columns.MORE,
        runbook="cost-spike",
        single=True,
        empty="No baseline",
    )


def _movers(label: str, link: str, by: str = "") -> Panel:
    """Return the table of what grew most; `by`: all columns, where the label alone is no name."""
    more = grown("llm_cost_usd_total", C, by or label)
    return Panel(
        title=f"Top movers by {label} (delta USD)",
        viz="table",
        unit="currencyUSD",
        why=f"Which {label} grew most against the baseline?",
        act="Click the first row: the focused view opens with its value filled in.",
        queries=one(f"topk(10, {more})"),
        links=(link,),
        runbook="cost-spike",
        value_name="more USD",
        width=12,
    )


_COMPARE: Final = Row(
    title="Compare",
    panels=(
        Panel(
            title="Requests: now and baseline",
            viz="stat",
            unit="short",
            why="The two windows: how much traffic in each?",
            act="A baseline without traffic proves nothing: choose another.",
            queries=(
                Query(expr=_requests(), legend="now"),
                Query(expr=_requests(BASELINE), legend="baseline"),
            ),
            links=("llm-focus-feature",),
            runbook="cost-spike",
        ),
        _driver(
            "Cost: now / baseline",
            ratio(_cost(), _cost(BASELINE)),
            "How much more than before?",
            "It is the product of the three drivers beside it.",
            "llm-cost",
        ),
        _driver(
            "Volume driver: requests",
            ratio(_requests(), _requests(BASELINE)),
            "More calls?",
            "Throttle what can wait; find the feature that calls.",
            "llm-focus-feature",
        ),
        _driver(
            "Token driver: tokens per request",
            _times(_tokens, _requests),
            "Longer calls?",
            "Cap the output, roll the prompt back.",
            "llm-focus-prompt",
        ),
        _driver(
            "Price driver: USD per token",
            _times(_cost, _tokens),
            "Dearer tokens?",
            "Another mix of models, or a broken cache.",
            "llm-cost",
            "llm-tokens",
        ),
        features(),
    ),
)
_DRIVERS: Final = Row(
    title="Drivers",
    panels=(
        _movers("feature", "llm-focus-feature"),
        _movers("prompt_version", "llm-focus-prompt", PROMPT),
        _movers("tenant", "llm-focus-tenant"),
        _movers("model", "llm-cost"),
        Panel(
            title="Burst with falling success",
            viz="timeseries",
            unit="percentunit",
            why="Abuse or a retry storm?",
            act="Requests up while success falls: stop the caller before you look for the cause.",
            queries=(
                Query(
                    expr=rate("llm_requests_total", C),
                    legend="requests/s",
                    unit="reqps",
                    right=True,
                ),
                Query(
                    expr=ratio(rate("llm_requests_total", C + OK), rate("llm_requests_total", C)),
                    legend="success",
                ),
            ),
            links=("llm-errors",),
            runbook="abuse",
            width=24,
            from_zero=False,
        ),
        traceql(
            "What is different about the bad ones",
            f"{{ {T} }} | compare({{ status = error }}, 10)",
            why="Which attributes do failures have more often than the rest?",
            act="For slow or dear calls use duration > 5s or span.app.llm.cost_usd > 0.1 as the selection.",
            runbook="error-rate",
        ),
        most_expensive_calls(),
    ),
)
_CONTAIN: Final = Row(
    title="Contain",
    panels=(
        Panel(
            title="Containment and runbook",
            viz="text",
            unit="none",
            source="none",
            why="What do I do now, by driver, and what do I write down?",
            act="Contain first, explain later.",
            links=("llm-overview",),
            runbook="cost-spike",
            content=_NOTE,
            width=24,
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-investigate",
    title="LLM investigation",
    about="Alert → window → now against baseline → driver → focused view → containment.",
    rows=(_COMPARE, _DRIVERS, _CONTAIN),
    variables=("min_duration", "min_cost", "alert"),
)
