"""The dialects, one module each. Adding an emitter is one module and one name in `DIALECTS`.

Their order decides only which `Emitter` row is looked at first; values are found by `Alias.order`.
"""

from __future__ import annotations

from typing import Final

from processors.genai.dialects import (
    anthropic,
    codex,
    crewai,
    google,
    java,
    langfuse,
    langsmith,
    litellm,
    microsoft,
    mlflow,
    openinference,
    openlit,
    otel,
    others,
    pydantic_ai,
    spring_ai,
    strands,
    traceloop,
    vercel,
    vllm,
)

DIALECTS: Final = (
    traceloop.DIALECT,
    openlit.DIALECT,
    java.DIALECT,
    spring_ai.DIALECT,
    microsoft.DIALECT,
    anthropic.CLAUDE_CODE,
    vercel.DIALECT,
    strands.DIALECT,
    crewai.DIALECT,
    google.GEMINI_CLI,
    otel.DIALECT,
    anthropic.SDK,
    openinference.DIALECT,
    pydantic_ai.DIALECT,
    google.ADK,
    litellm.DIALECT,
    mlflow.DIALECT,
    langsmith.DIALECT,
    langfuse.DIALECT,
    vllm.DIALECT,
    codex.DIALECT,
    others.SENTRY,
    others.LAMINAR,
    others.GENKIT,
    others.VOLTAGENT,
    others.HAND_MADE,
)
