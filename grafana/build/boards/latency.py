"""`llm-latency`: which layer became slow, for whom, and whether it is the provider."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import columns
from grafana.build.boards.shared import slowest_calls
from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    BASELINE,
    E,
    M,
    S,
    increase,
    one,
    quantile,
    quantiles,
    rate,
    ratio,
    share_by,
)

_LEVELS: Final = "One feature (its prompt, its input) or one model (the provider)?"


def _percentiles(name: str, metric: str, by: str, thresholds: dict[str, float | None]) -> Panel:
    links = ("llm-investigate", "llm-focus-feature") if by == "feature" else ("llm-investigate",)
    return Panel(
        title=f"{name} p50 / p95 / p99 by {by}",
        viz="timeseries",
        unit="s",
        why=_LEVELS,
        act="Click a point for the trace behind it. Only p99: a few odd calls. All three: everybody waits.",
        queries=quantiles(metric, S, by),
        links=links,
        thresholds=thresholds,
        runbook="latency-spike",
        exemplars=True,
    )


def _heatmap(name: str, metric: str) -> Panel:
    return Panel(
        title=f"{name} heatmap",
        viz="heatmap",
        unit="s",
        why="Two humps or one shifted hump?",
        act="Two humps are two populations (cached and not, two models): split by model. One shifted: all of it.",
        queries=one(f"sum by (le) (increase({metric}_bucket{{{S}}}[$__interval]))", "{{le}}"),
        links=("llm-investigate",),
        runbook="latency-spike",
        exemplars=True,
        width=16,
    )


def _under(name: str, metric: str, bound: int, objective: str) -> Panel:
    """Return an SLI. `le` is spelled `1.0` or `1`, depending on how Prometheus got the histogram."""
    good = rate(f"{metric}_bucket", f'{S},le=~"{bound}(\\\\.0)?"', window="$__range")
    return Panel(
        title=f"{name} under {bound} s (SLI)",
        viz="stat",
        unit="percentunit",
        why=f"How many calls are within the objective of {objective}?",
        act="Below it the error budget burns; the SLO board says how fast.",
        queries=one(ratio(good, rate(f"{metric}_count", S, window="$__range"))),
        links=("llm-slo",),
        thresholds={"red": None, "green": float(objective.removesuffix(" %")) / 100},
        runbook="latency-spike",
        width=8,
        single=True,
    )


_TTFT: Final = Row(
    title="TTFT",
    panels=(
        _percentiles(
            "TTFT", "llm_ttft_seconds", "feature", {"green": None, "yellow": 0.5, "red": 2}
        ),
        _percentiles("TTFT", "llm_ttft_seconds", "model", {"green": None, "yellow": 0.5, "red": 2}),
        _heatmap("TTFT", "llm_ttft_seconds"),
        _under("TTFT", "llm_ttft_seconds", 1, "95 %"),
    ),
)
_TOTAL: Final = Row(
    title="Total latency",
    panels=(
        _percentiles("Total latency", "llm_total_latency_seconds", "feature", {"green": None, "yellow": 8, "red": 15}),
        _percentiles("Total latency", "llm_total_latency_seconds", "model", {"green": None, "yellow": 8, "red": 15}),
        _heatmap("Total latency", "llm_total_latency_seconds"),
        _under("Total", "llm_total_latency_seconds", 5, "99 %"),
    ),
)  # fmt: skip
_TPOT: Final = Row(
    title="Time per output token",
    panels=(
        Panel(
            title="Time per output token p50 / p95 by model",
            viz="timeseries",
            unit="s",
            why="How fast does text appear? 33 ms a token is a comfortable read, 100 ms grates.",
            act="Up for one model: the provider. Use a smaller model where reading speed matters.",
            queries=quantiles("llm_tpot_seconds", M, "model", (50, 95)),
            links=("llm-investigate",),
            thresholds={"green": None, "yellow": 0.033, "red": 0.1},
            runbook="latency-spike",
        ),
        Panel(
            title="Decode tokens/s p10 / p50 by provider and model",
            viz="timeseries",
            unit="short",
            why="Is the provider slow? Then it is not your fault.",
            act="p10 falls first. Half of yesterday's rate: fail over.",
            queries=quantiles("llm_decode_tokens_per_second", M, "provider, model", (10, 50)),
            links=("llm-investigate",),
            runbook="provider-outage",
            exemplars=True,
        ),
        Panel(
            title="Chunk gap p95 / p99 by model",
            viz="timeseries",
            unit="s",
            why="Does streaming stutter?",
            act="Gaps with a good mean rate: buffering in a proxy, or the provider pauses.",
            queries=quantiles("llm_streaming_chunk_gap_seconds", M, "model", (95, 99)),
            links=("llm-investigate",),
            runbook="latency-spike",
        ),
    ),
)

_MEAN_TTFT: Final = ratio(rate("llm_ttft_seconds_sum", S), rate("llm_ttft_seconds_count", S))
_MEAN_TOTAL: Final = ratio(
    rate("llm_total_latency_seconds_sum", S), rate("llm_total_latency_seconds_count", S)
)
_TOOL: Final = "llm_tool_duration_seconds"


def _tools() -> Panel:
    """Return one row a tool: those that fail first."""
    by = "feature, tool"
    failed = rate("llm_tool_calls_total", f'{E},status!="success"', by, window="$__range")
    calls = rate("llm_tool_calls_total", E, by, window="$__range")
    now, before = (
        quantile(0.95, _TOOL, E, by, window="$__range", offset=offset) for offset in ("", BASELINE)
    )
    return Panel(
        title="Tools that fail or slow down",
        viz="table",
        unit="s",
        why="Is it the tool, not the model? Failed calls, how long it takes, and that against the baseline.",
        act="A slow tool makes the agent slow, a failing one makes it repeat itself; its owner is not the provider.",
        queries=(
            Query(
                expr=share_by(failed, calls),
                legend="failed",
                unit="percentunit",
                thresholds=columns.FAILED,
            ),
            Query(expr=now, legend="p95"),
            columns.times("p95 now / baseline", now, before),
            Query(
                expr=f"round({increase('llm_tool_calls_total', E, by)})",
                legend="calls",
                unit="locale",
            ),
        ),
        links=("llm-focus-feature",),
        runbook="latency-spike",
        empty="–",
    )


_DECOMPOSE: Final = Row(
    title="Decompose",
    panels=(
        Panel(
            title="Mean TTFT and mean decode time (stacked)",
            viz="timeseries",
            unit="s",
            why="Which layer moved: network, queue and prefill, or decoding?",
            act="Exact only when every call streams; a call that does not has a total but no TTFT.",
            queries=(
                Query(expr=_MEAN_TTFT, legend="network + queue + prefill"),
                Query(expr=f"clamp_min({_MEAN_TOTAL} - {_MEAN_TTFT}, 0)", legend="decode"),
            ),
            links=("llm-investigate",),
            runbook="latency-spike",
            stacked=True,
        ),
        Panel(
            title="TTFT p95 over input tokens p95 (queue test)",
            viz="timeseries",
            unit="s",
            why="Is it the provider's queue?",
            act="TTFT up with flat input: its queue, fail over. Both up: longer prompts, ours.",
            queries=(
                Query(expr=quantile(0.95, "llm_ttft_seconds", S), legend="TTFT p95"),
                Query(
                    expr=quantile(0.95, "llm_request_input_tokens", S),
                    legend="input tokens p95",
                    unit="short",
                    right=True,
                ),
            ),
            links=("llm-investigate",),
            runbook="provider-outage",
        ),
        Panel(
            title="Total p95 now and baseline",
            viz="timeseries",
            unit="s",
            why="Slower than last week? The dashed line is the baseline of the variable.",
            act="Only above its own baseline is it news: some features are slow by nature.",
            queries=(
                Query(
                    expr=quantile(0.95, "llm_total_latency_seconds", S, "feature"),
                    legend="now {{feature}}",
                ),
                Query(
                    expr=quantile(0.95, "llm_total_latency_seconds", S, "feature", offset=BASELINE),
                    legend="baseline {{feature}}",
                    dashed=True,
                ),
            ),
            links=("llm-investigate",),
            runbook="latency-spike",
        ),
        _tools(),
        Panel(
            title="Tool calls by outcome",
            viz="timeseries",
            unit="reqps",
            why="Do tools fail, and the model is blamed?",
            act="Failing tools make agents repeat themselves: latency and cost follow.",
            queries=one(rate("llm_tool_calls_total", E, "tool, status"), "{{tool}} {{status}}"),
            links=("llm-investigate",),
            runbook="latency-spike",
        ),
        slowest_calls(),
    ),
)

BOARD: Final = Board(
    uid="llm-latency",
    title="LLM latency",
    about="First token, whole call, speed of writing, and which layer is to blame.",
    rows=(_TTFT, _TOTAL, _TPOT, _DECOMPOSE),
    variables=("min_duration",),
)
