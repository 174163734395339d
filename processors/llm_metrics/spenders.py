"""Who spent most, in bounded memory: the space-saving algorithm, weighted.

Invariants
- At most `room` names are counted. A new one takes the place of the one with the least, and its sum as a doubt.
- What is told of a name is its sum without the doubt: it spent at least that, so nobody is accused of another's money.
- Whoever spent more than a `room`-th of everything is counted.

Source: Metwally, Agrawal, El Abbadi, Efficient Computation of Frequent and Top-k Elements in Data Streams, ICDT 2005.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace, nlargest


class Spenders:
    """Sums of amounts by name."""

    __slots__ = ("_doubts", "_heap", "_room", "_sums")

    def __init__(self, room: int) -> None:
        self._room = room
        self._sums: dict[str, int] = {}
        self._doubts: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        """Each name once, with a sum it had: the least is found by bringing the first up to date."""

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, name: str, amount: int) -> None:
        """Add what a name spent; never less than nothing."""
        if name in self._sums:
            self._sums[name] += amount
            return
        doubt = self._make_room() if len(self._sums) >= self._room else 0
        self._sums[name] = doubt + amount
        self._doubts[name] = doubt
        heappush(self._heap, (doubt + amount, name))

    def top(self, number: int) -> list[tuple[str, int]]:
        """Return who spent most and what they surely spent, first the first."""
        sure = ((spent - self._doubts[name], name) for name, spent in self._sums.items())
        return [(name, spent) for spent, name in nlargest(number, sure) if spent]

    def _make_room(self) -> int:
        """Forget the name with the least and return its sum."""
        heap, sums = self._heap, self._sums
        while True:
            told, name = heap[0]
            spent = sums[name]
            if told == spent:
                heappop(heap)
                del sums[name], self._doubts[name]
                return spent
            heapreplace(heap, (spent, name))
