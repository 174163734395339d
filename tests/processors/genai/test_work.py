"""Judging a trace takes work in proportion to its records, however they are nested; and says what asking anew would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal
from processors.genai.above import Above, same_nested
from processors.genai.call import COUNTED, NO_PARENT, Call, total
from processors.genai.logs import judge_log
from processors.genai.reasons import (
    CUMULATIVE_LOOP,
    DUPLICATE_OF_ANCESTOR,
    DUPLICATE_SIBLING,
    undecided,
)
from processors.genai.reported import Reported
from processors.genai.rules import Judge
from processors.genai.running_totals import _Tools
from processors.genai.siblings import _groups, _same_sibling
from processors.genai.trace import Trace, tool_link
from processors.genai.usage import NO_USAGE
from tests.processors.genai.replay import genai
from tests.processors.genai.test_ledger import CALL
from tests.telemetry import span, traces

MS = 1_000_000
SDK, OTHER_SDK = 0x100, 0x210
FAR = 1_000_000 * MS


class Asked(Call):
    """A record that counts how often anything about any of them is asked."""

    times = 0

    def __getattribute__(self, name: str) -> Any:
        Asked.times += 1
        return super().__getattribute__(name)


def record(
    number: int,
    parent: int,
    tokens: int = 100,
    ms: tuple[int, int] | None = None,
    *,
    scope: int = SDK,
    aggregate: bool = False,
    loop: bool = False,
) -> Call:
    start, end = ms or (2 * number, 2 * number + 1)
    usage = NO_USAGE._replace(input=tokens, output=tokens // 10)
    above = parent.to_bytes(8, "big") if parent else NO_PARENT
    ids = number.to_bytes(8, "big"), above
    call = Asked(*ids, scope, usage, 7, 0, 0, start * MS, end * MS, 0, False)
    call.aggregate, call.loop = aggregate, loop
    return call


def below_an_agent(count: int) -> list[Call]:
    return [*(record(n, 1, n) for n in range(2, count)), record(1, 0, aggregate=True)]


def below_a_call(count: int) -> list[Call]:
    whole = record(1, 0, 100 * count, (0, FAR))
    return [whole, *(record(n, 1) for n in range(2, count))]


def nested(count: int) -> list[Call]:
    return [record(n, n - 1, n, (n, FAR - n)) for n in range(1, count)]


def nested_agents(count: int) -> list[Call]:
    return [record(n, n - 1, aggregate=True) for n in range(1, count)]


def of_two_instrumentations(count: int) -> list[Call]:
    return [
        record(n, 1, n // 2, (n // 2, n // 2 + 40), scope=(SDK, OTHER_SDK)[n % 2])
        for n in range(2, count)
    ]


def equal_calls_of_two_instrumentations(count: int) -> list[Call]:
    return [record(n, 1, ms=(0, 40), scope=(SDK, OTHER_SDK)[n % 2]) for n in range(2, count)]


def equal_calls_of_many_instrumentations(count: int) -> list[Call]:
    return [record(n, 1, ms=(n, n + 4), scope=n) for n in range(2, count)]


def loops(count: int) -> list[Call]:
    return [record(n, 1, n, loop=True) for n in range(2, count)]


def work(calls: list[Call], per_request: int) -> int:
    """Return how often records were asked for anything while their trace was judged."""
    trace, judge = Trace(), Judge(Reported(), prefer_gateway=False, cumulative_loops=True)
    for call in calls:
        if call.loop:
            trace.link(tool_link(call.span_id[::-1], call.parent, call.end, call.end + MS))
    Asked.times = 0
    for first in range(0, len(calls), per_request):
        fresh = calls[first : first + per_request]
        for call in fresh:
            trace.add(call)
        judge.judge(trace, fresh, final=False)
    judge.judge(trace, (), final=True)
    return Asked.times


SHAPES = [
    below_an_agent,
    below_a_call,
    nested,
    nested_agents,
    of_two_instrumentations,
    equal_calls_of_two_instrumentations,
    equal_calls_of_many_instrumentations,
    loops,
]


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_records_take_twice_the_work(shape: Callable[[int], list[Call]]) -> None:
    assert work(shape(600), 600) < 2.5 * work(shape(300), 300)


@pytest.mark.parametrize("shape", [below_an_agent, nested])
def test_so_they_do_when_they_come_in_many_requests(shape: Callable[[int], list[Call]]) -> None:
    assert work(shape(600), 100) < 2.5 * work(shape(300), 100)


def work_for_logs(count: int, logs_first: bool) -> int:
    """Return how often records were asked for anything while as many spans as records of logs came, each a call."""
    trace, judge = Trace(), Judge(Reported(), prefer_gateway=False, cumulative_loops=True)
    spans = [record(n, 0, n) for n in range(2, count)]
    logs = [record(n, 0, n) for n in range(1_000_002, 1_000_000 + count)]
    Asked.times = 0
    if logs_first:
        judge_logs(trace, logs)
    for call in spans:
        trace.add(call)
    judge.judge(trace, spans, final=False)
    if not logs_first:
        judge_logs(trace, logs)
    assert {call.verdict for call in (*spans, *logs)} == {COUNTED}
    return Asked.times


def judge_logs(trace: Trace, logs: list[Call]) -> None:
    for log in logs:
        log.verdict = judge_log(trace, log)


@pytest.mark.parametrize("logs_first", [False, True])
def test_twice_the_records_of_logs_and_spans_take_twice_the_work(logs_first: bool) -> None:
    assert work_for_logs(600, logs_first) < 2.5 * work_for_logs(300, logs_first)


# ------------------------------------------------------------------ what asking anew would say

RECORD = st.tuples(
    st.integers(0, 3),  # how many records above it are skipped to find its parent
    st.sampled_from([100, 100, 200, 300, 400]),
    st.booleans(),  # whether it counted before
)


def family(described: Sequence[tuple[int, int, bool]]) -> tuple[Trace, list[Call]]:
    trace = Trace()
    for number, (skipped, tokens, counted) in enumerate(described, 1):
        call = record(number, max(0, number - 1 - skipped), tokens, (number, 1000 - number))
        call.verdict = COUNTED if counted else None
        trace.add(call)
    return trace, undecided(trace.calls.values())


def asked_anew(trace: Trace, call: Call, calls: list[Call]) -> str | None:
    """Say whether a record above that counted holds this one, adding up for each anew what is open below it."""
    for above in trace.records_above(call):
        if above.verdict != COUNTED:
            continue
        if same_nested(above, call):
            first, above.stands_for_one = not above.stands_for_one, True
            if first:
                return DUPLICATE_OF_ANCESTOR
            continue
        parts = [c for c in undecided(calls) if above in trace.records_above(c)]
        if len(parts) > 1 and total(parts) == above.counts:
            for part in parts:
                part.verdict = DUPLICATE_OF_ANCESTOR
            return DUPLICATE_OF_ANCESTOR
    return None


@given(described=st.lists(RECORD, min_size=2, max_size=12), data=st.data())
def test_sums_that_are_kept_up_to_date_are_those_of_adding_up_anew(
    described: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    (trace, calls), (same, others) = family(described), family(described)
    above = Above(trace, calls)
    for place in data.draw(st.permutations(range(len(calls)))):
        for call, verdict in (
            (calls[place], above.verdict_on(calls[place])),
            (others[place], asked_anew(same, others[place], others)),
        ):
            if verdict is not None:
                above.close(call, verdict) if call is calls[place] else setattr(
                    call, "verdict", verdict
                )
        assert [c.verdict for c in calls] == [c.verdict for c in others]


SIBLING = st.tuples(
    st.sampled_from([SDK, OTHER_SDK, 0x320]),
    st.sampled_from([100, 100, 200]),
    st.sampled_from([100, 100, 150]),  # how many milliseconds it took
    st.sampled_from([0, 0, 1, 2]),  # its response id
    st.sampled_from([None, None, COUNTED, DUPLICATE_SIBLING]),
)


def siblings(described: Sequence[tuple[int, int, int, int, str | None]]) -> list[Call]:
    """Make records of which each has another distance to each other's start: powers of two."""
    found = []
    for number, (scope, tokens, took, response_id, verdict) in enumerate(described):
        call = record(number + 1, 99, tokens, scope=scope)
        call.start = 2**number * MS // 50
        call.end = call.start + took * MS
        call.response_id, call.verdict = response_id, verdict
        found.append(call)
    return found


