"""Everything that can be wrong with an overlay beyond its schema, each with its place and a full sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import re2

from processors.errors import Finding
from processors.llm_cost.base import base_of
from processors.llm_cost.catalog import moment
from processors.llm_cost.money import decimal
from processors.llm_cost.names import clean
from processors.llm_cost.overlay import PATTERNS, Overlay, matchers, spellings

Row = Mapping[str, Any]
DECIMALS: Final = 12
"""Of a rate; beyond, a token's price is no whole attoUSD."""


def findings(pricing: Row) -> Iterator[Finding]:
    """Yield errors and warnings in the order of the file."""
    yield from _numbers("pricing", pricing)
    yield from _provider_names(pricing.get("providers", ()))
    for n, provider in enumerate(pricing.get("providers", ())):
        if "models_default" in provider:
            yield from _price(f"pricing.providers[{n}].models_default", provider["models_default"])
    spelled = spellings(pricing.get("providers", ()))
    seen: dict[tuple[str, str], int] = {}
    for n, model in enumerate(pricing.get("models", ())):
        yield from _either(f"pricing.models[{n}]", model, "same_as", "prices")
        yield from _match(f"pricing.models[{n}]", model, n, spelled, seen)
        yield from _prices(f"pricing.models[{n}].prices", model.get("prices", ()))


def dead_ends(pricing: Row) -> Iterator[Finding]:
    """Yield what names a price or a provider that does not exist. `findings` MUST have found no error before."""
    base = base_of(pricing)
    for error in Overlay(pricing, base).resolve():
        yield Finding(error.path, error.text)


def _provider_names(providers: Iterable[Row]) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for n, provider in enumerate(providers):
        names = [("id", provider["id"])]
        names += [(f"aliases[{m}]", alias) for m, alias in enumerate(provider.get("aliases", ()))]
        for key, name in names:
            path = f"pricing.providers[{n}].{key}"
            first = taken.setdefault(clean(name), path)
            if first != path:
                text = f"expected every provider name once, got {name!r} again, first at {first}"
                yield Finding(path, text)


def _match(
    path: str,
    model: Row,
    position: int,
    spelled: Mapping[str, str],
    seen: dict[tuple[str, str], int],
) -> Iterator[Finding]:
    provider = clean(model["provider"])
    provider = spelled.get(provider, provider)
    for matcher in matchers(model["match"]):
        ((kind, wanted),) = matcher.items()
        if kind != "exact":
            yield from _pattern(f"{path}.match", kind, wanted)
            continue
        first = seen.setdefault((provider, clean(wanted)), position)
        if first != position:
            text = f"expected every exact name of a provider once, got {wanted!r} again"
            yield Finding(f"{path}.match", f"{text}, first at pricing.models[{first}]")


def _pattern(path: str, kind: str, wanted: str) -> Iterator[Finding]:
    try:
        PATTERNS[kind](wanted)
    except re2.error as error:
        reason = error.args[0]
        said = reason.decode() if isinstance(reason, bytes) else reason
        yield Finding(path, f"expected an RE2 expression, got {wanted!r}: {said}")


def _prices(path: str, prices: Iterable[Row]) -> Iterator[Finding]:
    last: int | None = None
    for n, price in enumerate(prices):
        place = f"{path}[{n}]"
        yield from _price(place, price)
        begins = _moment(price.get("from"))
        if n and "from" not in price:
            yield Finding(place, "expected from in every price but the first, got none")
        elif last is not None and begins is not None and begins < last:
            yield Finding(
                f"{place}.from",
                f"expected prices in order of from, got {price['from']} behind a later one",
            )
        last = begins if begins is not None else last


def _price(path: str, price: Row) -> Iterator[Finding]:
    yield from _dates(path, price)
    yield from _tiers(path, price)
    outer = price["rates"].keys()
    for kind in ("windows", "variants"):
        for n, block in enumerate(price.get(kind, ())):
            place = f"{path}.{kind}[{n}]"
            yield from _ranges(f"{place}.utc", block.get("utc", ()))
            yield from _either(place, block, "multiplier", "rates")
            yield from _either(place, block, "multiplier", "tiers")
            if "rates" in block:
                yield from _covers(f"{place}.rates", outer, block["rates"])
                yield from _tiers(place, block)


def _either(path: str, row: Row, key: str, other: str) -> Iterator[Finding]:
    """The schema sees to it that there is one at least."""
    if key in row and other in row:
        yield Finding(f"{path}.{other}", f"expected {key} or {other}, got both")


def _dates(path: str, price: Row) -> Iterator[Finding]:
    for key in ("from", "until"):
        if key in price and _moment(price[key]) is None:
            yield Finding(f"{path}.{key}", f"expected a date of the calendar, got {price[key]}")
    begins, ends = _moment(price.get("from")), _moment(price.get("until"))
    if begins is not None and ends is not None and ends <= begins:
        text = f"expected until after from ({price['from']}), got {price['until']}"
        yield Finding(f"{path}.until", text)


def _tiers(path: str, block: Row) -> Iterator[Finding]:
    last = -1
    for n, tier in enumerate(block.get("tiers", ())):
        place = f"{path}.tiers[{n}]"
        if tier["above"] <= last:
            yield Finding(
                f"{place}.above",
                f"expected tiers in ascending order, got {tier['above']} behind {last}",
            )
        last = max(last, tier["above"])
        yield from _covers(f"{place}.rates", block["rates"].keys(), tier["rates"])


def _covers(path: str, outer: Iterable[str], inner: Row) -> Iterator[Finding]:
    """An omitted rate could mean the inner input rate or the outer rate: a guess that costs money either way."""
    missing = [name for name in outer if name not in inner]
    if missing:
        text = f"expected every rate of the block around it, got none for {', '.join(missing)}"
        yield Finding(path, f"{text}; multiplier changes all of them")


def _ranges(path: str, ranges: Iterable[str]) -> Iterator[Finding]:
    for n, text in enumerate(ranges):
        start, _, end = text.partition("-")
        if start == end:
            yield Finding(
                f"{path}[{n}]", f"expected an end that differs from the start, got {text}"
            )


def _moment(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return moment(value)
    except ValueError:
        return None


def _numbers(path: str, value: object, key: str = "") -> Iterator[Finding]:
    """Look at every number below: finite, and a rate no finer than an attoUSD per token."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _numbers(f"{path}.{name}", item, "rate" if key == "rates" else str(name))
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            yield from _numbers(f"{path}[{n}]", item, key)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Finding(path, f"expected a finite number, got {value}")
    elif key == "rate" and _too_fine(decimal(value)):  # type: ignore[arg-type] # schema-checked: a number
        text = f"{value} has more than {DECIMALS} decimals and is rounded half-even to whole attoUSD per token"
        yield Finding(path, text, warning=True)


def _too_fine(rate: Decimal) -> bool:
    exponent = rate.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent < -DECIMALS
