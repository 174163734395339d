"""Did it get worse? What the users of a feature, a prompt or a tenant see, by whatever has a line of its own."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import columns
from grafana.build.model import Panel, Query, Row
from grafana.build.promql import PROMPT, C, P, S, by_label, increase, positive, rate, ratio

OF_FEATURE: Final = f'{S},tenant=~"$tenant"'
"""Calls under whatever prompt: those of the feature of a chosen one."""


def worse(lines: str, *, answers: bool) -> Row:
    """Return a row; `answers` if there is a count of bad ones, which have a prompt but no tenant."""
    panels: tuple[Panel, ...] = (_failed(), _cache_hits(lines))
    if answers:
        panels = (_bad(lines), _bad_by_kind(), _scores(lines), *panels, _split())
    return Row(title="Did it get worse?", panels=panels)


def side_by_side(calls: str, answers: str) -> Row:
    """Return one row a prompt: what its calls cost, and whether its answers are any good."""
    by = PROMPT
    most = Query(
        expr=f"topk(15, round({increase('llm_requests_total', calls, by)}))",
        legend="calls",
        unit="locale",
    )
    usd = columns.per_call("llm_cost_usd_total", by, selector=calls)
    panel = Panel(
        title="Prompts side by side",
        viz="table",
        unit="short",
        why="Is one prompt worse or dearer than another of its feature? Chosen and not chosen ones.",
        act="Two rows of one version are two texts: the sha tells them apart. Roll back to the better row.",
        queries=columns.among(
            most,
            by,
            Query(expr=usd, legend="USD a call", unit="currencyUSD"),
            Query(expr=columns.tokens(by, selector=calls), legend="tokens a call", unit="short"),
            Query(expr=columns.hits(by, selector=calls), legend="cache hits", unit="percentunit"),
            columns.share("failed", '!="success"', by, selector=calls),
            columns.bad_answers_now(by, calls, answers),
            columns.score(by, answers),
        ),
        links=("llm-focus-prompt",),
        runbook="prompt-regression",
        width=24,
        empty="–",
    )
    return Row(title="Prompts", panels=(panel,))


def _failed() -> Panel:
    failed = rate("llm_requests_total", C + ',status!="success"', "status")
    return Panel(
        title="Failed calls by status",
        viz="timeseries",
        unit="percentunit",
        why="Does the provider refuse, limit or fail its calls, and does it still go on?",
        act="rate_limited: slow down. error and timeout: the errors board says whose fault it is.",
        queries=by_label(
            f"{failed} / on () group_left() {positive(rate('llm_requests_total', C))}", "status"
        ),
        links=("llm-errors",),
        runbook="error-rate",
        stacked=True,
        empty="No failures",
    )


def _cache_hits(lines: str) -> Panel:
    return Panel(
        title="Cache hit rate",
        viz="timeseries",
        unit="percentunit",
        why="Does its prompt still come from the cache?",
        act="A fall at a prompt marker: something that changes moved to the front of the prompt.",
        queries=by_label(
            ratio(
                rate("llm_cache_read_tokens_total", C, lines),
                rate("llm_input_tokens_total", C, lines),
            ),
            lines,
        ),
        links=("llm-tokens",),
        runbook="cache-drop",
    )


def _bad(lines: str) -> Panel:
    return Panel(
        title="Bad answers",
        viz="timeseries",
        unit="percentunit",
        why="Which share of the answers can nobody use: invalid, rejected or refused?",
        act="One sha above the others: roll it back. All of them: the served model or the inputs changed.",
        queries=by_label(columns.bad_answers(lines, window="$__rate_interval"), lines),
        links=("llm-errors",),
        thresholds=columns.BAD,
        runbook="quality-drop",
    )


def _bad_by_kind() -> Panel:
    calls = positive(rate("llm_requests_total", C))
    return Panel(
        title="Bad answers by kind",
        viz="timeseries",
        unit="percentunit",
        why="What is wrong with them: their form, our policy, or the model that declines?",
        act="validation: the prompt or the model. guardrail: read what was rejected. refusal: read ten of them.",
        queries=tuple(
            Query(expr=f"({rate(metric, P)} or vector(0)) / {calls}", legend=kind)
            for kind, metric in columns.BAD_KINDS.items()
        ),
        links=("llm-errors",),
        runbook="quality-drop",
        stacked=True,
    )


def _scores(lines: str) -> Panel:
    return Panel(
        title="Eval score",
        viz="timeseries",
        unit="percentunit",
        why="Are its answers still good, where somebody evaluates them?",
        act="Below 0.7 compare with the other prompts in the table below; below 0.5 roll back.",
        queries=by_label(
            ratio(*(rate(f"llm_eval_score_{part}", P, lines) for part in ("sum", "count"))), lines
        ),
        links=("llm-drift",),
        thresholds=columns.SCORE,
        runbook="quality-drop",
        from_zero=False,
    )


def _split() -> Panel:
    of_feature = rate("llm_requests_total", OF_FEATURE, "feature")
    return Panel(
        title="Share of its feature's calls, by prompt",
        viz="timeseries",
        unit="percentunit",
        why="How far is the rollout, or is the rollback complete?",
        act="A line that should be at 0 and is not: an instance that was not restarted, or a cached prompt.",
        queries=by_label(
            f"{rate('llm_requests_total', C, PROMPT)} / on (feature) group_left() {positive(of_feature)}",
            PROMPT,
        ),
        links=("llm-focus-prompt",),
        runbook="prompt-regression",
    )
