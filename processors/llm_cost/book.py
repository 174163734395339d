"""The price book: from what a span says about itself to the terms it is priced at.

A book is immutable but for its caches, so a reload swaps one reference and nothing is ever half-new. The steps are
those of a bill: provider, model, the price in force, tier, window, variant, factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from processors.llm_cost.base import Base, base_of
from processors.llm_cost.catalog import (
    BEGINNING,
    END,
    Card,
    Entry,
    Price,
    price_of,
    window_interval,
)
from processors.llm_cost.names import (
    LONGEST,
    VENDORLESS,
    provider_of_host,
    region_of_host,
    spellings,
)
from processors.llm_cost.overlay import Found, Overlay, Provider
from processors.llm_cost.tariff import Tariff, compile_tariff

Reason: TypeAlias = Literal["unknown_provider", "unknown_model", "no_rate"]

ONE: Final = Decimal(1)
DEPLOYMENTS: Final = "azure"
"""The provider whose request model is the name of a deployment, not of a model."""
ORDINARY: Final = frozenset(
    {"", "default", "auto", "standard", "standard_only", "normal", "on_demand"}
)
"""Context values that ask for nothing special."""
_BATCH_TIER: Final = ("service_tier", "batch")
"""Said as a processing too."""


class Identity(NamedTuple):
    """What decides the price of a call besides its time and usage. Clean texts (`names.clean`), empty when unknown."""

    provider: str = ""
    response_model: str = ""
    request_model: str = ""
    host: str = ""
    service_tier: str = ""
    processing: str = ""
    speed: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Miss:
    """No price, valid for times in [start, end)."""

    reason: Reason
    provider: str
    model: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Offer:
    """The terms for an identity at times in [start, end)."""

    start: int
    end: int
    provider: str
    model: str
    """The spelling that was found."""
    entry: str
    """`provider/model` of the entry that prices it."""
    source: Literal["overlay", "base", "estimate"]
    version: str
    match: str
    effective_from: str | None
    variant: str
    factors: tuple[tuple[str, Decimal], ...]
    """Why and by how much rates were multiplied, for explanations."""
    unpriced: tuple[str, ...]
    """Dimensions in which the call was special and the price was not."""
    tariffs: tuple[Tariff, ...]
    """Ascending by threshold; the first holds from 0 on."""

    def tariff(self, total: int) -> Tariff:
        """Return the terms of the highest tier that a total input exceeds."""
        found = self.tariffs[0]
        for tariff in self.tariffs[1:]:
            if total <= tariff.above:
                break
            found = tariff
        return found


class _Candidate(NamedTuple):
    """An entry that answers to a name of the ladder."""

    match: str
    name: str
    entry: Entry
    factor: Decimal
    variants: bool
    """Whether its variants hold: base data states them for the vendor itself, not for resellers."""


class _Interval:
    """The time range in which a resolution holds, narrowed by everything that was looked at."""

    def __init__(self, at: int) -> None:
        self.at, self.start, self.end = at, BEGINNING, END

    def narrow(self, interval: tuple[int, int]) -> None:
        self.start, self.end = max(self.start, interval[0]), min(self.end, interval[1])


class Book:
    """Prices calls. `resolve` is slow (100 µs) and pure: the caller keeps what it returns."""

    def __init__(self, pricing: Mapping[str, Any] | None) -> None:
        """`pricing` is a checked overlay or None. Raises: `InvalidConfig`."""
        stated = pricing or {"catalog": {"id": "none"}}
        self.base: Base = base_of(stated)
        self.overlay = Overlay(stated, self.base)
        for error in self.overlay.resolve():
            raise error
        self._families: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
        defaults = stated.get("defaults", {})
        self.estimate = self._estimate(defaults)
        self.price_at_end = defaults.get("price_at") == "end"
        self.reported: str = defaults.get("reported_cost", "fallback")
        self.breakdown: bool = defaults.get("breakdown", False)

    def resolve(self, identity: Identity, at: int) -> Offer | Miss:
        """Find the terms for a call at a time."""
        provider = self._provider(identity)
        model = identity.response_model or identity.request_model
        if provider is None:
            return Miss("unknown_provider", identity.provider, model, BEGINNING, END)
        interval = _Interval(at)
        priced_before = False
        for candidate in self._candidates(provider, identity):
            interval.narrow(candidate.entry.interval(at))
            price = candidate.entry.in_force(at)
            if price is not None and not price.empty:
                return self._offer(candidate, price, provider, identity, interval)
            priced_before = True
        reason: Reason = "no_rate" if priced_before else "unknown_model"
        return Miss(reason, provider, model, interval.start, interval.end)

    def lists(self) -> Iterator[tuple[str, str, int]]:
        """Yield source, version and the time of the newest dated price of each list that is in use."""
        if self.base.providers:
            yield "base", self.base.version, self.base.newest
        if self.overlay.items or self.overlay.providers:
            yield "overlay", self.overlay.version, self.overlay.newest

    # -- provider

    def _provider(self, identity: Identity) -> str | None:
        """Return the provider who bills the call; None when nothing tells."""
        known = self.overlay.provider_of(identity.provider)
        own = self.overlay.providers.get(known or "")
        gateway = own is not None and own.gateway
        if known == "openai":
            return self._of_host(identity.host) or known
        if known and not gateway:
            return known
        if not gateway and identity.provider not in VENDORLESS:
            return None
        routed = self._of_prefix(identity) or self._of_host(identity.host)
        if routed or own is None:
            return routed
        return known if own.exact or own.patterns or own.default else None

    def _of_prefix(self, identity: Identity) -> str | None:
        for name in (identity.response_model, identity.request_model):
            prefix, slash, _ = name.partition("/")
            provider = self.overlay.provider_of(prefix) if slash else None
            if provider:
                return provider
        return None

    def _of_host(self, host: str) -> str | None:
        if not host:
            return None
        return provider_of_host(host) or self.base.provider_of_host(host)

    # -- model

    def _candidates(self, provider: str, identity: Identity) -> Iterator[_Candidate]:
        """Yield entries in the order in which they may price the call."""
        if provider == DEPLOYMENTS and identity.request_model:
            for found in self.overlay.found((provider,), identity.request_model):
                yield _own(found, "pattern" if found.pattern else "exact")
        if identity.response_model:
            yield from self._ladder(provider, identity.response_model)
        if identity.request_model and identity.request_model != identity.response_model:
            prefix = "request." if identity.response_model else ""
            for candidate in self._ladder(provider, identity.request_model):
                yield candidate._replace(match=prefix + candidate.match)
        own = self.overlay.providers.get(provider)
        if own and own.default:
            entry = Entry(f"{provider}/*", (own.default,), "overlay")
            yield _Candidate("provider_default", "*", entry, ONE, True)

    def _ladder(self, provider: str, model: str) -> Iterator[_Candidate]:
        if len(model) > LONGEST:
            return
        family, prefixes = self._family(provider)
        for rung, name in spellings(model, prefixes):
            yield from self._look_up(provider, family, rung, name)

    def _family(self, provider: str) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return the provider and those whose models it sells, and all their spellings."""
        known = self._families.get(provider)
        if known is None:
            own = self.overlay.providers.get(provider) or Provider(provider)
            names = (provider, *own.inherit, *self.base.fallback(provider))
            family = tuple(dict.fromkeys(names))
            spelled = (text for text, id in self.overlay.spellings.items() if id in family)
            known = self._families[provider] = (family, frozenset(spelled))
        return known

    def _look_up(
        self, provider: str, family: Sequence[str], rung: str, name: str
    ) -> Iterator[_Candidate]:
        own = self.overlay.providers.get(provider) or Provider(provider)
        for found in self.overlay.found((provider, *own.inherit), name):
            yield _own(found, rung or ("pattern" if found.pattern else "exact"))
        hit = self.base.find(family, name)
        if hit is None:
            return
        if hit.model.lower() != name:
            for found in self.overlay.found((provider, hit.provider), hit.model.lower()):
                yield _own(found, "base_id")
        match = rung or ("open_rule" if hit.open_rule else "exact")
        yield _Candidate(match, name, hit.entry, ONE, hit.provider == provider)

    # -- terms

    def _offer(
        self,
        found: _Candidate,
        price: Price,
        provider: str,
        identity: Identity,
        interval: _Interval,
    ) -> Offer:
        at = interval.at
        interval.narrow(window_interval(price.windows, at))
        context = _context(identity)
        card, variant, used = _select(price, context if found.variants else {}, at)
        own = self.overlay.providers.get(provider) or Provider(provider)
        model = found.entry.name.partition("/")[2]
        region = own.region_factor(context.get("region", ""), model)
        if region is not None and f"region={context['region']}" not in variant:
            variant.append(f"region={context['region']}")
        factors = [("region", region), ("model", found.factor), ("provider", own.factor)]
        stated = tuple(
            (why, factor) for why, factor in factors if factor is not None and factor != 1
        )
        overlay = found.entry.source == "overlay"
        priced = used | ({"region"} if region is not None else set())
        return Offer(
            start=interval.start,
            end=interval.end,
            provider=provider,
            model=found.name,
            entry=found.entry.name,
            source=found.entry.source,
            version=self.overlay.version if overlay else self.base.version,
            match=found.match,
            effective_from=price.stated,
            variant=",".join(variant),
            factors=stated,
            unpriced=tuple(
                key
                for key, value in context.items()
                if value not in ORDINARY and key not in priced and (key, value) != _BATCH_TIER
            ),
            tariffs=_tariffs(card, price, [factor for _, factor in stated]),
        )

    def _estimate(self, defaults: Mapping[str, Any]) -> Offer | None:
        if defaults.get("unknown_model") != "estimate":
            return None
        price = price_of({"rates": defaults["estimate"]})
        return Offer(
            start=BEGINNING,
            end=END,
            provider="",
            model="",
            entry="",
            source="estimate",
            version=self.overlay.version,
            match="estimate",
            effective_from=None,
            variant="",
            factors=(),
            unpriced=(),
            tariffs=_tariffs(price.card, price, []),
        )


