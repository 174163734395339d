"""`llm-focus-feature`, `llm-focus-prompt`, `llm-focus-tenant`: one template, three dimensions."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import columns
from grafana.build.boards.quality import OF_FEATURE, side_by_side, worse
from grafana.build.boards.shared import NEWEST, traceql
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    BASELINE,
    CALL_COLUMNS,
    OK,
    PROMPT,
    C,
    E,
    P,
    T,
    by_label,
    increase,
    legend_of,
    one,
    positive,
    rate,
    ratio,
)

FOCUS: Final = {
    "feature": "llm-focus-feature",
    "prompt_version": "llm-focus-prompt",
    "tenant": "llm-focus-tenant",
}
"""Label → the board that shows one value of it."""
BREAKDOWNS: Final = FOCUS | {"model": "llm-cost"}

_ONLY: Final = {
    "feature": "",
    "prompt_version": ' && span.app.llm.prompt.template.version =~ "${prompt_version:pipe}"',
    "tenant": ' && span.app.llm.tenant.id =~ "${tenant:pipe}"',
}
"""Label → what TraceQL must ask besides environment and feature, so that the table shows the one in focus."""

_BEFORE: Final = {
    "feature": C,
    "prompt_version": OF_FEATURE,
    "tenant": C,
}
"""Label → what the one in focus is compared with: a new prompt version has no past, the others of its feature have."""

_LINES: Final = {"feature": "feature", "prompt_version": PROMPT, "tenant": "tenant"}
"""Label → what has a line of its own. One version can have two texts, and only one of them is bad."""

_BESIDE: Final = {
    "feature": (side_by_side(C, P),),
    "prompt_version": (side_by_side(OF_FEATURE, E),),
    "tenant": (),
}
"""Label → its prompts, or those of its feature: what was chosen beside what was not."""

_SPEND: Final = increase("llm_cost_usd_total", C)
_CALLS: Final = increase("llm_requests_total", C)
_GOOD: Final = increase("llm_requests_total", C + OK)


def _now(label: str) -> Row:
    now = columns.per_call("llm_cost_usd_total", "")
    before = columns.per_call("llm_cost_usd_total", "", BASELINE, _BEFORE[label])
    return Row(
        title="Now",
        panels=(
            Panel(
                title=f"Spend, requests, cost per call, success ({label} in focus)",
                viz="stat",
                unit="short",
                why="The four numbers of this one: how much, how often, how dear, how well?",
                act="All values of the filters together; choose one value above for one only.",
                queries=(
                    Query(expr=_SPEND, legend="spend", unit="currencyUSD"),
                    Query(expr=_CALLS, legend="requests"),
                    Query(
                        expr=f"{_SPEND} / {positive(_GOOD)}", legend="per call", unit="currencyUSD"
                    ),
                    Query(
                        expr=f"{_GOOD} / {positive(_CALLS)}",
                        legend="success",
                        unit="percentunit",
                        thresholds={"red": None, "yellow": 0.98, "green": 0.995},
                    ),
                ),
                links=("llm-investigate",),
                runbook="cost-spike",
                width=16,
            ),
            Panel(
                title="Cost per call: now / baseline",
                viz="stat",
                unit="suffix:x",
                why="Did the cost of one call regress?",
                act="Above 1.5 look at the markers: which prompt, deploy or served model came just before?",
                queries=one(ratio(now, before)),
                links=("llm-investigate",),
                thresholds=columns.MORE,
                runbook="prompt-regression",
                width=8,
                single=True,
                empty="No baseline",
            ),
        ),
    )


def _trend(label: str) -> Row:
    answered = rate("llm_requests_total", C + OK)
    lines = _LINES[label]
    return Row(
        title="Trend",
        panels=(
            Panel(
                title="Cost per call",
                viz="timeseries",
                unit="currencyUSD",
                why="When did the cost of a call change? Markers show prompts, deploys and served models.",
                act="A step at a purple marker is the prompt: compare the two versions.",
                queries=by_label(
                    ratio(
                        rate("llm_cost_usd_total", C, lines),
                        rate("llm_requests_total", C + OK, lines),
                    ),
                    lines,
                ),
                links=(FOCUS[label], "llm-investigate"),
                runbook="prompt-regression",
                exemplars=True,
            ),
            Panel(
                title="Requests/s and success ratio",
                viz="timeseries",
                unit="reqps",
                why="Volume or failures?",
                act="More requests and less success: retries or abuse.",
                queries=(
                    Query(expr=rate("llm_requests_total", C, lines), legend=legend_of(lines)),
                    Query(
                        expr=ratio(answered, rate("llm_requests_total", C)),
                        legend="success",
                        unit="percentunit",
                        right=True,
                    ),
                ),
                links=("llm-errors",),
                runbook="error-rate",
                from_zero=False,
            ),
            Panel(
                title="Tokens per call (input, output)",
                viz="timeseries",
                unit="short",
                why="A longer prompt or a longer answer?",
                act="Input: the prompt or what is retrieved. Output: no cap, or another model.",
                queries=tuple(
                    Query(expr=ratio(rate(f"llm_{kind}_tokens_total", C), answered), legend=kind)
                    for kind in ("input", "output")
                ),
                links=("llm-tokens",),
                runbook="cost-spike",
            ),
        ),
    )


def _break_down(label: str) -> Row:
    return Row(
        title="Break down",
        panels=tuple(
            Panel(
                title=f"Spend by {other}",
                viz="bargauge",
                unit="currencyUSD",
                why=f"Which {other} is behind it?",
                act="Click the longest bar; the filters of this board go along.",
                queries=by_label(f"topk(15, {increase('llm_cost_usd_total', C, by)})", by),
                links=(link,),
                runbook="cost-spike",
            )
            for other, link in BREAKDOWNS.items()
            for by in (PROMPT if other == "prompt_version" else other,)  # each feature has its v1
            if other != label
        ),
    )


def _evidence(label: str) -> Row:
    return Row(
        title="Evidence",
        panels=(
            traceql(
                "Traces of this one",
                f"{{ {T}{_ONLY[label]} }} | select({CALL_COLUMNS}) {NEWEST}",
                why="What do its calls look like?",
                act="Open one that cost more than the mean and one that cost less.",
                runbook="prompt-regression",
            ),
        ),
    )


def _board(label: str, title: str, about: str) -> Board:
    return Board(
        uid=FOCUS[label],
        title=title,
        about=about,
        rows=(
            _now(label),
            *_BESIDE[label],
            _trend(label),
            worse(_LINES[label], answers=label != "tenant"),
            _break_down(label),
            _evidence(label),
        ),
    )


BOARDS: Final = (
    _board(
        "feature",
        "LLM focus: feature",
        "One feature: what it costs, how it does, who is behind it.",
    ),
    _board(
        "prompt_version", "LLM focus: prompt", "One prompt version: did it get worse or dearer?"
    ),
    _board(
        "tenant",
        "LLM focus: tenant",
        "One tenant: what it uses, of what, and whether that is abuse.",
    ),
)
