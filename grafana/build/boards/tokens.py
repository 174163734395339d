"""`llm-tokens`: volume, the prompt cache, conversations."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import columns
from grafana.build.boards.shared import quota_used, traceql
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    BASELINE,
    OK,
    C,
    E,
    F,
    P,
    T,
    by_label,
    grown,
    increase,
    one,
    quantile,
    rate,
    ratio,
)

_CALLS: Final = rate("llm_requests_total", C + OK, "feature")
_READ: Final = "llm_cache_read_tokens_total"
_INPUT: Final = "llm_input_tokens_total"


def _reasoning(offset: str = "") -> str:
    return columns.per_call("llm_reasoning_tokens_total", "feature, model", offset)


_VOLUME: Final = Row(
    title="Volume",
    panels=(
        Panel(
            title="Tokens per minute by kind",
            viz="timeseries",
            unit="short",
            why="How much of the tokens-per-minute quota goes where?",
            act="Not stacked: cache kinds are parts of the input, reasoning is part of the output.",
            queries=tuple(
                Query(expr=f"60 * {rate(f'llm_{kind}_tokens_total', C)}", legend=kind)
                for kind in ("input", "output", "cache_read", "cache_write", "reasoning")
            ),
            links=("llm-investigate",),
            runbook="rate-limit",
        ),
        Panel(
            title="Tokens per call by feature",
            viz="timeseries",
            unit="short",
            why="Longer prompts or longer answers?",
            act="Input up at a prompt marker: the prompt. Output up: no cap on the answer.",
            queries=tuple(
                Query(
                    expr=ratio(rate(f"llm_{kind}_tokens_total", C, "feature"), _CALLS),
                    legend=f"{kind} {{{{feature}}}}",
                )
                for kind in ("input", "output")
            ),
            links=("llm-focus-feature",),
            runbook="cost-spike",
        ),
        quota_used("80 % of the limit warns, 95 % pages: where are we?"),
        Panel(
            title="Reasoning share of the output by feature and model",
            viz="timeseries",
            unit="percentunit",
            why="Who thinks longer than before? Reasoning is billed as output and nobody reads it.",
            act="A step: the effort setting or another served model. A slope: harder questions.",
            queries=by_label(
                ratio(
                    rate("llm_reasoning_tokens_total", C, "feature, model"),
                    rate("llm_output_tokens_total", C, "feature, model"),
                ),
                "feature, model",
            ),
            links=("llm-focus-feature",),
            runbook="cost-spike",
            width=12,
        ),
        Panel(
            title="Reasoning tokens per call: now / baseline",
            viz="table",
            unit="suffix:x",
            why="Which feature and model reasons more than it used to?",
            act="Above 1.5 with the same prompt: set the effort, or cap the output.",
            queries=one(f"({_reasoning()} > 0) / ({_reasoning(BASELINE)} > 0)"),
            links=("llm-focus-feature",),
            thresholds=columns.MORE,
            runbook="cost-spike",
            value_name="times the baseline",
            empty="No baseline",
        ),
    ),
)


_WRITTEN: Final = increase("llm_cache_write_tokens_total", C, "tenant")
_WRITE_MORE: Final = f"topk(15, {grown('llm_cache_write_tokens_total', C, 'tenant')})"
_READ_BY: Final = increase(_READ, C, "tenant")

_CACHE: Final = Row(
    title="Cache",
    panels=(
        Panel(
            title="Cache hit rate by feature and model (token-weighted)",
            viz="timeseries",
            unit="percentunit",
            why="Where did the cache break?",
            act="All features of a model: the provider. One feature: something changing stands first in its prompt.",
            queries=by_label(
                ratio(rate(_READ, C, "feature, model"), rate(_INPUT, C, "feature, model")),
                "feature, model",
            ),
            links=("llm-focus-feature",),
            runbook="cache-drop",
        ),
        Panel(
            title="Cache hit rate change against baseline",
            viz="stat",
            unit="percentunit",
            why="Does it hit less than before? A fall of more than 20 % week over week alerts.",
            act="Compare the prompt of then and now from its first character on.",
            queries=by_label(columns.hits_fell("feature").expr, "feature"),
            links=("llm-focus-feature",),
            thresholds=columns.FELL,
            runbook="cache-drop",
            width=8,
            empty="No baseline",
        ),
        Panel(
            title="Per-call hit ratio median",
            viz="timeseries",
            unit="percentunit",
            why="What does the typical call get from the cache?",
            act="Counts calls, not tokens: never use it for money.",
            queries=by_label(
                quantile(0.5, "llm_cache_hit_ratio", F, "feature, model"), "feature, model"
            ),
            links=("llm-focus-feature",),
            runbook="cache-drop",
        ),
        Panel(
            title="Write amortisation (tokens read per token written)",
            viz="stat",
            unit="suffix:x",
            why="Does caching pay?",
            act="With a write at 1.25 and a read at 0.1 of the price it pays above 0.28 reads per write.",
            queries=by_label(
                ratio(
                    increase(_READ, C, "feature"),
                    increase("llm_cache_write_tokens_total", C, "feature"),
                ),
                "feature",
            ),
            links=("llm-focus-feature",),
            thresholds={"red": None, "green": 0.28},
            runbook="cache-drop",
            width=8,
            empty="No writes",
        ),
        Panel(
            title="Cache by tenant: who writes more",
            viz="table",
            unit="short",
            why="Who fills the cache, and who gets anything out of it?",
            act="Much written, little read: prompts that never repeat. Turn caching off for them, it costs 1.25 times.",
            queries=(
                Query(expr=_WRITE_MORE, legend="more written"),
                Query(expr=f"{_WRITTEN} and on (tenant) {_WRITE_MORE}", legend="written"),
                Query(
                    expr=f"(({_READ_BY} or 0 * {_WRITTEN}) / ({_WRITTEN} > 0))"
                    f" and on (tenant) {_WRITE_MORE}",
                    legend="read per written",
                    unit="suffix:x",
                    thresholds={"red": None, "green": 0.28},
                ),
            ),
            links=("llm-focus-tenant",),
            runbook="cache-drop",
            width=24,
            empty="–",
        ),
    ),
)

_CONVERSATIONS: Final = Row(
    title="Conversations",
    panels=(
        Panel(
            title="Expensive conversations per hour",
            viz="timeseries",
            unit="short",
            why="Is it time to compact the history?",
            act="Summarise old turns from some length on; the cost of a chat grows with its square.",
            queries=by_label(
                f"3600 * {rate('llm_expensive_conversations_total', E, 'feature')}", "feature"
            ),
            links=("llm-focus-feature",),
            runbook="cost-spike",
        ),
        Panel(
            title="Token-budget breaches per hour",
            viz="timeseries",
            unit="short",
            why="Which prompts exceed their token budget?",
            act="A loop, a document in the prompt, or a budget that was never right.",
            queries=by_label(
                f"3600 * {rate('llm_token_budget_exceeded_total', P, 'feature, prompt_version')}",
                "feature, prompt_version",
            ),
            links=("llm-focus-prompt",),
            runbook="cost-spike",
        ),
        Panel(
            title="Conversations being added up",
            viz="timeseries",
            unit="short",
            why="How many conversations does the collector follow?",
            act="At its limit the oldest are forgotten and cannot become expensive: raise the limit of llm_cost.",
            queries=one("sum(otelcol_llm_cost_conversations)", "conversations"),
            links=("llm-collector",),
            runbook="telemetry-loss",
        ),
        traceql(
            "Expensive conversations",
            f"{{ {T} && span.app.llm.conversation.expensive = true }}"
            " | select(span.app.llm.conversation.id,"
            " span.app.llm.conversation.cumulative_tokens, span.app.llm.feature)",
            why="Which ones?",
            act="Open the last call of one: its input is the whole history.",
            runbook="cost-spike",
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-tokens",
    title="LLM tokens",
    about="How many tokens, how well the prompt cache works, which conversations grow.",
    rows=(_VOLUME, _CACHE, _CONVERSATIONS),
)
