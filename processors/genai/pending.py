"""Whether a record could still turn out to repeat another one, once spans arrive that are missing between them.

Spans of one trace come in any order and in several requests. As long as the span between a client's record and its
gateway's is missing, nobody can say whose child the gateway's record is. Such a record waits, but only if it would
repeat the other one were they linked; parallel calls of one instrumentation never wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from processors.genai.call import NO_PARENT, Call, lies_inside
from processors.genai.reasons import STANDING
from processors.genai.trace import Trace

_LOOKED_AT: Final = 64
"""Records of one call come close to each other; so many of the latest are compared."""


def may_repeat(trace: Trace, call: Call) -> bool:
    """Whether a record that repeats nothing by what is known could do so by what is missing."""
    call.waits = call.waits or _may_be_part(trace, call) or _may_be_sum(trace, call)
    return call.waits or _may_be_unlinked(trace, call)


def _may_be_part(trace: Trace, call: Call) -> bool:
    """Below a record that counted already and holds more: maybe the sum of this one and others to come."""
    return any(
        above.verdict in STANDING and _holds(above, call) for above in trace.records_above(call)
    )


def _may_be_sum(trace: Trace, call: Call) -> bool:
    """Above records that hold less: maybe their sum once the others have come."""
    return any(
        below.verdict in STANDING and _holds(call, below)
        for below in trace.records_below(call.span_id)
    )


def _holds(whole: Call, part: Call) -> bool:
    return (
        not part.aggregate
        and not whole.aggregate
        and part.has_usage
        and whole.counts != part.counts
        and whole.counts[0] >= part.counts[0]
        and whole.counts[1] >= part.counts[1]
        and bool(whole.models & part.models)
    )


def _may_be_unlinked(trace: Trace, call: Call) -> bool:
    others = [other for other in _latest(trace) if _would_repeat(call, other)]
    if not others:
        return False
    mine = trace.ancestors(call)
    my_top = _missing(trace, mine)
    for other in others:
        its = trace.ancestors(other)
        its_top = _missing(trace, its)
        if call.span_id in its or other.span_id in mine:
            continue  # they are linked
        if (its_top and its_top not in mine) or (my_top and my_top not in its):
            return True
    return False


def _latest(trace: Trace) -> Iterator[Call]:
    for other in islice(reversed(trace.calls.values()), _LOOKED_AT):
        if other.verdict in STANDING and not other.aggregate and other.has_usage:
            yield other


def _missing(trace: Trace, above: list[bytes]) -> bytes:
    """Return the last known id of a chain when its span has not come yet, else nothing."""
    return above[-1] if above and above[-1] != NO_PARENT and not trace.has(above[-1]) else b""


def _would_repeat(call: Call, other: Call) -> bool:
    """Whether one of the two would be dropped if one stood below the other."""
    if other is call or not _overlap(call, other):
        return False
    if call.response_id and call.response_id == other.response_id:
        return True
    if call.scope == other.scope:
        return False
    if call.is_server_side != other.is_server_side:
        return True
    if not call.models & other.models or not _nested(call, other):
        return False
    return call.counts == other.counts or _holds(call, other) or _holds(other, call)


def _overlap(one: Call, other: Call) -> bool:
    return one.start <= other.end and other.start <= one.end


def _nested(one: Call, other: Call) -> bool:
    inner, outer = sorted((one, other), key=lambda c: c.end - c.start)
    return lies_inside(outer, inner)
