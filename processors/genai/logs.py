"""Records of logs and the spans of the same calls: the one that comes first counts."""

from __future__ import annotations

from processors.genai.call import COUNTED, Call
from processors.genai.reasons import LOG_COUNTED, SPAN_COUNTED, is_reported
from processors.genai.trace import Trace


def judge_logged(trace: Trace, calls: list[Call]) -> None:
    """A log record that came first was counted; the span of the same call is the duplicate then."""
    for call in calls if len(trace.logs) else ():
        log = trace.logs.first_like(call)
        if log is not None:
            trace.logs.remove(log)
            call.verdict = LOG_COUNTED


def judge_log(trace: Trace, log: Call) -> str:
    """Decide about a record of a log, which counts only if no span has reported the call."""
    own = trace.calls.get(log.span_id)
    if (own is not None and is_reported(own)) or any(map(is_reported, trace.latest.like(log))):
        return SPAN_COUNTED
    trace.logs.add(log)
    return COUNTED
