"""`file_storage`: keeps sending queues and undecided traces on disk, so that a killed process loses nothing it took.

One SQLite file for every exporter and every sampler, in a directory that only we can read and one process uses at a
time. Design and the measurements behind it: group commit, explicit checkpoints, a reserve against full disks, checks of
every row. What is stored is what the pipeline made of the data: configure redaction before it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from collector.errors import StartError
from collector.extensions.file_storage import journal, rows
from collector.extensions.file_storage.config import Config
from collector.extensions.file_storage.database import Layout
from collector.extensions.file_storage.file import File
from collector.extensions.file_storage.journal import Journal
from collector.extensions.file_storage.reserve import Reserve
from collector.extensions.file_storage.rows import QueueRows
from processors.ports import Context, Ticket
from processors.stats import Stats


class FileStorage:
    """The extension. Stores are opened when they are asked for, after `start`."""

    def __init__(self, config: Config, context: Context) -> None:
        self.stats = Stats()
        self._config = config
        self._say = context.say
        self._reserve = Reserve(config.directory, config.reserve_bytes)
        self._lock_file: int | None = None
        self._files: dict[str, File] = {}
        self._queues: dict[str, QueueRows] = {}
        self._journals: dict[str, Journal] = {}
        self._stopping = threading.Event()
        self._syncer = threading.Thread(target=self._sync_forever, name="storage-sync", daemon=True)
        self.stats.gauges["otelcol_llm_storage_limited",] = self._limited

    # -- as an extension

    def start(self) -> None:
        """Take possession of the directory. Raises: `StartError`."""
        _prepare(self._config, self._say)
        self._lock_file = _lock(self._config.directory / "lock")
        self._reserve.open()
        if self._config.sync_interval_s and not self._config.power:
            self._syncer.start()

    def stop(self, deadline_s: float) -> None:
        """Commit what waits and let go of the directory."""
        self._stopping.set()
        if self._syncer.ident is not None:
            self._syncer.join()
        for file in self._files.values():
            file.close()
        if self._lock_file is not None:
            self._reserve.close()
            os.close(self._lock_file)
            self._lock_file = None

    # -- as a storage

    def queue(self, component: str) -> QueueRows:
        """Return the sending queue of an exporter, the same one for as long as this runs. Raises: `StartError`."""
        if component not in self._queues:
            self._queues[component] = QueueRows(self._file(f"queue-{component}", rows.LAYOUT))
        return self._queues[component]

    def open(self, component: str, tickets: list[Ticket]) -> Journal:
        """Return the journal of a processor, likewise. `tickets`: what the request under way waits for."""
        if component not in self._journals:
            file = self._file(f"tail-{component}", journal.LAYOUT)
            self._journals[component] = Journal(file, tickets)
        return self._journals[component]

    def _file(self, name: str, layout: Layout) -> File:
        path = self._config.directory / f"{quote(name, safe='@')}.db"
        file = File(path, layout, self._config, self._reserve, self.stats, self._say)
        self._files[path.name] = file
        return file

    def _limited(self) -> int:
        files = list(self._files.values())
        return int(not self._reserve.there or any(file.refusal() is not None for file in files))

    def _sync_forever(self) -> None:
        while not self._stopping.wait(self._config.sync_interval_s):
            for file in list(self._files.values()):
                try:
                    file.sync()
                except OSError as error:
                    self._say(
                        "The storage cannot be brought to the disk.",
                        level=logging.ERROR,
                        file=file.name,
                        why=os.strerror(error.errno or 0),
                    )


def _prepare(config: Config, say: Callable[..., None]) -> None:
    """Have a directory that is ours alone. Raises: `StartError`."""
    directory = config.directory
    try:
        if config.create_directory:
            directory.mkdir(mode=config.permissions, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise StartError(
            f"Expected a directory for storage at {directory}, got: {error.strerror}; make it"
            f"{'' if config.create_directory else ', set create_directory: true'} or name another one."
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise StartError(f"Expected a directory for storage at {directory}, found something else.")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StartError(f"The storage directory {directory} is not writable.")
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise StartError(f"The storage directory {directory} belongs to another user.")
    if stat.S_IMODE(found.st_mode) & ~config.permissions:
        _close_to_others(directory, config.permissions, say)


def _close_to_others(directory: Path, permissions: int, say: Callable[..., None]) -> None:
    try:
        directory.chmod(permissions)
    except OSError as error:
        raise StartError(
            f"The storage directory {directory} can be read by others: expected mode {permissions:04o}."
        ) from error
    say("The storage directory was open to others; its mode was changed.", directory=str(directory))


def _lock(path: Path) -> int:
    """Return the descriptor that holds the directory for this process. Raises: `StartError`."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"{path} cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise StartError(
            f"The storage directory {path.parent} is in use by process {owner or 'unknown'}."
        ) from error
    with suppress(
        OSError
    ):  # on a full disk nobody learns who holds it, but what waits there can leave
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
