"""An agent's or workflow's own totals: they count only if nothing below them does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from processors.genai.call import COUNTED, Call, total
from processors.genai.reasons import AGGREGATE, STANDING, is_reported
from processors.genai.trace import Trace

_COVERED: Final = 1.05


def judge_aggregates(
    trace: Trace, fresh: Sequence[Call], judged: Sequence[Call], *, final: bool
) -> None:
    """An agent's own totals count only if nothing below it does; from the deepest up.

    Before the end, those that wait are asked only about the records that were judged now: links may still be missing.
    """
    arrived = [call for call in fresh if call.aggregate and call.verdict is None]
    waiting = [call for call in trace.open if call.aggregate]
    if not (arrived or waiting):
        return
    reported = {i for call in judged if is_reported(call) for i in trace.ancestors(call)}
    asked = [*arrived, *(c for c in waiting if final or c.span_id in reported)]
    last = _last_tasks(trace) if final else {}
    for call in trace.deepest_first(asked):
        if _is_covered(trace, call):
            call.verdict = AGGREGATE
            call.uncovered = _exceeds_parts(trace, call)
        elif final:
            # a later record of the same agent holds this one's totals
            call.verdict = COUNTED if last.get(call.agent, call) is call else AGGREGATE


def _exceeds_parts(trace: Trace, call: Call) -> bool:
    """Whether an aggregate's totals exceed by more than 5 % what counted below it: something was not reported."""
    counted = [
        r for r in trace.records_below(call.span_id) if r.verdict in STANDING and r.has_usage
    ]
    return bool(counted) and sum(call.counts) > _COVERED * sum(total(counted))


def _is_covered(trace: Trace, call: Call) -> bool:
    if trace.forgotten:
        return True  # calls were counted before the trace was forgotten, and agents come last
    return any(map(is_reported, trace.records_below(call.span_id))) or any(
        above.aggregate and above.verdict == COUNTED for above in trace.records_above(call)
    )


def _last_tasks(trace: Trace) -> dict[str | None, Call]:
    """Return the record that ended last of each agent whose totals run over its life."""
    named = [call for call in trace.calls.values() if call.agent is not None]
    return {call.agent: call for call in sorted(named, key=lambda c: (c.end, c.span_id))}
