"""A sending queue on disk: one file per exporter, one row per request, and the requests nobody wanted.

Rows leave when their request is delivered. After a crash the requests that were on their way are there again: they go
out twice, never not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from collector.exporters.shelf import Result, Waiting
from collector.extensions.file_storage.database import Layout, Row
from collector.extensions.file_storage.file import File, checksum
from processors.batch import Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.requests import Request

LAYOUT: Final = Layout(
    version=1,
    tables="""
        CREATE TABLE IF NOT EXISTS q (
            id INTEGER PRIMARY KEY, signal INTEGER NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL,
            created_ms INTEGER NOT NULL, crc INTEGER NOT NULL, src TEXT, body BLOB NOT NULL
        );
        CREATE UNIQUE INDEX IF NOT EXISTS q_src ON q (src) WHERE src IS NOT NULL;
        CREATE TABLE IF NOT EXISTS dead (
            id INTEGER PRIMARY KEY, signal INTEGER NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL,
            created_ms INTEGER NOT NULL, crc INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL
        );
    """,
    salvaged=(("q", "id"), ("dead", "id")),
)
_INSERT: Final = "INSERT OR IGNORE INTO q VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT: Final = "SELECT signal, items, crc, body FROM q WHERE id = ?"
_DELETE: Final = "DELETE FROM q WHERE id = ?"
_BURY: Final = "INSERT INTO dead VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
_MOST_DEAD: Final = 10_000
_FORGET_DEAD: Final = "DELETE FROM dead WHERE id <= (SELECT max(id) FROM dead) - ?"
_WARM_BYTES: Final = 16 << 20
"""Bodies that are kept in memory as well: a destination that keeps up never makes us read the disk."""
_SIGNALS: Final = (Signal.TRACES, Signal.METRICS, Signal.LOGS)
"""The position is what stands in the file."""

Heir: TypeAlias = Callable[[list[Waiting]], None]


class QueueRows:
    """The requests of one exporter on disk; see `collector.exporters.shelf.Shelf` for the contract."""

    durable = True

    def __init__(self, file: File) -> None:
        self._file = file
        self.max_bytes = file.config.max_bytes
        self.max_age_s = file.config.max_age_s
        self.drops_oldest = file.config.drop_oldest
        self._next = 1
        self._warm = 0
        self._sources: dict[int, str] = {}
        self._known: dict[str, Waiting] = {}
        self._users: list[Heir] = []

    def open(self, now_s: float, heir: Heir) -> list[Waiting]:
        """Return what is there, oldest first, to the first who asks. `now_s`: on the clock of the queue.

        `heir`: given what a queue that used these rows before leaves; on a reload the new one opens first.
        """
        self._users.append(heir)
        if len(self._users) > 1:
            return []
        rows = self._file.read(
            "SELECT id, signal, items, bytes, created_ms, src FROM q ORDER BY id"
        )
        now_ms = time.time_ns() // 1_000_000
        waiting = []
        for key, signal, items, size, created_ms, source in rows:
            if not 0 <= signal < len(_SIGNALS):
                self._file.damaged_row()
                self._file.keep(_DELETE, (key,))
                continue
            age_s = max(0, now_ms - created_ms) / 1_000
            entry = Waiting(_SIGNALS[signal], items, size, now_s - age_s, key=key)
            waiting.append(entry)
            if source is not None:
                self._sources[key] = source
                self._known[source] = entry
            self._next = key + 1
        return waiting

    def refusal(self) -> Overloaded | None:
        return self._file.refusal()

    def keep(self, entry: Waiting, source: str, *, in_memory: bool) -> tuple[Ticket | None, bool]:
        """Store a request; returns its ticket and whether it is new: one of a `source` that is there is not."""
        request = entry.request
        if request is None:
            return None, False
        if source in self._known:
            return self._keep_again(self._known[source], request, source, in_memory), False
        key = entry.key = self._next
        self._next += 1
        if source:
            self._known[source] = entry
            self._sources[key] = source
        if in_memory:
            entry.result = Result()
            return entry.result, True
        ticket = self._add(entry, request, source)
        if self._warm + entry.size <= _WARM_BYTES:
            self._warm += entry.size
            entry.warm = True
        else:
            entry.request = None
        return ticket, True

    def _add(self, entry: Waiting, request: Request, source: str) -> Ticket:
        row = (entry.key, *_columns(request), source or None, request.raw)
        entry.ticket = self._file.add(_INSERT, row, entry.size)
        return entry.ticket

    def _keep_again(
        self, entry: Waiting, request: Request, source: str, in_memory: bool
    ) -> Ticket | None:
        """Return the ticket of what is there already; one that was refused is tried again."""
        if entry.result is not None:
            return entry.result
        if entry.ticket is None or not _refused(entry.ticket):
            return entry.ticket
        if not in_memory:
            return self._add(entry, request, source)
        entry.request = request
        entry.result = Result()
        return entry.result

    def load(self, parts: Sequence[Waiting]) -> list[Waiting]:
        """Return the parts with their requests, without those whose rows are damaged or were never committed."""
        cold = {part.key: part for part in parts if part.request is None}
        if cold:
            self._read(cold)
        return [part for part in parts if part.request is not None]

    def _read(self, cold: dict[int, Waiting]) -> None:
        for part in cold.values():
            if part.ticket is not None:
                try:
                    part.ticket.wait()
                except Overloaded:
                    part.refused = True
        for key, part in cold.items():
            for signal, items, crc, body in self._file.read(_SELECT, (key,)):
                if checksum(body, signal, items) == crc:
                    part.request = Request(part.signal, body, items)
                else:
                    self._file.damaged_row()

    def forget(self, parts: Iterable[Waiting]) -> None:
        """Delete what is delivered or given up."""
        for part in parts:
            if part.warm:
                self._warm -= part.size
                part.warm = False
            self._known.pop(self._sources.pop(part.key, ""), None)
            self._file.keep(_DELETE, (part.key,))

    def bury(self, dead: Iterable[tuple[Request, str]]) -> None:
        """Keep for inspection what a destination will never take, the newest of it."""
        for request, reason in dead:
            row = (*_columns(request), reason, request.raw)
            self._file.keep(_BURY, row)
            self._file.keep(_FORGET_DEAD, (_MOST_DEAD,))

    def close(self, heir: Heir, left: list[Waiting]) -> None:
        """Leave the rest to the queue that took the place of this one, or for the next start."""
        if heir in self._users:
            self._users.remove(heir)
        if self._users:
            self._users[-1](left)


def _refused(ticket: Ticket) -> bool:
    if not ticket.settled():
        return False
    try:
        ticket.wait(0.0)
    except Overloaded:
        return True
    return False


def _columns(request: Request) -> Row:
    signal = _SIGNALS.index(request.signal)
    check = checksum(request.raw, signal, request.items)
    return signal, request.items, len(request.raw), time.time_ns() // 1_000_000, check
