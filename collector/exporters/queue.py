"""The queue between a pipeline and a destination: its contract, and the one in memory.

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
from collections.abc import Callable, Mapping
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


@dataclass(slots=True)
class Waiting:
    """A request in the queue."""

    request: Request
    since_s: float
    result: Result | None = None


class Taken:
    """A load that was handed out: one request, joined from those that waited."""

    __slots__ = ("parts", "request")

    def __init__(self, parts: list[Waiting]) -> None:
        self.parts = parts
        self.request = join([part.request for part in parts])


class Result:
    """The ticket of a request whose sender waits for the destination's answer (`wait_for_result`)."""

    __slots__ = ("_failure", "_known")

    def __init__(self) -> None:
        self._known = threading.Event()
        self._failure: Exception | None = None

    def settle(self, failure: Exception | None) -> None:
        self._failure = failure
        self._known.set()

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

    def put(self, request: Request) -> Ticket | None:
        """Append, without blocking. Raises: `Overloaded` when there is no room."""

    def take(self) -> Taken | None:
        """Wait for a load; None when the queue is closed and empty."""

    def ack(self, taken: Taken, failure: Exception | None = None) -> None:
        """Forget a load: it was delivered, or given up for good because of `failure`."""

    def nack(self, taken: Taken) -> None:
        """Put a load back in front: it was not delivered."""

    def close(self) -> None:
        """Take nothing more in. May be called twice."""


_SIZERS: Final[Mapping[str, Callable[[Request], int]]] = {
    "requests": lambda request: 1,
    "items": lambda request: request.items,
    "bytes": lambda request: len(request.raw),
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
        self.items += sign * entry.request.items
        self.size += sign * len(entry.request.raw)


class MemoryQueue:
    """See `Queue`. Bounded twice: in the configured unit and in bytes.

    With `block_on_overflow` several callers may pass `room` together, so `put` refuses only at twice the bounds.
    """

    durable = False

    def __init__(
        self,
        config: QueueConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capacity = config.queue_size
        self._max_bytes = config.max_bytes
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

    def size(self) -> int:
        return self._size

    def room(self) -> Overloaded | None:
        if not self._full():
            return None
        if self._block:
            with self._space:
                self._space.wait_for(lambda: self._closed or not self._full(), _LONGEST_BLOCK_S)
        return self._refusal() if self._closed or self._full() else None

    def put(self, request: Request) -> Result | None:
        with self._work:
            if self._closed or self._overflows(request):
                raise self._refusal()
            result = Result() if self._wait_for_result else None
            line = self._lines[request.signal]
            line.append(Waiting(request, self._clock(), result))
            self._fill(request, 1)
            if len(line.waiting) == 1 or self._joining.enough(line.items, line.size):
                self._work.notify()
        return result

    def take(self) -> Taken | None:
        with self._work:
            while True:
                line = self._due()
                if line is not None:
                    return self._load(line)
                if self._closed:
                    return None
                self._work.wait(self._patience())

    def ack(self, taken: Taken, failure: Exception | None = None) -> None:
        with self._work:
            self._on_their_way -= 1
            for part in taken.parts:
                self._fill(part.request, -1)
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

    def close(self) -> None:
        with self._work:
            self._closed = True
            self._work.notify_all()
            self._space.notify_all()

    def _full(self) -> bool:
        return self._size >= self.capacity or self._bytes >= self._max_bytes

    def _overflows(self, request: Request) -> bool:
        """An empty queue takes any request: what is larger than the bounds could never leave otherwise."""
        if not self._size:
            return False
        slack = 2 if self._block else 1
        return (
            self._size + self._measure(request) > slack * self.capacity
            or self._bytes + len(request.raw) > slack * self._max_bytes
        )

    def _refusal(self) -> Overloaded:
        return Overloaded(
            "The sending queue is full." if not self._closed else "The sending queue is closed."
        )

    def _fill(self, request: Request, sign: int) -> None:
        self._size += sign * self._measure(request)
        self._bytes += sign * len(request.raw)

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

    def _load(self, line: _Line) -> Taken:
        parts = [line.pop()]
        items, size = parts[0].request.items, len(parts[0].request.raw)
        while line.waiting and not self._joining.enough(items, size):
            following = line.waiting[0].request
            items, size = items + following.items, size + len(following.raw)
            if not self._joining.fits(items, size):
                break
            parts.append(line.pop())
        self._on_their_way += 1
        return Taken(parts)

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
