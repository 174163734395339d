"""OpenLLMetry / Traceloop, Python and JavaScript.

Sources: opentelemetry-instrumentation-* 0.40.14 and 0.62.4, semantic-conventions-ai 0.4.9 and 0.5.1.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.dialects.otel import OPERATIONS, ROLES
from processors.genai.table import (
    TOTAL,
    Alias,
    Dialect,
    Emitter,
    Hint,
    Kind,
    Output,
    Role,
    Semantics,
)

_PROPERTIES: Final = "traceloop.association.properties."

DIALECT: Final = Dialect(
    name="traceloop",
    aliases={
        semconv.GEN_AI_REQUEST_MODEL: (Alias("llm.request.model", 90),),
        semconv.GEN_AI_RESPONSE_MODEL: (Alias("llm.response.model", 30),),
        semconv.GEN_AI_CONVERSATION_ID: tuple(
            Alias(_PROPERTIES + name, 120 + place)
            for place, name in enumerate(("conversation_id", "thread_id", "session_id", "chat_id"))
        ),
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: (
            Alias("llm.response.finish_reason", 40),
            Alias("llm.response.stop_reason", 50),
        ),
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (Alias("llm.usage.prompt_tokens", 60),),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (Alias("llm.usage.completion_tokens", 60),),
        TOTAL: (Alias("llm.usage.total_tokens", 20),),
        semconv.GEN_AI_USAGE_REASONING: (Alias("llm.usage.reasoning_tokens", 30),),
    },
    kinds=(
        Kind(
            "traceloop.span.kind",
            30,
            {
                "workflow": Hint(Role.AGGREGATE, "invoke_workflow"),
                "task": Hint(Role.AGGREGATE),
                "agent": Hint(Role.AGGREGATE, "invoke_agent"),
                "tool": Hint(Role.TOOL, "execute_tool"),
            },
        ),
        Kind(
            "llm.request.type",
            40,
            {
                name: Hint(Role.MODEL_CALL, name)
                for name, role in ROLES.items()
                if role is Role.MODEL_CALL
            }
            | {old: Hint(Role.MODEL_CALL, new) for old, new in OPERATIONS.items()},
            unknown=Hint(Role.MODEL_CALL, "chat"),
        ),
    ),
    emitters=(
        Emitter(scope=r"opentelemetry\.instrumentation\.bedrock", input=Semantics.EXCLUSIVE),
        Emitter(
            scope=r"opentelemetry\.instrumentation\.llamaindex",
            input=Semantics.INCLUSIVE,
            vendors={"anthropic": Semantics.EXCLUSIVE},
            claude=Semantics.EXCLUSIVE,
        ),
        Emitter(
            scope=r"opentelemetry\.instrumentation\.(google_generativeai|vertexai)",
            input=Semantics.INCLUSIVE,
            output=Output.EXCLUDED,  # candidates only
        ),
        Emitter(scope=r"@traceloop/", input=Semantics.INCLUSIVE),
    ),
    sdk=(r"@traceloop/instrumentation-(openai|anthropic|bedrock)",),
)
