"""MLflow tracing 3.17: every value is JSON text. Source: mlflow/tracing/constant.py, utils/providers.py."""

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
from processors.genai.values import mapping, number_of


def _cost(raw: bytes) -> float | None:
    return number_of((mapping(raw) or {}).get("total_cost"))


DIALECT: Final = Dialect(
    name="mlflow",
    aliases={
        semconv.GEN_AI_PROVIDER_NAME: (Alias("mlflow.llm.provider", 60),),
        semconv.GEN_AI_REQUEST_MODEL: (Alias("mlflow.llm.model", 80),),
        semconv.GEN_AI_CONVERSATION_ID: (Alias("mlflow.trace.session", 80),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (Alias("mlflow.llm.cost", 120, _cost),),
    },
    kinds=(
        Kind(
            "mlflow.spanType",
            80,
            {
                "llm": Hint(Role.MODEL_CALL, "chat"),
                "chat_model": Hint(Role.MODEL_CALL, "chat"),
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
        Emitter(scope=r"mlflow", input=Semantics.INCLUSIVE),
        Emitter(key="mlflow.spanType", input=Semantics.INCLUSIVE),
    ),
    objects=(
        UsageObject(
            "mlflow.chat.tokenUsage",
            counts_of(
                {
                    "input_tokens": semconv.GEN_AI_USAGE_INPUT_TOKENS,
                    "output_tokens": semconv.GEN_AI_USAGE_OUTPUT_TOKENS,
                    "total_tokens": TOTAL,
                    "cache_read_input_tokens": semconv.GEN_AI_USAGE_CACHE_READ,
                    "cache_creation_input_tokens": semconv.GEN_AI_USAGE_CACHE_CREATION,
                    "cache_creation_input_tokens_above_1hr": semconv.APP_LLM_USAGE_CACHE_CREATION_1H,
                }
            ),
        ),
    ),
)
