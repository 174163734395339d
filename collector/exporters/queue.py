"""The queue between a pipeline and a destination: its contract, and how what waits is bounded, ordered and joined.

Where requests are kept besides in memory is the shelf's business: nowhere, or on disk.

Invariants
- What was put is handed out once, oldest first within its signal, and fills the queue until it is acknowledged.
- `put` never blocks; `room` is where a caller may wait, without holding any lock of the graph.
- After `close`, `take` hands out what is left without waiting for more to join, then None.

Why requests are joined: a request costs about 200 µs in itself, its spans far less. While nothing is on its way a
request leaves at once; while something is, what arrives waits for the reply or for a full load, whichever is first.
So an idle destination sees no delay and a busy one fewer, larger requests.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from processors.batch import Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.requests import Request, join

NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """When waiting requests of one signal leave together."""

    eager: bool
    """Whether a request leaves at once while nothing is on its way."""
    linger_s: float
    """The longest that a request waits for others."""
    enough_items: int = 0
    enough_bytes: int = 0
    """A load this large leaves at once; 0 = not counted."""
    most_items: int = 0
    most_bytes: int = 0
    """Nothing is added beyond this; a single request may be larger. 0 = no limit."""

    def enough(self, items: int, size: int) -> bool:
        return bool(self.enough_items and items >= self.enough_items) or bool(
            self.enough_bytes and size >= self.enough_bytes
        )

    def fits(self, items: int, size: int) -> bool:
        return not (self.most_items and items > self.most_items) and not (
            self.most_bytes and size > self.most_bytes
        )


NATURAL: Final = Joining(
    eager=True,
    linger_s=0.2,
    enough_items=512,
    enough_bytes=1 << 20,
    most_bytes=2 << 20,
)
"""The default: joins only what would wait anyway.

CPU of a request of 100 spans (50 kB, 230 kB): 200 and 320 µs alone, 86 and 212 so; with half a MiB, 86 and 250.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """`sending_queue` as the user wrote it."""

    enabled: bool
    num_consumers: int
    queue_size: int
    max_bytes: int
    sizer: str
    block_on_overflow: bool
    wait_for_result: bool
    joining: Joining
    most_items: int
    """`batch.max_size` in items: larger requests are cut; 0 = never."""
    most_bytes: int
    """`batch.max_size` in bytes."""

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> QueueConfig:
        batch: Mapping[str, Any] = settings.get("batch") or {}
        most = batch.get("max_size", 0)
        by_bytes = batch.get("sizer") == "bytes"
        return cls(
            enabled=settings["enabled"],
            num_consumers=settings["num_consumers"],
            queue_size=settings["queue_size"],
            max_bytes=settings["max_bytes"],
            sizer=settings["sizer"],
            block_on_overflow=settings["block_on_overflow"],
            wait_for_result=settings["wait_for_result"] or not settings["enabled"],
            joining=_joining(batch) if batch else NATURAL,
            most_items=0 if by_bytes else most,
            most_bytes=most if by_bytes else 0,
        )


def _joining(batch: Mapping[str, Any]) -> Joining:
    unit = batch["sizer"]
    return Joining(
        eager=False,
        linger_s=batch["flush_timeout"] / NANOSECONDS,
        **{f"enough_{unit}": max(1, batch["min_size"]), f"most_{unit}": batch["max_size"]},
    )


@dataclass(slots=True, eq=False)
class Waiting:
    """A request in the queue."""

    signal: Signal
    items: int
    size: int
    """Bytes of the encoded request."""
    since_s: float
    request: Request | None = None
    """None: only the shelf has it."""
    result: Result | None = None
    key: int = 0
    """The shelf's."""
    ticket: Ticket | None = None
    """Of the shelf: when the request is as durable as it gets."""
    refused: bool = False
    """Whether the shelf could not keep it."""
    warm: bool = False
    """Whether the shelf counts its bytes in memory."""


class Taken:
    """A load that was handed out: one request, joined from those that waited."""

    __slots__ = ("parts", "request", "requests")

    def __init__(self, parts: list[Waiting]) -> None:
        self.parts = parts
        self.requests = [part.request for part in parts if part.request is not None]
        self.request = join(self.requests)


