"""Every mistake in a price list is told with its place, and how to write what was meant."""

from __future__ import annotations

import re

import pytest

from collector.errors import ConfigError
from processors.llm_cost import check
from processors.llm_cost.base import base_of
from processors.llm_cost.catalog import DAY, moment
from processors.llm_cost.doubts import doubts
from processors.llm_cost.overlay import Overlay
from processors.ports import Context
from tests.processors.llm_cost.calls import overlay, settings

HEAD = "schema: 1\ncatalog: {id: test, base: none}\n"


def told(text: str) -> list[tuple[str, str, bool]]:
    found = check({"pricing": overlay(HEAD + text)}, Context(id="llm_cost"))
    return [(one.path.removeprefix("pricing."), one.text, one.warning) for one in found]


def price(rest: str) -> str:
    return f"models: [{{provider: a, match: m, prices: [{{{rest}}}]}}]"


@pytest.mark.parametrize(
    ("text", "path", "sentence"),
    [
        ("providers: [{id: a}, {id: A}]", "providers[1].id", "every provider name once, got 'A' again"),
        ("providers: [{id: a}, {id: b, aliases: [x, a]}]",
         "providers[1].aliases[1]", "first at pricing.providers[0].id"),
        ("providers: [{id: a, inherit: [opnai]}]", "providers[0].inherit[0]", "a provider that is known, got 'opnai'"),
        ("providers: [{id: a, models_default: {from: 2026-02-30, rates: {input: 1}}}]",
         "providers[0].models_default.from", "a date of the calendar, got 2026-02-30"),
        ("models: [{provider: openai, match: [x, y], prices: [{rates: {input: 1}}]},"
         " {provider: openai_chat, match: [z, X], prices: [{rates: {input: 1}}]}]",
         "models[1].match", "got 'X' again, first at pricing.models[0]"),
        ("providers: [{id: corp, aliases: [Corp X]}]\n"
         "models: [{provider: corp, match: x, prices: [{rates: {input: 1}}]},"
         " {provider: corp x, match: x, prices: [{rates: {input: 1}}]}]",
         "models[1].match", "got 'x' again, first at pricing.models[0]"),
        ("models: [{provider: a, match: {regex: '('}, prices: [{rates: {input: 1}}]}]",
         "models[0].match", "an RE2 expression, got '('"),
        ("models: [{provider: a, match: {regex: '(?=x)'}, prices: [{rates: {input: 1}}]}]",
         "models[0].match", "an RE2 expression"),
        (price("rates: {input: 1}}, {rates: {input: 2}"), "models[0].prices[1]", "from in every price but the first"),
        (price("from: 2026-02-01, rates: {input: 1}}, {from: 2026-01-01, rates: {input: 2}"),
         "models[0].prices[1].from", "prices in order of from, got 2026-01-01"),
        (price("from: 2026-02-01, until: 2026-02-01, rates: {input: 1}"),
         "models[0].prices[0].until", "until after from (2026-02-01)"),
        (price("rates: {input: 1}, tiers: [{above: 5, rates: {input: 2}}, {above: 5, rates: {input: 3}}]"),
         "models[0].prices[0].tiers[1].above", "ascending order, got 5 behind 5"),
        (price("rates: {input: 1, cache_read: 1}, tiers: [{above: 5, rates: {input: 2}}]"),
         "models[0].prices[0].tiers[0].rates", "got none for cache_read; multiplier changes all of them"),
        (price("rates: {input: 1, output: 1}, variants: [{when: {speed: [fast]}, rates: {input: 2}}]"),
         "models[0].prices[0].variants[0].rates", "got none for output"),
        (price("rates: {input: 1}, windows: [{utc: ['01:00-02:00'], rates: {input: 2},"
               " tiers: [{above: 1, rates: {output: 2}}]}]"),
         "models[0].prices[0].windows[0].tiers[0].rates", "got none for input"),
        (price("rates: {input: 1}, windows: [{utc: ['01:00-02:00', '03:00-03:00'], multiplier: 2}]"),
         "models[0].prices[0].windows[0].utc[1]", "an end that differs from the start"),
        (price("rates: {input: .nan}"), "models[0].prices[0].rates.input", "a finite number, got nan"),
        ("models: [{provider: a, match: m, same_as: b/x, prices: [{rates: {input: 1}}]}]",
         "models[0].prices", "expected same_as or prices, got both"),
        (price("rates: {input: 1}, variants: [{when: {speed: [fast]}, multiplier: 2, rates: {input: 2}}]"),
         "models[0].prices[0].variants[0].rates", "expected multiplier or rates, got both"),
        (price("rates: {input: 1}, windows: [{utc: ['01:00-02:00'], multiplier: 2,"
               " tiers: [{above: 1, rates: {input: 2}}]}]"),
         "models[0].prices[0].windows[0].tiers", "expected multiplier or tiers, got both"),
        ("models: [{provider: a, match: m, same_as: b/x}]", "models[0].same_as", "which nothing prices"),
        ("models: [{provider: a, match: m, same_as: a/m}]", "models[0].same_as", "got a/m; write prices for one"),
        ("models: [{provider: a, match: m, same_as: a/n}, {provider: a, match: n, same_as: a/m}]",
         "models[1].same_as", "got a/n -> a/m"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, path: str, sentence: str) -> None:
    errors = [(where, what) for where, what, warning in told(text) if not warning]
    assert errors[0][0] == path
    assert sentence in errors[0][1]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (HEAD + price('rates: {input: "1,5"}'), "write a number of at least 0, such as 2.5"),
        (HEAD + price("rates: {input: $1.50}"), "write a number of at least 0"),
        (HEAD + price('rates: {input: "1e400"}'), "write a number of at least 0"),
        (HEAD + price("rates: {input: 1.0e+300}"), "expected at most 1000000000000, got"),
        (HEAD + price("from: 20-11-2026, rates: {input: 1}"), "write a day in UTC, such as 2026-11-20"),
        (HEAD + price("rates: {input: 1}, windows: [{utc: ['1:00-2:00'], multiplier: 2}]"),
         "write hours and minutes in UTC, such as 09:00-17:30"),
        (HEAD + price("rates: {input: 1}, windows: [{utc: ['01:00-02:00']}]"), "by a multiplier or by rates"),
        (HEAD + "models: [{provider: a, match: m, same_as: gpt-4o}]", "write provider/model, such as openai/gpt-4o"),
        (HEAD + "models: [{provider: a, match: m}]", "a model needs its prices, or same_as"),
        ("catalog: {id: a}", "write schema: 1"),
        ("schema: 1", "write catalog: {id: ...}"),
    ],
)  # fmt: skip
def test_what_has_the_wrong_shape_is_told_how_to_write(text: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(advice)):
        settings(text)


