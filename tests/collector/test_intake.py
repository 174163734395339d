"""What is refused at the door: before any stage has seen it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from collector.clock import Clock
from collector.component import Limits, Taken
from collector.intake import Gate, GraphIntake, InFlight, Route
from collector.outlet import Outlet
from collector.pipeline import Pipeline, Stage
from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.reading import WORTHWHILE, Group
from tests.telemetry import span, traces


class Counter(Stateless):
    """Counts the spans it sees, and the batches whose texts nobody proved."""

    seen = unproved = 0

    def process(self, batch: Batch) -> Batch:
        self.seen += len(batch)
        self.unproved += batch.reading is not None
        return batch


class Reader(Counter):
    """Keeps the texts of spans, too."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[object] = []

    def process(self, batch: Batch) -> Batch:
        super().process(batch)
        self.texts += [item.get("text") for item in batch.spans()]
        return batch


def small(raw: bytes, items: int) -> Overloaded | None:
    """Have room for one span."""
    return Overloaded("full") if items > 1 else None


def test_a_request_that_does_not_fit_is_seen_by_no_stage() -> None:
    counter = Counter()
    pipeline = Pipeline("traces", Signal.TRACES, [Stage("counter", counter)], [], [])
    route = Route([pipeline], [], [], [small])
    intake = GraphIntake(Gate(Clock(), InFlight(1 << 20)), {Signal.TRACES: route})
    intake.open()
    with pytest.raises(Overloaded, match="full"):
        intake.consume(Signal.TRACES, traces(span(1), span(2)), Limits(), "grpc")
    assert counter.seen == 0
    assert intake.stats.counters["otelcol_receiver_refused_spans_total", "grpc"] == 2
    intake.consume(Signal.TRACES, traces(span(1)), Limits(), "grpc")
    assert counter.seen == 1


class Commit:
    """A ticket that is settled when told so."""

    def __init__(self) -> None:
        self.failure: Overloaded | None = None
        self.known = threading.Event()

    def settled(self) -> bool:
        return self.known.is_set()

    def wait(self, timeout_s: float | None = None) -> None:
        assert self.known.wait(timeout_s or 20)
        if self.failure is not None:
            raise self.failure


def intake_with(
    *sinks: Callable[[Batch], Ticket | None], **route: Any
) -> tuple[GraphIntake, Counter]:
    """Return an open intake in front of one stage and these sinks."""
    counter, gate = Counter(), Gate(Clock(), InFlight(1 << 20))
    outlets = [Outlet(sink, False) for sink in sinks]
    pipeline = Pipeline("traces", Signal.TRACES, [Stage("counter", counter)], outlets, gate.tickets)
    routes = {Signal.TRACES: Route([pipeline], **({"rooms": [], "queues": []} | route))}
    intake = GraphIntake(gate, routes)
    intake.open()
    return intake, counter


def test_an_offer_is_processed_at_once_and_settled_with_its_commit() -> None:
    commit = Commit()
    intake, counter = intake_with(lambda batch: commit)
    offer = intake.offer(Signal.TRACES, traces(span(1)), Limits(), "grpc")
    assert counter.seen == 1
    assert not offer.settled()
    commit.known.set()
    assert offer.settled()
    assert offer.result() == Taken()
    assert intake.stats.counters == {("otelcol_receiver_accepted_spans_total", "grpc"): 1}


def test_an_offer_that_could_not_be_committed_is_refused_and_counted_so() -> None:
    commit = Commit()
    commit.failure = Overloaded("the disk is full")
    commit.known.set()
    intake, _ = intake_with(lambda batch: commit)
    with pytest.raises(Overloaded, match="the disk is full"):
        intake.offer(Signal.TRACES, traces(span(1)), Limits(), "grpc").result()
    assert intake.stats.counters == {("otelcol_receiver_refused_spans_total", "grpc"): 1}


def test_an_offer_without_items_is_settled() -> None:
    intake, counter = intake_with()
    offer = intake.offer(Signal.TRACES, b"", Limits(), "grpc")
    assert offer.settled()
    assert offer.result() == Taken()
    assert counter.seen == 0


def test_an_offer_does_not_wait_for_room() -> None:
    def wait_for_ever() -> Overloaded | None:
        raise AssertionError

    intake, counter = intake_with(queues=[wait_for_ever], crowded=[lambda: True])
    assert intake.crowded(Signal.TRACES)
    intake.offer(Signal.TRACES, traces(span(1)), Limits(), "grpc")
    assert counter.seen == 1


def test_an_intake_is_crowded_until_its_graph_is_complete() -> None:
    intake = GraphIntake(Gate(Clock(), InFlight(1)), {Signal.TRACES: Route([], [], [])})
    assert intake.crowded(Signal.TRACES)
    intake.open()
    assert not intake.crowded(Signal.TRACES)


def test_a_request_that_finds_no_room_is_refused_before_any_stage() -> None:
    intake, counter = intake_with(queues=[lambda: Overloaded("the queue is full")])
    with pytest.raises(Overloaded, match="the queue is full"):
        intake.consume(Signal.TRACES, traces(span(1)), Limits(), "http")
    assert counter.seen == 0
    assert intake.stats.counters == {("otelcol_receiver_refused_spans_total", "http"): 1}


LARGE = traces(span(1, attributes={"text": "MARK", "more": "x" * WORTHWHILE}))
BAD = LARGE.replace(b"MARK", b"caf\xe9")
REPAIRED = "otelcol_llm_receiver_repaired_strings_total"


@pytest.mark.parametrize("unproved", [False, True], ids=["put in", "taken away"])
def test_texts_are_proved_whether_a_sampler_is_put_in_or_taken_away_meanwhile(
    unproved: bool,
) -> None:
    def reload() -> None:
        intake.redirect({Signal.TRACES: Route(behind, [], [], unproved=not unproved)})

    reader = Reader()
    behind = [
        Pipeline(name, Signal.TRACES, [Stage("reader", reader)], [], [])
        for name in ("traces", "traces/too")
    ]
    intake, _ = intake_with(queues=[reload], unproved=unproved)
    intake.consume(Signal.TRACES, BAD, Limits(), "http")
    assert (reader.texts, reader.unproved) == (["caf\ufffd"] * 2, 2 * unproved)
    assert intake.stats.counters[REPAIRED, "traces", "http"] == 1


def read_groups() -> int:
    """Return how many groups of spans are in memory as they were read."""
    return sum(type(one) is Group for one in gc.get_objects())


class Waiting(Commit):
    """Looks what is in memory while a sender waits."""

    groups = -1

    def wait(self, timeout_s: float | None = None) -> None:
        self.groups = read_groups()


def test_what_was_read_is_forgotten_while_a_sender_waits() -> None:
    ticket, before = Waiting(), read_groups()
    intake, counter = intake_with(lambda batch: ticket, unproved=True)
    intake.consume(Signal.TRACES, LARGE, Limits(), "http")
    assert (counter.seen, counter.unproved, ticket.groups) == (1, 1, before)