def _own(found: Found, match: str) -> _Candidate:
    found.own.used = True
    return _Candidate(match, found.name.lower(), found.entry, found.own.factor, True)


def _context(identity: Identity) -> Mapping[str, str]:
    """Return what was special about the call, by dimension, in key order."""
    region = identity.region or region_of_host(identity.host)
    stated = {
        "processing": identity.processing,
        "region": region,
        "service_tier": identity.service_tier,
        "speed": identity.speed,
    }
    return {key: value for key, value in stated.items() if value}


def _select(price: Price, context: Mapping[str, str], at: int) -> tuple[Card, list[str], set[str]]:
    """Apply window and variants: the card, what was applied as texts, and the dimensions that mattered."""
    card, applied, used = price.card, list[str](), set[str]()
    for window in price.windows:
        holds = window.holds(at)
        if holds:
            card = window.change.apply(card)
            applied.append(f"window={holds.text}")
            break
    matching = [variant for variant in price.variants if variant.matches(context, at)]
    if matching and not matching[0].partial:
        matching = matching[:1]
    for variant in reversed(matching):
        if variant.change.card is not None and not variant.partial:
            applied.clear()  # its rates replace those of the window
        card = variant.change.apply(card, partial=variant.partial)
        used |= variant.when.keys()
    applied += [f"{key}={context[key]}" for key in sorted(used)]
    return card, applied, used


def _tariffs(card: Card, price: Price, factors: Sequence[Decimal]) -> tuple[Tariff, ...]:
    return tuple(compile_tariff(above, rates, price.fees, factors) for above, rates in card.steps)
