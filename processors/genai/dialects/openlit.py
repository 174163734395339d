"""OpenLIT 1.45.0; older versions write the details in OpenAI's nested form."""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import TOTAL, Alias, Dialect, Emitter, Semantics

_EXCLUSIVE: Final = {"anthropic": Semantics.EXCLUSIVE, "aws.bedrock": Semantics.EXCLUSIVE}

DIALECT: Final = Dialect(
    name="openlit",
    aliases={
        TOTAL: (Alias("gen_ai.client.token.usage", 60),),  # a metric's name, on its spans a total
        semconv.GEN_AI_USAGE_CACHE_READ: (
            Alias("gen_ai.usage.prompt_tokens_details.cached_tokens", 90),
        ),
        semconv.GEN_AI_USAGE_CACHE_CREATION: (
            Alias("gen_ai.usage.prompt_tokens_details.cache_creation_tokens", 80),
        ),
        semconv.GEN_AI_USAGE_REASONING: (
            Alias("gen_ai.usage.completion_tokens_details.reasoning_tokens", 80),
        ),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (Alias("gen_ai.usage.cost", 20),),
    },
    emitters=(
        Emitter(scope=r"openlit", input=Semantics.INCLUSIVE, vendors=_EXCLUSIVE),
        Emitter(
            key="telemetry.sdk.name",
            value="openlit",
            input=Semantics.INCLUSIVE,
            vendors=_EXCLUSIVE,
        ),
    ),
    sdk=(r"openlit",),
)
