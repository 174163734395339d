"""The attributes that say what a call cost, and the self-telemetry names; what is not said is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processors import semconv as s
from processors.llm_cost import money
from processors.llm_cost.book import Offer
from processors.llm_cost.tariff import Tariff
from processors.wire import Value

WRITTEN: Final = (
    s.APP_LLM_COST_USD,
    s.APP_LLM_COST_STATUS,
    s.APP_LLM_COST_REASON,
    s.APP_LLM_COST_PRICE_SOURCE,
    s.APP_LLM_COST_PRICE_VERSION,
    s.APP_LLM_COST_PRICE_MODEL,
    s.APP_LLM_COST_MATCH,
    s.APP_LLM_COST_EFFECTIVE_FROM,
    s.APP_LLM_COST_TIER,
    s.APP_LLM_COST_VARIANT,
    s.APP_LLM_COST_INPUT_USD,
    s.APP_LLM_COST_OUTPUT_USD,
    s.APP_LLM_COST_CACHE_READ_USD,
    s.APP_LLM_COST_CACHE_WRITE_USD,
    s.APP_LLM_COST_FEES_USD,
)
"""Everything this processor says about a cost: what it does not write, it removes."""

PARTS: Final[Mapping[str, str]] = {
    "input": s.APP_LLM_COST_INPUT_USD,
    "output": s.APP_LLM_COST_OUTPUT_USD,
    "cache_read": s.APP_LLM_COST_CACHE_READ_USD,
    "cache_write": s.APP_LLM_COST_CACHE_WRITE_USD,
    "fees": s.APP_LLM_COST_FEES_USD,
}

FINAL: Final = ("priced", "reported")
"""Statuses that an upstream collector wrote and that stay."""
STATUSES: Final = ("priced", "reported", "unpriced", "cached")
REASONS: Final = (
    "unknown_provider",
    "unknown_model",
    "no_usage",
    "inconsistent_usage",
    "no_rate",
)

CALLS: Final = "otelcol_llm_cost_calls_total"
UNPRICED: Final = "otelcol_llm_cost_unpriced_total"
MATCHES: Final = "otelcol_llm_cost_matches_total"
DEFAULTS: Final = "otelcol_llm_cost_rate_defaults_total"
VARIANTS: Final = "otelcol_llm_cost_unpriced_variants_total"
CONVERSATIONS: Final = "otelcol_llm_cost_conversations"
UNUSED: Final = "otelcol_llm_cost_unused_prices"
INFO: Final = "otelcol_llm_cost_price_list_info"
AGE: Final = "otelcol_llm_cost_price_list_age_seconds"


def provenance(offer: Offer, tariff: Tariff) -> dict[str, Value]:
    """Return what is the same for every call that these terms price."""
    said: dict[str, Value] = {
        s.APP_LLM_COST_STATUS: "priced",
        s.APP_LLM_COST_PRICE_SOURCE: offer.source,
        s.APP_LLM_COST_PRICE_VERSION: offer.version,
        s.APP_LLM_COST_PRICE_MODEL: offer.entry,
        s.APP_LLM_COST_MATCH: offer.match,
        s.APP_LLM_COST_EFFECTIVE_FROM: offer.effective_from,
        s.APP_LLM_COST_TIER: tariff.above if tariff.above >= 0 else None,
        s.APP_LLM_COST_VARIANT: offer.variant,
    }
    return {name: value for name, value in said.items() if value not in (None, "")}


def priced(offer: Offer, tariff: Tariff, atto: int) -> dict[str, Value]:
    """Say what a call costs by our prices."""
    return {s.APP_LLM_COST_USD: money.usd(atto), **provenance(offer, tariff)}


def reported(figure: float) -> dict[str, Value]:
    """Say what a call costs by the emitter's own figure."""
    return {
        s.APP_LLM_COST_USD: figure,
        s.APP_LLM_COST_STATUS: "reported",
        s.APP_LLM_COST_PRICE_SOURCE: "reported",
    }


def unpriced(reason: str) -> dict[str, Value]:
    """Say why there is no price."""
    return {s.APP_LLM_COST_STATUS: "unpriced", s.APP_LLM_COST_REASON: reason}


def cached() -> dict[str, Value]:
    """Say that a gateway answered from its own cache: a true zero."""
    return {s.APP_LLM_COST_USD: 0.0, s.APP_LLM_COST_STATUS: "cached"}
