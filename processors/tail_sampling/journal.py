"""What the sampler keeps on disk: spans until they are handed on or dropped, decisions, and what policies remember.

Invariants
- A span that was taken is in the store before its sender is told so: the store's tickets see to that.
- A decision is on disk before anything leaves because of it: batches wait here for its ticket.
- A piece is forgotten when its trace is dropped, or when the shell says that the batch with it is safe elsewhere.
- A batch of decided traces has a number, which stands in their decisions: after a crash in between the same batch is
  made again under the same name, so that a queue that has it does not take it twice. Late spans have no such number.
- A long trace leaves in several batches. Its pieces stay until all of them are safe elsewhere: after a crash in between
  it leaves again as a whole, and what is left twice has the same ids. Batches with nothing but shares of long traces
  have no name, because their numbers stand in no decision and are given again after a crash.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, cast

from processors.batch import Batch
from processors.encoded import assemble, frame_head
from processors.ports import Piece, Store, Ticket
from processors.tail_sampling.traces import Envelope, Trace
from processors.tail_sampling.verdict import NOT_SAMPLED, Tier, Trigger, Verdict

_DROPPED: Final = struct.Struct(">cq")
_FORGET_EVERY: Final = 10_000
_BATCHES_A_STEP: Final = 16
IN_SHARES: Final = -1


class Entry(NamedTuple):
    """A decision as it was written."""

    verdict: Verdict
    decided_ns: int
    batch: int
    """Number of the batch its spans left in; 0 when they were dropped, `IN_SHARES` when they left in several."""
    trigger: Trigger


class Whole:
    """The pieces of a long trace on its way out: forgotten when all batches with shares of it are settled."""

    __slots__ = ("batches", "complete", "seqs")

    def __init__(self, seqs: Sequence[int]) -> None:
        self.seqs = seqs
        self.batches = 0
        """How many were begun and are not settled."""
        self.complete = False
        """Whether the last one was begun."""


class Receipt:
    """See `processors.batch.Receipt`."""

    __slots__ = ("_seqs", "_store", "_wholes")

    def __init__(self, store: Store, seqs: Sequence[int], wholes: Iterable[Whole] = ()) -> None:
        """`wholes`: of the long traces that have a share in the batch."""
        self._store = store
        self._seqs = seqs
        self._wholes = wholes

    def settle(self, failure: Exception | None = None) -> None:
        self._store.forget(self._seqs)
        for whole in self._wholes:
            whole.batches -= 1
            if whole.complete and not whole.batches:
                self._store.forget(whole.seqs)


class Journal:
    """A sampler's use of its store."""

    def __init__(self, store: Store, most_decisions: int) -> None:
        self.store = store
        self._most_decisions = most_decisions
        self._decided = 0
        self._fresh: list[tuple[Trace, Envelope, bytes]] = []
        self._late: list[tuple[bytes, Envelope, bytes]] = []
        self._again = 0
        """Sequence number of the piece that is being read back; 0 when none is."""
        self._batch = 1
        self._seqs: list[int] = []
        self._wholes: set[Whole] = set()
        self._numbered = False
        """Whether the number of the batch that is being made stands in a decision."""
        self._late_seqs: list[int] = []
        self._ticket: Ticket | None = None
        self._leaving: deque[tuple[Ticket | None, Batch]] = deque()

    # -- spans

    def note(self, trace: Trace, envelope: Envelope, span: bytes) -> None:
        """Take down a span that is held from now on."""
        self._fresh.append((trace, envelope, span))

    def note_late(self, trace_id: bytes, envelope: Envelope, span: bytes) -> None:
        """Take down a late span that is about to leave."""
        self._late.append((trace_id, envelope, span))

    def write(self, now_ns: int) -> None:
        """Put what was taken down into the store: one piece a trace."""
        if self._fresh:
            held: dict[Trace, _Groups] = {}
            for trace, envelope, span in self._fresh:
                _add(held.setdefault(trace, {}), envelope, span)
            self._fresh = []
            for trace, groups in held.items():
                seq = self._put(trace.id, now_ns, groups, late=False)
                if trace.seqs is None:
                    trace.seqs = []
                trace.seqs.append(seq)
        if self._late:
            late: dict[bytes, _Groups] = {}
            for trace_id, envelope, span in self._late:
                _add(late.setdefault(trace_id, {}), envelope, span)
            self._late = []
            for trace_id, groups in late.items():
                self._late_seqs.append(self._put(trace_id, now_ns, groups, late=True))

    def _put(self, trace_id: bytes, now_ns: int, groups: _Groups, *, late: bool) -> int:
        if self._again:
            return self._again
        return self.store.put(trace_id, now_ns, assemble(groups), late)

    # -- decisions

    def decided(
        self, trace: Trace, verdict: Verdict, trigger: Trigger, now_ns: int, *, leaves: bool
    ) -> Whole | None:
        """Write down what was decided about a trace; `leaves`: whether its spans are in the batch being made.

        Of a long one only the first share may be; what is returned then is told of every share: see `holds`.
        """
        self.write(now_ns)
        batch = 0 if not leaves else IN_SHARES if trace.long else self._batch
        self._ticket = self.store.decide(trace.id, _encode(Entry(verdict, now_ns, batch, trigger)))
        self._decided += 1
        if self._decided % _FORGET_EVERY == 0:
            self.store.forget_decisions(self._most_decisions)
        seqs, trace.seqs = trace.seqs or [], None
        if batch == IN_SHARES:
            return Whole(seqs)
        if leaves:
            self._seqs += seqs
            self._numbered = True
        else:
            self.store.forget(seqs)
        return None

    def holds(self, whole: Whole) -> None:
        """Note that the batch being made has a share of a long trace."""
        if whole not in self._wholes:
            self._wholes.add(whole)
            whole.batches += 1

    # -- what leaves

    def seal(self, batch: Batch | None, late: Batch | None) -> None:
        """Let a batch of decided traces and one of late spans wait until they may leave."""
        if batch is not None:
            name = f"{self.store.name}:{self._batch}" if self._numbered else ""
            self._seal(batch, name, Receipt(self.store, self._seqs, self._wholes), self._ticket)
            self._batch += self._numbered
            self._numbered = False
            self._seqs, self._wholes = [], set()
        if late is not None:
            self._seal(late, "", Receipt(self.store, self._late_seqs), self._ticket)
            self._late_seqs = []

    def seal_again(self, batch: Batch | None, number: int, seqs: Sequence[int]) -> None:
        """Let a batch leave that may have left before."""
        if batch is not None:
            self._seal(batch, f"{self.store.name}:{number}", Receipt(self.store, seqs), None)

    def _seal(self, batch: Batch, name: str, receipt: Receipt, ticket: Ticket | None) -> None:
        batch.source = name
        batch.receipt = receipt
        self._leaving.append((ticket, batch))

    @property
    def waits(self) -> bool:
        """Whether batches wait until they may leave; those that never may are there again after the next start."""
        return bool(self._leaving)

    @property
    def ready(self) -> bool:
        """Whether the next batch may leave: its decisions are on disk."""
        if not self._leaving:
            return False
        ticket, _ = self._leaving[0]
        return ticket is None or ticket.settled()

    def leave(self) -> Iterator[Batch]:
        """Yield the next batches that may leave."""
        for _ in range(_BATCHES_A_STEP):
            if not self.ready:
                return
            yield self._leaving.popleft()[1]

    # -- after a restart

    def decisions(self) -> Iterator[tuple[bytes, Entry]]:
        """Yield what was decided, oldest first, and go on numbering after it."""
        for trace_id, record in self.store.decisions():
            entry = _decode(record)
            self._batch = max(self._batch, entry.batch + 1)
            yield trace_id, entry

    def begin_again(self, piece: Piece) -> None:
        """What is taken down until `end_again` is in the store already, as this piece."""
        self._again = piece.seq

    def end_again(self, now_ns: int) -> None:
        unknown = not self._fresh and not self._late
        self.write(now_ns)
        if unknown:
            self.store.forget((self._again,))
        self._again = 0


