"""What holds for every usage and every price list."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.llm_cost import money
from processors.llm_cost.book import Book, Identity, Offer
from processors.llm_cost.reader import COUNTS
from processors.llm_cost.tariff import LINES, Tariff, compile_tariff
from processors.llm_cost.usage import LEAVES, Usage, settle
from tests.processors.llm_cost.calls import CALL, llm_cost, priced

AT = 1_795_000_000 * 10**9
RATE_NAMES = sorted({name for line in LINES.values() for name in line})

tokens = st.one_of(st.integers(0, 50), st.integers(0, 3_000_000))
rates = st.dictionaries(
    st.sampled_from(RATE_NAMES),
    st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False),
    min_size=1,
)
fees = st.dictionaries(
    st.sampled_from(["request", "web_search", "image"]),
    st.decimals(0, 1, places=4, allow_nan=False, allow_infinity=False),
)
factors = st.lists(st.sampled_from([Decimal("0.5"), Decimal("1.1"), Decimal("0.85")]), max_size=3)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw usages whose parts fit, most of the time."""
    parts = {name: draw(tokens) if draw(st.booleans()) else 0 for name in LEAVES}
    heard = parts["cache_audio_read"]
    reads, writes = parts["cache_read"] + heard, parts["cache_write"] + parts["cache_write_1h"]
    spoken = parts["audio_in"] + heard
    return Usage(
        input=parts["input"] + reads + writes + parts["audio_in"] + parts["image_in"],
        output=sum(parts[name] for name in ("output", "reasoning", "audio_out", "image_out")),
        cache_read=reads,
        cache_write=writes,
        cache_write_1h=parts["cache_write_1h"],
        reasoning=parts["reasoning"],
        audio_in=spoken,
        audio_out=parts["audio_out"],
        cache_audio_read=heard,
        image_in=parts["image_in"],
        image_out=parts["image_out"],
        compaction_in=parts["compaction_in"],
        compaction_out=parts["compaction_out"],
        web_searches=draw(st.integers(0, 5)),
        images=draw(st.integers(0, 5)),
    )


@settings(max_examples=200, deadline=None)
@given(used=usages(), stated=rates, charged=fees, by=factors)
def test_the_bill_is_the_exact_sum_and_its_parts_add_up(
    used: Usage, stated: dict[str, Decimal], charged: dict[str, Decimal], by: list[Decimal]
) -> None:
    tariff = compile_tariff(-1, stated, charged, by)
    leaves = dict(zip(LEAVES, used.leaves(), strict=True))
    expected: Decimal | None = Decimal(0)
    for leaf, amount in leaves.items():
        rate = next((stated[name] for name in LINES[leaf] if name in stated), None)
        if amount and rate is None:
            expected = None
            break
        atto = (money.times(rate or Decimal(0), *by) * 10**12).to_integral_value(ROUND_HALF_EVEN)
        expected += amount * atto
    if expected is not None:
        pieces = {"request": 1, "web_search": used.web_searches, "image": used.images}
        expected += sum(fee * 10**18 * pieces[name] for name, fee in charged.items())
    cost = tariff.cost(used)
    assert cost == expected
    if cost is not None:
        assert cost >= 0
        assert sum(line.atto for line in tariff.lines(used)) == cost
        assert sum(tariff.parts(used).values()) == cost


@settings(max_examples=200, deadline=None)
@given(used=usages())
def test_settled_leaves_add_up_to_the_totals(used: Usage) -> None:
    settled = settle(used)
    assert isinstance(settled, Usage)
    leaves = settled.leaves()
    assert min(leaves) >= 0
    outside = settled.compaction_in + settled.compaction_out
    assert sum(leaves) - outside == settled.total_input + settled.total_output
    assert settle(settled) == settled


numbers = st.one_of(
    st.integers(-5, 300_000),
    st.sampled_from([0, 1, 272_000, 272_001, 2_097_151, 2_097_152, 10**15]),
    st.sampled_from(
        ["12", "12.0", "1.5", "", "none", "NaN", "-1", "1e3", "1_0", "\u0661", "9" * 60]
    ),
    st.floats(allow_nan=True),
    st.booleans(),
)
THINKERS = """
schema: 1
catalog: {id: own}
defaults: {DEFAULTS}
models:
  - {provider: openai, match: thinker, prices: [{rates: {input: 2, output: 10, reasoning: 30}}]}
  - {provider: openai, match: deaf, prices: [{rates: {output: 10}}]}
  - {provider: openai, match: mute, prices: [{rates: {input: 2, reasoning: 30}}]}
"""
WAYS = {
    defaults: [llm_cost(THINKERS.replace("DEFAULTS", defaults)) for _ in range(2)]
    for defaults in (
        *("reported_cost: prefer", "reported_cost: fallback", "reported_cost: ignore"),
        "unknown_model: estimate, estimate: {input: 5, output: 15}",
    )
}
"""Two processors each, which see the same calls."""
NAMES = [name for names in COUNTS.values() for name in names]
PROCESSOR = llm_cost()


@settings(max_examples=300, deadline=None)
@given(counts=st.dictionaries(st.sampled_from(NAMES), numbers, max_size=6))
def test_whatever_is_reported_is_priced_or_refused_but_never_wrong(counts: dict[str, Any]) -> None:
    got = priced(PROCESSOR, CALL | {"gen_ai.usage.input_tokens": 10} | counts)
    status = got["app.llm.cost.status"]
    assert status in ("priced", "unpriced")
    assert ("app.llm.cost_usd" in got) == (status == "priced")
    assert ("app.llm.cost.reason" in got) == (status == "unpriced")
    assert got.get("app.llm.cost_usd", 0) >= 0


@settings(max_examples=100, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from(NAMES[:8]), st.integers(0, 400_000), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_order_of_attributes_and_a_second_pass_change_nothing(
    counts: dict[str, int], order: Any
) -> None:
    items = list((CALL | counts).items())
    first = priced(PROCESSOR, dict(items))
    order.shuffle(items)
    assert priced(PROCESSOR, dict(items)) == first
    if first["app.llm.cost.status"] == "priced":
        assert priced(PROCESSOR, first) == first


@settings(max_examples=200, deadline=None)
@given(
    model=st.sampled_from(
        [
            *("gpt-4o", "gpt-5.6-sol", "text-embedding-3-small", "gpt-4"),
            *("thinker", "mute", "deaf", "nope"),
        ]
    ),
    counts=st.dictionaries(
        st.sampled_from(NAMES[:5]) | st.sampled_from(NAMES),
        st.one_of(tokens, st.sampled_from([0, 127, 128, 16_383, 16_384, 272_000, 2_097_152])),
        max_size=6,
    ),
    said=st.dictionaries(
        st.sampled_from(["app.llm.span.class", "app.llm.usage.reported_cost_usd"]),
        st.sampled_from(["model_call", "aggregate", "tool", "0.5", "0"]),
    ),
    defaults=st.sampled_from(sorted(WAYS)),
)
def test_the_short_way_says_what_the_long_way_says(
    model: str, counts: dict[str, int], said: dict[str, str], defaults: str
) -> None:
    attributes = {k: v for k, v in CALL.items() if "usage" not in k} | counts | said
    attributes["gen_ai.request.model"] = model
    short, long = WAYS[defaults]
    got = priced(short, attributes)
    stale = {"app.llm.cost.tier": 7}  # what is ours and came with the span sends it the long way
    assert priced(long, attributes | stale) in (got, got | stale)
    assert short.stats.counters == long.stats.counters


@settings(max_examples=100, deadline=None)
@given(total=st.integers(-(10**26), 10**26))
def test_amounts_are_written_exactly(total: int) -> None:
    assert Decimal(money.text(total)).scaleb(18) == total
    assert money.usd(total) == float(Decimal(total).scaleb(-18))


def test_tiers_hold_from_one_token_above_their_threshold() -> None:
    book = Book(None)
    tiered = 0
    for entry in book.base.entries():
        provider, _, model = entry.name.partition("/")
        offer = book.resolve(Identity(provider, "", model.lower()), AT)
        if isinstance(offer, Offer):
            for lower, upper in zip(offer.tariffs, offer.tariffs[1:], strict=False):
                tiered += 1
                assert offer.tariff(upper.above) is lower
                assert offer.tariff(upper.above + 1) is upper
    assert tiered > 100


def test_a_tariff_without_a_rate_prices_nothing_but_zero() -> None:
    tariff = compile_tariff(-1, {"output": Decimal(1)}, {}, [])
    assert isinstance(tariff, Tariff)
    assert tariff.plain is None
    assert tariff.cost(Usage(input=0, output=5)) == 5 * 10**12
    assert tariff.cost(Usage(input=1, output=5)) is None
