"""LiteLLM 1.109, SDK and proxy, both of its OpenTelemetry exporters. It normalises every vendor to inclusive counts.

Source: litellm/integrations/opentelemetry.py and integrations/otel/mappers/genai.py.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import Alias, Dialect, Emitter, Semantics

DIALECT: Final = Dialect(
    name="litellm",
    aliases={
        semconv.GEN_AI_REQUEST_MODEL: (Alias("litellm.model_group", 110),),
        semconv.GEN_AI_RESPONSE_MODEL: (Alias("litellm.provider.model", 50),),
        semconv.APP_LLM_USAGE_REPORTED_COST_USD: (
            Alias("litellm.cost.total", 30),
            Alias("gen_ai.cost.total_cost", 40),
        ),
    },
    emitters=(Emitter(scope=r"litellm", input=Semantics.INCLUSIVE),),
    gateway=(r"litellm",),
)