_Groups = dict[tuple[bytes, bytes], list[bytes]]


def _add(groups: _Groups, envelope: Envelope, span: bytes) -> None:
    groups.setdefault((envelope.resource, envelope.scope), []).extend((frame_head(span), span))


def _encode(entry: Entry) -> bytes:
    verdict = entry.verdict
    if not entry.batch and verdict == NOT_SAMPLED:
        return _DROPPED.pack(b"d", entry.decided_ns)
    fields = {
        "kept": verdict.kept,
        "policy": verdict.policy,
        "reason": verdict.reason,
        "threshold": verdict.threshold,
        "rv": verdict.rv,
        "tier": verdict.tier,
        "dropped": verdict.dropped,
        "voters": verdict.voters,
        "budget_made": verdict.budget_made,
        "decided_ns": entry.decided_ns,
        "batch": entry.batch,
        "trigger": entry.trigger,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def _decode(record: bytes) -> Entry:
    if record[:1] == b"d":
        return Entry(NOT_SAMPLED, _DROPPED.unpack(record)[1], 0, "wait")
    fields = json.loads(record)
    decided_ns, batch = fields.pop("decided_ns"), fields.pop("batch")
    trigger = cast(Trigger, fields.pop("trigger"))
    tier = cast(Tier, fields.pop("tier"))
    voters = tuple(fields.pop("voters"))
    return Entry(Verdict(tier=tier, voters=voters, **fields), decided_ns, batch, trigger)
