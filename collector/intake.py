"""Where receivers hand requests in: admission, the graph's lock, the wait for a commit, and the counting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from collector.clock import Clock
from collector.component import Bounded, Limits, Taken, wait_all
from collector.errors import NoRoom, Rejected, TooLarge
from collector.pipeline import Pipeline
from collector.portions import LONGEST_WAIT_S, MOST_BYTES, MOST_ITEMS, PAUSE_S, Claim, InBacklog
from processors.admission import Admitted, admit, prove_texts
from processors.batch import Batch, Signal
from processors.errors import Malformed, Overloaded, Oversized
from processors.ports import Ticket
from processors.reading import WORTHWHILE, Reading
from processors.requests import Portions, Request
from processors.stats import Stats

Room = Callable[[], Overloaded | None]
Fits = Callable[[bytes, int], Overloaded | None]

_REFUSED_EARLY: Final = "otelcol_llm_receiver_refused_requests_total"
_REJECTED: Final = "otelcol_llm_receiver_rejected_requests_total"
_REPAIRED: Final = "otelcol_llm_receiver_repaired_strings_total"


class InFlight:
    """Bytes of requests that are being read or processed, bounded for the whole process."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._lock = threading.Lock()

    def reserve(self, size: int) -> None:
        """Claim `size` bytes. Raises: `Overloaded`. One request is always let in, whatever its size."""
        with self._lock:
            if self.size and self.size + size > self.limit:
                raise Overloaded("too many bytes of requests in flight", retry_after_s=1.0)
            self.size += size

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._lock:
            self.size -= size


@dataclass(slots=True)
class Gate:
    """What all intakes of a graph share: the lock, what stops them, what they wait for."""

    clock: Clock
    in_flight: InFlight
    lock: threading.Lock = field(default_factory=threading.Lock)
    tickets: list[Ticket] = field(default_factory=list)
    draining: bool = False
    closed: bool = False
    """Set once the pipelines are emptied for good: not even the rest of a request enters."""


@dataclass(frozen=True, slots=True)
class Route:
    """What one signal of a receiver leads to."""

    pipelines: Sequence[Pipeline]
    rooms: Sequence[Room]
    """Of the processors on the way: asked before a body is read, must not block."""
    queues: Sequence[Room]
    """Of the exporters that get a request at once: asked before it is processed, may block."""
    fits: Sequence[Fits] = ()
    """Of the processors on the way that tell by the request itself: asked under the lock, before the first stage."""
    crowded: Sequence[Callable[[], bool]] = ()
    """Of the exporters in `queues`: whether they would refuse or wait now; must not block."""
    in_portions: bool = False
    """Whether a large request is taken in portions, because it takes long."""
    unproved: bool = False
    """Whether what a request enters first copes with texts that nobody proved: see `processors.base`."""
    bounded: Sequence[tuple[Bounded, int]] = ()
    """Exporters that get a request at once, and how many times, by different ways: asked under the lock, before the
    first stage, for room for all."""


class Offer:
    """A request that was admitted: see `component.Offered`."""

    __slots__ = ("_admitted", "_intake", "_outside", "_signal", "_transport", "tickets")

    def __init__(
        self, intake: GraphIntake, signal: Signal, admitted: Admitted, transport: str
    ) -> None:
        self._intake = intake
        self._signal = signal
        self._admitted = admitted
        self._transport = transport
        self._outside = bool(admitted.items)
        """Whether it has not entered the pipelines yet."""
        self.tickets: Sequence[Ticket] = ()

    def wait_for_room(self) -> None:
        """Wait for a graph, and for room in it, unless it has entered. Raises: `Overloaded`; counts it."""
        if self._outside:
            with self.counting_refusals():
                self._intake.wait_for_room(self._signal)

    def enter(self) -> None:
        """Enter the pipelines, unless that is done. Raises: `Overloaded`; counts it."""
        if self._outside:
            self._outside = False
            request = Request(self._signal, self._admitted.raw, self._admitted.items)
            reading = self._intake.reading(self._signal, self._admitted, self._transport)
            self._admitted = self._admitted._replace(groups=None)
            with self.counting_refusals():
                self.tickets = self._intake.hand_on(request, reading)

    @contextmanager
    def counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except Overloaded as refused:
            self._count("refused")
            if isinstance(refused, NoRoom):
                refused.count(self._signal, self._admitted.items)
            raise

    def settled(self) -> bool:
        return not self._outside and all(ticket.settled() for ticket in self.tickets)

    def result(self) -> Taken:
        self.enter()
        with self.counting_refusals():
            wait_all(self.tickets)
        if self._admitted.items:
            self._count("accepted")
        return Taken(self._admitted.rejected, self._admitted.message)

    def _count(self, outcome: str) -> None:
        name = f"otelcol_receiver_{outcome}_{self._signal.items}_total"
        self._intake.stats.counters[name, self._transport] += self._admitted.items


