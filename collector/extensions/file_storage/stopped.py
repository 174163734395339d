"""Reads the journal of a collector that does not run, and changes no byte of it.

SQLite would: it writes what is in the log back into the file. So a copy is read, made while nobody may take the
directory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from collector.errors import CollectorError
from collector.extensions.file_storage.database import APPLICATION_ID
from collector.extensions.file_storage.file import checksum
from collector.extensions.file_storage.journal import LAYOUT

HEADER: Final = b"SQLite format 3\0"
"""How every file of the storage begins."""
_WAITING: Final = """
    SELECT seq, trace_id, received_ns, late, crc, body FROM piece
    WHERE NOT late AND trace_id NOT IN (SELECT trace_id FROM decision) ORDER BY seq
"""


def waiting(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces of traces that were not decided, oldest first: (number, encoded request).

    Raises: `CollectorError` when the collector runs, or the file is no journal or damaged.
    """
    with TemporaryDirectory(prefix="otelcol-llm-") as folder:
        copy = Path(folder) / "journal.db"
        with _free(path.with_name("lock")):
            shutil.copyfile(path, copy)
            log = path.with_name(path.name + "-wal")
            if log.exists():
                shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
        try:
            yield from _pieces(path, copy)
        except sqlite3.DatabaseError as error:
            raise CollectorError(
                f"{path}: expected a sampler's journal that is whole: {error}."
            ) from error


@contextmanager
def _free(lock: Path) -> Iterator[None]:
    """Hold the directory's lock, where there is one, so that no collector starts. Raises: `CollectorError`."""
    if not lock.exists():
        yield
        return
    handle = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        raise CollectorError(
            f"The storage directory {lock.parent} is in use by process {owner}; stop it, or capture its traffic."
        ) from error
    finally:
        os.close(handle)


def _pieces(path: Path, copy: Path) -> Iterator[tuple[int, bytes]]:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        [(owner,)] = connection.execute("PRAGMA application_id").fetchall()
        [(version,)] = connection.execute("PRAGMA user_version").fetchall()
        if owner != APPLICATION_ID or version > LAYOUT.version:
            raise CollectorError(
                f"{path}: expected a sampler's journal of format {LAYOUT.version} at most, "
                f"got a database of application {owner:#x}, format {version}."
            )
        for seq, trace_id, received_ns, late, check, body in connection.execute(_WAITING):
            if checksum(body, trace_id, received_ns, late) != check:
                raise CollectorError(
                    f"{path}: row {seq} does not check; a start of the collector leaves it out."
                )
            yield seq, body
