"""Pipeline.consume(batch): stages in order, then fan-out. Every hand-off is counted here, not in the components.

Invariants
- Everything is called under the graph's lock; nothing here blocks.
- `Overloaded` travels to the sender; any other exception of a stage is counted and answered by its `on_error`.
- What `tick` and `close` yield, and what a request pushes out of a stage that held it, is never lost to a full queue:
  it waits in the backlog. A pipeline with a backlog takes no request and is not ticked until the backlog is gone, so
  that pressure stays in the components that bound their memory.
- So such a batch `follows`: a stage that refused it would wait for ever for the tick that makes room.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from collector import logs
from collector.backlog import PAST_STAGES, Backlog, Stuck, gone, kept
from collector.outlet import Outlet, Partly
from processors.base import OnError, Processor, Stateless
from processors.batch import Batch, Receipt, Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.stats import Stats

_COMPLAIN_EVERY_S = 60.0


@dataclass(slots=True)
class Flow:
    """What went through a stage, in items; durations in seconds."""

    incoming: int = 0
    outgoing: int = 0
    seconds: float = 0.0
    failed: int = 0


class Stage:
    """A processor in its place in a pipeline."""

    __slots__ = ("_quiet_until", "flow", "id", "processor", "ticks")

    def __init__(self, component_id: str, processor: Processor) -> None:
        self.id = component_id
        self.processor = processor
        self.flow = Flow()
        self.ticks = getattr(type(processor), "tick", None) is not Stateless.tick
        self._quiet_until = 0.0

    @property
    def behind(self) -> bool:
        """Whether the processor has more to do than it did in its last call."""
        return bool(getattr(self.processor, "behind", False))

    def process(self, batch: Batch) -> Batch | None:
        """Run the processor; a failure of it never reaches the sender."""
        flow = self.flow
        flow.incoming += len(batch)
        began = time.perf_counter()
        try:
            out = self.processor.process(batch)
        except Overloaded:
            flow.incoming -= len(batch)
            raise
        except Exception as failure:  # noqa: BLE001 - a bug in a component must not take data or process down
            out = self._failed(batch, failure)
        flow.seconds += time.perf_counter() - began
        if out is not None:
            flow.outgoing += len(out)
        return out

    def _failed(self, batch: Batch, failure: Exception) -> Batch | None:
        self.flow.failed += len(batch)
        self._complain(failure)
        if self.processor.on_error is OnError.PASS:
            return batch
        try:
            closed: Batch | None = self.processor.fail_closed(batch)  # type: ignore[attr-defined] # part of DROP_CONTENT
        except Exception as second:  # noqa: BLE001 - then nothing of the batch may leave
            self._complain(second)
            return None
        return closed

    def _complain(self, failure: Exception) -> None:
        """Log a failure once a minute."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _COMPLAIN_EVERY_S
        logs.failure("A processor failed.", failure, processor=self.id)

    def released(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """Pass on what `tick` or `close` yields, counted; a failure ends it and is logged."""
        try:
            for batch in batches:
                self.flow.outgoing += len(batch)
                yield batch
        except Exception as failure:  # noqa: BLE001 - see `process`
            self.flow.failed += 1
            self._complain(failure)

    def figures(self, pipeline: Pipeline) -> Stats:
        """Return what went through, under the names of the telemetry table."""
        stats = Stats()
        where = (pipeline.signal.label, pipeline.id)
        flow = self.flow
        stats.counters.update(
            {
                ("otelcol_processor_incoming_items_total", *where): flow.incoming,
                ("otelcol_processor_outgoing_items_total", *where): flow.outgoing,
                ("otelcol_processor_internal_duration_seconds_total", *where): flow.seconds,
                ("otelcol_llm_processor_failed_items_total", *where): flow.failed,
            }
        )
        return stats


class Pipeline:
    """One pipeline of the configuration."""

    def __init__(
        self,
        pipeline_id: str,
        signal: Signal,
        stages: Sequence[Stage],
        outlets: Sequence[Outlet],
        tickets: list[Ticket],
    ) -> None:
        """`tickets` is shared by all pipelines of a graph and collects what the request under way must wait for."""
        self.id = pipeline_id
        self.signal = signal
        self.stages = stages
        self.ticks = any(stage.ticks for stage in stages)
        self._outlets = tuple(
            sorted(outlets, key=lambda outlet: outlet.writes)
        )  # readers first: only the last writer needs no copy
        self._tickets = tickets
        self.backlog = Backlog()
        self.stats = Stats()
        where = ("otelcol_llm_pipeline_waiting_items", signal.label, pipeline_id)
        self.stats.gauges[where] = lambda: self.backlog.waiting

    def consume(self, batch: Batch) -> None:
        """Take a batch from a receiver or connector. Raises: `Overloaded`."""
        stuck = self.offer(batch)
        if stuck is not None:
            raise stuck.why

    def offer(self, batch: Batch) -> Stuck | None:
        """Take a batch; return where it got stuck, unless it waits in the backlog."""
        return self._unless_held(self._advance(batch, 0, self._outlets))

    def resume(self, stuck: Stuck) -> Stuck | None:
        """Take the rest of a batch that got stuck here; see `offer`."""
        return self._unless_held(self._resume(stuck))

    def _resume(self, stuck: Stuck) -> Stuck | None:
        return self._advance(stuck.batch, stuck.position, stuck.outlets, stuck.tickets)

    def _unless_held(self, stuck: Stuck | None) -> Stuck | None:
        """Keep what nobody else has."""
        if stuck is None or not stuck.held:
            return stuck
        self.backlog.keep(stuck)
        return None

    def follow(self, batch: Batch, receipt: Receipt) -> bool:
        """Take a later portion of a request whose first one was taken: it is not refused.

        Returns False when it waits in the backlog; `receipt` is settled once it is as safe as it gets.
        """
        batch.follows = True
        stuck = self._advance(batch, 0, self._outlets)
        if stuck is None:
            return True
        if not stuck.held:
            stuck = replace(stuck, batch=kept(stuck.batch, receipt))
        self.backlog.keep(stuck)
        return stuck.held

    @property
    def busy(self) -> bool:
        """Whether there is something to do for a tick."""
        return self.ticks or self.backlog.busy

    def tick(self, now_ns: int) -> bool:
        """Let the stages release what is due, unless what was released before still waits: then hand on some of that.

        Returns whether there is more to do at once.
        """
        self.settle()
        if self.backlog:
            return self.hand_on_oldest()
        behind = False
        for position, stage in enumerate(self.stages, 1):
            if stage.ticks:
                self._release(position, stage.released(stage.processor.tick(now_ns)))
                behind = behind or stage.behind
        return behind and not self.backlog

    def close(self, only: Callable[[Processor], bool] = lambda processor: True) -> bool:
        """Take what is held out of the stages that `only` selects, first to last; a stage is emptied before the next
        one is. Returns whether there is more: then call again."""
        for position, stage in enumerate(self.stages, 1):
            if only(stage.processor):
                self._release(position, stage.released(stage.processor.close()))
                if stage.behind:
                    return True
        return False

    def take(self, batch: Batch) -> None:
        """Take a batch that cannot be refused any more; it waits in the backlog when there is no room."""
        self._release(0, (batch,))

    def hand_on_oldest(self) -> bool:
        """Hand on what has waited longest; say whether it went: then the next one may find room, too."""
        return self.backlog.hand_on_oldest(self._resume)

    def settle(self) -> bool:
        """Settle the receipts of batches that are safe elsewhere now: see `Backlog.settle`."""
        return self.backlog.settle(self._outlets)

    def adopt(self, old: Pipeline) -> None:
        """Take over what waits behind the stages of a pipeline that this one replaces: see `Backlog.adopt`."""
        self.backlog.adopt(old.backlog, old._outlets, self._outlets)

    @property
    def outgoing(self) -> int:
        """Items that came out of its stages so far, each counted where it did."""
        return sum(stage.flow.outgoing for stage in self.stages)

    def _advance(
        self,
        batch: Batch,
        start: int,
        outlets: tuple[Outlet, ...],
        tickets: tuple[Ticket, ...] = (),
    ) -> Stuck | None:
        """Run the stages from `start`, then the outlets; return where it got stuck.

        What a stage holds is in its hands: the receipt then waits for that stage's tickets alone. What stages made on
        the way is released; what came is the caller's.
        """
        began = len(self._tickets)
        came, held = batch, False
        for position in range(start, len(self.stages)):
            try:
                out = self.stages[position].process(batch)
            except Overloaded as full:
                return Stuck(position, batch, outlets, full, held=held)
            if out is None:
                self._hand_over(batch, began, ())
                gone(batch, came)
                return None
            if out is not batch:
                out.receipt = batch.receipt
                held = held or self.stages[position].ticks
                out.follows = batch.follows or held
                gone(batch, came)
            batch = out
        if len(batch):
            stuck = self._fan_out(batch, outlets, tickets)
            if stuck is not None:
                return replace(stuck, held=held)
        else:
            self._hand_over(batch, began, ())
        gone(batch, came)
        return None

    def _hand_over(self, batch: Batch, began: int, tickets: tuple[Ticket, ...]) -> None:
        """Let the receipt of a batch wait for the tickets that were given since `began`, and before."""
        if batch.receipt is not None:
            self.backlog.hand_over(batch, (*tickets, *self._tickets[began:]))

    def _fan_out(
        self, batch: Batch, outlets: tuple[Outlet, ...], tickets: tuple[Ticket, ...]
    ) -> Stuck | None:
        """Offer the batch to every outlet; one that is full does not keep it from the others. `tickets`: of those that
        have it already."""
        began = len(self._tickets)
        left: list[Outlet] = []
        why: Overloaded | None = None
        raw: bytes | None = None
        for place, outlet in enumerate(outlets, 1):
            mine = batch
            if outlet.writes and (place < len(outlets) or left):
                raw = batch.encode() if raw is None else raw
                mine = Batch(batch.signal, raw, received_ns=batch.received_ns, items=len(batch))
                mine.source, mine.follows = batch.source, batch.follows
            try:
                ticket = outlet.sink(mine)
            except Partly as some:
                left.append(Outlet(some.rest, False, outlet.name, left=some.left))
                why = some
            except Overloaded as full:
                left.append(outlet)
                why = full
            else:
                if ticket is not None:
                    self._tickets.append(ticket)
            finally:
                if mine is not batch:
                    mine.release()
        if why is None:
            self._hand_over(batch, began, tickets)
            return None
        given = (*tickets, *self._tickets[began:]) if batch.receipt is not None else ()
        return Stuck(PAST_STAGES, batch, tuple(left), why, given)

    def _release(self, position: int, batches: Iterable[Batch]) -> None:
        for batch in batches:
            batch.follows = True
            stuck = self._advance(batch, position, self._outlets)
            if stuck is None:
                gone(batch)
            else:
                self.backlog.keep(stuck)
