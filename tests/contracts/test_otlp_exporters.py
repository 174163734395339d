"""What every OTLP exporter promises, against a scripted backend with ids counted: gRPC, HTTP, and HTTP with JSON."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from collector.component import Exporter
from collector.config.settings import resolve
from collector.errors import Rejected
from collector.registry import components, schema_of
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Context
from tests.backends import (
    INVALID,
    OK,
    UNAVAILABLE,
    Backend,
    Received,
    Reply,
    Script,
    answer_in_turn,
    grpc_backend,
    http_backend,
    refuse_ids,
)
from tests.countable import logs, metrics, span_ids, traces

Serve = Callable[[Script], AbstractContextManager[Backend]]
KINDS: dict[str, tuple[str, Serve, dict[str, Any]]] = {
    "grpc": ("otlp_grpc", grpc_backend, {"tls": {"insecure": True}}),
    "http": ("otlp_http", http_backend, {}),
    "http-json": ("otlp_http", http_backend, {"encoding": "json"}),
}
QUICK = {"initial_interval": "10ms", "max_interval": "20ms", "max_elapsed_time": "10s"}


@dataclass
class Bench:
    """One exporter in front of one backend."""

    name: str
    exporter: Exporter
    backend: Backend
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def send(self, *batches: Batch) -> None:
        for batch in batches:
            assert self.exporter.room() is None
            self.exporter.export(batch)

    def count(self, name: str, *labels: str) -> float:
        return self.exporter.stats.counters[(f"otelcol_{name}", *labels)]

    def settled(self, items: int) -> None:
        """Wait until so many spans are counted as sent or lost."""
        until = time.monotonic() + 10
        while self.sent + self.lost < items:
            assert time.monotonic() < until, f"{self.sent} sent, {self.lost} lost of {items}"
            threading.Event().wait(0.002)

    @property
    def sent(self) -> float:
        return self.count("exporter_sent_spans_total")

    @property
    def lost(self) -> float:
        return self.count("exporter_send_failed_spans_total")

    def gauge(self, name: str) -> float:
        return self.exporter.stats.gauges[f"otelcol_exporter_{name}",]()


Start = Callable[..., Bench]


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    name, serve, own = request.param
    with ExitStack() as stack:

        def make(script: Script, *, retry: dict[str, Any] | None = None, **given: Any) -> Bench:
            backend = stack.enter_context(serve(script))
            written = {"endpoint": backend.endpoint, "retry_on_failure": retry or QUICK}
            component = components("exporters")[name]
            settings = resolve(schema_of(component.schema), written | own | given)
            said: list[tuple[str, dict[str, Any]]] = []
            context = Context(id=name, say=lambda text, **fields: said.append((text, fields)))
            assert [*component.check(settings, context)] == []
            exporter: Exporter = component.build(settings, context)
            exporter.start()
            stack.callback(exporter.stop, 0.0)
            return Bench(name, exporter, backend, said)

        yield make


def test_all_signals_arrive_as_they_were(start: Start) -> None:
    bench = start(answer_in_turn(OK))
    batches = [traces(span_ids(3)), logs(2), metrics(["a", "b"], points=2)]
    bench.send(*batches)
    bench.exporter.stop(10)
    arrived = {request.signal: request.raw for request in bench.backend.received}
    assert arrived == {batch.signal: batch.encode() for batch in batches}
    assert bench.sent == 3
    assert bench.count("exporter_sent_log_records_total") == 2
    assert bench.count("exporter_sent_metric_points_total") == 4
    assert bench.lost == 0


def test_headers_and_the_user_agent_are_sent(start: Start) -> None:
    bench = start(answer_in_turn(OK), headers={"X-Scope-OrgID": "team-a"})
    bench.send(traces(span_ids(1)))
    bench.exporter.stop(10)
    headers = bench.backend.received[0].headers
    assert headers["x-scope-orgid"] == "team-a"
    assert headers["user-agent"].startswith("otelcol-llm/")


@pytest.mark.parametrize("compression", ["gzip", "deflate", "none"])
def test_every_compression_arrives(start: Start, compression: str) -> None:
    batch = traces(span_ids(5), text="again " * 100)
    bench = start(answer_in_turn(OK), compression=compression)
    bench.send(batch)
    bench.exporter.stop(10)
    assert bench.backend.received[0].raw == batch.encode()


def test_empty_requests_are_not_sent(start: Start) -> None:
    bench = start(answer_in_turn(OK))
    bench.send(Batch(Signal.TRACES, b""), traces([]))
    bench.exporter.stop(10)
    assert bench.backend.received == []


def test_a_backend_that_is_down_for_a_while_gets_everything_once(start: Start) -> None:
    bench = start(answer_in_turn(*[UNAVAILABLE] * 5, OK))
    ids = span_ids(200)
    bench.send(*(traces(ids[at : at + 10]) for at in range(0, 200, 10)))
    bench.exporter.stop(10)
    assert bench.backend.delivered == dict.fromkeys(ids, 1)
    assert (bench.sent, bench.lost) == (200, 0)
    assert bench.count("llm_exporter_retries_total") == 5


def test_most_answers_unavailable_and_all_is_delivered(start: Start) -> None:
    def seven_of_ten(received: Received) -> Reply:
        return UNAVAILABLE if received.number % 10 < 7 else OK

    bench = start(seven_of_ten)
    ids = span_ids(500)
    bench.send(*(traces(ids[at : at + 5]) for at in range(0, 500, 5)))
    bench.exporter.stop(20)
    assert bench.backend.delivered == dict.fromkeys(ids, 1)
    assert (bench.sent, bench.lost) == (500, 0)


G = grpc.StatusCode
RETRYABLE = [
    Reply(code=G.CANCELLED, status=429),
    Reply(code=G.DEADLINE_EXCEEDED, status=502),
    Reply(code=G.ABORTED, status=503),
    Reply(code=G.OUT_OF_RANGE, status=504),
    Reply(code=G.UNAVAILABLE, status=503, retry_info_s=0.0, retry_after="0"),
    Reply(code=G.DATA_LOSS, status=503, retry_after="garbage"),
    Reply(
        code=G.RESOURCE_EXHAUSTED,
        status=429,
        retry_info_s=0.01,
        retry_after="Wed, 21 Oct 2015 07:28:00 GMT",
    ),
]
PERMANENT = [
    Reply(code=G.UNKNOWN, status=500),
    Reply(code=G.NOT_FOUND, status=404),
    Reply(code=G.ALREADY_EXISTS, status=409),
    Reply(code=G.PERMISSION_DENIED, status=403),
    Reply(code=G.RESOURCE_EXHAUSTED, status=431),
    Reply(code=G.FAILED_PRECONDITION, status=412),
    Reply(code=G.UNIMPLEMENTED, status=405),
    Reply(code=G.INTERNAL, status=501),
    Reply(code=G.INTERNAL, status=302),
    Reply(code=G.UNAUTHENTICATED, status=401),
    Reply(code=G.INVALID_ARGUMENT, status=400),
]


def name_of(reply: Reply) -> str:
    return f"{reply.code.name}-{reply.status}"


@pytest.mark.parametrize("reply", RETRYABLE, ids=name_of)
def test_these_answers_are_tried_again(start: Start, reply: Reply) -> None:
    bench = start(answer_in_turn(reply, OK))
    bench.send(traces(span_ids(1)))
    bench.exporter.stop(10)
    assert len(bench.backend.received) == 2
    assert (bench.sent, bench.lost) == (1, 0)


@pytest.mark.parametrize("reply", PERMANENT, ids=name_of)
def test_these_answers_are_final(start: Start, reply: Reply) -> None:
    bench = start(answer_in_turn(reply, OK), retry=QUICK | {"unauthenticated_interval": 0})
    bench.send(traces(span_ids(1)))
    bench.exporter.stop(10)
    assert len(bench.backend.received) == 1
    assert (bench.sent, bench.lost) == (0, 1)
    assert [text for text, _ in bench.said] == ["Data could not be delivered."]


def test_the_backend_says_how_long_to_wait(start: Start) -> None:
    throttled = Reply(code=G.UNAVAILABLE, status=503, retry_info_s=1.0, retry_after="1")
    bench = start(answer_in_turn(throttled, OK))
    began = time.monotonic()
    bench.send(traces(span_ids(1)))
    bench.settled(1)
    assert time.monotonic() - began >= 1.0
    assert bench.sent == 1


def test_one_poison_span_of_512_costs_itself_alone(start: Start) -> None:
    ids = span_ids(512)
    bench = start(refuse_ids({ids[300]}))
    bench.send(traces(ids, scopes=3))
    bench.exporter.stop(10)
    assert bench.backend.delivered == dict.fromkeys(set(ids) - {ids[300]}, 1)
    assert (bench.sent, bench.lost) == (511, 1)
    assert bench.count("llm_exporter_dropped_items_total", "traces", "invalid") == 1
    assert len(bench.backend.received) <= 1 + 19


def test_poison_in_one_request_does_not_harm_those_joined_with_it(start: Start) -> None:
    ids = span_ids(100)
    bench = start(refuse_ids({ids[50]}), sending_queue={"batch": {"min_size": 100}})
    bench.send(*(traces(ids[at : at + 10]) for at in range(0, 100, 10)))
    bench.exporter.stop(10)
    assert bench.backend.delivered == dict.fromkeys(set(ids) - {ids[50]}, 1)
    assert (bench.sent, bench.lost) == (99, 1)


def test_partial_success_is_counted_and_not_sent_again(start: Start) -> None:
    bench = start(answer_in_turn(Reply(rejected=3, text="three were bad")))
    bench.send(traces(span_ids(10)))
    bench.exporter.stop(10)
    assert len(bench.backend.received) == 1
    assert (bench.sent, bench.lost) == (7, 3)
    assert bench.count("llm_exporter_dropped_items_total", "traces", "partial_success") == 3


def test_an_endless_answer_is_not_read(start: Start) -> None:
    bench = start(answer_in_turn(Reply(padding=8 << 20)))
    bench.send(traces(span_ids(10)))
    bench.settled(10)
    assert len(bench.backend.received) == 1


def test_a_hanging_backend_costs_the_timeout(start: Start) -> None:
    bench = start(answer_in_turn(Reply(hang=True), OK), timeout="300ms")
    began = time.monotonic()
    bench.send(traces(span_ids(10)))
    bench.settled(10)
    assert time.monotonic() - began >= 0.3
    assert bench.sent == 10


def test_no_more_requests_are_on_their_way_than_consumers(start: Start) -> None:
    queue = {"num_consumers": 3, "batch": {"min_size": 0}}
    bench = start(answer_in_turn(Reply(hang=True)), sending_queue=queue, timeout="60s")
    bench.send(*(traces(span_ids(1)) for _ in range(20)))
    bench.backend.wait_for(lambda: len(bench.backend.received) == 3)
    assert bench.gauge("in_flight_requests") == 3
    bench.backend.released.set()
    bench.exporter.stop(10)
    assert len(bench.backend.received) <= 20


def test_a_full_queue_refuses_and_counts(start: Start) -> None:
    bench = start(answer_in_turn(Reply(hang=True)), sending_queue={"queue_size": 2})
    bench.send(traces(span_ids(4)), traces(span_ids(4)))
    assert isinstance(bench.exporter.room(), Overloaded)
    with pytest.raises(Overloaded):
        bench.exporter.export(traces(span_ids(4)))
    assert bench.count("exporter_enqueue_failed_spans_total") == 4
    assert bench.gauge("queue_size") == bench.gauge("queue_capacity") == 2


def test_batches_are_joined_and_cut(start: Start) -> None:
    batch = {"min_size": 50, "max_size": 60, "flush_timeout": "10s"}
    bench = start(answer_in_turn(OK), sending_queue={"batch": batch, "num_consumers": 1})
    ids = span_ids(200)
    bench.send(*(traces(ids[at : at + 5]) for at in range(0, 100, 5)), traces(ids[100:]))
    bench.exporter.stop(10)
    assert bench.backend.delivered == dict.fromkeys(ids, 1)
    sizes = [len(request.ids) for request in bench.backend.received]
    assert max(sizes) <= 60
    assert len(sizes) <= 5


def test_requests_above_what_servers_take_are_cut(start: Start) -> None:
    bench = start(answer_in_turn(OK), sending_queue={"max_bytes": "64MiB"})
    ids = span_ids(60)
    bench.send(traces(ids, text="x" * 100_000))
    bench.exporter.stop(10)
    assert bench.backend.delivered == dict.fromkeys(ids, 1)
    assert [len(request.raw) <= 4 << 20 for request in bench.backend.received] == [True, True]


def test_a_sender_may_wait_for_the_answer(start: Start) -> None:
    bench = start(answer_in_turn(OK), sending_queue={"wait_for_result": True})
    ticket = bench.exporter.export(traces(span_ids(1)))
    assert ticket is not None
    ticket.wait(10)
    assert len(bench.backend.received) == 1


def test_a_sender_that_waits_hears_a_refusal(start: Start) -> None:
    bench = start(answer_in_turn(INVALID), sending_queue={"enabled": False})
    ticket = bench.exporter.export(traces(span_ids(1)))
    assert ticket is not None
    with pytest.raises(Rejected):
        ticket.wait(10)


def test_a_sender_that_waits_is_told_to_come_back(start: Start) -> None:
    bench = start(
        answer_in_turn(UNAVAILABLE), sending_queue={"enabled": False}, retry={"enabled": False}
    )
    ticket = bench.exporter.export(traces(span_ids(1)))
    assert ticket is not None
    with pytest.raises(Overloaded):
        ticket.wait(10)


def test_refused_credentials_keep_the_data(start: Start) -> None:
    refused = Reply(code=G.UNAUTHENTICATED, status=401)
    bench = start(answer_in_turn(refused, OK), retry=QUICK | {"unauthenticated_interval": "50ms"})
    bench.send(*(traces([span_id]) for span_id in span_ids(20)))
    bench.settled(20)
    assert bench.backend.delivered == dict.fromkeys(span_ids(20), 1)


def test_loss_and_recovery_are_said_once(start: Start) -> None:
    bench = start(answer_in_turn(INVALID, INVALID, OK))
    for _ in range(4):
        bench.send(traces(span_ids(1)))
        bench.settled(bench.sent + bench.lost + 1)
    bench.exporter.stop(10)
    assert [text for text, _ in bench.said] == [
        "Data could not be delivered.",
        "Data is delivered again.",
    ]
    assert {fields["exporter"] for _, fields in bench.said} == {bench.name}


# ------------------------------------------------------------------ life


def test_stopping_delivers_what_waits(start: Start) -> None:
    batch = {"min_size": 100_000, "flush_timeout": "1h"}
    bench = start(answer_in_turn(OK), sending_queue={"batch": batch})
    ids = span_ids(30)
    bench.send(*(traces([span_id]) for span_id in ids))
    bench.exporter.stop(10)
    assert bench.backend.delivered == dict.fromkeys(ids, 1)


def test_stopping_does_not_wait_for_a_dead_backend_beyond_the_deadline(start: Start) -> None:
    bench = start(answer_in_turn(UNAVAILABLE), retry={"initial_interval": "1h"})
    bench.send(*(traces([span_id]) for span_id in span_ids(30)))
    bench.backend.wait_for(lambda: bench.backend.received)
    bench.exporter.stop(0.5)
    assert (bench.sent, bench.lost) == (0, 30)
    assert bench.count("llm_exporter_dropped_items_total", "traces", "shutdown") == 30
    assert bench.gauge("queue_size") == 0


def test_stopping_does_not_wait_for_a_hanging_backend_beyond_the_deadline(start: Start) -> None:
    bench = start(answer_in_turn(Reply(hang=True)), timeout="1h")
    bench.send(traces(span_ids(3)))
    bench.backend.wait_for(lambda: bench.backend.received)
    bench.exporter.stop(0.2)
    assert bench.sent + bench.lost == 3


def test_stopping_twice_or_without_a_start_is_safe(start: Start) -> None:
    bench = start(answer_in_turn(OK))
    bench.send(traces(span_ids(1)))
    bench.exporter.stop(10)
    bench.exporter.stop(10)
    assert bench.sent == 1
    with pytest.raises(Overloaded):
        bench.exporter.export(traces(span_ids(1)))


def test_a_destination_that_is_down_at_the_start_is_no_error(start: Start) -> None:
    bench = start(answer_in_turn(OK), endpoint="http://127.0.0.1:1", retry={"enabled": False})
    bench.send(traces(span_ids(2)))
    bench.settled(2)
    assert (bench.sent, bench.lost) == (0, 2)


def test_two_destinations_do_not_hold_each_other_up(start: Start) -> None:
    hanging = start(answer_in_turn(Reply(hang=True)), timeout="1h")
    healthy = start(answer_in_turn(OK))
    ids = span_ids(50)
    for span_id in ids:
        hanging.send(traces([span_id]))
        healthy.send(traces([span_id]))
    healthy.settled(50)
    assert healthy.backend.delivered == dict.fromkeys(ids, 1)
    assert hanging.sent == 0
