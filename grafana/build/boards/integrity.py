"""Is the bill complete, and whose is it? The last row of `llm-cost`."""

from __future__ import annotations

from typing import Final

from grafana.build.boards.shared import traceql
from grafana.build.model import Panel, Query, Row
from grafana.build.promql import (
    C,
    F,
    M,
    N,
    T,
    by_label,
    increase,
    one,
    positive,
    rate,
)

_REPORTED: Final = increase("llm_cost_reported_usd_total", F, "provider, model, feature")

INTEGRITY: Final = Row(
    title="Integrity",
    panels=(
        Panel(
            title="Unpriced requests by model",
            viz="timeseries",
            unit="reqps",
            why="Which calls are missing from the bill?",
            act="Fill pricing.yaml before finance reconciles; the reason says what is missing.",
            queries=by_label(
                rate("llm_unpriced_requests_total", M, "provider, model, reason"),
                "provider, model, reason",
            ),
            links=("llm-investigate",),
            runbook="unpriced-model",
        ),
        Panel(
            title="Unpriced share of tokens",
            viz="stat",
            unit="percentunit",
            why="How big is the hole in the bill?",
            act="Above 1 % every sum on this board is too small.",
            queries=one(
                f"({increase('llm_unpriced_tokens_total', M)} or vector(0)) / "
                + positive(
                    f"({increase('llm_input_tokens_total', M)} + {increase('llm_output_tokens_total', M)})"
                )
            ),
            links=("llm-investigate",),
            thresholds={"green": None, "yellow": 0.001, "red": 0.01},
            runbook="unpriced-model",
            single=True,
        ),
        Panel(
            title="Our price against the emitter's",
            viz="timeseries",
            unit="percentunit",
            why="Do two price lists disagree? Only where the emitter reports a cost of its own.",
            act="Steady: a discount that pricing.yaml does not know. A step: one list changed.",
            queries=by_label(
                f"sum by (provider) ({increase('llm_cost_usd_total', F, 'provider, model, feature')}"
                f" and on (provider, model, feature) ({_REPORTED} > 0))"
                f" / (sum by (provider) ({_REPORTED}) > 0) - 1",
                "provider",
            ),
            links=("llm-investigate",),
            empty="Nobody reports a cost",
            runbook="unpriced-model",
        ),
        Panel(
            title="Estimated spend, not in the bill",
            viz="stat",
            unit="currencyUSD",
            why="How much money is only estimated, and therefore in no other sum here?",
            act="Estimates come from calls without usage; make the application report it.",
            queries=one(f"{increase('llm_cost_estimated_usd_total', F)} or vector(0)"),
            links=("llm-investigate",),
            runbook="unpriced-model",
            single=True,
        ),
        Panel(
            title="Top tenant share",
            viz="stat",
            unit="percentunit",
            why="Is one customer the bill?",
            act="Above half: look whether it is a contract or abuse.",
            queries=one(
                f"max({increase('llm_cost_usd_total', C, 'tenant')}) / {positive(increase('llm_cost_usd_total', C))}"
            ),
            links=("llm-focus-tenant",),
            thresholds={"green": None, "yellow": 0.3, "red": 0.5},
            runbook="abuse",
            single=True,
        ),
        traceql(
            "Top users by cost (kept traces only)",
            f"{{ {T} && span.app.llm.cost_usd != nil }}"
            " | sum_over_time(span.app.llm.cost_usd) by (span.user.id) | topk(20)",
            why="Which user?",
            act="An indication only; the exact list is what the report command says over all traces.",
            runbook="abuse",
            unit="currencyUSD",
        ),
        Panel(
            title="Most expensive users (this window)",
            viz="bargauge",
            unit="currencyUSD",
            why="Which user, counted over all calls? Empty unless users.top of llm_metrics says how many to tell.",
            act="One far ahead: abuse or a loop. The pseudonym finds the traces: it is their user.id.",
            queries=by_label(f"topk(20, sum by (user) (llm_top_user_cost_usd{{{N}}}))", "user"),
            links=("llm-investigate",),
            runbook="abuse",
        ),
        Panel(
            title="Spend of one user, from a sample",
            viz="timeseries",
            unit="currencyUSD",
            why="What does a usual user cost in an hour, and an unusual one? From the users that users.sample chooses.",
            act="p95 far above p50: a few users are the bill, price or limit them. Both up: the feature.",
            queries=tuple(
                Query(
                    expr=f"quantile({share}, {rate('llm_user_cost_usd_total', N, 'user')} > 0) * 3600",
                    legend=legend,
                )
                for share, legend in ((0.5, "p50"), (0.95, "p95"))
            ),
            links=("llm-investigate",),
            runbook="abuse",
        ),
        traceql(
            "Stuck loops",
            f"{{ {T} && span.app.llm.conversation.cumulative_tokens > 100000 }}"
            " | by(span.app.llm.conversation.id) | count() > 5",
            why="The same conversation, tokens climbing: an agent that does not stop?",
            act="Open one; add a loop guard or a token budget to the agent.",
            runbook="cost-spike",
        ),
    ),
)
