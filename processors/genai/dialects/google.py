"""Google: the Agent Development Kit 2.13 and Gemini CLI.

Gemini CLI's spans carry the candidates' tokens only; its log records also the thoughts. Its `gen_ai.prompt.name` is an
id per turn, not a template; its `tool_token_count` is a part of the prompt, not Codex's total.
Sources: google/adk telemetry/_token_usage.py; gemini-cli loggingContentGenerator.ts.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.raw_usage import exact_counts
from processors.genai.table import (
    TOTAL,
    Alias,
    Dialect,
    Emitter,
    Hint,
    Output,
    Role,
    Semantics,
    UsageObject,
)

ADK: Final = Dialect(
    name="google_adk",
    aliases={
        semconv.GEN_AI_CONVERSATION_ID: (Alias("gcp.vertex.agent.session_id", 60),),
    },
    emitters=(Emitter(scope=r"gcp\.vertex\.agent", input=Semantics.INCLUSIVE),),
    objects=(
        UsageObject("gcp.vertex.agent.llm_response.usage_metadata", exact_counts, exact=True),
        UsageObject(
            "gcp.vertex.agent.llm_response", exact_counts, path=("usage_metadata",), exact=True
        ),
    ),
)

GEMINI_CLI: Final = Dialect(
    name="gemini_cli",
    aliases={
        semconv.GEN_AI_USAGE_CACHE_READ: (Alias("cached_content_token_count", 140),),
        semconv.GEN_AI_USAGE_REASONING: (Alias("thoughts_token_count", 110),),
        TOTAL: (Alias("total_token_count", 50),),
    },
    emitters=(
        Emitter(
            # records have the thoughts beside the output
            scope=r"gemini-cli",
            key="thoughts_token_count",
            input=Semantics.INCLUSIVE,
            output=Output.EXCLUDED,
        ),
        Emitter(scope=r"gemini-cli", input=Semantics.INCLUSIVE, output=Output.MISSING),
        Emitter(
            key="event.name",
            value="gemini_cli.api_response",
            input=Semantics.INCLUSIVE,
            output=Output.EXCLUDED,
        ),
    ),
    scope=r"gemini-cli",
    ignores=frozenset({"gen_ai.prompt.name", "tool_token_count"}),
    events={"gemini_cli.api_response": Hint(Role.MODEL_CALL, "generate_content")},
)
