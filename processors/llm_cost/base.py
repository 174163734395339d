"""The base prices: 2,300 models of 47 providers, from the `genai-prices` package, matched as the package matches.

Per provider the first model in list order whose rule matches wins; then the provider's fallback providers, one step.
Everything is compiled on first use: loading reads the table and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any, Final, NamedTuple

from processors.llm_cost import genai_data
from processors.llm_cost.catalog import Entry, newest, prices_of

CEILING: Final = (0, 3)
"""First release whose data we do not know how to read."""


class Hit(NamedTuple):
    """A model of the base data that answers to a name."""

    provider: str
    model: str
    open_rule: bool
    """Found by prefix, part or pattern, not by its name."""
    entry: Entry


class BaseProvider:
    """The models of one vendor."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.id: str = row["id"]
        self.fallback: Sequence[str] = row.get("fallback", ())
        self.models: Sequence[Mapping[str, Any]] = row["models"]
        self._pattern: str = row["host"]
        self._entries: dict[int, Entry] = {}

    def serves(self, host: str) -> bool:
        """Say whether the vendor answers at a host."""
        return self._host.match(f"https://{host}/") is not None

    def find(self, name: str) -> Hit | None:
        """Return the first model that answers to a clean name."""
        exact = self._exact.get(name)
        for position, rules in self._open if self._may_be_open(name) else ():
            if exact is not None and position >= exact:
                break
            if any(_matches(rule, name) for rule in rules):
                model = self.models[position]["id"]
                return Hit(self.id, model, model.lower() != name, self.entry(position))
        if exact is None:
            exact = self._ids.get(name)
        if exact is None:
            return None
        return Hit(self.id, self.models[exact]["id"], False, self.entry(exact))

    @cached_property
    def _exact(self) -> Mapping[str, int]:
        """Whole name → position of the first model that states it."""
        names: dict[str, int] = {}
        for position, model in enumerate(self.models):
            for rule in model["match"]:
                if isinstance(rule, str):
                    names.setdefault(rule, position)
        return names

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        """Id → position, for models whose rules leave their own id out. They count last, behind all rules."""
        rows = enumerate(self.models)
        return {model["id"].lower(): position for position, model in rows}

    @cached_property
    def _host(self) -> re.Pattern[str]:
        return re.compile(self._pattern)

    def _may_be_open(self, name: str) -> bool:
        """Say whether any open rule can match: most names that are not known are told here."""
        starts, ends, parts, patterns = self._hints
        return (
            name.startswith(starts)
            or name.endswith(ends)
            or any(part in name for part in parts)
            or any(pattern.search(name) for pattern in patterns)
        )

    @cached_property
    def _hints(
        self,
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], list[re.Pattern[str]]]:
        """Prefixes, suffixes, parts and patterns of all open rules; of a conjunction any member may stand for it."""
        found: dict[str, list[str]] = {
            "starts_with": [],
            "ends_with": [],
            "contains": [],
            "regex": [],
        }
        waiting: list[Any] = [rule for _, rules in self._open for rule in rules]
        while waiting:
            ((kind, wanted),) = waiting.pop().items()
            if kind == "all":
                waiting += [{"regex": re.escape(r)} if isinstance(r, str) else r for r in wanted[0]]
            else:
                found[kind].append(wanted)
        starts, ends, parts, patterns = found.values()
        return tuple(starts), tuple(ends), tuple(parts), [re.compile(p) for p in patterns]

    @cached_property
    def _open(self) -> Sequence[tuple[int, Sequence[Mapping[str, Any]]]]:
        rows = []
        for position, model in enumerate(self.models):
            rules = [rule for rule in model["match"] if not isinstance(rule, str)]
            if rules:
                rows.append((position, rules))
        return rows

    def entry(self, position: int) -> Entry:
        """Return a model's prices, read on first use."""
        entry = self._entries.get(position)
        if entry is None:
            model = self.models[position]
            entry = Entry(f"{self.id}/{model['id']}", prices_of(model["prices"]), "base")
            self._entries[position] = entry
        return entry


def _matches(rule: str | Mapping[str, Any], name: str) -> bool:
    if isinstance(rule, str):
        return rule == name
    ((kind, wanted),) = rule.items()
    matches: bool = _RULES[kind](wanted, name)
    return matches


def _all(groups: Sequence[Sequence[Any]], name: str) -> bool:
    return all(any(_matches(rule, name) for rule in group) for group in groups)


def _search(pattern: str, name: str) -> bool:
    """Three of the patterns look ahead, which RE2 refuses; the text is trusted and only misses come here."""
    return re.search(pattern, name) is not None


_RULES: Final[Mapping[str, Any]] = {
    "starts_with": lambda wanted, name: name.startswith(wanted),
    "ends_with": lambda wanted, name: name.endswith(wanted),
    "contains": lambda wanted, name: wanted in name,
    "regex": _search,
    "all": _all,
}


class Base:
    """All providers. Immutable but for what is compiled on first use, so one object serves every component."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.version = f"{genai_data.PACKAGE}/{table['version']}"
        self.providers: Mapping[str, BaseProvider] = {
            row["id"]: BaseProvider(row) for row in table["providers"]
        }

    @cached_property
    def newest(self) -> int:
        """The time from which the newest dated price holds: how fresh the list is, at least."""
        rows = (m["prices"] for p in self.providers.values() for m in p.models)
        return newest(price for prices in rows for price in prices)

    def find(self, providers: Sequence[str], name: str) -> Hit | None:
        """Look a name up at the first provider's, then at each next one's."""
        for provider in providers:
            known = self.providers.get(provider)
            hit = known.find(name) if known else None
            if hit:
                return hit
        return None

    def fallback(self, provider: str) -> Sequence[str]:
        """Return the providers whose models a provider resells."""
        known = self.providers.get(provider)
        return known.fallback if known else ()

    def provider_of_host(self, host: str) -> str | None:
        """Return the first vendor that answers at a host."""
        return next((p.id for p in self.providers.values() if p.serves(host)), None)

    def entries(self) -> Iterator[Entry]:
        """Yield every priced model."""
        for provider in self.providers.values():
            for position in range(len(provider.models)):
                yield provider.entry(position)


NONE: Final = Base({"version": "none", "providers": []})


@cache
def load() -> Base:
    """Return the committed table, or that of the installed package when it is a newer release of the same line."""
    committed = json.loads(files(__package__).joinpath("base_prices.json").read_bytes())
    try:
        installed = version(genai_data.PACKAGE)
    except PackageNotFoundError:
        installed = None
    return Base(genai_data.table() if is_newer(installed, committed["version"]) else committed)


def is_newer(installed: str | None, than: str) -> bool:
    """Say whether an installed release has newer prices, in a form that we know."""
    return installed is not None and _release(than) < _release(installed) < CEILING


def base_of(pricing: Mapping[str, Any]) -> Base:
    """Return the base prices that an overlay asks for."""
    return NONE if pricing["catalog"].get("base") == "none" else load()


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
