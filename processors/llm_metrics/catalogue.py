"""What `llm_metrics` can produce, as tables: metrics, labels, buckets.

Read by the code, the documentation and the tests of dashboards and rules.

Names, labels and buckets are the users' catalogue; a name is never changed. Units are OTLP's (UCUM with annotations),
chosen so that an exposition with unit suffixes spells every name as it stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

ATTO: Final = 10**18
"""attoUSD in a dollar: money is summed as integers."""

OTHER: Final = "other"
"""What a label value becomes when its label, or the metric, has no room for one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label: its default where nothing tells it, and how many values it may have (None: a closed set)."""

    default: str = ""
    limit: int | None = None


LABELS: Final[Mapping[str, Label]] = {
    "environment": Label(default="unknown", limit=20),
    "data_mode": Label(default="real"),
    "provider": Label(default="unknown", limit=50),
    "model": Label(default="unknown", limit=200),
    "request_model": Label(default="unknown", limit=200),
    "feature": Label(default="unknown", limit=200),
    "tenant": Label(default="unknown", limit=1000),
    "prompt_version": Label(limit=500),
    "prompt_sha": Label(limit=500),
    "variant": Label(limit=50),
    "status": Label(),
    "error_class": Label(),
    "source": Label(),
    "language": Label(default="und", limit=60),
    "result": Label(),
    "kind": Label(),
    "reason": Label(),
    "tool": Label(default="unknown", limit=100),
    "team": Label(limit=100),
    "tier": Label(),
    "scope": Label(),
    "name": Label(limit=1000),
    "period": Label(),
    "user": Label(limit=1000),
    "service": Label(default="unknown", limit=100),
    "version": Label(limit=200),
}

COMMON: Final = ("environment", "data_mode")
"""Labels of every metric that is derived from telemetry."""

DATA_MODES: Final = frozenset(("real", "test", "demo", "synthetic"))

TTFT: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0)
TOTAL: Final = (
    0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0
)  # fmt: skip
TPOT: Final = (0.005, 0.01, 0.015, 0.02, 0.025, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)
GAP: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
DECODE: Final = (5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0, 300.0)
COSTS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0
)  # fmt: skip
TOKENS_IN: Final = (
    64.0, 256.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131072.0, 262144.0
)  # fmt: skip
TOKENS_OUT: Final = (16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)
RATIO: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
TOOL: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `labels` are all of them, in the order of a series' values."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    money: bool = False
    """Counted in attoUSD, told as dollars."""


CALL_LABELS: Final = (
    *COMMON, "provider", "model", "feature", "tenant", "prompt_version", "prompt_sha", "variant"
)  # fmt: skip
TIMING_LABELS: Final = (*COMMON, "provider", "model", "feature", "variant")
PACE_LABELS: Final = (*COMMON, "provider", "model")
MODEL_LABELS: Final = (*COMMON, "provider", "model", "feature")
PROMPT_LABELS: Final = (*COMMON, "feature", "prompt_version", "prompt_sha")


def _counter(
    name: str, unit: str, labels: tuple[str, ...], help_text: str, *, money: bool = False
) -> Metric:
    return Metric(name=name, kind="counter", unit=unit, labels=labels, help=help_text, money=money)


def _histogram(
    name: str, unit: str, buckets: tuple[float, ...], labels: tuple[str, ...], help_text: str
) -> Metric:
    return Metric(
        name=name, kind="histogram", unit=unit, labels=labels, help=help_text, buckets=buckets
    )


def _gauge(name: str, unit: str, labels: tuple[str, ...], help_text: str) -> Metric:
    return Metric(name=name, kind="gauge", unit=unit, labels=labels, help=help_text)


# fmt: off
REQUESTS: Final = _counter(
    "llm_requests_total", "{request}", (*CALL_LABELS, "status"),
    "Model calls, each counted once, by outcome; calls without usage are included.")
INPUT_TOKENS: Final = _counter(
    "llm_input_tokens_total", "{token}", CALL_LABELS,
    "Input tokens of counted model calls, cache reads and writes included.")
OUTPUT_TOKENS: Final = _counter(
    "llm_output_tokens_total", "{token}", CALL_LABELS,
    "Output tokens of counted model calls, reasoning included.")
CACHE_READ_TOKENS: Final = _counter(
    "llm_cache_read_tokens_total", "{token}", CALL_LABELS,
    "Input tokens read from a provider's prompt cache; part of the input tokens.")
CACHE_WRITE_TOKENS: Final = _counter(
    "llm_cache_write_tokens_total", "{token}", CALL_LABELS,
    "Input tokens written to a provider's prompt cache; part of the input tokens.")
REASONING_TOKENS: Final = _counter(
    "llm_reasoning_tokens_total", "{token}", CALL_LABELS,
    "Output tokens spent on reasoning; part of the output tokens.")
COST_USD: Final = _counter(
    "llm_cost_usd_total", "{USD}", CALL_LABELS,
    "Cost of priced model calls, in dollars; estimates are not in it.", money=True)
COST_REPORTED: Final = _counter(
    "llm_cost_reported_usd_total", "{USD}", MODEL_LABELS,
    "Cost as the emitters reported it themselves, for reconciliation; never added to llm_cost_usd_total.", money=True)
COST_ESTIMATED: Final = _counter(
    "llm_cost_estimated_usd_total", "{USD}", MODEL_LABELS,
    "Cost of calls whose price was estimated.", money=True)
UNPRICED_REQUESTS: Final = _counter(
    "llm_unpriced_requests_total", "{request}", (*PACE_LABELS, "reason"),
    "Model calls without a cost, by reason.")
UNPRICED_TOKENS: Final = _counter(
    "llm_unpriced_tokens_total", "{token}", PACE_LABELS,
    "Input and output tokens of model calls without a cost: the size of the hole in the bill.")
MODEL_SERVED: Final = _counter(
    "llm_model_served_total", "{request}", (*COMMON, "provider", "request_model", "model"),
    "Successful calls by the model that was asked for and the one that answered.")
TTFT_SECONDS: Final = _histogram(
    "llm_ttft_seconds", "s", TTFT, TIMING_LABELS,
    "Time to the first token of streamed calls.")
TPOT_SECONDS: Final = _histogram(
    "llm_tpot_seconds", "s", TPOT, PACE_LABELS,
    "Time per output token after the first.")
LATENCY_SECONDS: Final = _histogram(
    "llm_total_latency_seconds", "s", TOTAL, TIMING_LABELS,
    "Duration of model calls, from the request to the end of the answer.")
DECODE_RATE: Final = _histogram(
    "llm_decode_tokens_per_second", "{token}/s", DECODE, PACE_LABELS,
    "Output tokens per second after the first token.")
CHUNK_GAP: Final = _histogram(
    "llm_streaming_chunk_gap_seconds", "s", GAP, PACE_LABELS,
    "Time between consecutive chunks of streamed answers.")
CACHE_HIT_RATIO: Final = _histogram(
    "llm_cache_hit_ratio", "1", RATIO, MODEL_LABELS,
    "Share of the input tokens that came from the prompt cache, one observation per call whose provider reports it.")
REQUEST_COST: Final = _histogram(
    "llm_request_cost_usd", "{USD}", COSTS, TIMING_LABELS,
    "Cost of a priced model call, in dollars.")
REQUEST_INPUT: Final = _histogram(
    "llm_request_input_tokens", "{token}", TOKENS_IN, TIMING_LABELS,
    "Input tokens of a model call.")
REQUEST_OUTPUT: Final = _histogram(
    "llm_request_output_tokens", "{token}", TOKENS_OUT, TIMING_LABELS,
    "Output tokens of a model call.")
VALIDATION_ERRORS: Final = _counter(
    "llm_validation_errors_total", "{call}", (*COMMON, "feature", "error_class", "prompt_version", "prompt_sha"),
    "Answers that the application could not use, by what was wrong with them.")
GUARDRAIL_REJECTIONS: Final = _counter(
    "llm_guardrail_rejections_total", "{call}", (*COMMON, "feature", "source", "prompt_version", "prompt_sha"),
    "Calls stopped by the provider's content filter or by a policy of the application.")
API_ERRORS: Final = _counter(
    "llm_api_errors_total", "{call}", (*MODEL_LABELS, "error_class"),
    "Model calls that failed, by class of the failure.")
REFUSALS: Final = _counter(
    "llm_refusals_total", "{call}", (*PROMPT_LABELS, "language"),
    "Calls that the model refused to answer.")
PROMPT_LANGUAGE: Final = _counter(
    "llm_prompt_language_total", "{call}", (*COMMON, "feature", "language"),
    "Model calls by the language of the prompt, where the application tells it.")
BUDGET_EXCEEDED: Final = _counter(
    "llm_token_budget_exceeded_total", "{call}", PROMPT_LABELS,
    "Model calls that exceeded their token budget.")
EXPENSIVE_CONVERSATIONS: Final = _counter(
    "llm_expensive_conversations_total", "{conversation}", (*COMMON, "feature"),
    "Conversations that crossed the threshold of cumulative tokens.")
RETRIES: Final = _counter(
    "llm_retries_total", "{attempt}", MODEL_LABELS,
    "Attempts after the first for one logical request.")
TOOL_CALLS: Final = _counter(
    "llm_tool_calls_total", "{call}", (*COMMON, "feature", "tool", "status"),
    "Tool calls by outcome.")
TOOL_SECONDS: Final = _histogram(
    "llm_tool_duration_seconds", "s", TOOL, (*COMMON, "feature", "tool"),
    "Duration of tool calls.")
EVAL_SCORE: Final = _histogram(
    "llm_eval_score", "1", RATIO, (*PROMPT_LABELS, "model", "variant"),
    "Scores of evaluation results.")
EVAL_SAMPLES: Final = _counter(
    "llm_eval_samples_total", "{sample}", (*PROMPT_LABELS, "model", "variant", "result"),
    "Evaluation results that passed or failed.")
USER_FEEDBACK: Final = _counter(
    "llm_user_feedback_total", "{vote}", (*PROMPT_LABELS, "result"),
    "Votes of users.")
USER_COST: Final = _counter(
    "llm_user_cost_usd_total", "{USD}", (*COMMON, "user"),
    "Cost of a sample of the users, by pseudonym; only where the configuration asks for it.", money=True)
TOP_USER_COST: Final = _gauge(
    "llm_top_user_cost_usd", "{USD}", (*COMMON, "user"),
    "What the most expensive users cost at least since the window began; only where the configuration asks for it.")
QUOTA_REMAINING: Final = _gauge(
    "llm_provider_quota_remaining_ratio", "1", (*COMMON, "provider", "kind"),
    "Share of a provider's rate limit that was left at the last call.")
SERVICE_INFO: Final = _gauge(
    "llm_service_info", "", (*COMMON, "service", "version"),
    "1 for every service version that sent telemetry.")
BUDGET: Final = _gauge(
    "llm_budget_usd", "{USD}", ("environment", "scope", "name", "period"),
    "Budgets of the configuration, in dollars.")
FEATURE_INFO: Final = _gauge(
    "llm_feature_info", "", ("feature", "team", "tier"),
    "1 for every feature of the configuration, with the team that owns it.")
# fmt: on

METRICS: Final = (
    REQUESTS, INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS,
    COST_USD, COST_REPORTED, COST_ESTIMATED, UNPRICED_REQUESTS, UNPRICED_TOKENS, MODEL_SERVED,
    TTFT_SECONDS, TPOT_SECONDS, LATENCY_SECONDS, DECODE_RATE, CHUNK_GAP, CACHE_HIT_RATIO,
    REQUEST_COST, REQUEST_INPUT, REQUEST_OUTPUT, VALIDATION_ERRORS, GUARDRAIL_REJECTIONS, API_ERRORS,
    REFUSALS, PROMPT_LANGUAGE, BUDGET_EXCEEDED, EXPENSIVE_CONVERSATIONS, RETRIES, TOOL_CALLS,
    TOOL_SECONDS, EVAL_SCORE, EVAL_SAMPLES, USER_FEEDBACK, USER_COST, TOP_USER_COST,
    QUOTA_REMAINING, SERVICE_INFO, BUDGET, FEATURE_INFO,
)  # fmt: skip
"""Everything, in the order of the exposition."""
