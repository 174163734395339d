"""Which records of a trace count: each model call once, real retries all.

`judge` gives every open record a verdict, in the order of the rules: server below client, wrapper above leaf, siblings
of two instrumentations, running totals, aggregates. A verdict once given stays, so the later report of a call is the
duplicate; together the records that came in one request are judged as if they had come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from processors.genai.pending import may_repeat
from processors.genai.trace import COUNTED, Call, Trace
from processors.genai.usage import SURENESS, Usage

AGGREGATE: Final = "aggregate"
DUPLICATE_OF_DESCENDANT: Final = "duplicate_of_descendant"
DUPLICATE_OF_ANCESTOR: Final = "duplicate_of_ancestor"
SUM_OF_DESCENDANTS: Final = "sum_of_descendants"
SERVER_OF_CLIENT: Final = "server_of_client"
DUPLICATE_SIBLING: Final = "duplicate_sibling"
CUMULATIVE_LOOP: Final = "cumulative_loop"
DUPLICATE_DELIVERY: Final = "duplicate_delivery"
SPAN_COUNTED: Final = "span_counted"
LOG_COUNTED: Final = "log_counted"
NOT_BILLED: Final = "not_billed"

REASONS: Final = (
    AGGREGATE, DUPLICATE_OF_DESCENDANT, DUPLICATE_OF_ANCESTOR, SUM_OF_DESCENDANTS, SERVER_OF_CLIENT, DUPLICATE_SIBLING,
    CUMULATIVE_LOOP, DUPLICATE_DELIVERY, SPAN_COUNTED, LOG_COUNTED, NOT_BILLED,
)  # fmt: skip
"""Values of `app.llm.cost.skip_reason`."""

_REPRESENTED: Final = frozenset(
    {
        COUNTED,
        DUPLICATE_OF_DESCENDANT,
        DUPLICATE_OF_ANCESTOR,
        SERVER_OF_CLIENT,
        DUPLICATE_SIBLING,
        LOG_COUNTED,
    }
)
"""Verdicts of records whose call is in the ledger, by themselves or by another record."""

_NESTING_TOLERANCE_NS: Final = 1_000_000
_SIBLING_STARTS_NS: Final = 50_000_000
_SIBLING_OVERLAP: Final = 0.9
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
        calls = [c for c in _undecided((*trace.open, *fresh)) if not c.aggregate]
        self._servers(trace, calls)
        _wrappers(trace, _undecided(calls))
        _siblings(trace, _undecided(calls))
        loops = _loops(trace, _undecided(calls)) if self._cumulative_loops else ()
        _logged(trace, _undecided(calls))
        for call in _undecided(calls):
            if final or not (call in loops or may_repeat(trace, call)):
                call.verdict = COUNTED
        _aggregates(trace, fresh, calls, final=final)
        trace.open = tuple(_undecided((*trace.open, *fresh)))

    def _servers(self, trace: Trace, calls: Iterable[Call]) -> None:
        """A server's or gateway's record below its client's repeats it, whatever its ids and counts say."""
        for call in calls:
            client = trace.client_of(call) if call.is_server_side else None
            if client is None or not _is_client(client, call):
                continue
            if self._prefer_gateway and client.verdict is None:
                client.verdict = DUPLICATE_OF_DESCENDANT
            elif call.verdict is None:
                call.verdict = SERVER_OF_CLIENT
        for call in _undecided(calls):
            if any(_serves(trace, below, call) for below in trace.records_below(call)):
                call.verdict = DUPLICATE_OF_DESCENDANT


def _undecided(calls: Iterable[Call]) -> list[Call]:
    return [call for call in calls if call.verdict is None]


def _is_client(client: Call, server: Call) -> bool:
    if client.aggregate or not client.has_usage:
        return False
    return server.server or client.client or client.scope.level == 0


def _serves(trace: Trace, server: Call, client: Call) -> bool:
    """Whether a server's record that counted already belongs to this client's call."""
    return (
        server.verdict == COUNTED
        and server.has_usage
        and server.is_server_side
        and trace.client_of(server) is client
        and _is_client(client, server)
    )


# ------------------------------------------------------------------ wrapper and leaf


def _wrappers(trace: Trace, calls: list[Call]) -> None:
    """The leaf-most record counts, since it knows best; from the deepest up."""
    for call in _deepest_first(trace, calls):
        if call.verdict is None:
            open_ones = _undecided(calls)
            call.verdict = _repeated_below(trace, call) or _repeated_above(trace, call, open_ones)


