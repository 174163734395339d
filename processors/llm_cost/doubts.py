"""What looks wrong in a valid price list: entries that can never be used, and figures that look like another unit.

These are guesses about the author's intent, so nothing here stops a configuration; `otelcol-llm price --check` tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from processors.errors import Finding
from processors.llm_cost.base import Base
from processors.llm_cost.catalog import Price
from processors.llm_cost.names import clean
from processors.llm_cost.overlay import PATTERNS, Overlay, Own, matchers

FAR: Final = Decimal(20)
"""A rate this many times the base price, or this part of it, is more likely in another unit than a discount."""

COMPARED: Final = ("input", "output", "cache_read")

_UNUSUAL: Final[tuple[tuple[str, str, str], ...]] = (
    ("cache_read", "input", "a read from the cache dearer than plain input"),
    ("cache_write", "cache_write_1h", "a cache entry of five minutes dearer than one of an hour"),
    ("input", "output", "input dearer than output"),
)
"""(lower, higher, what is odd when it is the other way round)."""


def doubts(overlay: Overlay, base: Base, now: int) -> Iterator[Finding]:
    """Yield warnings in the order of the file. `now` decides which prices are over."""
    patterns: dict[str, list[tuple[str, Callable[[str], bool]]]] = {}
    for own in overlay.items:
        yield from _shadowed(own, patterns.setdefault(own.provider, []))
        yield from _over(own, now)
        yield from _unusual(own, now)
        yield from _far_from_base(own, overlay, base, now)
    for position, row in enumerate(overlay.rows):
        if row.get("gateway") and "models_default" in row:
            text = "a gateway names no vendor: this price is taken only where no vendor can be told"
            yield _doubt(f"pricing.providers[{position}].models_default", text)


def _shadowed(own: Own, before: list[tuple[str, Callable[[str], bool]]]) -> Iterator[Finding]:
    """A pattern whose names an earlier one of the provider takes, to judge by samples of them."""
    for matcher in matchers(own.row["match"]):
        ((kind, wanted),) = matcher.items()
        if kind == "exact":
            continue
        samples = _samples(kind, clean(wanted))
        taken = next((path for path, matches in before if all(map(matches, samples))), None)
        if taken:
            text = f"{wanted!r} is never reached: {taken} comes first and takes the same names"
            yield _doubt(f"{own.path}.match", text)
        before.append((f"{own.path}.match", PATTERNS[kind](wanted)))


def _samples(kind: str, pattern: str) -> list[str]:
    """Return a short and a long name that a pattern matches, if it is a simple one."""
    any_text, one = (r"\*", r"\?") if kind == "glob" else (r"(?<!\\)\.[*+]", r"(?<!\\)\.")
    return [
        re.sub(r"\\(.)", r"\1", re.sub(one, "0", re.sub(any_text, text, pattern)))
        for text in ("0", "0-0000-0")
    ] + ([pattern.replace("*", "").replace("?", "0")] if kind == "glob" else [])


def _over(own: Own, now: int) -> Iterator[Finding]:
    prices = own.entry.prices if "prices" in own.row else ()
    if prices and all(price.end <= now for price in prices):
        yield _doubt(f"{own.path}.prices", "every price is over: calls of today find none here")
    for n, price in enumerate(prices):
        if any(later.start <= price.start and later.end >= price.end for later in prices[n + 1 :]):
            text = "is never used: a later price of the list holds whenever this one does"
            yield _doubt(f"{own.path}.prices[{n}]", text)


def _unusual(own: Own, now: int) -> Iterator[Finding]:
    if not Decimal("0.05") <= own.factor <= FAR:
        yield _doubt(f"{own.path}.multiplier", f"{own.factor} times the price is a lot of a change")
    price = own.entry.in_force(now) if "prices" in own.row else None
    rates = price.card.steps[0][1] if price else {}
    for lower, higher, odd in _UNUSUAL:
        if lower in rates and higher in rates and rates[lower] > rates[higher]:
            text = f"{odd}: {lower} {rates[lower]}, {higher} {rates[higher]}"
            yield _doubt(f"{own.path}.prices", text)


def _far_from_base(own: Own, overlay: Overlay, base: Base, now: int) -> Iterator[Finding]:
    """Compare with the base price of the same name, as rates per thousand or per token are far away from it."""
    price = own.entry.in_force(now) if "prices" in own.row else None
    if price is None:
        return
    for matcher in matchers(own.row["match"]):
        hit = base.find((own.provider,), clean(matcher.get("exact", "")))
        known = hit.entry.in_force(now) if hit else None
        for name, ours, theirs in _pairs(price, known):
            if ours and theirs and not theirs / FAR <= ours <= theirs * FAR:
                text = f"{name} is {ours} USD per million tokens, the base price {theirs}: is it in another unit?"
                yield _doubt(f"{own.path}.prices", text)


def _pairs(ours: Price, theirs: Price | None) -> Iterator[tuple[str, Decimal, Decimal]]:
    mine, others = ours.card.steps[0][1], theirs.card.steps[0][1] if theirs else {}
    for name in COMPARED:
        if name in mine and name in others:
            yield name, mine[name], others[name]


def _doubt(path: str, text: str) -> Finding:
    return Finding(path, text, warning=True)
