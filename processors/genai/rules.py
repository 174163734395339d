"""Which records of a trace count: each model call once, real retries all.

`judge` gives every open record a verdict, in the order of the rules: server below client, wrapper above leaf, siblings
of two instrumentations, running totals, aggregates. A verdict once given stays, so the later report of a call is the
duplicate; together the records that came in one request are judged as if they had come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from processors.genai.call import COUNTED, Call
from processors.genai.pending import may_repeat
from processors.genai.reasons import (
    AGGREGATE,
    DUPLICATE_OF_ANCESTOR,
    DUPLICATE_OF_DESCENDANT,
    LOG_COUNTED,
    SERVER_OF_CLIENT,
    SPAN_COUNTED,
    SUM_OF_DESCENDANTS,
    is_reported,
    undecided,
)
from processors.genai.running_totals import judge_loops
from processors.genai.siblings import judge_siblings
from processors.genai.trace import Trace

_NESTING_TOLERANCE_NS: Final = 1_000_000
_COVERED: Final = 1.05
_COMPARED: Final = 1000
"""So many of the latest records of a trace are compared with those of its logs: a session may be one trace."""


class Judge:
    """The rules with their two switches."""

    def __init__(self, *, prefer_gateway: bool, cumulative_loops: bool) -> None:
        self._prefer_gateway = prefer_gateway
        self._cumulative_loops = cumulative_loops

    def judge(self, trace: Trace, fresh: Sequence[Call], *, final: bool) -> None:
        """Give verdicts to `fresh` records and to those that are still open; at the end (`final`) to all of them."""
        for call in fresh:
            if not call.has_usage:
                call.verdict = COUNTED  # nothing to count twice; its cost status says `no_usage`
        calls = [c for c in undecided((*trace.open, *fresh)) if not c.aggregate]
        self._servers(trace, calls)
        _wrappers(trace, undecided(calls))
        judge_siblings(trace, undecided(calls))
        loops = judge_loops(trace, undecided(calls)) if self._cumulative_loops else ()
        _logged(trace, undecided(calls))
        for call in undecided(calls):
            if final or not (call in loops or may_repeat(trace, call)):
                call.verdict = COUNTED
        _aggregates(trace, fresh, calls, final=final)
        trace.open = tuple(undecided((*trace.open, *fresh)))

    def _servers(self, trace: Trace, calls: list[Call]) -> None:
        """A server's or gateway's record below its client's repeats it, whatever its ids and counts say."""
        for call in reversed(_deepest_first(trace, calls)) if self._prefer_gateway else calls:
            client = trace.client_of(call) if call.is_server_side else None
            if client is None or not _is_client(client, call):
                continue
            if self._prefer_gateway and client.verdict is None:
                client.verdict = _repeated_above(trace, client, calls) or DUPLICATE_OF_DESCENDANT
            gave_way = self._prefer_gateway and client.verdict == DUPLICATE_OF_DESCENDANT
            if call.verdict is None and not gave_way:
                call.verdict = SERVER_OF_CLIENT
        for call in undecided(calls):
            servers = [below for below in trace.records_below(call) if _serves(trace, below, call)]
            if not servers:
                continue
            call.verdict = DUPLICATE_OF_DESCENDANT
            if all(s.verdict is None for s in servers) and _repeated_above(trace, call, calls):
                call.verdict = DUPLICATE_OF_ANCESTOR
                for server in servers:
                    server.verdict = SERVER_OF_CLIENT


def _is_client(client: Call, server: Call) -> bool:
    if client.aggregate or not client.has_usage:
        return False
    return server.server or client.client or client.level == 0


def _serves(trace: Trace, server: Call, client: Call) -> bool:
    """Whether a server's record that counts belongs to this client's call, maybe through gateways."""
    if server.verdict not in (None, COUNTED) or server.aggregate or not server.has_usage:
        return False
    if not server.is_server_side:
        return False
    below = server
    for _ in trace.calls:  # a cycle (invalid) ends as well
        above = trace.client_of(below)
        if above is None or not _is_client(above, below):
            return False
        if above is client:
            return True
        if above.verdict == COUNTED or not above.is_server_side:
            return False
        below = above
    return False


# ------------------------------------------------------------------ wrapper and leaf


def _wrappers(trace: Trace, calls: list[Call]) -> None:
    """The leaf-most record counts, since it knows best; from the deepest up."""
    for call in _deepest_first(trace, calls):
        if call.verdict is None:
            call.verdict = _repeated_below(trace, call) or _repeated_above(trace, call, calls)


