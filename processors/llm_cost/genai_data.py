"""Turns the `genai-prices` package into the plain table that `base` reads. The only module that imports the package.

The table is generated once and committed, because importing the package costs 0.3 CPU s and 32 MB (pydantic, httpx2):

    python -c 'from processors.llm_cost.genai_data import *; print(render(table()), end="")' > base_prices.json

What is translated (genai-prices 0.2.3, `types.py`):
- prices are tried last to first; a constraint is a start date or a daily window, never both. A window therefore belongs
  to every dated price before it in the list, later windows first;
- tiers are per price key and exclusive (`>`); here a step names all keys of the card;
- variants replace single keys (`partial`), from a date on; those that change nothing are left out;
- a model without any price is free where its id says so (`:free`), else it has no price: unknown is not zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Final

PACKAGE: Final = "genai-prices"

RATES: Final[Mapping[str, str]] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_in",
    "output_audio_mtok": "audio_out",
    "cache_audio_read_mtok": "cache_audio_read",
    "input_image_mtok": "image_in",
    "output_image_mtok": "image_out",
}
"""Price key → rate, both in USD per million tokens. Units that no span reports (pages, pixels, hours) are not read."""

FEES: Final[Mapping[str, str]] = {
    "web_searches_kcount": "web_search",
    "requests_kcount": "request",
}
"""Price key → fee; theirs are USD per thousand, ours USD per one."""

CONDITIONS: Final = frozenset({"service_tier", "processing", "speed"})
"""What a span can tell; variants on anything else (`route`, `search_type`) never apply."""


def table() -> dict[str, Any]:
    """Return the installed package's data: providers in order, each with its models in order."""
    from genai_prices.data_snapshot import get_snapshot  # costs 0.3 s: only where it is needed

    providers = [_provider(provider) for provider in get_snapshot().providers]
    return {"version": version(PACKAGE), "providers": providers}


def _provider(provider: Any) -> dict[str, Any]:
    row = {
        "id": provider.id,
        "host": provider.api_pattern,
        "fallback": provider.fallback_model_providers,
        "models": [_model(model) for model in provider.models],
    }
    return {key: value for key, value in row.items() if value is not None}


def _model(model: Any) -> dict[str, Any]:
    return {"id": model.id, "match": list(_clauses(model.match)), "prices": _prices(model)}


def _clauses(clause: Any) -> Iterator[Any]:
    """Yield alternatives: a text is the whole name, a mapping is an open rule."""
    kind = type(clause).__name__
    if kind == "ClauseOr":
        for inner in clause.or_:
            yield from _clauses(inner)
    elif kind == "ClauseAnd":
        yield {"all": [list(_clauses(inner)) for inner in clause.and_]}
    elif kind == "ClauseEquals":
        yield clause.equals.lower()
    elif kind == "ClauseRegex":
        yield {"regex": clause.regex}
    else:
        ((key, value),) = vars(clause).items()
        yield {key: value.lower()}


def _prices(model: Any) -> list[dict[str, Any]]:
    listed = model.prices if isinstance(model.prices, list) else [_Unconditional(model.prices)]
    if not any(_card(entry.prices) or _fees(entry.prices) for entry in listed) and not _any_unit(
        listed
    ):
        return [{"rates": {"input": 0, "output": 0}}] if ":free" in model.id else []
    variants = list(_variants(model.price_variants or ()))
    rows: list[dict[str, Any]] = []
    for position, entry in enumerate(listed):
        if hasattr(entry.constraint, "start_time"):
            continue
        row = _dated(entry.constraint) | _block(entry.prices)
        windows = [_window(e) for e in listed[:position:-1] if hasattr(e.constraint, "start_time")]
        rows.append(row | _named(fees=_fees(entry.prices), windows=windows, variants=variants))
    return rows


def _any_unit(listed: Iterable[Any]) -> bool:
    """Say whether any price names a unit at all, read by us or not."""
    return any(value is not None for entry in listed for value in vars(entry.prices).values())


class _Unconditional:
    """A price that always holds, in the form of a conditional one."""

    constraint = None

    def __init__(self, prices: Any) -> None:
        self.prices = prices


def _named(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value}


def _dated(constraint: Any) -> dict[str, Any]:
    return {} if constraint is None else {"from": constraint.start_date.isoformat()}


def _block(prices: Any) -> dict[str, Any]:
    """Return `rates` and, where any price depends on the input, `tiers`, each with all keys."""
    card = _card(prices)
    starts = sorted({start for steps in card.values() for start in steps if start >= 0})
    tiers = [{"above": start, "rates": _at(card, start)} for start in starts]
    return {"rates": _at(card, -1)} | _named(tiers=tiers)


def _card(prices: Any) -> dict[str, dict[int, Decimal]]:
    """Return rate → threshold → price; -1 is the base."""
    card: dict[str, dict[int, Decimal]] = {}
    for key, value in vars(prices).items():
        if key in RATES and value is not None:
            steps = {-1: getattr(value, "base", value)}
            steps |= {tier.start: tier.price for tier in getattr(value, "tiers", ())}
            card[RATES[key]] = steps
    return card


def _at(card: Mapping[str, Mapping[int, Decimal]], start: int) -> dict[str, Any]:
    return {
        name: number(steps[max(s for s in steps if s <= start)]) for name, steps in card.items()
    }


def _fees(prices: Any) -> dict[str, Any]:
    return {
        FEES[key]: number(value / 1000)
        for key, value in vars(prices).items()
        if key in FEES and value is not None
    }


def _window(entry: Any) -> dict[str, Any]:
    start, end = entry.constraint.start_time, entry.constraint.end_time
    if start.utcoffset() or end.utcoffset():
        raise ValueError(f"expected a window in UTC, got {entry.constraint!r}")
    return {"utc": [f"{start:%H:%M}-{end:%H:%M}"]} | _block(entry.prices)


def _variants(variants: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for variant in variants:
        block = _block(variant.prices)
        if block["rates"] and variant.when.keys() <= CONDITIONS:
            when = {key: [value] for key, value in variant.when.items()}
            yield {"when": when, "partial": True} | _dated(variant.constraint) | block


def number(value: Decimal) -> int | float | str:
    """Return the shortest JSON value that reads back as the same decimal."""
    if value == value.to_integral_value():
        return int(value)
    short = float(value)
    return short if Decimal(repr(short)) == value else str(value)


def render(data: Mapping[str, Any]) -> str:
    """Write the table as JSON with one model a line, so that a refresh can be read as a diff."""
    providers = []
    for provider in data["providers"]:
        head = {key: value for key, value in provider.items() if key != "models"}
        models = ",\n".join(json.dumps(m, separators=(",", ":")) for m in provider["models"])
        providers.append(f'{json.dumps(head)[:-1]}, "models": [\n{models}\n]}}')
    return f'{{"version": "{data["version"]}", "providers": [\n' + ",\n".join(providers) + "\n]}\n"
