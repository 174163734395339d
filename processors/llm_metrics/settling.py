"""What the calls noted at a kind add to its series, all calls of one kind at a time.

Calls of many kinds come mixed, and the series of some hundred kinds are in no cache. So noting a call touches one list,
and here the series of a kind are fetched once for all its calls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

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
    Binding,
)
from processors.llm_metrics.catalogue import COSTS, RATIO, TOTAL
from processors.llm_metrics.kinds import Kind, Noted
from processors.llm_metrics.money import PICO, SURE_USD, atto_usd


def settle(kind: Kind) -> None:
    """Add the noted calls to the series."""
    noted, kind.noted = kind.noted, []
    binding = kind.binding
    at = binding.series
    if kind.success:
        (at[REQUESTS] or binding.open(REQUESTS)).value += len(noted)
        if binding.served:
            (at[ANSWERS] or binding.open(ANSWERS)).value += len(noted)
    _add_tokens(binding, noted, *kind.shape.places)
    _add_figures(binding, noted)


def _add_tokens(
    binding: Binding, noted: Iterable[Noted], input_at: int, output_at: int, reads_at: int
) -> None:
    """Add tokens; the calls of a kind tell the same ones."""
    at, total_in, total_out, total_read = binding.series, 0, 0, 0
    if input_at >= 0:
        asking = at[INPUT_SIZE] or binding.open(INPUT_SIZE)
        inputs = asking.counts
    if output_at >= 0:
        saying = at[OUTPUT_SIZE] or binding.open(OUTPUT_SIZE)
        outputs = saying.counts
    if reads_at >= 0:
        reading = at[CACHE_RATIO] or binding.open(CACHE_RATIO)
    for asked, said, read, _, _ in noted:
        if asked:
            tokens, bucket = asked
            inputs[bucket] += 1
            total_in += tokens
        if said:
            tokens, bucket = said
            outputs[bucket] += 1
            total_out += tokens
        if read:
            tokens, _ = read
            total_read += tokens
            if tokens and asked and asked[0]:
                share = tokens / asked[0]
                reading.counts[bisect_left(RATIO, share)] += 1
                reading.sum += share
            else:
                reading.counts[0] += 1
    if input_at >= 0:
        asking.sum += total_in
        (at[INPUT] or binding.open(INPUT)).value += total_in
    if output_at >= 0:
        saying.sum += total_out
        (at[OUTPUT] or binding.open(OUTPUT)).value += total_out
    if reads_at >= 0:
        (at[CACHE_READ] or binding.open(CACHE_READ)).value += total_read


def _add_figures(binding: Binding, noted: Iterable[Noted]) -> None:
    """Add what calls cost and how long they took, where that is known."""
    at = binding.series
    prices, times = at[PRICE], at[LATENCY]
    pico = rest = 0
    for _, _, _, usd, seconds in noted:
        if usd is not None:
            prices = prices or binding.open(PRICE)
            prices.counts[bisect_left(COSTS, usd)] += 1
            prices.sum += usd
            near = int(usd * PICO + 0.5) if usd < SURE_USD else 0
            if near / PICO == usd:  # as `atto_usd` does: most costs come here
                pico += near
            else:
                rest += atto_usd(usd)
        if seconds is not None:
            times = times or binding.open(LATENCY)
            times.counts[bisect_left(TOTAL, seconds)] += 1
            times.sum += seconds
    if prices is not None:
        (at[COST] or binding.open(COST)).value += pico * 10**6 + rest
