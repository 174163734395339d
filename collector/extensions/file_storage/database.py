"""One SQLite file: opened so that nothing is trusted, written in whole transactions, read by anybody.

Invariants
- One connection, in exclusive mode: no other process reads or writes the file meanwhile, there is no `-shm`.
- The main file is never opened by any other means while the connection lives: closing such a descriptor would drop
  SQLite's locks for the whole process ("How To Corrupt An SQLite Database File", section 2.2).
- What cannot be read is set aside under another name, never deleted; what can be saved of it is carried over.
- A copy that is named `.next` is whole and on the disk, and nothing was committed after it was made: whoever finds one
  lets it take the place of the file.

Some distributions overwrite what is deleted (`secure_delete`), which makes a deletion as large as what it deletes and
a full disk impossible to empty; here it is off.

The log is kept small by explicit checkpoints, because all of it behind a damaged frame is lost; the automatic ones
would stand in the way of commits (measured: p99 of a put 179 ms against 16).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from collector.errors import StartError
from collector.extensions.file_storage.wal import frames_committed

APPLICATION_ID: Final = 0x4C4C4D53
"""Of our files ("LLMS"): another program's would open without complaint."""
PAGE_BYTES: Final = 16_384
_MOST_LOG: Final = 64 << 20
_VACUUM_PAGES: Final = 256
_OPENINGS: Final = 10
_OPEN_AGAIN_S: Final = 0.5

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Row]


class Layout(NamedTuple):
    """What a kind of file holds. Salvage copies tables by their integer key, the first column of each."""

    version: int
    tables: str
    """SQL that creates them."""
    salvaged: tuple[tuple[str, str], ...]
    """(table, its key) of everything worth saving from a damaged file."""


class Settings(NamedTuple):
    """How files are kept."""

    power: bool
    """Whether a commit is on the disk itself, not only with the operating system."""
    most_bytes: int
    log_bytes: int
    """A log this large is written back."""


