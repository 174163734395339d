"""What a processor counts about itself, as plain numbers that the shell reads when somebody scrapes.

A counter is a dict entry: 0.1 µs against 1.7 µs for a labelled metric object. Names, units, labels and help of
everything counted here stand in `collector/telemetry.py`, one row each; a key without a row is a bug that a test finds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import product


class Histogram:
    """Cumulative observations in fixed buckets (upper bounds inclusive, as Prometheus has them)."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Observe many at once: what lies in one bucket together costs as much as one."""
        ordered = sorted(values)
        at, end = 0, len(ordered)
        while at < end:
            bucket = bisect_left(self.bounds, ordered[at])
            behind = (
                bisect_right(ordered, self.bounds[bucket]) if bucket < len(self.bounds) else end
            )
            self.counts[bucket] += behind - at
            at = behind
        self.sum += sum(ordered)


class Stats:
    """Counters and histograms by (metric name, label values…), gauges by name.

    The label values are those of the metric's row in order, without `component`, which the shell adds.
    """

    __slots__ = ("counters", "gauges", "histograms")

    def __init__(self) -> None:
        self.counters: defaultdict[tuple[str, ...], int | float] = defaultdict(int)
        self.gauges: dict[tuple[str, ...], Callable[[], int | float]] = {}
        self.histograms: dict[tuple[str, ...], Histogram] = {}

    def from_zero(self, name: str, *values: Iterable[str]) -> None:
        """Show a counter before anything is counted, once for every combination of the `values` of its labels.

        What an alert rests on MUST be shown so, as far as its label values are known: Prometheus sees no increase in a
        series that begins at 5,000. May be called again: what was counted stays.
        """
        for labels in product(*values):
            self.counters.setdefault((name, *labels), 0)

    def inherit(self, predecessor: Stats) -> None:
        """Count on from where another ended, which MUST NOT count any more: counters never go back."""
        for key, number in predecessor.counters.items():
            self.counters[key] += number
        for key, theirs in predecessor.histograms.items():
            mine = self.histograms.setdefault(key, Histogram(theirs.bounds))
            mine.counts = [a + b for a, b in zip(mine.counts, theirs.counts, strict=True)]
            mine.sum += theirs.sum
