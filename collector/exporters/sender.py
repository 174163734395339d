"""The threads between a queue and a destination, what they count and what they say.

A thread waits for a load, delivers it (retries included) and takes the next; another is started only when all that
exist are busy, up to `num_consumers`. Calls block: measured with gRPC, 150 to 210 µs a request against 165 to 280 for
futures with callbacks, which wake one more thread per reply.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, Protocol

from collector.component import storage_of
from collector.errors import ExportFailed, NoRoom, Rejected
from collector.exporters.delivery import Answer, Delivery, Outcome
from collector.exporters.queue import Queue, SendingQueue, Taken
from collector.exporters.queue_config import QueueConfig
from collector.exporters.retry import RetryConfig
from collector.exporters.shelf import Shelf
from processors.base import ALL_SIGNALS
from processors.batch import Batch, Signal
from processors.errors import Finding, Overloaded
from processors.ports import Context, Ticket
from processors.requests import USUAL_REQUEST_BYTES, Request
from processors.stats import Histogram, Stats

LAST_RETRY_S: Final = 0.5
"""Longest pause between attempts while stopping: there is no time for long ones."""
GRACE_S: Final = 2.0
"""What a thread gets to notice that its call was cancelled."""
QUIET_S: Final = 60.0
"""Losses are said at most this often, and so is that a destination began to fail."""

_RETRIES: Final = "otelcol_llm_exporter_retries_total"
_SIZES: Final = (10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 5000, 10000, 50000)


class Transport(Protocol):
    """How one request gets to the destination. `push` is called by several threads."""

    def connect(self) -> None:
        """Prepare connections, without waiting for any. Raises: `StartError`."""

    def push(self, request: Request) -> Answer:
        """Send the request once, within the configured timeout. Raises: `ExportFailed`."""

    def disconnect(self) -> None:
        """Close the connections; calls that still hang fail. Safe without `connect`, and twice."""


class Sender:
    """An exporter: takes batches from a pipeline and delivers them by a transport."""

    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS
    blind: ClassVar[bool] = True

    def __init__(
        self,
        *,
        transport: Transport,
        sending: QueueConfig,
        retry: RetryConfig,
        say: Callable[..., None],
        open_shelf: Callable[[], Shelf] | None = None,
    ) -> None:
        """`open_shelf`: where the queue is kept, opened by `start`; without it, in memory alone."""
        self.stats = Stats()
        self._sending = sending
        self._open_shelf = open_shelf
        self._queue: Queue = SendingQueue(sending, lost=self._lost)
        self._delivery = Delivery(
            transport.push,
            retry,
            self._pause,
            most_items=sending.most_items,
            most_bytes=min(sending.most_bytes or USUAL_REQUEST_BYTES, USUAL_REQUEST_BYTES),
            failed=self._tell_failure,
        )
        self._transport = transport
        self._most_threads = sending.num_consumers
        self._say = say
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._stopping = threading.Event()
        self._out_of_time = threading.Event()
        self._failing = False
        self._quiet_until_s = self._patient_until_s = 0.0
        self._register()

    def _register(self) -> None:
        self.stats.gauges["otelcol_exporter_queue_size",] = lambda: self._queue.size()
        self.stats.gauges["otelcol_exporter_queue_capacity",] = lambda: self._queue.capacity
        self.stats.gauges["otelcol_exporter_in_flight_requests",] = self._in_flight
        self._sizes = Histogram(_SIZES)
        self.stats.histograms["otelcol_exporter_queue_batch_send_size",] = self._sizes

    def _in_flight(self) -> int:
        return len(self._threads) - self._idle

    # -- as an exporter

    def expect(self, signals: Iterable[Signal]) -> None:
        """Show from 0 what is counted of these signals."""
        with self._lock:
            self.stats.from_zero(_RETRIES)
            for signal in signals:
                for outcome in ("sent", "send_failed", "enqueue_failed"):
                    self.stats.from_zero(f"otelcol_exporter_{outcome}_{signal.items}_total")

    def start(self) -> None:
        if self._open_shelf is not None:
            self._queue = SendingQueue(self._sending, self._open_shelf(), lost=self._lost)
        self._queue.open()
        self._transport.connect()
        with self._lock:
            self._add_thread()

    def room(self) -> Overloaded | None:
        return self._no_room(self._queue.room())

    def crowded(self) -> bool:
        return self._queue.crowded()

    def fits(self, requests: int, items: int, size: int) -> Overloaded | None:
        return self._no_room(self._queue.fits(requests, items, size))

    def claim(self, requests: int, items: int, size: int) -> None:
        self._queue.claim(requests, items, size)

    def export(self, batch: Batch) -> Ticket | None:
        items = len(batch)
        if not items:
            return None
        try:
            return self._queue.put(Request(batch.signal, batch.encode(), items), batch.source)
        except Overloaded:
            if not batch.follows:  # otherwise it waits, and is offered again
                self._refused(batch.signal, items)
            raise

    def _no_room(self, why: Overloaded | None) -> Overloaded | None:
        return NoRoom(why, self._refused) if why is not None else None

    def _refused(self, signal: Signal, items: int) -> None:
        with self._lock:
            self.stats.counters[f"otelcol_exporter_enqueue_failed_{signal.items}_total",] += items

    def stop(self, deadline_s: float) -> None:
        """Deliver what waits until the deadline. What is left then stays on disk, or is lost, counted and said."""
        self._queue.close()
        self._stopping.set()
        self._join(deadline_s)
        self._out_of_time.set()
        self._transport.disconnect()
        self._join(GRACE_S)
        if self._queue.durable:
            self._queue.leave()
        else:
            self._consume()
            self._tell_end()

    # -- threads

    def _join(self, within_s: float) -> None:
        end_s = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))

    def _add_thread(self) -> None:
        name = f"sender-{len(self._threads)}"
        thread = threading.Thread(target=self._consume, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _consume(self) -> None:
        more = True
        while more and not self._ended():
            more = self._deliver_next()

    def _deliver_next(self) -> bool:
        """Deliver a load; False when there will be no other. A function of its own, so that a thread that waits for the
        next load keeps nothing of the last one."""
        taken = self._take()
        if taken is None:
            return False
        if self._out_of_time.is_set():
            self._leave(taken, Outcome())
            return True
        return self._settle(taken, self._deliver(taken))

    def _ended(self) -> bool:
        """Whether what still waits is not to be taken any more: time ran out, and it is safe where it is."""
        return self._queue.durable and self._out_of_time.is_set()

    def _deliver(self, taken: Taken) -> Outcome:
        try:
            return self._delivery.deliver(taken.request, taken.requests)
        except Exception as bug:  # noqa: BLE001 - the edge of a thread: a bug costs this load, not the exporter
            outcome = Outcome()
            failure = ExportFailed(f"{type(bug).__name__} in the exporter", retryable=False)
            outcome.drop("internal_error", taken.request.items, failure)
            return outcome

    def _take(self) -> Taken | None:
        with self._lock:
            self._idle += 1
        taken = self._queue.take()
        with self._lock:
            self._idle -= 1
            if taken and not self._idle and self._may_grow():
                self._add_thread()
        return taken

    def _may_grow(self) -> bool:
        """Whether another thread is of use; nobody would wait for one that starts when time is out."""
        return len(self._threads) < self._most_threads and not self._out_of_time.is_set()

    def _pause(self, delay_s: float) -> bool:
        """Wait before another attempt; False when there is no time for one."""
        if not self._stopping.wait(delay_s):
            return True
        if self._queue.durable:
            return False
        return not self._out_of_time.wait(min(delay_s, LAST_RETRY_S))

    # -- results

    def _settle(self, taken: Taken, outcome: Outcome) -> bool:
        """Enter what became of a load; False when nothing more can be delivered and the rest stays where it is."""
        if outcome.kept:
            self._leave(taken, outcome)
            return not self._queue.durable
        self._count(taken.request.signal, outcome)
        self._queue.ack(taken, _refusal(outcome), outcome.dead)
        self._tell(outcome)
        return True

    def _leave(self, taken: Taken, outcome: Outcome) -> None:
        """Time ran out: a durable queue delivers the load after the next start, another one loses it."""
        if self._queue.durable:
            self._queue.nack(taken)
            return
        owed = taken.request.items - outcome.sent - outcome.dropped.total()
        outcome.drop("shutdown", owed, ExportFailed("The collector stopped.", retryable=True))
        outcome.kept = False
        self._settle(taken, outcome)

    def _count(self, signal: Signal, outcome: Outcome) -> None:
        counters = self.stats.counters
        with self._lock:
            counters[f"otelcol_exporter_sent_{signal.items}_total",] += outcome.sent
            if outcome.dropped:
                counters[f"otelcol_exporter_send_failed_{signal.items}_total",] += (
                    outcome.dropped.total()
                )
            for reason, items in outcome.dropped.items():
                counters["otelcol_llm_exporter_dropped_items_total", signal.label, reason] += items
            if outcome.retries:
                counters[_RETRIES,] += outcome.retries
            self._sizes.observe(outcome.sent + outcome.dropped.total())

    def _lost(self, signal: Signal, reason: str, items: int) -> None:
        """Enter what was dropped while it waited."""
        outcome = Outcome()
        why = ExportFailed("It was dropped from the queue.", retryable=True)
        outcome.drop(reason, items, why)
        self._count(signal, outcome)
        self._tell(outcome)

    def _tell_failure(self, failure: ExportFailed) -> None:
        """Say of the first failure in a row that the data waits for another attempt."""
        with self._lock:
            now_s = time.monotonic()
            if self._failing or now_s < self._patient_until_s:
                return
            self._patient_until_s = now_s + QUIET_S
            self._failing = True
        text = "Delivery fails and is tried again; the data waits."
        self._say(text, level=logging.WARNING, why=str(failure))

    def _tell(self, outcome: Outcome) -> None:
        """Say that data was lost, and once that it is delivered again."""
        if "shutdown" in outcome.dropped:
            return  # said once for all
        if outcome.dropped and time.monotonic() >= self._quiet_until_s:
            self._quiet_until_s = time.monotonic() + QUIET_S
            self._failing = True
            self._say(
                "Data could not be delivered.",
                level=logging.ERROR,
                dropped=dict(outcome.dropped),
                why=str(outcome.failure),
            )
        elif self._failing and outcome.sent and not outcome.dropped:
            self._failing = False
            self._say("Data is delivered again.")

    def _tell_end(self) -> None:
        """Say how much the end of the process cost, together."""
        name, counters = "otelcol_llm_exporter_dropped_items_total", self.stats.counters
        lost = sum(counters.get((name, signal.label, "shutdown"), 0) for signal in Signal)
        if lost:
            text = "Data was not delivered before the collector stopped and is lost."
            self._say(text, level=logging.ERROR, items=lost)


def _refusal(outcome: Outcome) -> Exception | None:
    """Return what a sender that waited for the result is told."""
    failure = outcome.failure
    if failure is None or not outcome.dropped:
        return None
    return Overloaded(str(failure)) if failure.retryable else Rejected(str(failure))


def sending_findings(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what is wrong with `sending_queue`."""
    queue = settings["sending_queue"]
    batch = queue.get("batch")
    if batch and batch["max_size"] and batch["max_size"] < batch["min_size"]:
        text = f"expected at least min_size ({batch['min_size']}) or 0, got {batch['max_size']}"
        yield Finding("sending_queue.batch.max_size", text)
    if queue["storage"] and queue["wait_for_result"]:
        text = (
            "expected false with storage, which acknowledges a request once it is on disk, got true"
        )
        yield Finding("sending_queue.wait_for_result", text)


def shelf_of(settings: Mapping[str, Any], context: Context) -> Callable[[], Shelf] | None:
    """Return what opens the place on disk that `sending_queue.storage` names; None without one."""
    queue = settings["sending_queue"]
    name = queue["storage"]
    if not name or not queue["enabled"]:
        return None
    return lambda: storage_of(context.extension(name), name).queue(context.id)
