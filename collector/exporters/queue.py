"""The queue between a pipeline and a destination: its contract, and the queue itself.

How full it is and what is claimed of it is counted by `fill`. What waits is ordered and joined by `lines`. Where it is
kept besides in memory is the business of the `shelf`: nowhere, or on disk.

Invariants
- What was put is handed out once, oldest first within its signal, and fills the queue until it is acknowledged.
- `put` never blocks; `room` is where a caller may wait, without holding any lock of the graph.
- After `close`, `take` hands out what is left without waiting for more to join, then None.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from collector.exporters.fill import Fill
from collector.exporters.lines import Lines
from collector.exporters.queue_config import QueueConfig
from collector.exporters.shelf import NoShelf, Result, Shelf, Waiting
from processors.batch import Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.requests import Request, join


class Taken:
    """A load that was handed out: one request, joined from those that waited."""

    __slots__ = ("parts", "request", "requests")

    def __init__(self, parts: list[Waiting]) -> None:
        self.parts = parts
        self.requests = [part.request for part in parts if part.request is not None]
        self.request = join(self.requests)


class Queue(Protocol):
    """Bounded waiting. Thread-safe; `take` is called by the sender's threads."""

    durable: bool
    """Whether what is not acknowledged is there again after a restart."""
    capacity: int

    def size(self) -> int:
        """Return how full it is, in the unit of `capacity`; what was handed out counts until it is acknowledged."""

    def room(self) -> Overloaded | None:
        """Say whether `put` would refuse now; with `block_on_overflow`, wait for room first."""

    def crowded(self) -> bool:
        """Say whether `room` would refuse or wait now."""

    def fits(self, requests: int, items: int, size: int) -> Overloaded | None:
        """Say whether `put` would refuse that much now, or it were in the way of what is claimed."""

    def claim(self, requests: int, items: int, size: int) -> None:
        """Let so much more not fit, or less where it is negative; `put` asks for no claims."""

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


def _ignore(signal: Signal, reason: str, items: int) -> None:
    """Tell nobody."""


class SendingQueue:
    """See `Queue`.

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
        self._lost = lost
        self._fill = Fill(config, self._shelf.max_bytes or config.max_bytes)
        self.capacity = self._fill.capacity
        self._block = config.block_on_overflow
        self._wait_for_result = config.wait_for_result
        self._clock = clock
        self._lines = Lines(config.joining, clock)
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
            self._lines.append(entry)
            self._fill.add(entry)

    def size(self) -> int:
        return self._fill.size

    def crowded(self) -> bool:
        return self._shelf.refusal() is not None or (
            self._fill.full and not self._shelf.drops_oldest
        )

    def room(self) -> Overloaded | None:
        if not self.crowded():
            return None
        refused = self._shelf.refusal()
        if refused is not None:
            return refused
        if self._block:
            with self._space:
                self._space.wait_for(lambda: self._closed or not self._fill.full, _LONGEST_BLOCK_S)
        return self._refusal() if self._closed or self._fill.full else None

    def fits(self, requests: int, items: int, size: int) -> Overloaded | None:
        refused = self._shelf.refusal()
        if refused is not None:
            return refused
        fits = self._fill.fits(requests, items, size) or self._shelf.drops_oldest
        return self._refusal() if self._closed or not fits else None

    def claim(self, requests: int, items: int, size: int) -> None:
        with self._work:
            self._fill.claim(requests, items, size)

    def put(self, request: Request, source: str = "") -> Ticket | None:
        entry = Waiting(
            request.signal, request.items, len(request.raw), self._clock(), request=request
        )
        refused = self._shelf.refusal()
        if refused is not None and not source:
            raise refused
        with self._work:
            while self._shelf.drops_oldest and not self._fill.takes(entry) and self._drop_oldest():
                pass
            if self._closed or not self._fill.takes(entry):
                raise self._refusal()
            ticket, new = self._shelf.keep(entry, source, in_memory=refused is not None)
            if not new:
                return ticket
            if self._wait_for_result:
                ticket = entry.result = Result()
            self._fill.add(entry)
            if self._lines.append(entry):
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
                self._lines.done()

    def _parts(self) -> list[Waiting] | None:
        """Wait until something is due and take it out; None when the queue is closed and empty."""
        with self._work:
            while True:
                self._expire()
                parts = self._lines.load()
                if parts is not None or self._closed:
                    return parts
                self._work.wait(self._lines.patience())

    def ack(
        self,
        taken: Taken,
        failure: Exception | None = None,
        dead: Iterable[tuple[Request, str]] = (),
    ) -> None:
        with self._work:
            self._lines.done()
            for part in taken.parts:
                self._fill.remove(part)
            self._shelf.bury(dead)
            self._shelf.forget(taken.parts)
            self._space.notify_all()
        for part in taken.parts:
            if part.result is not None:
                part.result.settle(failure)

    def nack(self, taken: Taken) -> None:
        with self._work:
            self._lines.put_back(taken.parts)
            self._work.notify()

    def leave(self) -> None:
        with self._work:
            left = sorted(self._lines.pop_all(), key=lambda entry: entry.key)
        self._shelf.close(self._inherit, left)

    def close(self) -> None:
        with self._work:
            self._closed = True
            self._lines.close()
            self._work.notify_all()
            self._space.notify_all()

    def _refusal(self) -> Overloaded:
        return Overloaded(
            "The sending queue is full." if not self._closed else "The sending queue is closed."
        )

    def _drop_oldest(self) -> bool:
        """Give up what has waited longest; False when nothing waits."""
        oldest = self._lines.pop_oldest()
        if oldest is not None:
            self._give_up(oldest, "queue_full")
        return oldest is not None

    def _expire(self) -> None:
        """Give up what is older than it may become."""
        if self._shelf.max_age_s:
            for entry in self._lines.pop_older(self._clock() - self._shelf.max_age_s):
                self._give_up(entry, "expired")

    def _give_up(self, entry: Waiting, reason: str) -> None:
        self._lost(entry.signal, reason, entry.items)
        self._fill.remove(entry)
        self._shelf.forget((entry,))

    def _strike(self, parts: Iterable[Waiting]) -> None:
        """Give up what was taken out and cannot be had any more.

        What was never committed is not lost: whoever put it knows.
        """
        with self._work:
            for part in parts:
                if part.refused:
                    self._fill.remove(part)
                    self._shelf.forget((part,))
                else:
                    self._give_up(part, "damaged")


_LONGEST_BLOCK_S: Final = 30.0
"""After that the sender is told to come back, before its own deadline passes without a word."""
