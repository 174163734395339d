"""OpenInference (Arize). Source: openinference-semantic-conventions 0.1.42 and its instrumentations."""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import TOTAL, Alias, Dialect, Emitter, Hint, Kind, Role, Semantics

DIALECT: Final = Dialect(
    name="openinference",
    aliases={
        semconv.GEN_AI_PROVIDER_NAME: (Alias("llm.provider", 30), Alias("llm.system", 40)),
        semconv.GEN_AI_REQUEST_MODEL: (
            Alias("llm.request.model_name", 20),
            Alias("llm.model_name", 30),
            Alias("embedding.model_name", 40),
            Alias("reranker.model_name", 50),
        ),
        semconv.GEN_AI_RESPONSE_MODEL: (
            Alias("llm.response.model_name", 20),
            # overwritten with the served model where the requested one has a name of its own
            Alias("llm.model_name", 60, needs="llm.request.model_name"),
        ),
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: (Alias("llm.finish_reason", 60),),
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (Alias("llm.token_count.prompt", 30),),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (Alias("llm.token_count.completion", 30),),
        TOTAL: (Alias("llm.token_count.total", 30),),
        semconv.GEN_AI_USAGE_CACHE_READ: (
            Alias("llm.token_count.prompt_details.cache_read", 30),
            Alias("llm.token_count.prompt_details.cache_input", 40),
        ),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (
            Alias("llm.token_count.prompt_details.cache_write", 50),
        ),
        semconv.GEN_AI_USAGE_REASONING: (
            Alias("llm.token_count.completion_details.reasoning", 40),
        ),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (Alias("llm.cost.total", 50),),
    },
    kinds=(
        Kind(
            "openinference.span.kind",
            20,
            {
                "llm": Hint(Role.MODEL_CALL, "chat"),
                "embedding": Hint(Role.MODEL_CALL, "embeddings"),
                "reranker": Hint(Role.MODEL_CALL, "rerank"),
                "agent": Hint(Role.AGGREGATE, "invoke_agent"),
                "chain": Hint(Role.AGGREGATE),
                "tool": Hint(Role.TOOL, "execute_tool"),
                "retriever": Hint(Role.OTHER, "retrieval"),
            },
        ),
    ),
    emitters=(
        Emitter(
            # Converse adds the cache to its count, agent and streaming spans do not.
            scope=r"openinference\.instrumentation\.bedrock",
            input=None,
        ),
        Emitter(scope=r"openinference\.instrumentation\.", input=Semantics.INCLUSIVE),
        Emitter(scope=r"@arizeai/openinference-", input=Semantics.INCLUSIVE),
    ),
    sdk=(
        r"openinference\.instrumentation\."
        r"(openai(?!_agents)|anthropic|bedrock|google_genai|mistralai|groq|vertexai)\b",
    ),
    gateway=(r"openinference\.instrumentation\.litellm",),
)
