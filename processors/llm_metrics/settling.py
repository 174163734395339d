"""What the calls noted at a binding add to its series, all calls of one binding at a time.

Counting call by call would touch some thirty objects that no cache holds any more; a binding's calls together touch
them once.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from processors.llm_metrics.bindings import (
    CACHE_RATIO,
    CACHE_READ,
    CACHE_WRITE,
    COST,
    DECODE,
    INPUT,
    INPUT_SIZE,
    LATENCY,
    OUTPUT,
    OUTPUT_SIZE,
    PRICE,
    REASONING,
    SERVED,
    SUCCESS,
    TPOT,
    TTFT,
    Binding,
)
from processors.llm_metrics.catalogue import COSTS, RATIO, TOKENS_IN, TOKENS_OUT, TOTAL
from processors.llm_metrics.money import atto_usd

_SHORTEST_S: Final = 0.001


def settle(binding: Binding) -> None:
    """Add the noted calls to the series."""
    noted, binding.noted = binding.noted, []
    at = binding.series
    for success, tokens_in, tokens_out, cached, written, reasoning, usd, seconds, ttft in noted:
        if success:
            (at[SUCCESS] or binding.open(SUCCESS)).value += 1
            if binding.served:
                (at[SERVED] or binding.open(SERVED)).value += 1
        if tokens_in is not None:
            (at[INPUT] or binding.open(INPUT)).value += tokens_in
            spread = at[INPUT_SIZE] or binding.open(INPUT_SIZE)
            spread.counts[bisect_left(TOKENS_IN, tokens_in)] += 1
            spread.sum += tokens_in
        if tokens_out is not None:
            (at[OUTPUT] or binding.open(OUTPUT)).value += tokens_out
            spread = at[OUTPUT_SIZE] or binding.open(OUTPUT_SIZE)
            spread.counts[bisect_left(TOKENS_OUT, tokens_out)] += 1
            spread.sum += tokens_out
        if cached is not None:
            (at[CACHE_READ] or binding.open(CACHE_READ)).value += cached
            spread = at[CACHE_RATIO] or binding.open(CACHE_RATIO)
            share = cached / tokens_in if tokens_in else 0.0
            spread.counts[bisect_left(RATIO, share)] += 1
            spread.sum += share
        if written is not None:
            (at[CACHE_WRITE] or binding.open(CACHE_WRITE)).value += written
        if reasoning is not None:
            (at[REASONING] or binding.open(REASONING)).value += reasoning
        if usd is not None:
            (at[COST] or binding.open(COST)).value += atto_usd(usd)
            spread = at[PRICE] or binding.open(PRICE)
            spread.counts[bisect_left(COSTS, usd)] += 1
            spread.sum += usd
        if seconds is not None:
            spread = at[LATENCY] or binding.open(LATENCY)
            spread.counts[bisect_left(TOTAL, seconds)] += 1
            spread.sum += seconds
        if ttft is not None:
            _settle_stream(binding, tokens_out, seconds, ttft)


def _settle_stream(
    binding: Binding, tokens_out: int | None, seconds: float | None, ttft: float
) -> None:
    """Add the timing of a streamed answer."""
    (binding.series[TTFT] or binding.open(TTFT)).observe(ttft)
    rate = decode_rate(tokens_out, seconds, ttft)
    if rate is not None and tokens_out is not None and seconds is not None:
        (binding.series[DECODE] or binding.open(DECODE)).observe(rate)
        (binding.series[TPOT] or binding.open(TPOT)).observe((seconds - ttft) / (tokens_out - 1))


def decode_rate(tokens_out: int | None, seconds: float | None, ttft: float | None) -> float | None:
    """Return output tokens per second after the first token, where the call tells it."""
    if ttft is None or seconds is None or seconds < ttft or (tokens_out or 0) <= 1:
        return None
    return (tokens_out or 0) / max(seconds - ttft, _SHORTEST_S)
