"""The memory of a sampler on disk: pieces of undecided traces, decisions, and small named states.

Everything of it that late spans or a restart may ask for is rows in the order they were written: ids of traces are
random, and an index over them would touch a page for every decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from collector.extensions.file_storage.database import Layout
from collector.extensions.file_storage.file import Commit, File, checksum
from processors.errors import Overloaded
from processors.ports import Ticket

LAYOUT: Final = Layout(
    version=1,
    tables="""
        CREATE TABLE IF NOT EXISTS piece (
            seq INTEGER PRIMARY KEY, trace_id BLOB NOT NULL, received_ns INTEGER NOT NULL, late INTEGER NOT NULL,
            crc INTEGER NOT NULL, body BLOB NOT NULL
        );
        CREATE TABLE IF NOT EXISTS decision (
            seq INTEGER PRIMARY KEY, trace_id BLOB NOT NULL, crc INTEGER NOT NULL, verdict BLOB NOT NULL
        );
        CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS meta (key INTEGER PRIMARY KEY, value TEXT NOT NULL);
        INSERT OR IGNORE INTO meta VALUES (1, lower(hex(randomblob(8))));
    """,
    salvaged=(("piece", "seq"), ("decision", "seq")),
)


class StoredPiece(NamedTuple):
    """See `processors.ports.Piece`."""

    seq: int
    trace_id: bytes
    received_ns: int
    late: bool
    body: bytes


class Journal:
    """See `processors.ports.Store`. What is new is refused on a full disk, what ends something is not."""

    def __init__(self, file: File, tickets: list[Ticket]) -> None:
        self._file = file
        self._tickets = tickets
        [(self.name,)] = file.read("SELECT value FROM meta WHERE key = 1")
        self._piece = self._last("piece")
        self._decision = self._last("decision")

    def _last(self, table: str) -> int:
        [(last,)] = self._file.read(f"SELECT max(seq) FROM {table}")  # noqa: S608 - names are ours
        return last or 0

    @property
    def damaged(self) -> int:
        return self._file.damaged

    def refusal(self) -> Overloaded | None:
        return self._file.refusal()

    def put(self, trace_id: bytes, received_ns: int, body: bytes, late: bool = False) -> int:
        self._piece += 1
        check = checksum(body, trace_id, received_ns, int(late))
        row = (self._piece, trace_id, received_ns, int(late), check, body)
        commit = self._file.add("INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?)", row, len(body))
        if not self._tickets or self._tickets[-1] is not commit:
            self._tickets.append(commit)
        return self._piece

    def decide(self, trace_id: bytes, verdict: bytes) -> Commit:
        self._decision += 1
        row = (self._decision, trace_id, checksum(verdict, trace_id), verdict)
        return self._file.keep("INSERT INTO decision VALUES (?, ?, ?, ?)", row)

    def forget(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._file.keep("DELETE FROM piece WHERE seq = ?", (seq,))

    def forget_decisions(self, most: int) -> None:
        self._file.keep("DELETE FROM decision WHERE seq <= ?", (self._decision - most,))

    def remember(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._file.keep("DELETE FROM state WHERE key = ?", (key,))
        else:
            self._file.keep("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))

    def replay(self) -> Iterator[StoredPiece]:
        after = 0
        while True:
            sql = "SELECT seq, trace_id, received_ns, late, crc, body FROM piece WHERE seq > ? ORDER BY seq LIMIT 1000"
            rows = self._file.read(sql, (after,))
            if not rows:
                return
            for seq, trace_id, received_ns, late, crc, body in rows:
                if checksum(body, trace_id, received_ns, late) == crc:
                    yield StoredPiece(seq, trace_id, received_ns, bool(late), body)
                else:
                    self._file.damaged_row()
                    self.forget((seq,))
            after = rows[-1][0]

    def decisions(self) -> Iterator[tuple[bytes, bytes]]:
        for trace_id, crc, verdict in self._file.read(
            "SELECT trace_id, crc, verdict FROM decision ORDER BY seq"
        ):
            if checksum(verdict, trace_id) == crc:
                yield trace_id, verdict
            else:
                self._file.damaged_row()

    def states(self) -> Iterable[tuple[str, bytes]]:
        return self._file.read("SELECT key, value FROM state")
