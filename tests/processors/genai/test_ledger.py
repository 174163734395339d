"""What the ledger promises beside the golden cases: waiting, limits, switches, logs, reloads."""

from __future__ import annotations

import time
from typing import Any

import pytest

from collector.config.settings import resolve
from processors.batch import Batch, Signal
from processors.genai import check
from processors.genai.processor import LEDGER_BYTES
from processors.ports import Context
from processors.wire import Value
from tests.processors.genai.replay import (
    NOW_NS,
    SKIP,
    Graph,
    Left,
    genai,
    golden,
    ledger,
    requests,
    schema,
    sharing,
)
from tests.processors.genai.test_emitters import log_request
from tests.telemetry import SECOND, batch, span, traces

CALL: dict[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 10,
}
AGENT = CALL | {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
CLIENT, SERVER = 3, 2
INPUT = "gen_ai.usage.input_tokens"


def one(left: list[Left], number: int) -> dict[str, Value]:
    (found,) = [item for item in left if item.span_id == f"{number:016x}"]
    return dict(found.attributes)


def sent(*requests_: bytes, **settings: Any) -> list[Left]:
    graph = Graph(settings)
    for raw in requests_:
        graph.send(Signal.TRACES, raw)
    return graph.close()


# ------------------------------------------------------------------ waiting


def test_an_agent_with_usage_waits_until_its_trace_is_quiet() -> None:
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=AGENT)))
    graph.wait(1.8)
    assert not graph.left
    graph.wait(0.3)
    assert one(graph.left, 1)["app.llm.usage.basis"] == "aggregate"


def test_a_span_of_its_trace_makes_it_wait_longer_but_not_for_ever() -> None:
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=AGENT)))
    for number in range(2, 5):
        graph.wait(1.4)
        graph.send(Signal.TRACES, traces(span(number, name="GET /")))
    assert [item.span_id[-1] for item in graph.left] == ["2", "3", "4"]
    graph.wait(0.6)
    assert one(graph.left, 1)["app.llm.usage.basis"] == "aggregate"


def test_an_agent_leaves_with_the_first_call_below_it() -> None:
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=AGENT)))
    graph.send(Signal.TRACES, traces(span(2, parent=1, attributes=CALL)))
    graph.wait(0.1)
    assert one(graph.left, 1)[SKIP] == "aggregate"
    assert "app.llm.usage.input_semantics" not in one(graph.left, 1)


def test_an_agent_without_usage_never_waits() -> None:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=attributes)))
    assert SKIP not in one(graph.left, 1)


def test_close_gives_everything_back_and_may_be_called_twice() -> None:
    processor = genai()
    assert processor.process(batch(span(1, attributes=AGENT), received_s=1)) is None
    (released,) = processor.close()
    assert len(released) == 1
    assert list(processor.close()) == []
    assert processor._ledger.size_bytes < 5_000


def test_what_waits_keeps_resource_and_scope() -> None:
    raw = traces(span(1, attributes=AGENT), resource={"service.name": "shop"}, scope="my.scope")
    processor = genai()
    processor.process(Batch(Signal.TRACES, raw, received_ns=1))
    (released,) = processor.close()
    (item,) = released.spans()
    assert item.resource.get("service.name") == "shop"
    assert item.scope.name == "my.scope"


def test_totals_above_the_calls_are_counted_as_a_gap_in_the_data() -> None:
    processor = genai()
    partly = AGENT | {"gen_ai.usage.input_tokens": 500}
    processor.process(batch(span(1, attributes=partly), span(2, parent=1, attributes=CALL)))
    assert processor.stats.counters["otelcol_llm_genai_uncovered_aggregates_total",] == 1


