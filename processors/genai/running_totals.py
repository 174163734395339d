"""Emitters whose counts grow over a tool loop: Spring AI on Bedrock adds the usage of the responses before.

Source: BedrockProxyChatModel.java l. 693-735 (spring-ai, 2026-08).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final

from processors.genai.call import Call
from processors.genai.reasons import CUMULATIVE_LOOP, STANDING
from processors.genai.trace import Trace
from processors.genai.usage import Usage

_LOOKED_AT: Final = 64
"""The calls of a loop come one after the other; of those below one parent so many neighbours are compared."""


def judge_loops(trace: Trace, calls: list[Call]) -> set[Call]:
    """Of calls whose emitter reports running totals over a tool loop the last one holds all.

    Returns those that would belong to a loop if a tool's span stood between them: it may still come.
    """
    waiting: set[Call] = set()
    first = {call.parent: call for call in calls if call.loop}
    for call in first.values():
        family = sorted(
            (r for r in trace.family(call.parent) if r.loop and r.has_usage),
            key=lambda c: (c.start, c.span_id),
        )
        linked = _Tools(trace.tree.tools.get(call.parent, ())).link
        for run in _runs(family, linked):
            _count_run(run)
        grown = {c for run in _runs(family, _grows) if len(run) > 1 for c in run}
        for place, one in enumerate(family):
            if one in grown and one.verdict is None and not _is_linked(family, place, linked):
                waiting.add(one)
    return waiting


class _Tools:
    """When the tools below one parent ran: their starts and ends."""

    def __init__(self, times: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(times)
        self._starts = [start for start, _ in ordered]
        self._ends = list(accumulate((end for _, end in reversed(ordered)), min))[::-1]
        """The earliest end of those that start no sooner."""

    def link(self, before: Call, after: Call) -> bool:
        """Whether one of them ran between two calls of which the later may be a running total of both."""
        if not _grows(before, after):
            return False
        place = bisect_left(self._starts, before.end)
        return place < len(self._ends) and self._ends[place] <= after.start


def _is_linked(family: list[Call], place: int, linked: Callable[[Call, Call], bool]) -> bool:
    """Whether a tool's span links a record to a neighbour, so that its run is known."""
    call = family[place]
    before = family[max(0, place - _LOOKED_AT) : place]
    after = family[place + 1 : place + 1 + _LOOKED_AT]
    return any(linked(other, call) for other in reversed(before)) or any(
        linked(call, other) for other in after
    )


def _runs(family: list[Call], continues: Callable[[Call, Call], bool]) -> list[list[Call]]:
    runs: list[list[Call]] = []
    for call in family:
        before = next((run for run in runs[-_LOOKED_AT:] if continues(run[-1], call)), None)
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


def _count_run(run: list[Call]) -> None:
    """Count the last open record by what it adds to the last one that counted before."""
    counted = [place for place, call in enumerate(run) if call.verdict in STANDING]
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
