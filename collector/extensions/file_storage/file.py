"""One file of the storage: the database, the thread that writes it, and what is counted about it."""

from __future__ import annotations

import logging
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from collector.extensions.file_storage.config import Config
from collector.extensions.file_storage.database import Database, Layout, Row, Settings
from collector.extensions.file_storage.reserve import Reserve
from collector.extensions.file_storage.writer import Commit, Writer
from processors.errors import Overloaded
from processors.stats import Stats

_LOG_BYTES: Final = 16 << 20


class File:
    """Opened by its constructor."""

    def __init__(
        self,
        path: Path,
        layout: Layout,
        config: Config,
        reserve: Reserve,
        stats: Stats,
        say: Callable[..., None],
    ) -> None:
        """Raises: `StartError`."""
        self.config = config
        self.name = path.name
        self.damaged = 0
        """How many rows, logs and files were found damaged."""
        self._counters = stats.counters
        self._say = say
        log_bytes = min(_LOG_BYTES, reserve.size // 2 or _LOG_BYTES)
        settings = Settings(config.power, config.max_bytes, log_bytes)
        self._database = Database(path, layout, settings, self._damaged)
        self._database.open()
        self._writer = Writer(self._database, reserve, log_bytes, stats, say)
        self._writer.start()
        self.add = self._writer.add
        self.keep = self._writer.keep

    def read(self, sql: str, row: Row = ()) -> list[Row]:
        """Return the rows of a query; none, which is counted, when that part of the file is damaged."""
        try:
            return self._database.read(sql, row)
        except sqlite3.DatabaseError:
            self.damaged_row()
            return []

    def refusal(self) -> Overloaded | None:
        """Say whether new data would be refused now."""
        return self._writer.refusal()

    def flush(self) -> None:
        """Wait until everything asked for so far is settled."""
        self._writer.flush()

    def damaged_row(self) -> None:
        """Count a row whose content is not what was written."""
        self._damaged("row", "a row does not check and is left out.")

    def sync(self) -> None:
        """Bring the commits so far to the disk, without waiting for the writer.

        The log is opened by a descriptor of its own, which touches none of SQLite's locks: they are on the main file.
        """
        try:
            handle = os.open(self._database.log, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return  # the file is being renewed: all of it is on the disk
        try:
            os.fdatasync(handle)
        except OSError:
            self._writer.doubt()
            raise
        finally:
            os.close(handle)

    def close(self) -> None:
        """Write what waits and close. May be called twice."""
        self._writer.close()
        self._database.close()

    def _damaged(self, what: str, text: str) -> None:
        self.damaged += 1
        key = ("otelcol_llm_storage_damaged_total", self.name, what)
        self._counters[key] += 1
        if what != "row" or self._counters[key] == 1:
            self._say(
                "Stored data is damaged.",
                level=logging.ERROR,
                file=self.name,
                what=what,
                detail=text,
            )


def checksum(body: bytes, *fields: object) -> int:
    """Return what a row is checked by: all of it that is acted on."""
    return zlib.crc32(body, zlib.crc32(repr(fields).encode()))


__all__ = ["Commit", "File", "Row", "checksum"]
