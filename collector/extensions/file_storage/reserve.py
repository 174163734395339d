"""Disk space that is set aside, so that a full disk can be emptied: SQLite needs room even to delete."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

_SHARE: Final = 16
"""At most this part of the file system."""


class Reserve:
    """A file that is given up when the disk is full and taken back when there is room. Thread-safe.

    While it is given up nothing new is stored: what is free then is needed to let go of what is there.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._wanted = size
        self.size = 0
        self.there = True
        self._needed_by: set[str] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Set the space aside; on a full disk that comes later."""
        system = os.statvfs(self._path.parent)
        self.size = min(self._wanted, system.f_frsize * system.f_blocks // _SHARE)
        self._path.unlink(missing_ok=True)
        self.there = self._allocate()

    def give_up(self, owner: str) -> None:
        """Free the space for a file that needs it, until that takes it back."""
        with self._lock:
            self._needed_by.add(owner)
            self._path.unlink(missing_ok=True)
            self.there = False

    def take(self, owner: str) -> bool:
        """Set the space aside again, unless another file needs it still; say whether it is there now."""
        with self._lock:
            self._needed_by.discard(owner)
            if not self.there and not self._needed_by:
                self.there = self._allocate()
            return self.there

    def close(self) -> None:
        """Leave nothing behind."""
        self._path.unlink(missing_ok=True)

    def _allocate(self) -> bool:
        if not self.size:
            system = os.statvfs(self._path.parent)
            return system.f_frsize * system.f_bavail > 0
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(handle, 0, self.size)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(handle)
        return True
