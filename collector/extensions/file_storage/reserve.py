"""Disk space that is set aside, so that a full disk can be emptied: SQLite needs room even to delete."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

_SHARE: Final = 16
"""At most this part of the file system for each file."""
_SUFFIX: Final = ".reserve"


class Reserve:
    """A part for each file, given up when the disk is full and taken back when there is room. Thread-safe.

    While any is given up nothing new is stored in any file: what is free then is needed to let go of what is there.
    Each file has a part of its own, because one that gave up a common one would lose that room to the upkeep of
    another before it could delete; as it is, who is left without room adds a part.
    """

    def __init__(self, directory: Path, size: int) -> None:
        """`size`: of each part, in bytes."""
        self._directory = directory
        self._wanted = size
        self.size = 0
        self._there: dict[str, bool] = {}
        self._needed_by: set[str] = set()
        self._lock = threading.Lock()

    @property
    def there(self) -> bool:
        """Whether every part is set aside."""
        return all(self._there.values())

    def open(self) -> None:
        """Find out how large a part may be; remove what an ended process left."""
        system = os.statvfs(self._directory)
        self.size = min(self._wanted, system.f_frsize * system.f_blocks // _SHARE)
        for left in (*self._directory.glob(f"*{_SUFFIX}"), self._directory / "reserve"):
            left.unlink(missing_ok=True)

    def join(self, owner: str) -> None:
        """Set aside a part for a file; on a full disk that comes later."""
        with self._lock:
            self._there[owner] = self._allocate(owner)

    def give_up(self, owner: str) -> None:
        """Free the part of a file that needs it, until the file takes it back."""
        with self._lock:
            self._needed_by.add(owner)
            self._part(owner).unlink(missing_ok=True)
            self._there[owner] = False

    def take(self, owner: str) -> bool:
        """Set aside again what is missing, unless another file needs it still; say whether all is there now."""
        with self._lock:
            self._needed_by.discard(owner)
            if not self._needed_by:
                for other, there in self._there.items():
                    self._there[other] = there or self._allocate(other)
            return self.there

    def close(self) -> None:
        """Leave nothing behind."""
        for owner in self._there:
            self._part(owner).unlink(missing_ok=True)

    def _part(self, owner: str) -> Path:
        return self._directory / f"{owner}{_SUFFIX}"

    def _allocate(self, owner: str) -> bool:
        if not self.size:
            system = os.statvfs(self._directory)
            return system.f_frsize * system.f_bavail > 0
        path = self._part(owner)
        try:
            handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(handle, 0, self.size)
        except OSError:
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(handle)
        return True
