"""Records of logs and the spans of the same calls: the one that comes first counts."""

from __future__ import annotations

from collections.abc import Iterable

from processors.genai.call import COUNTED, Call
from processors.genai.reasons import LOG_COUNTED, SPAN_COUNTED, is_reported
from processors.genai.reported import Reported
from processors.genai.trace import Trace


def judge_logged(trace: Trace, calls: Iterable[Call], reported: Reported) -> None:
    """A log record that came first was counted; the span of the same call is the duplicate then."""
    for call in calls:
        ids = call.response_id, call.request_id, call.cached
        if reported.take_log(*ids):
            call.verdict = LOG_COUNTED
            log = trace.logs.first_like(call, by_id=True)
        elif (log := trace.logs.first_like(call) or _unknowing(trace, call)) is not None:
            call.verdict = LOG_COUNTED
            reported.take_log(log.response_id, log.request_id, log.cached)
        if log is not None:
            trace.logs.remove(log)


def with_own_log(trace: Trace, calls: Iterable[Call], reported: Reported) -> list[Call]:
    """Return those that alone in their trace have an id in common with a log record: they are the ones that repeat it,
    whatever they repeat besides."""
    return [
        call
        for call in calls
        if reported.has_log(call.response_id, call.request_id, call.cached)
        and all(other is call for other in trace.latest.like(call, by_id=True))
    ]


def judge_log(trace: Trace, log: Call) -> str:
    """Decide about a record of a log, which counts only if no span has reported the call."""
    own = trace.calls.get(log.span_id)
    if (own is not None and is_reported(own)) or any(map(is_reported, trace.latest.like(log))):
        return SPAN_COUNTED
    for answer in trace.latest.otherwise_like(log):
        if is_reported(answer) and _tells_unknowing(log, answer):
            return SPAN_COUNTED
    trace.logs.add(log)
    return COUNTED


def _unknowing(trace: Trace, answer: Call) -> Call | None:
    """Return the first record of this answer from a cache that does not know of the cache."""
    logs = trace.logs.otherwise_like(answer)
    return next((log for log in logs if _tells_unknowing(log, answer)), None)


def _tells_unknowing(log: Call, answer: Call) -> bool:
    """Whether a record that does not know of the cache may tell of this answer from it.

    That of the call that filled the cache, which looks the same, was written before the answer began.
    """
    return answer.cached and not log.cached and log.start >= answer.start
