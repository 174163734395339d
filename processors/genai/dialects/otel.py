"""OpenTelemetry's own GenAI conventions, all generations, and the instrumentations of opentelemetry-python-contrib.

Sources: semconv 1.26 to 1.41 and the migration notes of semantic-conventions-genai; util-genai 1.3b0, botocore 0.66b2.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import TOTAL, Alias, Dialect, Emitter, Hint, Kind, Role, Semantics

_CALL: Final = Role.MODEL_CALL
_NEVER: Final = (
    "fetch_response", "count_tokens", "retrieval", "create_memory_store", "delete_memory_store", "create_memory",
    "update_memory", "upsert_memory", "delete_memory", "search_memory",
)  # fmt: skip
_AGGREGATES: Final = (
    "invoke_agent", "invoke_workflow", "agent_step", "create_agent", "plan", "framework", "execute_task",
)  # fmt: skip
_CALLS: Final = (
    "chat", "text_completion", "generate_content", "embeddings", "rerank", "decide", "image", "image_generation",
    "generate_image", "image_edit", "audio", "audio_generation", "generate_audio", "speech", "text_to_speech",
    "transcription", "speech_to_text", "translation",
)  # fmt: skip

OPERATIONS: Final = {
    "completion": "text_completion",
    "atext_completion": "text_completion",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "chat.completions": "chat",
    "chat_completion": "chat",
    "acompletion": "chat",
    "response": "chat",
    "responses": "chat",
    "aresponses": "chat",
    "arerank": "rerank",
    "aimage_generation": "image_generation",
    "atranscription": "transcription",
    "aspeech": "speech",
    "llm_call": "generate_content",
    "tool_call": "execute_tool",
    "agent_call": "invoke_agent",
    "llm_request": "chat",
}
"""Operation names of older conventions and single emitters → today's. Names not listed pass in lower case."""

ROLES: Final = (
    dict.fromkeys(_NEVER, Role.NEVER)
    | {"execute_tool": Role.TOOL}
    | dict.fromkeys(_AGGREGATES, Role.AGGREGATE)
    | dict.fromkeys(_CALLS, _CALL)
)
"""What today's operation names say about a span."""

_OPERATION_HINTS: Final = {name: Hint(role, name) for name, role in ROLES.items()} | {
    old: Hint(ROLES[new], new) for old, new in OPERATIONS.items()
}

DIALECT: Final = Dialect(
    name="otel",
    aliases={
        semconv.GEN_AI_PROVIDER_NAME: (
            Alias("gen_ai.provider.name", 10),
            Alias("gen_ai.system", 20),
            Alias("gen_ai.llm.provider", 70),
            Alias("gen_ai.request.provider", 80),
        ),
        semconv.GEN_AI_REQUEST_MODEL: (Alias("gen_ai.request.model", 10),),
        semconv.GEN_AI_RESPONSE_MODEL: (Alias("gen_ai.response.model", 10),),
        semconv.GEN_AI_RESPONSE_ID: (Alias("gen_ai.response.id", 10),),
        semconv.GEN_AI_CONVERSATION_ID: (
            Alias("gen_ai.conversation.id", 10),
            Alias("app.llm.conversation.id", 20),
            Alias("session.id", 30),
        ),
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: (
            Alias("gen_ai.response.finish_reasons", 10),
            Alias("gen_ai.response.finish_reason", 20),
            Alias("gen_ai.response.stop_reason", 30),
            Alias("finish_reasons", 90),
        ),
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (
            Alias("gen_ai.usage.input_tokens", 10),
            Alias("gen_ai.usage.prompt_tokens", 20),
        ),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (
            Alias("gen_ai.usage.output_tokens", 10),
            Alias("gen_ai.usage.completion_tokens", 20),
        ),
        TOTAL: (Alias("gen_ai.usage.total_tokens", 10),),
        semconv.GEN_AI_USAGE_CACHE_READ: (
            Alias("gen_ai.usage.cache_read.input_tokens", 10),
            Alias("gen_ai.usage.cache_read_input_tokens", 20),
        ),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (
            Alias("gen_ai.usage.cache_creation.input_tokens", 10),
            Alias("gen_ai.usage.cache_write.input_tokens", 20),
            Alias("gen_ai.usage.cache_creation_input_tokens", 30),
            Alias("gen_ai.usage.cache_write_input_tokens", 40),
        ),
        semconv.GEN_AI_USAGE_REASONING: (
            Alias("gen_ai.usage.reasoning.output_tokens", 10),
            Alias("gen_ai.usage.reasoning_tokens", 20),
        ),
        semconv.APP_LLM_TTFT_S: (
            Alias("app.llm.ttft_s", 10),
            Alias("gen_ai.response.time_to_first_chunk", 20),
            Alias("gen_ai.client.operation.time_to_first_chunk", 30),
            Alias("gen_ai.server.time_to_first_token", 40),
        ),
    },
    kinds=(Kind("gen_ai.operation.name", 10, _OPERATION_HINTS),),
    emitters=(
        Emitter(
            scope=r"opentelemetry\.instrumentation\.botocore", input=Semantics.EXCLUSIVE
        ),  # forwards Converse's inputTokens
        Emitter(
            scope=r"opentelemetry\.instrumentation\."
            r"(genai|openai|google_genai|anthropic|langchain|mistralai|cohere|groq|openai_agents)",
            input=Semantics.INCLUSIVE,
        ),
    ),
    sdk=(
        r"opentelemetry\.instrumentation\.(genai|openai(?!_agents)|botocore)",
        r"opentelemetry\.instrumentation\."
        r"(anthropic|bedrock|google_genai|google_generativeai|vertexai|mistralai|cohere|groq|ollama)\b",
    ),
)
