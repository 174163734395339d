"""What the calls noted at a kind add to its series, all calls of one kind at a time.

Calls of many kinds come mixed, and the series of some hundred kinds are in no cache. So noting a call touches one list,
and here the series of a kind are fetched once for all its calls.
"""

from __future__ import annotations

from bisect import bisect_left

from processors.llm_metrics.bindings import (
    ANSWERS,
    CACHE_RATIO,
    CACHE_READ,
    COST,
    INPUT,
    INPUT_SIZE,
    LATENCY,
    OUTPUT,
    OUTPUT_SIZE,
    PRICE,
    REQUESTS,
)
from processors.llm_metrics.catalogue import COSTS, RATIO, TOTAL
from processors.llm_metrics.kinds import Kind
from processors.llm_metrics.money import atto_usd


def settle(kind: Kind) -> None:
    """Add the noted calls to the series."""
    noted, kind.noted = kind.noted, []
    binding = kind.binding
    at = binding.series
    if kind.success:
        (at[REQUESTS] or binding.open(REQUESTS)).value += len(noted)
        if binding.served:
            (at[ANSWERS] or binding.open(ANSWERS)).value += len(noted)
    for asked, said, cached, usd, seconds in noted:
        if asked:
            tokens, bucket = asked
            (at[INPUT] or binding.open(INPUT)).value += tokens
            spread = at[INPUT_SIZE] or binding.open(INPUT_SIZE)
            spread.counts[bucket] += 1
            spread.sum += tokens
        if said:
            tokens, bucket = said
            (at[OUTPUT] or binding.open(OUTPUT)).value += tokens
            spread = at[OUTPUT_SIZE] or binding.open(OUTPUT_SIZE)
            spread.counts[bucket] += 1
            spread.sum += tokens
        if cached:
            tokens = cached[0]
            (at[CACHE_READ] or binding.open(CACHE_READ)).value += tokens
            share = tokens / asked[0] if tokens and asked and asked[0] else 0.0
            spread = at[CACHE_RATIO] or binding.open(CACHE_RATIO)
            spread.counts[bisect_left(RATIO, share) if share else 0] += 1
            spread.sum += share
        if usd is not None:
            (at[COST] or binding.open(COST)).value += atto_usd(usd)
            spread = at[PRICE] or binding.open(PRICE)
            spread.counts[bisect_left(COSTS, usd)] += 1
            spread.sum += usd
        if seconds is not None:
            spread = at[LATENCY] or binding.open(LATENCY)
            spread.counts[bisect_left(TOTAL, seconds)] += 1
            spread.sum += seconds
