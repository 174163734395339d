"""LangChain4j and its Quarkus extension: no cache counts at all, though Anthropic's count excludes the cache.

It shares Micrometer's scope with Spring AI, so its row, known by its keys, is asked first.

Sources: langchain4j ChatModelDocumentation.java (2026-08); quarkus-langchain4j SpanChatModelListener.java (2026-07).
"""

from __future__ import annotations

import re
from typing import Final

from processors import semconv
from processors.genai.table import Alias, Dialect, Emitter
from processors.genai.values import number_of, text

_USD: Final = re.compile(r"([0-9.eE+-]+)\s*USD\Z", re.IGNORECASE)


def _dollars(raw: bytes) -> float | None:
    """Read number and currency written as one word, `0.00123USD`; another currency is no amount for us."""
    amount = _USD.match(text(raw) or "")
    return number_of(amount[1]) if amount else None


DIALECT: Final = Dialect(
    name="java",
    aliases={
        semconv.GEN_AI_USAGE_INPUT_TOKENS: (Alias("input_tokens", 90),),
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: (Alias("output_tokens", 90),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (
            Alias("gen_ai.client.estimated_cost", 130, _dollars),
        ),
    },
    emitters=(
        Emitter(scope=r"io\.quarkus", input=None, drops_cache_split=True),
        Emitter(key="outcome+input_tokens", input=None, drops_cache_split=True),
    ),
)
