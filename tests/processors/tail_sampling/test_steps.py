"""No call takes longer the more is held or the longer a trace is; what goes on in steps stays one decision.

Work is counted, not timed: see `ruler`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from processors.batch import Batch, Signal
from tests.ruler import Calls

from .support import (
    ALWAYS,
    ERRORS,
    SECOND,
    Run,
    arrived,
    build,
    names,
    policy,
    request,
    settings,
    span,
)
from .test_journal import Durable, MemoryStore

LONG = 1_700
"""Spans: several shares."""
SIZES = (1_800, 4_500)
RECORD = {"record": {"attributes": True, "tracestate": True, "root": "local"}}
SKELETON = {**ALWAYS, "content_tier": "skeleton"}
NEVER = policy("span_count", "never", min_spans=10**9)
SERVED = {"decision_wait_after_root_received": "2s", "decision_wait": "60s", **RECORD}


def one(run: Run, *spans: Any) -> Batch:
    return arrived(request(spans), run.now)


def long_trace(run: Run, name: str, spans: int, a_request: int = 300, **fields: Any) -> list[str]:
    """Send a trace with its error in the last span; returns the names of its spans."""
    all_of_it = [f"{name}{i}" for i in range(spans)]
    for begin in range(0, spans, a_request):
        run.send(
            *[
                span(name, one, status="error" if one == all_of_it[-1] else "ok", **fields)
                for one in all_of_it[begin : begin + a_request]
            ]
        )
    return all_of_it


def steps(run: Run, step: Callable[[], Iterable[Batch]]) -> list[int]:
    """Take steps until nothing is left to do; returns how many calls each of them took."""
    costs = []
    while True:
        with Calls() as calls:
            run.out += list(step())
        costs.append(calls.made)
        if not run.sampler.behind:
            return costs


def ticks(run: Run) -> list[int]:
    return steps(run, lambda: run.sampler.tick(run.now))


WAYS: list[tuple[list[Mapping[str, Any]], dict[str, Any]]] = [
    ([ALWAYS], {}),
    ([NEVER], {}),
    ([ERRORS], RECORD),
    ([SKELETON], RECORD),
    ([NEVER], {"dry_run": True}),
]


@pytest.mark.parametrize(("policies", "options"), WAYS)
@pytest.mark.parametrize("durable", [False, True])
def test_a_step_costs_the_same_however_long_a_trace_is(
    policies: list[Mapping[str, Any]], options: dict[str, Any], durable: bool
) -> None:
    most = []
    for spans in SIZES:
        run = Durable(MemoryStore(), *policies, **options) if durable else Run(*policies, **options)
        long_trace(run, "t", spans)
        run.now += 10 * SECOND
        costs = ticks(run)
        assert len(costs) > 1
        assert run.closes
        assert run.ledger()["held"] == 0
        most.append(max(costs))
    assert most[1] < most[0] * 1.2


def test_a_step_costs_the_same_however_many_traces_are_due() -> None:
    most = []
    for traces in SIZES:
        run = Run(ERRORS)
        for begin in range(0, traces, 300):
            run.send(*[span(str(i), "s") for i in range(begin, begin + 300)])
        run.now += 10 * SECOND
        most.append(max(ticks(run)))
        assert run.ledger()["dropped"] == traces
    assert most[1] < most[0] * 1.2


def test_a_request_that_evicts_a_long_trace_waits_no_longer() -> None:
    most = []
    for spans in SIZES:
        run = Run(ERRORS, num_traces=1)
        sent = long_trace(run, "t", spans)
        with Calls() as calls:
            left = run.sampler.process(one(run, span("u")))
        run.out += [left] if left is not None else []
        most.append(calls.made)
        ticks(run)
        assert names(run.out) == sent
        assert run.ledger()["held"] == 1
    assert most[1] < most[0] * 1.2


def test_requests_help_where_ticks_do_not_keep_up() -> None:
    """Who brings spans decides more than that: there is less to do after any number of requests."""
    run = Run(ERRORS)
    run.send(*[span(str(i), "s", status="error") for i in range(3_000)])
    run.now += 9 * SECOND
    assert run.send(span("fresh")) == []
    run.now += SECOND
    run.out += list(run.sampler.tick(run.now))
    assert run.sampler.behind
    left = 3_000 - len(run.spans)
    came = [run.send(*[span(f"{n}new{i}") for i in range(100)]) for n in range(6)]
    assert all(len(names) > 100 for names in came[:4])
    assert sum(map(len, came)) == left
    assert run.ledger()["held"] == 601
    ticks(run)
    assert run.send(span("another")) == []


# -- one decision


def begin_to_release(run: Run) -> list[str]:
    """Send a long trace and take the first step of its release; returns the names of all its spans."""
    sent = long_trace(run, "t", LONG)
    run.now += 10 * SECOND
    run.out += list(run.sampler.tick(run.now))
    assert run.sampler.behind
    return sent


def test_spans_that_come_while_their_trace_leaves_follow_it() -> None:
    run = Run(ERRORS)
    sent = begin_to_release(run)
    run.out += [run.sampler.process(one(run, span("t", "late"))) or Batch(Signal.TRACES, b"")]
    assert run.closes
    ticks(run)
    assert sorted(names(run.out)) == sorted([*sent, "late"])
    assert run.count("otelcol_llm_tail_sampling_late_spans_total", "kept") == 1
    assert run.count("otelcol_llm_tail_sampling_decisions_total", "errors", "full", "wait") == 1


def test_spans_that_come_while_their_trace_is_dropped_follow_it() -> None:
    run = Run(NEVER)
    begin_to_release(run)
    assert run.sampler.process(one(run, span("t", "late", status="error"))) is None
    ticks(run)
    assert names(run.out) == []
    assert run.ledger() == {"received": LONG + 1, "dropped": LONG, "late_dropped": 1, "held": 0}


def test_the_ledger_closes_after_each_step_and_what_leaves_weighs_no_more() -> None:
    run = Run(ERRORS, **RECORD)
    begin_to_release(run)
    weights = []
    while run.sampler.behind:
        assert run.closes
        weights.append(run.sampler._table.size)
        run.out += list(run.sampler.tick(run.now))
    assert weights == sorted(weights, reverse=True)
    assert run.sampler._table.size == run.sampler._table.leaving == 0


def test_what_is_on_its_way_out_evicts_nobody() -> None:
    run = Run(ERRORS, buffer={"max_bytes": 750_000})
    begin_to_release(run)
    run.send(*[span(str(i)) for i in range(300)])
    ticks(run)
    assert run.ledger()["held"] == 300
    assert run.count("otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total") == 0


@pytest.mark.parametrize("options", [{}, RECORD, {"dry_run": True}])
def test_a_long_trace_leaves_as_a_short_one_does(options: dict[str, Any]) -> None:
    """One root, the same marks on every span: only how many batches there are differs."""
    run = Run(ERRORS, **options)
    run.send(span("t", "root", status="error"))
    long_trace(run, "t", LONG, parent="root", ms=(5, 6))
    run.wait(10)
    roots = [each for each in run.spans if any("sampling" in a.key for a in each.attributes)]
    assert [root.name for root in roots] == (["root"] if options else [])
    assert {each.trace_state for each in run.spans} == ({"ot=th:0"} if options is RECORD else {""})
    assert len(run.spans) == len({each.name for each in run.spans}) == LONG + 1


def test_a_long_skeleton_has_no_content() -> None:
    run = Run(SKELETON)
    long_trace(run, "t", LONG, attributes={"gen_ai.prompt": "secret", "n": 1})
    run.wait(10)
    assert {tuple(a.key for a in each.attributes) for each in run.spans} == {("n",)}
    assert run.ledger() == {"received": LONG, "released_skeleton": LONG, "held": 0}


@pytest.mark.parametrize("options", [{}, {"drop_pending_traces_on_shutdown": True}])
def test_a_stop_goes_on_in_steps_until_nothing_is_held(options: dict[str, Any]) -> None:
    run = Run(ERRORS, **options)
    sent = begin_to_release(run)
    sent += [] if options else long_trace(run, "u", LONG)
    run.send(*[span(str(i)) for i in range(2_000)])
    assert len(steps(run, run.sampler.close)) > 2
    assert sorted(names(run.out)) == sorted(sent)
    assert run.closes
    assert run.ledger()["held"] == 0


# -- what must be read first


def test_a_long_trace_with_a_service_is_looked_through_in_steps() -> None:
    """The service alone brings it forward, once no span waits for a parent any more."""
    run = Run(ERRORS, **SERVED)
    run.send(span("t", "service", parent="tool", kind=2))
    sent = long_trace(run, "t", LONG, parent="tool")
    run.now += 2 * SECOND
    assert len(ticks(run)) > 2
    assert run.ledger()["held"] == LONG + 1, "the tool is missing"
    run.send(span("t", "tool", parent="elsewhere", kind=2))
    run.now += 2 * SECOND
    assert len(ticks(run)) > 2
    assert sorted(names(run.out)) == sorted([*sent, "service", "tool"])


def test_a_trace_that_is_decided_while_it_is_looked_through_is_decided_once() -> None:
    run = Run(ERRORS, **SERVED)
    run.send(span("t", "service", parent="tool", kind=2))
    sent = long_trace(run, "t", LONG, parent="tool")
    run.now += 2 * SECOND
    run.out += list(run.sampler.tick(run.now))
    run.now += 60 * SECOND
    ticks(run)
    assert sorted(names(run.out)) == sorted([*sent, "service"])
    assert run.count("otelcol_llm_tail_sampling_decisions_total", "errors", "full", "wait") == 1


def test_the_rest_of_a_trace_leaves_after_a_reload_as_it_was_decided() -> None:
    run = Run(ERRORS, **RECORD)
    sent = begin_to_release(run)
    run.reload(NEVER)
    ticks(run)
    assert sorted(names(run.out)) == sorted(sent)
    assert {each.trace_state for each in run.spans} == {"ot=th:0"}
    assert run.sampler._table.size == 0


def test_a_long_trace_is_read_in_steps_by_new_policies() -> None:
    slow = policy("latency", "slow", threshold_ms=500)
    most = []
    for spans in SIZES:
        run = Run(ERRORS)
        sent = long_trace(run, "t", spans)
        with Calls() as calls:
            run.reload(slow, ERRORS)
        run.now += 10 * SECOND
        most.append(max([calls.made, *ticks(run)]))
        assert names(run.out) == sent
    assert most[1] < most[0] * 1.2


def test_spans_that_come_while_their_trace_is_read_are_read_too() -> None:
    run = Run(NEVER)
    long_trace(run, "t", LONG)
    run.reload(policy("latency", "slow", threshold_ms=500))
    run.now += 10 * SECOND
    run.out += list(run.sampler.tick(run.now))
    run.send(span("t", "slow one", ms=(0, 900)))
    ticks(run)
    assert len(names(run.out)) == LONG + 1


def test_a_trace_that_is_read_when_the_next_reload_comes_is_read_again() -> None:
    run = Run(NEVER)
    sent = long_trace(run, "t", LONG)
    run.reload(policy("latency", "slow", threshold_ms=500))
    run.now += 10 * SECOND
    run.out += list(run.sampler.tick(run.now))
    run.reload(ERRORS)
    ticks(run)
    assert names(run.out) == sent


def test_a_long_trace_is_evicted_once_it_was_read_and_nobody_else_is() -> None:
    run = Run(NEVER, buffer={"max_bytes": 1_200_000})
    sent = long_trace(run, "t", LONG)
    run.send(span("u"))
    run.reload(ERRORS, buffer={"max_bytes": 600_000})
    run.send(span("v"))
    run.wait(1)
    assert sorted(names(run.out)) == sorted(sent)
    assert run.ledger()["held"] == 2
    assert run.count("otelcol_llm_tail_sampling_decisions_total", "errors", "full", "evicted") == 1


@pytest.mark.parametrize("after", [[], [ERRORS]])
def test_a_stop_reads_what_new_policies_have_not_read(after: list[Mapping[str, Any]]) -> None:
    run = Run(NEVER)
    sent = long_trace(run, "t", LONG)
    run.reload(ERRORS)
    run.now += 10 * SECOND
    if after:
        run.out += list(run.sampler.tick(run.now))
    run.close()
    assert names(run.out) == sent


def test_a_stop_drops_what_is_being_read() -> None:
    run = Run(NEVER)
    long_trace(run, "t", LONG)
    run.reload(ERRORS, drop_pending_traces_on_shutdown=True)
    run.now += 10 * SECOND
    run.out += list(run.sampler.tick(run.now))
    assert run.sampler.behind
    assert run.close() == []
    assert run.ledger()["dropped"] == LONG


def test_entries_of_decided_traces_are_passed_over_in_steps() -> None:
    """The root decides them first; their longer wait ends later, all at once."""
    most = []
    for traces in (4_500, 9_000):
        run = Run(NEVER, decision_wait="60s", decision_wait_after_root_received="1s")
        for begin in range(0, traces, 300):
            run.send(*[span(str(i), "s") for i in range(begin, begin + 300)])
        run.now += SECOND
        ticks(run)
        run.now += 60 * SECOND
        most.append(max(ticks(run)))
    assert most[1] < most[0] * 1.2


@pytest.mark.parametrize("bound", [{"num_traces": 50}, {"buffer": {"max_bytes": 200_000}}])
def test_lower_bounds_are_reached_in_steps(bound: dict[str, Any]) -> None:
    run = Run(ERRORS)
    run.send(*[span(f"{i}", f"{i}", status="error") for i in range(3_000)])
    run.reload(ERRORS, **bound)
    with Calls() as small:
        run.send(span("new", "new"))
    costs = ticks(run)
    assert len(costs) > 1
    assert small.made < max(costs) * 3
    table = run.sampler._table
    assert table.waiting <= bound.get("num_traces", 3_000)
    assert table.size <= bound.get("buffer", {}).get("max_bytes", table.size)
    run.wait(10)
    assert Counter(names(run.out)) == Counter([*map(str, range(3_000)), "new"][:3_000])


def test_roots_that_came_before_they_mattered_are_found_in_steps() -> None:
    run = Run(ERRORS, decision_wait="60s")
    run.send(span("early", "root", status="error"), span("early", "leaf", parent="root"))
    run.send(*[span(str(i), "s", parent="elsewhere") for i in range(1_500)])
    sent = long_trace(run, "t", LONG, parent="elsewhere")
    run.reload(ERRORS, decision_wait="60s", decision_wait_after_root_received="3s")
    assert len(ticks(run)) > 2
    assert run.wait(2.9) == []
    assert run.wait(0.1) == ["root", "leaf"]
    run.wait(57)
    assert sorted(names(run.out)) == sorted(["root", "leaf", *sent])


# -- with a journal


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def ids(batches: Iterable[Batch]) -> set[str]:
    return set(names(batches))


@pytest.mark.parametrize("options", [{}, RECORD])
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_an_end_in_the_middle_of_a_release_loses_nothing(
    store: MemoryStore, taken: int, options: dict[str, Any]
) -> None:
    """What left and was safe leaves again with the rest: the ids are the same, and there is one root."""
    run = Durable(store, ERRORS, **options)
    sent = long_trace(run, "t", LONG)
    run.now += 10 * SECOND
    for _ in range(taken):
        run.out += list(run.sampler.tick(run.now))
    assert run.sampler.behind
    run.settle()
    assert len(store.pieces) == 6, "nothing is forgotten before all of it is safe"
    run.out = []
    run.begin()
    run.wait(0.1)
    assert names(run.out) == sent
    assert len([each for each in run.spans if each.attributes]) == bool(options)
    assert run.closes
    run.settle()
    assert store.pieces == {}


def test_pieces_of_a_long_trace_wait_for_the_last_of_its_batches(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    long_trace(run, "t", LONG)
    run.send(span("u", "other", status="error"))
    run.wait(10)
    assert len(run.out) > 2
    *first, last = [batch for batch in run.out if batch.receipt is not None]
    for batch in (*first[1:], last):
        batch.receipt.settle()
    assert store.pieces
    first[0].receipt.settle()
    assert store.pieces == {}


def test_names_of_batches_are_given_once(store: MemoryStore) -> None:
    """A share of a long trace has none: after an end its number may be that of other traces."""
    run = Durable(store, ERRORS)
    named = []
    for number in range(3):
        long_trace(run, f"long{number}", LONG)
        run.send(span(f"short{number}", f"short{number}", status="error"))
        run.wait(10)
        run.settle()
        named += [batch.source for batch in run.out if batch.source]
        run.out = []
        run.begin()
    assert len(named) == len(set(named)) == 3


def test_a_journal_ends_while_a_long_trace_leaves(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    sent = begin_to_release(run)
    run.send(span("u", "held", status="error"))
    last = build(settings(ERRORS), run.context)
    last.open()
    last.adopt(run.sampler)
    run.sampler = last
    run.wait(10)
    run.settle()
    assert sorted(names(run.out)) == sorted([*sent, "held"])
    assert store.pieces == {}


def test_a_journal_begins_in_steps_and_holds_everything_then(store: MemoryStore) -> None:
    run = Durable(store, ERRORS, buffer={})
    sent = long_trace(run, "t", LONG)
    run.send(*[span(str(i), str(i), status="error") for i in range(1_500)])
    successor = build(settings(ERRORS, buffer={"storage": "disk"}), run.context)
    successor.open()
    successor.adopt(run.sampler)
    run.sampler = successor
    run.send(span("t", "new"))
    assert len(ticks(run)) > 2
    run.options = {"buffer": {"storage": "disk"}}
    run.begin()
    run.wait(10)
    assert Counter(names(run.out)) == Counter([*sent, "new", *map(str, range(1_500))])


@limits(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_ends_between_any_two_steps_split_no_trace(seed: int) -> None:
    """Some batches are safe when the process ends, some are not, some never left."""
    random, store = Random(seed), MemoryStore()
    run = Durable(store, ERRORS, policy("span_count", "long", min_spans=700))
    safe: set[str] = set()
    expected: set[str] = set()
    for trace in range(4):
        spans = random.choice([3, 600, 1_300])
        sent = long_trace(run, f"{trace}/", spans, a_request=random.choice([200, 650]))
        expected |= set(sent)
    for _ in range(random.randrange(4)):
        run.now += random.choice([0, 10]) * SECOND
        for _ in range(random.randrange(6)):
            store.commits = random.random() < 0.8
            run.out += list(run.sampler.tick(run.now))
            for batch in random.sample(run.out, random.randrange(len(run.out) + 1)):
                batch.receipt.settle()
                run.out.remove(batch)
                safe |= ids([batch])
        run.out = []
        run.begin()
    store.commits = True
    run.wait(20)
    assert safe | ids(run.out) == expected
    run.settle()
    assert store.pieces == {}
