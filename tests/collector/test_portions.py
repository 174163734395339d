"""A large request goes through the graph in portions, and is still one request to its sender."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from collector import handover
from collector.clock import Clock
from collector.component import Limits, Taken
from collector.config.load import load
from collector.errors import Rejected
from collector.exporters.queue import SendingQueue
from collector.exporters.queue_config import NATURAL, QueueConfig
from collector.graph import Graph
from collector.intake import Gate, GraphIntake, InFlight, Offer, Route
from collector.outlet import Outlet
from collector.pipeline import Pipeline, Stage
from collector.portions import LONGEST_WAIT_S, MOST_BYTES, MOST_ITEMS, InBacklog
from collector.state import State
from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.requests import Request
from tests.collector.stages import Swapper
from tests.countable import logs, span_ids, traces

LARGE = 3 * MOST_ITEMS + 1
IDS = span_ids(LARGE)


class Marker(Stateless):
    """Writes on every span, as processors do."""

    def process(self, batch: Batch) -> Batch:
        for span in batch.spans():
            span.set("seen", value=True)
        return batch


class Sink:
    """Keeps what it gets while it has room for so many batches."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.got: list[bytes] = []

    def __call__(self, batch: Batch) -> Ticket | None:
        if len(self.got) >= self.room:
            raise Overloaded("full")
        self.got.append(batch.encode())
        return None

    @property
    def sizes(self) -> list[int]:
        return [len(Batch(Signal.TRACES, raw)) for raw in self.got]

    @property
    def ids(self) -> list[bytes]:
        spans = [span for raw in self.got for span in Batch(Signal.TRACES, raw).spans()]
        assert all(span.get("seen") for span in spans)
        return sorted(span.span_id for span in spans)


def intake_with(sink: Callable[[Batch], Any], **route: Any) -> tuple[GraphIntake, Gate, Pipeline]:
    gate = Gate(Clock(), InFlight(1 << 30))
    stages = [Stage("marker", Marker())]
    line = Pipeline("traces", Signal.TRACES, stages, [Outlet(sink, False)], gate.tickets)
    settings: dict[str, Any] = {"rooms": [], "queues": [], "in_portions": True} | route
    intake = GraphIntake(gate, {Signal.TRACES: Route([line], **settings)})
    intake.open()
    return intake, gate, line


def offer(intake: GraphIntake, ids: Sequence[bytes] = IDS, text: str = "") -> Offer:
    offered = intake.offer(Signal.TRACES, traces(ids, text=text).encode(), Limits(), "grpc")
    offered.enter()
    return offered


def test_a_large_request_goes_through_in_portions() -> None:
    sink = Sink()
    intake, _, _ = intake_with(sink)
    assert offer(intake).result() == Taken()
    assert sink.sizes == [MOST_ITEMS] * 3 + [1]
    assert sink.ids == IDS
    assert intake.stats.counters == {("otelcol_receiver_accepted_spans_total", "grpc"): LARGE}


