"""Policies made of policies: `and`, `not`, `drop`, `composite`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processors.errors import InvalidConfig
from processors.tail_sampling.policies.base import Desk, Policy, Settings
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import ABSTAIN, DROP, Ballot, Verdict, Vote

_NS: Final = 1_000_000_000
_LET_PASS: Final = Verdict(kept=True)
_UNDECIDED: Final = Vote(Ballot.KEEP, "and")


def _settle_all(policies: Sequence[Policy], trace: Trace, now_ns: int, verdict: Verdict) -> None:
    for policy in policies:
        policy.settle(trace, now_ns, verdict)


class And:
    """Keeps a trace that all its parts keep; parts that spend are asked last."""

    def __init__(self, parts: Sequence[Policy]) -> None:
        self._parts = parts
        self.stateful = any(part.stateful for part in parts)
        self.certain = all(part.certain for part in parts)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        strictest = _UNDECIDED
        for part in self._parts:
            vote = part.vote(trace, now_ns)
            if vote.ballot is not Ballot.KEEP:
                return vote
            if _stricter(vote.threshold, strictest.threshold):
                strictest = vote
        return strictest

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        _settle_all(self._parts, trace, now_ns, verdict)

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, And):
            _inherit_all(self._parts, predecessor._parts)


def _inherit_all(parts: Sequence[Policy], predecessors: Sequence[Policy]) -> None:
    """Take over the state of parts where the parts are of the same types in the same order."""
    if [type(part) for part in parts] == [type(part) for part in predecessors]:
        for part, predecessor in zip(parts, predecessors, strict=True):
            part.inherit(predecessor)


def _stricter(threshold: int | None, other: int | None) -> bool:
    """Say whether a part lets less through than another; of an unknown probability nothing better is known."""
    return other is not None and (threshold is None or threshold > other)


class Not:
    """Keeps what its part does not, and the other way round."""

    def __init__(self, part: Policy) -> None:
        self._part = part
        self._keep = Vote(Ballot.KEEP, "not", 0 if part.certain else None)
        self.stateful = part.stateful
        self.certain = part.certain

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        vote = self._part.vote(trace, now_ns)
        if vote.ballot is Ballot.KEEP:
            return ABSTAIN
        return self._keep if vote.ballot is Ballot.ABSTAIN else vote

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        """A limiter that is turned round spends for what it let pass, which is not what is kept."""
        self._part.settle(trace, now_ns, _LET_PASS)

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, Not):
            _inherit_all([self._part], [predecessor._part])


class Drop:
    """Drops a trace that all its parts would keep, whatever others say."""

    certain = True

    def __init__(self, all_of: And) -> None:
        self._all_of = all_of
        self.stateful = all_of.stateful

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        vote = self._all_of.vote(trace, now_ns)
        return DROP if vote.ballot is Ballot.KEEP else vote

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        self._all_of.settle(trace, now_ns, _LET_PASS if verdict.dropped else verdict)

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, Drop):
            self._all_of.inherit(predecessor._all_of)


def and_(settings: Settings, desk: Desk) -> Policy:
    """Build `and`."""
    return And(_in_order([desk.part(part) for part in settings["and_sub_policy"]], desk))


def not_(settings: Settings, desk: Desk) -> Policy:
    """Build `not`."""
    part = settings["not_sub_policy"]
    if part is None:
        text = "unknown sampling policy type: expected a policy to turn round, got none"
        raise InvalidConfig("not_sub_policy", text)
    return Not(desk.part(part))


def drop(settings: Settings, desk: Desk) -> Policy:
    """Build `drop`."""
    parts = [desk.part(part) for part in settings["drop_sub_policy"]]
    return Drop(And(_in_order(parts, desk)))


def _in_order(parts: list[Policy], desk: Desk) -> list[Policy]:
    """Return the order of asking: as written for the Collector, which spends by position."""
    return parts if desk.quirks else sorted(parts, key=lambda part: part.stateful)


@dataclass(slots=True)
class Share:
    """A part of a composite and what it may keep in the current second."""

    policy: Policy
    most: float
    kept: int = 0


class Composite:
    """Keeps a trace by the first part that wants it, within that part's share of spans a second.

    Fixed windows of one second. Each share is compared with the total by itself, as in the Collector: shares of more
    than 100 % exceed it. `spill_over`: a trace whose first match is exhausted is offered to the next one.
    """

    certain = False

    def __init__(self, shares: Sequence[Share], most: float, spill_over: bool) -> None:
        self._shares = shares
        self._most = most
        self._spill_over = spill_over
        self._second = 0
        self._taken: Share | None = None
        self._keep = Vote(Ballot.KEEP, "composite", None)
        self.stateful = any(share.policy.stateful for share in shares)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        self._turn(now_ns // _NS)
        for share in self._shares:
            vote = share.policy.vote(trace, now_ns)
            if vote.ballot is Ballot.ERROR:
                return vote
            if vote.ballot is Ballot.KEEP:
                if share.kept + trace.spans <= min(share.most, self._most):
                    self._taken = share
                    return self._keep
                if not self._spill_over:
                    break
        return ABSTAIN

    def _turn(self, second: int) -> None:
        if second != self._second:
            self._second = second
            for share in self._shares:
                share.kept = 0

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        if self._taken is not None and verdict.kept:
            self._taken.kept += trace.spans
        self._taken = None
        _settle_all([share.policy for share in self._shares], trace, now_ns, verdict)

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, Composite):
            _inherit_all(
                [share.policy for share in self._shares],
                [share.policy for share in predecessor._shares],
            )


def composite(settings: Settings, desk: Desk) -> Policy:
    """Build `composite`. The Collector ignores `policy_order`, gives parts without allocation nothing and never spills
    over."""
    parts = settings["composite_sub_policy"]
    most = int(settings["max_total_spans_per_second"])
    equal = most / len(parts) if parts else 0.0
    allocated = {
        row["policy"]: most * row["percent"] / 100 if row["percent"] > 0 else equal
        for row in settings["rate_allocation"]
    }
    otherwise = 0.0 if desk.quirks else equal
    if not desk.quirks:
        order = settings["policy_order"]
        parts = sorted(
            parts, key=lambda p: order.index(p["name"]) if p["name"] in order else len(order)
        )
    shares = [Share(desk.part(part), int(allocated.get(part["name"], otherwise))) for part in parts]
    return Composite(shares, most, not desk.quirks)
