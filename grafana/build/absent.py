"""Why a panel shows nothing, by the metric that it begins with: no traffic is seldom the reason."""

from __future__ import annotations

import re
from typing import Final

NO_TRAFFIC: Final = "No traffic"

_REASONS: Final = (
    # (metrics, what it means that there are none)
    (r"slo:", "No objective has traffic"),
    (r"llm_(?:ttft|tpot|decode_tokens|streaming_chunk_gap)_", "No streamed calls"),
    (r"llm_(?:api_errors|validation_errors|guardrail_rejections|refusals|retries)_", "None"),
    (r"llm_(?:token_budget_exceeded|expensive_conversations)_", "None"),
    (r"llm_unpriced_", "Every call has a price"),
    (r"llm_provider_quota_", "No rate-limit headers on the calls"),
    (r"llm_(?:inflight_requests|queue_depth)", "The application sends no such gauge"),
    (r"llm_prompt_language_", "No language on the calls"),
    (r"llm_topic_", "Nobody measures topics"),
    (r"llm_eval_", "No evaluations"),
    (r"llm_user_feedback_", "No votes"),
    (r"llm_tool_", "No tool calls"),
    (r"llm_(?:top_)?user_", "Users are not counted: see llm_metrics.users"),
    (r"llm_freshness_", "No probe"),
    (r"(?:llm_redactions|otelcol_llm_redaction_scanned)_", "Nothing redacted"),
    (r"(?:llm_cardinality_overflow|otelcol_llm_genai_skipped|otelcol_llm_redaction)_", "None"),
    (r"otelcol_llm_tail_sampling_late_", "None"),
    (r"otelcol_(?:processor|llm)_tail_sampling_", "Nothing sampled"),
    (r"otelcol_llm_cost_conversations", "No conversations"),
    (r"otelcol_exporter_queue_", "No queue"),
    (r"otelcol_", "Nothing counted: is a sidecar scraped?"),
    (r"up$", "No sidecar is scraped"),
)


def reason(metric: str) -> str:
    """Return what a reader is told when there is no series of a metric."""
    return next((text for start, text in _REASONS if re.match(start, metric)), NO_TRAFFIC)
