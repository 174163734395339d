"""Two instrumentations of one call leave two spans side by side: one of them is kept."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from processors.genai.call import Call
from processors.genai.reasons import DUPLICATE_SIBLING, REPRESENTED, SERVER_OF_CLIENT, undecided
from processors.genai.trace import Trace
from processors.genai.usage import SURENESS

_SIBLING_STARTS_NS: Final = 50_000_000
_SIBLING_OVERLAP: Final = 0.9
_LOOKED_AT: Final = 64
"""Of groups that a record may belong to by its counts or its response id so many are compared, the nearest ones."""
_COMPARED: Final = REPRESENTED - {SERVER_OF_CLIENT}
"""A server's record stands for the call of its client above, whose record may have given way to that of a sibling."""
_GAVE_WAY: Final = (None, DUPLICATE_SIBLING)
"""Verdicts that leave it to others to count: the one that was preferred may still be open."""


def judge_siblings(trace: Trace, calls: list[Call]) -> None:
    """Two instrumentations of one call leave siblings of different scopes; equal scopes mean calls of their own."""
    for group in _groups_with(trace, calls):
        open_ones = undecided(group)
        if open_ones and not _is_settled(group):
            open_ones.remove(min(open_ones, key=_preference))
        _close(open_ones)


def judge_settled(trace: Trace, calls: list[Call]) -> None:
    """The same where one of the siblings is reported already, so that nothing is left to prefer."""
    for group in _groups_with(trace, calls):
        if _is_settled(group):
            _close(undecided(group))


def _groups_with(trace: Trace, calls: list[Call]) -> Iterator[list[Call]]:
    """Yield the records of each call that siblings of these report."""
    families: dict[bytes, list[Call]] = {}
    for call in calls:
        families.setdefault(call.parent, []).append(call)
    for fresh in families.values():
        family = _near(trace.family(fresh[0].parent), fresh)
        if any(r.scope != fresh[0].scope for r in family):
            yield from _groups(family)


def _near(siblings: Iterable[Call], fresh: list[Call]) -> list[Call]:
    """Pick the siblings that can be records of the same calls: there may be thousands below one parent."""
    first = min(call.start for call in fresh) - _SIBLING_STARTS_NS
    last = max(call.start for call in fresh) + _SIBLING_STARTS_NS
    ids = {call.response_id for call in fresh} - {0}
    return [
        record
        for record in siblings
        if (first <= record.start <= last or record.response_id in ids)
        and not record.aggregate
        and record.has_usage
    ]


def _groups(family: list[Call]) -> list[list[Call]]:
    """Gather records of one call: at most one of each scope, nearest starts first."""
    groups = _Groups()
    for call in sorted(family, key=lambda c: (c.verdict is None, c.start, c.span_id)):
        if call.verdict is None or call.verdict in _COMPARED:
            groups.take(call)
    return groups.all


def _marks(call: Call) -> tuple[object, ...]:
    """Return what another record of the same call has at least one of."""
    return (call.counts, call.response_id) if call.response_id else (call.counts,)


def _start(group: list[Call]) -> int:
    return group[0].start


class _Groups:
    """Groups by their marks and by the scopes that they have records of, in the order of their starts.

    So those that have a record of a call's scope, which may be thousands of equal calls, are not looked at.
    """

    __slots__ = ("_alike", "all")

    def __init__(self) -> None:
        self.all: list[list[Call]] = []
        self._alike: dict[object, dict[frozenset[int], list[list[Call]]]] = {}

    def take(self, call: Call) -> None:
        """Put a record into the group of its call, or into one of its own."""
        fitting = [
            group for group in self._near(call) if any(_same_sibling(r, call) for r in group)
        ]
        if fitting:
            group = min(fitting, key=lambda group: abs(_start(group) - call.start))
            self._take_out(group)
        else:
            group = []
            self.all.append(group)
        group.append(call)
        scopes = frozenset(record.scope for record in group)
        for mark in {mark for record in group for mark in _marks(record)}:
            insort(self._alike.setdefault(mark, {}).setdefault(scopes, []), group, key=_start)

    def _near(self, call: Call) -> Iterator[list[Call]]:
        """Yield the groups to compare a record with: those that start nearest, of as few as matter."""
        for mark in _marks(call):
            lacking = [
                groups
                for scopes, groups in islice(self._alike.get(mark, {}).items(), _LOOKED_AT)
                if call.scope not in scopes and len(scopes) < _LOOKED_AT
            ]
            each = max(1, _LOOKED_AT // 2 // max(1, len(lacking)))
            for groups in lacking:
                place = bisect_left(groups, call.start, key=_start)
                yield from groups[max(0, place - each) : place + each]

    def _take_out(self, group: list[Call]) -> None:
        scopes = frozenset(record.scope for record in group)
        for mark in {mark for record in group for mark in _marks(record)}:
            groups = self._alike[mark][scopes]
            place = bisect_left(groups, _start(group), key=_start)
            while groups[place] is not group:
                place += 1
            del groups[place]
            if not groups:
                del self._alike[mark][scopes]


def _same_sibling(one: Call, other: Call) -> bool:
    # an answer from a cache has the id of the call that filled it
    if one.response_id and other.response_id and one.cached == other.cached:
        return one.response_id == other.response_id
    if abs(one.start - other.start) >= _SIBLING_STARTS_NS or one.counts != other.counts:
        return False
    overlap = min(one.end, other.end) - max(one.start, other.start)
    longer = max(one.end - one.start, other.end - other.start)
    return bool(one.models & other.models) and overlap >= _SIBLING_OVERLAP * longer


def _is_settled(group: list[Call]) -> bool:
    return any(call.verdict not in _GAVE_WAY for call in group)


def _close(calls: list[Call]) -> None:
    for call in calls:
        call.verdict = DUPLICATE_SIBLING


def _preference(call: Call) -> tuple[bool, int, int, int, int, bytes]:
    """Order in which records of one call are preferred, best first."""
    sureness = SURENESS.index(call.usage.semantics) if call.usage.semantics else len(SURENESS)
    return not call.cached, call.level, sureness, call.family, call.start, call.span_id
