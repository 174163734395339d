"""Records of logs and the spans of the same calls: the one that comes first counts."""

from __future__ import annotations

from collections.abc import Iterable

from processors.genai.call import COUNTED, Call
from processors.genai.reasons import LOG_COUNTED, SPAN_COUNTED, is_reported
from processors.genai.reported import Reported
from processors.genai.trace import Trace


def judge_logged(trace: Trace, calls: Iterable[Call], reported: Reported) -> None:
    """A log record that came first was counted; the span of the same call is the duplicate then.

    This one has an id in common with it, which says more than places in a tree: it is asked before all other rules.
    """
    for call in calls:
        if reported.take_log(call.response_id, call.request_id):
            call.verdict = LOG_COUNTED
            log = trace.logs.first_like(call, by_id=True)
            if log is not None:
                trace.logs.remove(log)


def judge_alike(trace: Trace, calls: Iterable[Call], reported: Reported) -> None:
    """The same by what else two reports in one trace have in common, which others may have, too: it is asked last."""
    for call in calls:
        log = trace.logs.first_like(call) if len(trace.logs) else None
        if log is not None:
            call.verdict = LOG_COUNTED
            trace.logs.remove(log)
            reported.take_log(log.response_id, log.request_id)


def judge_log(trace: Trace, log: Call) -> str:
    """Decide about a record of a log, which counts only if no span has reported the call."""
    own = trace.calls.get(log.span_id)
    if (own is not None and is_reported(own)) or any(map(is_reported, trace.latest.like(log))):
        return SPAN_COUNTED
    trace.logs.add(log)
    return COUNTED