def _repeated_below(trace: Trace, call: Call) -> str | None:
    below = [r for r in trace.records_below(call) if not r.aggregate and r.has_usage]
    if any(_same_nested(call, r) and _stands(trace, r) for r in below):
        return DUPLICATE_OF_DESCENDANT
    parts = [r for r in below if r.verdict in (None, COUNTED) and r.models & call.models]
    if len(parts) > 1 and _sums(parts) == call.counts:
        return SUM_OF_DESCENDANTS
    return None


def _stands(trace: Trace, record: Call) -> bool:
    """Whether a record below counts, or repeats one above it that counted before, or gave way to its server's."""
    if record.verdict == DUPLICATE_OF_DESCENDANT:
        return any(_serves(trace, below, record) for below in trace.records_below(record))
    return record.verdict in (None, COUNTED, DUPLICATE_OF_ANCESTOR)


def _repeated_above(trace: Trace, call: Call, calls: list[Call]) -> str | None:
    """Find a record above that was counted before this one came."""
    for above in trace.records_above(call):
        if above.verdict != COUNTED or above is call:
            continue
        if above.aggregate or (above.has_usage and _stood_in(trace, above, call, calls)):
            return DUPLICATE_OF_ANCESTOR
    return None


def _stood_in(trace: Trace, above: Call, call: Call, calls: list[Call]) -> bool:
    """Whether the record above holds this one: as the same call, or as the sum of all that are open below it."""
    if _same_nested(above, call):
        same_id = above.response_id != 0 and above.response_id == call.response_id
        first = not above.stands_for_one
        above.stands_for_one = True
        return same_id or first
    below = [c for c in undecided(calls) if c.models & above.models]
    parts = [c for c in below if above in trace.records_above(c)]
    if len(parts) < 2 or _sums(parts) != above.counts:
        return False
    for part in parts:
        part.verdict = DUPLICATE_OF_ANCESTOR
    return True


def _sums(calls: Iterable[Call]) -> tuple[int, int]:
    counts = [call.counts for call in calls]
    return sum(i for i, _ in counts), sum(o for _, o in counts)


def _same_nested(outer: Call, inner: Call) -> bool:
    if outer.response_id and outer.response_id == inner.response_id:
        return True
    return (
        outer.counts == inner.counts
        and bool(outer.models & inner.models)
        and outer.start - _NESTING_TOLERANCE_NS <= inner.start
        and inner.end <= outer.end + _NESTING_TOLERANCE_NS
    )


# ------------------------------------------------------------------ logs


def _logged(trace: Trace, calls: list[Call]) -> None:
    """A log record that came first was counted; the span of the same call is the duplicate then."""
    for call in calls:
        record = next((log for log in trace.logs if same_call(call, log)), None)
        if record is not None:
            trace.logs = tuple(log for log in trace.logs if log is not record)
            call.verdict = LOG_COUNTED


def same_call(span: Call, log: Call) -> bool:
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
        if is_reported(call) and same_call(call, log):
            return SPAN_COUNTED
    trace.logs = (*trace.logs[-_COMPARED:], log)
    return COUNTED


# ------------------------------------------------------------------ aggregates


def _aggregates(
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
    for call in _deepest_first(trace, asked):
        if _is_covered(trace, call):
            call.verdict = AGGREGATE
            call.uncovered = _exceeds_parts(trace, call)
        elif final:
            call.verdict = AGGREGATE if _is_repeated_task(trace, call) else COUNTED


def _exceeds_parts(trace: Trace, call: Call) -> bool:
    """Whether an aggregate's totals exceed by more than 5 % what counted below it: something was not reported."""
    counted = [r for r in trace.records_below(call) if r.verdict == COUNTED and r.has_usage]
    return bool(counted) and sum(call.counts) > _COVERED * sum(_sums(counted))


def _is_covered(trace: Trace, call: Call) -> bool:
    if trace.forgotten:
        return True  # calls were counted before the trace was forgotten, and agents come last
    return any(map(is_reported, trace.records_below(call))) or any(
        above.aggregate and above.verdict == COUNTED for above in trace.records_above(call)
    )


def _deepest_first(trace: Trace, calls: Iterable[Call]) -> list[Call]:
    return sorted(calls, key=lambda c: (-trace.depth(c), c.start, c.span_id))


def _is_repeated_task(trace: Trace, call: Call) -> bool:
    """Whether a later record of the same agent holds this one's totals."""
    return call.agent is not None and any(
        other.agent == call.agent and (other.end, other.span_id) > (call.end, call.span_id)
        for other in trace.calls.values()
    )
