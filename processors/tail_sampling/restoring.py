"""A start on what an ended process left in the journal: waits go on, what was decided is finished.

Times of arrival are those of the wall clock then; none is taken to be in the future.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from processors.ports import Piece
from processors.tail_sampling.arrivals import encoded_arrivals
from processors.tail_sampling.deciding import Decider
from processors.tail_sampling.holding import Holder
from processors.tail_sampling.journal import IN_SHARES, Entry, Journal, Whole
from processors.tail_sampling.ledger import Ledger
from processors.tail_sampling.plan import Plan
from processors.tail_sampling.release import Release
from processors.tail_sampling.traces import Table, Trace


class Restoring:
    """Puts what a journal holds back to where it was."""

    def __init__(
        self,
        journal: Journal,
        table: Table,
        plan: Plan,
        ledger: Ledger,
        release: Release,
        decider: Decider,
        holder: Holder,
    ) -> None:
        self._journal = journal
        self._table = table
        self._plan = plan
        self._ledger = ledger
        self._release = release
        self._decider = decider
        self._holder = holder

    def run(self, now_ns: int) -> Iterator[None]:
        """Put everything back, one piece or batch at each step."""
        self._table.unproved = True
        journal, decider = self._journal, self._decider
        kept: dict[bytes, Entry] = {}
        for trace_id, entry in journal.decisions():
            decider.memory.add(trace_id, entry.verdict, entry.decided_ns)
            if entry.batch:
                kept[trace_id] = entry
        yield
        unfinished: defaultdict[int, list[Piece]] = defaultdict(list)
        for piece in journal.store.replay():
            entry_of = kept.get(piece.trace_id)
            if entry_of is not None and not piece.late:
                unfinished[entry_of.batch].append(piece)
            else:
                self._hold(piece, now_ns)
            yield
        self._seal()
        for number, pieces in sorted(unfinished.items()):
            self._finish(number, pieces, kept)
            yield

    def _hold(self, piece: Piece, now_ns: int) -> None:
        """Take in what is undecided, or late."""
        journal, decider = self._journal, self._decider
        decider.now_ns = max(decider.now_ns, min(piece.received_ns, now_ns))
        journal.begin_again(piece)
        self._holder.take_in(encoded_arrivals(piece.body, self._table, self._plan))
        journal.end_again(decider.now_ns)

    def _finish(self, number: int, pieces: Sequence[Piece], kept: Mapping[bytes, Entry]) -> None:
        """Make a batch again that was decided but perhaps never handed on, or let long traces leave again."""
        traces: dict[bytes, Trace] = {}
        seqs: defaultdict[bytes, list[int]] = defaultdict(list)
        for piece in pieces:
            trace = traces.setdefault(piece.trace_id, Trace(piece.trace_id, 0, self._plan))
            seqs[trace.id].append(piece.seq)
            self._read(trace, piece.body)
        for trace in traces.values():
            entry = kept[trace.id]
            whole = Whole(seqs[trace.id]) if number == IN_SHARES else None
            self._ledger.spans("received", trace.spans)
            self._decider.depart_again(trace, entry.verdict, entry.trigger, whole)
        batch = self._release.take(self._decider.now_ns)
        self._journal.seal_again(batch, number, [piece.seq for piece in pieces])

    def _read(self, trace: Trace, body: bytes) -> None:
        for _, envelope, spans in self._table.groups(body):
            self._plan.observe_resource(trace, envelope)
            self._table.begin_run(trace, envelope)
            trace.parts += spans
            trace.spans += len(spans)
            trace.size += sum(map(len, spans))
            for span in spans:
                self._plan.observe(trace, envelope, *self._plan.read(bytes(span)))

    def _seal(self) -> None:
        now_ns = self._decider.now_ns
        self._journal.seal(self._release.take(now_ns), self._release.take_late(now_ns))