def test_defaults_fill_what_nobody_gave() -> None:
    defaults = {"app.llm.feature": "unknown", "app.llm.tenant.id": "unknown"}
    given = CALL | {"feature": "search"}
    left = sent(
        traces(span(1, attributes=given), span(2, trace=2, attributes=AGENT), span(3, trace=3)),
        defaults=defaults,
    )
    assert one(left, 1)["app.llm.feature"] == "search"
    assert one(left, 1)["app.llm.tenant.id"] == "unknown"
    assert one(left, 2)["app.llm.tenant.id"] == "unknown"
    assert one(left, 3) == {}


# ------------------------------------------------------------------ deliveries and limits


def test_a_late_repeated_delivery_does_not_count_after_the_trace_was_forgotten() -> None:
    graph = Graph({"ledger": {"ttl": "10s"}})
    raw = traces(span(1, attributes=CALL))
    graph.send(Signal.TRACES, raw)
    graph.wait(60)
    assert graph.genai[Signal.TRACES]._ledger.traces == 0
    graph.send(Signal.TRACES, raw)
    assert [item.attributes.get(SKIP) for item in graph.close()] == [None, "duplicate_delivery"]


def test_an_agent_that_ends_after_its_trace_was_forgotten_does_not_count_its_calls_again() -> None:
    graph = Graph({"ledger": {"ttl": "10s"}})
    graph.send(Signal.TRACES, traces(span(2, parent=1, attributes=CALL)))
    graph.wait(60)
    graph.send(Signal.TRACES, traces(span(1, attributes=AGENT)))
    assert ledger(graph.close())["model_calls"] == 1


def test_remembered_deliveries_are_bounded() -> None:
    graph = Graph({"ledger": {"ttl": "1s", "max_deliveries": 2}})
    raws = [traces(span(1, trace=number, attributes=CALL)) for number in range(1, 6)]
    for raw in raws:
        graph.send(Signal.TRACES, raw)
        graph.wait(5)
    for raw in raws:
        graph.send(Signal.TRACES, raw)
    reasons = [item.attributes.get(SKIP) for item in graph.close()[5:]]
    assert reasons == [None, None, None, "duplicate_delivery", "duplicate_delivery"]


def test_the_ledger_stays_below_its_bound() -> None:
    processor = genai(ledger={"max_bytes": 40_000})
    for number in range(1, 400):
        spans = [span(n, trace=number, attributes=CALL) for n in range(1, 6)]
        processor.process(batch(*spans, received_s=number))
        assert processor._ledger.size_bytes <= 40_000
    assert processor.stats.counters["otelcol_llm_genai_ledger_evicted_traces_total",] > 300
    assert processor.stats.gauges["otelcol_llm_genai_ledger_bytes",]() <= 40_000


def test_waiting_spans_count_against_the_bound_and_leave_early() -> None:
    processor = genai(ledger={"max_bytes": 100_000})
    large = AGENT | {"gen_ai.input.messages": "x" * 30_000}
    for number in range(1, 8):
        processor.process(batch(span(1, trace=number, attributes=large), received_s=1))
    released = [item for out in processor.tick(SECOND) for item in out.spans()]
    assert len(released) >= 4
    assert all(item.get("app.llm.usage.basis") == "aggregate" for item in released)
    assert processor.stats.gauges["otelcol_llm_genai_held_spans",]() == 7 - len(released)


def test_a_trace_that_closes_on_itself_ends_as_well() -> None:
    loop = [span(1, parent=2, attributes=AGENT), span(2, parent=1, attributes=CALL)]
    left = sent(traces(*loop), traces(span(3, parent=3, attributes=CALL)))
    assert ledger(left)["model_calls"] == 2


def seconds_for_answers_from_a_cache(count: int) -> float:
    hit = CALL | {"litellm.cache_hit": True}
    spans = [span(number, parent=1, attributes=hit) for number in range(2, count + 2)]
    request = batch(*spans, span(1, attributes=AGENT), received_s=1)
    processor = genai()
    began = time.process_time()
    out = processor.process(request)
    seconds = time.process_time() - began
    assert out is not None
    assert [one.get("app.llm.cost.status") for one in out.spans()].count("cached") == count
    return seconds


