"""All policies of a processor together: who is asked, in which order, and what follows from the votes.

Any drop → dropped. Else any keep → kept, with the smallest threshold of the votes to keep (a certain vote has 0) and
the highest content tier among them. An error is no vote. Every vote is counted under the Collector's names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from processors.errors import InvalidConfig
from processors.ports import Store
from processors.stats import Stats
from processors.tail_sampling.config import Config, PolicyConfig
from processors.tail_sampling.plan import Plan, Watch
from processors.tail_sampling.policies import build, new_desk
from processors.tail_sampling.policies.base import Ceiling, Desk, Free, Lasting, Policy
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import (
    ABSTAIN,
    DROP,
    ERROR,
    NOT_SAMPLED,
    Ballot,
    Tier,
    Verdict,
    Vote,
)

_VOTES: Final = "otelcol_processor_tail_sampling_count_traces_sampled_total"
_EXECUTED: Final = "otelcol_processor_tail_sampling_sampling_policy_execution_count_total"
_REFUSED: Final = "otelcol_llm_tail_sampling_budget_refused_total"
_MOST_VERDICTS: Final = 1_024
_SPARED: Final = "spared"
_WORDS: Final = tuple(ballot.value for ballot in Ballot if ballot is not Ballot.ERROR)
_ERRORS: Final = "otelcol_processor_tail_sampling_sampling_policy_evaluation_error_total"


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """A configured policy."""

    name: str
    type: str
    tier: Tier
    policy: Policy
    tally: dict[str, int]
    """Votes since they were counted last, by ballot; what was asked and is not here is an abstention."""
    vote: Callable[[Trace, int], Vote]


class Panel:
    """The compiled policies and the plan of what they look at."""

    def __init__(self, config: Config, watch: Watch, stats: Stats, prefix: str) -> None:
        """`prefix`: put before policy names in metrics. Raises: `InvalidConfig`."""
        desk = new_desk(watch, config)
        self._seats = tuple(_seat(policy, build_policy(policy, desk)) for policy in config.policies)
        desk.certain.update({seat.name: seat.policy.certain for seat in self._seats})
        self._ceilings = [
            (seat.name, seat.policy) for seat in self._seats if isinstance(seat.policy, Ceiling)
        ]
        self.plan = Plan(watch)
        self._drops = [seat for seat in self._seats if seat.type == "drop"]
        self._first_match = config.first_match
        self._prefix = prefix
        self._asked = 0
        """Traces since the votes were counted last."""
        self._spenders = [s.policy for s in self._seats if not isinstance(s.policy, Free)]
        self._stats = stats
        self._verdicts: dict[tuple[tuple[Seat, Vote], ...], Verdict] = {}

    def decide(self, trace: Trace, now_ns: int) -> Verdict:
        """Return the verdict on what is known now, and let policies spend what it costs."""
        self.plan.catch_up(trace)
        verdict = self._combined(self._ask(trace, now_ns))
        if verdict.kept:
            for name, ceiling in self._ceilings:
                verdict = self._capped(name, ceiling, trace, now_ns, verdict)
            if trace.session_rv is not None:
                verdict = replace(verdict, rv=trace.session_rv)
        for policy in self._spenders:
            policy.settle(trace, now_ns, verdict)
        return verdict

    def may_drop(self, trace: Trace, now_ns: int) -> bool:
        """Say whether a drop policy that has not spoken yet may do so later; of one that fails nothing is expected."""
        return any(seat.vote(trace, now_ns) is not ERROR for seat in self._drops)

    def count(self) -> None:
        """Enter the votes since the last time. They are tallied apart because there are several a trace."""
        counters = self._stats.counters
        for seat in self._seats if self._asked else ():
            tally = seat.tally
            name, executed = self._prefix + seat.name, self._asked - tally[_SPARED]
            tally[Ballot.ABSTAIN.value] = self._asked - sum(tally.values())
            if executed:
                counters[_EXECUTED, name] += executed
            for word in _WORDS:
                if tally[word]:
                    sampled = "true" if word == Ballot.KEEP.value else "false"
                    counters[_VOTES, name, sampled, word] += tally[word]
            seat.tally.update(dict.fromkeys(tally, 0))
        self._asked = 0

    def save(self, store: Store) -> None:
        """Write down what policies will have to remember, as far as it changed."""
        for prefix, policy in self._lasting():
            for key, value in policy.changes():
                store.remember(prefix + key, value)

    def recall(self, store: Store) -> None:
        """Let policies of the same name and type remember what they wrote down."""
        states = list(store.states())
        for prefix, policy in self._lasting():
            policy.recall(
                (key.removeprefix(prefix), value) for key, value in states if key.startswith(prefix)
            )

    def _lasting(self) -> Iterator[tuple[str, Lasting]]:
        for seat in self._seats:
            if isinstance(seat.policy, Lasting):
                yield f"{seat.type}/{seat.name}/", seat.policy

    def inherit(self, predecessor: Panel) -> None:
        """Take over what policies of the same name and type have spent."""
        old = {(seat.name, seat.type): seat.policy for seat in predecessor._seats}
        for seat in self._seats:
            if (seat.name, seat.type) in old:
                seat.policy.inherit(old[seat.name, seat.type])

    def _ask(self, trace: Trace, now_ns: int) -> tuple[tuple[Seat, Vote], ...]:
        """Return the votes that are not abstentions."""
        votes: list[tuple[Seat, Vote]] = []
        self._asked += 1
        for seat in self._seats:
            vote = seat.vote(trace, now_ns)
            if vote is ABSTAIN:
                continue
            if vote is ERROR:
                self._stats.counters[_ERRORS,] += 1
                seat.tally[vote.word] += 1
                continue
            seat.tally[vote.word] += 1
            votes.append((seat, vote))
            if vote is DROP or self._first_match:
                self._spare_behind(seat)
                break
        return tuple(votes)

    def _spare_behind(self, last: Seat) -> None:
        """Note that those behind a seat were not asked."""
        for seat in reversed(self._seats):
            if seat is last:
                return
            seat.tally[_SPARED] += 1

    def _combined(self, votes: tuple[tuple[Seat, Vote], ...]) -> Verdict:
        """Return the verdict of these votes; seats and votes are few objects, so that equal verdicts are one."""
        if not votes:
            return NOT_SAMPLED
        verdict = self._verdicts.get(votes)
        if verdict is None:
            if len(self._verdicts) >= _MOST_VERDICTS:
                self._verdicts.clear()
            verdict = self._verdicts[votes] = _combine(votes)
        return verdict

    def _capped(
        self, name: str, ceiling: Ceiling, trace: Trace, now_ns: int, verdict: Verdict
    ) -> Verdict:
        capped = ceiling.cap(trace, now_ns, verdict)
        if capped is not verdict:
            self._stats.counters[_REFUSED, name] += 1
        return capped


def build_policy(config: PolicyConfig, desk: Desk) -> Policy:
    """Build one policy. Raises: `InvalidConfig`, whose sentence is the Collector's."""
    try:
        return build(config.settings, desk)
    except InvalidConfig as wrong:
        where = f"{config.type}.{wrong.path}" if wrong.path else config.type
        text = f'failed to create policy evaluator for "{config.name}": {wrong.text}'
        raise InvalidConfig(where, text) from None


