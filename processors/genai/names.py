"""Every attribute name that any dialect knows: names of fields, what tells a kind, what marks a span as GenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processors import semconv
from processors.genai.dialects import DIALECTS
from processors.genai.dimensions import DIMENSIONS, METADATA
from processors.genai.table import TOTAL, UNCACHED, Alias
from processors.genai.values import Reader, count, number, reasons

MARKERS: Final = (
    "gen_ai.", "llm.", "openinference.", "traceloop.", "ai.operationId", "ai.model", "ai.usage", "ai.response",
    "ai.prompt", "ai.telemetry", "langfuse.", "langsmith.", "mlflow.", "gcp.vertex.agent.", "litellm.", "crewai.",
    "spring.ai.", "anthropic.", "app.llm.",
)  # fmt: skip
EVENTFUL: Final = ("openinference.", "traceloop.", "llm.")
"""Keys of emitters that tell the first token by a span event."""
CALL_RECORD_KEYS: Final = frozenset(
    {"endpointTag", "promptVersion", "dataMode", "externalRequestId"}
)
"""Names of the users' flat call records; any of them makes a span or record one of ours."""
MARKER_KEYS: Final = CALL_RECORD_KEYS | {"span.type"}

CACHE_HITS: Final = ("litellm.cache_hit",)
COUNT_TOKENS_KEY: Final = "anthropic.message.count_tokens.input_tokens"
BATCH_PREFIX: Final = "anthropic.message.batch."
SERVER_ADDRESS: Final = "server.address"
TIERS: Final = (
    "openai.response.service_tier",
    "anthropic.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
    "gen_ai.request.service_tier",
)
"""Where a service tier stands, the served one first."""
START_TIMES: Final = ("langfuse.observation.completion_start_time",)
"""Moments at which the first token came."""

COUNTS: Final = (
    semconv.GEN_AI_USAGE_INPUT_TOKENS,
    semconv.GEN_AI_USAGE_OUTPUT_TOKENS,
    TOTAL,
    UNCACHED,
    semconv.GEN_AI_USAGE_CACHE_READ,
    semconv.GEN_AI_USAGE_CACHE_CREATION,
    semconv.APP_LLM_USAGE_CACHE_CREATION_1H,
    semconv.GEN_AI_USAGE_REASONING,
)
EXTRA_COUNTS: Final = (
    semconv.APP_LLM_USAGE_COMPACTION_INPUT,
    semconv.APP_LLM_USAGE_COMPACTION_OUTPUT,
    semconv.APP_LLM_USAGE_WEB_SEARCHES,
    semconv.APP_LLM_USAGE_IMAGES,
    semconv.APP_LLM_RETRY_COUNT,
)
_NUMBERS: Final = (
    semconv.APP_LLM_TOTAL_LATENCY_S,
    semconv.APP_LLM_TTFT_S,
    semconv.APP_LLM_USAGE_REPORTED_COST_USD,
    semconv.APP_LLM_USAGE_AUDIO_SECONDS,
)
READERS: Final[Mapping[str, Reader]] = (
    dict.fromkeys((*COUNTS, *EXTRA_COUNTS), count)
    | dict.fromkeys(_NUMBERS, number)
    | {semconv.GEN_AI_RESPONSE_FINISH_REASONS: reasons}
)


def _aliases() -> Mapping[str, tuple[Alias, ...]]:
    found: dict[str, list[Alias]] = {}
    for dialect in DIALECTS:
        for name, aliases in dialect.aliases.items():
            found.setdefault(name, []).extend(aliases)
    return {name: tuple(sorted(some, key=lambda a: a.order)) for name, some in found.items()}


ALIASES: Final = _aliases()
"""Field → everything it is called, most trusted first."""
KINDS: Final = tuple(sorted((k for d in DIALECTS for k in d.kinds), key=lambda k: k.order))
OBJECTS: Final = tuple(o for d in DIALECTS for o in d.objects)
EVENTS: Final = {name: hint for d in DIALECTS for name, hint in d.events.items()}


def _known() -> frozenset[str]:
    keys = {alias.key for aliases in ALIASES.values() for alias in aliases}
    keys |= {alias.needs.partition("=")[0] for some in ALIASES.values() for alias in some}
    keys |= {kind.key for kind in KINDS} | {item.key for item in OBJECTS}
    for dimension in DIMENSIONS:
        keys |= {*dimension.named(), *dimension.fixed, dimension.list_of_names}
    for dialect in DIALECTS:
        keys |= {key for row in dialect.emitters for key in row.key.split("+")}
    keys |= {*CACHE_HITS, *TIERS, *START_TIMES, COUNT_TOKENS_KEY, SERVER_ADDRESS, METADATA}
    keys |= {
        semconv.APP_LLM_USAGE_INPUT_SEMANTICS,
        semconv.APP_LLM_USAGE_BASIS,
        semconv.APP_LLM_COST_SKIP_REASON,
        semconv.APP_LLM_SPAN_CLASS,
        semconv.GEN_AI_AGENT_NAME,
    }
    return frozenset(keys - {""})


KNOWN: Final = _known()
