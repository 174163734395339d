"""Records that counted before others below them came, and hold these: as the same call, or as the sum of them."""

from __future__ import annotations

from typing import Final

from processors.genai.call import COUNTED, Call, total
from processors.genai.reasons import DUPLICATE_OF_ANCESTOR, undecided
from processors.genai.trace import Trace

_NESTING_TOLERANCE_NS: Final = 1_000_000


def repeated_above(trace: Trace, call: Call, calls: list[Call]) -> str | None:
    """Find a record above that was counted before this one came."""
    for above in trace.records_above(call):
        if above.verdict != COUNTED or above is call:
            continue
        if above.aggregate or (above.has_usage and _stood_in(trace, above, call, calls)):
            return DUPLICATE_OF_ANCESTOR
    return None


def _stood_in(trace: Trace, above: Call, call: Call, calls: list[Call]) -> bool:
    """Whether the record above holds this one: as the same call, or as the sum of all that are open below it."""
    if same_nested(above, call):
        same_id = above.response_id != 0 and above.response_id == call.response_id
        first = not above.stands_for_one
        above.stands_for_one = True
        return same_id or first
    below = [c for c in undecided(calls) if c.models & above.models]
    parts = [c for c in below if above in trace.records_above(c)]
    if len(parts) < 2 or total(parts) != above.counts:
        return False
    for part in parts:
        part.verdict = DUPLICATE_OF_ANCESTOR
    return True


def same_nested(outer: Call, inner: Call) -> bool:
    """Whether a record and one below it report the same call."""
    if outer.response_id and outer.response_id == inner.response_id:
        return True
    return (
        outer.counts == inner.counts
        and bool(outer.models & inner.models)
        and outer.start - _NESTING_TOLERANCE_NS <= inner.start
        and inner.end <= outer.end + _NESTING_TOLERANCE_NS
    )
