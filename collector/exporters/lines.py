"""What waits in a queue, a line for each signal: in what order, what leaves together, and when.

Oldest first within a line, and the line that has waited longest first. `queue_config.Joining` says what is enough to
leave and how long the rest waits for more; a request leaves at once while nothing is on its way.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from collector.exporters.queue_config import Joining
from collector.exporters.shelf import Waiting
from processors.batch import Signal


class _Line:
    """What waits of one signal."""

    __slots__ = ("items", "size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.items = 0
        self.size = 0

    @property
    def since_s(self) -> float:
        """Since when its oldest request waits; of a line that is not empty."""
        return self.waiting[0].since_s

    def append(self, entry: Waiting) -> None:
        self.waiting.append(entry)
        self._count(entry, 1)

    def put_back(self, entry: Waiting) -> None:
        self.waiting.appendleft(entry)
        self._count(entry, 1)

    def pop(self) -> Waiting:
        entry = self.waiting.popleft()
        self._count(entry, -1)
        return entry

    def _count(self, entry: Waiting, sign: int) -> None:
        self.items += sign * entry.items
        self.size += sign * entry.size


class Lines:
    """Of one queue, which calls with its lock held."""

    def __init__(self, joining: Joining, clock: Callable[[], float]) -> None:
        self._joining = joining
        self._clock = clock
        self._lines = {signal: _Line() for signal in Signal}
        self._on_their_way = 0
        self._left_s = -math.inf
        """When something left last."""
        self._closed = False

    def append(self, entry: Waiting) -> bool:
        """Let a request wait; say whether something may leave earlier now."""
        line = self._lines[entry.signal]
        line.append(entry)
        return len(line.waiting) == 1 or self._joining.enough(line.items, line.size)

    def close(self) -> None:
        """Let nothing wait for more any longer."""
        self._closed = True

    def load(self) -> list[Waiting] | None:
        """Take out what leaves together now, if something does; it is on its way until `put_back` or `done`."""
        lines = [line for line in self._filled() if self._may_leave(line)]
        if not lines:
            return None
        self._on_their_way += 1
        self._left_s = self._clock()
        return self._joined(min(lines, key=_since))

    def done(self) -> None:
        """Count a load as on its way no longer."""
        self._on_their_way -= 1

    def put_back(self, parts: Sequence[Waiting]) -> None:
        """Let a load wait again, in front."""
        self._on_their_way -= 1
        for part in reversed(parts):
            self._lines[part.signal].put_back(part)

    def patience(self) -> float | None:
        """Return how many seconds nothing can become due by time alone; None = for ever."""
        due = [self._due_s(line) for line in self._filled()]
        return max(0.0, min(due) - self._clock()) if due else None

    def pop_oldest(self) -> Waiting | None:
        """Take out what has waited longest."""
        line = min(self._filled(), key=_since, default=None)
        return line.pop() if line is not None else None

    def pop_older(self, than_s: float) -> Iterator[Waiting]:
        """Take out what waits since before a time."""
        for line in self._lines.values():
            while line.waiting and line.since_s < than_s:
                yield line.pop()

    def pop_all(self) -> Iterator[Waiting]:
        """Take out everything."""
        return self.pop_older(math.inf)

    def _filled(self) -> list[_Line]:
        return [line for line in self._lines.values() if line.waiting]

    def _may_leave(self, line: _Line) -> bool:
        return (
            self._joining.enough(line.items, line.size)
            or self._closed
            or self._clock() >= self._due_s(line)
        )

    def _due_s(self, line: _Line) -> float:
        """Return when a line that is not enough may leave."""
        joining = self._joining
        latest_s = line.since_s + joining.linger_s
        if joining.eager and not self._on_their_way:
            return min(latest_s, self._left_s + joining.pause_s)
        return latest_s

    def _joined(self, line: _Line) -> list[Waiting]:
        parts = [line.pop()]
        items, size = parts[0].items, parts[0].size
        while line.waiting and not self._joining.enough(items, size):
            following = line.waiting[0]
            items, size = items + following.items, size + following.size
            if not self._joining.fits(items, size):
                break
            parts.append(line.pop())
        return parts


def _since(line: _Line) -> float:
    return line.since_s
