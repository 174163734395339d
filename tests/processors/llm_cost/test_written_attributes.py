"""It makes no difference whether an attribute came with the span or was written by an earlier processor, nor whether
somebody looked into the batch before."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.batch import Batch, Signal
from processors.llm_cost import LlmCost
from processors.wire import Value
from tests.processors.llm_cost.calls import CALL, attributes_of, call, llm_cost

VALUES: dict[str, list[Value]] = {
    "app.llm.span.class": ["model_call", "model_call", "aggregate", "tool", "other", 7, ["tool"]],
    "gen_ai.operation.name": ["chat", "chat", "invoke_agent", "", 3, ["chat"]],
    "gen_ai.provider.name": ["openai", "anthropic", "nobody", ["openai"]],
    "gen_ai.request.model": ["gpt-4o", "claude-sonnet-4-5", "no-such-model"],
    "gen_ai.response.model": ["gpt-4o-2024-08-06", ""],
    "gen_ai.usage.input_tokens": [1000, 0, -1, 3_000_000, 2.0, True, "12"],
    "gen_ai.usage.output_tokens": [500, 0, False, None],
    "gen_ai.usage.cache_read.input_tokens": [200, 2000],
    "gen_ai.usage.cache_creation.input_tokens": [30],
    "app.llm.cost.skip_reason": ["gateway"],
    "app.llm.cost_usd": [1.0],
    "app.llm.cost.status": ["cached", "priced", ["priced"]],
    "app.llm.usage.basis": ["aggregate"],
}
COMMON = [*CALL, "app.llm.span.class"]

writes = st.lists(
    st.one_of(st.sampled_from(COMMON), st.sampled_from([*VALUES])).flatmap(
        lambda key: st.tuples(st.just(key), st.sampled_from(VALUES[key]), st.booleans())
    ),
    max_size=6,
)


def written(batch: Batch, steps: list[tuple[str, Value, bool]]) -> Batch:
    """Write attributes; the last of each triple says whether the attribute goes again."""
    (span,) = batch.spans()
    for key, value, gone in steps:
        span.set(key, value)
        if gone:
            span.remove(key)
    return batch


def outcome(processor: LlmCost, batch: Batch) -> tuple[dict[str, Any], dict[Any, int | float]]:
    """Return what the span says after pricing, and what was counted."""
    before = dict(processor.stats.counters)
    attributes = attributes_of(processor.process(batch))
    counted = {
        key: value - before.get(key, 0)
        for key, value in processor.stats.counters.items()
        if value != before.get(key, 0)
    }
    return {key: str(value) for key, value in attributes.items()}, counted


PROCESSOR = llm_cost()


@settings(max_examples=300, deadline=None)
@given(steps=writes, from_nothing=st.booleans())
def test_written_attributes_count_like_those_that_came(
    steps: list[tuple[str, Value, bool]], from_nothing: bool
) -> None:
    came = {} if from_nothing else CALL
    edited = written(call(came), steps)
    encoded = Batch(Signal.TRACES, written(call(came), steps).encode(), received_ns=1)
    decoded = Batch(Signal.TRACES, encoded.raw, received_ns=1)
    assert len(decoded.groups) == 1

    expected = outcome(PROCESSOR, encoded)
    assert outcome(PROCESSOR, edited) == expected
    assert outcome(PROCESSOR, decoded) == expected


def test_attributes_appended_twice_stand_once_each() -> None:
    batch = call(CALL)
    (span,) = batch.spans()
    for values in ({"a": 1, "b": "x"}, {"c": 2.5}, {"d": True}):
        span.append(span.fields(values), dict(values), span.fields(values))

    assert attributes_of(batch) == CALL | {"a": 1, "b": "x", "c": 2.5, "d": True}