class Result:
    """The ticket of a request whose sender waits for the destination's answer (`wait_for_result`)."""

    __slots__ = ("_failure", "_known")

    def __init__(self) -> None:
        self._known = threading.Event()
        self._failure: Exception | None = None

    def settle(self, failure: Exception | None) -> None:
        self._failure = failure
        self._known.set()

    def settled(self) -> bool:
        return self._known.is_set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the destination took it. Raises: `Overloaded` when it did not, or did not answer in time."""
        if not self._known.wait(timeout_s):
            raise Overloaded("The destination has not answered yet.")
        if self._failure is not None:
            raise self._failure


class Queue(Protocol):
    """Bounded waiting. Thread-safe; `take` is called by the sender's threads."""

    durable: bool
    """Whether what is not acknowledged is there again after a restart."""
    capacity: int

    def size(self) -> int:
        """Return how full it is, in the unit of `capacity`; what was handed out counts until it is acknowledged."""

    def room(self) -> Overloaded | None:
        """Say whether `put` would refuse now; with `block_on_overflow`, wait for room first."""

    def open(self) -> None:
        """Find what is there from before, once, before anything else. Raises: `StartError`."""

    def put(self, request: Request, source: str = "") -> Ticket | None:
        """Append, without blocking. Raises: `Overloaded` when there is no room.

        `source`: a name of the request; where the queue is durable, one that is in it already is not put again.
        """

    def take(self) -> Taken | None:
        """Wait for a load; None when the queue is closed and empty."""

    def ack(
        self,
        taken: Taken,
        failure: Exception | None = None,
        dead: Iterable[tuple[Request, str]] = (),
    ) -> None:
        """Forget a load: it was delivered, or given up for good because of `failure`.

        `dead`: what of it the destination will never take, with the reasons; a durable queue keeps it for inspection.
        """

    def nack(self, taken: Taken) -> None:
        """Put a load back in front: it was not delivered."""

    def close(self) -> None:
        """Take nothing more in. May be called twice."""

    def leave(self) -> None:
        """Let go of what is left, after `close` and when nobody takes any more: a durable queue finds it again."""


class Shelf(Protocol):
    """Where requests are kept besides in memory. Called with the queue's lock held, except `open` and `load`."""

    durable: bool
    max_bytes: int
    """0: as configured for memory."""
    max_age_s: float
    """0: no limit."""
    drops_oldest: bool
    """Whether a full queue drops its oldest request instead of refusing the new one."""

    def open(self, now_s: float, heir: Callable[[list[Waiting]], None]) -> list[Waiting]:
        """Return what is there, oldest first. `heir`: given what another queue on this shelf leaves later."""

    def refusal(self) -> Overloaded | None:
        """Say whether `keep` would be in vain."""

    def keep(self, entry: Waiting, source: str, *, in_memory: bool) -> tuple[Ticket | None, bool]:
        """Keep a request: its ticket, and whether it is new. May take it out of memory.

        `in_memory`: there is no room on the disk, but whoever names the request keeps it until it is delivered.
        """

    def load(self, parts: Sequence[Waiting]) -> list[Waiting]:
        """Bring requests into memory; returns those that could be had."""

    def forget(self, parts: Iterable[Waiting]) -> None:
        """Keep these no longer."""

    def bury(self, dead: Iterable[tuple[Request, str]]) -> None:
        """Keep what nobody takes, for inspection."""

    def close(self, heir: Callable[[list[Waiting]], None], left: list[Waiting]) -> None:
        """Take back what is left."""


class NoShelf:
    """Keeps nothing: what waits is in memory alone."""

    durable = False
    max_bytes = 0
    max_age_s = 0.0
    drops_oldest = False

    def open(self, now_s: float, heir: Callable[[list[Waiting]], None]) -> list[Waiting]:
        return []

    def refusal(self) -> Overloaded | None:
        return None

    def keep(self, entry: Waiting, source: str, *, in_memory: bool) -> tuple[Ticket | None, bool]:
        return None, True

    def load(self, parts: Sequence[Waiting]) -> list[Waiting]:
        return list(parts)

    def forget(self, parts: Iterable[Waiting]) -> None:
        """Nothing is kept."""

    def bury(self, dead: Iterable[tuple[Request, str]]) -> None:
        """Nothing is kept."""

    def close(self, heir: Callable[[list[Waiting]], None], left: list[Waiting]) -> None:
        """Nothing is kept."""