def test_eight_times_the_answers_from_a_cache_take_about_eight_times_as_long() -> None:
    few = min(seconds_for_answers_from_a_cache(1000) for _ in range(3))
    assert min(seconds_for_answers_from_a_cache(8000) for _ in range(2)) < 20 * few


# ------------------------------------------------------------------ switches


def test_the_gateway_may_be_preferred() -> None:
    case = golden("m01-client-over-gateway-same-id")
    graph = Graph({"prefer": "gateway"})
    for signal, request in requests(case):
        graph.send(signal, request.SerializeToString())
    counted = [item for item in graph.close() if item.counted]
    assert [item.attributes["litellm.call_id"] for item in counted] == ["1f2e"]


def test_running_totals_may_be_taken_as_calls_of_their_own() -> None:
    case = golden("m15-spring-bedrock-tool-loop")
    graph = Graph({"cumulative_loops": False})
    for signal, request in requests(case):
        graph.send(signal, request.SerializeToString())
    assert ledger(graph.close())["model_calls"] == 2


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"scope": "acme.*", "semantics": "exclusive"}, (6000, "table")),
        ({"scope": "acme.llm", "semantics": "inclusive"}, (5000, "table")),
        ({"service": "shop", "semantics": "exclusive"}, (6000, "table")),
        ({"service": "other", "semantics": "exclusive"}, (5000, "assumed")),
        ({"scope": "acme.llm", "semantics": "auto"}, (5000, "assumed")),
    ],
)
def test_the_meaning_of_counts_can_be_configured(
    row: dict[str, str], expected: tuple[int, str]
) -> None:
    call = CALL | {
        "gen_ai.usage.input_tokens": 5000,
        "gen_ai.usage.cache_read.input_tokens": 1000,
    }
    (left,) = sent(traces(span(1, attributes=call), scope="acme.llm"), token_semantics=[row])
    got = left.attributes
    assert (got["gen_ai.usage.input_tokens"], got["app.llm.usage.input_semantics"]) == expected


def test_auto_overrules_the_table_but_not_the_proof() -> None:
    call = CALL | {
        "gen_ai.usage.input_tokens": 500,
        "gen_ai.usage.cache_read.input_tokens": 1000,
    }
    rows = [{"scope": "codex*", "semantics": "inclusive"}]
    (left,) = sent(traces(span(1, attributes=call), scope="codex_otel"), token_semantics=rows)
    assert left.attributes["gen_ai.usage.input_tokens"] == 1500
    assert left.attributes["app.llm.usage.input_semantics"] == "proved"


def test_validate_tells_what_the_schema_cannot() -> None:
    written = {"settle": "6s", "token_semantics": [{"semantics": "auto"}]}
    found = list(check(resolve(schema("genai"), written), Context(id="genai")))
    assert [(one.path, one.warning) for one in found] == [
        ("settle", False),
        ("token_semantics[0]", True),
    ]
    assert not list(check(resolve(schema("genai"), {}), Context(id="genai")))


def test_one_instance_tells_of_the_shared_ledger_also_after_a_reload() -> None:
    context = sharing()
    old = [genai(context), genai(context)]
    new = [genai(context), genai(context)]
    for heir, predecessor in zip(new, old, strict=True):
        heir.adopt(predecessor)
    for instances in (old, new):
        told = [
            gauge()
            for one in instances
            for (name,), gauge in one.stats.gauges.items()
            if name == LEDGER_BYTES
        ]
        assert told == [0]
    new[1].process(batch(span(attributes=CALL)))
    assert new[0].stats.gauges[LEDGER_BYTES,]() > 0


def test_a_reload_keeps_the_ledger_and_what_waits() -> None:
    old, new = genai(), genai(settle="1s")
    old.process(batch(span(1, attributes=CALL), span(2, trace=2, attributes=AGENT), received_s=1))
    new.adopt(old)
    again = new.process(batch(span(1, attributes=CALL), received_s=1.5))
    assert again is not None
    assert [item.get(SKIP) for item in again.spans()] == ["duplicate_delivery"]
    (released,) = new.tick(int(2.6 * SECOND))
    assert [item.get("app.llm.usage.basis") for item in released.spans()] == ["aggregate"]
    assert list(old.close()) == []


