"""Anthropic: the SDK's own spans, the platform's server spans, and Claude Code.

Sources: anthropic 2.11.0 `_tracing.py`; platform.claude.com/docs/en/api/opentelemetry/spans; Claude Code docs.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.dialects.vercel import milliseconds
from processors.genai.table import Alias, Dialect, Emitter, Hint, Kind, Role, Semantics

_CODE_KINDS: Final = {
    "llm_request": Hint(Role.MODEL_CALL, "chat"),
    "interaction": Hint(Role.AGGREGATE),
    "tool": Hint(Role.TOOL, "execute_tool"),
}

SDK: Final = Dialect(
    name="anthropic_sdk",
    aliases={
        semconv.GEN_AI_CONVERSATION_ID: (Alias("anthropic.session.id", 90),),
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: (Alias("anthropic.message.stop_reason", 80),),
        semconv.APP_LLM_USAGE_CACHE_CREATION_1H: (
            Alias("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", 20),
        ),
        semconv.APP_LLM_USAGE_COMPACTION_INPUT: (
            Alias("anthropic.usage.compaction.input_tokens", 20),
        ),
        semconv.APP_LLM_USAGE_COMPACTION_OUTPUT: (
            Alias("anthropic.usage.compaction.output_tokens", 20),
        ),
    },
    emitters=(
        Emitter(scope=r"com\.anthropic\.sdk", input=Semantics.INCLUSIVE),
        Emitter(scope=r"com\.anthropic\.claude-platform", input=Semantics.INCLUSIVE),
    ),
    sdk=(r"com\.anthropic\.sdk",),
    gateway=(r"com\.anthropic\.claude-platform",),
)

CLAUDE_CODE: Final = Dialect(
    name="claude_code",
    aliases={
        semconv.GEN_AI_USAGE_CACHE_READ: (Alias("cache_read_tokens", 120),),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (Alias("cache_creation_tokens", 100),),
        semconv.APP_LLM_TTFT_S: (Alias("ttft_ms", 80, milliseconds),),
        semconv.APP_LLM_SPEED: (Alias("speed", 20),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (Alias("cost_usd", 70),),
    },
    kinds=(
        Kind(
            "span.type",
            90,
            _CODE_KINDS | {f"claude_code.{kind}": hint for kind, hint in _CODE_KINDS.items()},
        ),
    ),
    emitters=(
        Emitter(scope=r"com\.anthropic\.claude_code", input=Semantics.EXCLUSIVE),
        Emitter(key="event.name", value="claude_code.api_request", input=Semantics.EXCLUSIVE),
    ),
    events={"claude_code.api_request": Hint(Role.MODEL_CALL, "chat")},
)
