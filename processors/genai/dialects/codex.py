"""Codex CLI: log records whose counts are texts; `tool_token_count` is the total. Source: codex-rs/otel (2026-08)."""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import (
    TOTAL,
    UNCACHED,
    Alias,
    Dialect,
    Emitter,
    Hint,
    Role,
    Semantics,
)

DIALECT: Final = Dialect(
    name="codex",
    aliases={
        semconv.GEN_AI_REQUEST_MODEL: (Alias("slug", 140),),
        semconv.GEN_AI_CONVERSATION_ID: (Alias("conversation.id", 100),),
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (Alias("input_token_count", 80),),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (Alias("output_token_count", 80),),
        TOTAL: (Alias("tool_token_count", 70),),
        UNCACHED: (Alias("non_cached_input_tokens", 20),),
        semconv.GEN_AI_USAGE_CACHE_READ: (Alias("cached_token_count", 130),),
        semconv.GEN_AI_USAGE_REASONING: (Alias("reasoning_token_count", 100),),
    },
    emitters=(Emitter(scope=r"codex", input=Semantics.INCLUSIVE),),
    events={"codex.sse_event": Hint(Role.MODEL_CALL, "chat")},
)
