"""What the operating system asks a process for."""

from __future__ import annotations

import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType


class Signals:
    """Hears signals from its creation on, in the main thread, and tells which came.

    A handler interrupts the main thread anywhere, also while that waits to be woken. Only `SimpleQueue.put` is made for
    that (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put); `Event.set` may wait for ever for a lock
    that the interrupted `Event.wait` holds, and the process then ends by nothing but `kill -9`.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._came: SimpleQueue[int] = SimpleQueue()
        for number in numbers:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._came.put(number)

    def wait(self, seconds: float) -> set[int]:
        """Return the signals that came since the last call, at the latest after so many seconds."""
        came = set()
        with suppress(Empty):
            came.add(self._came.get(timeout=seconds))
            while True:
                came.add(self._came.get_nowait())
        return came
