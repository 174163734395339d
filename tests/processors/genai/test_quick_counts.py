"""Counts that stand as they should are read a short way, with the result of the long one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from processors import semconv
from processors.allowance import Allowance
from processors.genai.identity import identify
from processors.genai.plan import compile_plan, values_of
from processors.genai.scopes import profile
from processors.genai.usage import quick_usage, read_usage, sureness
from processors.wire import encode_value

COUNTS = (
    semconv.GEN_AI_USAGE_INPUT_TOKENS,
    semconv.GEN_AI_USAGE_OUTPUT_TOKENS,
    semconv.GEN_AI_USAGE_CACHE_READ,
    semconv.GEN_AI_USAGE_CACHE_CREATION,
    semconv.GEN_AI_USAGE_REASONING,
)
SCOPES = ("opentelemetry.util.genai.handler", "openinference.instrumentation.anthropic", "acme")
NUMBERS = some.one_of(
    some.integers(0, 300), some.integers(-2, 1 << 22), some.integers(0, (1 << 53) + 1)
)
VALUES = some.one_of(NUMBERS, NUMBERS, some.sampled_from(["12", "", 3.0, 0.5, True]))


@given(some.dictionaries(some.sampled_from(COUNTS), VALUES), some.sampled_from(SCOPES))
def test_the_short_way_says_what_the_long_one_says(
    counts: dict[str, int | str | float], scope: str
) -> None:
    written = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", **counts}
    attributes = {key: encode_value(value) for key, value in written.items()}
    plan = compile_plan(profile(scope, "1.0", Allowance(1 << 20)), tuple(attributes))
    identity = identify(plan, attributes)
    assert plan.columns.counts is not None
    values = values_of(plan.columns.keys)(attributes)
    quick = quick_usage(plan.columns.counts, values, sureness(identity))
    assert quick in (None, read_usage(plan, attributes, identity))


def test_a_count_in_two_fields_is_the_last_one() -> None:
    plan = compile_plan(profile("acme", "", Allowance(1 << 20)), COUNTS[:1])
    assert plan.columns.counts is not None
    twice = b"\x18\x05\x18\x07"
    identity = identify(plan, {COUNTS[0]: twice})
    assert quick_usage(plan.columns.counts, (twice, twice), sureness(identity)) is None
    assert read_usage(plan, {COUNTS[0]: twice}, identity).input == 7
