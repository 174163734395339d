"""Two instrumentations of one call leave two spans side by side: one of them is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processors.genai.call import Call
from processors.genai.reasons import DUPLICATE_SIBLING, REPRESENTED, SERVER_OF_CLIENT, undecided
from processors.genai.trace import Trace
from processors.genai.usage import SURENESS

_SIBLING_STARTS_NS: Final = 50_000_000
_SIBLING_OVERLAP: Final = 0.9
_COMPARED: Final = REPRESENTED - {SERVER_OF_CLIENT}
"""A server's record stands for the call of its client above, whose record may have given way to that of a sibling."""
_GAVE_WAY: Final = (None, DUPLICATE_SIBLING)
"""Verdicts that leave it to others to count: the one that was preferred may still be open."""


def judge_siblings(trace: Trace, calls: list[Call]) -> None:
    """Two instrumentations of one call leave siblings of different scopes; equal scopes mean calls of their own."""
    families: dict[bytes, list[Call]] = {}
    for call in calls:
        families.setdefault(call.parent, []).append(call)
    for fresh in families.values():
        family = _near(trace.siblings(fresh[0]), fresh)
        if any(r.scope != fresh[0].scope for r in family):
            for group in _groups(family):
                _keep_one(group)


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
    groups: list[list[Call]] = []
    alike: dict[object, list[list[Call]]] = {}
    for call in sorted(family, key=lambda c: (c.verdict is None, c.start, c.span_id)):
        if call.verdict is not None and call.verdict not in _COMPARED:
            continue
        marks = (call.counts, call.response_id) if call.response_id else (call.counts,)
        group = _nearest([group for mark in marks for group in alike.get(mark, ())], call)
        if group is None:
            group = []
            groups.append(group)
        group.append(call)
        for mark in marks:
            alike.setdefault(mark, []).append(group)
    return groups


def _nearest(groups: Iterable[list[Call]], call: Call) -> list[Call] | None:
    fitting = [
        group
        for group in groups
        if all(r.scope != call.scope for r in group) and any(_same_sibling(r, call) for r in group)
    ]
    return min(fitting, key=lambda group: abs(group[0].start - call.start), default=None)


def _same_sibling(one: Call, other: Call) -> bool:
    if one.response_id and other.response_id:
        return one.response_id == other.response_id
    if abs(one.start - other.start) >= _SIBLING_STARTS_NS or one.counts != other.counts:
        return False
    overlap = min(one.end, other.end) - max(one.start, other.start)
    longer = max(one.end - one.start, other.end - other.start)
    return bool(one.models & other.models) and overlap >= _SIBLING_OVERLAP * longer


def _keep_one(group: list[Call]) -> None:
    open_ones = undecided(group)
    if open_ones and all(call.verdict in _GAVE_WAY for call in group):
        open_ones.remove(min(open_ones, key=_preference))
    for call in open_ones:
        call.verdict = DUPLICATE_SIBLING


def _preference(call: Call) -> tuple[int, int, int, int, bytes]:
    """Order in which records of one call are preferred, best first."""
    sureness = SURENESS.index(call.usage.semantics) if call.usage.semantics else len(SURENESS)
    return call.level, sureness, call.family, call.start, call.span_id
