"""What the processor writes, removes, counts and says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from processors.batch import Batch, Signal
from processors.errors import InvalidConfig
from processors.llm_cost import LlmCost, build
from processors.llm_cost.catalog import SECOND
from processors.llm_cost.offers import KEPT
from processors.ports import Context
from tests.processors.llm_cost.calls import (
    CALL,
    attributes_of,
    call,
    llm_cost,
    nanoseconds,
    overlay,
    priced,
    settings,
)
from tests.telemetry import batch, key_values, span

OWN = """
schema: 1
catalog: {id: own, base: none}
defaults: {DEFAULTS}
models:
  - {provider: openai, match: gpt-4o, prices: [{rates: {input: 2.5, output: 10}}]}
  - {provider: openai, match: transcribe, prices: [{rates: {input: 1}, fees: {audio_second: 0.0001, image: 0.04}}]}
"""
STALE = {"app.llm.cost.tier": 1}
"""An attribute of ours that came with the span sends it the long way."""
T = TypeVar("T")


def own(defaults: str = "") -> LlmCost:
    return llm_cost(OWN.replace("DEFAULTS", defaults))


class Shelf:
    """Shares by key, as the shell does between pipelines and reloads."""

    def __init__(self) -> None:
        self.things: dict[str, Any] = {}
        self.said: list[dict[str, object]] = []

    def context(self) -> Context:
        return Context(id="llm_cost", shared=self.shared, say=self.say)

    def shared(self, key: str, make: Callable[[], T]) -> T:
        if key not in self.things:
            self.things[key] = make()
        thing: T = self.things[key]
        return thing

    def say(self, text: str, **fields: object) -> None:
        self.said.append({"text": text} | fields)


def log(attributes: dict[str, object], time_ns: int) -> Batch:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time_ns)
    record.attributes.extend(key_values(attributes))
    return Batch(Signal.LOGS, request.SerializeToString(), received_ns=1)


# -- the written


def test_a_log_record_is_priced_like_a_span() -> None:
    batch = llm_cost().process(log(CALL, nanoseconds("2026-11-20T12:00:00Z")))
    request = ExportLogsServiceRequest.FromString(batch.encode())
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    cost = {pair.key: pair.value for pair in record.attributes}["app.llm.cost_usd"]
    assert cost.double_value == 0.0075


@pytest.mark.parametrize(("price_at", "expected"), [("start", 1e-6), ("end", 2e-6)])
def test_the_price_is_that_of_the_start_or_of_the_end(price_at: str, expected: float) -> None:
    prices = f"""
