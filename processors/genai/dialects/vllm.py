"""vLLM's server spans. Source: vllm/tracing/utils.py."""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import Alias, Dialect, Emitter, Semantics

DIALECT: Final = Dialect(
    name="vllm",
    aliases={
        semconv.GEN_AI_USAGE_CACHE_READ: (Alias("gen_ai.usage.cached_tokens", 100),),
        semconv.APP_LLM_TTFT_S: (Alias("gen_ai.latency.time_to_first_token", 50),),
    },
    emitters=(Emitter(scope=r"vllm\.", input=Semantics.INCLUSIVE),),
    gateway=(r"vllm\.",),
    scope=r"vllm\.",
    provider="vllm",
)