def grouped_by_asking_all(family: list[Call]) -> list[list[Call]]:
    groups: list[list[Call]] = []
    for call in sorted(family, key=lambda c: (c.verdict is None, c.start, c.span_id)):
        fitting = [
            group
            for group in groups
            if all(r.scope != call.scope for r in group)
            and any(_same_sibling(r, call) for r in group)
        ]
        if fitting:
            min(fitting, key=lambda group: abs(group[0].start - call.start)).append(call)
        else:
            groups.append([call])
    return groups


@given(described=st.lists(SIBLING, max_size=12), data=st.data())
def test_records_find_the_group_that_they_would_find_among_all(
    described: list[tuple[int, int, int, int, str | None]], data: st.DataObject
) -> None:
    family = siblings(described)
    assert _groups(data.draw(st.permutations(family))) == grouped_by_asking_all(family)


TIMES = st.tuples(st.integers(0, 20), st.integers(0, 5)).map(lambda t: (t[0], t[0] + t[1]))


@given(tools=st.lists(TIMES, max_size=8), first=TIMES, then=TIMES)
def test_a_tool_that_ran_between_is_found_among_all(
    tools: list[tuple[int, int]], first: tuple[int, int], then: tuple[int, int]
) -> None:
    before, after = record(1, 9, ms=first), record(2, 9, ms=then)
    found = _Tools([(start * MS, end * MS) for start, end in tools]).link(before, after)
    assert found == any(first[1] <= start and end <= then[0] for start, end in tools)