schema: 1
catalog: {{id: own, base: none}}
defaults: {{price_at: {price_at}}}
models: [{{provider: a, match: m, prices: [{{rates: {{input: 1}}}}, {{from: 2026-02-01, rates: {{input: 2}}}}]}}]
"""
    a_call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "a",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 1,
    }
    when = {"start": "2026-01-31T23:59:59Z", "end": "2026-02-01T00:00:00Z"}
    for attributes in (a_call, a_call | {"gen_ai.usage.image.input_tokens": 0}):
        assert priced(llm_cost(prices), attributes, **when)["app.llm.cost_usd"] == expected


def test_a_call_without_a_time_has_the_time_of_its_arrival() -> None:
    batch = call(CALL, received_ns=nanoseconds("2026-11-20T12:00:00Z"))
    (span,) = batch.spans()
    message: Any = span.message()
    message.start_time_unix_nano = 0
    span.replace(message)
    again = Batch(Signal.TRACES, batch.encode(), received_ns=batch.received_ns)
    assert attributes_of(llm_cost().process(again))["app.llm.cost_usd"] == 0.0075


def test_stale_attributes_of_an_earlier_verdict_go() -> None:
    stale = {
        "app.llm.cost.status": "unpriced",
        "app.llm.cost.reason": "unknown_model",
        "app.llm.cost.tier": 5,
    }
    got = priced(own(), CALL | stale)
    assert (got["app.llm.cost.status"], got["app.llm.cost_usd"]) == ("priced", 0.0075)
    assert not {"app.llm.cost.reason", "app.llm.cost.tier"} & got.keys()


@pytest.mark.parametrize("theirs", [0.42, "0.42", 1])
def test_a_figure_of_the_application_is_kept_beside_ours(theirs: object) -> None:
    got = priced(own(), CALL | {"app.llm.cost_usd": theirs})
    assert got["app.llm.cost_usd"] == 0.0075
    assert got["app.llm.usage.reported_cost_usd"] == float(theirs)  # type: ignore[arg-type]


@pytest.mark.parametrize("theirs", [0.0, -1.0, "free", True, float("nan"), float("inf"), "1e999"])
def test_what_is_no_amount_is_not_taken_for_one(theirs: object) -> None:
    got = priced(own(), CALL | {"app.llm.cost_usd": theirs, "gen_ai.request.model": "nope"})
    assert got["app.llm.cost.status"] == "unpriced"
    assert not {"app.llm.cost_usd", "app.llm.usage.reported_cost_usd"} & got.keys()


@pytest.mark.parametrize(
    ("choice", "model", "status"),
    [
        ("fallback", "gpt-4o", "priced"),
        ("fallback", "nope", "reported"),
        ("prefer", "gpt-4o", "reported"),
        ("ignore", "nope", "unpriced"),
    ],
)
def test_reported_costs_are_used_as_configured(choice: str, model: str, status: str) -> None:
    processor = own(f"reported_cost: {choice}")
    said = {"gen_ai.request.model": model, "app.llm.usage.reported_cost_usd": 0.5}
    got = priced(processor, CALL | said)
    assert got["app.llm.cost.status"] == status
    assert got["app.llm.usage.reported_cost_usd"] == 0.5
    assert got.get("app.llm.cost_usd") == {"reported": 0.5, "priced": 0.0075}.get(status)


def test_a_figure_reported_for_a_call_without_usage_is_used() -> None:
    said = {"gen_ai.operation.name": "chat", "app.llm.usage.reported_cost_usd": 0.5}
    assert priced(own(), said)["app.llm.cost.status"] == "reported"


def test_a_call_set_aside_as_a_repetition_has_no_cost() -> None:
    came = {
        "app.llm.cost.skip_reason": "duplicate",
        "app.llm.cost_usd": 1.0,
        "app.llm.cost.status": "priced",
    }
    got = priced(own(), CALL | came)
    assert not {"app.llm.cost_usd", "app.llm.cost.status"} & got.keys()


NO_CALLS: list[dict[str, object]] = [
    {"gen_ai.operation.name": "invoke_agent"},
    {"gen_ai.operation.name": "chat", "app.llm.span.class": "aggregate"},
    {"app.llm.span.class": "tool"},
    {"http.request.method": "GET"},
]


@pytest.mark.parametrize("decoded", [False, True], ids=["raw", "decoded"])
@pytest.mark.parametrize("attributes", NO_CALLS, ids=["agent", "aggregate", "tool", "plain"])
def test_what_is_no_call_has_no_cost_even_if_it_came_with_one(
    attributes: dict[str, object], decoded: bool
) -> None:
    came = call(attributes | {"app.llm.cost_usd": 0.42})
    assert not decoded or came.groups
    got = attributes_of(own().process(came))
    assert got == attributes | {"app.llm.usage.reported_cost_usd": 0.42}
    sidecar = {"app.llm.cost_usd": 0.42, "app.llm.cost.status": "priced"}
    assert priced(own(), attributes | sidecar) == attributes


def test_things_that_are_counted_are_usage() -> None:
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "transcribe",
    }
    assert (
        priced(own(), said | {"app.llm.usage.audio_seconds": 12.5})["app.llm.cost_usd"] == 0.00125
    )
    assert priced(own(), said | {"app.llm.usage.audio_seconds": "0"})["app.llm.cost_usd"] == 0.0
    assert priced(own(), said | {"app.llm.usage.images": 2})["app.llm.cost_usd"] == 0.08
    got = priced(own(), said | {"app.llm.usage.audio_seconds": "long"})
    assert got["app.llm.cost.reason"] == "inconsistent_usage"


@pytest.mark.parametrize(
    ("attributes", "variant"),
    [
        ({"anthropic.message.batch.id": "b1"}, "processing=batch"),
        ({"app.llm.processing": "Batch"}, "processing=batch"),
        ({"gen_ai.response.service_tier": "BATCH"}, "processing=batch"),
        ({"openai.request.service_tier": "flex"}, "service_tier=flex"),
        ({"openai.request.service_tier": "auto"}, None),
        ({"openai.request.service_tier": "flex", "gen_ai.response.service_tier": "default"}, None),
        ({"speed": "fast"}, "speed=fast"),
        ({"app.llm.speed": "normal", "speed": "fast"}, None),
    ],
)
def test_how_a_call_was_processed(attributes: dict[str, str], variant: str | None) -> None:
    processor = llm_cost(
        """
schema: 1
catalog: {id: own, base: none}
models:
  - provider: openai
    match: gpt-4o
    prices:
      - rates: {input: 1, output: 1}
        variants:
          - {when: {processing: [batch]}, multiplier: 0.5}
          - {when: {service_tier: [flex]}, multiplier: 0.6}
          - {when: {speed: [fast]}, multiplier: 2}
