"""How a price is found: provider, spelling, date, window, variant, region, factor."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from processors.llm_cost.book import Book, Identity, Miss, Offer
from processors.llm_cost.catalog import DAY, SECOND, moment, price_of
from processors.llm_cost.offers import KEPT, Offers
from processors.llm_cost.usage import Usage
from tests.processors.llm_cost.calls import nanoseconds, overlay

NOON = nanoseconds("2026-11-20T12:00:00Z")
ONE_MILLION = Usage(input=1_000_000, output=0)


def book(*models: str, providers: str = "", base: str = "none", defaults: str = "{}") -> Book:
    lines = "\n".join(f"  - {model}" for model in models)
    return Book(
        overlay(
            f"schema: 1\ncatalog: {{id: test, base: {base}}}\ndefaults: {defaults}\n"
            f"providers: [{providers}]\nmodels:\n{lines or '  []'}\n"
        )
    )


def find(prices: Book, provider: str, model: str, at: int = NOON, **context: str) -> Offer:
    found = prices.resolve(Identity(provider, "", model, **context), at)
    assert isinstance(found, Offer), found
    return found


def usd(offer: Offer, used: Usage = ONE_MILLION) -> Decimal:
    atto = offer.tariff(used.total_input).cost(used)
    assert atto is not None
    return Decimal(atto).scaleb(-18)


def test_exact_names_win_over_patterns_and_patterns_hold_in_file_order() -> None:
    prices = book(
        '{provider: acme, match: {glob: "m-*"}, prices: [{rates: {input: 1}}]}',
        '{provider: acme, match: {regex: "m-.?"}, prices: [{rates: {input: 2}}]}',
        "{provider: acme, match: {exact: m-1}, prices: [{rates: {input: 3}}]}",
    )
    assert usd(find(prices, "acme", "m-1")) == 3
    assert usd(find(prices, "acme", "m-2")) == 1
    assert find(prices, "acme", "m-2").entry == "acme/m-2"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("a.b*", "a.bc", True),
        ("a.b*", "axbc", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[a]", "[a]", True),
        ("MIXED*", "mixed-case", True),
    ],
)
def test_globs_know_star_and_question_mark_alone(pattern: str, name: str, matches: bool) -> None:
    prices = book(
        f'{{provider: acme, match: {{glob: "{pattern}"}}, prices: [{{rates: {{input: 1}}}}]}}'
    )
    found = prices.resolve(Identity("acme", "", name), NOON)
    assert isinstance(found, Offer) is matches


@pytest.mark.parametrize(
    ("text", "days", "moments"),
    [
        # 2026-11-20 is a Friday
        ("22:00-02:00", "[fri]", {"20T21:59:59": 1, "20T22:00:00": 2, "21T01:59:59": 2, "21T02:00:00": 1}),
        ("22:00-02:00", "[sat]", {"20T23:00:00": 1, "21T01:00:00": 1, "21T22:00:00": 2, "22T01:00:00": 2}),
        ("00:00-24:00", "[fri]", {"19T23:59:59": 1, "20T00:00:00": 2, "20T23:59:59": 2, "21T00:00:00": 1}),
        ("06:00-10:00", "[mon, fri]", {"20T06:00:00": 2, "20T10:00:00": 1, "23T07:00:00": 2}),
    ],
)  # fmt: skip
def test_a_window_holds_on_the_days_on_which_it_begins(
    text: str, days: str, moments: dict[str, int]
) -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1},"
        f' windows: [{{utc: ["{text}"], days: {days}, multiplier: 2}}]}}]}}'
    )
    offers = Offers(prices, lambda miss: None)
    for when, expected in moments.items():
        at = nanoseconds(f"2026-11-{when}Z")
        direct = find(prices, "acme", "m", at)
        assert usd(direct) == expected, when
        assert (direct.variant == f"window={text}") == (expected == 2)
        assert direct.start <= at < direct.end
        remembered = offers.find(Identity("acme", "", "m"), at)
        assert isinstance(remembered, Offer)
        assert usd(remembered) == expected, when


def test_an_offer_holds_as_long_as_it_says() -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1}},"
        " {from: 2026-03-01, until: 2026-04-01, rates: {input: 2}},"
        ' {from: 2026-05-01, rates: {input: 3}, windows: [{utc: ["01:00-02:00", "23:00-00:30"], multiplier: 2}]}]}'
    )
    offers = Offers(prices, lambda miss: None)
    start = moment("2026-02-27")
    for step in range(70 * 96):
        at = start + step * 900 * SECOND + 1
        remembered = offers.find(Identity("acme", "", "m"), at)
        assert isinstance(remembered, Offer)
        assert usd(remembered) == usd(find(prices, "acme", "m", at)), at


def test_a_window_with_rates_of_its_own_has_tiers_of_its_own() -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1}, tiers: [{above: 10, rates: {input: 5}}],"
        ' windows: [{utc: ["10:00-14:00"], rates: {input: 2}, tiers: [{above: 100, rates: {input: 7}}]}]}]}'
    )
    offer = find(prices, "acme", "m")
    assert [t.above for t in offer.tariffs] == [-1, 100]
    assert usd(offer) == 7
    assert usd(offer, Usage(input=100)) == Decimal("0.0002")


def test_a_variant_with_rates_replaces_the_window() -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1},"
        ' windows: [{utc: ["10:00-14:00"], multiplier: 2}],'
        " variants: [{when: {service_tier: [Flex], processing: [batch]}, rates: {input: 0.5}},"
        "            {when: {service_tier: [flex, cheap]}, multiplier: 0.5}]}]}"
    )
    both = find(prices, "acme", "m", service_tier="flex", processing="batch")
    assert (usd(both), both.variant) == (Decimal("0.5"), "processing=batch,service_tier=flex")
    one = find(prices, "acme", "m", service_tier="cheap")
    assert (usd(one), one.variant) == (1, "window=10:00-14:00,service_tier=cheap")
    assert one.unpriced == ()
    assert find(prices, "acme", "m", service_tier="priority", speed="normal").unpriced == (
        "service_tier",
    )


def test_factors_multiply_and_are_those_of_the_spans_own_provider() -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1}, fees: {request: 0.5}}]}",
        "{provider: shop, match: mine, same_as: acme/m, multiplier: 0.8}",
        "{provider: shop, match: other, same_as: shop/mine, multiplier: 0.5}",
        providers="{id: acme, multiplier: 10, regions: {eu: 3}},"
        " {id: shop, multiplier: 2, regions: {eu: 1.1, us: 9}, regions_models: [m]}",
    )
    offer = find(prices, "shop", "other", region="eu")
    assert usd(offer) == Decimal("0.8") * Decimal("0.5") * 2 * Decimal("1.1") + Decimal("0.5")
    assert (offer.entry, offer.source, offer.variant) == ("acme/m", "overlay", "region=eu")
    assert [why for why, _ in offer.factors] == ["region", "model", "provider"]
    assert usd(find(prices, "acme", "m", region="eu")) == Decimal("30.5")


def test_a_region_that_a_variant_prices_is_said_once() -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1}, variants: [{when: {region: [eu]}, multiplier: 2}]}]}",
        providers="{id: acme, regions: {eu: 3}}",
    )
    offer = find(prices, "acme", "m", region="eu")
    assert (usd(offer), offer.variant) == (6, "region=eu")


def test_an_alias_of_a_base_price_is_an_own_price() -> None:
    prices = book(
        "{provider: azure, match: mine, same_as: openai/gpt-4o, multiplier: 0.5}",
        base="genai-prices",
    )
    offer = find(prices, "azure", "mine")
    assert (offer.source, offer.entry) == ("overlay", "openai/gpt-4o")
    assert usd(offer) == Decimal("1.25")
    assert offer.version.startswith("test+sha256:")


def test_own_prices_reach_other_names_of_the_same_base_model() -> None:
    prices = book(
        "{provider: openai, match: gpt-4o, prices: [{from: 2026-06-01, rates: {input: 9}}]}",
        base="genai-prices",
    )
    assert find(prices, "openai", "gpt-4o-2024-08-06").match == "base_id"
    before = find(prices, "openai", "gpt-4o-2024-08-06", moment("2026-01-01"))
    assert (before.match, before.source) == ("exact", "base")
    assert find(prices, "openai", "gpt-4o-2024-05-13").source == "base"
    asked = prices.resolve(Identity("openai", "served-by-shard-7", "gpt-4o-2024-08-06"), NOON)
    assert isinstance(asked, Offer)
    assert asked.match == "request.base_id"


def test_an_alias_costs_what_a_call_of_its_target_costs() -> None:
    own = "{provider: openai, match: gpt-4o, prices: [{rates: {input: 9}}]}"
    again = "{provider: openai, match: mine, same_as: openai/gpt-4o-2024-08-06}"
    inherited = "{provider: openai, match: shopped, same_as: shop/gpt-4o}"
    shop = "{id: shop, inherit: [openai]}"
    prices = book(own, again, inherited, providers=shop, base="genai-prices")
    for alias in ("mine", "shopped"):
        assert usd(find(prices, "openai", alias)) == 9


def test_an_alias_of_another_name_of_its_own_model_has_the_base_price() -> None:
    itself = "{provider: openai, match: gpt-4o, same_as: openai/gpt-4o-2024-08-06, multiplier: 0.5}"
    prices = book(itself, base="genai-prices")
    assert usd(find(prices, "openai", "gpt-4o")) == Decimal("1.25")


def test_a_base_model_is_known_by_its_id_too() -> None:
    prices = book(
        "{provider: aws, match: mine, same_as: aws/regional.anthropic.claude-opus-5}",
        base="genai-prices",
    )
    found = find(prices, "fireworks", "gpt-oss-120b")
    assert (found.entry, found.match) == ("fireworks/gpt-oss-120b", "exact")
    assert find(prices, "aws", "mine").entry == "aws/regional.anthropic.claude-opus-5"


def test_variants_of_the_base_data_are_the_vendors_not_the_resellers() -> None:
    prices = Book(None)
    assert (
        find(prices, "openai", "gpt-5", service_tier="priority").variant == "service_tier=priority"
    )
    resold = find(prices, "azure", "gpt-5", service_tier="priority")
    assert (resold.variant, resold.unpriced) == ("", ("service_tier",))


def test_inherited_providers_are_looked_up_with_their_patterns_and_base_models() -> None:
    prices = book(
        '{provider: acme, match: {glob: "big-*"}, prices: [{rates: {input: 1}}]}',
        providers="{id: shop, inherit: [acme, openai]}",
        base="genai-prices",
    )
    assert find(prices, "shop", "big-1").match == "pattern"
    assert find(prices, "shop", "acme/big-1").match == "provider_prefix"
    assert find(prices, "shop", "gpt-4o").entry == "openai/gpt-4o"


def test_a_provider_may_be_inherited_by_an_alias_that_is_stated_later() -> None:
    prices = book(
        "{provider: corp, match: big, prices: [{rates: {input: 1}}]}",
        providers='{id: shop, inherit: ["Corp X"]}, {id: corp, aliases: [corp x]}',
    )
    assert find(prices, "shop", "big").entry == "corp/big"


def test_a_price_at_a_gateway_everybody_knows_makes_it_no_vendor() -> None:
    prices = book(
        "{provider: litellm, match: team-alias, prices: [{rates: {input: 7}}]}",
        base="genai-prices",
    )
    assert find(prices, "litellm", "team-alias").entry == "litellm/team-alias"
    assert find(prices, "litellm", "openai/gpt-4o").entry == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("identity", "provider"),
    [
        (Identity("openai", "", "x", host="api.groq.com"), "groq"),
        (Identity("openai", "", "x", host="my.openai.azure.com"), "azure"),
        (Identity("openai", "", "x", host="proxy.corp"), "openai"),
        (Identity("openai", "", "x", host="api.fireworks.ai"), "fireworks"),
        (Identity("anthropic", "", "x", host="api.groq.com"), "anthropic"),
        (Identity("", "", "x", host="api.anthropic.com"), "anthropic"),
        (Identity("", "", "mistral/x"), "mistral"),
        (Identity("litellm", "bedrock/x", "openai/x"), "aws"),
        (Identity("langchain", "", "x"), None),
        (Identity("", "", "nobody/x"), None),
        (Identity("nimbus", "", "openai/x"), None),
        (Identity("corp gateway", "", "openai/x"), "openai"),
        (Identity("gw", "", "x", host="api.x.ai"), "x-ai"),
        (Identity("gw", "", "x"), None),
        (Identity("gw2", "", "own"), "gw2"),
        (Identity("gpt@azure", "", "x"), None),
    ],
)
def test_who_bills_a_call(identity: Identity, provider: str | None) -> None:
    prices = book(
        "{provider: gw2, match: own, prices: [{rates: {input: 1}}]}",
        providers='{id: gw, aliases: ["Corp Gateway"], gateway: true}, {id: gw2, gateway: true}',
        base="genai-prices",
    )
    found = prices.resolve(identity, NOON)
    if provider is None:
        assert isinstance(found, Miss)
        assert found.reason == "unknown_provider"
    else:
        assert found.provider == provider


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ("azure.ai.inference", "azure"), ("azure.ai.openai", "azure"), ("aws.bedrock", "aws"), ("cohere", "cohere"),
        ("deepseek", "deepseek"), ("gcp.gemini", "google"), ("gcp.gen_ai", "google"), ("gcp.vertex_ai", "google"),
        ("groq", "groq"), ("mistral_ai", "mistral"), ("moonshot_ai", "moonshotai"), ("openai", "openai"),
        ("perplexity", "perplexity"), ("x_ai", "x-ai"), ("anthropic", "anthropic"), ("zai", "zai"),
    ],
)  # fmt: skip
def test_every_provider_value_of_the_convention_that_bills_is_known(value: str, id: str) -> None:
    assert Book(None).resolve(Identity(value, "", "x"), NOON).provider == id


def test_a_default_is_for_what_nothing_else_prices() -> None:
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1}}]}",
        providers="{id: acme, models_default: {from: 2026-01-01, rates: {input: 0}}}",
    )
    assert find(prices, "acme", "m-2026-01-01").match == "undated"
    other = find(prices, "acme", "other")
    assert (other.match, other.entry, usd(other)) == ("provider_default", "acme/*", 0)
    missing = prices.resolve(Identity("acme", "", "other"), moment("2025-01-01"))
    assert isinstance(missing, Miss)
    assert missing.reason == "no_rate"


def test_free_models_are_free_and_models_without_a_price_have_none() -> None:
    prices = Book(None)
    free = next(e.name for e in prices.base.entries() if e.name.endswith(":free"))
    provider, _, model = free.partition("/")
    assert usd(find(prices, provider, model)) == 0
    bare = next(e for e in prices.base.entries() if not e.prices)
    provider, _, model = bare.name.partition("/")
    missing = prices.resolve(Identity(provider, "", model.lower()), NOON)
    assert isinstance(missing, Miss)
    assert missing.reason == "no_rate"


def test_a_name_longer_than_any_model_is_unknown() -> None:
    prices = book('{provider: acme, match: {glob: "*"}, prices: [{rates: {input: 1}}]}')
    assert isinstance(prices.resolve(Identity("acme", "", "m" * 256), NOON), Offer)
    assert isinstance(prices.resolve(Identity("acme", "", "m" * 257), NOON), Miss)


def test_azure_prefers_the_deployment_entry_then_the_served_model() -> None:
    prices = book(
        "{provider: openai, match: gpt-4, prices: [{rates: {input: 30}}]}",
        "{provider: openai, match: gpt-4-turbo, prices: [{rates: {input: 10}}]}",
        "{provider: azure, match: chat, prices: [{rates: {input: 7}}]}",
        '{provider: azure, match: {glob: "team-*"}, prices: [{rates: {input: 8}}]}',
        providers="{id: azure, inherit: [openai]}",
    )

    def cost(request: str, response: str) -> Any:
        found = prices.resolve(Identity("azure", response, request), NOON)
        assert isinstance(found, Offer)
        return usd(found), found.match

    assert cost("chat", "gpt-4") == (7, "exact")
    assert cost("team-a", "gpt-4") == (8, "pattern")
    assert cost("gpt-4", "gpt-4-turbo") == (10, "exact")
    assert cost("gpt-4", "") == (30, "exact")


def test_what_is_remembered_is_bounded() -> None:
    told: list[Miss] = []
    offers = Offers(book(), told.append)
    for n in range(KEPT + 5):
        offers.find(Identity("nobody", "", f"model-{n}"), NOON)
    assert len(offers._known) <= KEPT
    assert len(told) == 1_000
    prices = book(
        "{provider: acme, match: m, prices: [{rates: {input: 1}, windows: [{utc: ['01:00-02:00'], multiplier: 2}]}]}"
    )
    offers = Offers(prices, told.append)
    for n in range(50):
        offers.find(Identity("acme", "", "m"), n * DAY)
    assert len(offers._known[Identity("acme", "", "m")]) == 8


def test_lists_say_their_version_and_newest_price() -> None:
    prices = book("{provider: acme, match: m, prices: [{rates: {input: 1}}, {from: 2026-02-01, rates: {input: 1}}]}",
                  base="genai-prices")  # fmt: skip
    (base, base_version, newest), (own, own_version, own_newest) = prices.lists()
    assert (base, own) == ("base", "overlay")
    assert base_version.startswith("genai-prices/0.2.")
    assert own_version.startswith("test+sha256:")
    assert newest > moment("2026-10-01")
    assert own_newest == moment("2026-02-01")
    assert prices.overlay.version != book().overlay.version


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("2026-02-01", 1_769_904_000 * SECOND),
        ("2026-02-01T06:30Z", (1_769_904_000 + 23_400) * SECOND),
        ("2026-02-01T06:30:05Z", (1_769_904_000 + 23_405) * SECOND),
    ],
)
def test_dates_are_utc(written: str, ns: int) -> None:
    assert moment(written) == ns
    assert price_of({"from": written, "rates": {"input": 1}}).stated == written
