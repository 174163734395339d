"""Records of logs and the spans of the same calls: the one that comes first counts."""

from __future__ import annotations

from itertools import islice
from typing import Final

from processors.genai.call import COUNTED, Call
from processors.genai.reasons import LOG_COUNTED, SPAN_COUNTED, is_reported
from processors.genai.trace import Trace

_COMPARED: Final = 1000
"""So many of the latest records of a trace are compared with those of its logs: a session may be one trace."""


def judge_logged(trace: Trace, calls: list[Call]) -> None:
    """A log record that came first was counted; the span of the same call is the duplicate then."""
    for call in calls:
        record = next((log for log in trace.logs if _same_call(call, log)), None)
        if record is not None:
            trace.logs = tuple(log for log in trace.logs if log is not record)
            call.verdict = LOG_COUNTED


def _same_call(span: Call, log: Call) -> bool:
    """Whether a span and a log record of one trace report the same call."""
    if span.span_id == log.span_id:
        return True
    if span.response_id and span.response_id == log.response_id:
        return True
    if span.request_id and span.request_id == log.request_id:
        return True
    return span.counts == log.counts and bool(span.models & log.models)


def judge_log(trace: Trace, log: Call) -> str:
    """Decide about a record of a log, which counts only if no span has reported the call."""
    latest = islice(reversed(trace.calls.values()), _COMPARED)
    own = trace.calls.get(log.span_id)
    for call in latest if own is None else (own, *latest):
        if is_reported(call) and _same_call(call, log):
            return SPAN_COUNTED
    trace.logs = (*trace.logs[-_COMPARED:], log)
    return COUNTED
