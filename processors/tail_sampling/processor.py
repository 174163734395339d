"""The sampler: holds the spans of a trace, lets the panel decide when its time has come, lets late spans follow.

Invariants
- Every span that comes in leaves once, is dropped by a decision, or is held; `ledger` says which.
- What is undecided never weighs more than `max_bytes` after `process` returned, nor are there more traces than
  `num_traces`: the oldest are decided early, on what is known, rather than lost. (Bounds that a reload lowers are
  reached step by step, and so is room for what `slabs` take besides.)
- Released spans leave as the very bytes that came, unless `record` or a skeleton changes them, or texts are no UTF-8.
- No call takes longer the more is held or due, or the longer a trace is: `behind` says that there is more to do. Where
  ticks do not keep up, each request does more of it than it brings, so that nothing piles up under load.

`holding` takes spans in, `docket` knows when traces are due, `deciding` decides, `release` lets spans leave, `journal`
and `restoring` keep all of it over the end of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final

from processors.base import OnError
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Context
from processors.stats import Stats
from processors.tail_sampling.arrivals import arrivals
from processors.tail_sampling.config import Config
from processors.tail_sampling.deciding import Decider, cost
from processors.tail_sampling.holding import Holder
from processors.tail_sampling.journal import Journal
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.moving import Moving
from processors.tail_sampling.panel import Panel
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.release import Release
from processors.tail_sampling.restoring import Restoring
from processors.tail_sampling.traces import SPAN_OVERHEAD, Table, Trace
from processors.tail_sampling.verdict import Verdict

_A_STEP: Final = 1_024
"""What one call may cost besides what it brings: see `deciding.cost`."""
_MOST_GROWTH: Final = 1_024
"""Bytes that normalising and pricing may add to a span before it comes here."""
_FULL: Final = "The buffer of the tail sampler is full; send the data again later."
_DAMAGED: Final = "otelcol_llm_tail_sampling_journal_damaged_total"


class TailSampling:
    """Decides about whole traces. See the module."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset((Signal.TRACES,))
    holds = True

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the policies. Raises: `InvalidConfig`."""
        self.config = config
        self.stats = Stats()
        self._bus = context.decisions
        self._listed = False
        self._table = Table(with_schema_urls=not config.quirks)
        self._ledger = Ledger(self.stats, self._table)
        watch = Watch(self._ledger.count)
        self._release = Release(config, watch, self._ledger, self._table)
        _, _, name = context.id.partition("/")
        self._panel = Panel(config, watch, self.stats, f"{name}." if name else "")
        self._plan = self._panel.plan
        self.proves = not self._plan.everything
        self._decider = Decider(
            config, self._table, self._ledger, self._panel, self._release, self._announce
        )
        self._holder = Holder(
            config, self._table, self._plan, self._ledger, self._release, self._decider, self._bus
        )
        self._open_store = context.open_store
        self._id = context.id
        self._journal: Journal | None = None
        self._parting: Journal | None = None
        """One that a reload ended: what was decided then leaves once its disk has it."""
        self._moving = Moving(self._decider.docket, None)
        self._closing = False
        self._left_over = False

    # -- the processor

    def process(self, batch: Batch) -> Batch | None:
        """Hold the spans; what comes back are late spans of kept traces, and spans of traces that were decided.

        With a journal nothing comes back: what leaves, leaves by `tick` once the disk has it.
        Raises: `Overloaded` when the buffer is full and configured to refuse. Not so for the rest of a request that was
        let in: where there is too little room for that, the oldest traces are decided early.
        """
        self._pass(batch.received_ns)
        spans, size = len(batch), batch.size
        if (
            self.config.refuse
            and not batch.follows
            and self._holder.lacks_room(batch.peek(), spans)
        ):
            raise self._refused(spans)
        self._holder.take_in(arrivals(batch, self._table, self._plan))
        self._relieve(_A_STEP + 2 * cost(spans, size))
        self._ledger.flush()
        if self._journal is None:
            return self._release.take(self._decider.now_ns)
        self._journal.write(self._decider.now_ns)
        self._seal(self._journal)
        return None

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Decide what is due and yield what was kept, one step of it: see `behind`."""
        self._pass(now_ns)
        yield from self._step(self._decider.advance)
        self._left_over = self._left_over or self._moving.advance()
        self._tell()
        if self._journal is not None:
            self._panel.save(self._journal.store)
        yield from self._leave()

    def close(self) -> Iterable[Batch]:
        """Decide everything that waits, on what is known; or drop it, or leave it on disk, as is configured.

        This is one step of it: see `behind`.
        """
        self._closing = True
        yield from self._step(self._decider.finish)
        yield from self._leave()
        self._tell()
        self._list(False)

    def _relieve(self, most: int) -> None:
        """Keep the bounds, and help the ticks with what they left over."""
        advance = self._decider.advance if self._left_over else self._decider.make_way
        while most > 0 and (spent := advance()):
            most -= spent

    def _step(self, advance: Callable[[], int]) -> Iterator[Batch]:
        """Go on until it cost a step, or nothing is left to do."""
        left = _A_STEP
        while left > 0 and (spent := advance()):
            left -= spent
            if self._release.full:
                yield from self._leave()
        self._left_over = left <= 0

    @property
    def behind(self) -> bool:
        """Whether the last `tick` or `close` left something over, and another one would find something to do."""
        for journal in (self._journal, self._parting):
            if journal is not None and (journal.waits if self._closing else journal.ready):
                return True
        return self._left_over

    def room(self) -> Overloaded | None:
        """Refuse while the disk could not keep what comes, or not even one more span fits."""
        table, config = self._table, self.config
        if config.refuse and table.waiting and table.size + SPAN_OVERHEAD > config.max_bytes:
            return Overloaded(_FULL)
        return self._journal.store.refusal() if self._journal is not None else None

    def fits(self, raw: bytes, items: int) -> Overloaded | None:
        """Refuse a request that will not find room once it comes here, with what earlier stages add to it."""
        if self.config.refuse and self._holder.lacks_room(raw, items, _MOST_GROWTH):
            return self._refused(items)
        return None

    def _refused(self, items: int) -> Overloaded:
        self._ledger.spans("refused", items)
        return Overloaded(_FULL)

    def _pass(self, now_ns: int) -> None:
        """Let time pass; it never goes back."""
        self._decider.now_ns = now_ns = max(self._decider.now_ns, now_ns)
        self._table.slabs.now_ns = now_ns
        self._list(True)

    def _leave(self) -> Iterator[Batch]:
        """Yield what may leave now."""
        if self._parting is not None:
            yield from self._parting.leave()
            if not self._parting.waits:
                self._parting = None
        if self._journal is not None:
            self._seal(self._journal)
            yield from self._journal.leave()
        elif (batch := self._release.take(self._decider.now_ns)) is not None:
            yield batch

    def _seal(self, journal: Journal) -> None:
        """Let what is released wait until the disk has its decisions."""
        now_ns = self._decider.now_ns
        journal.seal(self._release.take(now_ns), self._release.take_late(now_ns))

    def _tell(self) -> None:
        """Bring the metrics up to date with what was counted apart."""
        self._panel.count()
        self._ledger.flush()

    def _list(self, listed: bool) -> None:
        """Be counted among the samplers while there is something to decide."""
        if listed is not self._listed:
            self._listed = listed
            self._bus.samplers += 1 if listed else -1

    def _announce(self, trace: Trace, verdict: Verdict) -> None:
        self._bus.decided(trace.id, verdict.kept)

    # -- other lives

    def open(self) -> None:
        """Open the store that is configured. Called once, before any data; nothing is read yet."""
        if self.config.storage:
            store = self._open_store(self.config.storage, self._id)
            self._go_on_with(Journal(store, self.config.kept_ids + self.config.dropped_ids))
            self._release.keep_late_apart()

    def restore(self, now_ns: int) -> Iterator[None]:
        """Go on where a process with this store was ended, one step for each item; MUST be run to the end before data
        comes."""
        journal = self._journal
        if journal is None:
            return
        self._list(True)
        self._panel.recall(journal.store)
        restoring = Restoring(
            journal,
            self._table,
            self._plan,
            self._ledger,
            self._release,
            self._decider,
            self._holder,
        )
        yield from restoring.run(now_ns)
        self.stats.counters[_DAMAGED,] += journal.store.damaged

    def adopt(self, predecessor: TailSampling) -> None:
        """Go on with what another sampler held and remembered: undecided traces are decided by these policies."""
        predecessor._list(False)
        predecessor._tell()
        self.stats.inherit(predecessor.stats)
        self._table.inherit(predecessor._table)
        self._decider.inherit(predecessor._decider)
        self._moving = predecessor._moving
        self._inherit_journal(predecessor)
        self._moving.docket, self._moving.journal = self._decider.docket, self._journal
        if self.config.root_wait_ns and _waits(self.config) != _waits(predecessor.config):
            held = list(self._table.traces.values())
            self._moving.look_for_roots(held, self._decider.now_ns)
        self._moving.advance()

    def _inherit_journal(self, predecessor: TailSampling) -> None:
        """Go on with another's journal; begin one, or end one, where only one of both has it."""
        theirs, mine = predecessor._journal, self._journal
        self._parting = predecessor._parting
        if theirs is not None:
            predecessor._seal(theirs)
        if theirs is not None and mine is not None:
            self._go_on_with(theirs)
        elif theirs is not None:
            self._parting = theirs
            self._decider.forget_pieces(theirs.store)
        elif mine is not None:
            held = self._table.undecided()
            for _ in self.restore(self._decider.now_ns):
                pass
            self._moving.write_down(held)
        predecessor._go_on_with(None)

    def _go_on_with(self, journal: Journal | None) -> None:
        self._journal = self._holder.journal = self._decider.journal = journal


def _waits(config: Config) -> tuple[int, int | None]:
    return config.decision_wait_ns, config.root_wait_ns
