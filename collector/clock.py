"""The pipelines' clock: Unix nanoseconds that never go back, whatever happens to the wall clock."""

from __future__ import annotations

import time


class Clock:
    """Wall time at construction plus monotonic time since."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset
