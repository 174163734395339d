"""How much of a request goes through the graph in one hold of its lock, and what becomes of portions without room.

A request of 17 MiB of small spans held the lock for 1.5 s: no other request, tick or scrape went on meanwhile. In
portions, each hold takes some tens of milliseconds and others have their turn in between.

To its sender the request stays one. Room in the queues is claimed for all of it before the first portion; that one may
still be refused, the others may not: they would have to be taken back from where the first ones are. Where the room
is gone nevertheless (a reload, a full disk, stages that add much), a portion waits in the backlog of its pipeline, and
its sender for it. Only when that takes too long is the sender told to come back, and what was taken comes twice then,
as after any lost answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from collector.component import Bounded
from processors.errors import Overloaded
from processors.requests import Request

if TYPE_CHECKING:
    from collector.intake import Gate
    from collector.pipeline import Pipeline

MOST_ITEMS: Final = 1_000
"""In one portion: 35 ms of the whole product."""
MOST_BYTES: Final = 4 << 20
"""20 spans of 200 kB take as long to look through as 1,000 small ones."""
PAUSE_S: Final = 0.001
"""Between two holds: who asks again at once gets the lock back before others are awake."""
LONGEST_WAIT_S: Final = 10.0
"""For room, all portions of a request together; as long as exporters of OpenTelemetry SDKs wait for an answer unless
told otherwise (OTEL_EXPORTER_OTLP_TIMEOUT). Then the sender is told so."""
_POLL_S: Final = 0.02


class Claim:
    """Room in queues for what is still to come of a request, which comes in so many `portions`."""

    __slots__ = ("_left", "_queues")

    def __init__(
        self, queues: Sequence[tuple[Bounded, int]], request: Request, portions: int
    ) -> None:
        """The room MUST be there: see `Bounded.fits`. `queues`: with how many times each of them gets the request."""
        self._queues = queues
        self._left = (portions, request.items, len(request.raw))
        self._claim(*self._left)

    def came(self, portion: Request) -> None:
        """Claim less from now on."""
        _, items, size = self._left
        self._give_up(1, min(portion.items, items), min(len(portion.raw), size))

    def __enter__(self) -> None:
        """Claim it for the time of a block."""

    def __exit__(self, *unused: object) -> None:
        self._give_up(*self._left)

    def _give_up(self, portions: int, items: int, size: int) -> None:
        left = self._left
        self._left = (left[0] - portions, left[1] - items, left[2] - size)
        self._claim(-portions, -items, -size)

    def _claim(self, portions: int, items: int, size: int) -> None:
        for queue, times in self._queues:
            queue.claim(times * portions, times * items, times * size)


class InBacklog:
    """A portion that waits in the backlog of a pipeline: the receipt of its batch, and a ticket of its sender."""

    __slots__ = ("_failure", "_gate", "_pipeline", "_safe", "until")

    def __init__(self, gate: Gate, pipeline: Pipeline, until: float) -> None:
        """`until`: the latest time, on the monotonic clock, at which the sender gets its answer."""
        self._gate = gate
        self._pipeline = pipeline
        self.until = until
        self._safe = False
        self._failure: Exception | None = None

    def settle(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self._safe = True

    def settled(self) -> bool:
        return self._safe

    def wait(self, timeout_s: float | None = None) -> None:
        """Hand on what is in the backlog until the portion is safe.

        Raises: `Overloaded` when that takes too long, or the process stops and has little time left for what is in it;
        `Rejected` when nobody will ever take it.
        """
        gate = self._gate
        until = self.until if timeout_s is None else time.monotonic() + timeout_s
        while True:
            moved = self._hand_on()
            if self._safe:
                break
            if not moved and (gate.draining or gate.closed or time.monotonic() >= until):
                raise Overloaded("a part of the request found no room in time")
            time.sleep(PAUSE_S if moved else _POLL_S)
        if self._failure is not None:
            raise self._failure

    def _hand_on(self) -> bool:
        """Hand on one batch; say whether it went."""
        with self._gate.lock:
            moved = self._pipeline.hand_on_oldest()
            self._pipeline.settle()
            self._gate.tickets.clear()
        return moved
