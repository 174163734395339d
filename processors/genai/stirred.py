"""Which open records a request gives reason to ask again.

A record that waits for its parts or for its whole stays open until a rule finds that it repeats another. That hangs
on what stands above, beside and below it, so of those that wait only they are asked that something near them stirs.
"""

from __future__ import annotations

from processors.genai.call import NO_PARENT, Call
from processors.genai.reasons import STANDING
from processors.genai.trace import Trace


def stirred(trace: Trace, calls: list[Call]) -> list[Call]:
    """Return those of the open records that may get a verdict by what came since this was asked last."""
    news = trace.take_news()
    if not any(call.waits for call in calls):
        return calls
    near = _near(trace, news)
    return [call for call in calls if call in near or not call.waits]


def _near(trace: Trace, news: set[bytes]) -> set[Call]:
    """Return the records above and beside spans, those below what counts from there upwards, and servers' below."""
    near: set[Call] = set()
    counted, highest, parents = set(), set(), set()
    for span_id in news:
        line = trace.line(span_id)
        records = [trace.calls[one] for one in line if one in trace.calls]
        near.update(records)
        if holders := [call.span_id for call in records if call.verdict in STANDING]:
            counted.add(holders[-1])
        highest.add([one for one in line if one in news][-1])
        parents.add(line[1] if len(line) > 1 else NO_PARENT)
    for span_id in counted:
        near.update(trace.records_below(span_id))
    for span_id in highest:
        near.update(call for call in trace.records_below(span_id) if call.is_server_side)
    for family in map(trace.family, parents):
        if any(call.scope != family[0].scope for call in family):
            near.update(family)
    return near
