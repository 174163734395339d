"""Group commit: everything that waits is written in one transaction, by one thread a file.

Two kinds of statements. New data may be refused: its ticket says so and the sender tries again. Upkeep (deleting what
is delivered, noting decisions) is never refused: it waits until it can be done, and while it waits nothing new is
taken. Batching comes from the duration of the commit before; there is no artificial delay.

After a sync that failed nothing new is taken either, until all that is there is in a new file.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from collector.errors import StartError
from collector.extensions.file_storage.database import Database, Row, Statement
from collector.extensions.file_storage.reserve import Reserve
from processors.errors import Overloaded
from processors.stats import Histogram, Stats

_GROUP_BYTES: Final = 8 << 20
_GROUP_ROWS: Final = 1_000
_ROW_BYTES: Final = 8_192
"""What a row adds to the log besides its body, roughly."""
_STEP: Final = 8
_STEP_PAGES: Final = 16
_MOST_STEPS: Final = 64
_IDLE_S: Final = 0.5
_AGAIN_S: Final = 1.0
_RENEW_AGAIN_S: Final = 2.0
_SYNC_ERRORS: Final = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")
_REFUSED: Final = "otelcol_llm_storage_refused_total"
_COMMIT_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Commit:
    """The ticket of everything of one kind in one transaction."""

    __slots__ = ("_failure", "_known")

    def __init__(self) -> None:
        self._known = threading.Event()
        self._failure: Overloaded | None = None

    def settle(self, failure: Overloaded | None = None) -> None:
        self._failure = failure
        self._known.set()

    def settled(self) -> bool:
        """Say whether it is known what became of it; never blocks."""
        return self._known.is_set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once it is committed. Raises: `Overloaded` when it was refused, or is not known in time."""
        if not self._known.wait(timeout_s):
            raise Overloaded("The storage has not committed the data yet.")
        if self._failure is not None:
            raise self._failure


class _Group:
    """What goes into one transaction."""

    __slots__ = ("new", "new_commit", "size", "upkeep", "upkeep_commit")

    def __init__(self) -> None:
        self.new: list[Statement] = []
        self.upkeep: list[Statement] = []
        self.new_commit = Commit()
        self.upkeep_commit = Commit()
        self.size = 0

    @property
    def full(self) -> bool:
        return self.size >= _GROUP_BYTES or len(self.new) + len(self.upkeep) >= _GROUP_ROWS