def test_all_mistakes_are_told_at_once() -> None:
    text = "models: [{provider: a, match: m, same_as: b/x}, {provider: a, match: n, same_as: b/y}]"
    assert [path for path, _, _ in told(text)] == ["models[0].same_as", "models[1].same_as"]


def chain(length: int, step: int) -> str:
    rows = [f"{{provider: a, match: m{n}, same_as: a/m{n + 1}}}" for n in range(length)]
    rows += [f"{{provider: a, match: m{length}, prices: [{{rates: {{input: 1}}}}]}}"]
    return f"models: [{', '.join(rows[::step])}]"


@pytest.mark.parametrize("step", [1, -1], ids=["from_the_alias", "from_the_price"])
def test_same_as_may_follow_four_times_in_any_order(step: int) -> None:
    assert told(chain(4, step)) == []
    assert told(chain(5, step)) != []


def test_rates_finer_than_an_attodollar_are_rounded_with_a_warning() -> None:
    assert told(price("rates: {input: 0.083333333333, output: '3e-12'}")) == []
    ((path, text, warning),) = told(price("rates: {input: 0.0833333333333, output: 1}"))
    assert (path, warning) == ("models[0].prices[0].rates.input", True)
    assert "rounded half-even" in text


def test_overlapping_prices_are_legal() -> None:
    assert (
        told(price("rates: {input: 1}}, {from: 2026-01-01, until: 2026-02-01, rates: {input: 2}"))
        == []
    )
    promotion = "from: 2026-01-01, rates: {input: 2}}, {from: 2026-01-01, until: 2026-02-01, rates: {input: 1}"
    assert told(price(promotion)) == []


