"""Policies with a budget of spans or bytes a second: `rate_limiting`, `bytes_limiting`.

A token bucket that starts full and is refilled continuously; a trace larger than the bucket never passes. A vote only
asks; what a kept trace costs is spent afterwards. The Collector spends when it asks: that is `quirks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from processors.tail_sampling.policies.base import Desk, Policy, Settings
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import ABSTAIN, Ballot, Verdict, Vote

_NS: Final = 1_000_000_000


class Bucket:
    """A token bucket (golang.org/x/time/rate semantics), with time as an argument."""

    __slots__ = ("_at_ns", "_level", "_per_second", "_size")

    def __init__(self, per_second: float, size: float) -> None:
        self._per_second = per_second
        self._size = size
        self._level = float(size)
        self._at_ns = 0

    def level(self, now_ns: int) -> float:
        """Return what is there now."""
        if now_ns > self._at_ns:
            if self._at_ns:
                refill = (now_ns - self._at_ns) * self._per_second / _NS
                self._level = min(self._size, self._level + refill)
            self._at_ns = now_ns
        return self._level

    @property
    def state(self) -> tuple[float, int]:
        """What was there when it was looked at last, and when that was."""
        return self._level, self._at_ns

    def recall(self, state: tuple[float, int]) -> None:
        """Go on from a state."""
        self._level = min(self._size, state[0])
        self._at_ns = state[1]

    def inherit(self, predecessor: Bucket) -> None:
        """Owe what another owed."""
        self.recall(predecessor.state)

    @property
    def share(self) -> float:
        """How full it was when it was looked at last."""
        return self._level / self._size if self._size else 1.0

    def spend(self, amount: float) -> None:
        """Take out an amount; the level may go below zero."""
        self._level -= amount


class Limit:
    """Keeps traces while the bucket holds what they cost."""

    stateful = True
    certain = False

    def __init__(
        self, reason: str, bucket: Bucket, cost: Callable[[Trace], int], at_once: bool
    ) -> None:
        """`at_once`: spend when asked."""
        self._bucket = bucket
        self._cost = cost
        self._at_once = at_once
        self._keep = Vote(Ballot.KEEP, reason, None)
        self._owed = 0

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        cost = self._cost(trace)
        if cost > self._bucket.level(now_ns):
            return ABSTAIN
        if self._at_once:
            self._bucket.spend(cost)
        else:
            self._owed = cost
        return self._keep

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        if verdict.kept:
            self._bucket.spend(self._owed)
        self._owed = 0

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, Limit):
            self._bucket.inherit(predecessor._bucket)


def rate_limiting(settings: Settings, desk: Desk) -> Policy:
    """Build `rate_limiting`."""
    return _limit("rate", settings["spans_per_second"], settings, desk, lambda trace: trace.spans)


def bytes_limiting(settings: Settings, desk: Desk) -> Policy:
    """Build `bytes_limiting`."""
    desk.watch.sizes = True
    return _limit(
        "bytes", settings["bytes_per_second"], settings, desk, lambda trace: trace.wire_size
    )


def _limit(
    reason: str, per_second: float, settings: Settings, desk: Desk, cost: Callable[[Trace], int]
) -> Policy:
    size = int(settings["burst_capacity"]) or 2 * int(per_second)
    return Limit(reason, Bucket(int(per_second), size), cost, desk.quirks)