def _repeated_below(trace: Trace, call: Call) -> str | None:
    below = [r for r in trace.records_below(call) if not r.aggregate and r.has_usage]
    if any(_stands(r) and _same_nested(call, r) for r in below):
        return DUPLICATE_OF_DESCENDANT
    parts = [r for r in below if r.verdict in (None, COUNTED) and r.models & call.models]
    if len(parts) > 1 and _sums(parts) == call.counts:
        return SUM_OF_DESCENDANTS
    return None


def _stands(record: Call) -> bool:
    """Whether a record below counts, or repeats one above it that counted before."""
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
        same_id = above.response_id is not None and above.response_id == call.response_id
        first = not above.stands_for_one
        above.stands_for_one = True
        return same_id or first
    parts = [c for c in calls if c.models & above.models and above in trace.records_above(c)]
    if len(parts) < 2 or _sums(parts) != above.counts:
        return False
    for part in parts:
        part.verdict = DUPLICATE_OF_ANCESTOR
    return True


def _sums(calls: Iterable[Call]) -> tuple[int, int]:
    counts = [call.counts for call in calls]
    return sum(i for i, _ in counts), sum(o for _, o in counts)


def _same_nested(outer: Call, inner: Call) -> bool:
    if outer.response_id is not None and outer.response_id == inner.response_id:
        return True
    return (
        outer.counts == inner.counts
        and bool(outer.models & inner.models)
        and outer.start - _NESTING_TOLERANCE_NS <= inner.start
        and inner.end <= outer.end + _NESTING_TOLERANCE_NS
    )


# ------------------------------------------------------------------ siblings


def _siblings(trace: Trace, calls: list[Call]) -> None:
    """Two instrumentations of one call leave siblings of different scopes; equal scopes mean calls of their own."""
    families: dict[bytes, list[Call]] = {}
    for call in calls:
        families.setdefault(call.parent, []).append(call)
    for fresh in families.values():
        family = _near(trace.siblings(fresh[0]), fresh)
        if any(r.scope.name != fresh[0].scope.name for r in family):
            for group in _groups(family):
                _keep_one(group)


def _near(siblings: Iterable[Call], fresh: list[Call]) -> list[Call]:
    """Pick the siblings that can be records of the same calls: there may be thousands below one parent."""
    first = min(call.start for call in fresh) - _SIBLING_STARTS_NS
    last = max(call.start for call in fresh) + _SIBLING_STARTS_NS
    ids = {call.response_id for call in fresh} - {None}
    return [
        record
        for record in siblings
        if (first <= record.start <= last or record.response_id in ids)
        and not record.aggregate
        and record.has_usage
    ]


def _groups(family: list[Call]) -> list[list[Call]]:
    """Gather records of one call: at most one of each scope, nearest starts first."""
    groups: list[list[Call]] = []
    for call in sorted(family, key=lambda c: (c.verdict is None, c.start, c.span_id)):
        if call.verdict is not None and call.verdict not in _REPRESENTED:
            continue
        fitting = [
            group
            for group in groups
            if all(r.scope.name != call.scope.name for r in group)
            and any(_same_sibling(r, call) for r in group)
        ]
        if fitting:
            min(fitting, key=lambda group: abs(group[0].start - call.start)).append(call)
        else:
            groups.append([call])
    return groups


def _same_sibling(one: Call, other: Call) -> bool:
    if one.response_id is not None and other.response_id is not None:
        return one.response_id == other.response_id
    if abs(one.start - other.start) >= _SIBLING_STARTS_NS or one.counts != other.counts:
        return False
    overlap = min(one.end, other.end) - max(one.start, other.start)
    longer = max(one.end - one.start, other.end - other.start)
    return bool(one.models & other.models) and overlap >= _SIBLING_OVERLAP * longer


def _keep_one(group: list[Call]) -> None:
    open_ones = _undecided(group)
    if len(open_ones) == len(group):
        open_ones.remove(min(group, key=_preference))
    for call in open_ones:
        call.verdict = DUPLICATE_SIBLING


def _preference(call: Call) -> tuple[int, int, int, int, bytes]:
    """Order in which records of one call are preferred, best first."""
    sureness = SURENESS.index(call.usage.semantics) if call.usage.semantics else len(SURENESS)
    return call.scope.level, sureness, call.scope.family, call.start, call.span_id