NOW = moment("2026-11-20")


def doubted(text: str, base: str = "genai-prices") -> list[tuple[str, str]]:
    pricing = overlay(f"schema: 1\ncatalog: {{id: test, base: {base}}}\n{text}")
    known = base_of(pricing)
    compiled = Overlay(pricing, known)
    assert list(compiled.resolve()) == []
    return [(one.path.removeprefix("pricing."), one.text) for one in doubts(compiled, known, NOW)]


@pytest.mark.parametrize(
    ("text", "path", "sentence"),
    [
        ("models: [{provider: a, match: {glob: 'x*'}, prices: [{rates: {input: 1}}]},"
         " {provider: a, match: [y, {glob: 'xy*'}], prices: [{rates: {input: 1}}]}]",
         "models[1].match", "'xy*' is never reached: pricing.models[0].match comes first"),
        ("models: [{provider: a, match: {regex: 'x.*'}, prices: [{rates: {input: 1}}]},"
         " {provider: a, match: {regex: 'xy\\..*'}, prices: [{rates: {input: 1}}]}]",
         "models[1].match", "never reached"),
        (price("until: 2026-01-01, rates: {input: 1}"), "models[0].prices", "every price is over"),
        (price("until: 2026-01-01, rates: {input: 1}}, {from: 2020-01-01, rates: {input: 1}"), None, ""),
        (price("from: 2026-01-01, until: 2026-02-01, rates: {input: 1}},"
               " {from: 2026-01-02, rates: {input: 1}"), None, ""),
        (price("from: 2026-01-02, until: 2026-02-01, rates: {input: 1}}, {from: 2026-01-02, rates: {input: 1}"),
         "models[0].prices[0]", "is never used"),
        (price("rates: {input: 1, output: 2, cache_read: 1.5}"), "models[0].prices", "cache dearer than plain input"),
        (price("rates: {input: 5, output: 2}"), "models[0].prices", "input dearer than output: input 5, output 2"),
        ("models: [{provider: openai, match: gpt-4o, prices: [{rates: {input: 0.0025, output: 0.01}}]}]",
         "models[0].prices", "the base price 2.5: is it in another unit?"),
        ("models: [{provider: openai, match: gpt-4o, prices: [{rates: {input: 2, output: 8}}]}]", None, ""),
        ("models: [{provider: azure, match: x, same_as: openai/gpt-4o, multiplier: 85}]",
         "models[0].multiplier", "85 times the price"),
        ("providers: [{id: gw, gateway: true, models_default: {rates: {input: 0}}}]",
         "providers[0].models_default", "a gateway names no vendor"),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_told(text: str, path: str | None, sentence: str) -> None:
    found = doubted(text)
    if path is None:
        assert found == []
    else:
        assert found[0][0] == path
        assert sentence in found[0][1]


def test_a_glob_that_takes_more_is_not_shadowed() -> None:
    text = (
        "models: [{provider: a, match: {glob: 'x?'}, prices: [{rates: {input: 1}}]},"
        " {provider: a, match: {glob: 'x*'}, prices: [{rates: {input: 1}}]},"
        " {provider: b, match: {glob: 'x1'}, prices: [{rates: {input: 1}}]}]"
    )
    assert doubted(text) == []


def test_prices_are_over_when_their_end_is_reached() -> None:
    assert moment("2026-11-20") - moment("2026-11-19") == DAY
    assert doubted(price("until: 2026-11-21, rates: {input: 1}")) == []
    assert doubted(price("until: 2026-11-20, rates: {input: 1}")) != []