# ------------------------------------------------------------------ emitters with peculiar totals


def test_of_tasks_of_one_agent_the_last_holds_all() -> None:
    scope = "opentelemetry.instrumentation.crewai"
    agents = [
        span(
            n, ms=(n * 100, n * 100 + 90), attributes=AGENT | {"gen_ai.usage.input_tokens": 100 * n}
        )
        for n in (1, 2, 3)
    ]
    left = sent(traces(*agents, scope=scope))
    assert [item.span_id[-1] for item in left if item.counted] == ["3"]


def test_running_totals_end_at_the_tool_of_any_emitter() -> None:
    (signal, request), *_ = requests(golden("m15-spring-bedrock-tool-loop"))
    group = request.resource_spans[0]  # type: ignore[attr-defined]
    scope = group.scope_spans[0]
    tool = next(one for one in scope.spans if one.name.startswith("tool_call"))
    other = group.scope_spans.add()
    other.scope.name = "acme.mcp"
    other.spans.add().CopyFrom(tool)
    scope.spans.remove(tool)
    del other.spans[0].attributes[1:]  # the operation alone is left
    graph = Graph()
    graph.send(signal, request.SerializeToString())
    got = ledger(graph.close())
    assert (got["model_calls"], got["input_tokens"]) == (1, 3800)


def test_running_totals_count_by_their_differences_across_requests() -> None:
    (signal, request), *_ = requests(golden("m15-spring-bedrock-tool-loop"))
    scope = request.resource_spans[0].scope_spans[0]  # type: ignore[attr-defined]
    parts = list(scope.spans)
    graph = Graph()
    for part in parts:
        del scope.spans[:]
        scope.spans.append(part)
        graph.send(signal, request.SerializeToString())
    left = graph.close()
    got = ledger(left)
    assert (got["input_tokens"], got["output_tokens"]) == (3800, 130)
    assert [item.attributes["gen_ai.usage.input_tokens"] for item in left if item.counted] == [
        1600,
        2200,
    ]


def test_a_second_sidecar_keeps_the_verdicts_of_the_first() -> None:
    first = genai()
    out = first.process(batch(span(1, attributes=CALL), span(1, attributes=CALL), received_s=1))
    assert out is not None
    second = genai()
    again = second.process(Batch(Signal.TRACES, out.encode(), received_ns=NOW_NS))
    assert again is not None
    assert [item.get(SKIP) for item in again.spans()] == [None, "duplicate_delivery"]
    assert again.encode() == out.encode()


# ------------------------------------------------------------------ log records


def record(trace: int = 0, **attributes: object) -> bytes:
    written = {
        "message": "llm_call_success",
        "model": "gpt-4o",
        "input_tokens": 100,
        "output_tokens": 10,
    }
    case = {"scope": "shop", "attributes": written | attributes}
    return log_request(case | {"trace_id": trace.to_bytes(16, "big")})


def test_a_record_that_is_delivered_twice_counts_once() -> None:
    graph = Graph()
    graph.send(Signal.LOGS, record())
    graph.send(Signal.LOGS, record())
    graph.send(Signal.LOGS, record(request_id="another"))
    reasons = [item.attributes.get(SKIP) for item in graph.close()]
    assert reasons == [None, "duplicate_delivery", None]


ID_OF: dict[str, dict[str, object]] = {
    "response": {"gen_ai.response.id": "resp-1"},
    "request": {"gen_ai.request.id": "req-1", "request_id": "req-1"},
}


