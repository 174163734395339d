"""Traces at rest: nothing that a verdict depends on gets lost, and little memory is used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.batch import Signal
from processors.genai.call import COUNTED, NO_PARENT, Call, Report
from processors.genai.folded import extended, folded, has_record, seen_ns, span_ids, unfolded
from processors.genai.reasons import REASONS
from processors.genai.trace import SOLID, TRANSPARENT, Trace
from processors.genai.usage import NO_USAGE, Usage
from tests.processors.genai.replay import SKIP, Graph, genai, ledger
from tests.processors.genai.test_ledger import AGENT, CALL
from tests.processors.genai.test_ledger_properties import (
    REAL,
    Real,
    cut,
    packed,
    part,
    recorded,
)
from tests.telemetry import batch, span, traces

IDS = st.integers(1, 30).map(lambda n: n.to_bytes(8, "big"))
TIMES = st.integers(0, 2**64 - 1)
COUNTS = st.none() | st.integers(0, 2**32 - 1)
DIGESTS = st.just(0) | st.integers(-(2**63), 2**63 - 1)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    return NO_USAGE._replace(input=draw(COUNTS), output=draw(COUNTS))


REPORTS = st.tuples(
    IDS, st.just(b"") | IDS, st.integers(0, 2**40 - 1), usages(), st.integers(0, 2**64 - 1),
    DIGESTS, DIGESTS, TIMES, TIMES, st.integers(0, 5), st.booleans(),
)  # fmt: skip
LINKS = st.lists(st.tuples(st.integers(31, 60), IDS, st.sampled_from([SOLID, TRANSPARENT])))


@st.composite
def settled_traces(draw: st.DrawFn) -> Trace:
    trace = Trace(forgotten=draw(st.booleans()))
    trace.seen_ns = draw(TIMES)
    for report in draw(st.lists(REPORTS, unique_by=lambda r: r[0], max_size=6)):
        trace.add(settled(draw, report))
    for report in draw(st.lists(REPORTS, max_size=2)):
        trace.logs.add(settled(draw, report))
    trace.link(links(draw(LINKS)))
    return trace


def settled(draw: st.DrawFn, report: Report) -> Call:
    call = Call(*report)
    call.verdict = draw(st.sampled_from((COUNTED, *REASONS)))
    call.aggregate, call.stands_for_one = draw(st.booleans()), draw(st.booleans())
    return call


def links(drawn: list[tuple[int, bytes, bytes]]) -> bytes:
    return b"".join(number.to_bytes(8, "big") + parent + sort for number, parent, sort in drawn)


TOLD = (
    "span_id", "parent", "scope", "counts", "has_usage", "models", "response_id", "request_id", "start", "end",
    "server", "client", "cached", "aggregate", "stands_for_one", "verdict",
)  # fmt: skip


def told(call: Call) -> dict[str, Any]:
    return {name: getattr(call, name) for name in TOLD}


@given(settled_traces())
@settings(max_examples=60, deadline=None)
def test_what_a_verdict_depends_on_comes_back(trace: Trace) -> None:
    entry = folded(trace)
    assert entry is not None
    again = unfolded(entry)
    assert list(map(told, again.calls.values())) == list(map(told, trace.calls.values()))
    assert list(map(told, again.logs)) == list(map(told, trace.logs))
    assert (again.seen_ns, again.forgotten) == (trace.seen_ns, trace.forgotten)
    assert (again.tree.parents, again.tree.solid) == (trace.tree.parents, trace.tree.solid)
    assert again.is_plain or not trace.is_plain
    assert folded(unfolded(folded(again) or b"")) == folded(again)
    assert (seen_ns(entry), span_ids(entry)) == (trace.seen_ns, list(trace.calls))
    assert [n for n in range(62) if has_record(entry, n.to_bytes(8, "big"))] == sorted(
        int.from_bytes(span_id, "big") for span_id in trace.calls
    )


@given(st.lists(st.lists(REPORTS, max_size=3), max_size=3), LINKS)
@settings(max_examples=60, deadline=None)
def test_a_plain_trace_grows_as_the_object_would(
    requests: list[list[Report]], drawn: list[tuple[int, bytes, bytes]]
) -> None:
    entry, trace = None, Trace()
    trace.link(links(drawn))
    for reports in requests:
        entry = extended(entry, 7, reports, links(drawn))
        for report in reports:
            trace.add(Call(*report))
        if entry is None:
            assert not trace.is_plain
            return
    for call in trace.calls.values():
        call.verdict = COUNTED
    if entry is not None:
        grown = unfolded(entry)
        assert {i: told(c) for i, c in grown.calls.items()} == {
            i: told(c) for i, c in trace.calls.items()
        }
        assert trace.is_plain
        assert grown.is_plain


@pytest.mark.parametrize(
    "report",
    [
        (b"s" * 8, NO_PARENT, 0, NO_USAGE._replace(input=2**32), 0, 0, 0, 0, 0, 0, False),
        (b"short", NO_PARENT, 0, NO_USAGE, 0, 0, 0, 0, 0, 0, False),
        (b"s" * 8, b"short", 0, NO_USAGE, 0, 0, 0, 0, 0, 0, False),
    ],
)
def test_what_has_no_room_stays_an_object(report: Report) -> None:
    trace = Trace()
    trace.add(Call(*report))
    assert folded(trace) is None
    assert extended(None, 0, [report], b"") is None


def test_running_totals_open_records_and_large_traces_stay_objects() -> None:
    loop, task, waiting, many = (Trace() for _ in range(4))
    for trace in (loop, task, waiting):
        trace.add(Call(b"s" * 8, b"", 0, NO_USAGE, 0, 0, 0, 0, 0, 0, False))
    (first,) = loop.calls.values()
    first.loop = True
    (first,) = task.calls.values()
    first.agent = "planner"
    waiting.open = tuple(waiting.calls.values())
    for n in range(300):
        many.add(Call(n.to_bytes(8, "big"), b"", 0, NO_USAGE, 0, 0, 0, 0, 0, 0, False))
    assert [folded(trace) for trace in (loop, task, waiting, many)] == [None] * 4


# ------------------------------------------------------------------ in the ledger


def fold_all(graph: Graph) -> None:
    for processor in graph.genai.values():
        processor._ledger._fold(graph.now_ns)


@given(calls=st.lists(REAL, min_size=1, max_size=3), agent=st.booleans(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_folding_between_requests_changes_no_verdict(
    calls: list[Real], agent: bool, data: st.DataObject
) -> None:
    parts = [one for number, call in enumerate(calls) for one in recorded(number, call)]
    if agent:
        total = sum(call.tokens for call in calls)
        parts.append(part("root", 1, 0, (0, 100), usage=total, operation="invoke_agent"))
    requests = cut(data, parts)
    awake, at_rest = Graph(), Graph()
    for some in requests:
        for graph in (awake, at_rest):
            graph.send(Signal.TRACES, packed(some))
        fold_all(at_rest)
    assert [(one.identity, one.attributes) for one in at_rest.close()] == [
        (one.identity, one.attributes) for one in awake.close()
    ]


def test_a_wrapper_that_comes_late_still_repeats_its_leaf() -> None:
    graph = Graph()
    graph.send(Signal.TRACES, packed([part("sdk", 2, 1, (1, 9), 700, 3, ident="r")]))
    graph.wait(60)
    graph.send(Signal.TRACES, packed([part("wrapper", 1, 0, (0, 10), 700, ident="r")]))
    graph.wait(60)
    graph.send(Signal.TRACES, packed([part("wrapper", 1, 0, (0, 10), 700, ident="r")]))
    reasons = [one.attributes.get(SKIP) for one in graph.close()]
    assert reasons == [None, "duplicate_of_descendant", "duplicate_delivery"]
    assert ledger(graph.left)["model_calls"] == 1


def test_an_agent_that_comes_late_is_covered_by_its_calls() -> None:
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(2, parent=1, attributes=CALL)))
    graph.wait(60)
    graph.send(Signal.TRACES, traces(span(1, attributes=AGENT)))
    assert [one.attributes.get(SKIP) for one in graph.close()] == [None, "aggregate"]


def test_counts_beyond_32_bits_count_once() -> None:
    huge = CALL | {"gen_ai.usage.input_tokens": 2**40}
    graph = Graph()
    graph.send(Signal.TRACES, traces(span(1, attributes=huge)))
    graph.wait(60)
    graph.send(Signal.TRACES, traces(span(1, attributes=huge), span(2, attributes=CALL)))
    graph.wait(900)  # forgotten
    graph.send(Signal.TRACES, traces(span(1, attributes=huge), span(2, attributes=CALL)))
    reasons = [one.attributes.get(SKIP) for one in graph.close()]
    again = "duplicate_delivery"
    assert reasons == [None, again, None, again, again]


def test_of_a_forgotten_trace_without_calls_nothing_is_remembered() -> None:
    graph = Graph({"ledger": {"ttl": "10s"}})
    graph.send(Signal.TRACES, traces(span(2, parent=1, name="GET /")))
    graph.wait(60)
    graph.send(Signal.TRACES, traces(span(1, attributes=AGENT)))
    assert [one.attributes.get(SKIP) for one in graph.close()] == [None, None]


def test_a_parent_of_another_length_is_nobodys() -> None:
    client = part("sdk", 1, 0, (0, 10), 700, 3, ident="own")
    http = part("http", 2, 1, (1, 9), None, 3)
    gateway = part("gateway", 3, 2, (2, 8), 700, ident="rewritten")
    http[2].parent_span_id = b"odd"
    graph = Graph()
    for one in (client, http, gateway):
        graph.send(Signal.TRACES, packed([one]))
    assert ledger(graph.close())["model_calls"] == 2


def test_a_trace_of_one_call_takes_no_more_than_300_bytes() -> None:
    processor = genai()
    for number in range(1, 101):
        spans = span(2, trace=number, parent=1, attributes=CALL), span(1, trace=number)
        processor.process(batch(*spans, received_s=1))
    assert processor._ledger.size_bytes <= 100 * 310


def test_a_long_session_in_one_trace_is_judged_as_a_short_one() -> None:
    graph = Graph()
    for number in range(1, 121):
        graph.send(Signal.TRACES, traces(span(number, parent=999, attributes=CALL)))
    graph.send(Signal.TRACES, traces(span(60, parent=999, attributes=CALL)))
    left = graph.close()
    assert ledger(left)["model_calls"] == 120
    assert left[-1].attributes[SKIP] == "duplicate_delivery"


def test_the_longest_quiet_traces_are_forgotten_first() -> None:
    processor = genai(ledger={"max_bytes": 4_000})
    last_seen: dict[int, int] = {}
    for second, number in enumerate([1, 2, 3, 1, 4, 5, 2, 6, 7, 1, 8, 9, *range(10, 40)], start=1):
        processor.process(batch(span(second, trace=number, attributes=CALL), received_s=second))
        last_seen[number] = second
    known = {int.from_bytes(trace_id, "big") for trace_id in processor._ledger._traces}
    assert known == set(sorted(last_seen, key=lambda n: last_seen[n])[-len(known) :])
    assert 5 < len(known) < 20
