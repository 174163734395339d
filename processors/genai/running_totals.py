"""Emitters whose counts grow over a tool loop: Spring AI on Bedrock adds the usage of the responses before.

Source: BedrockProxyChatModel.java l. 693-735 (spring-ai, 2026-08).
"""

from __future__ import annotations

from collections.abc import Callable

from processors.genai.call import COUNTED, Call
from processors.genai.reasons import CUMULATIVE_LOOP
from processors.genai.trace import Trace
from processors.genai.usage import Usage


def judge_loops(trace: Trace, calls: list[Call]) -> set[Call]:
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
