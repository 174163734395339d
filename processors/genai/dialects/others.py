"""Smaller emitters: Sentry, Laminar, Genkit, VoltAgent, and spans or records that applications write by hand."""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.dialects.vercel import milliseconds
from processors.genai.table import REQUEST_ID, Alias, Dialect, Hint, Kind, Role

SENTRY: Final = Dialect(
    name="sentry",
    aliases={
        semconv.GEN_AI_USAGE_CACHE_READ: (Alias("gen_ai.usage.input_tokens.cached", 110),),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (Alias("gen_ai.usage.input_tokens.cache_write", 90),),
        semconv.GEN_AI_USAGE_REASONING: (Alias("gen_ai.usage.output_tokens.reasoning", 90),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (Alias("gen_ai.cost.total_tokens", 100),),
    },
)

LAMINAR: Final = Dialect(
    name="laminar",
    kinds=(
        Kind(
            "lmnr.span.type",
            100,
            {
                "llm": Hint(Role.MODEL_CALL, "chat"),
                "cached": Hint(Role.MODEL_CALL, "chat"),
                "tool": Hint(Role.TOOL, "execute_tool"),
            },
        ),
    ),
)

GENKIT: Final = Dialect(
    name="genkit",
    aliases={
        semconv.GEN_AI_REQUEST_MODEL: (
            Alias("genkit:name", 120, needs="genkit:metadata:subtype=model"),
        ),
    },
)

VOLTAGENT: Final = Dialect(
    name="voltagent",
    aliases={
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (Alias("usage.prompt_tokens", 70),),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (Alias("usage.completion_tokens", 70),),
    },
)

HAND_MADE: Final = Dialect(
    name="hand_made",
    aliases={
        semconv.GEN_AI_PROVIDER_NAME: (Alias("provider", 100),),
        REQUEST_ID: (
            Alias("request_id", 10),
            Alias("externalRequestId", 20),
            Alias("external_request_id", 30),
            Alias("app.llm.request.external_id", 40),
        ),
        semconv.GEN_AI_REQUEST_MODEL: (Alias("model", 130),),
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (Alias("inputTokens", 100),),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (Alias("outputTokens", 100),),
        semconv.APP_LLM_TTFT_S: (Alias("time_to_first_token_ms", 90, milliseconds),),
        semconv.APP_LLM_TOTAL_LATENCY_S: (
            Alias("app.llm.total_latency_s", 10),
            Alias("latencyMs", 20, milliseconds),
            Alias("latency_ms", 30, milliseconds),
        ),
        semconv.APP_LLM_RETRY_COUNT: (Alias("app.llm.retry_count", 10), Alias("retry_count", 20)),
        semconv.ERROR_TYPE: (Alias("error_type", 10),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (
            Alias("app.llm.usage.reported_cost_usd", 5),
            Alias("llm.cost_usd", 60),
            Alias("estimated_cost_usd", 80),
            Alias("gen_ai.token.cost.total", 90),
        ),
        semconv.APP_LLM_USAGE_CACHE_CREATION_1H: (
            Alias("app.llm.usage.cache_creation_1h.input_tokens", 10),
        ),
        semconv.APP_LLM_USAGE_COMPACTION_INPUT: (
            Alias("app.llm.usage.compaction.input_tokens", 10),
        ),
        semconv.APP_LLM_USAGE_COMPACTION_OUTPUT: (
            Alias("app.llm.usage.compaction.output_tokens", 10),
        ),
        semconv.APP_LLM_USAGE_WEB_SEARCHES: (Alias("app.llm.usage.web_searches", 10),),
        semconv.APP_LLM_USAGE_IMAGES: (Alias("app.llm.usage.images", 10),),
        semconv.APP_LLM_USAGE_AUDIO_SECONDS: (Alias("app.llm.usage.audio_seconds", 10),),
        semconv.APP_LLM_PROCESSING: (Alias("app.llm.processing", 10),),
        semconv.APP_LLM_SPEED: (Alias("app.llm.speed", 10),),
        semconv.APP_LLM_REGION: (Alias("app.llm.region", 10),),
    },
)
