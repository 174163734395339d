"""Which records of a trace count: each model call once, real retries all.

`judge` gives every open record a verdict, in the order of the rules: server below client, wrapper above leaf, siblings
of two instrumentations, running totals, aggregates. A verdict once given stays, so the later report of a call is the
duplicate; together the records that came in one request are judged as if they had come in any order.
"""

from __future__ import annotations

from collections.abc import Sequence

from processors.genai.above import Above
from processors.genai.aggregates import judge_aggregates
from processors.genai.call import COUNTED, Call
from processors.genai.logs import judge_logged, with_own_log
from processors.genai.pending import may_repeat
from processors.genai.reasons import undecided
from processors.genai.reported import Reported
from processors.genai.running_totals import judge_loops
from processors.genai.servers import judge_servers
from processors.genai.siblings import judge_siblings
from processors.genai.stirred import stirred
from processors.genai.trace import Trace
from processors.genai.wrappers import judge_wrappers


class Judge:
    """The rules with their two switches."""

    def __init__(self, reported: Reported, *, prefer_gateway: bool, cumulative_loops: bool) -> None:
        self._reported = reported
        self._prefer_gateway = prefer_gateway
        self._cumulative_loops = cumulative_loops

    def judge_plain(self, trace: Trace, fresh: Sequence[Call]) -> None:
        """Give verdicts to the records of a trace in which none can repeat another."""
        judge_logged(trace, [call for call in fresh if call.has_usage], self._reported)
        for call in undecided(fresh):
            call.verdict = COUNTED

    def judge(self, trace: Trace, fresh: Sequence[Call], *, final: bool) -> None:
        """Give verdicts to `fresh` records and to those that are still open; at the end (`final`) to all of them."""
        for call in fresh:
            if not call.has_usage:
                call.verdict = COUNTED  # nothing to count twice; its cost status says `no_usage`
        waiting = [c for c in undecided((*trace.open, *fresh)) if not c.aggregate]
        judge_logged(trace, with_own_log(trace, waiting, self._reported), self._reported)
        above = Above(trace, waiting)
        calls = waiting if final else stirred(trace, waiting)
        judge_servers(trace, calls, above, prefer_gateway=self._prefer_gateway)
        ordered = trace.deepest_first(undecided(calls))
        judge_wrappers(trace, ordered, above)
        judge_siblings(trace, undecided(calls))
        loops = judge_loops(trace, undecided(calls)) if self._cumulative_loops else ()
        judge_logged(trace, undecided(waiting), self._reported)
        for call in undecided(ordered):
            if final or not (call in loops or may_repeat(trace, call)):
                call.verdict = COUNTED
        judge_aggregates(trace, fresh, waiting, final=final)
        trace.leave_open((*trace.open, *fresh))
