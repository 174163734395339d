"""What a pipeline still has to see to: batches that found no room, and receipts of those that went on.

Invariants
- Everything is called under the graph's lock; nothing here blocks.
- A batch waits for those outlets alone that have not taken it, across a reload, too; the oldest one goes first.
- A receipt is settled when its batch is safe wherever it went, or nobody will ever take it. What could not be made
  safe waits again.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from collector.errors import Rejected
from collector.outlet import Outlet
from processors.batch import Batch, Receipt
from processors.errors import Overloaded
from processors.ports import Ticket

PAST_STAGES: Final = sys.maxsize
"""The position of a batch that is past all stages, in whatever pipeline."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A batch that could not go on: at which stage, or at which outlets, and why."""

    position: int
    batch: Batch
    outlets: tuple[Outlet, ...]
    """Those that still want it, once it is past all stages."""
    why: Overloaded
    tickets: tuple[Ticket, ...] = ()
    """Of the outlets that have it already."""
    held: bool = False
    """Whether a stage had taken it over before, so that nobody else has it."""


@dataclass(frozen=True, slots=True)
class _HandedOver:
    """A batch that went on, and whose receipt waits for what it went to."""

    batch: Batch
    tickets: tuple[Ticket, ...]


class Backlog:
    """Of one pipeline. Its length: how many batches wait for room."""

    def __init__(self) -> None:
        self._stuck: deque[Stuck] = deque()
        self._unsettled: deque[_HandedOver] = deque()

    def __len__(self) -> int:
        return len(self._stuck)

    @property
    def busy(self) -> bool:
        """Whether a batch waits for room, or a receipt to be settled."""
        return bool(self._stuck) or bool(self._unsettled)

    @property
    def waiting(self) -> int:
        """Items that wait for room."""
        return sum(len(stuck.batch) for stuck in self._stuck)

    @property
    def losing(self) -> int:
        """Items of those that nobody else has: no disk keeps them, and no sender waits who is told to come back."""
        return sum(len(stuck.batch) for stuck in self._stuck if stuck.batch.receipt is None)

    def room(self) -> Overloaded | None:
        """Refuse while something that was released before still waits."""
        return self._stuck[0].why if self._stuck else None

    def keep(self, stuck: Stuck) -> None:
        """Let a batch wait for room."""
        self._stuck.append(stuck)

    def hand_on_oldest(self, resume: Callable[[Stuck], Stuck | None]) -> bool:
        """Resume what has waited longest; say whether it went: then the next one may find room, too."""
        if not self._stuck:
            return False
        stuck = resume(self._stuck[0])
        if stuck is None:
            gone(self._stuck.popleft().batch)
        else:
            self._stuck[0] = stuck
        return stuck is None

    def hand_over(self, batch: Batch, tickets: tuple[Ticket, ...]) -> None:
        """Let the receipt of a batch that went on wait for these."""
        self._unsettled.append(_HandedOver(batch, tickets))

    def settle(self, outlets: tuple[Outlet, ...]) -> bool:
        """Settle the receipts of batches that are safe elsewhere now; say whether that is all of them.

        A batch that could not be made safe waits for all `outlets` again; one that nobody will ever take is settled,
        too.
        """
        unsettled = self._unsettled
        while unsettled and all(ticket.settled() for ticket in unsettled[0].tickets):
            over = unsettled.popleft()
            try:
                for ticket in over.tickets:
                    ticket.wait(0.0)
            except Rejected as failure:
                _settled(over.batch, failure)
            except Overloaded as failure:
                self.keep(Stuck(PAST_STAGES, over.batch, outlets, failure))
            else:
                _settled(over.batch)
        return not unsettled

    def adopt(self, old: Backlog, before: tuple[Outlet, ...], outlets: tuple[Outlet, ...]) -> None:
        """Take over what waits behind the stages of a pipeline that led to the outlets `before`, for the same by name.

        New outlets take the place of those that are gone; where there are none, what these should have got stays
        behind.
        """
        waiting, old._stuck = old._stuck, deque()
        mine = _names(outlets)
        new = mine - _names(before)
        for stuck in waiting:
            wanted = {outlet.name: outlet for outlet in stuck.outlets}
            gone = tuple(outlet for outlet in stuck.outlets if outlet.name not in mine)
            heirs = wanted.keys() | new if gone else wanted.keys()
            given = tuple(
                outlet.narrowed(wanted.get(outlet.name, outlet))
                for outlet in outlets
                if outlet.name in heirs
            )
            if stuck.position < PAST_STAGES or not given:
                old.keep(stuck)
                continue
            self.keep(replace(stuck, outlets=given))
            if gone and not new:
                old.keep(replace(stuck, batch=kept(stuck.batch), outlets=gone))
        self._unsettled += old._unsettled
        old._unsettled.clear()


def _settled(batch: Batch, failure: Rejected | None = None) -> None:
    if batch.receipt is not None:
        batch.receipt.settle(failure)
    batch.release()


def _names(outlets: Iterable[Outlet]) -> set[str]:
    return {outlet.name for outlet in outlets}


def gone(batch: Batch, callers: Batch | None = None) -> None:
    """Release a batch that went on, unless it is the caller's, or its receipt is not settled: it may go on again."""
    if batch is not callers and batch.receipt is None:
        batch.release()


def kept(batch: Batch, receipt: Receipt | None = None) -> Batch:
    """Return a batch that outlives the call: as bytes, what was decoded is the caller's."""
    own = Batch(batch.signal, batch.encode(), received_ns=batch.received_ns, items=len(batch))
    own.source, own.follows, own.receipt = batch.source, batch.follows, receipt
    return own
