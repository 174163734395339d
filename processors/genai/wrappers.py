"""A wrapper above the record of the same call: the leaf-most one counts, since it knows best."""

from __future__ import annotations

from typing import Final

from processors.genai.above import Above, same_nested
from processors.genai.call import Call, total
from processors.genai.reasons import (
    DUPLICATE_OF_ANCESTOR,
    DUPLICATE_OF_DESCENDANT,
    STANDING,
    SUM_OF_DESCENDANTS,
)
from processors.genai.servers import servers_of
from processors.genai.trace import Trace

_MAY_STAND: Final = STANDING | {None}


def judge_wrappers(trace: Trace, calls: list[Call], above: Above) -> None:
    """The leaf-most record counts, since it knows best. `calls` are asked from the deepest up, as they come."""
    for call in calls:
        if call.verdict is None:  # else it was a part of a sum
            verdict = _repeated_below(trace, call) or above.verdict_on(call)
            if verdict is not None:
                above.close(call, verdict)


def _repeated_below(trace: Trace, call: Call) -> str | None:
    below = [r for r in trace.records_below(call.span_id) if not r.aggregate and r.has_usage]
    if any(same_nested(call, r) and _stands(trace, r) for r in below):
        return DUPLICATE_OF_DESCENDANT
    parts = [r for r in below if r.verdict in _MAY_STAND and r.models & call.models]
    if len(parts) > 1 and total(parts) == call.counts:
        return SUM_OF_DESCENDANTS
    return None


def _stands(trace: Trace, record: Call) -> bool:
    """Whether a record below counts, or repeats one above it that counted before, or gave way to its server's."""
    if record.verdict == DUPLICATE_OF_DESCENDANT:
        return any(servers_of(trace, record))
    return record.verdict in _MAY_STAND or record.verdict == DUPLICATE_OF_ANCESTOR