class Writer:
    """The thread that writes one file. `add` and `keep` only append."""

    def __init__(
        self,
        database: Database,
        reserve: Reserve,
        log_bytes: int,
        stats: Stats,
        say: Callable[..., None],
    ) -> None:
        self._database = database
        self._reserve = reserve
        self._log_bytes = log_bytes
        self._counters = stats.counters
        self._name = database.path.name
        stats.from_zero(_REFUSED, [self._name])
        self._times = Histogram(_COMMIT_S)
        stats.histograms["otelcol_llm_storage_commit_seconds", self._name] = self._times
        self._say = say
        self._work = threading.Condition(threading.Lock())
        self._groups: deque[_Group] = deque()
        self._owed: list[_Group] = []
        """Groups whose upkeep could not be done yet; what was new in them has been refused."""
        self._logged = 0
        self._closed = False
        self._broken = False
        self._again_s = 0.0
        self._doubtful = False
        """Whether the disk may lack pages that it was asked to have."""
        self._renew_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"storage-{self._name}", daemon=True)

    def start(self) -> None:
        self._reserve.join(self._name)
        self._thread.start()

    def add(self, sql: str, row: Row, size: int) -> Commit:
        """Write new data; its ticket may say that it was refused."""
        with self._work:
            group = self._open_group()
            group.new.append((sql, row))
            group.size += size
            return group.new_commit

    def keep(self, sql: str, row: Row) -> Commit:
        """Do upkeep, in the order it was asked for and after what was added before."""
        with self._work:
            group = self._open_group()
            group.upkeep.append((sql, row))
            return group.upkeep_commit

    def _open_group(self) -> _Group:
        groups = self._groups
        if not groups or groups[-1].full:
            groups.append(_Group())
            self._work.notify()
        return groups[-1]

    def refusal(self) -> Overloaded | None:
        """Say whether new data would be refused now."""
        if self._owed or self._doubtful or not self._reserve.there:
            return Overloaded("The disk of the storage is full or broken.", retry_after_s=2.0)
        return None

    def doubt(self) -> None:
        """Note that a sync of the file failed."""
        self._doubtful = True

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything asked for so far is settled."""
        with self._work:
            commit = self._open_group().upkeep_commit
        commit.wait(timeout_s)

    def close(self) -> None:
        """Write what waits and end the thread. May be called twice."""
        with self._work:
            self._closed = True
            self._work.notify()
        if self._thread.ident is not None:
            self._thread.join()

    # -- the thread

    def _run(self) -> None:
        while True:
            with self._work:
                if not self._groups and not self._closed:
                    self._work.wait(_IDLE_S)
                group = self._groups.popleft() if self._groups else None
                ended = self._closed and group is None
            if self._doubtful:
                self._renew()
            if ended:
                self._settle_owed()
                return
            if group is None:
                self._be_idle()
            elif self._owed or self._doubtful or not self._reserve.there:
                self._refuse(group)
                self._recover()
            else:
                self._commit(group)

    def _commit(self, group: _Group) -> None:
        began = time.perf_counter()
        try:
            self._database.write([*group.new, *group.upkeep])
        except sqlite3.Error as error:
            self._fail(error)
            self._refuse(group)
            self._settle_owed()
            return
        self._times.observe(time.perf_counter() - began)
        group.new_commit.settle()
        group.upkeep_commit.settle()
        self._logged += group.size + _ROW_BYTES * (len(group.new) + len(group.upkeep))
        if self._broken:
            self._broken = False
            self._say("The storage takes data again.", file=self._name)
        if self._logged >= self._log_bytes:
            self._checkpoint()

    def _fail(self, error: Exception) -> None:
        """Note that a commit failed; on a full disk, make the room that letting go needs."""
        name = self._count_failure(error)
        if name == "SQLITE_FULL":
            self._reserve.give_up(self._name)
            self._checkpoint(truncate=True)
        if not self._broken:
            self._broken = True
            text = "The storage cannot be written; new data is refused until it can."
            self._say(text, level=logging.ERROR, file=self._name, why=name)

    def _count_failure(self, error: Exception) -> str:
        """Count a failed write by its name, and return that."""
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        self._counters["otelcol_llm_storage_failed_commits_total", self._name, name] += 1
        self._doubtful = self._doubtful or name in _SYNC_ERRORS
        return name

    def _renew(self) -> None:
        """Try, once in a while, to bring everything into a new file."""
        now = time.monotonic()
        if now < self._renew_s:
            return
        self._renew_s = now + _RENEW_AGAIN_S
        try:
            self._database.renew()
        except (sqlite3.Error, OSError, StartError) as error:
            self._fail(error)
            return
        self._doubtful = False
        self._logged = 0
        self._say("After a failed sync the storage goes on in a new file.", file=self._name)

    def _refuse(self, group: _Group) -> None:
        """Refuse what is new in a group and owe its upkeep."""
        if group.new:
            self._counters[_REFUSED, self._name] += len(group.new)
        group.new_commit.settle(Overloaded("The storage could not be written.", retry_after_s=2.0))
        group.new = []
        self._owed.append(group)

    def _recover(self) -> None:
        """Try, once in a while, to do the upkeep that is owed and to take the reserve back."""
        now = time.monotonic()
        if now >= self._again_s or self._closed:
            self._again_s = now + _AGAIN_S
            self._settle_owed()
            if not self._owed and not self._reserve.there:
                self._checkpoint(truncate=True)
                if not self._reserve.take(self._name):
                    self._make_space()

    def _settle_owed(self) -> None:
        """Do what is owed, in small steps: each needs room in the log."""
        tries = 2
        while self._owed:
            group = self._owed[0]
            try:
                self._database.write(group.upkeep[:_STEP])
            except sqlite3.Error as error:
                self._fail(error)
                tries -= 1
                if not tries:
                    return
                continue
            del group.upkeep[:_STEP]
            if not self._reserve.there:
                self._checkpoint(truncate=True)
            if not group.upkeep:
                group.upkeep_commit.settle()
                del self._owed[0]

    def _make_space(self) -> None:
        """Give free pages back to a full file system, in small steps, and take the reserve back."""
        try:
            for _ in range(_MOST_STEPS):
                if not self._database.shrink(least=1, most=_STEP_PAGES):
                    break
                self._checkpoint(truncate=True)
        except sqlite3.Error as error:
            self._fail(error)
        self._reserve.take(self._name)

    def _be_idle(self) -> None:
        if self._owed or not self._reserve.there:
            self._recover()
        elif self._logged:
            self._checkpoint()
        else:
            try:
                self._database.shrink()
            except sqlite3.Error as error:
                self._fail(error)

    def _checkpoint(self, *, truncate: bool = False) -> None:
        try:
            self._database.checkpoint(truncate=truncate)
        except sqlite3.Error as error:
            self._count_failure(error)
        self._logged = 0
