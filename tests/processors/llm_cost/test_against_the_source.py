"""Base prices against the package they come from, model by model, in Decimal: no difference is allowed.

The package prices a usage by splitting it into units that do not overlap, which is another algorithm than ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from random import Random
from typing import Any

import genai_prices.types as source
import pytest
from genai_prices.data_snapshot import get_snapshot

from processors.llm_cost import base, genai_data
from processors.llm_cost.book import Book, Identity, Offer
from processors.llm_cost.catalog import SECOND
from processors.llm_cost.money import ATTO
from processors.llm_cost.usage import Usage

PROVIDERS = {provider.id: provider for provider in get_snapshot().providers}
CONTEXTS: list[dict[str, str]] = [
    {},
    {},
    {"processing": "batch"},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"speed": "fast"},
    {"service_tier": "priority", "processing": "batch"},
]
PRICED_BY_US = set(genai_data.RATES) | set(genai_data.FEES)


@cache
def book() -> Book:
    return Book(None)


def usage(random: Random) -> Usage:
    """Return a usage whose parts fit."""
    reads, writes = random.choice([(0, 0), (70_001, 0), (5, 1_253), (150_000, 90_000)])
    audio = 0 if reads or writes else random.choice([0, 0, 800])
    fresh = random.choice([0, 1, 999, 127_999, 199_999, 272_000, 600_000]) + audio
    output = random.choice([0, 1, 500, 64_000])
    return Usage(
        input=fresh + reads + writes,
        output=output,
        cache_read=reads,
        cache_write=writes,
        cache_write_1h=random.choice([0, writes, writes // 3]),
        reasoning=random.choice([0, output // 2]),
        audio_in=audio,
        web_searches=random.choice([0, 0, 3]),
    )


def theirs(
    model: Any, provider: Any, used: Usage, at: datetime, context: dict[str, str]
) -> Decimal:
    units = {
        "input_tokens": used.input,
        "output_tokens": used.output,
        "cache_read_tokens": used.cache_read,
        "cache_write_tokens": used.cache_write,
        "cache_write_1h_tokens": used.cache_write_1h,
        "output_reasoning_tokens": used.reasoning,
        "input_audio_tokens": used.audio_in,
        "web_searches": used.web_searches,
    }
    total = model.calc_price(
        source.Usage(**units), provider, genai_request_timestamp=at, price_context=context or None
    ).total_price
    assert isinstance(total, Decimal)
    return total


def can_price(model: Any, at: datetime, used: Usage) -> bool:
    """Say whether the package has token rates for what was used; it takes 0 for what it has not, we say so."""
    rates = {k for k, v in vars(model.get_prices(at)).items() if v is not None}
    return (
        rates <= PRICED_BY_US
        and ("input_mtok" in rates or not used.input)
        and ("output_mtok" in rates or not used.output)
    )


def has_thirds(model: Any, at: datetime) -> bool:
    """Say whether a rate is finer than an attoUSD per token."""
    rates = [getattr(v, "base", v) for v in vars(model.get_prices(at)).values() if v is not None]
    return any(rate != round(rate, 12) for rate in rates)


def samples(provider: Any) -> Iterator[tuple[Any, Usage, datetime, dict[str, str]]]:
    random = Random(provider.id)
    for model in provider.models:
        for _ in range(3):
            days = random.choice([0, 500, 900, 1100, 1380])
            at = datetime(2023, 2, 1, tzinfo=UTC) + timedelta(
                days=days, seconds=random.randrange(86_400)
            )
            context = random.choice(CONTEXTS) if model.price_variants else {}
            yield model, usage(random), at, context


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.id)
def test_every_model_costs_what_the_package_says(provider: Any) -> None:
    differences = []
    for model, used, at, context in samples(provider):
        found = book().base.providers[provider.id].find(model.id.lower())
        if found is None or not can_price(model, at, used):
            continue
        at_ns = int(at.timestamp()) * SECOND
        offer = book().resolve(Identity(provider.id, "", model.id.lower(), **context), at_ns)
        assert isinstance(offer, Offer), (model.id, offer)
        ours = offer.tariff(used.total_input).cost(used)
        wanted = theirs(model, provider, used, at, context) * ATTO
        assert ours is not None
        # rates that are no whole attoUSD (the thirds of a few vendors) are rounded once, by half a one at most
        slack = sum(used.leaves()) if has_thirds(model, at) else 0
        if abs(ours - wanted) > slack:
            differences.append((model.id, used, at, context, ours, wanted))
    assert differences == []


def names_of(clause: Any) -> Iterator[str]:
    """Yield names that a matching rule knows, or nearly."""
    for value in vars(clause).values():
        if isinstance(value, str):
            yield value.lower()
            yield f"{value.lower()}-2026"
            yield f"x{value.lower()}"
        else:
            for inner in value:
                yield from names_of(inner)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.id)
def test_names_find_the_model_that_the_package_finds(provider: Any) -> None:
    ours = book().base.providers[provider.id]
    differences = []
    for model in provider.models:
        for name in names_of(model.match):
            wanted = provider._match_model(name)
            found = ours.find(name)
            if (found and found.model) != (wanted and wanted.id):
                differences.append((name, found, wanted and wanted.id))
    assert differences == []


def test_the_committed_table_is_that_of_its_release() -> None:
    committed = (base.files(base.__package__) / "base_prices.json").read_text("utf-8")  # type: ignore[attr-defined]
    table = genai_data.table()
    if json.loads(committed)["version"] != version("genai-prices"):
        assert len(base.Base(table).providers) >= 40  # another release of the line loads wholly
        return
    assert genai_data.render(table) == committed


@pytest.mark.parametrize(
    ("installed", "newer"),
    [("0.2.3", False), ("0.2.2", False), ("0.2.10", True), ("0.3.0", False), (None, False)],
)
def test_a_newer_release_of_the_line_is_used_where_it_is_installed(
    installed: str | None, newer: bool
) -> None:
    assert base.is_newer(installed, "0.2.3") is newer
