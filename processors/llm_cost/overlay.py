"""The users' own prices, compiled: exact names and patterns per provider, resolved `same_as`, regions, aliases.

The settings are schema-checked; `overlay_checks` says what else can be wrong with them and MUST find nothing before
an `Overlay` is built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

import re2

from processors.errors import InvalidConfig
from processors.llm_cost.base import Base
from processors.llm_cost.catalog import Entry, Price, newest, price_of, prices_of
from processors.llm_cost.money import decimal, times
from processors.llm_cost.names import PROVIDERS, VENDORLESS, clean

LONGEST_CHAIN: Final = 4
"""How many `same_as` may follow each other."""

ONE: Final = Decimal(1)
UNRESOLVED: Final = Entry("", (), "overlay")
"""Stands for the price of an item until its `same_as` was followed."""


@dataclass(slots=True)
class Own:
    """One item of `models[]`. `used` says whether it ever answered to a name, `links` how many `same_as` lead to its
    price."""

    position: int
    provider: str
    row: Mapping[str, Any]
    entry: Entry = UNRESOLVED
    factor: Decimal = ONE
    links: int = 0
    used: bool = False

    @property
    def path(self) -> str:
        return f"pricing.models[{self.position}]"


@dataclass(slots=True)
class Provider:
    """What the overlay says about a provider, and its models."""

    id: str
    inherit: tuple[str, ...] = ()
    gateway: bool = False
    factor: Decimal = ONE
    regions: Mapping[str, Decimal] = field(default_factory=dict)
    regions_models: tuple[Callable[[str], bool], ...] | None = None
    default: Price | None = None
    exact: dict[str, tuple[str, Own]] = field(default_factory=dict)
    """Clean name → (name as written, item)."""
    patterns: list[tuple[Callable[[str], bool], Own]] = field(default_factory=list)

    def found(self, name: str) -> Iterator[Found]:
        """Yield the items for a clean name: exact names first, then patterns in file order."""
        stated = self.exact.get(name)
        if stated:
            yield Found(stated[1], stated[0], pattern=False)
        for matches, own in self.patterns:
            if matches(name):
                yield Found(own, name, pattern=True)

    def region_factor(self, region: str, model: str) -> Decimal | None:
        """Return the factor for a region, if it is one for this model."""
        factor = self.regions.get(region)
        if factor is None or self.regions_models is None:
            return factor
        return factor if any(matches(model.lower()) for matches in self.regions_models) else None


@dataclass(frozen=True, slots=True)
class Found:
    """An item that answers to a name."""

    own: Own
    name: str
    pattern: bool

    @property
    def entry(self) -> Entry:
        """The price entry, named after the target of `same_as`, else after the name that hit."""
        entry = self.own.entry
        return entry if entry.name else replace(entry, name=f"{self.own.provider}/{self.name}")


class Overlay:
    """The compiled form of `pricing`."""

    def __init__(self, pricing: Mapping[str, Any], base: Base) -> None:
        """Compile everything but `same_as`: see `resolve`."""
        self.version = _version(pricing)
        self._base = base
        self.providers: dict[str, Provider] = {}
        self.rows: Sequence[Mapping[str, Any]] = pricing.get("providers", ())
        self.spellings: dict[str, str] = {id: id for id in base.providers} | spellings(self.rows)
        for row in self.rows:
            self._add_provider(row)
        self.items = [self._add_model(n, row) for n, row in enumerate(pricing.get("models", ()))]

    def resolve(self) -> Iterator[InvalidConfig]:
        """Follow every `same_as`; yield what leads nowhere. MUST be run to its end before prices are asked for."""
        for position, row in enumerate(self.rows):
            for n, name in enumerate(row.get("inherit", ())):
                if clean(name) not in self.spellings:
                    text = f"expected a provider that is known, got {name!r}"
                    yield InvalidConfig(f"pricing.providers[{position}].inherit[{n}]", text)
        for own in self.items:
            try:
                self._resolve(own, (own,))
            except InvalidConfig as error:
                yield error

    def found(self, providers: Sequence[str], name: str) -> Iterator[Found]:
        """Look a clean name up at the first provider's, then at each next one's. One after the other may answer to it:
        an item without a price in force counts as none."""
        for id in providers:
            provider = self.providers.get(id)
            if provider:
                yield from provider.found(name)

    def provider_of(self, value: str) -> str | None:
        """Return the provider id of a clean value of `gen_ai.provider.name`."""
        return self.spellings.get(value)

    @property
    def newest(self) -> int:
        """The time from which the newest dated price holds, 0 without one."""
        return newest(price for own in self.items for price in own.row.get("prices", ()))

    def entries(self) -> Iterator[tuple[Own, str]]:
        """Yield each item with each name it is stated under; patterns as they were written."""
        for own in self.items:
            for matcher in matchers(own.row["match"]):
                yield own, next(iter(matcher.values()))

    def unused(self) -> int:
        """Count the items that priced nothing yet."""
        return sum(not own.used for own in self.items)

    def _add_provider(self, row: Mapping[str, Any]) -> None:
        id = clean(row["id"])
        models = row.get("regions_models")
        self.providers[id] = Provider(
            id=id,
            inherit=tuple(self.spellings.get(n, n) for n in map(clean, row.get("inherit", ()))),
            gateway=row.get("gateway", False),
            factor=decimal(row.get("multiplier", 1)),
            regions={clean(name): decimal(n) for name, n in row.get("regions", {}).items()},
            regions_models=None if models is None else tuple(map(glob, models)),
            default=price_of(row["models_default"]) if "models_default" in row else None,
        )

    def _add_model(self, position: int, row: Mapping[str, Any]) -> Own:
        id = clean(row["provider"])
        id = self.spellings.get(id, id)
        self.spellings.setdefault(id, id)
        provider = self.providers.setdefault(id, Provider(id, gateway=id in VENDORLESS))
        own = Own(position, id, row)
        for matcher in matchers(row["match"]):
            ((kind, wanted),) = matcher.items()
            if kind == "exact":
                provider.exact[clean(wanted)] = (wanted.strip(), own)
            else:
                provider.patterns.append((PATTERNS[kind](wanted), own))
        return own

    def _resolve(self, own: Own, chain: tuple[Own, ...]) -> None:
        """Give an item its price entry, following `same_as`."""
        if own.entry is not UNRESOLVED:
            return
        own.factor = decimal(own.row.get("multiplier", 1))
        if "prices" in own.row:
            own.entry = Entry("", prices_of(own.row["prices"]), "overlay")
            return
        found = self._target(own, chain)
        if isinstance(found, Entry):
            own.entry, own.links = replace(found, source="overlay"), 1
            return
        if found.own in chain or len(chain) + found.own.links > LONGEST_CHAIN:
            names = " -> ".join(str(link.row["same_as"]) for link in chain)
            text = f"expected at most {LONGEST_CHAIN} same_as in a row and no circle, got {names}"
            raise InvalidConfig(f"{own.path}.same_as", f"{text}; write prices for one of them")
        self._resolve(found.own, (*chain, found.own))
        own.entry, own.links = found.entry, found.own.links + 1
        own.factor = times(own.factor, found.own.factor)

    def _target(self, own: Own, chain: tuple[Own, ...]) -> Found | Entry:
        """Look a target up as the model of a call: own prices, then base prices, then own prices of the base model."""
        provider, _, model = own.row["same_as"].partition("/")
        id, name = self.spellings.get(clean(provider), clean(provider)), clean(model)
        inherit = self.providers[id].inherit if id in self.providers else ()
        found = next(self.found((id, *inherit), name), None)
        if found:
            return found
        hit = self._base.find((id, *inherit, *self._base.fallback(id)), name)
        if hit:
            stated = self.found((id, hit.provider), hit.model.lower())
            return next((one for one in stated if one.own not in chain), hit.entry)
        text = f"expected provider/model of a priced model, got {own.row['same_as']!r}, which nothing prices"
        raise InvalidConfig(f"{own.path}.same_as", text)


def spellings(providers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return accepted value → provider id: those that everybody knows, and on top what `providers[]` states."""
    stated: dict[str, str] = {}
    for row in providers:
        id = clean(row["id"])
        stated |= dict.fromkeys([id, *map(clean, row.get("aliases", ()))], id)
    return {**PROVIDERS, **stated}


