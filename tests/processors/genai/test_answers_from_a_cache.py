"""What a gateway answers from its cache costs nothing, and the call that filled the cache counts once all the same.

The answer carries the ids of that call, and its counts: by these it would pass for another report of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.batch import Signal
from processors.wire import Value
from tests.processors.genai.replay import SKIP, STATUS, Graph, Left
from tests.processors.genai.test_emitters import log_request
from tests.telemetry import span, traces

CALL: dict[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.response.id": "resp-1",
}
HIT = CALL | {"litellm.cache_hit": True}
MESSAGE: dict[str, object] = {"message": "llm_call_success"}
USD = 0.0035
"""At 2.50 and 10 USD per million tokens (openai.com/api/pricing, 2026-11)."""
CLIENT_KIND = 3
SCOPES = ["opentelemetry.instrumentation.openai_v2", "openinference.instrumentation.langchain"]
"""Of the client: nearer to the vendor than a gateway, and less near."""
ROOT, CLIENT, GATEWAY, CACHED, LOG = 1, 2, 3, 9, 0
REPORTERS = st.sets(st.sampled_from([CLIENT, GATEWAY, LOG]), min_size=1)
SPANS = {
    CLIENT: span(CLIENT, parent=ROOT, kind=CLIENT_KIND, attributes=CALL),
    GATEWAY: span(GATEWAY, parent=CLIENT, ms=(10, 90), attributes=CALL),
}
GATEWAY_SCOPE = "litellm"


def cached(trace: int, parent: int) -> dict[str, object]:
    return span(CACHED, trace, parent=parent, ms=(5000, 5010), attributes=HIT)


def log(trace: int, **attributes: object) -> bytes:
    written = MESSAGE | CALL | attributes
    return log_request(
        {"scope": "shop", "trace_id": trace.to_bytes(16, "big"), "attributes": written}
    )


def cost(left: Left) -> Value:
    return left.attributes.get("app.llm.cost_usd", 0.0)


def of_span(left: Sequence[Left], number: int) -> Left:
    (found,) = [one for one in left if one.span_id == f"{number:016x}"]
    return found


@pytest.mark.parametrize("prefer", ["client", "gateway"])
@pytest.mark.parametrize("scope", SCOPES, ids=["sdk", "framework"])
@pytest.mark.parametrize("log_trace", [0, 1, 2, 3])
@pytest.mark.parametrize(("trace", "parent"), [(1, ROOT), (1, 5), (2, 0)])
@settings(max_examples=15, deadline=None)
@given(reporters=REPORTERS, data=st.data())
def test_a_call_and_an_answer_from_the_cache_that_it_filled_each_count_once(
    prefer: str,
    scope: str,
    log_trace: int,
    trace: int,
    parent: int,
    reporters: set[int],
    data: st.DataObject,
) -> None:
    spans = SPANS | {CACHED: cached(trace, parent)}
    graph = Graph({"prefer": prefer})
    together = b""
    for number in data.draw(st.permutations([*reporters, CACHED])):
        if number == LOG:
            graph.send(Signal.TRACES, together)
            graph.send(Signal.LOGS, log(log_trace))
            together = b""
            continue
        together += traces(spans[number], scope=scope if number == CLIENT else GATEWAY_SCOPE)
        if data.draw(st.booleans()):
            graph.send(Signal.TRACES, together)
            together = b""
    graph.send(Signal.TRACES, together)
    left = graph.close()
    assert len(left) == len(reporters) + 1
    assert [cost(one) for one in left if one.counted and cost(one)] == [pytest.approx(USD)]
    answer = of_span(left, CACHED)
    assert (answer.attributes.get(STATUS), cost(answer)) == ("cached", 0.0)


@pytest.mark.parametrize("first", [Signal.TRACES, Signal.LOGS])
@pytest.mark.parametrize("trace", [0, 1, 2])
def test_an_answer_from_a_cache_that_is_logged_as_such_counts_once(
    first: Signal, trace: int
) -> None:
    graph = Graph()
    raw = {
        Signal.TRACES: traces(span(1, attributes=HIT)),
        Signal.LOGS: log(trace, **{"litellm.cache_hit": True}),
    }
    second = Signal.LOGS if first is Signal.TRACES else Signal.TRACES
    graph.send(first, raw[first])
    graph.send(second, raw[second])
    counted, repeated = graph.close()
    assert counted.attributes[STATUS] == "cached"
    assert SKIP in repeated.attributes


@pytest.mark.parametrize("prefer", ["client", "gateway"])
@pytest.mark.parametrize("scope", SCOPES, ids=["sdk", "framework"])
@pytest.mark.parametrize("order", ["together", "gateway first"])
def test_a_client_whose_gateway_answers_from_its_cache_costs_nothing(
    prefer: str, scope: str, order: str
) -> None:
    client = traces(SPANS[CLIENT], scope=scope)
    gateway = traces(span(GATEWAY, parent=CLIENT, ms=(10, 90), attributes=HIT), scope=GATEWAY_SCOPE)
    graph = Graph({"prefer": prefer})
    for raw in [client + gateway] if order == "together" else [gateway, client]:
        graph.send(Signal.TRACES, raw)
    left = graph.close()
    assert [one.attributes[STATUS] for one in left if one.counted] == ["cached"]


def test_a_client_whose_gateway_called_the_model_after_all_costs_what_that_does() -> None:
    gateway = [span(4, parent=CLIENT, ms=(5, 9), attributes=HIT), SPANS[GATEWAY]]
    graph = Graph()
    graph.send(
        Signal.TRACES,
        traces(SPANS[CLIENT], scope=SCOPES[0]) + traces(*gateway, scope=GATEWAY_SCOPE),
    )
    assert [cost(one) for one in graph.close() if one.counted] == [pytest.approx(USD)]


def answered(number: int, ms: tuple[int, int]) -> tuple[Signal, bytes]:
    """A gateway's span of an answer from its cache, below the client's."""
    hit = span(number, parent=CLIENT, ms=ms, attributes=HIT)
    return Signal.TRACES, traces(hit, scope=GATEWAY_SCOPE)


def orders(
    reports: Mapping[str, tuple[Signal, bytes]], prefer: str
) -> Iterator[tuple[str, Sequence[Left]]]:
    """Send reports in every order and cut into requests in every way."""
    for order in permutations(reports):
        for cuts in product((False, True), repeat=len(order) - 1):
            graph, together = Graph({"prefer": prefer}), b""
            for name, cut in zip(order, (*cuts, True), strict=True):
                signal, raw = reports[name]
                if signal is Signal.LOGS:
                    graph.send(Signal.TRACES, together)
                    graph.send(signal, raw)
                    together = b""
                    continue
                together += raw
                if cut:
                    graph.send(Signal.TRACES, together)
                    together = b""
            graph.send(Signal.TRACES, together)
            yield f"{order} {cuts}", graph.close()


@pytest.mark.parametrize("prefer", ["client", "gateway"])
def test_a_real_call_beside_an_answer_from_a_cache_keeps_its_cost(prefer: str) -> None:
    reports = {
        "client": (Signal.TRACES, traces(SPANS[CLIENT], scope=SCOPES[0])),
        "answer": answered(4, (5, 9)),
        "call": (Signal.TRACES, traces(SPANS[GATEWAY], scope=GATEWAY_SCOPE)),
    }
    for order, left in orders(reports, prefer):
        costs = [cost(one) for one in left if one.counted and cost(one)]
        assert costs == [pytest.approx(USD)], order


@pytest.mark.parametrize("prefer", ["client", "gateway"])
@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without ids"])
@pytest.mark.parametrize("with_client", [True, False])
def test_a_log_record_of_an_answer_from_a_cache_need_not_know_of_the_cache(
    prefer: str, ids: bool, with_client: bool
) -> None:
    own = CALL if ids else {k: v for k, v in CALL.items() if k != "gen_ai.response.id"}
    record = {
        "scope": "shop",
        "trace_id": (1).to_bytes(16, "big"),
        "time_ms": 95,
        "attributes": MESSAGE | own,
    }
    reports = {"answer": answered(GATEWAY, (10, 90)), "log": (Signal.LOGS, log_request(record))}
    if with_client:
        reports["client"] = (Signal.TRACES, traces(SPANS[CLIENT], scope=SCOPES[0]))
    for order, left in orders(reports, prefer):
        assert len([one for one in left if one.counted]) == 1, order