@pytest.mark.parametrize("first", [Signal.TRACES, Signal.LOGS], ids=["span first", "log first"])
@pytest.mark.parametrize("common", ["response", "request"])
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside a call of another scope"])
@pytest.mark.parametrize("trace", [0, 2], ids=["no trace", "another trace"])
def test_a_record_outside_of_the_trace_of_its_span_and_this_count_once(
    common: str, first: Signal, others: int, trace: int
) -> None:
    """Loggers that know no span: rule 8 of the ledger asks for an id in common, in whatever trace."""
    both = ID_OF[common]
    sent_ = {
        Signal.LOGS: record(trace, **both),
        Signal.TRACES: traces(
            span(1, attributes=CALL | both),
            *(span(2, parent=1, attributes=CALL | {INPUT: 7}) for _ in range(others)),
        ),
    }
    graph = Graph()
    for signal in sorted(sent_, key=lambda signal: signal is not first):
        graph.send(signal, sent_[signal])
    left = graph.close()
    assert ledger(left)["model_calls"] == 1 + others
    reasons = {item.attributes.get(SKIP) for item in left} - {None}
    assert len(reasons) == 1
    assert reasons <= {"span_counted", "log_counted"}


@pytest.mark.parametrize("trace", [0, 1, 3], ids=["no trace", "the span's", "another trace"])
def test_one_record_stands_for_one_span(trace: int) -> None:
    common = ID_OF["request"]
    graph = Graph()
    graph.send(Signal.LOGS, record(trace, **common))
    graph.send(Signal.TRACES, traces(span(1, attributes=CALL | common)))
    graph.send(Signal.TRACES, traces(span(2, trace=2, attributes=CALL | common)))
    assert [item.attributes.get(SKIP) for item in graph.close()] == [None, "log_counted", None]


def test_a_record_counts_where_its_span_has_no_usage() -> None:
    common = ID_OF["response"]
    bare = {key: value for key, value in CALL.items() if ".usage." not in key}
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=bare | common)))
    graph.send(Signal.LOGS, record(**common))
    assert [item.attributes.get(SKIP) for item in graph.close()] == [None, None]


def test_a_record_that_was_found_by_its_counts_stands_for_no_other_span() -> None:
    common = ID_OF["response"]
    graph = Graph()
    graph.send(Signal.LOGS, record(1, **common))
    graph.send(Signal.TRACES, traces(span(1, attributes=CALL)))
    graph.send(Signal.TRACES, traces(span(2, trace=2, attributes=CALL | common)))
    assert [item.attributes.get(SKIP) for item in graph.close()] == [None, "log_counted", None]


def test_a_record_that_was_found_by_its_id_leaves_others_like_it_to_their_spans() -> None:
    common = ID_OF["response"]
    graph = Graph()
    graph.send(Signal.LOGS, record(1))
    graph.send(Signal.LOGS, record(1, **common))
    graph.send(Signal.TRACES, traces(span(1, attributes=CALL | common)))
    graph.send(Signal.TRACES, traces(span(2, attributes=CALL | {"gen_ai.response.id": "none"})))
    graph.send(Signal.TRACES, traces(span(3, attributes=CALL)))
    reasons = [item.attributes.get(SKIP) for item in graph.close()]
    assert reasons == [None, None, "log_counted", "log_counted", None]


@pytest.mark.parametrize("trace", [0, 1, 2], ids=["no trace", "the spans'", "another trace"])
def test_the_span_that_shares_an_id_with_a_record_stands_for_those_around_it(trace: int) -> None:
    """The span around an SDK's is written by the users, with an id of theirs, which the SDK does not know."""
    common = ID_OF["request"]
    graph = Graph()
    graph.send(Signal.LOGS, record(trace, **common))
    inner = span(2, parent=1, attributes=CALL)
    outer = span(1, attributes=CALL | common)
    graph.send(Signal.TRACES, traces(inner, outer))
    assert ledger(graph.close())["model_calls"] == 1