def test_a_tool_below_another_parent_links_no_loop() -> None:
    """Two families whose calls would continue each other, of which only one has a tool's span so far."""
    trace = Trace()
    calls = [
        record(1, 8, 100, (0, 10), loop=True),
        record(2, 8, 200, (40, 50), loop=True),
        record(3, 9, 300, (80, 90), loop=True),
        record(4, 9, 400, (120, 130), loop=True),
    ]
    for parent, start, end in ((8, 20, 30), (9, 60, 70)):
        trace.link(tool_link(bytes([parent] * 8), bytes([*[0] * 7, parent]), start * MS, end * MS))
    for call in calls:
        trace.add(call)
    Judge(Reported(), prefer_gateway=False, cumulative_loops=True).judge(trace, calls, final=False)
    assert [call.verdict for call in calls] == [CUMULATIVE_LOOP, COUNTED, None, None]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_two_of_three_parts_are_no_sum_in_whatever_order_they_come(order: Sequence[int]) -> None:
    family = [
        record(1, 0, 200, (0, 90)),
        record(2, 1, 100, (10, 20)),
        record(3, 1, 100, (30, 40)),
        record(4, 1, 300, (50, 60)),
    ]
    trace, judge = Trace(), Judge(Reported(), prefer_gateway=False, cumulative_loops=True)
    calls = [family[place] for place in order]
    for call in calls:
        trace.add(call)
    judge.judge(trace, calls, final=False)
    judge.judge(trace, (), final=True)
    assert [call.verdict for call in family] == [COUNTED] * 4


def test_events_that_tell_nothing_are_not_decoded() -> None:
    """A stream may leave an event for every chunk; the first of these could not even be decoded."""
    request = ExportTraceServiceRequest.FromString(traces(span(1, attributes=CALL)))
    choice = request.resource_spans[0].scope_spans[0].spans[0].events.add(name="gen_ai.choice")
    choice.attributes.add(key="finish_reason").value.string_value = "stop"
    kept = request.SerializeToString()
    chunk = b"\xff" * len(choice.SerializeToString())
    raw = kept.replace(choice.SerializeToString(), chunk)
    for sent, reasons in ((kept, ["stop"]), (raw, None)):
        batch = genai().process(Batch(Signal.TRACES, sent))
        assert batch is not None
        (left,) = batch.spans()
        assert left.get("gen_ai.response.finish_reasons") == reasons
