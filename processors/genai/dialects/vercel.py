"""Vercel AI SDK, versions 4 to 7.

`ai.*` spans (scope `ai`, versions 4 to 6 and the legacy exporter of 7) come as a root and its `.doGenerate` children;
version 7 (scope `gen_ai`) writes OpenTelemetry's names. The count of Anthropic and Bedrock is cache-exclusive in 4 and
5 and inclusive in 6, and the keys cannot tell them apart; the raw usage object makes Anthropic exact.
Sources: npm ai 4.3.0, 5.0.0, 6.0.0, 7.0.77; @ai-sdk/otel 1.0.77; @ai-sdk/anthropic 1.2.0, 2.0.0, 3.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processors import semconv
from processors.genai.raw_usage import counts_of, exact_counts
from processors.genai.table import (
    TOTAL,
    UNCACHED,
    Alias,
    Dialect,
    Emitter,
    Hint,
    Kind,
    Role,
    Semantics,
    UsageObject,
)
from processors.genai.values import mapping_of, number

_METADATA: Final = "ai.telemetry.metadata."


def milliseconds(raw: bytes) -> float | None:
    """Read a duration that is in milliseconds, as seconds."""
    value = number(raw)
    return None if value is None else value / 1000


def _vendor_usage(metadata: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Find the raw usage object of whichever vendor; Bedrock's holds only the cache counts and is read below."""
    for vendor, members in metadata.items():
        usage = mapping_of((mapping_of(members) or {}).get("usage"))
        if usage and vendor != "bedrock" and (counts := exact_counts(usage)):
            return counts
    return None


_READ_AND_CREATED: Final = {
    "cacheReadInputTokens": semconv.GEN_AI_USAGE_CACHE_READ,
    "cacheCreationInputTokens": semconv.GEN_AI_USAGE_CACHE_CREATION,
}
"""Anthropic's. Versions that write these without the raw usage, 4 and betas of 5, are cache-exclusive."""
_PROMPT_AND_REASONING: Final = counts_of(
    {
        "cachedPromptTokens": semconv.GEN_AI_USAGE_CACHE_READ,
        "reasoningTokens": semconv.GEN_AI_USAGE_REASONING,
    }
)
_DETAILS: Final = {
    "bedrock": counts_of(
        {
            "usage.cacheReadInputTokens": semconv.GEN_AI_USAGE_CACHE_READ,
            "usage.cacheWriteInputTokens": semconv.GEN_AI_USAGE_CACHE_CREATION,
        }
    ),
    "openai": _PROMPT_AND_REASONING,
    "azure": _PROMPT_AND_REASONING,
    "xai": _PROMPT_AND_REASONING,
}
"""What the vendors' metadata tell beside the totals: all that version 4 has of cache and reasoning."""


def _details(metadata: Mapping[str, Any]) -> Mapping[str, int] | None:
    for vendor, members in metadata.items():
        read = _DETAILS.get(vendor)
        if read and (counts := read(mapping_of(members) or {})):
            return counts
    return None


DIALECT: Final = Dialect(
    name="vercel",
    aliases={
        semconv.GEN_AI_PROVIDER_NAME: (Alias("ai.model.provider", 50),),
        semconv.GEN_AI_REQUEST_MODEL: (Alias("ai.model.id", 60),),
        semconv.GEN_AI_RESPONSE_MODEL: (Alias("ai.response.model", 40),),
        semconv.GEN_AI_RESPONSE_ID: (Alias("ai.response.id", 20),),
        semconv.GEN_AI_CONVERSATION_ID: tuple(
            Alias(_METADATA + name, 130 + place)
            for place, name in enumerate(("conversationId", "threadId", "sessionId"))
        ),
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: (Alias("ai.response.finishReason", 70),),
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (
            Alias("ai.usage.inputTokens", 40),
            Alias("ai.usage.promptTokens", 50),
            Alias("ai.usage.tokens", 55),
        ),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (
            Alias("ai.usage.outputTokens", 40),
            Alias("ai.usage.completionTokens", 50),
        ),
        TOTAL: (Alias("ai.usage.totalTokens", 40),),
        UNCACHED: (Alias("ai.usage.inputTokenDetails.noCacheTokens", 10),),
        semconv.GEN_AI_USAGE_CACHE_READ: (
            Alias("ai.usage.inputTokenDetails.cacheReadTokens", 50),
            Alias("ai.usage.cachedInputTokens", 60),
        ),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (
            Alias("ai.usage.inputTokenDetails.cacheWriteTokens", 60),
        ),
        semconv.GEN_AI_USAGE_REASONING: (
            Alias("ai.usage.outputTokenDetails.reasoningTokens", 50),
            Alias("ai.usage.reasoningTokens", 60),
        ),
        semconv.APP_LLM_TTFT_S: (
            Alias("ai.response.msToFirstChunk", 60, milliseconds),
            Alias("ai.stream.msToFirstChunk", 70, milliseconds),
        ),
    },
    kinds=(
        Kind(
            "ai.operationId",
            50,
            {
                **dict.fromkeys(
                    ("ai.generatetext", "ai.streamtext", "ai.generateobject", "ai.streamobject"),
                    Hint(Role.AGGREGATE, "invoke_agent"),
                ),
                **dict.fromkeys(("ai.embed", "ai.embedmany", "ai.rerank"), Hint(Role.AGGREGATE)),
                "ai.toolcall": Hint(Role.TOOL, "execute_tool"),
            },
            suffixes={
                "dogenerate": Hint(Role.MODEL_CALL, "chat"),
                "dostream": Hint(Role.MODEL_CALL, "chat"),
                "doembed": Hint(Role.MODEL_CALL, "embeddings"),
                "dorerank": Hint(Role.MODEL_CALL, "rerank"),
            },
        ),
    ),
    emitters=(
        Emitter(
            scope=r"ai$",
            input=Semantics.INCLUSIVE,
            vendors={"anthropic": None, "aws.bedrock": None},
            drops_cache_split=True,
        ),
        Emitter(scope=r"gen_ai$", input=Semantics.INCLUSIVE),
    ),
    objects=(
        UsageObject("ai.response.providerMetadata", _vendor_usage, exact=True),
        UsageObject("ai.response.providerMetadata.anthropic.usage", exact_counts, exact=True),
        UsageObject(
            "ai.response.providerMetadata",
            counts_of(_READ_AND_CREATED),
            path=("anthropic",),
            semantics=Semantics.EXCLUSIVE,
        ),
        UsageObject("ai.response.providerMetadata", _details),
    ),
)
