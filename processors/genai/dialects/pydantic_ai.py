"""Pydantic AI 2.68 and the Logfire SDK 4 and 5. Agent runs report in `gen_ai.aggregated_usage.*`, which nobody counts.

Source: pydantic_ai usage.py and models/instrumented.py; logfire llm_providers/anthropic.py.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.raw_usage import PLAIN_COUNTS, exact_counts
from processors.genai.table import Alias, Dialect, Emitter, Semantics, UsageObject

DIALECT: Final = Dialect(
    name="pydantic_ai",
    aliases={
        semconv.GEN_AI_USAGE_CACHE_READ: (
            Alias("gen_ai.usage.details.cache_read_tokens", 70),
            Alias("gen_ai.usage.details.cache_read_input_tokens", 80),
        ),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (
            Alias("gen_ai.usage.details.cache_write_tokens", 70),
        ),
        semconv.GEN_AI_USAGE_REASONING: (Alias("gen_ai.usage.details.reasoning_tokens", 70),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (Alias("operation.cost", 10),),
    },
    emitters=(
        Emitter(scope=r"pydantic-ai", input=Semantics.INCLUSIVE),
        Emitter(
            # version 4 forwards Anthropic's own count
            scope=r"logfire",
            version="<5",
            input=Semantics.INCLUSIVE,
            vendors={"anthropic": None},
        ),
        Emitter(scope=r"logfire", input=Semantics.INCLUSIVE),
    ),
    objects=(
        UsageObject("gen_ai.usage.raw", exact_counts, exact=True),
        UsageObject("response_data.usage", exact_counts, exact=True),
        UsageObject("response_data", exact_counts, path=("usage",), exact=True),
        UsageObject("gen_ai.usage.raw", PLAIN_COUNTS),
        UsageObject("response_data.usage", PLAIN_COUNTS),
        UsageObject("response_data", PLAIN_COUNTS, path=("usage",)),
    ),
    sdk=(r"logfire\.(openai|anthropic)",),
)