def test_few_large_items_go_through_in_portions() -> None:
    sink = Sink()
    intake, _, _ = intake_with(sink)
    offer(intake, span_ids(10), text="x" * (MOST_BYTES // 4))
    assert sink.sizes == [3, 3, 3, 1]


def test_a_usual_request_goes_through_as_it_came() -> None:
    came: list[bytes] = []
    intake, _, line = intake_with(lambda batch: came.append(batch.raw))
    sent = traces(span_ids(MOST_ITEMS)).encode()
    line.stages = []
    intake.consume(Signal.TRACES, sent, Limits(), "grpc")
    assert came[0] is sent


def test_others_have_their_turn_between_two_portions() -> None:
    served = threading.Event()

    def serve() -> None:
        with gate.lock:
            served.set()

    class Asked(Sink):
        """Another thread asks for the lock with the first portion; the last one comes after it."""

        def __call__(self, batch: Batch) -> None:
            if not self.got:
                threading.Thread(target=serve).start()
            super().__call__(batch)
            after.append(served.is_set())

    after: list[bool] = []
    intake, gate, _ = intake_with(Asked())
    offer(intake, span_ids(20 * MOST_ITEMS))
    assert (after[0], after[-1]) == (False, True)


def test_each_portion_has_a_time_of_its_own() -> None:
    """What others brought in between is older than the next portion: time never goes back."""
    times: list[int] = []
    intake, _, _ = intake_with(lambda batch: times.append(batch.received_ns))
    offer(intake)
    assert times == sorted(set(times))


def test_a_request_whose_first_portion_is_refused_was_never_there() -> None:
    sink = Sink(room=0)
    intake, _, line = intake_with(sink)
    with pytest.raises(Overloaded, match="full"):
        offer(intake)
    assert (line.backlog.waiting, sink.got) == (0, [])
    assert intake.stats.counters == {("otelcol_receiver_refused_spans_total", "grpc"): LARGE}


def queue_of(size: int, unit: str = "requests") -> SendingQueue:
    config = QueueConfig(
        enabled=True,
        num_consumers=1,
        queue_size=size,
        max_bytes=1 << 30,
        sizer=unit,
        block_on_overflow=False,
        wait_for_result=False,
        joining=NATURAL,
        most_items=0,
        most_bytes=0,
    )
    return SendingQueue(config)


def into(*queues: SendingQueue) -> tuple[GraphIntake, Gate, Pipeline]:
    """Return an intake before these queues."""

    def put(batch: Batch) -> None:
        for queue in queues:
            queue.put(Request(batch.signal, batch.encode(), len(batch)))

    return intake_with(put, bounded=[(queue, 1) for queue in queues])


def test_a_request_that_enters_in_portions_does_not_hold_up_who_offers_it() -> None:
    """He reads the requests of others."""
    sink = Sink()
    intake, _, _ = intake_with(sink)
    offered = intake.offer(Signal.TRACES, traces(IDS).encode(), Limits(), "grpc")
    assert (offered.settled(), sink.got) == (False, [])
    assert offered.result() == Taken()
    assert sink.ids == IDS


@pytest.mark.parametrize(("unit", "fits"), [("requests", 1 + 4), ("items", 1 + LARGE)])
def test_room_for_all_portions_is_claimed_before_the_first_one(unit: str, fits: int) -> None:
    enough, too_small = queue_of(fits, unit), queue_of(fits - 1, unit)
    for queue in (enough, too_small):
        queue.put(Request(Signal.TRACES, b"", 1))
    intake, _, _ = into(enough, too_small)
    with pytest.raises(Overloaded, match="full"):
        offer(intake)
    assert (enough.size(), too_small.size()) == (1, 1)
    intake, _, line = into(enough)
    assert offer(intake).settled()
    assert (enough.size(), line.backlog.waiting) == (fits, 0)


def test_the_room_of_later_portions_is_not_given_to_others() -> None:
    class Other(Marker):
        """Asks for room after each portion."""

        def process(self, batch: Batch) -> Batch:
            asked.append([queue.fits(slots, 1, 1) is None for slots in (1, 2)])
            return super().process(batch)

    asked: list[list[bool]] = []
    queue = queue_of(5)
    intake, _, line = into(queue)
    line.stages = [Stage("other", Other())]
    assert offer(intake).settled()
    assert asked == [[True, False]] * 4
    assert (line.backlog.waiting, queue.size()) == (0, 4)


@pytest.mark.parametrize("ids", [IDS, IDS[:1]])
@pytest.mark.parametrize("room", [0, 10])
def test_nothing_is_claimed_once_a_request_was_taken_or_refused(
    ids: Sequence[bytes], room: int
) -> None:
    queue = queue_of(2)
    intake, _, _ = intake_with(Sink(room), bounded=[(queue, 1)])
    with suppress(Overloaded):
        offer(intake, ids)
    queue.put(Request(Signal.TRACES, b"", 1))
    assert queue.fits(1, 1, 1) is None


def test_later_portions_wait_for_room_and_so_does_their_sender() -> None:
    sink = Sink(room=2)
    intake, _, line = intake_with(sink)
    offered = offer(intake)
    assert (line.backlog.waiting, line.backlog.room() is not None) == (MOST_ITEMS + 1, True)
    assert not offered.settled()
    sink.room = 4
    assert offered.result() == Taken()
    assert (sink.ids, line.backlog.waiting) == (IDS, 0)


def test_a_sender_waits_until_there_is_room() -> None:
    class Slow(Sink):
        """Has room for one more each time it refused."""

        def __call__(self, batch: Batch) -> None:
            try:
                super().__call__(batch)
            except Overloaded:
                self.room += 1
                raise

    sink = Slow(room=1)
    intake, _, _ = intake_with(sink)
    assert offer(intake).result() == Taken()
    assert sink.ids == IDS


def test_nobody_waits_for_what_a_portion_pushes_out() -> None:
    """The portion itself is held, and what comes out is another request's: that one was answered before."""
    intake, _, line = intake_with(Sink(room=0))
    line.stages = [Stage("swapper", Swapper())]
    assert offer(intake).settled()
    assert line.backlog.waiting == LARGE - 1


def test_branches_know_what_follows() -> None:
    """Who could refuse sees which portions are not to be."""
    seen: list[list[bool]] = [[], []]
    gate = Gate(Clock(), InFlight(1 << 30))
    outlets = [Outlet(lambda batch, to=to: to.append(batch.follows), True) for to in seen]
    line = Pipeline("traces", Signal.TRACES, [], outlets, gate.tickets)
    intake = GraphIntake(gate, {Signal.TRACES: Route([line], [], [], in_portions=True)})
    intake.open()
    offer(intake)
    assert seen == [[False, True, True, True]] * 2


def test_ticks_hand_on_what_waits() -> None:
    sink = Sink(room=1)
    intake, _, line = intake_with(sink)
    offered = offer(intake)
    sink.room = 4
    while line.tick(1):
        pass
    line.tick(2)
    assert offered.settled()
    assert sink.ids == IDS


def test_a_sender_that_waits_for_a_disk_waits_for_every_portion() -> None:
    class Commit:
        """A ticket that is settled when told so."""

        def __init__(self) -> None:
            self.known = False

        def settled(self) -> bool:
            return self.known

        def wait(self, timeout_s: float | None = None) -> None:
            assert self.known

    commits: list[Commit] = []

    def commit(batch: Batch) -> Ticket:
        commits.append(Commit())
        return commits[-1]

    intake, _, _ = intake_with(commit)
    offered = offer(intake)
    assert len(commits) == 4
    for number, one in enumerate(commits):
        assert not offered.settled(), number
        one.known = True
    assert offered.settled()


def test_a_sender_is_told_when_a_portion_that_waited_is_rejected() -> None:
    class Refusal:
        """A ticket of who will never take it."""

        def settled(self) -> bool:
            return True

        def wait(self, timeout_s: float | None = None) -> None:
            raise Rejected("no such tenant")

    class Tenant(Sink):
        """Takes portions, but for those that waited."""

        def __call__(self, batch: Batch) -> Ticket | None:
            super().__call__(batch)
            return Refusal() if self.room > 1 else None

    sink = Tenant(room=1)
    intake, _, _ = intake_with(sink)
    offered = offer(intake)
    sink.room = 4
    with pytest.raises(Rejected, match="no such tenant"):
        offered.result()


def test_a_sender_is_told_when_room_does_not_come() -> None:
    _, gate, line = intake_with(Sink(room=0))
    late = InBacklog(gate, line, until=0.0)
    assert not line.follow(traces(span_ids(1)), late)
    with pytest.raises(Overloaded, match="found no room in time"):
        late.wait()
    assert line.backlog.waiting == 1


def test_all_portions_of_a_request_wait_together() -> None:
    """A sender does not wait for each of them as long as for one."""
    intake, _, _ = intake_with(Sink(room=1))
    began = time.monotonic()
    waiting = [ticket for ticket in offer(intake).tickets if isinstance(ticket, InBacklog)]
    until = {ticket.until for ticket in waiting}
    assert (len(waiting), len(until)) == (3, 1)
    assert began + LONGEST_WAIT_S <= until.pop() <= time.monotonic() + LONGEST_WAIT_S


@pytest.mark.parametrize("state", ["draining", "closed"])
def test_the_end_of_the_process_does_not_wait_for_room(state: str) -> None:
    intake, gate, _ = intake_with(Sink(room=1))
    offered = offer(intake)
    setattr(gate, state, True)
    with pytest.raises(Overloaded, match="found no room in time"):
        offered.result()


def test_nothing_enters_pipelines_that_were_emptied() -> None:
    class Stop(Sink):
        def __call__(self, batch: Batch) -> None:
            super().__call__(batch)
            gate.draining = gate.closed = len(self.got) == 2

    sink = Stop()
    intake, gate, _ = intake_with(sink)
    with pytest.raises(Overloaded, match="shutting down"):
        offer(intake)
    assert len(sink.got) == 2


def test_a_stop_lets_the_rest_of_a_request_in() -> None:
    class Stop(Sink):
        def __call__(self, batch: Batch) -> None:
            super().__call__(batch)
            gate.draining = True

    sink = Stop()
    intake, gate, _ = intake_with(sink)
    assert offer(intake).result() == Taken()
    assert sink.ids == IDS


def test_after_a_reload_the_rest_enters_the_new_graph() -> None:
    class Reload(Sink):
        def __call__(self, batch: Batch) -> None:
            super().__call__(batch)
            intake.redirect({Signal.TRACES: Route([line], [], [])})

    old, new = Reload(), Sink()
    intake, _, _ = intake_with(old)
    _, _, line = intake_with(new)
    assert offer(intake).result() == Taken()
    assert (len(old.got), len(new.got)) == (1, 3)


def test_the_rest_is_refused_when_a_reload_takes_the_signal_away() -> None:
    class Reload(Sink):
        def __call__(self, batch: Batch) -> None:
            super().__call__(batch)
            intake.redirect({})

    sink = Reload()
    intake, _, _ = intake_with(sink)
    with pytest.raises(Overloaded, match="no pipeline takes traces any more"):
        offer(intake)
    assert len(sink.got) == 1
    assert intake.stats.counters == {("otelcol_receiver_refused_spans_total", "grpc"): LARGE}


def test_what_a_replaced_receiver_still_reads_enters_the_new_graph(tmp_path: Path) -> None:
    state = State(Gate(Clock(), InFlight(1)))
    path = tmp_path / "collector.yaml"
    path.write_text(RELOADED)
    old = Graph(load([str(path)]).config, state)
    handover.take_over(old)
    path.write_text(RELOADED.replace("16", "32"))
    new = Graph(load([str(path)]).config, state, previous=old)
    assert new.receivers["otlp"] is not old.receivers["otlp"]
    intake = old.intakes["otlp"]
    handover.take_over(new, old)
    intake.consume(Signal.TRACES, traces(span_ids(1)).encode(), Limits())
    stages = [graph.stage("traces", "batch") for graph in (old, new)]
    assert [stage and stage.flow.incoming for stage in stages] == [0, 1]


RELOADED = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0", max_recv_msg_size_mib: 16}}}}
processors: {batch: {timeout: 16s}}
exporters: {otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}}
"""

# ------------------------------------------------------------------ where it is done

CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {genai: {}, memory_limiter: {check_interval: 1s, limit_mib: 100}}
connectors: {forward: {}, llm_metrics: {}}
exporters:
  otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}
  debug: {verbosity: VERBOSITY}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/in: {receivers: [otlp], processors: [memory_limiter], exporters: [forward]}
    traces/out: {receivers: [forward], processors: [STAGES], exporters: [otlp, debug, SINKS]}
    metrics: {receivers: [llm_metrics], exporters: [debug]}
"""


@pytest.mark.parametrize(
    ("stages", "sinks", "verbosity", "in_portions"),
    [
        ("", "", "basic", False),
        ("genai", "", "basic", True),
        ("", "llm_metrics", "basic", True),
        ("", "", "normal", True),
    ],
)
def test_only_where_somebody_looks_inside_is_a_request_cut(
    tmp_path: Path, stages: str, sinks: str, verbosity: str, *, in_portions: bool
) -> None:
    """Bytes that are only handed on take no time, however many they are."""
    text = CONFIG.replace("STAGES", stages).replace(", SINKS", f", {sinks}" if sinks else "")
    if not sinks:
        text = text.replace("    metrics: {receivers: [llm_metrics], exporters: [debug]}\n", "")
    path = tmp_path / "collector.yaml"
    path.write_text(text.replace("VERBOSITY", verbosity))
    graph = Graph(load([str(path)]).config, State(Gate(Clock(), InFlight(1))))
    handover.take_over(graph)
    route = graph.routes.of("otlp")[Signal.TRACES]
    assert (route.in_portions, len(route.bounded)) == (in_portions, 1)


@pytest.mark.parametrize(
    ("holding", "asked"), [("", 2), ("in", 0), ("out", 1), ("in out", 0), ("beside", 2)]
)
@pytest.mark.parametrize("stage", ["batch", "tail_sampling"])
def test_queues_behind_what_holds_data_back_need_no_room_now(
    tmp_path: Path, holding: str, asked: int, stage: str
) -> None:
    """They would have to be empty, almost, when a large request comes."""
    text = HOLDING
    for name in ("in", "out", "beside"):
        stages = f"[genai, {stage}]" if name in holding.split() else "[genai, batch/off]"
        text = text.replace(f"STAGES_{name}", stages)
    path = tmp_path / "collector.yaml"
    path.write_text(text)
    graph = Graph(load([str(path)]).config, State(Gate(Clock(), InFlight(1))))
    handover.take_over(graph)
    route = graph.routes.of("otlp")[Signal.TRACES]
    assert [len(route.bounded), len(route.queues), len(route.crowded)] == [asked] * 3


HOLDING = """
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}
  otlp/beside: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}
processors:
  genai: {}
  batch: {}
  batch/off: {timeout: 0s}
  tail_sampling: {policies: [{name: all, type: always_sample}]}
connectors: {forward: {}}
exporters:
  otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}
  otlp/out: {endpoint: "127.0.0.1:9", tls: {insecure: true}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/in: {receivers: [otlp], processors: STAGES_in, exporters: [forward, otlp]}
    traces/out: {receivers: [forward], processors: STAGES_out, exporters: [otlp/out]}
    traces/beside: {receivers: [otlp/beside], processors: STAGES_beside, exporters: [forward]}
"""


def test_other_signals_are_cut_in_order(tmp_path: Path) -> None:
    came: list[Batch] = []
    gate = Gate(Clock(), InFlight(1 << 30))
    outlets = [Outlet(lambda batch: came.append(Batch(Signal.LOGS, batch.encode())), False)]
    line = Pipeline("logs", Signal.LOGS, [], outlets, gate.tickets)
    intake = GraphIntake(gate, {Signal.LOGS: Route([line], [], [], in_portions=True)})
    intake.open()
    intake.consume(Signal.LOGS, logs(MOST_ITEMS + 5).encode(), Limits())
    ids = [record.span_id for batch in came for record in batch.log_records()]
    assert (len(came), ids) == (2, span_ids(MOST_ITEMS + 5))


WAITING = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {attributes: {actions: [{key: a, action: delete}]}}
exporters:
  otlp:
    endpoint: "127.0.0.1:9"
    tls: {insecure: true}
    sending_queue: {queue_size: 1, wait_for_result: true}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [attributes], exporters: [otlp]}
"""


def test_a_sender_that_waits_across_a_reload_learns_that_its_portions_arrived(
    tmp_path: Path,
) -> None:
    state = State(Gate(Clock(), InFlight(1 << 20)))
    path = tmp_path / "collector.yaml"
    path.write_text(WAITING)
    old = Graph(load([str(path)]).config, state)
    handover.take_over(old)
    offered = offer(old.intakes["otlp"], IDS[: MOST_ITEMS + 1])
    new = Graph(load([str(path)]).config, state, old)
    handover.take_over(new, old)
    handover.retire(old, new, 0.0)
    queue = new.exporters["otlp"]._queue  # type: ignore[attr-defined] # a sender's
    for _ in range(2):
        assert not offered.settled()
        new.tick()
        queue.ack(queue.take())
        new.tick()
    assert offered.settled()
    assert offered.result() == Taken()
