"""`session_keep`: once a trace of a conversation was kept for a good reason, its next ones are kept for a while.

A mark is set when a trace is kept by one of the triggers, and only then: a trace that is kept because of a mark does
not prolong it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter

from processors.errors import InvalidConfig
from processors.tail_sampling.policies.base import Desk, Policy, Settings
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import ABSTAIN, Ballot, Verdict, Vote


class SessionKeep:
    """Keeps traces of marked sessions."""

    stateful = True

    def __init__(
        self,
        key: str,
        triggers: Collection[str],
        keep_for_ns: int,
        most: int,
        certainty: Mapping[str, bool],
    ) -> None:
        """`certainty`: whether the votes of policies are certain, by name; looked at when votes are cast."""
        self._key = key
        self._triggers = frozenset(triggers)
        self._keep_for_ns = keep_for_ns
        self._most = most
        self._certainty = certainty
        self._until: OrderedDict[str, int] = OrderedDict()
        self._changed: set[str] = set()
        self._certain_keep = Vote(Ballot.KEEP, "session", 0)
        self._keep = Vote(Ballot.KEEP, "session", None)

    @property
    def certain(self) -> bool:
        return all(self._certainty.get(name, False) for name in self._triggers)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        if not self._until:
            return ABSTAIN
        for session in trace.values_of(self._key):
            if self._until.get(session, 0) > now_ns:
                return self._certain_keep if self.certain else self._keep
        return ABSTAIN

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        if verdict.kept and not self._triggers.isdisjoint(verdict.voters):
            for session in trace.values_of(self._key):
                self._mark(session, now_ns)

    def _mark(self, session: str, now_ns: int) -> None:
        self._until[session] = now_ns + self._keep_for_ns
        self._changed.add(session)
        self._until.move_to_end(session)
        while self._until and (
            len(self._until) > self._most or next(iter(self._until.values())) <= now_ns
        ):
            self._changed.add(self._until.popitem(last=False)[0])

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        changed, self._changed = self._changed, set()
        return [(session, self._encoded(session)) for session in changed]

    def _encoded(self, session: str) -> bytes | None:
        until = self._until.get(session)
        return None if until is None else b"%d" % until

    def recall(self, states: Iterable[tuple[str, bytes]]) -> None:
        marks = [(session, int(until)) for session, until in states]
        self._until = OrderedDict(sorted(marks, key=itemgetter(1)))

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, SessionKeep):
            self._until = predecessor._until


def session_keep(settings: Settings, desk: Desk) -> Policy:
    """Build `session_keep`."""
    triggers = settings["triggers"]
    if not triggers:
        raise InvalidConfig("triggers", "expected at least one name of a policy, got none")
    for position, name in enumerate(triggers):
        if name not in desk.names:
            raise InvalidConfig(f"triggers[{position}]", f"there is no policy named {name!r}")
    desk.watch.text(settings["key"])
    return SessionKeep(
        settings["key"], triggers, settings["keep_for"], settings["max_sessions"], desk.certain
    )