class GraphIntake:
    """The `Intake` of one receiver."""

    def __init__(self, gate: Gate, routes: dict[Signal, Route], stats: Stats | None = None) -> None:
        self.signals = frozenset(routes)
        self.stats = stats or Stats()
        self._gate = gate
        self._routes = routes
        self._transports: Sequence[str] = ()
        self._opened = threading.Event()

    def expect(self, transports: Sequence[str]) -> None:
        """Show from 0 what is counted of requests that come by these transports."""
        self._transports = transports
        labels = [signal.label for signal in self.signals]
        self.stats.from_zero(_REFUSED_EARLY, labels)
        self.stats.from_zero(_REJECTED, labels, transports)
        self.stats.from_zero(_REPAIRED, labels, transports)
        for signal in self.signals:
            self.stats.from_zero(f"otelcol_receiver_accepted_{signal.items}_total", transports)
            self.stats.from_zero(f"otelcol_receiver_refused_{signal.items}_total", transports)
            self.stats.from_zero(f"otelcol_llm_receiver_rejected_{signal.items}_total", transports)

    def open(self) -> None:
        """Let requests through: the graph behind is complete."""
        self._opened.set()

    def redirect(self, routes: dict[Signal, Route]) -> None:
        """Lead to another graph from the next request on."""
        self.signals = frozenset(routes)
        self._routes = routes
        self.expect(self._transports)

    def refusal(self, signal: Signal) -> Overloaded | None:
        """Say whether a request would be refused now; never blocks."""
        if self._gate.draining:
            return Overloaded("the collector is shutting down", retry_after_s=1.0)
        for room in self._routes[signal].rooms:
            refused = room()
            if refused is not None:
                self.stats.counters[_REFUSED_EARLY, signal.label] += 1
                return refused
        return None

    def turned_away(self, signal: Signal, error: Exception, transport: str) -> None:
        if isinstance(error, Overloaded):
            self.stats.counters[_REFUSED_EARLY, signal.label] += 1
        elif isinstance(error, Rejected):
            self.stats.counters[_REJECTED, signal.label, transport] += 1

    def reserve(self, size: int) -> None:
        self._gate.in_flight.reserve(size)

    def release(self, size: int) -> None:
        self._gate.in_flight.release(size)

    def crowded(self, signal: Signal) -> bool:
        return not self._opened.is_set() or any(
            crowded() for crowded in self._routes[signal].crowded
        )

    def consume(self, signal: Signal, raw: bytes, limits: Limits, transport: str = "") -> Taken:
        """Take one request. Raises: `Rejected`, `Overloaded`."""
        offer = Offer(self, signal, self._admit(signal, raw, limits, transport), transport)
        offer.wait_for_room()
        return offer.result()

    def offer(self, signal: Signal, raw: bytes, limits: Limits, transport: str = "") -> Offer:
        """Take one request without waiting; what enters in portions does so with `result`. Raises: `Rejected`,
        `Overloaded`."""
        admitted = self._admit(signal, raw, limits, transport)
        offer = Offer(self, signal, admitted, transport)
        if not self._in_portions(signal, admitted.raw, admitted.items):
            offer.enter()
        return offer

    def _admit(self, signal: Signal, raw: bytes, limits: Limits, transport: str) -> Admitted:
        counters = self.stats.counters
        try:
            admitted = admit(signal, raw, limits.max_items, unproved=self._unproved(signal))
        except Malformed as bad:
            counters[_REJECTED, signal.label, transport] += 1
            raise (TooLarge if isinstance(bad, Oversized) else Rejected)(str(bad)) from bad
        if admitted.rejected:
            counters[f"otelcol_llm_receiver_rejected_{signal.items}_total", transport] += (
                admitted.rejected
            )
        self._count_repaired(signal, transport, admitted.repaired)
        return admitted

    def _unproved(self, signal: Signal) -> int:
        """Return from how many bytes an item on texts need not be proved; 0: never."""
        route = self._routes.get(signal)
        return WORTHWHILE if route is not None and route.unproved else 0

    def _count_repaired(self, signal: Signal, transport: str, strings: int) -> None:
        if strings:
            self.stats.counters[_REPAIRED, signal.label, transport] += strings

    def reading(self, signal: Signal, admitted: Admitted, transport: str) -> Reading | None:
        """Return what was read of a request, if anything."""
        if admitted.groups is None:
            return None

        @cache  # counted once, whatever pipelines ask
        def prove(raw: bytes) -> bytes:
            proved, repaired = prove_texts(signal, raw)
            self._count_repaired(signal, transport, repaired)
            return proved

        return Reading(admitted.groups, prove)

    def wait_for_room(self, signal: Signal) -> None:
        """Wait for the graph behind, and for room in its queues. Raises: `Overloaded`."""
        self._opened.wait()
        for queue in self._route(signal).queues:
            refused = queue()
            if refused is not None:
                raise refused

    def _in_portions(self, signal: Signal, raw: bytes, items: int) -> bool:
        return (items > MOST_ITEMS or len(raw) > MOST_BYTES) and self._route(signal).in_portions

    def hand_on(self, request: Request, reading: Reading | None) -> list[Ticket]:
        """Take a request, and what was read of it, into the pipelines. Raises: `Overloaded`."""
        if reading is None and self._in_portions(*request):
            return self._hand_on_in_portions(request)
        until = time.monotonic() + LONGEST_WAIT_S
        with self._gate.lock:
            self._ask(request)
            return self._enter(request, until, reading)

    def _hand_on_in_portions(self, request: Request) -> list[Ticket]:
        """See `portions`."""
        until = time.monotonic() + LONGEST_WAIT_S
        gate = self._gate
        with gate.lock:
            self._ask(request)  # before it is cut, so that to refuse it costs little
        pieces = Portions(request, MOST_ITEMS, MOST_BYTES)
        with gate.lock:
            self._ask(request, len(pieces))
            claim = Claim(self._route(request.signal).bounded, request, len(pieces))
        with claim:
            rest = iter(pieces)
            first = next(rest)
            with gate.lock:
                tickets = self._enter(first, until)
                claim.came(first)
            for piece in rest:
                time.sleep(PAUSE_S)
                with gate.lock:
                    tickets += self._enter(piece, until, begun=True)
                    claim.came(piece)
        return tickets

    def _ask(self, request: Request, portions: int = 1) -> None:
        """Ask whether there is room for a request that comes in so many portions. Raises: `Overloaded`."""
        signal, raw, items = request
        route = self._route(signal)
        for fit in route.fits:
            refused = fit(raw, items)
            if refused is not None:
                raise refused
        for queue, times in route.bounded:
            refused = queue.fits(times * portions, times * items, times * len(raw))
            if refused is not None:
                raise refused

    def _enter(
        self, request: Request, until: float, reading: Reading | None = None, *, begun: bool = False
    ) -> list[Ticket]:
        """Let a request, or a portion of it, into the pipelines; where it waits for room, its sender gets an answer
        `until` then. Raises: `Overloaded`, unless it has `begun`: nobody refuses what another pipeline has."""
        gate, (signal, raw, items) = self._gate, request
        if gate.closed or (gate.draining and not begun):
            raise Overloaded("the collector is shutting down", retry_after_s=1.0)
        now_ns, late = gate.clock.now_ns(), list[Ticket]()
        try:
            for pipeline in self._route(signal).pipelines:
                batch = Batch(signal, raw, received_ns=now_ns, items=items, reading=reading)
                with batch:
                    if begun:
                        late += _followed(pipeline, batch, InBacklog(gate, pipeline, until))
                    else:
                        pipeline.consume(batch)
                begun = True
        finally:
            late += gate.tickets
            gate.tickets.clear()
        return late

    def _route(self, signal: Signal) -> Route:
        """Return where a request goes now. Raises: `Overloaded` when a reload has just taken its signal away."""
        route = self._routes.get(signal)
        if route is None:
            raise Overloaded(f"no pipeline takes {signal.label} any more")
        return route


def _followed(pipeline: Pipeline, batch: Batch, place: InBacklog) -> Sequence[Ticket]:
    """Let a batch in that is not refused; return what its sender waits for, if it found no room."""
    return () if pipeline.follow(batch, place) else (place,)