_SIZERS: Final[Mapping[str, Callable[[Waiting], int]]] = {
    "requests": lambda entry: 1,
    "items": lambda entry: entry.items,
    "bytes": lambda entry: entry.size,
}


class _Line:
    """What waits of one signal."""

    __slots__ = ("items", "size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.items = 0
        self.size = 0

    def append(self, entry: Waiting) -> None:
        self.waiting.append(entry)
        self._count(entry, 1)

    def put_back(self, entry: Waiting) -> None:
        self.waiting.appendleft(entry)
        self._count(entry, 1)

    def pop(self) -> Waiting:
        entry = self.waiting.popleft()
        self._count(entry, -1)
        return entry

    def _count(self, entry: Waiting, sign: int) -> None:
        self.items += sign * entry.items
        self.size += sign * entry.size


def _ignore(signal: Signal, reason: str, items: int) -> None:
    """Tell nobody."""


class SendingQueue:
    """See `Queue`. Bounded twice: in the configured unit and in bytes.

    With `block_on_overflow` several callers may pass `room` together, so `put` refuses only at twice the bounds.
    """

    def __init__(
        self,
        config: QueueConfig,
        shelf: Shelf | None = None,
        *,
        lost: Callable[[Signal, str, int], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`shelf`: without one, what waits is in memory alone. `lost(signal, reason, items)` is told of what was
        dropped."""
        self._shelf: Shelf = shelf or NoShelf()
        self.durable = self._shelf.durable
        self.capacity = config.queue_size
        self._lost = lost
        self._max_bytes = self._shelf.max_bytes or config.max_bytes
        self._measure = _SIZERS[config.sizer]
        self._block = config.block_on_overflow
        self._wait_for_result = config.wait_for_result
        self._joining = config.joining
        self._clock = clock
        self._lines = {signal: _Line() for signal in Signal}
        self._size = self._bytes = self._on_their_way = 0
        self._closed = False
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._space = threading.Condition(lock)

    def open(self) -> None:
        found = self._shelf.open(self._clock(), self._inherit)
        with self._work:
            self._extend(found)

    def _inherit(self, left: list[Waiting]) -> None:
        """Take what another queue on the same shelf leaves."""
        with self._work:
            self._extend(left)
            self._work.notify_all()

    def _extend(self, entries: Iterable[Waiting]) -> None:
        for entry in entries:
            self._lines[entry.signal].append(entry)
            self._fill(entry, 1)

    def size(self) -> int:
        return self._size

    def room(self) -> Overloaded | None:
        refused = self._shelf.refusal()
        if refused is not None or not self._full() or self._shelf.drops_oldest:
            return refused
        if self._block:
            with self._space:
                self._space.wait_for(lambda: self._closed or not self._full(), _LONGEST_BLOCK_S)
        return self._refusal() if self._closed or self._full() else None

    def put(self, request: Request, source: str = "") -> Ticket | None:
        entry = Waiting(
            request.signal, request.items, len(request.raw), self._clock(), request=request
        )
        refused = self._shelf.refusal()
        if refused is not None and not source:
            raise refused
        with self._work:
            while self._shelf.drops_oldest and self._overflows(entry) and self._drop_oldest():
                pass
            if self._closed or self._overflows(entry):
                raise self._refusal()
            ticket, new = self._shelf.keep(entry, source, in_memory=refused is not None)
            if not new:
                return ticket
            if self._wait_for_result:
                ticket = entry.result = Result()
            line = self._lines[request.signal]
            line.append(entry)
            self._fill(entry, 1)
            if len(line.waiting) == 1 or self._joining.enough(line.items, line.size):
                self._work.notify()
        return ticket

    def take(self) -> Taken | None:
        while True:
            parts = self._parts()
            if parts is None:
                return None
            loaded = self._shelf.load(parts)
            if len(loaded) < len(parts):
                self._strike([part for part in parts if part not in loaded])
            if loaded:
                return Taken(loaded)
            with self._work:
                self._on_their_way -= 1

    def _parts(self) -> list[Waiting] | None:
        """Wait until something is due and take it out; None when the queue is closed and empty."""
        with self._work:
            while True:
                self._expire()
                line = self._due()
                if line is not None:
                    return self._load(line)
                if self._closed:
                    return None
                self._work.wait(self._patience())

    def ack(
        self,
        taken: Taken,
        failure: Exception | None = None,
        dead: Iterable[tuple[Request, str]] = (),
    ) -> None:
        with self._work:
            self._on_their_way -= 1
            for part in taken.parts:
                self._fill(part, -1)
            self._shelf.bury(dead)
            self._shelf.forget(taken.parts)
            self._space.notify_all()
        for part in taken.parts:
            if part.result is not None:
                part.result.settle(failure)

    def nack(self, taken: Taken) -> None:
        with self._work:
            self._on_their_way -= 1
            line = self._lines[taken.request.signal]
            for part in reversed(taken.parts):
                line.put_back(part)
            self._work.notify()

    def leave(self) -> None:
        with self._work:
            left = [line.pop() for line in self._lines.values() for _ in range(len(line.waiting))]
        self._shelf.close(self._inherit, sorted(left, key=lambda entry: entry.key))

    def close(self) -> None:
        with self._work:
            self._closed = True
            self._work.notify_all()
            self._space.notify_all()

    def _full(self) -> bool:
        return self._size >= self.capacity or self._bytes >= self._max_bytes

    def _overflows(self, entry: Waiting) -> bool:
        """An empty queue takes any request: what is larger than the bounds could never leave otherwise."""
        if not self._size:
            return False
        slack = 2 if self._block else 1
        return (
            self._size + self._measure(entry) > slack * self.capacity
            or self._bytes + entry.size > slack * self._max_bytes
        )

    def _refusal(self) -> Overloaded:
        return Overloaded(
            "The sending queue is full." if not self._closed else "The sending queue is closed."
        )

    def _fill(self, entry: Waiting, sign: int) -> None:
        self._size += sign * self._measure(entry)
        self._bytes += sign * entry.size

    def _drop_oldest(self) -> bool:
        """Give up what has waited longest; False when nothing waits."""
        lines = [line for line in self._lines.values() if line.waiting]
        if lines:
            self._give_up(min(lines, key=_since).pop(), "queue_full")
        return bool(lines)

    def _expire(self) -> None:
        """Give up what is older than it may become."""
        if self._shelf.max_age_s:
            oldest_s = self._clock() - self._shelf.max_age_s
            for line in self._lines.values():
                while line.waiting and line.waiting[0].since_s < oldest_s:
                    self._give_up(line.pop(), "expired")

    def _give_up(self, entry: Waiting, reason: str) -> None:
        self._lost(entry.signal, reason, entry.items)
        self._fill(entry, -1)
        self._shelf.forget((entry,))

    def _strike(self, parts: Iterable[Waiting]) -> None:
        """Give up what was taken out and cannot be had any more.

        What was never committed is not lost: whoever put it knows.
        """
        with self._work:
            for part in parts:
                if part.refused:
                    self._fill(part, -1)
                    self._shelf.forget((part,))
                else:
                    self._give_up(part, "damaged")

    def _due(self) -> _Line | None:
        """Return the line that may leave now and has waited longest."""
        lines = [line for line in self._lines.values() if line.waiting and self._may_leave(line)]
        return min(lines, key=_since, default=None)

    def _may_leave(self, line: _Line) -> bool:
        joining = self._joining
        return (
            (joining.eager and not self._on_their_way)
            or joining.enough(line.items, line.size)
            or self._closed
            or self._clock() >= _since(line) + joining.linger_s
        )

    def _load(self, line: _Line) -> list[Waiting]:
        parts = [line.pop()]
        items, size = parts[0].items, parts[0].size
        while line.waiting and not self._joining.enough(items, size):
            following = line.waiting[0]
            items, size = items + following.items, size + following.size
            if not self._joining.fits(items, size):
                break
            parts.append(line.pop())
        self._on_their_way += 1
        return parts

    def _patience(self) -> float | None:
        """Return how long nothing can become due by time alone; None = for ever."""
        oldest = [_since(line) for line in self._lines.values() if line.waiting]
        if not oldest:
            return None
        return max(0.0, min(oldest) + self._joining.linger_s - self._clock())


_LONGEST_BLOCK_S: Final = 30.0
"""After that the sender is told to come back, before its own deadline passes without a word."""


def _since(line: _Line) -> float:
    return line.waiting[0].since_s