class Database:
    """See the module. Thread-safe; `open` first."""

    def __init__(
        self, path: Path, layout: Layout, settings: Settings, damaged: Callable[[str, str], None]
    ) -> None:
        """`damaged(what, sentence)` is told of everything that was found broken: row, log or file."""
        self.path = path
        self.log = path.with_name(path.name + "-wal")
        self._next = path.with_name(path.name + ".next")
        self._layout = layout
        self._settings = settings
        self._damaged = damaged
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    # -- opening

    def open(self) -> None:
        """Open or create the file. Raises: `StartError` when it is not ours to replace."""
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise StartError(f"Expected a plain file at {self.path}, found something else.")
        self._let_copy_take_over()
        try:
            self._connection = self._checked()
        except sqlite3.DatabaseError as error:
            if _is_locked(error):
                raise StartError(f"{self.path} is in use by another process.") from error
            self._replace(str(error))

    def _checked(self) -> sqlite3.Connection:
        """Return a connection to a file that is whole. Raises: `DatabaseError`, `StartError`."""
        new = not self.path.exists() or not self.path.stat().st_size
        if not new:
            self._check_owner()
        expected = frames_committed(self.log)
        copy = self._copy_of_log() if expected else None
        connection = self._connect(new)
        try:
            self._look_at(connection, expected, copy)
        except BaseException:
            connection.close()
            raise
        finally:
            if copy is not None:
                copy.unlink(missing_ok=True)
        return connection

    def _check_owner(self) -> None:
        """Look at the header before SQLite does: opening alone would change another program's file."""
        with self.path.open("rb") as file:
            header = file.read(100)
        if not header.startswith(b"SQLite format 3\0"):
            raise sqlite3.DatabaseError("it is no database")
        owner = int.from_bytes(header[68:72], "big")
        version = int.from_bytes(header[60:64], "big")
        if owner != APPLICATION_ID:
            raise sqlite3.DatabaseError("it belongs to another program")
        if version > self._layout.version:
            raise StartError(
                f"{self.path} was written by a newer version (format {version}, this one knows {self._layout.version})."
            )

    def _look_at(self, connection: sqlite3.Connection, expected: int, copy: Path | None) -> None:
        """Check a file that was just opened and set up what is new. Raises: `DatabaseError`."""
        [(problem,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        _, accepted, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if copy is not None and accepted < expected:
            kept = self._aside(self.log)
            copy.replace(kept)
            text = f"{expected - accepted} of {expected} frames of its log are lost; the log is kept as {kept.name}."
            self._damaged("log", text)
        connection.executescript(self._layout.tables)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _copy_of_log(self) -> Path:
        copy = self.path.with_name(self.path.name + ".log-copy")
        shutil.copyfile(self.log, copy)
        copy.chmod(0o600)
        return copy

    def _connect(self, new: bool) -> sqlite3.Connection:
        """Return a connection; a new file says whose it is before anything else is in it."""
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=0.0, isolation_level=None, check_same_thread=False
        )
        pages = 2 * self._settings.most_bytes // PAGE_BYTES + 1024
        creation = f"""
            PRAGMA page_size = {PAGE_BYTES};
            PRAGMA auto_vacuum = INCREMENTAL;
            PRAGMA user_version = {self._layout.version};
            PRAGMA application_id = {APPLICATION_ID};
        """
        try:
            connection.executescript(f"""
                PRAGMA locking_mode = EXCLUSIVE;
                {creation if new else ""}
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = {"FULL" if self._settings.power else "NORMAL"};
                PRAGMA secure_delete = OFF;
                PRAGMA wal_autocheckpoint = 0;
                PRAGMA max_page_count = {pages};
            """)
        except BaseException:
            connection.close()
            raise
        return connection

    def _replace(self, why: str) -> None:
        """Set a broken file aside and begin a new one with what could be read."""
        kept = self._aside(self.path)
        self.path.replace(kept)
        log = kept.with_name(kept.name + "-wal")
        if self.log.exists():
            self.log.replace(log)
        self._damaged("file", f"{why}; it is kept as {kept.name}.")
        try:
            self._connection = self._checked()
        except sqlite3.DatabaseError as error:
            raise StartError(f"Expected to write {self.path}: {error}.") from error
        for table, key in self._layout.salvaged:
            for rows in _readable(kept, table, key):
                self._carry_over(table, rows)

    def _carry_over(self, table: str, rows: Sequence[Row]) -> None:
        """Write rows that could be read from a broken file."""
        marks = ", ".join("?" * len(rows[0]))
        sql = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"  # noqa: S608 - names are ours
        try:
            self.write([(sql, row) for row in rows])
        except sqlite3.Error as error:
            self._damaged("row", f"rows could not be carried over ({len(rows)}; {error}).")

    def _aside(self, path: Path) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        kept = path.with_name(f"{path.name}.damaged-{stamp}")
        number = 1
        while kept.exists():
            number += 1
            kept = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
        return kept

    # -- use

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the file is closed")
        return self._connection

    def write(self, statements: Sequence[Statement]) -> None:
        """Carry out all statements, or none. Raises: `sqlite3.Error`."""
        with self._lock:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                for sql, rows in groupby(statements, itemgetter(0)):
                    connection.executemany(sql, [row for _, row in rows])
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def read(self, sql: str, row: Row = ()) -> list[Row]:
        """Return the rows of a query. Raises: `sqlite3.Error`."""
        with self._lock:
            return self.connection.execute(sql, row).fetchall()

    def checkpoint(self, *, truncate: bool = False) -> None:
        """Write the log back into the file; `truncate` also gives its space back."""
        mode = "TRUNCATE" if truncate or self._log_size() > _MOST_LOG else "PASSIVE"
        with self._lock:
            self.connection.execute(f"PRAGMA wal_checkpoint({mode})")

    def shrink(self, least: int = 4 * _VACUUM_PAGES, most: int = _VACUUM_PAGES) -> bool:
        """Give some free pages back to the file system where at least `least`, and a quarter of all, are free.

        Says whether it did. `most` bounds what that writes to the log.
        """
        with self._lock:
            [(free,)] = self.connection.execute("PRAGMA freelist_count").fetchall()
            [(pages,)] = self.connection.execute("PRAGMA page_count").fetchall()
            if free < least or (least > 1 and free < pages // 4):
                return False
            self.connection.executescript(f"PRAGMA incremental_vacuum({most})")
            return True

    def renew(self) -> None:
        """Go on in a new file that holds everything, on the disk before the old one is let go.

        For the time after a sync that failed: the kernel may have forgotten which pages the disk does not have. Raises:
        `sqlite3.Error`, `OSError`, `StartError`; then try again, meanwhile the old file is used where it is open.
        """
        with self._lock:
            if self._connection is not None:
                self._copy(self._connection)
                self._connection.close()
                self._connection = None
            self._let_copy_take_over()
            self._connection = self._reopened()

    def _reopened(self) -> sqlite3.Connection:
        """Open the file, patiently: what is read meanwhile would count as lost."""
        for _ in range(_OPENINGS - 1):
            with suppress(sqlite3.Error, OSError):
                return self._checked()
            time.sleep(_OPEN_AGAIN_S)
        return self._checked()

    def _copy(self, connection: sqlite3.Connection) -> None:
        """Leave a copy as `.next`, or nothing of it."""
        part = self.path.with_name(self.path.name + ".part")
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            connection.execute("VACUUM INTO ?", (str(part),))
            _sync(part)
            part.replace(self._next)
            _sync(part.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            self._next.unlink(missing_ok=True)
            raise

    def _let_copy_take_over(self) -> None:
        """Finish what `renew`, perhaps of a process before, began."""
        if self._next.exists():
            self.path.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)
            self._next.replace(self.path)

    def close(self) -> None:
        """Write everything back and close. May be called twice."""
        with self._lock:
            if self._connection is None:
                return
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                self._damaged("close", f"its log could not be written back ({error}).")
            self._connection.close()
            self._connection = None

    def _log_size(self) -> int:
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk. Raises: `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED")


_STEP: Final = 64


def _readable(path: Path, table: str, key: str) -> Iterator[Sequence[Row]]:
    """Yield what can still be read of a table, by ranges of its key."""
    try:
        with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as connection:
            [(low, high)] = connection.execute(
                f"SELECT min({key}), max({key}) FROM {table}"  # noqa: S608 - names are ours
            ).fetchall()
            if low is None:
                return
            for start in range(low, high + 1, _STEP):
                rows = _range(connection, table, key, range(start, min(start + _STEP, high + 1)))
                if rows:
                    yield rows
    except sqlite3.DatabaseError:
        return


def _range(
    connection: sqlite3.Connection, table: str, key: str, keys: Sequence[int]
) -> Sequence[Row]:
    """Return the rows of a range; where it cannot be read whole, of its halves."""
    sql = f"SELECT * FROM {table} WHERE {key} BETWEEN ? AND ?"  # noqa: S608 - names are ours
    try:
        return connection.execute(sql, (keys[0], keys[-1])).fetchall()
    except sqlite3.DatabaseError:
        if len(keys) == 1:
            return ()
        middle = len(keys) // 2
        return [
            row
            for half in (keys[:middle], keys[middle:])
            for row in _range(connection, table, key, half)
        ]
