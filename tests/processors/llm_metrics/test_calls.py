"""Which calls count, and as what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import llm_cost
from processors.batch import Batch
from processors.llm_metrics import LlmMetrics
from processors.llm_metrics.catalogue import TOTAL
from processors.llm_metrics.money import atto_of_each, atto_usd
from processors.llm_metrics.settling import fill
from tests.bench.call_metrics import build
from tests.processors.genai.replay import genai

from .support import NOW, SECOND, connector, logs, priced, read, span, total, traces

ODD_COUNTS = st.lists(
    st.one_of(
        st.integers(-5, 300),
        st.sampled_from((16_383, 16_384, 2**21, 2**40, 10**18 - 1, 10**18, 2**63 - 1, -(2**63))),
        st.sampled_from((12.0, 12.9, float("nan"), "12", "", True, [12])),
    ),
    min_size=1,
    max_size=12,
)


@given(ODD_COUNTS, st.booleans())
@settings(max_examples=80, deadline=None)
def test_what_is_no_count_counts_nothing(values: list[Any], written: bool) -> None:
    metrics = connector()
    came = [{} if written else {"gen_ai.usage.input_tokens": value} for value in values]
    batch = traces([span({**priced(gen_ai__usage__input_tokens=None), **one}) for one in came])
    for one, value in zip(batch.spans(), values, strict=True):
        if written:
            one.set("gen_ai.usage.input_tokens", value)
    metrics.process(batch)
    told = read(metrics.tick(NOW))
    counts = [int(value) for value in values if type(value) in (int, float) and 0 <= value < 10**18]
    assert total(told, "llm_input_tokens_total") == min(sum(counts), 2**63 - 1)
    ((observed, tokens),) = told["llm_request_input_tokens"].values()
    assert tokens == pytest.approx(sum(counts))
    assert observed in (len(values), len(values) - values.count([12]) * written)


PICODOLLARS = st.integers(0, 10**15).map(lambda n: n / 10**12)


@given(st.one_of(st.lists(PICODOLLARS), st.lists(st.none() | PICODOLLARS | st.floats(0, 2000))))
def test_many_dollars_are_as_exact_as_single_ones(amounts: list[float | None]) -> None:
    found, unit = atto_of_each(amounts)
    exact = [None if one is None else atto_usd(one) for one in amounts]
    assert [None if one is None else one * unit for one in found] == exact


@given(st.lists(st.sampled_from((0.0, 0.1, 0.25, 1.0, 119.5, 120.0, 121.0)), max_size=150))
def test_many_values_fall_into_the_buckets_of_single_ones(values: list[float]) -> None:
    many, single = ([0] * (len(TOTAL) + 1) for _ in range(2))
    fill(many, TOTAL, values)
    for value in values:
        fill(single, TOTAL, [value])
    assert many == single


def test_only_spans_with_a_cost_status_count() -> None:
    metrics = connector()
    metrics.process(traces([span(priced()), span(priced(app__llm__cost__status=None))]))
    told = read(metrics.tick(NOW))
    assert total(told, "llm_requests_total") == 1


def test_what_processors_wrote_goes_before_what_came() -> None:
    metrics = connector()
    batch = traces([span(priced(app__llm__cost__status=None, gen_ai__provider__name="azure"))])
    for one in batch.spans():
        one.set("app.llm.cost.status", "priced")
        one.set("gen_ai.provider.name", "azure.ai.openai")
        one.set("gen_ai.usage.input_tokens", 7)
        one.remove("gen_ai.usage.output_tokens")
    metrics.process(batch)
    told = read(metrics.tick(NOW))
    assert total(told, "llm_input_tokens_total", provider="azure.ai.openai") == 7
    assert "llm_output_tokens_total" not in told


def test_a_call_without_usage_is_a_request_and_unpriced() -> None:
    metrics = connector()
    call = priced(
        app__llm__cost__status="unpriced",
        app__llm__cost__reason="no_usage",
        app__llm__cost_usd=None,
        gen_ai__usage__input_tokens=None,
        gen_ai__usage__output_tokens=None,
    )
    metrics.process(traces([span(call)]))
    told = read(metrics.tick(NOW))
    assert total(told, "llm_requests_total") == 1
    assert total(told, "llm_unpriced_requests_total", reason="no_usage") == 1
    assert "llm_cost_usd_total" not in told


def test_nothing_is_told_before_its_time_and_nothing_twice() -> None:
    metrics = connector({"metrics_flush_interval": "5s"})
    metrics.process(traces([span(priced())]))
    assert len(list(metrics.tick(NOW))) == 1
    metrics.process(traces([span(priced())]))
    assert list(metrics.tick(NOW + 4 * SECOND)) == []
    told = read(metrics.tick(NOW + 5 * SECOND))
    assert total(told, "llm_requests_total") == 2
    assert list(metrics.tick(NOW + 10 * SECOND)) == []


def test_close_tells_the_rest_and_may_be_called_twice() -> None:
    metrics = connector()
    metrics.process(traces([span(priced())]))
    assert total(read(metrics.close()), "llm_requests_total") == 1
    assert list(metrics.close()) == []


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_cost_is_summed_to_the_last_attodollar(picodollars: list[int]) -> None:
    metrics = connector()
    costs = [pico / 10**12 for pico in picodollars]
    metrics.process(traces([span(priced(app__llm__cost_usd=cost)) for cost in costs]))
    told = read(metrics.tick(NOW))
    assert total(told, "llm_cost_usd_total") == sum(picodollars) * 10**6 / 10**18


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_money_is_the_shortest_decimal_that_is_the_double(usd: float) -> None:
    assert atto_usd(usd) == int(Decimal(repr(usd)).scaleb(18))


@pytest.mark.parametrize("usd", [float("inf"), float("nan")])
def test_what_is_no_amount_costs_nothing(usd: float) -> None:
    assert atto_usd(usd) == 0


def test_what_an_upstream_sidecar_priced_keeps_its_money_when_a_label_is_rewritten_here() -> None:
    metrics = connector()
    batch = traces([span(priced(deployment__environment__name="staging"))])
    for one in batch.spans():
        one.set("app.llm.feature", "answer")
    metrics.process(batch)
    told = read(metrics.tick(NOW))
    assert total(told, "llm_cost_usd_total", feature="answer", environment="staging") == 0.001


def test_a_call_whose_status_was_taken_away_counts_elsewhere() -> None:
    metrics = connector()
    batch = traces([span(priced())])
    for one in batch.spans():
        one.remove("app.llm.cost.status")
        one.remove("app.llm.cost_usd")
    metrics.process(batch)
    assert read(metrics.tick(NOW)) == {}


def test_neighbours_that_genai_read_alike_are_told_apart_by_what_it_did_not_read() -> None:
    """It keeps short values at hand; which ones that are it decides by the first span with such keys."""
    normaliser, metrics = genai(), connector()
    plain = priced(app__llm__span__class=None)
    told = plain | {"gen_ai.input.messages": "m" * 500}
    failed = plain | {"error.type": "t" * 500}
    for number, attributes in enumerate((told, failed)):
        normaliser.process(traces([span(attributes, trace=bytes([number + 1] * 16))]))
    after = [told, plain | {"error.type": "timeout"}, plain | {"error.type": "timeout"}]
    batch = traces([span(one, trace=bytes([n + 9] * 16)) for n, one in enumerate(after)])
    metrics.process(normaliser.process(batch))
    found = read(metrics.close())
    assert total(found, "llm_requests_total", status="success") == 1
    assert total(found, "llm_requests_total", status="timeout") == 2


@pytest.mark.parametrize("value", [["a"], {"a": 1}, [["a"]]])
@pytest.mark.parametrize(
    "key",
    [
        "deployment.environment.name",
        "app.llm.data_mode",
        "app.llm.cost.price_source",
        "gen_ai.response.finish_reasons",
        "app.llm.tenant.id",
    ],
)
def test_a_list_where_a_label_is_costs_nobody_else_their_count(key: str, value: Any) -> None:
    metrics = connector()
    batch = traces([span(priced()) for _ in range(3)])
    next(batch.spans()).set(key, value)
    metrics.process(batch)
    assert total(read(metrics.close()), "llm_requests_total") == 3


@pytest.mark.parametrize("key", ["deployment.environment.name", "app.llm.data_mode"])
def test_a_list_where_a_label_of_a_tool_is_costs_nobody_else_their_count(key: str) -> None:
    metrics = connector()
    tool = {"app.llm.span.class": "tool", "gen_ai.tool.name": "search"}
    batch = traces([span(tool), span(priced())])
    next(batch.spans()).set(key, ["a"])
    metrics.process(batch)
    told = read(metrics.close())
    assert total(told, "llm_tool_calls_total", tool="search") == 1
    assert total(told, "llm_requests_total") == 1


def test_a_conversation_that_became_expensive_here_is_counted_once() -> None:
    metrics = connector()
    for name in ("gen_ai.conversation.id", "app.llm.conversation.id"):
        batch = traces([span({**priced(), name: name})] * 3)
        for one in batch.spans():
            one.set("app.llm.conversation.expensive", True)
        metrics.process(batch)
    assert total(read(metrics.tick(NOW)), "llm_expensive_conversations_total") == 2


CALLS = st.fixed_dictionaries(
    {
        "gen_ai.provider.name": st.sampled_from(("openai", "anthropic")),
        "app.llm.cost.status": st.sampled_from(("priced", "unpriced", "cached")),
    },
    optional={
        "app.llm.cost_usd": st.sampled_from((0.25, 0.5, 2.0)),
        "app.llm.cost.price_source": st.sampled_from(("base", "estimate")),
        "app.llm.feature": st.sampled_from(("answer", "search")),
        "gen_ai.usage.input_tokens": st.sampled_from((0, 100, 5000)),
        "gen_ai.usage.output_tokens": st.sampled_from((1, 700)),
        "gen_ai.usage.cache_read.input_tokens": st.sampled_from((0, 50)),
        "gen_ai.usage.reasoning.output_tokens": st.just(1),
        "app.llm.ttft_s": st.just(0.25),
        "error.type": st.sampled_from(("timeout", "RateLimitError")),
    },
)


@given(st.lists(st.tuples(CALLS, st.booleans()), min_size=1, max_size=25), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_what_is_told_depends_on_neither_cuts_nor_on_who_wrote_it(
    calls: list[tuple[dict[str, object], bool]], size: int
) -> None:
    whole, cut = connector(), connector()
    whole.process(traces([span(call) for call, _ in calls]))
    for first in range(0, len(calls), size):
        some = calls[first : first + size]
        batch = traces([span({} if written else call) for call, written in some])
        for one, (call, written) in zip(batch.spans(), some, strict=True):
            for key, value in call.items() if written else ():
                one.set(key, value)  # type: ignore[arg-type] # drawn from what attributes hold
        cut.process(batch)
    assert read(cut.tick(NOW)) == read(whole.tick(NOW))


TRAFFIC = st.fixed_dictionaries(
    {
        "gen_ai.operation.name": st.just("chat"),
        "gen_ai.provider.name": st.just("openai"),
        "gen_ai.request.model": st.sampled_from(("gpt-4o", "o3")),
        "gen_ai.response.model": st.sampled_from(("gpt-4o-2024-08-06", "o3-2025-04-16")),
        "gen_ai.usage.input_tokens": st.sampled_from((0, 100, 2**14, 2**21, 2**40, -1, "7", 2.5)),
        "user.id": st.sampled_from(("user_0123456789abcdef", "user_fedcba9876543210")),
    },
    optional={
        "app.llm.tenant.id": st.sampled_from(("a", "b")),
        "gen_ai.usage.output_tokens": st.sampled_from((1, 700, "x")),
        "gen_ai.usage.cache_read.input_tokens": st.sampled_from((0, 50, 200)),
        "gen_ai.usage.reasoning.output_tokens": st.sampled_from((0, 5)),
        "error.type": st.just("timeout"),
    },
)


WRITTEN = st.sampled_from(
    (
        None,
        None,
        ("app.llm.tenant.id", "c"),
        ("app.llm.cost.status", "cached"),
        ("app.llm.cost.status", None),
        ("app.llm.cost_usd", 0.25),
        ("deployment.environment.name", "staging"),
        ("gen_ai.usage.input_tokens", 3),
        ("app.llm.total_latency_s", 2.0),
    )
)
"""What another processor may write between pricing and counting; None takes the attribute away."""
ROUNDS = (1, 101, 201)
"""The first trace of each: calls are counted another way when such were counted before."""


@given(
    st.lists(
        st.tuples(
            TRAFFIC, st.sampled_from((0.5, 4.0, 9.0, -1.0)), st.tuples(*[WRITTEN] * len(ROUNDS))
        ),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_calls_count_the_same_wherever_they_were_read_and_priced(
    calls: list[tuple[dict[str, Any], float, tuple[tuple[str, Any] | None, ...]]], users: bool
) -> None:
    """Where `genai` ran here it left on the spans what it read; a batch that was encoded again has nothing of it."""
    normaliser, pricing = genai(), build(llm_cost, {}, "llm_cost")
    here, there = (connector({"users": {"top": 2}} if users else {}) for _ in range(2))
    graded = [("gen_ai.evaluation.result", NOW, {"gen_ai.evaluation.score.value": 0.5})]
    for number, first in enumerate(ROUNDS):
        spans = [
            span(call, seconds=seconds, trace=bytes([first + place] * 16), events=graded)
            for place, (call, seconds, _) in enumerate(calls)
        ]
        batch = pricing.process(normaliser.process(traces(spans)))
        for one, (_, _, written) in zip(batch.spans(), calls, strict=True):
            change = written[number]
            if change is not None:
                key, value = change
                one.remove(key) if value is None else one.set(key, value)
        again = Batch(batch.signal, batch.encode(), received_ns=NOW)
        here.process(batch)
        there.process(again)
    assert numbers(here) == pytest.approx(numbers(there))


def numbers(metrics: LlmMetrics) -> dict[tuple[Any, ...], float]:
    """Return what is told, one number by one: sums of floats differ in their last digit by the order."""
    return {
        (name, labels, place): number
        for name, series in read(metrics.tick(NOW)).items()
        for labels, value in series.items()
        for place, number in enumerate(value if isinstance(value, tuple) else (value,))
    }


@pytest.mark.parametrize(
    ("record", "status", "seconds", "retries"),
    [
        ({"status": "success", "latency_ms": 847.3, "output_tokens": 380}, "success", 0.8473, 0),
        ({"latency_ms": 2340, "retry_count": 2, "error_type": "RateLimitError"}, "rate_limited", 2.34, 2),
        ({"latency_ms": 30000, "error_type": "TimeoutError"}, "timeout", 30.0, 0),
        ({"latencyMs": 892, "endpointTag": "chat"}, "success", 0.892, 0),
        ({"latencyMs": 892, "error_type": "TimeoutError", "error.type": "RateLimitError"}, "rate_limited", 0.892, 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_log", [True, False])
def test_hand_made_records_say_how_long_calls_took_and_what_became_of_them(
    record: dict[str, Any], status: str, seconds: float, retries: int, is_log: bool
) -> None:
    call = {"message": "llm_call_x", "model": "gpt-4o", "provider": "openai", "input_tokens": 1250}
    call |= {"gen_ai.operation.name": "chat"} if not is_log else {}
    batch = logs([(call | record, {})]) if is_log else traces([span(call | record)])
    metrics = connector()
    metrics.process(build(llm_cost, {}, "llm_cost").process(genai().process(batch)))
    found = read(metrics.tick(NOW))
    assert total(found, "llm_requests_total", status=status) == 1
    assert list(found["llm_total_latency_seconds"].values()) == [(1, pytest.approx(seconds))]
    assert total(found, "llm_retries_total") == retries