"""
    )
    assert priced(processor, CALL | attributes).get("app.llm.cost.variant") == variant


def test_the_breakdown_is_written_for_estimates_too() -> None:
    processor = own("breakdown: true, unknown_model: estimate, estimate: {input: 5, output: 15}")
    got = priced(processor, CALL | {"gen_ai.request.model": "nope"})
    assert got["app.llm.cost.input_usd"] == 0.005
    assert got["app.llm.cost.fees_usd"] == 0.0
    assert got["app.llm.cost.price_source"] == "estimate"


# -- budgets and conversations


@pytest.mark.parametrize(
    ("feature", "tokens", "flag"),
    [("mail", 8_000, None), ("mail", 8_001, True), ("other", 10**6, None), (None, 10**6, None)],
)
@pytest.mark.parametrize("extra", [{}, STALE])
def test_a_call_above_its_token_budget_is_marked(
    feature: str | None, tokens: int, flag: bool | None, extra: dict[str, int]
) -> None:
    processor = llm_cost(token_budgets={"mail": 8_000})
    counts = {"gen_ai.usage.input_tokens": tokens - 500, "gen_ai.usage.output_tokens": 500}
    named = {"app.llm.feature": feature} if feature else {}
    got = priced(processor, CALL | counts | named | extra)
    assert got.get("app.llm.budget_exceeded") is flag


def talk(processor: LlmCost, conversation: str, tokens: int, at_s: int = 0, **more: object) -> Any:
    attributes = CALL | {
        "gen_ai.conversation.id": conversation,
        "gen_ai.usage.input_tokens": tokens - 100,
        "gen_ai.usage.output_tokens": 100,
    }
    batch = call(attributes | more, received_ns=at_s * SECOND + 1)
    got = attributes_of(processor.process(batch))
    return got.get("app.llm.conversation.cumulative_tokens"), got.get(
        "app.llm.conversation.expensive"
    )


def test_tokens_of_a_conversation_add_up_and_mark_it_from_the_crossing_call_on() -> None:
    processor = llm_cost(conversations={"expensive_tokens": 3_200})
    assert talk(processor, "a", 1_100) == (1_100, None)
    assert talk(processor, "a", 2_100) == (3_200, None)
    assert talk(processor, "b", 5_000) == (5_000, True)
    assert talk(processor, "a", 101) == (3_301, True)
    assert talk(processor, "a", 101, **{"gen_ai.request.model": "nope"}) == (3_402, True)


def test_the_conversation_that_was_quiet_longest_is_forgotten_first() -> None:
    processor = llm_cost(conversations={"limit": 2, "ttl": "1h"})
    for conversation in ("a", "b", "a", "c"):
        talk(processor, conversation, 1_000)
    assert talk(processor, "a", 1_000)[0] == 3_000
    assert talk(processor, "b", 1_000)[0] == 1_000


def test_a_conversation_ends_when_nobody_speaks() -> None:
    processor = llm_cost(conversations={"ttl": "1h"})
    talk(processor, "a", 1_000)
    talk(processor, "b", 1_000, at_s=3_600)
    processor.tick(3_600 * SECOND + 1)
    assert processor.stats.gauges["otelcol_llm_cost_conversations",]() == 2
    processor.tick(3_601 * SECOND + 1)
    assert processor.stats.gauges["otelcol_llm_cost_conversations",]() == 1
    assert talk(processor, "a", 1_000, at_s=3_601)[0] == 1_000
    assert talk(processor, "b", 1_000, at_s=7_201)[0] == 1_000


def test_calls_outside_of_conversations_are_not_added_up() -> None:
    processor = llm_cost(conversations={})
    assert "app.llm.conversation.cumulative_tokens" not in priced(processor, CALL)
    assert priced(llm_cost(), CALL | {"gen_ai.conversation.id": "a"}).keys() == (
        priced(llm_cost(), CALL).keys() | {"gen_ai.conversation.id"}
    )


# -- counting and telling


def test_every_series_exists_before_anything_happened() -> None:
    counters = llm_cost().stats.counters
    statuses = {key[1] for key in counters if key[0] == "otelcol_llm_cost_calls_total"}
    reasons = {key[1] for key in counters if key[0] == "otelcol_llm_cost_unpriced_total"}
    assert statuses == {"priced", "reported", "unpriced", "cached"}
    assert reasons == {
        "unknown_provider",
        "unknown_model",
        "no_usage",
        "inconsistent_usage",
        "no_rate",
    }
    assert set(counters.values()) == {0}


@pytest.mark.parametrize("extra", [{}, STALE])
def test_matches_defaults_and_missing_variants_are_counted(extra: dict[str, int]) -> None:
    processor = own()
    said = {"gen_ai.usage.cache_read.input_tokens": 10, "openai.response.service_tier": "flex"}
    priced(processor, CALL | said | extra)
    priced(processor, CALL | {"gen_ai.usage.cache_creation.input_tokens": 10} | extra)
    counters = processor.stats.counters
    assert counters["otelcol_llm_cost_matches_total", "overlay", "exact"] == 2
    assert counters["otelcol_llm_cost_rate_defaults_total", "cache_read"] == 1
    assert counters["otelcol_llm_cost_rate_defaults_total", "cache_write"] == 1
    assert counters["otelcol_llm_cost_unpriced_variants_total", "service_tier"] == 1


def test_more_names_than_are_remembered_are_priced_like_the_first() -> None:
    processor = own()
    names = ["gpt-4o", *(f"nobody-{n}" for n in range(KEPT)), "gpt-4o"]
    spans = [span(n, attributes=CALL | {"gen_ai.request.model": m}) for n, m in enumerate(names, 1)]
    processor.process(batch(*spans))
    assert processor.stats.counters["otelcol_llm_cost_calls_total", "priced"] == 2
    assert processor.stats.counters["otelcol_llm_cost_calls_total", "unpriced"] == KEPT


def test_a_name_without_a_price_is_told_once_for_all_pipelines() -> None:
    shelf = Shelf()
    traces = build(settings(OWN.replace("DEFAULTS", "")), shelf.context())
    logs = build(settings(OWN.replace("DEFAULTS", "")), shelf.context())
    for _ in range(3):
        priced(traces, CALL | {"gen_ai.request.model": "gpt-9"})
        logs.process(log(CALL | {"gen_ai.request.model": "gpt-9"}, 1))
    priced(traces, CALL | {"gen_ai.provider.name": "nimbus"})
    assert [(said["provider"], said["model"], said["reason"]) for said in shelf.said] == [
        ("openai", "gpt-9", "unknown_model"),
        ("nimbus", "gpt-4o", "unknown_provider"),
    ]


def test_shared_figures_are_reported_by_one_instance() -> None:
    shelf = Shelf()
    first = llm_cost(OWN.replace("DEFAULTS", ""), shelf.context(), conversations={})
    second = llm_cost(OWN.replace("DEFAULTS", ""), shelf.context(), conversations={})
    talk(first, "a", 1_000)
    for processor in (first, second):
        processor.tick(SECOND)

    def total(name: str) -> float:
        gauges = [(k, read) for p in (first, second) for k, read in p.stats.gauges.items()]
        return sum(read() for key, read in gauges if key[0] == name)

    assert total("otelcol_llm_cost_conversations") == 1
    assert total("otelcol_llm_cost_unused_prices") == 1
    assert total("otelcol_llm_cost_price_list_info") == 1


def test_the_age_of_the_base_prices_is_told() -> None:
    processor = llm_cost()
    processor.tick(nanoseconds("2027-11-20T12:00:00Z"))
    (age,) = [
        read() for key, read in processor.stats.gauges.items() if key[0].endswith("age_seconds")
    ]
    assert 300 * 86_400 < age < 450 * 86_400


# -- reload


def many(models: int) -> str:
    rows = "\n".join(
        f"  - {{provider: acme, match: m{n}, prices: [{{rates: {{input: 1}}}}]}}"
        for n in range(models)
    )
    return f"schema: 1\ncatalog: {{id: own, base: none}}\nmodels:\n{rows}\n"


def test_half_a_file_is_refused_while_the_whole_one_is_in_use() -> None:
    shelf = Shelf()
    build(settings(many(10)), shelf.context()).tick(1)
    with pytest.raises(
        InvalidConfig, match=r"pricing\.models: expected at least half of the 10 models"
    ):
        build(settings(many(4)), shelf.context())
    build(settings(many(5)), shelf.context()).tick(2)
    build(settings(), shelf.context())  # without a pricing file on purpose


def test_conversations_survive_a_reload() -> None:
    shelf = Shelf()
    talk(llm_cost(many(4), shelf.context(), conversations={}), "a", 1_000)
    assert talk(llm_cost(many(5), shelf.context(), conversations={}), "a", 500)[0] == 1_500


def test_a_broken_list_names_the_place() -> None:
    broken = overlay(many(2).replace("match: m1", "match: m0"))
    with pytest.raises(
        InvalidConfig, match=r"pricing\.models\[1\]\.match: expected every exact name"
    ):
        build({"pricing": broken}, Context(id="llm_cost"))