# ------------------------------------------------------------------ running totals


def _loops(trace: Trace, calls: list[Call]) -> set[Call]:
    """Of calls whose emitter reports running totals over a tool loop the last one holds all.

    Returns those that would belong to a loop if a tool's span stood between them: it may still come.
    """
    waiting: set[Call] = set()
    first = {call.parent: call for call in calls if call.loop}
    for call in first.values():
        family = sorted(
            (r for r in trace.siblings(call) if r.loop and r.has_usage),
            key=lambda c: (c.start, c.span_id),
        )
        for run in _runs(family, lambda a, b: _grows(a, b) and _tool_between(trace, a, b)):
            _count_run(run)
        for run in _runs(family, _grows):
            waiting.update(c for c in run if len(run) > 1 and c.verdict is None)
        waiting -= {c for c in waiting if _settled_in_run(trace, family, c)}
    return waiting


def _settled_in_run(trace: Trace, family: list[Call], call: Call) -> bool:
    """Whether a tool's span links the record to a neighbour, so that its run is known."""
    return any(
        other is not call
        and (
            (_grows(other, call) and _tool_between(trace, other, call))
            or (_grows(call, other) and _tool_between(trace, call, other))
        )
        for other in family
    )


def _runs(family: list[Call], continues: Callable[[Call, Call], bool]) -> list[list[Call]]:
    runs: list[list[Call]] = []
    for call in family:
        before = next((run for run in runs if continues(run[-1], call)), None)
        if before is None:
            runs.append([call])
        else:
            before.append(call)
    return runs


def _grows(before: Call, call: Call) -> bool:
    return (
        before.end <= call.start
        and before.counts[0] <= call.counts[0]
        and before.counts[1] <= call.counts[1]
        and bool(before.models & call.models)
    )


def _tool_between(trace: Trace, before: Call, call: Call) -> bool:
    return any(
        parent == call.parent and before.end <= start and end <= call.start
        for parent, start, end in trace.tools
    )


def _count_run(run: list[Call]) -> None:
    """Count the last open record by what it adds to the last one that counted before."""
    counted = [place for place, call in enumerate(run) if call.verdict == COUNTED]
    behind = run[counted[-1] + 1 :] if counted else run
    last = next((call for call in reversed(behind) if call.verdict is None), None)
    for call in run:
        if call.verdict is None and call is not last:
            call.verdict = CUMULATIVE_LOOP
    if last is not None and counted:
        last.adds = difference(last.usage, run[counted[-1]].usage)
        if last.adds.input == 0 and last.adds.output == 0:
            last.verdict = CUMULATIVE_LOOP


def difference(whole: Usage, part: Usage) -> Usage:
    """Return what a running total adds to an earlier one; never below 0."""

    def rest(mine: int | None, earlier: int | None) -> int | None:
        return None if mine is None else max(0, mine - (earlier or 0))

    return whole._replace(
        input=rest(whole.input, part.input),
        output=rest(whole.output, part.output),
        cache_read=rest(whole.cache_read, part.cache_read),
        cache_write=rest(whole.cache_write, part.cache_write),
        cache_write_1h=rest(whole.cache_write_1h, part.cache_write_1h),
        reasoning=rest(whole.reasoning, part.reasoning),
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
    if span.response_id is not None and span.response_id == log.response_id:
        return True
    if span.request_id is not None and span.request_id == log.request_id:
        return True
    return span.counts == log.counts and bool(span.models & log.models)


def judge_log(trace: Trace, log: Call) -> str:
    """Decide about a record of a log, which counts only if no span has reported the call."""
    latest = islice(reversed(trace.calls.values()), _COMPARED)
    own = trace.calls.get(log.span_id)
    for call in latest if own is None else (own, *latest):
        if _is_reported(call) and same_call(call, log):
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
    reported = {i for call in judged if _is_reported(call) for i in trace.ancestors(call)}
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


def _is_reported(call: Call) -> bool:
    return call.verdict in _REPRESENTED and call.has_usage


def _is_covered(trace: Trace, call: Call) -> bool:
    if trace.delivered:
        return True  # calls were counted before the trace was forgotten, and agents come last
    return any(map(_is_reported, trace.records_below(call))) or any(
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
