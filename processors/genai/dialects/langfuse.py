"""Langfuse SDK 5: JSON texts for usage and cost. Source: langfuse/_client/attributes.py and its integrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processors import semconv
from processors.genai.raw_usage import PLAIN_COUNTS, exact_counts
from processors.genai.table import Alias, Dialect, Hint, Kind, Role, UsageObject
from processors.genai.values import mapping, number_of


def _cost(raw: bytes) -> float | None:
    details = mapping(raw) or {}
    return number_of(details["total"]) if "total" in details else _sum(details)


def _sum(details: Mapping[str, Any]) -> float | None:
    amounts = [n for value in details.values() if (n := number_of(value)) is not None]
    return sum(amounts) if amounts else None


DIALECT: Final = Dialect(
    name="langfuse",
    aliases={
        semconv.GEN_AI_REQUEST_MODEL: (Alias("langfuse.observation.model.name", 70),),
        semconv.GEN_AI_CONVERSATION_ID: (Alias("langfuse.session.id", 40),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (
            Alias("langfuse.observation.cost_details", 110, _cost),
        ),
    },
    kinds=(
        Kind(
            "langfuse.observation.type",
            60,
            {
                "generation": Hint(Role.MODEL_CALL, "chat"),
                "embedding": Hint(Role.MODEL_CALL, "embeddings"),
                "agent": Hint(Role.AGGREGATE, "invoke_agent"),
                "chain": Hint(Role.AGGREGATE),
                "tool": Hint(Role.TOOL, "execute_tool"),
                "retriever": Hint(Role.OTHER, "retrieval"),
            },
        ),
    ),
    objects=(
        UsageObject("langfuse.observation.usage_details", exact_counts, exact=True),
        UsageObject("langfuse.observation.usage_details", PLAIN_COUNTS),
    ),
)