def _seat(config: PolicyConfig, policy: Policy) -> Seat:
    tally = dict.fromkeys((*_WORDS, Ballot.ERROR.value, _SPARED), 0)
    return Seat(config.name, config.type, config.tier, policy, tally, policy.vote)


def _combine(votes: Sequence[tuple[Seat, Vote]]) -> Verdict:
    if not votes:
        return NOT_SAMPLED
    for seat, vote in votes:
        if vote.ballot is Ballot.DROP:
            return Verdict(kept=False, policy=seat.name, reason=vote.reason, dropped=True)
    tier: Tier = "full" if any(seat.tier == "full" for seat, _ in votes) else "skeleton"
    recorded, vote = min(
        ((seat, vote) for seat, vote in votes if seat.tier == tier), key=lambda v: _rank(v[1])
    )
    return Verdict(
        kept=True,
        policy=recorded.name,
        reason=vote.reason,
        threshold=_threshold([vote for _, vote in votes]),
        tier=tier,
        voters=tuple(seat.name for seat, _ in votes),
    )


def _rank(vote: Vote) -> float:
    return float("inf") if vote.threshold is None else vote.threshold


def _threshold(votes: Sequence[Vote]) -> int | None:
    """Return the smallest threshold; unknown where a vote of unknown probability might have kept more."""
    thresholds = [vote.threshold for vote in votes]
    if 0 in thresholds:
        return 0
    return None if None in thresholds else min(t for t in thresholds if t is not None)
