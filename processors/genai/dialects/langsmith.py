"""LangSmith's OpenTelemetry exporter 0.14: details of the counts are the `repr` of a Python dict.

A LangSmith "session" (`langsmith.trace.session_*`) is a tracing project, not a conversation.
Source: langsmith/_internal/otel/_otel_exporter.py.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.raw_usage import counts_of
from processors.genai.table import (
    TOTAL,
    Alias,
    Dialect,
    Emitter,
    Hint,
    Kind,
    Role,
    Semantics,
    UsageObject,
)

_METADATA: Final = "langsmith.metadata."

_INPUT_DETAILS: Final = {
    "cache_read": semconv.GEN_AI_USAGE_CACHE_READ,
    "cache_creation": semconv.GEN_AI_USAGE_CACHE_CREATION,
    "ephemeral_1h_input_tokens": semconv.APP_LLM_USAGE_CACHE_CREATION_1H,
}
_OUTPUT_DETAILS: Final = {"reasoning": semconv.GEN_AI_USAGE_REASONING}

DIALECT: Final = Dialect(
    name="langsmith",
    aliases={
        semconv.GEN_AI_PROVIDER_NAME: (Alias(_METADATA + "ls_provider", 90),),
        semconv.GEN_AI_REQUEST_MODEL: (Alias(_METADATA + "ls_model_name", 100),),
        semconv.GEN_AI_CONVERSATION_ID: tuple(
            Alias(_METADATA + name, 110 + place)
            for place, name in enumerate(("conversation_id", "thread_id", "session_id"))
        ),
    },
    kinds=(
        Kind(
            "langsmith.span.kind",
            70,
            {
                "llm": Hint(Role.MODEL_CALL, "chat"),
                "embedding": Hint(Role.MODEL_CALL, "embeddings"),
                "chain": Hint(Role.AGGREGATE),
                "tool": Hint(Role.TOOL, "execute_tool"),
                "retriever": Hint(Role.OTHER, "retrieval"),
            },
        ),
    ),
    emitters=(Emitter(scope=r"langsmith", input=Semantics.INCLUSIVE),),
    objects=(
        UsageObject("gen_ai.usage.input_token_details", counts_of(_INPUT_DETAILS)),
        UsageObject("gen_ai.usage.output_token_details", counts_of(_OUTPUT_DETAILS)),
        UsageObject(
            "langsmith.usage_metadata",
            counts_of(
                {
                    "input_tokens": semconv.GEN_AI_USAGE_INPUT_TOKENS,
                    "output_tokens": semconv.GEN_AI_USAGE_OUTPUT_TOKENS,
                    "total_tokens": TOTAL,
                }
                | {f"input_token_details.{name}": field for name, field in _INPUT_DETAILS.items()}
                | {f"output_token_details.{name}": field for name, field in _OUTPUT_DETAILS.items()}
            ),
        ),
    ),
)
