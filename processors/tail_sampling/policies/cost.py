"""Policies on sums over the calls of a trace: money and tokens.

A call without a price has an unknown cost, not a small one. A sum with such a call in it is a lower bound: it may prove
a minimum, never a maximum. No call at all is no vote, not a sum of zero.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from processors.errors import InvalidConfig
from processors.tail_sampling.calls import add_up, exact_sum
from processors.tail_sampling.policies.base import Desk, Free, Policy, Settings
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import ABSTAIN, Ballot, Vote

_NEAR: Final = 1e-6
_NEAR_SHARE: Final = 1e-9
"""Closer than this to a bound, in USD and as a share of the sum, doubles are not trusted."""


class Sum:
    """A sum of dollars, compared exactly where doubles could be wrong."""

    def __init__(self, amounts: list[float]) -> None:
        self._amounts = amounts
        self._rough = add_up(amounts)
        self._exact: Decimal | None = None

    def at_least(self, bound: float) -> bool:
        return self._compare(bound) >= 0

    def at_most(self, bound: float) -> bool:
        return self._compare(bound) <= 0

    def _compare(self, bound: float) -> float:
        difference = self._rough - bound
        if abs(difference) > _NEAR + _NEAR_SHARE * abs(self._rough):
            return difference
        if self._exact is None:
            self._exact = exact_sum(self._amounts)
        return (self._exact > Decimal(repr(bound))) - (self._exact < Decimal(repr(bound)))


class TraceCost(Free):
    """`trace_cost`: votes on the sum of `app.llm.cost_usd` over priced spans, bounds inclusive."""

    _KEEP: Final = Vote(Ballot.KEEP, "trace_cost")
    _UNPRICED: Final = Vote(Ballot.KEEP, "unpriced")

    def __init__(self, least: float | None, most: float | None, keep_unpriced: bool) -> None:
        self._least = least
        self._most = most
        self._keep_unpriced = keep_unpriced

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        calls = trace.calls
        if calls is None:
            return ABSTAIN
        unknown = None in calls.costs.values()
        if unknown and self._keep_unpriced:
            return self._UNPRICED
        priced = calls.priced
        if not priced:
            return ABSTAIN
        total = Sum(priced)
        if self._least is not None and not total.at_least(self._least):
            return ABSTAIN
        if self._most is not None and (unknown or not total.at_most(self._most)):
            return ABSTAIN
        return self._KEEP


def trace_cost(settings: Settings, desk: Desk) -> Policy:
    """Build `trace_cost`."""
    least, most = settings["min_usd"], settings["max_usd"]
    _check_bounds("usd", least, most)
    desk.watch.costs()
    return TraceCost(
        None if least is None else float(least),
        None if most is None else float(most),
        settings["on_unpriced"] == "keep",
    )


def _check_bounds(unit: str, least: float | None, most: float | None) -> None:
    if least is None and most is None:
        text = f"expected min_{unit} or max_{unit}, got neither; without a bound every trace would match"
        raise InvalidConfig("", text)
    if least is not None and most is not None and least > most:
        raise InvalidConfig("", f"expected min_{unit} <= max_{unit}, got {least} and {most}")


class TraceTokens(Free):
    """`trace_tokens`: votes on a sum of tokens over counted spans, bounds inclusive."""

    _KEEP: Final = Vote(Ballot.KEEP, "trace_tokens")

    def __init__(self, least: int | None, most: int | None, rows: tuple[int, ...]) -> None:
        self._least = least
        self._most = most
        self._rows = rows

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        if trace.calls is None:
            return ABSTAIN
        counts = [tokens[row] for tokens in trace.calls.tokens.values() for row in self._rows]
        known = [count for count in counts if count is not None]
        if not known:
            return ABSTAIN
        total = sum(known)
        if self._least is not None and total < self._least:
            return ABSTAIN
        if self._most is not None and (total > self._most or len(known) < len(counts)):
            return ABSTAIN
        return self._KEEP


_ROWS: Final = {
    "total": (0, 1),
    "input": (0,),
    "output": (1,),
    "cache_read": (2,),
    "reasoning": (3,),
}


def trace_tokens(settings: Settings, desk: Desk) -> Policy:
    """Build `trace_tokens`."""
    least, most = settings["min_tokens"], settings["max_tokens"]
    _check_bounds("tokens", least, most)
    desk.watch.tokens()
    return TraceTokens(least, most, _ROWS[settings["count"]])
