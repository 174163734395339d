"""Panels that stand on several boards, each with its own question."""

from __future__ import annotations

from typing import Final

from grafana.build.model import Panel
from grafana.build.promql import CALL_COLUMNS, N, T, one

NEWEST: Final = "with (most_recent=true)"
KEPT: Final = "Kept traces only: sampling decides which calls are here, so count nothing from it."


def traceql(
    title: str,
    query: str,
    *,
    why: str,
    act: str,
    runbook: str,
    unit: str = "none",
    time_from: str = "",
) -> Panel:
    """Return a table of spans from the trace store."""
    return Panel(
        title=title,
        viz="table",
        unit=unit,
        source="tempo",
        why=why,
        act=f"{act} {KEPT}",
        queries=one(query),
        links=("llm-trace",),
        runbook=runbook,
        width=24,
        time_from=time_from,
    )


def slowest_calls(time_from: str = "") -> Panel:
    """Return the table of slow calls, of a time range of its own or of the board's."""
    return traceql(
        "Slowest calls, last hour" if time_from else "Slowest calls",
        f"{{ {T} && duration > ${{min_duration}} }} | select({CALL_COLUMNS}) {NEWEST}",
        why="Which slow call do I open?",
        act="Sorted by duration; the variable min_duration bounds the search, the trace store cannot sort.",
        runbook="latency-spike",
        time_from=time_from,
    )


def recent_failures() -> Panel:
    """Return the table of failed calls."""
    return traceql(
        "Recent failures",
        f"{{ {T} && (status = error || span.error.type != nil) }}"
        " | select(span.app.llm.feature, span.error.type, span.gen_ai.request.model)"
        f" {NEWEST}",
        why="Which failed call do I open: feature, class of error, model?",
        act="Open two of different features: the same cause is the provider's, different ones are ours.",
        runbook="error-rate",
    )


def most_expensive_calls() -> Panel:
    """Return the table of expensive calls."""
    return traceql(
        "Most expensive calls",
        f"{{ {T} && span.app.llm.cost_usd >= ${{min_cost}} }} | select({CALL_COLUMNS},"
        f" span.app.llm.tenant.id, span.app.llm.conversation.id) {NEWEST}",
        why="A pasted document or a rambling model: big input or big output?",
        act="Big input: cap what is pasted or retrieved. Big output: cap max tokens. Evidence for the note.",
        runbook="cost-spike",
    )


def quota_used(why: str) -> Panel:
    """Return the share of the provider's rate limit that is used."""
    return Panel(
        title="Quota used",
        viz="timeseries",
        unit="percentunit",
        why=why,
        act="80 % warns, 95 % pages: throttle what can wait, or ask the provider for more.",
        queries=one(
            "1 - min by (provider, kind)"
            f' (llm_provider_quota_remaining_ratio{{{N},provider=~"$provider"}})',
            "{{provider}} {{kind}}",
        ),
        links=("llm-tokens",),
        thresholds={"green": None, "yellow": 0.8, "red": 0.95},
        runbook="rate-limit",
    )
