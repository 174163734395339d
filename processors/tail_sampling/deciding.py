"""Decisions: when a trace's time has come, or there is no room for it any more, the panel decides and its spans leave.

Invariants
- A trace is decided once, as a whole and at one moment. What became of it is remembered beyond its spans, so that later
  ones follow, also those that come while it is on its way out.
- No step takes longer the longer a trace is: what must be read before a decision, and what leaves after it, goes on
  share by share. `advance` takes one step and tells what it cost, so that callers bound what they do at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from processors.ports import Store
from processors.tail_sampling.config import Config
from processors.tail_sampling.docket import Docket
from processors.tail_sampling.journal import Journal, Whole
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.memory import Memory
from processors.tail_sampling.panel import Panel
from processors.tail_sampling.release import Departure, Release
from processors.tail_sampling.root import Roots
from processors.tail_sampling.traces import SHARE_BYTES, SHARE_SPANS, Table, Trace
from processors.tail_sampling.verdict import NOT_SAMPLED, Trigger, Verdict

_BYTES_A_UNIT: Final = 2_048
_A_SHARE: Final = SHARE_SPANS + SHARE_BYTES // _BYTES_A_UNIT
_SLACK: Final = 16
"""A sixteenth of `max_bytes` may be slack before copying out makes room rather than deciding a trace early."""

Announce = Callable[[Trace, Verdict], None]


def cost(spans: int, size: int) -> int:
    """Return what it costs to decide about so many spans of together so many bytes, and to hand them on.

    The unit is a span, or the bytes that take as long.
    """
    return 1 + spans + size // _BYTES_A_UNIT


class Decider:
    """Decides about the traces of a table. `now_ns` is the time, `journal` where decisions are written, if anywhere."""

    def __init__(
        self,
        config: Config,
        table: Table,
        ledger: Ledger,
        panel: Panel,
        release: Release,
        announce: Announce,
    ) -> None:
        """`announce` is told every verdict when it falls."""
        self.now_ns = 0
        self.journal: Journal | None = None
        self.memory = Memory(config.kept_ids, config.dropped_ids, half_ids=config.quirks)
        self.docket = Docket(config, table)
        self._config = config
        self._table = table
        self._ledger = ledger
        self._panel = panel
        self._release = release
        self._announce = announce
        self._departures: deque[Departure] = deque()
        self._readings: dict[Trace, tuple[Trigger, Iterator[None]]] = {}
        """Long traces that must be read before it is clear what becomes of them."""
        self._wanted = 0
        """Bytes of those that leave once they were read."""

    # -- steps

    def advance(self) -> int:
        """Do the next thing that is due; return what it cost, 0 when nothing is."""
        return self._fit() or self._decide_next() or self.make_way()

    def make_way(self) -> int:
        """Do the next thing that bounds what is here: evict where too much waits, hand on what was decided."""
        return (
            self._fit()
            or self._copy_out()
            or self._make_room()
            or self._hand_on()
            or self._read_on()
        )

    def finish(self) -> int:
        """Take a step towards the end, where everything is decided; return what it cost, 0 when nothing is left."""
        spent, how = self._hand_on(), self._config.on_shutdown
        if spent or how == "keep":
            return spent
        trace = self.docket.oldest()
        if how == "drop" and trace is None:
            trace = next(iter(self._readings), None)
        if trace is None:
            return self._read_on() or (_A_SHARE if self.docket.has_older else 0)
        if how == "drop":
            self._readings.pop(trace, None)
            self._settle(trace, NOT_SAMPLED, "shutdown")
        else:
            self._decide(trace, "shutdown")
        return _cost_of(trace)

    def _decide_next(self) -> int:
        due = self.docket.next_due(self.now_ns)
        if due is None:
            return _A_SHARE if self.docket.has_due(self.now_ns) else 0
        trace, trigger = due
        if trigger == "wait" or trace.root_seen or self.docket.has_waited(trace, self.now_ns):
            self._decide(trace, trigger)
        else:
            self._begin_to_read(trace, trigger, self._decide_if_whole(trace))
        return _cost_of(trace)

    def _hand_on(self) -> int:
        """Let the next share leave of what was decided."""
        if not self._departures:
            return 0
        departure = self._departures[0]
        self._leave(departure)
        if departure.done:
            self._departures.popleft()
        return _A_SHARE

    def _leave(self, departure: Departure) -> None:
        self._release.go_on(departure)
        if self.journal is not None and departure.whole is not None:
            self.journal.holds(departure.whole)
            departure.whole.complete = departure.done

    def _leave_at_once(self, departure: Departure) -> None:
        while not departure.done:
            self._leave(departure)

    # -- reading

    def _begin_to_read(self, trace: Trace, trigger: Trigger, reading: Iterator[None]) -> None:
        """Read a trace, the rest of it by and by where it is long."""
        for _ in reading:
            self._readings[trace] = (trigger, reading)
            return

    def _read_on(self) -> int:
        """Read the next share of a long trace."""
        if not self._readings:
            return 0
        trace = next(iter(self._readings))
        trigger, reading = self._readings.pop(trace)
        self._begin_to_read(trace, trigger, reading)
        return _A_SHARE

    def _decide_if_whole(self, trace: Trace) -> Iterator[None]:
        """Decide a trace that was brought forward on suspicion, unless a span waits for a parent that belongs here."""
        roots = Roots()
        for number, share in enumerate(trace.read()):
            if number:
                yield
            if trace.verdict is not None:
                return
            roots.look(span for _, span in share)
        if roots.whole:
            self._decide(trace, "root")
        else:
            trace.root_ns = 0

    def _decide_once_read(self, trace: Trace, trigger: Trigger) -> Iterator[None]:
        for _ in self._panel.plan.read_again(trace):
            yield
            if trace.verdict is not None:
                return
        self._settle(trace, self._verdict_on(trace, trigger), trigger)

    # -- decisions

    def _decide(self, trace: Trace, trigger: Trigger) -> None:
        """Decide about a trace, once all of it was read: after a reload or a restart that takes a while."""
        if trace.plan is not self._panel.plan and trace.long:
            self._begin_to_read(trace, trigger, self._decide_once_read(trace, trigger))
        else:
            self._settle(trace, self._verdict_on(trace, trigger), trigger)

    def _verdict_on(self, trace: Trace, trigger: Trigger) -> Verdict:
        if trigger == "oversize":
            return self._verdict_on_oversize(trace)
        if not self._config.on_arrival:
            return self._panel.decide(trace, self.now_ns)
        if trace.pending is not None and not self._config.quirks:
            return trace.pending
        return NOT_SAMPLED

    def _verdict_on_oversize(self, trace: Trace) -> Verdict:
        if self._config.on_oversize == "drop":
            return NOT_SAMPLED
        verdict = self._panel.decide(trace, self.now_ns)
        if verdict.kept or self._config.on_oversize == "decide":
            return verdict
        return Verdict(kept=True, reason="oversize", tier="skeleton", threshold=None)

    def decide_on_arrival(self, trace: Trace) -> None:
        """Ask the policies about what just came. A vote to keep waits for as long as a drop policy may still speak."""
        if trace.verdict is not None:
            return
        verdict = self._panel.decide(trace, self.now_ns)
        if verdict.dropped or (verdict.kept and not self._panel.may_drop(trace, self.now_ns)):
            self._settle(trace, verdict, "arrival")
        elif verdict.kept and trace.pending is None:
            trace.pending = verdict

    def decide_oversize(self, traces: Iterable[Trace]) -> None:
        """Decide those that are larger than a trace may be."""
        limit = self._config.max_trace_size
        for trace in traces:
            too_large = limit and trace.wire_size > limit
            if too_large and trace.verdict is None and trace not in self._readings:
                self._ledger.too_large()
                self._decide(trace, "oversize")

    def _settle(self, trace: Trace, verdict: Verdict, trigger: Trigger) -> None:
        """Carry out a verdict: release or forget the spans, remember what was decided, tell who listens."""
        now, whole = self.now_ns, None
        self._ledger.decided(trace, verdict, trigger, now)
        leaves = verdict.kept or self._config.dry_run
        if self.journal is not None:
            whole = self.journal.decided(trace, verdict, trigger, now, leaves=leaves)
        if trace.long:
            self._departures.append(self._release.decided(trace, verdict, trigger, whole))
        elif leaves:
            self._leave_at_once(self._release.decided(trace, verdict, trigger))
        else:
            self._ledger.dropped(trace)
            self._table.settle(trace)
        trace.verdict, trace.decided_ns = verdict, now
        if self._is_lost(trigger):
            pass  # and may come again as a new trace
        elif self.memory.add(trace.id, verdict, now) or self._is_cleared(verdict, trigger):
            del self._table.traces[trace.id]
            self._ledger.removed(trace, now)
        self._announce(trace, verdict)

    def _is_lost(self, trigger: Trigger) -> bool:
        """Say whether a trace is evicted without a decision, as the Collector does it."""
        return trigger == "evicted" and self._config.quirks and not self._config.refuse

    def _is_cleared(self, verdict: Verdict, trigger: Trigger) -> bool:
        """Say whether this is the end of a trace about which arrival decided nothing. The Collector forgets it: what
        comes later is a new one."""
        return self._config.on_arrival and trigger in ("wait", "root") and not verdict.kept

    # -- bounds

    def _copy_out(self) -> int:
        """Let go of a request of which little is held any more."""
        slabs = self._table.slabs
        return cost(0, slabs.copy_out()) if slabs.settled else 0

    def _fit(self) -> int:
        """Do so at once where there is too much, and much of it slack: a decision alone need not make room. Little of
        it goes by itself with the decisions that are next. Where requests are refused there is never too much, but for
        slack none is to be refused."""
        slabs = self._table.slabs
        if not slabs.sparse or slabs.slack * _SLACK <= self._config.max_bytes:
            return 0
        return cost(0, slabs.copy_out()) if self._config.refuse or self._is_crowded() else 0

    def _is_crowded(self) -> bool:
        """Say whether more waits than may."""
        table, config = self._table, self._config
        if len(table.traces) > config.num_traces:
            return True
        if table.size - table.leaving <= config.max_bytes or not table.waiting:
            return False
        wanted = sum(trace.weigh() for trace in self._readings if trace.plan is None)
        return table.size - table.leaving - wanted > config.max_bytes

    def _make_room(self) -> int:
        """Evict one trace where too much waits."""
        if not self._is_crowded():
            return 0
        if len(self._table.traces) > self._config.num_traces:
            return self.evict_first()
        trace = self.docket.oldest()
        return self._evict(trace) if trace is not None else 0

    def evict_first(self) -> int:
        """Evict the trace that began first; return what it cost, 0 where it must be read before."""
        trace = next(iter(self._table.traces.values()))
        return self._evict(trace) if trace not in self._readings else 0

    def _evict(self, trace: Trace) -> int:
        """Make room: decide a trace on what is known, or forget one that was decided. The Collector loses it."""
        spent = 1
        if trace.verdict is None:
            spent = _cost_of(trace)
            if self._is_lost("evicted"):
                self._settle(trace, NOT_SAMPLED, "evicted")
            else:
                self._decide(trace, "evicted")
        if trace.verdict is not None and self._table.traces.pop(trace.id, None) is not None:
            self._ledger.removed(trace, self.now_ns)
        return spent

    # -- other lives

    def depart_again(
        self, trace: Trace, verdict: Verdict, trigger: Trigger, whole: Whole | None
    ) -> None:
        """Release a trace that was decided before a restart and perhaps never left; by and by where it is a `whole`."""
        self._table.count(trace)
        departure = self._release.decided(trace, verdict, trigger, whole)
        trace.verdict = verdict
        if whole is not None:
            self._departures.append(departure)
        else:
            self._leave_at_once(departure)

    def forget_pieces(self, store: Store) -> None:
        """Let a store forget everything that is held: it is no journal of ours any more."""
        seqs: list[int] = []
        for trace in self._table.undecided():
            seqs += trace.seqs or ()
            trace.seqs = None
        for departure in self._departures:
            if departure.whole is not None:
                seqs += departure.whole.seqs
                departure.whole = None
        store.forget(seqs)

    def inherit(self, predecessor: Decider) -> None:
        """Go on with what another held, remembered and was handing on; its table is taken over before."""
        self.now_ns = predecessor.now_ns
        self._panel.inherit(predecessor._panel)
        self.memory.inherit(predecessor.memory)
        self.docket.inherit(predecessor.docket)
        self._departures = predecessor._departures
        for trace, (trigger, _) in predecessor._readings.items():
            self.docket.again(trace, trigger)


def _cost_of(trace: Trace) -> int:
    """Return what it costs to take a step with a trace."""
    return min(cost(trace.spans, trace.size), 1 + _A_SHARE)