def matchers(match: Any) -> Iterator[Mapping[str, str]]:
    """Yield each alternative of `match` as {kind: text}; a bare text is exact."""
    for one in match if isinstance(match, list | tuple) else [match]:
        yield {"exact": one} if isinstance(one, str) else one


def glob(pattern: str) -> Callable[[str], bool]:
    """Compile a glob over a whole clean name: `*` is any text, `?` one character, nothing else is special."""
    wild = {"*": ".*", "?": "."}
    return regex("".join(wild.get(c) or re2.escape(c) for c in pattern.strip().lower()))


def regex(pattern: str) -> Callable[[str], bool]:
    """Compile an RE2 pattern over a whole clean name. Raises: `re2.error`."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    matches: Callable[[str], object] = re2.compile(f"(?s){pattern}", options).fullmatch
    return lambda name: matches(name) is not None


PATTERNS: Final[Mapping[str, Callable[[str], Callable[[str], bool]]]] = {
    "glob": glob,
    "regex": regex,
}


def _version(pricing: Mapping[str, Any]) -> str:
    """Name the price list: id, revision and a digest of its content, so that no two lists share a name."""
    content = json.dumps(pricing, sort_keys=True, default=str).encode()
    catalog = pricing["catalog"]
    revision = f"@{catalog['revision']}" if catalog.get("revision") else ""
    return f"{catalog['id']}{revision}+sha256:{hashlib.sha256(content).hexdigest()[:12]}"