@pytest.mark.parametrize("trace", [0, 1, 2], ids=["no trace", "the spans'", "another trace"])
@pytest.mark.parametrize("first", [Signal.TRACES, Signal.LOGS], ids=["spans first", "log first"])
def test_a_record_of_a_sum_and_its_parts_count_once(first: Signal, trace: int) -> None:
    """Users who call a model twice for one answer log both in one, and wrap them in a span with the same totals."""
    totals = {"input_tokens": 200, "output_tokens": 20}
    whole = CALL | {f"gen_ai.usage.{name}": count for name, count in totals.items()}
    parts = [span(number, parent=1, attributes=CALL) for number in (2, 3)]
    common = ID_OF["request"]
    sent_ = {
        Signal.LOGS: record(trace, **totals, **common),
        Signal.TRACES: traces(*parts, span(1, attributes=whole | common)),
    }
    graph = Graph()
    for signal in sorted(sent_, key=lambda signal: signal is not first):
        graph.send(signal, sent_[signal])
    assert ledger(graph.close())["input_tokens"] == 200


def test_a_second_record_of_a_sum_is_its_sibling() -> None:
    whole = CALL | {INPUT: 200, "gen_ai.usage.output_tokens": 20}
    parts = [span(number, parent=1, attributes=CALL) for number in (2, 3)]
    first = traces(*parts, span(1, parent=9, attributes=whole), scope="langchain")
    second = traces(span(4, parent=9, attributes=whole), scope="haystack")
    assert ledger(sent(first, second))["input_tokens"] == 200


@pytest.mark.parametrize("trace", [0, 1, 2], ids=["no trace", "the spans'", "another trace"])
def test_calls_of_one_request_of_a_user_have_a_record_each(trace: int) -> None:
    """The wrappers have the user's request id, and the spans that they wrap, too."""
    common, graph = CALL | ID_OF["request"], Graph()
    for number in range(2):
        graph.send(Signal.LOGS, record(trace, number=number, **ID_OF["request"]))
    around = [span(n, ms=(0, 60), attributes=common) for n in (1, 3)]
    inside = [span(n, parent=n - 1, ms=(n, 50), attributes=common) for n in (2, 4)]
    graph.send(Signal.TRACES, traces(around[0], inside[0], around[1], inside[1]))
    assert [item.counted for item in graph.close()].count(True) == 2


def test_an_open_record_of_a_trace_that_closes_on_itself_leaves_when_its_log_record_is_found() -> (
    None
):
    counts = {INPUT: 500, "gen_ai.usage.output_tokens": 500}
    graph = Graph()
    graph.send(Signal.LOGS, record(1, input_tokens=7, **ID_OF["response"]))
    graph.send(Signal.TRACES, traces(span(1, parent=1, attributes=CALL | counts)))
    graph.send(Signal.TRACES, traces(span(2, parent=1, attributes=CALL)))
    logged = CALL | {INPUT: 7} | ID_OF["response"]
    graph.send(Signal.TRACES, traces(span(3, parent=1, attributes=logged)))
    assert {item.span_id[-1:] for item in graph.close()} == {"", "1", "2", "3"}


def test_ids_that_differ_are_different_calls() -> None:
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=CALL | {"gen_ai.response.id": "a"})))
    graph.send(Signal.LOGS, record(**{"gen_ai.response.id": "b"}))
    graph.send(Signal.LOGS, record(request_id="a"))
    assert [item.attributes.get(SKIP) for item in graph.close()] == [None, None, None]


def logged_and_traced(service_only_logs: bool) -> list[Left]:
    case = golden("m06-log-and-span-same-usage")
    graph = Graph({"log_only": ["codex_cli_rs"]} if service_only_logs else {})
    for signal, request in requests(case):
        graph.send(signal, request.SerializeToString())
    return graph.close()


def test_services_that_only_log_are_counted_by_their_records() -> None:
    assert ledger(logged_and_traced(True))["model_calls"] == 2
    assert ledger(logged_and_traced(False))["model_calls"] == 1


def test_metrics_are_not_its_business() -> None:
    assert Signal.METRICS not in genai().signals
